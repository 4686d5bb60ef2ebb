"""Fit how one clock reads on another from one-way stamps.

Offset and drift: the line under all differences that lies closest to them (Moon, Skelly and Towsley, "Estimation and
removal of clock skew from network delay measurements", INFOCOM 1999), found exactly as the edge of their lower convex
hull under the mean stamp. We differ in two ways. Differences that lie far below a robust line through block minima
(Theil 1950, Sen 1968; blocks as in Paxson, "On calibrating measurements of packet transit times", SIGMETRICS 1998) are
set aside first, for one wrong stamp would move the whole line. And the uncertainty is stated for every delay law we
tried, skewed or not: see `_uncertainty`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector

__all__ = ["ClockFit", "Jump", "find_jumps", "fit_clock"]

MOST_POINTS_N = 200_000
"""A longer log is thinned to the least difference of equal groups: the envelope stays as it is."""
FINEST_NS = 1_000.0
"""No map is claimed to be better than a microsecond: loggers stamp no finer."""
FOLDS_N = 5
FEW_N = 200
"""Below this many messages the law of the delays cannot be told."""
SKEWED = 0.35
"""Tenth percentile of the delays over their median: .15 for an exponential law, .6 for Gaussian noise."""
LEAST_JUMP_NS = 2_000_000
"""Clock steps below 2 ms are less than the delays of a busy logger."""


@dataclass(frozen=True)
class Jump:
    """A clock stepped: the difference of the stamps is `step_ns` greater from the sample at `sensor_ns` on."""

    index: int
    sensor_ns: int
    receive_ns: int
    step_ns: int


@dataclass(frozen=True)
class ClockFit:
    """A line from sensor stamps to the logger's, and how far off it may be.

    Attributes:
        at_ns, offset_ns, drift_ppm: as in `ClockMap`.
        uncertainty_ns: the map's reading is off by no more than this at any stamp of the log (95 %), but for the delay
            that even the fastest message had.
        drift_uncertainty_ppm: what `uncertainty_ns` at both ends of the log lets the drift be off.
        delay_median_ns, delay_95_ns, delay_most_ns: delays above the fastest message's.
        samples: stamps it rests on.
    """

    at_ns: int
    offset_ns: int
    drift_ppm: float
    uncertainty_ns: int
    drift_uncertainty_ppm: float
    delay_median_ns: float
    delay_95_ns: float
    delay_most_ns: float
    samples: int
    method: str

    def offset_at(self, source_ns: int) -> float:
        """Return target minus source at a stamp of the source clock, in ns."""
        return self.offset_ns + self.drift_ppm * 1e-6 * (source_ns - self.at_ns)


def fit_clock(sensor_ns: NDArray[np.int64], receive_ns: NDArray[np.int64], jumps: Sequence[Jump] = ()) -> ClockFit:
    """Fit `receive = sensor + offset + drift (sensor - at)` from below.

    With jumps, the longest piece between two is fitted, and the uncertainty holds the jumps: one line cannot say more.

    Args:
        sensor_ns: int64 (T,), T at least 1, not decreasing.
        receive_ns: int64 (T,), when the logger had each.
        jumps: where the difference steps, from `find_jumps`.
    """
    edges = [0, *(jump.index for jump in jumps), sensor_ns.size]
    low, high = max(pairwise(edges), key=lambda piece: piece[1] - piece[0])
    at_ns = int(sensor_ns[low]) + int(sensor_ns[high - 1] - sensor_ns[low]) // 2
    base_ns = int(np.median(receive_ns[low:high] - sensor_ns[low:high]))
    x = (sensor_ns[low:high] - at_ns) / 1e9
    y = (receive_ns[low:high] - sensor_ns[low:high] - base_ns).astype(np.float64)
    slope, level = _line(x, y)
    delay = y - (level + slope * x)
    unsure = _uncertainty(x, y, slope, level)
    unsure += sum(abs(jump.step_ns) for jump in jumps)
    span_s = float(x[-1] - x[0])
    return ClockFit(
        at_ns=at_ns,
        offset_ns=base_ns + round(level),
        drift_ppm=slope / 1e3,  # ns a second -> parts in a million
        uncertainty_ns=int(np.ceil(unsure)),
        drift_uncertainty_ppm=float(2e-3 * unsure / span_s) if span_s > 0.0 else float("inf"),
        delay_median_ns=float(np.median(delay)),
        delay_95_ns=float(np.quantile(delay, 0.95)),
        delay_most_ns=float(delay.max()),
        samples=int(y.size),
        method="lower envelope" if len(edges) == 2 else f"lower envelope of the longest of {len(edges) - 1} pieces",
    )


def _line(x: Vector, y: Vector) -> tuple[float, float]:
    """Return slope and level of the line below all points, but for a few that lie far below the rest."""
    if x.size < 4 or x[-1] - x[0] <= 0.0:
        return 0.0, float(y.min())
    slope = level = 0.0
    rest = y
    for _ in range(
        2
    ):  # within a block a clock may drift by more than messages are late: the second pass sees less of it
        more = _theil_sen(*_block_minima(x, rest))
        slope, level = slope + more[0], level + more[1]
        rest = y - (level + slope * x)
    spread = 1.4826 * float(np.median(np.abs(_block_minima(x, rest)[1])))
    x, rest = _thinned(x, rest)
    # Even of a Gaussian the least of a block strays little; what lies 10 spreads lower is no early message.
    kept = rest >= -(10.0 * spread + 1_000.0)
    more = _envelope(x[kept], rest[kept])
    return slope + more[0], level + more[1]


def _envelope(x: Vector, y: Vector) -> tuple[float, float]:
    """Return the edge of the lower convex hull under the mean of `x`: the optimum of Moon's linear program."""
    hull: list[int] = []
    for number in range(x.size):
        while len(hull) >= 2:
            a, b = hull[-2], hull[-1]
            if (y[b] - y[a]) * (x[number] - x[a]) < (y[number] - y[a]) * (x[b] - x[a]):
                break
            hull.pop()
        if hull and x[hull[-1]] == x[number]:
            if y[number] >= y[hull[-1]]:
                continue
            hull.pop()
        hull.append(number)
    if len(hull) == 1:
        return 0.0, float(y[hull[0]])
    right = int(np.searchsorted(x[hull], x.mean()))
    right = min(max(right, 1), len(hull) - 1)
    a, b = hull[right - 1], hull[right]
    slope = float((y[b] - y[a]) / (x[b] - x[a]))
    return slope, float(y[a] - slope * x[a])


def _uncertainty(x: Vector, y: Vector, slope: float, level: float) -> float:
    """Say how far the line may be off anywhere in the log, in ns.

    Delays may be skewed (queues: most messages come soon after the fastest, and the envelope is right) or even (noise
    of the stamps themselves: few lie near the envelope, and the middle is right). Where the tenth percentile lies near
    the envelope, it is taken for unsure, else the median and a quarter more. To it comes what leaving out a fifth of
    the log at a time does to the line at its ends, and how far the block minima stray from a straight line
    (temperature, a clock that is being steered).
    """
    if x.size < 4 or x[-1] - x[0] <= 0.0:
        return float(y.max() - y.min()) + 1e6
    ends = np.array([x[0], x[-1]])
    own = level + slope * ends
    moved = 0.0
    bounds = np.linspace(0, x.size, FOLDS_N + 1).astype(np.int64)
    for begin, end in pairwise(bounds.tolist()):
        rest = np.r_[0:begin, end : x.size]
        if rest.size >= 4:
            other_slope, other_level = _line(x[rest], y[rest])
            moved = max(moved, float(np.abs(other_level + other_slope * ends - own).max()))
    delay = y - (level + slope * x)
    bent = float(np.quantile(_block_minima(x, delay)[1], 0.95))
    tenth, median = (float(q) for q in np.quantile(delay, [0.1, 0.5]))
    above = tenth if x.size >= FEW_N and tenth < SKEWED * median else 1.25 * median
    few = 1.0 + 2.0 / np.sqrt(x.size)
    return float(few * max(above, bent)) + moved + FINEST_NS


def _thinned(x: Vector, y: Vector) -> tuple[Vector, Vector]:
    if x.size <= MOST_POINTS_N:
        return x, y
    starts = np.linspace(0, x.size, MOST_POINTS_N // 2, endpoint=False).astype(np.int64)
    lows = np.minimum.reduceat(y, starts)
    group = np.repeat(np.arange(starts.size), np.diff(np.append(starts, x.size)))
    first = np.unique(group[y == lows[group]], return_index=True)[1]
    kept = np.flatnonzero(y == lows[group])[first]
    return x[kept], y[kept]


def _block_minima(x: Vector, y: Vector) -> tuple[Vector, Vector]:
    """Return place and value of the least difference of each of about sqrt(n) blocks, at most 64."""
    count = int(min(64, max(3, np.sqrt(x.size))))
    bounds = np.linspace(0, x.size, count + 1).astype(np.int64)
    where = np.array([a + int(np.argmin(y[a:b])) for a, b in pairwise(bounds.tolist()) if b > a])
    return x[where], y[where]


def _theil_sen(x: Vector, y: Vector) -> tuple[float, float]:
    i, j = np.triu_indices(x.size, 1)
    run = x[j] - x[i]
    slopes = (y[j] - y[i])[run > 0] / run[run > 0]
    slope = float(np.median(slopes)) if slopes.size else 0.0
    return slope, float(np.median(y - slope * x))


def find_jumps(sensor_ns: NDArray[np.int64], receive_ns: NDArray[np.int64]) -> tuple[Jump, ...]:
    """Find where the difference of the stamps steps and stays, as against a delay that passes.

    The least difference of the samples just before and just after each sample are compared over two widths; a step must
    show in both, exceed 2 ms, ten times what such steps usually are in this log and the delays of all but 5 % of its
    messages, and be no burst of late messages: those come back.
    """
    gap = receive_ns - sensor_ns
    size = gap.size
    if size < 16:
        return ()
    near, far = max(8, min(50, size // 20)), max(8, min(500, size // 4))
    y = (gap - np.median(gap)).astype(np.float64)
    before, after = _sliding_least(y, far)
    step = after - before
    close_before, close_after = _sliding_least(y, near)
    close = close_after - close_before
    usual = 1.4826 * float(np.median(np.abs(step - np.median(step))))
    delays = float(np.median(y - before)), float(np.quantile(y - before, 0.95))
    least = max(LEAST_JUMP_NS, 10.0 * usual, delays[1] if delays[1] < 20.0 * delays[0] else 0.0)
    both = np.minimum(np.abs(step), np.abs(close)) * (np.sign(step) == np.sign(close))
    jumps: list[Jump] = []
    both[:near] = both[size - near + 1 :] = 0.0  # too few samples on one side to tell a step from one late message
    wide = np.flatnonzero(both > least)
    for group in np.split(wide, np.flatnonzero(np.diff(wide) > far) + 1) if wide.size else ():
        # Beside the step itself neighbours see part of it: the edge is where single differences step the most.
        inner = group[both[group] >= 0.8 * both[group].max()]
        low, high = int(inner[0]), int(inner[-1]) + 1
        sign = np.sign(step[inner[len(inner) // 2]])
        index = low + int(np.argmax(sign * (y[low:high] - y[np.maximum(np.arange(low, high) - 1, 0)])))
        jumps.append(Jump(index, int(sensor_ns[index]), int(receive_ns[index]), int(step[index])))
    return tuple(jumps)


def _sliding_least(y: Vector, width: int) -> tuple[Vector, Vector]:
    """Return the least of the `width` values before each value, and of the `width` from it on."""
    from scipy.ndimage import minimum_filter1d

    after = minimum_filter1d(y, width, origin=-(width // 2), mode="nearest")
    before = np.concatenate([y[:1], minimum_filter1d(y, width, origin=(width - 1) // 2, mode="nearest")[:-1]])
    return before, after
