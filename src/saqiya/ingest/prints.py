"""Know a try again in another format: digests of what its streams measured, whatever the file calls them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import Stream

__all__ = ["TwinIndex", "group_same", "prints_of", "same_try"]

FEWEST_ROWS_N = 8
FEWEST_DISTINCT_N = 8
PIECE_N = 1 << 20  # values that are looked at in one go
SAMPLES_N = (32, 4096)
"""Rows compared: a few show of most streams that they move; one that rests nearly always is looked at more closely."""


def prints_of(streams: Mapping[str, Stream]) -> tuple[str, ...]:
    """Return the sorted digests of the informative streams of one try.

    Values are cast to float32, which is what formats agree on; rows and columns keep their order, names and stamps do
    not count. A stream is informative when it has at least 8 rows and 8 distinct rows: constants, flags and goals are
    equal in tries that have nothing else in common.
    """
    return tuple(sorted({digest for stream in streams.values() if (digest := _print(stream.values)) is not None}))


def same_try(first: Sequence[str], second: Sequence[str]) -> bool:
    """Say whether two tries are one: they share more than half of the prints of the one that has fewer.

    One shared stream is not enough where there are more: two rollouts can carry out the same actions and still be two.
    """
    a, b = set(first), set(second)
    return len(a & b) * 2 > min(len(a), len(b))


class TwinIndex:
    """Finds the episode that a try already is, among any number of them: looks up digests, compares no lists.

    Episodes are found in the order in which they were added, whatever their ids are.
    """

    def __init__(self, known: Iterable[tuple[str, Sequence[str]]] = ()) -> None:
        """Take in (id, prints) of what is there."""
        self._known: dict[str, tuple[int, int]] = {}  # id -> (place in the order of adding, how many prints)
        self._holders: dict[str, list[str]] = {}
        for own, prints in known:
            self.add(own, prints)

    def __len__(self) -> int:
        """How many episodes are known."""
        return len(self._known)

    def add(self, own: str, prints: Sequence[str]) -> None:
        """Remember an episode by its id; adding an id again changes nothing."""
        if own in self._known:
            return
        distinct = set(prints)
        self._known[own] = (len(self._known), len(distinct))
        for digest in distinct:
            self._holders.setdefault(digest, []).append(own)

    def find(self, prints: Sequence[str]) -> str | None:
        """Return the id of the first episode that is the same try by `same_try`; None where there is none."""
        distinct = set(prints)
        shared: Counter[str] = Counter()
        for digest in distinct:
            shared.update(self._holders.get(digest, ()))
        twins = [own for own, count in shared.items() if count * 2 > min(self._known[own][1], len(distinct))]
        return min(twins, key=lambda own: self._known[own][0], default=None)


def group_same(prints: Sequence[Sequence[str]]) -> tuple[int, ...]:
    """Return for each try the index of the first try that is the same one (its own index where it is new)."""
    index = TwinIndex()
    first: list[int] = []
    for number, own in enumerate(prints):
        twin = index.find(own)
        first.append(number if twin is None else first[int(twin)])
        index.add(str(number), own)
    return tuple(first)


def _print(values: NDArray[np.generic]) -> str | None:
    rows = values.shape[0]
    if rows < FEWEST_ROWS_N or values.dtype.kind not in "fiub" or not values[0].size:
        return None
    if not any(_distinct_n(values, sample) >= FEWEST_DISTINCT_N for sample in SAMPLES_N):
        return None
    width = values[0].size
    hasher = hashlib.sha256(f"float32 {rows} {width}\n".encode())
    step = max(1, PIECE_N // width)  # pictures as float32 would take four times their own memory
    for first in range(0, rows, step):
        hasher.update(_plain(values[first : first + step]).astype("<f4", copy=False).tobytes())
    return hasher.hexdigest()


def _plain(values: NDArray[np.generic]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        flat = np.ascontiguousarray(values.reshape(len(values), -1), dtype=np.float32)
    return np.where(np.isnan(flat), np.float32(np.nan), flat) + np.float32(0.0)  # one NaN, one zero


def _distinct_n(values: NDArray[np.generic], sample: int) -> int:
    """Count the distinct rows among `sample` rows spread evenly over a table; of wide rows among fewer."""
    rows, width = len(values), values[0].size
    few = min(rows, sample, max(4 * FEWEST_DISTINCT_N, PIECE_N // width))
    taken = _plain(values if few == rows else values[np.linspace(0, rows - 1, few).astype(np.int64)])
    return len(set(taken.view(f"V{4 * width}").ravel().tolist()))
