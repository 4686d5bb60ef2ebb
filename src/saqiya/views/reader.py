"""Samples of a dataset version as columns of arrays, a batch at a time; pictures are decoded when they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import UsageError
from saqiya.views.frames import Decoder
from saqiya.views.plan import Anchored, Blocks, Ints, blocks_of, samples_of
from saqiya.views.reel import Reel
from saqiya.views.shelf import Shelf
from saqiya.views.source import Source
from saqiya.views.windows import Window, read_rows, read_values

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["Allocate", "Columns", "Held", "Pool", "Reader"]

Columns = dict[str, NDArray[Any]]
Allocate = Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]]
Room = TypeVar("Room", bound=Allocate)


Frames = Sequence["VideoFrame | None"]
Held = dict[str, tuple[Frames, NDArray[np.bool_]]]
"""By camera: a sample's pictures, None where there is none, and whether each counts, bool (n,)."""


class Reader:
    """Reads samples of a source by number.

    Attributes:
        windows: how much of which stream is read around each moment.
        opened: the shelf or reel of each window.
        samples: the index.
    """

    def __init__(self, source: Source, windows: Mapping[str, Window], *, at: str | float, threads: int = 1) -> None:
        """Open the streams of `windows`; nothing of any episode is read.

        Args:
            source: a dataset version.
            windows: what to cut, by the name of the stream or camera.
            at: the stream or camera at whose stamps samples stand, or a rate in Hz from each span's start.
            threads: of the video decoder.

        Raises:
            UsageError: an unknown name, no window, or no sample.
        """
        if not windows:
            raise UsageError("a sample without windows is empty", remedy="Name the streams a policy sees and predicts")
        self.windows, self._threads = dict(windows), threads
        self.opened = opened = {name: source.find(name) for name in windows}
        self._shelves = {name: one for name, one in opened.items() if isinstance(one, Shelf)}
        self._cameras = {name: one for name, one in opened.items() if isinstance(one, Reel)}
        for name in self._cameras:
            if self.windows[name].linear:
                raise UsageError("pictures cannot be interpolated", subject=name, remedy="Leave `linear` out")
        self._at = at if isinstance(at, str) else ""
        anchor = None if not isinstance(at, str) else opened.get(at) or source.find(at)
        self.samples = samples_of(
            source.episode,
            source.start_ns,
            source.end_ns,
            source.weight,
            anchor=anchor,
            rate_hz=0.0 if isinstance(at, str) else at,
        )
        self._decoders: dict[str, Decoder] = {}
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the decoders behind: a worker process makes its own."""
        return {**self.__dict__, "_decoders": {}}

    @property
    def pictures(self) -> frozenset[str]:
        """The windows that are colour pictures, (H, W, 3) uint8, whether they came encoded or not."""
        found = {name for name, one in self.opened.items() if one.dtype == np.uint8 and one.shape[2:] == (3,)}
        return frozenset(name for name in found if name in self._cameras or name.startswith("camera/"))

    def columns(self, sample: Ints, allocate: Allocate = np.empty) -> Columns:
        """Read samples: for each window `name` (B, n, ...) and `name/pad` bool (B, n), True where it is padding.

        Pictures are uint8 (B, n, H, W, 3), depth uint16 (B, n, H, W). Beside the windows: `t_ns` int64 (B,), the
        moments; `episode` int64 (B,), indices into the source's episodes; `weight` float64 (B,).

        Args:
            sample: int64 (B,), numbers in [0, len(samples)).
            allocate: makes the arrays that pictures are decoded into.

        Raises:
            Corrupt: a picture cannot be decoded.
        """
        at = self.samples.at(sample)
        found = self._numbers(at)
        for name in self._cameras:
            row, valid = self._rows(name, at)
            found[name], found[f"{name}/pad"] = self._room(name, len(sample), allocate), ~valid
            for place, frames in self._decoded(name, at.episode, row):
                self._write(name, frames, found[name][place])
        return found

    def held(self, sample: Ints) -> list[Held]:
        """Decode the pictures of samples, and keep them as FFmpeg gives them until `released` wants them."""
        at = self.samples.at(sample)
        kept: list[Held] = [{} for _ in range(len(sample))]
        for name in self._cameras:
            row, valid = self._rows(name, at)
            for place, frames in self._decoded(name, at.episode, row):
                kept[place][name] = frames, valid[place]
        return kept

    def released(self, sample: Ints, held: Sequence[Held], allocate: Allocate = np.empty) -> Columns:
        """Return the columns of samples whose pictures were decoded before."""
        found = self._numbers(self.samples.at(sample))
        for name in self._cameras:
            out = found[name] = self._room(name, len(sample), allocate)
            for place, one in enumerate(held):
                self._write(name, one[name][0], out[place])
            found[f"{name}/pad"] = ~np.stack([one[name][1] for one in held])
        return found

    def blocks(self, *, longest: int) -> Blocks:
        """Cut the samples where the first camera's groups of pictures begin, or evenly where there is no camera."""
        if not self._cameras:
            return blocks_of(self.samples, None, longest=longest)
        reel = next(iter(self._cameras.values()))

        def begins(episode: int) -> Ints:
            stamps = reel.stamps(episode)
            if not len(stamps):
                return stamps
            clip = reel.clip(episode)
            return stamps[np.flatnonzero(np.diff(clip.begin[clip.track.pre :][: len(stamps)])) + 1]

        return blocks_of(self.samples, begins, longest=longest)

    def _numbers(self, at: Anchored) -> Columns:
        """Read all that is not a picture."""
        until_ns = self.samples.end_ns[at.entry]
        found: Columns = {"t_ns": at.t_ns, "episode": at.episode, "weight": self.samples.weight[at.entry]}
        for name, shelf in self._shelves.items():
            own = at.row if name == self._at else None
            found[name], valid = read_values(shelf, self.windows[name], at.episode, at.t_ns, until_ns, own=own)
            found[f"{name}/pad"] = ~valid
        return found

    def _rows(self, name: str, at: Anchored) -> tuple[Ints, NDArray[np.bool_]]:
        own = at.row if name == self._at else None
        until_ns = self.samples.end_ns[at.entry]
        return read_rows(self._cameras[name], self.windows[name], at.episode, at.t_ns, until_ns, own=own)

    def _room(self, name: str, count: int, allocate: Allocate) -> NDArray[Any]:
        reel = self._cameras[name]
        return allocate((count, self.windows[name].steps, *reel.shape), reel.dtype)

    def _decoder(self, name: str) -> Decoder:
        if self._process != os.getpid():  # a forked worker must not share what FFmpeg keeps
            self._decoders, self._process = {}, os.getpid()
        decoder = self._decoders.get(name)
        if decoder is None:
            decoder = self._decoders[name] = Decoder(threads=self._threads)
        return decoder

    def _decoded(self, name: str, episode: Ints, rows: Ints) -> Iterator[tuple[int, Frames]]:
        """Yield each sample's place and pictures; those of one episode are decoded together and in order."""
        reel, decoder = self._cameras[name], self._decoder(name)
        order = np.lexsort((rows[:, 0], episode)).tolist()
        for number, group in groupby(order, key=episode.__getitem__):
            places = list(group)
            wanted = rows[places]
            shown = np.unique(wanted[wanted >= 0])
            frames: dict[int, VideoFrame | None] = {-1: None}
            if len(shown):
                clip = reel.clip(int(number))
                frames |= zip(shown.tolist(), decoder.frames(clip, (shown + clip.track.pre).tolist()), strict=True)
            for place, row in zip(places, wanted.tolist(), strict=True):
                yield place, [frames[one] for one in row]

    def _write(self, name: str, frames: Frames, out: NDArray[Any]) -> None:
        decoder = self._decoder(name)
        for place, frame in enumerate(frames):
            if frame is None:
                out[place] = 0
            else:
                decoder.write(frame, out[place], name=name, depth=out.ndim == 3)


class Pool:
    """Reads blocks in random order and gives batches out of a pool of decoded pictures.

    Frames wait as FFmpeg decoded them, which takes half the memory of RGB, and are converted straight into the batch.
    """

    def __init__(self, reader: Reader, blocks: Blocks, *, capacity: int) -> None:
        """Mix `blocks` of `reader` through `capacity` samples."""
        self._reader, self._blocks, self._capacity = reader, blocks, capacity

    def batches(
        self, size: int, *, room: Callable[[], Room], seed: int, share: tuple[int, int] = (0, 1), skip: int = 0
    ) -> Iterator[tuple[Columns, Room]]:
        """Yield the columns of one batch after the other; the last may be shorter.

        Args:
            size: samples a batch.
            room: makes for each batch the maker of its arrays; it comes back with the columns.
            seed: of the epoch.
            share: as for `Blocks.mixed`.
            skip: batches that were given before; they are not read again.
        """
        held: dict[int, Held] = {}
        waiting: list[int] = []
        leaving: list[int] = []
        for read, leave in self._blocks.mixed(seed=seed, capacity=self._capacity, apart=size, share=share):
            waiting += read.tolist()
            leaving += leave.tolist()
            while len(leaving) >= size or (leaving and not len(read)):
                batch, leaving = leaving[:size], leaving[size:]
                if skip:
                    skip -= 1
                    gone = set(batch)
                    waiting = [one for one in waiting if one not in gone]
                    continue
                waiting = self._take(waiting, held)
                sample = np.array(batch, dtype=np.int64)
                made = room()
                yield self._reader.released(sample, [held.pop(one) for one in batch], made), made
            if not skip:
                waiting = self._take(waiting, held)

    def _take(self, wanted: list[int], held: dict[int, Held]) -> list[int]:
        """Decode what is wanted into `held`; nothing is left to want."""
        if wanted:
            held.update(zip(wanted, self._reader.held(np.array(wanted, dtype=np.int64)), strict=True))
        return []
