"""Thresholds that keep a false-alarm budget: the exact-rank conformal quantile of held-out successes."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import Span
from saqiya.errors import UsageError

__all__ = ["alarm_spans", "conformal_threshold", "fewest_successes", "peak_until", "success_horizon"]

HORIZON_QUANTILE = 0.9


def conformal_threshold(peaks: Sequence[float], *, budget: float) -> float | None:
    """Return the threshold that at most a share `budget` of future successes will pass.

    Split conformal prediction (Vovk et al. 2005): it is the ceil((n + 1)(1 - budget))-th smallest of the peaks of n
    held-out successes. Published code that takes `np.quantile(peaks, 1 - budget)` loses the finite-sample guarantee.
    The guarantee is for a success exchangeable with those held out; changed conditions may alarm more often.

    Args:
        peaks: each held-out success's highest score up to the success horizon; none may have served to fit
            the detector.
        budget: share of successes that may raise a false alarm, in (0, 1).

    Returns:
        The threshold, or None when (n + 1)(1 - budget) > n: too few successes, so it is infinite and nothing alarms.
        An alarm is a score *above* the threshold.

    Raises:
        UsageError: the budget is not in (0, 1) or a peak is not a number.
    """
    if not 0.0 < budget < 1.0:
        raise UsageError(f"the false-alarm budget {budget} is not in (0, 1)", remedy="Use for example 0.1.")
    ordered = np.sort(np.asarray(peaks, dtype=np.float64))
    if np.any(np.isnan(ordered)):
        raise UsageError("a peak is not a number", remedy="Leave episodes out that the detector cannot score.")
    rank = _rank(len(ordered), budget)
    return None if rank > len(ordered) else float(ordered[rank - 1])


def fewest_successes(budget: float) -> int:
    """Return how many held-out successes are needed before a threshold for `budget` exists."""
    n = 1
    while _rank(n, budget) > n:
        n += 1
    return n


def _rank(n: int, budget: float) -> int:
    return ceil(round((n + 1) * (1.0 - budget), 9))  # rounding keeps 10 x (1 - .1) at 9, not 9.000000000000002


def success_horizon(lengths: Sequence[float]) -> float:
    """Return the success horizon: the smallest of `lengths` that 90 % of successes do not exceed, in their own unit.

    Raises:
        UsageError: there is no success.
    """
    if not len(lengths):
        raise UsageError("there is no success to take a horizon from", remedy="Calibrate once a try has succeeded.")
    return float(np.quantile(np.asarray(lengths, dtype=np.float64), HORIZON_QUANTILE, method="inverted_cdf"))


def peak_until(t_ns: NDArray[np.int64], scores: Vector, *, until_ns: int) -> float:
    """Return the highest score stamped before `until_ns`; minus infinity when there is none."""
    before = scores[t_ns < until_ns]
    return float(before.max()) if before.size else float("-inf")


def alarm_spans(t_ns: NDArray[np.int64], scores: Vector, threshold: float | None) -> tuple[tuple[Span, float], ...]:
    """Return each half-open span in which the score stays above the threshold, with its highest score.

    A span ends at the first stamp that is not above it, or just after the last stamp.
    """
    if threshold is None or not len(scores):
        return ()
    above = np.concatenate([[False], scores > threshold, [False]])
    edges = np.flatnonzero(above[1:] != above[:-1])
    ends = np.append(t_ns, t_ns[-1] + 1)
    return tuple(
        (Span(int(t_ns[first]), int(ends[last])), float(scores[first:last].max()))
        for first, last in zip(edges[::2], edges[1::2], strict=True)
    )
