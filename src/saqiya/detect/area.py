"""Area under the ROC curve with its interval, and the dumb rivals that may explain it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["Area", "area_of", "gain_over"]

RESAMPLES_N = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Area:
    """How well one number tells failures from successes: 0.5 is chance, 1.0 is perfect.

    `turned` says that low values mean failure; the direction was then chosen after looking, so `value` is 0.5 or more.
    """

    name: str
    value: float
    low: float
    high: float
    failures_n: int
    successes_n: int
    turned: bool = False


def area_of(
    name: str, failures: Sequence[float], successes: Sequence[float], *, seed: int, either_way: bool = False
) -> Area:
    """Return the area under the ROC curve of a score and its 95 % interval over tries.

    The interval is a percentile bootstrap within failures and within successes. Where the two do not overlap at all
    every resample gives 1 and the bootstrap knows nothing: then it is the exact binomial interval of as many trials
    as the smaller class has tries. `either_way` turns the score round where that makes it better, as a rival may.
    """
    pairs = _pairs(failures, successes)
    turned = either_way and float(pairs.mean()) < 0.5
    pairs = 1.0 - pairs if turned else pairs
    value = float(pairs.mean())
    low, high = _interval(_resampled(pairs, seed))
    if low == high:
        exact = stats.binomtest(round(value * min(pairs.shape)), min(pairs.shape)).proportion_ci(LEVEL, method="exact")
        low, high = float(exact.low), float(exact.high)
    return Area(name, value, low, high, pairs.shape[0], pairs.shape[1], turned)


def gain_over(
    own: tuple[Sequence[float], Sequence[float]], rival: tuple[Sequence[float], Sequence[float]], *, seed: int
) -> tuple[float, float, float]:
    """Return own area less the rival's (turned the way it does best), with the interval over the same resamples.

    Each argument is (failures' scores, successes' scores), tries in the same order. Where both separate perfectly the
    resamples know nothing, and the limits are those of the two areas set against each other.
    """
    mine, other = _pairs(*own), _pairs(*rival)
    other = 1.0 - other if float(other.mean()) < 0.5 else other
    low, high = _interval(_resampled(mine, seed) - _resampled(other, seed))
    if low == high:
        a, b = area_of("", *own, seed=seed), area_of("", *rival, seed=seed, either_way=True)
        low, high = a.low - b.high, a.high - b.low
    return float(mine.mean() - other.mean()), low, high


def _pairs(failures: Sequence[float], successes: Sequence[float]) -> NDArray[np.float64]:
    a, b = np.asarray(failures, dtype=np.float64)[:, None], np.asarray(successes, dtype=np.float64)[None]
    wins: NDArray[np.float64] = (a > b) + 0.5 * (a == b)
    return wins


def _resampled(pairs: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    rows, columns = pairs.shape
    left = rng.multinomial(rows, np.full(rows, 1.0 / rows), size=RESAMPLES_N)
    right = rng.multinomial(columns, np.full(columns, 1.0 / columns), size=RESAMPLES_N)
    drawn: NDArray[np.float64] = ((left @ pairs) * right).sum(axis=1) / pairs.size
    return drawn


def _interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(drawn, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return float(low), float(high)
