"""Zarr of version 2 and 3, folders and zips: replay buffers of diffusion policy and UMI, and one group a try.

A replay buffer holds all tries behind one another in `data/*`, and where each ends in `meta/episode_ends` (Chi et al.,
2023). Only the rows of the try at hand are decoded, by zarr, in a child process (see `far`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog, JsonValue
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.formats.arrays.clock import rate_said
from saqiya.formats.arrays.episode import Column, Rate, episode_of
from saqiya.formats.arrays.names import facts_of, house_name
from saqiya.formats.arrays.room import Room
from saqiya.formats.far.call import Far
from saqiya.formats.zarr.tree import META_NAMES, ArrayMeta, ZarrTree, tree_of

__all__ = ["ZarrFormat"]

ZIP_MAGIC = b"PK\x03\x04"
HEAD_BYTES = 4096
DEFAULT_RATE_HZ = 10.0
UMI_RATE_HZ = 59.94
"""The cameras of UMI's grippers, which set its rows, and which its buffers do not name (Chi et al., 2024)."""
MOST_TRIES_N = 1_000_000
MOST_MISSING_BYTES = 1 << 26
ENDS = "episode_ends"
HOLDERS = ("", "data", "demos", "episodes", "trajectories")
ONE_TRY = re.compile(r"^(demo|demonstration|episode|ep|traj|trajectory|rollout|trial|run|seq|sequence)?[_-]?\d+$", re.I)
_COPY_AGAIN = "Copy or record it again."


def _check_head(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise UnreadableLog("is empty (0 bytes)", subject=str(path), remedy=_COPY_AGAIN)
    if head.startswith(b"version https://git-lfs"):
        raise UnreadableLog("is a Git LFS pointer, not the store", subject=str(path), remedy="Run git lfs pull.")


@dataclass(frozen=True)
class ZarrFormat:
    """Reads Zarr stores; the whole store is one log.

    Where no clock is stored the rate is what attributes declare, else 59.94 Hz for UMI's layout and `rate_hz` for
    others, and the stamps are marked assumed.
    """

    name = "zarr"
    rate_hz: float = DEFAULT_RATE_HZ

    def sniff(self, path: Path) -> bool:
        """Say whether `path` is a folder with a store's metadata or a name that claims it, or a zip of one."""
        if path.is_dir():
            return path.suffix == ".zarr" or any((path / name).is_file() for name in META_NAMES)
        if not path.is_file():
            return False
        if path.name.endswith((".zarr.zip", ".zarr")):
            return True
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        return head.startswith(ZIP_MAGIC) and any(name.encode() in head for name in META_NAMES)

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Yield every try in the order in which the store has them.

        Raises:
            UnreadableLog: it is no store, or nothing in it can be used.
        """
        if path.is_file():
            _check_head(path)
        tree = tree_of(path)
        with Far("zarr", path) as far:
            rows = _Rows(far, tree)
            ends = [name for name in tree.arrays if name.rsplit("/", 1)[-1] == ENDS]
            try:
                found = self._buffer(rows, ends[0]) if ends else self._groups(rows, path)
                yield from found
            except (UnreadableLog, InvalidEpisode) as error:
                raise UnreadableLog(error.what, subject=str(path), remedy=error.remedy or _COPY_AGAIN) from error

    def _buffer(self, rows: _Rows, ends_path: str) -> Iterator[EpisodeLog | Unread]:
        """Cut the arrays of a replay buffer at its ends."""
        tree = rows.tree
        meta = ends_path.rpartition("/")[0]
        base = meta.rpartition("/")[0] if meta.rsplit("/", 1)[-1] == "meta" else meta
        ends = _ends(rows, tree.arrays[ends_path])
        words = _words(tree, ("", base, meta, f"{base}/data".strip("/")))
        others = [name for name in tree.arrays if name.startswith(f"{base}/" if base else "") and name != ends_path]
        per_try = [name for name in others if meta != base and name.startswith(f"{meta}/")]
        data = [name for name in others if name not in per_try]
        names = {name: name[len(base) :].strip("/").removeprefix("data/") for name in data}
        rate = self._rate(words, names.values())
        begins = np.concatenate([[0], ends[:-1]])
        for number, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
            key = f"episode_{number}"
            told = _Told(list(tree.problems))
            columns = [rows.column(names[name], tree.arrays[name], (begin, end), told) for name in data]
            facts = words | rows.facts(per_try, number, len(ends))
            yield self._one(key, columns, facts, rate, told.said)
        left = max((tree.arrays[name].shape[:1] for name in data if tree.arrays[name].shape), default=(0,))[0]
        if left > int(ends[-1]):
            yield Unread("rest", f"rows {int(ends[-1])} to {left} belong to no try", f"Add their end to {ends_path}.")

    def _groups(self, rows: _Rows, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Read one group a try, or the whole store as one."""
        tree = rows.tree
        for holder in HOLDERS:
            groups = sorted(tree.children(holder) - set(tree.arrays), key=_natural)
            groups = [name for name in groups if f"{holder}/{name}".strip("/") not in tree.arrays]
            if groups and all(ONE_TRY.match(name) for name in groups):
                places = [(name, f"{holder}/{name}".strip("/")) for name in groups]
                break
        else:
            places = [(path.name.split(".")[0], "")]
        for key, place in places:
            head = f"{place}/" if place else ""
            names = {name: name[len(head) :] for name in tree.arrays if name.startswith(head)}
            short = {name: one.removeprefix("data/") for name, one in names.items()}
            words = _words(tree, ("", place.rpartition("/")[0], place))
            told = _Told(list(tree.problems))
            arrays = [(short[name], tree.arrays[name]) for name in names]
            columns = [rows.column(name, array, (0, (*array.shape, 0)[0]), told) for name, array in arrays]
            log = self._one(key, columns, words, self._rate(words, short.values()), told.said)
            if len(places) == 1 and isinstance(log, Unread):
                raise UnreadableLog(log.reason, remedy=log.remedy)
            yield log

    def _one(
        self, key: str, columns: Sequence[Column], facts: Mapping[str, JsonValue], rate: Rate, problems: list[str]
    ) -> EpisodeLog | Unread:
        try:
            log = episode_of(key, columns, facts, rate)
        except (UnreadableLog, InvalidEpisode) as error:
            return Unread(key, error.what, error.remedy or _COPY_AGAIN)
        listed = log.metadata["problems"]
        said: list[JsonValue] = [*problems, *(listed if isinstance(listed, list) else ())]
        return EpisodeLog(
            log.key, log.streams, log.events, {**log.metadata, "format": self.name, "problems": said}, log.videos
        )

    def _rate(self, words: Mapping[str, JsonValue], names: Iterable[str]) -> Rate:
        declared = rate_said(facts_of(words))
        if declared is not None:
            return Rate(declared, "the store")
        umi = {"robot0_eef_pos", "robot0_gripper_width"} <= set(names)
        return Rate(UMI_RATE_HZ if umi else self.rate_hz)


@dataclass
class _Told:
    """What is said of one try while its arrays are looked at, and how much they may still claim."""

    said: list[str]
    room: Room = field(default_factory=Room)


@dataclass(frozen=True)
class _Rows:
    """Rows of the store's arrays, on demand."""

    far: Far
    tree: ZarrTree

    def column(self, path: str, array: ArrayMeta, span: tuple[int, int], told: _Told) -> Column:
        """Give rows `[begin, end)` of an array as a column, with why where they cannot be had."""
        begin, end = span
        shape = (end - begin, *array.shape[1:]) if array.shape else ()
        why = array.why
        size = int(np.prod(shape, dtype=object)) * array.dtype.itemsize
        if not why and array.shape and end > array.shape[0]:
            why = f"it has {array.shape[0]} rows, and the try ends at {end}"
        why = why or told.room.refuses(size, array.stored_bytes(begin, end))
        missing = 0 if why else array.missing_bytes(begin, end)
        acted = house_name(path).startswith("action/")  # nobody commands nothing but fill values
        if missing > MOST_MISSING_BYTES or (missing and not array.stored and (missing > 4096 or acted)):
            why = f"chunks with {missing} of its {size} bytes are not there"
        elif missing:
            told.said.append(
                f"{path}: chunks with {missing} of its {size} bytes are not there: fill values stand for them"
            )
        kind = "" if why else array.kind
        dtype = array.dtype if array.kind == "numbers" else np.dtype(np.uint8)
        read = partial(self._numbers if kind == "numbers" else self._texts, array, span, shape)
        return Column(path, kind, shape, dtype, read, why)

    def facts(self, names: Sequence[str], number: int, tries: int) -> dict[str, JsonValue]:
        """Return what arrays of one row a try say of try `number`."""
        facts: dict[str, JsonValue] = {}
        for name in names:
            array = self.tree.arrays[name]
            if array.why or array.shape[:1] != (tries,) or int(np.prod(array.shape[1:], dtype=object)) > 64:
                continue
            span, leaf = (number, number + 1), name.rsplit("/", 1)[-1]
            shape = (1, *array.shape[1:])
            if array.kind == "texts":
                facts[leaf] = self._texts(array, span, shape)[0]
            else:
                value = self._numbers(array, span, shape)[0].tolist()
                facts[leaf] = value
        return facts

    def _how(self, array: ArrayMeta, span: tuple[int, int]) -> dict[str, JsonValue]:
        return {
            "name": f"{self.tree.prefix}{array.path}",
            "meta": array.meta,
            "as": array.dtype.str,
            "begin": span[0],
            "end": span[1],
            "imagecodecs": array.needs == "imagecodecs",
        }

    def _numbers(self, array: ArrayMeta, span: tuple[int, int], shape: tuple[int, ...]) -> NDArray[np.generic]:
        return self.far.array(array.dtype, shape, **self._how(array, span))

    def _texts(self, array: ArrayMeta, span: tuple[int, int], _shape: tuple[int, ...]) -> list[str]:
        return [str(text) for text in self.far.ask("texts", **self._how(array, span))["texts"]]


def _ends(rows: _Rows, array: ArrayMeta) -> NDArray[np.int64]:
    """Read where each try ends, int64 (N,).

    Raises:
        UnreadableLog: they are missing, go back, or are absurdly many.
    """
    count = array.shape[0] if len(array.shape) == 1 else 0
    if array.why or array.dtype.kind not in "iu" or not 0 < count <= MOST_TRIES_N:
        raise UnreadableLog(f"its {array.path} cannot be used ({array.why or f'shape {array.shape}, {array.dtype}'})")
    if array.missing_bytes(0, count):
        raise UnreadableLog(f"chunks of its {array.path} are not there", remedy="Copy the store again, whole.")
    column = rows.column(array.path, array, (0, count), _Told([]))
    ends: NDArray[np.int64] = np.asarray(column.read()).astype(np.int64)
    if ends[0] < 0 or bool((np.diff(ends) < 0).any()):
        raise UnreadableLog(f"its {array.path} go back: {ends[:8].tolist()}")
    return ends


def _words(tree: ZarrTree, groups: Sequence[str]) -> dict[str, JsonValue]:
    words: dict[str, JsonValue] = {}
    for group in groups:
        words |= tree.words.get(group, {})
    return words


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name)]
