"""A long stream in few points for a picture: the least and greatest value of each stretch, so that no spike is lost.

Every stretch of time that one pixel column shows becomes its least and greatest value, as M4 does (Jugel et al., VLDB
2014). Where M4 also keeps each stretch's first and last value we keep only those of the whole range: the picture is an
envelope, not a polyline, and an envelope needs no more. Taking every n-th row would be cheaper, and hide what it skips.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import UsageError

__all__ = ["GAP_PERIODS", "Decimated", "decimate"]

GAP_PERIODS = 5.0
"""A pause this many times as long as a stream's usual one is shown as a gap: nobody knows what was in between."""
_FEWEST = 4


@dataclass(frozen=True)
class Decimated:
    """What is drawn of a stream.

    Attributes:
        t_ns: int64 (M,), not decreasing: the stamp of the first row of each point.
        low, high: float64 (M, C), the extremes of each point's finite values; NaN where it has none. A row of NaN
            stands for a pause.
        lost: bool (M, C), a value that is not finite was among the rows of the point.
        rows: how many rows of the stream lie in the range.
        exact: every row is a point of its own, so `low` and `high` are equal.
    """

    t_ns: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    lost: NDArray[np.bool_]
    rows: int
    exact: bool


def decimate(
    t_ns: NDArray[np.int64],
    values: NDArray[Any],
    *,
    start_ns: int,
    end_ns: int,
    points: int,
    columns: slice = slice(None),
) -> Decimated:
    """Return at most `points` points of `[start_ns, end_ns)`, gaps not counted, and one row on each side of it.

    The rows outside let a line run up to the edges of the picture. Up to `points` rows are returned as they are. Of
    more, the first and the last row stay points of their own, and the others are told by equal stretches of time.

    Args:
        t_ns: int64 (T,), not decreasing; may be mapped from a file.
        values: (T, ...) numbers; each row is laid out flat.
        start_ns: where what is shown begins.
        end_ns: where it ends.
        points: one a pixel column is enough.
        columns: which columns of a flat row are wanted.

    Raises:
        UsageError: the range is empty, or there are too few points to keep a first, a last and what is between.
    """
    if end_ns <= start_ns or points < _FEWEST:
        raise UsageError(
            f"{points} points of [{start_ns}, {end_ns}) cannot be drawn",
            remedy=f"Ask for a range that ends after it starts, and at least {_FEWEST} points.",
        )
    low, high = (int(place) for place in t_ns.searchsorted((start_ns, end_ns)))
    first, last = max(0, low - 1), min(len(t_ns), high + 1)
    stamps = t_ns[first:last]
    flat = values[first:last].reshape(len(stamps), prod(values.shape[1:]))[:, columns]
    exact = len(stamps) <= points
    begins = np.arange(len(stamps)) if exact else _begins(stamps, points)
    if exact:
        rows = flat.astype(np.float64)
        lost = ~np.isfinite(rows)
        rows[lost] = np.nan
        found = Decimated(stamps, rows, rows, lost, high - low, exact=True)
    else:
        found = Decimated(stamps[begins], *_extremes(flat, begins), high - low, exact=False)
    return _with_gaps(found, stamps, begins)


def _begins(stamps: NDArray[np.int64], points: int) -> NDArray[np.int64]:
    """Return the first row of each point: the first row, stretches of equal time, the last row."""
    span_ns = int(stamps[-1] - stamps[0])
    edges = stamps[0] + (np.arange(points - 2, dtype=np.float64) * (span_ns / (points - 2))).astype(np.int64)
    inner = np.maximum(stamps.searchsorted(edges), 1)
    return np.unique(np.concatenate(([0], inner[inner < len(stamps)], [len(stamps) - 1])))


def _extremes(
    rows: NDArray[Any], begins: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    if rows.dtype.kind == "b":
        rows = rows.astype(np.uint8)
    lost = np.zeros((len(begins), rows.shape[1]), dtype=np.bool_)
    if rows.dtype.kind == "f":
        finite = np.isfinite(rows)
        if not finite.all():
            rows = np.where(finite, rows, np.nan)
            lost = np.logical_or.reduceat(~finite, begins, axis=0)
    with np.errstate(invalid="ignore"):
        least, most = (take.reduceat(rows, begins, axis=0).astype(np.float64) for take in (np.fmin, np.fmax))
    return least, most, lost


def _with_gaps(found: Decimated, stamps: NDArray[np.int64], begins: NDArray[np.int64]) -> Decimated:
    """Put a row of NaN before each point whose first row came long after the row before it."""
    gaps = np.diff(stamps)
    if len(gaps) < _FEWEST:
        return found
    usual_ns = float(np.partition(gaps, len(gaps) // 2)[len(gaps) // 2])
    late = np.flatnonzero(gaps[begins[1:] - 1] > max(usual_ns, 1.0) * GAP_PERIODS) + 1
    if not len(late):
        return found
    nothing = np.full((1, found.low.shape[1]), np.nan)
    return Decimated(
        np.insert(found.t_ns, late, stamps[begins[late] - 1] + 1),
        np.insert(found.low, late, nothing, axis=0),
        np.insert(found.high, late, nothing, axis=0),
        np.insert(found.lost, late, np.zeros((1, found.lost.shape[1]), np.bool_), axis=0),
        found.rows,
        found.exact,
    )
