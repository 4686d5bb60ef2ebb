"""Streams at their own rates, read at one moment: latest-at, nearest, interpolated, windows of history, action chunks.

All is exact on int64 nanoseconds by binary search. `latest` and `history` never see a sample that comes after the
moment they are asked for. Stamps are not changed: where two clocks meet, a `ClockMap` is applied on read, and the
result names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.logged import ClockMap
from saqiya.errors import UsageError

__all__ = [
    "Aligned",
    "Match",
    "at_rate",
    "chunk",
    "history",
    "latest",
    "linear",
    "nearest",
    "on_clock",
    "read",
    "take",
]

Stamps = NDArray[np.int64]
_NOTHING: Final = -1


class Match(NamedTuple):
    """Which row of a stream answers each query.

    Attributes:
        row: int64 (Q,), -1 where the stream has nothing to give.
        valid: bool (Q,), False where the row is padding, too old, or there is none. Its inverse is a padding mask.
        age_ns: int64 (Q,), query minus the row's stamp (negative: the row comes after); 0 where there is none.
        clock_map: the id of the clock map that the stamps were read through, "" when none was needed.
    """

    row: NDArray[np.int64]
    valid: NDArray[np.bool_]
    age_ns: NDArray[np.int64]
    clock_map: str = ""


class Aligned(NamedTuple):
    """Values at the queries, (Q, ...), zero where there are none; `valid`, `age_ns`, `clock_map` as in `Match`."""

    values: NDArray[Any]
    valid: NDArray[np.bool_]
    age_ns: NDArray[np.int64]
    clock_map: str = ""


def on_clock(t_ns: Stamps, clock_map: ClockMap) -> Stamps:
    """Return stamps of the map's source clock as its target clock reads them, rounded to whole nanoseconds.

    The order of stamps is kept. Only the distance from `at_ns` passes through floating point, so nothing is lost for
    logs shorter than a hundred days.

    Raises:
        UsageError: the map runs time backwards.
    """
    if clock_map.drift_ppm <= -1e6:
        raise UsageError(
            f"a drift of {clock_map.drift_ppm} ppm runs time backwards",
            subject=clock_map.id,
            remedy="Estimate this clock map again",
        )
    drift: Stamps = np.rint((t_ns - clock_map.at_ns) * (clock_map.drift_ppm * 1e-6)).astype(np.int64)
    return t_ns + clock_map.offset_ns + drift


@lru_cache(maxsize=64)
def at_rate(steps: int, rate_hz: float) -> NDArray[np.int64]:
    """Return the offsets of `steps` ticks at a rate from the first one, int64 ns: each rounded by itself."""
    offsets: NDArray[np.int64] = np.rint(np.arange(steps) * (1e9 / rate_hz)).astype(np.int64)
    offsets.setflags(write=False)
    return offsets


def latest(
    t_ns: Stamps, query_ns: Stamps, *, tolerance_ns: int | None = None, clock_map: ClockMap | None = None
) -> Match:
    """Find for each query the last row whose stamp is not after it.

    Args:
        t_ns: int64 (T,), not decreasing.
        query_ns: int64 (Q,), in any order, on the target clock when there is a map.
        tolerance_ns: an answer older than this is marked not valid.
        clock_map: from the clock of `t_ns` to that of the queries.
    """
    stamps = t_ns if clock_map is None else on_clock(t_ns, clock_map)
    row = stamps.searchsorted(query_ns, "right") - 1
    return _matched(stamps, query_ns, row, tolerance_ns, clock_map)


def nearest(
    t_ns: Stamps, query_ns: Stamps, *, tolerance_ns: int | None = None, clock_map: ClockMap | None = None
) -> Match:
    """Find for each query the row with the nearest stamp; of two as near, the earlier (of equal stamps, the last).

    Arguments as for `latest`. The answer may come after the query: fit for what is predicted, not for what is seen.
    """
    stamps = t_ns if clock_map is None else on_clock(t_ns, clock_map)
    return _matched(stamps, query_ns, _nearest(stamps, query_ns), tolerance_ns, clock_map)


def linear(
    t_ns: Stamps,
    values: NDArray[Any],
    query_ns: Stamps,
    *,
    tolerance_ns: int | None = None,
    quaternions: Sequence[int] = (),
    clock_map: ClockMap | None = None,
) -> Aligned:
    """Interpolate between the rows before and after each query; nothing is extrapolated.

    The row after the query is used, so what is read this way lags the robot by up to one sample. Quaternions turn at
    even speed along the shorter arc (slerp: Shoemake, SIGGRAPH 1985); their order of parts does not matter.

    Args:
        t_ns: int64 (T,), not decreasing.
        query_ns: int64 (Q,), on the target clock when there is a map.
        clock_map: as for `latest`.
        values: (T, ...) numbers; integers and booleans come back as float64.
        tolerance_ns: where the rows before and after lie further apart than this, the answer is marked not valid.
        quaternions: the first of four columns of each quaternion; `values` is then (T, D).

    Returns:
        Values with the age of the row before.
    """
    stamps = t_ns if clock_map is None else on_clock(t_ns, clock_map)
    after = stamps.searchsorted(query_ns, "right")
    before = after - 1
    name = "" if clock_map is None else clock_map.id
    kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    if not len(stamps):
        nothing = np.zeros(len(query_ns), dtype=bool)
        return Aligned(np.zeros((len(query_ns), *values.shape[1:]), kind), nothing, np.zeros_like(query_ns), name)
    last = len(stamps) - 1
    valid = (before >= 0) & ((after <= last) | (query_ns == stamps[last]))
    before, after = np.maximum(before, 0), np.minimum(after, last)
    gap_ns = stamps[after] - stamps[before]
    age_ns = np.where(valid, query_ns - stamps[before], 0)
    if tolerance_ns is not None:
        valid &= gap_ns <= tolerance_ns
    share = np.divide(age_ns, gap_ns, out=np.zeros(len(query_ns)), where=gap_ns > 0)
    return Aligned(blend(values[before], values[after], share, quaternions, valid), valid, age_ns, name)


def history(
    t_ns: Stamps,
    at_ns: int,
    steps: int,
    *,
    rate_hz: float | None = None,
    tolerance_ns: int | None = None,
    clock_map: ClockMap | None = None,
) -> Match:
    """Find the last `steps` rows up to a moment, oldest first; the newest answers the moment itself.

    Before the stream's first row that row is repeated, marked not valid. A row after `at_ns` is never given.

    Args:
        t_ns: int64 (T,), not decreasing.
        clock_map: as for `latest`.
        at_ns: the moment, on the target clock.
        steps: how many.
        rate_hz: latest-at on ticks of this rate back from the moment; None: the rows as they are.
        tolerance_ns: with a rate, the oldest an answer may be; without, the oldest the newest row may be.
    """
    stamps = t_ns if clock_map is None else on_clock(t_ns, clock_map)
    if rate_hz is None:
        newest = int(stamps.searchsorted(at_ns, "right")) - 1
        wanted = np.arange(newest - steps + 1, newest + 1)
        fresh = newest >= 0 and (tolerance_ns is None or at_ns - int(stamps[newest]) <= tolerance_ns)
        valid = (wanted >= 0) & fresh
        row = np.maximum(wanted, min(newest, 0))
        age_ns = at_ns - stamps[row] if newest >= 0 else np.zeros_like(row)
        return Match(row, valid, age_ns, "" if clock_map is None else clock_map.id)
    query_ns = at_ns - at_rate(steps, rate_hz)[::-1]
    found = _matched(stamps, query_ns, stamps.searchsorted(query_ns, "right") - 1, tolerance_ns, clock_map)
    if len(stamps) and stamps[0] <= at_ns and found.row[0] < 0:
        row = np.maximum(found.row, 0)
        return Match(row, found.valid, query_ns - stamps[row], found.clock_map)
    return found


def chunk(
    t_ns: Stamps,
    at_ns: int,
    steps: int,
    *,
    rate_hz: float | None = None,
    until_ns: int | None = None,
    tolerance_ns: int | None = None,
    clock_map: ClockMap | None = None,
) -> Match:
    """Find the next `steps` rows from a moment on: what a policy is to predict.

    After the last row that row is repeated, marked not valid.

    Args:
        t_ns: int64 (T,), not decreasing.
        clock_map: as for `latest`.
        at_ns: the moment, on the target clock; a row with this very stamp is the first.
        steps: how many.
        rate_hz: the nearest rows to ticks of this rate; None: the rows as they are. A tick more than half a period
            after the last row is padding.
        until_ns: rows from here on are not given; None: up to the stream's end.
        tolerance_ns: with a rate, how far a row may be from its tick; without, how late the first row may be.
    """
    stamps = t_ns if clock_map is None else on_clock(t_ns, clock_map)
    end = len(stamps) if until_ns is None else int(stamps.searchsorted(until_ns, "left"))
    name = "" if clock_map is None else clock_map.id
    if rate_hz is None:
        first = int(stamps.searchsorted(at_ns, "left"))
        if first >= end:
            return _none(steps, name)
        wanted = np.arange(first, first + steps)
        prompt = tolerance_ns is None or int(stamps[first]) - at_ns <= tolerance_ns
        row = np.minimum(wanted, end - 1)
        return Match(row, (wanted < end) & prompt, at_ns - stamps[row], name)
    if not end:
        return _none(steps, name)
    query_ns = at_ns + at_rate(steps, rate_hz)
    row = _nearest(stamps[:end], query_ns)
    age_ns = query_ns - stamps[row]
    valid = query_ns <= stamps[end - 1] + int(5e8 / rate_hz)
    if until_ns is not None:
        valid &= query_ns < until_ns
    if tolerance_ns is not None:
        valid &= np.abs(age_ns) <= tolerance_ns
    return Match(row, valid, age_ns, name)


def take(values: NDArray[Any], match: Match) -> NDArray[Any]:
    """Return the matched rows of `values`, (Q, ...), zeros where there is none."""
    if not len(values):
        return np.zeros((len(match.row), *values.shape[1:]), values.dtype)
    found = values[match.row]
    if np.count_nonzero(match.valid) < len(match.row):
        found[match.row < 0] = 0
    return found


def read(values: NDArray[Any], match: Match) -> Aligned:
    """Return `take` together with what the match says of each row."""
    return Aligned(take(values, match), match.valid, match.age_ns, match.clock_map)


def blend(
    before: NDArray[Any],
    after: NDArray[Any],
    share: NDArray[np.float64],
    quaternions: Sequence[int],
    valid: NDArray[np.bool_],
) -> NDArray[Any]:
    """Return rows between `before` and `after`, (Q, ...), at `share` in [0, 1] of the way; zeros where not valid.

    Raises:
        UsageError: a quaternion does not fit into the columns.
    """
    kind = before.dtype if before.dtype.kind == "f" else np.dtype(np.float64)
    weight = share.reshape(-1, *[1] * (before.ndim - 1))
    # A query on a row takes that row alone, whatever comes after it, NaN or not.
    mixed = np.where(weight == 0, before, before + weight * (after.astype(np.float64) - before))
    for first in quaternions:
        if before.ndim != 2 or not 0 <= first <= before.shape[1] - 4:
            raise UsageError(
                f"columns {first} to {first + 3} hold no quaternion: rows are {before.shape[1:]}",
                remedy="Name the first of four columns",
            )
        part = slice(first, first + 4)
        mixed[:, part] = _slerp(before[:, part], after[:, part], share)
    mixed[~valid] = 0
    result: NDArray[Any] = mixed.astype(kind)
    return result


def _slerp(start: NDArray[Any], end: NDArray[Any], share: NDArray[np.float64]) -> NDArray[np.float64]:
    first, second = start.astype(np.float64), end.astype(np.float64)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosine = np.divide((first * second).sum(axis=1), norms, out=np.ones(len(share)), where=norms > 0)
    second = np.where(cosine[:, None] < 0, -second, second)  # q and -q are one attitude: take the shorter way
    angle = np.arccos(np.clip(np.abs(cosine), 0, 1))
    sine = np.sin(angle)
    near = sine < 1e-6  # there the arc is its chord, and the quotient below has no digits left
    safe = np.where(near, 1.0, sine)
    one = np.where(near, 1 - share, np.sin((1 - share) * angle) / safe)
    two = np.where(near, share, np.sin(share * angle) / safe)
    mixed = one[:, None] * first + two[:, None] * second
    length = np.linalg.norm(mixed, axis=1, keepdims=True)
    result: NDArray[np.float64] = np.divide(mixed, length, out=np.zeros_like(mixed), where=length > 0)
    return result


def _nearest(stamps: Stamps, query_ns: Stamps) -> NDArray[np.int64]:
    if not len(stamps):
        return np.full(len(query_ns), _NOTHING, dtype=np.int64)
    after = stamps.searchsorted(query_ns, "right")
    before = np.maximum(after - 1, 0)
    after = np.minimum(after, len(stamps) - 1)
    return np.where(query_ns - stamps[before] <= stamps[after] - query_ns, before, after)


def _matched(
    stamps: Stamps,
    query_ns: Stamps,
    row: NDArray[np.int64],
    tolerance_ns: int | None,
    clock_map: ClockMap | None,
) -> Match:
    name = "" if clock_map is None else clock_map.id
    if not len(stamps):
        return _none(len(query_ns), name)
    valid = row >= 0
    age_ns = query_ns - stamps[row]
    if np.count_nonzero(valid) < len(valid):  # several times as quick as `all` where there are few
        age_ns[~valid] = 0
    if tolerance_ns is not None:
        valid = valid & (np.abs(age_ns) <= tolerance_ns)
    return Match(row, valid, age_ns, name)


def _none(count: int, name: str) -> Match:
    return Match(
        np.full(count, _NOTHING, dtype=np.int64), np.zeros(count, dtype=bool), np.zeros(count, dtype=np.int64), name
    )
