"""A camera's packets into LeRobot's video files: copied as they are where they come one a frame, else encoded anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Track, Video, closed_keys
from saqiya.errors import InvalidEpisode
from saqiya.formats.pictures.mp4_write import Mp4Writer, Shape
from saqiya.formats.pictures.nal import begins_anew, setup_of, to_lengths

__all__ = ["CHUNK_FILES_N", "MOVIE_BYTES", "Copied", "Piece", "Shards", "consecutive", "copied"]

CHUNK_FILES_N = 1000
MOVIE_BYTES = 200 << 20
_NS = 1_000_000_000
_RUN_BYTES = 8 << 20


@dataclass(frozen=True)
class Piece:
    """Where an episode's pictures went: chunk and file, the first picture's number there, and how many there are."""

    chunk: int
    file: int
    first: int
    count: int


@dataclass(frozen=True)
class Copied:
    """A track as it goes into an MP4: its shape there, its packets' sizes, and what undoes the change of wrapping.

    Attributes:
        units, widths: how many NAL units each packet has, int32 (P,), and the length of the start code before each,
            uint8; None where packets are copied as they are.
    """

    shape: Shape
    video: Video
    size: NDArray[np.int64]
    units: NDArray[np.int32] | None = None
    widths: NDArray[np.uint8] | None = None

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Yield the packets' bytes, many at a time where they lie side by side."""
        track = self.video.track
        if self.units is not None:
            for number in range(len(track.size)):
                yield to_lengths(self.video.packet(number))[0]
            return
        data = memoryview(self.video.data).cast("B")
        ends = track.offset + track.size
        breaks = np.flatnonzero(track.offset[1:] != ends[:-1]) + 1
        for first, last in zip([0, *breaks.tolist()], [*(breaks - 1).tolist(), len(ends) - 1], strict=True):
            for at in range(int(track.offset[first]), int(ends[last]), _RUN_BYTES):
                yield data[at : min(at + _RUN_BYTES, int(ends[last]))]


def consecutive(t_ns: NDArray[np.int64], at_ns: NDArray[np.int64], period_ns: float) -> tuple[int, float] | None:
    """Return how many pictures come before the first frame's, and how far (ns) one is from its frame at most.

    None where there is no run of pictures, one a frame, that are all within a period of their frames.
    """
    room = len(t_ns) - len(at_ns)
    nearest = int(np.searchsorted(t_ns, at_ns[0]))
    best: tuple[float, int] | None = None
    for shift in range(max(0, nearest - 2), min(room, nearest + 1) + 1):
        off = float(np.abs(t_ns[shift : shift + len(at_ns)] - at_ns).max())
        if off <= period_ns and (best is None or off < best[0]):
            best = (off, shift)
    return None if best is None else (best[1], best[0])


def copied(video: Video) -> Copied | None:
    """Return a track ready to be copied, None where its packets cannot lie in an MP4 that others play."""
    track = video.track
    if not len(track.rank) or not bool(closed_keys(track.key, track.rank)[0]):
        return None
    setup, first = track.setup, video.packet(0)
    own = replace(track, t_ns=track.t_ns)
    if track.form != "annexb":
        shape = _shape(own, setup or (setup_of("av1", first) if track.codec == "av1" else b""))
        return Copied(shape, video, track.size) if shape.writable and _lengths_of_four(track) else None
    try:
        shape = _shape(own, setup_of(track.codec, first) or (setup_of(track.codec, setup) if setup else b""))
        size, units, widths = [], [], bytearray()
        for number in range(len(track.size)):
            packet, own_widths = to_lengths(video.packet(number))
            size.append(len(packet))
            units.append(len(own_widths))
            widths += own_widths
    except ValueError:
        return None
    if not shape.writable:
        return None
    held = np.frombuffer(bytes(widths), dtype=np.uint8)
    return Copied(shape, video, np.array(size, dtype=np.int64), np.array(units, dtype=np.int32), held)


def _shape(track: Track, setup: bytes) -> Shape:
    return Shape(track.codec, track.width, track.height, setup)


def _lengths_of_four(track: Track) -> bool:
    """Say whether the packets' NAL units have lengths of four bytes, as all writers put them."""
    where = {"h264": 4, "hevc": 21}.get(track.codec)
    return where is None or (len(track.setup) > where and track.setup[where] & 3 == 3)


class Shards:
    """The video files of one camera."""

    def __init__(self, root: Path, feature: str, fps: Fraction) -> None:
        """Begin none; files are made below `root` as LeRobot names them."""
        self._folder, self._fps = root / "videos" / feature, fps
        self._at = -1
        self._open: Mp4Writer | None = None
        self.first: Shape | None = None

    def put(
        self,
        shape: Shape,
        pieces: Iterator[bytes | memoryview],
        packets: tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]],
        *,
        anew: bool,
    ) -> Piece:
        """Write packets behind the others.

        Args:
            shape: what the packets are.
            pieces: their bytes.
            packets: sizes, keys and ranks.
            anew: whether decoding them needs nothing from before; else they get a file of their own.
        """
        size, key, rank = packets
        self.first = self.first or shape
        now = self._open
        full = now is not None and now.pictures_n and now.size_bytes + int(size.sum()) >= MOVIE_BYTES
        if now is None or now.shape != shape or not anew or full:
            now = self._next(shape)
        first = now.append(pieces, size, key, rank)
        return Piece(self._at // CHUNK_FILES_N, self._at % CHUNK_FILES_N, first, len(size))

    def close(self) -> None:
        """Write the last file's tables."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def abandon(self) -> None:
        """Let go of the last file as it is."""
        if self._open is not None:
            self._open.__exit__(InvalidEpisode, None, None)

    def _next(self, shape: Shape) -> Mp4Writer:
        self.close()
        self._at += 1
        path = self._folder / f"chunk-{self._at // CHUNK_FILES_N:03d}" / f"file-{self._at % CHUNK_FILES_N:03d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open = Mp4Writer(path, shape, self._fps)
        return self._open


def starts_anew(video: Video) -> bool:
    """Say whether a decoder forgets what came before at a track's first packet."""
    return begins_anew(video.track.codec, video.packet(0), video.track.form)
