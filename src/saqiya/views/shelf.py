"""One stream in all episodes of a dataset: flat arrays say where its rows lie, so that a batch is a few numpy calls.

Ten thousand episodes are read without an object for each: stamps and values stay where they are (a pack that is mapped
once, or arrays in memory), and an episode is one number into arrays of places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.logged import ClockMap
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode
from saqiya.views.align import on_clock

__all__ = ["Cells", "Shelf", "shelf_of"]

_MANY: Final = 8
Ints = NDArray[np.int64]
Cells = tuple[Ints, NDArray[Any]]
"""A part's cells: stamps, int64, and values, flat. Both may be views of the same bytes."""
Unpack = Callable[[int, Sequence[int]], Iterable[NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class Shelf:
    """Where a stream lies in each of E episodes.

    Attributes:
        name: of the stream.
        dtype, shape: of one row.
        part: int32 (E,), which part holds the episode's rows; -1 where the episode has no such stream.
        stamps_at, values_at: int64 (E,), the first cell of its stamps and of its values in that part; values at -1 lie
            packed.
        count: int64 (E,), its rows.
        first_ns, last_ns: int64 (E,), its first and last stamp as stored; 0 where it has no row.
        cells: opens a part; it is asked for each batch, and so it remembers.
        clock_maps: by episode, where stamps are read through a map to another clock.
        unpack: gives rows of an episode whose values lie packed, one after the other, by their numbers.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    part: NDArray[np.int32]
    stamps_at: Ints
    values_at: Ints
    count: Ints
    first_ns: Ints
    last_ns: Ints
    cells: Callable[[int], Cells]
    clock_maps: Mapping[int, ClockMap] = field(default_factory=dict)
    unpack: Unpack | None = None

    @property
    def width(self) -> int:
        """Cells of one row."""
        return int(np.prod(self.shape, dtype=np.int64))

    def stamps(self, episode: int) -> Ints:
        """Return an episode's stamps, (T,), through its clock map where it has one."""
        part = int(self.part[episode])
        if part < 0:
            return np.empty(0, dtype=np.int64)
        at = int(self.stamps_at[episode])
        stamps = self.cells(part)[0][at : at + int(self.count[episode])]
        clock_map = self.clock_maps.get(episode) if self.clock_maps else None
        return stamps if clock_map is None else on_clock(stamps, clock_map)

    def bounds(self) -> tuple[Ints, Ints]:
        """Return the first and last stamp of every episode, (E,) each, through the clock maps."""
        first, last = self.first_ns, self.last_ns
        if self.clock_maps:
            first, last = first.copy(), last.copy()
            for episode, clock_map in self.clock_maps.items():
                first[episode], last[episode] = on_clock(np.array([first[episode], last[episode]]), clock_map)
        return first, last

    def search(self, episode: Ints, query_ns: Ints, side: str) -> Ints:
        """Return `searchsorted(side)` of each query among the stamps of its episode.

        Args:
            episode: int64 (B,).
            query_ns: int64 (B,) or (B, n), n queries to an episode.
            side: "left" or "right".
        """
        if query_ns.ndim == 1 and len(episode) >= _MANY and not self.clock_maps:
            found, rest = self._guessed(episode, query_ns, side)
        else:
            found, rest = np.empty(query_ns.shape, dtype=np.int64), list(range(len(episode)))
        for place in rest:
            stamps: Any = self.stamps(int(episode[place]))
            found[place] = stamps.searchsorted(query_ns[place], side)
        return found

    def _guessed(self, episode: Ints, query_ns: Ints, side: str) -> tuple[Ints, list[int]]:
        """Answer queries for the whole batch at once: most streams tick evenly, so a row is where its time says.

        Returns:
            Answers, and the places of those that are not known: their guess was off by more than one row.
        """
        parts, count = self.part[episode], self.count[episode]
        if parts[0] < 0 or (parts != parts[0]).any() or not count.all():
            return np.empty(len(episode), dtype=np.int64), list(range(len(episode)))
        first, last = self.first_ns[episode], self.last_ns[episode]
        top = count - 1
        guess = np.rint((query_ns - first) * (top / np.maximum(last - first, 1))).astype(np.int64)
        guess = np.minimum(np.maximum(guess, 0), top)
        low, high = np.maximum(guess - 1, 0), np.minimum(guess + 1, top)
        cells, at = self.cells(int(parts[0]))[0], self.stamps_at[episode]
        stamps = cells[np.array((at + low, at + guess, at + high))]
        below, there, above = stamps <= query_ns if side == "right" else stamps < query_ns
        found = low + below + (below & there & (low < guess) & (guess < high))
        found = np.where(above, top + 1, found)
        known = (below | (low == 0)) & (~above | (high == top))
        return found, [] if known.all() else np.flatnonzero(~known).tolist()

    def stamps_of(self, episode: Ints, row: Ints) -> Ints:
        """Return the stamps of rows, (B,), one an episode; rows must exist."""
        found = np.empty(len(episode), dtype=np.int64)
        for part, which in _by_part(self.part[episode]):
            found[which] = self.cells(part)[0][self.stamps_at[episode[which]] + row[which]]
        for place in (k for k, number in enumerate(episode.tolist()) if self.clock_maps and number in self.clock_maps):
            found[place] = on_clock(found[place : place + 1], self.clock_maps[int(episode[place])])[0]
        return found

    def rows(self, episode: Ints, row: Ints) -> NDArray[Any]:
        """Return rows of episodes, (B, n, ...): zeros where `row` is -1.

        Args:
            episode: int64 (B,).
            row: int64 (B, n), below the episode's count.
        """
        if self.unpack is not None and (packed := self.values_at[episode] < 0).any():
            return self._unpacked(episode, row, packed, self.unpack)
        width = self.width
        parts = self.part[episode]
        nothing = row < 0
        start = np.where(nothing, 0, self.values_at[episode][:, None] + row * width)
        if len(parts) and parts[0] >= 0 and (parts == parts[0]).all():
            found = _taken(self.cells(int(parts[0]))[1], start, width)
        else:
            found = np.zeros((*row.shape, width), dtype=self.dtype)
            for part, which in _by_part(parts):
                if part >= 0:
                    found[which] = _taken(self.cells(part)[1], start[which], width)
        if nothing.any():
            found[nothing] = 0
        return found.reshape(*row.shape, *self.shape)

    def _unpacked(self, episode: Ints, row: Ints, packed: NDArray[np.bool_], unpack: Unpack) -> NDArray[Any]:
        """Return rows of episodes some of which lie packed; those of one episode are asked for together, in order."""
        found = np.zeros((*row.shape, *self.shape), dtype=self.dtype)
        if not packed.all():
            found[~packed] = self.rows(episode[~packed], row[~packed])
        places, steps = np.nonzero(packed[:, None] & (row >= 0))
        wanted = np.stack((episode[places], row[places, steps], places, steps), axis=1).tolist()
        for number, group in groupby(sorted(wanted), key=itemgetter(0)):
            asked = list(group)
            for (_, _, place, step), one in zip(asked, unpack(number, [each[1] for each in asked]), strict=True):
                found[place, step] = one
        return found


def _taken(cells: NDArray[Any], start: Ints, width: int) -> NDArray[Any]:
    """Copy `width` cells from each start: one overlapping view of all possible rows, and one indexing of it."""
    if not width or len(cells) < width:
        return np.zeros((*start.shape, width), dtype=cells.dtype)
    step = cells.itemsize
    every: NDArray[Any] = np.ndarray((len(cells) - width + 1, width), cells.dtype, cells, strides=(step, step))
    found: NDArray[Any] = every[start]
    return found


def _by_part(parts: NDArray[np.int32]) -> list[tuple[int, Ints]]:
    order = np.argsort(parts, kind="stable")
    ordered = parts[order]
    edges = [0, *(np.flatnonzero(np.diff(ordered)) + 1).tolist(), len(parts)]
    return [(int(ordered[low]), order[low:high]) for low, high in pairwise(edges) if high > low]


class _InMemory:
    """Cells of episodes that are arrays already."""

    def __init__(self, cells: Sequence[Cells]) -> None:
        self._cells = cells

    def __call__(self, part: int) -> Cells:
        return self._cells[part]


def shelf_of(name: str, streams: Sequence[Stream | None], clock_maps: Mapping[int, ClockMap] | None = None) -> Shelf:
    """Put one stream of many episodes, None where an episode lacks it, onto a shelf; nothing is copied.

    Raises:
        InvalidEpisode: no episode has the stream, or rows differ in dtype or shape between episodes.
    """
    there = [stream for stream in streams if stream is not None]
    if not there:
        raise InvalidEpisode("no episode has this stream", subject=name, remedy="Name one that is there")
    kinds = {(stream.values.dtype, stream.values.shape[1:]) for stream in there}
    if len(kinds) > 1:
        said = ", ".join(sorted(f"{dtype} {shape}" for dtype, shape in kinds))
        raise InvalidEpisode(
            f"rows differ between episodes: {said}", subject=name, remedy="Train on one embodiment at a time"
        )
    ((dtype, shape),) = kinds
    present = np.array([stream is not None for stream in streams])
    count = np.array([0 if stream is None else len(stream.t_ns) for stream in streams], dtype=np.int64)
    edges = [(0, 0) if s is None or not s.t_ns.size else (int(s.t_ns[0]), int(s.t_ns[-1])) for s in streams]
    first_ns, last_ns = np.array(edges, dtype=np.int64).T
    nothing = np.zeros(len(streams), dtype=np.int64)
    part = np.where(present, np.cumsum(present) - 1, -1).astype(np.int32)
    cells = [(stream.t_ns, stream.values.reshape(-1)) for stream in there]
    return Shelf(
        name, dtype, shape, part, nothing, nothing, count, first_ns, last_ns, _InMemory(cells), clock_maps or {}
    )
