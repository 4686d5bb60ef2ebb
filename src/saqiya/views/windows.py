"""What a sample sees and what it is to predict: windows around a moment, cut for a whole batch at once.

The same rules as `align.history` and `align.chunk`, which say what each field means; a test holds them equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import UsageError
from saqiya.views.align import at_rate, blend
from saqiya.views.plan import Ints, Stamped
from saqiya.views.shelf import Shelf

__all__ = ["Chunk", "History", "Window", "ends_of", "read_rows", "read_values"]

_HALF_SECOND_NS: Final = 5e8


@dataclass(frozen=True, kw_only=True)
class History:
    """The last rows up to the moment, oldest first. No row comes after the moment, unless `linear` asks for it.

    Attributes:
        steps: how many.
        rate_hz: latest-at on ticks of this rate back from the moment; None: the rows as they are.
        tolerance_s: an answer older than this is padding.
        linear: interpolate between the rows around each tick (needs a rate): up to one sample comes after the moment.
        quaternions: first columns of quaternions, which turn instead of being mixed.
    """

    steps: int = 1
    rate_hz: float | None = None
    tolerance_s: float | None = None
    linear: bool = False
    quaternions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be cut."""
        _check(self.steps, self.rate_hz, linear=self.linear)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """The next rows from the moment on, up to the end of the span: what a policy is to predict.

    Attributes:
        steps: how many.
        rate_hz: the nearest rows to ticks of this rate; None: the rows as they are.
        tolerance_s: a row further than this from its tick is padding.
        linear, quaternions: as for `History`.
    """

    steps: int
    rate_hz: float | None = None
    tolerance_s: float | None = None
    linear: bool = False
    quaternions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be cut."""
        _check(self.steps, self.rate_hz, linear=self.linear)


Window = History | Chunk


def _check(steps: int, rate_hz: float | None, *, linear: bool) -> None:
    if steps < 1:
        raise UsageError(f"a window of {steps} steps holds nothing", remedy="Ask for at least one")
    if rate_hz is not None and not 0 < rate_hz <= 1e9:
        raise UsageError(f"{rate_hz} Hz is no rate", remedy="Give a rate above 0, or None for the rows as they are")
    if linear and rate_hz is None:
        raise UsageError("interpolation needs ticks to interpolate at", remedy="Give the window a rate_hz")


def ends_of(stream: Stamped, episode: Ints, until_ns: Ints) -> Ints:
    """Return how many rows of each episode come before a moment, (B,); a moment after the last costs no search."""
    _, last = stream.bounds()
    end = stream.count[episode].copy()
    for place in np.flatnonzero(until_ns <= last[episode]).tolist():
        end[place] = stream.stamps(int(episode[place])).searchsorted(until_ns[place], "left")
    return end


def read_rows(
    stream: Stamped, window: Window, episode: Ints, at_ns: Ints, until_ns: Ints, *, own: Ints | None = None
) -> tuple[Ints, NDArray[np.bool_]]:
    """Find the rows of a window for a batch, not interpolated.

    Args:
        stream: a shelf or a reel.
        window: what to cut.
        episode: int64 (B,), where the samples stand.
        at_ns: int64 (B,), when.
        until_ns: int64 (B,), the end of each sample's span: a chunk stops there.
        own: int64 (B,), the rows the samples stand on, where they stand on this very stream.

    Returns:
        Rows, int64 (B, n), -1 where there is none, and whether each counts, bool (B, n).
    """
    if isinstance(window, History):
        return _history(stream, window, episode, at_ns, own)
    return _chunk(stream, window, episode, at_ns, ends_of(stream, episode, until_ns), until_ns=until_ns, own=own)


def read_values(
    shelf: Shelf, window: Window, episode: Ints, at_ns: Ints, until_ns: Ints, *, own: Ints | None = None
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read a window for a batch: values (B, n, ...) and whether each row counts, bool (B, n). Arguments as above."""
    if window.linear:
        return _linear(shelf, window, episode, at_ns, until_ns)
    row, valid = read_rows(shelf, window, episode, at_ns, until_ns, own=own)
    return shelf.rows(episode, row), valid


def _history(
    stream: Stamped, window: History, episode: Ints, at_ns: Ints, own: Ints | None
) -> tuple[Ints, NDArray[np.bool_]]:
    steps = window.steps
    if window.rate_hz is None:
        newest = stream.search(episode, at_ns, "right") - 1 if own is None else own
        if steps == 1:
            row, valid = newest[:, None], newest[:, None] >= 0
        else:
            wanted = newest[:, None] + np.arange(1 - steps, 1)
            valid = wanted >= 0
            row = np.maximum(wanted, np.minimum(newest, 0)[:, None])
        if window.tolerance_s is not None:
            age_ns = at_ns[:, None] - _stamps(stream, episode, newest[:, None])
            valid &= age_ns <= window.tolerance_s * 1e9
        return row, valid
    query_ns = at_ns[:, None] - at_rate(steps, window.rate_hz)[::-1]
    found = stream.search(episode, query_ns, "right") - 1
    row = np.where(found[:, -1:] >= 0, np.maximum(found, 0), found)
    valid = found >= 0
    if window.tolerance_s is not None:
        valid &= query_ns - _stamps(stream, episode, row) <= window.tolerance_s * 1e9
    return row, valid


def _chunk(
    stream: Stamped, window: Chunk, episode: Ints, at_ns: Ints, end: Ints, *, until_ns: Ints, own: Ints | None
) -> tuple[Ints, NDArray[np.bool_]]:
    ends = end[:, None]
    if window.rate_hz is None:
        first = stream.search(episode, at_ns, "left") if own is None else own
        wanted = first[:, None] + np.arange(window.steps)
        valid = wanted < ends
        row = np.minimum(wanted, ends - 1)
        nothing = first >= end
        if nothing.any():
            row[nothing] = -1
        if window.tolerance_s is not None:
            late_ns = _stamps(stream, episode, np.where(nothing, -1, first)[:, None]) - at_ns[:, None]
            valid &= late_ns <= window.tolerance_s * 1e9
        return row, valid
    query_ns = at_ns[:, None] + at_rate(window.steps, window.rate_hz)
    after = stream.search(episode, query_ns, "right")
    before = np.clip(after - 1, -1 + (ends > 0), ends - 1)
    after = np.minimum(after, ends - 1)
    ahead_ns = _stamps(stream, episode, after) - query_ns
    behind_ns = query_ns - _stamps(stream, episode, before)
    row = np.where(behind_ns <= ahead_ns, before, after)
    last_ns = _stamps(stream, episode, ends - 1)
    valid = (query_ns <= last_ns + int(_HALF_SECOND_NS / window.rate_hz)) & (query_ns < until_ns[:, None]) & (ends > 0)
    if window.tolerance_s is not None:
        valid &= np.abs(np.where(row == before, behind_ns, ahead_ns)) <= window.tolerance_s * 1e9
    return row, valid


def _linear(
    shelf: Shelf, window: Window, episode: Ints, at_ns: Ints, until_ns: Ints
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    ticks = at_rate(window.steps, window.rate_hz or 0.0)
    query_ns = at_ns[:, None] + (ticks if isinstance(window, Chunk) else -ticks[::-1])
    after = shelf.search(episode, query_ns, "right")
    count = shelf.count[episode][:, None]
    before = after - 1
    last = np.minimum(after, count - 1)
    start_ns, end_ns = _stamps(shelf, episode, before), _stamps(shelf, episode, last)
    valid = (before >= 0) & ((after < count) | (query_ns == end_ns))
    if isinstance(window, Chunk):
        valid &= query_ns < until_ns[:, None]
    gap_ns = end_ns - start_ns
    share = np.divide(query_ns - start_ns, gap_ns, out=np.zeros(query_ns.shape), where=valid & (gap_ns > 0))
    if window.tolerance_s is not None:
        valid &= gap_ns <= window.tolerance_s * 1e9
    flat = (-1, *shelf.shape)
    mixed = blend(
        shelf.rows(episode, before).reshape(flat),
        shelf.rows(episode, last).reshape(flat),
        share.reshape(-1),
        window.quaternions,
        valid.reshape(-1),
    )
    return mixed.reshape(*query_ns.shape, *shelf.shape), valid


def _stamps(stream: Stamped, episode: Ints, row: Ints) -> Ints:
    """Return the stamps of rows, (B, n); those of row -1 mean nothing."""
    found = np.zeros(row.shape, dtype=np.int64)
    which = row >= 0
    found[which] = stream.stamps_of(np.repeat(episode, row.shape[1]).reshape(row.shape)[which], row[which])
    return found
