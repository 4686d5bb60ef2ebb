"""The dumb rival of every novelty score: how long the episode is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from saqiya.errors import UsageError

__all__ = ["RankCorrelation", "rank_correlation"]

FEWEST_N = 4


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rho with a bootstrap interval over episodes; None where too few or all equal, which `n` explains."""

    rho: float | None
    low: float | None
    high: float | None
    n: int


def rank_correlation(
    scores: Sequence[float], lengths: Sequence[float], *, seed: int, resamples: int = 1000, level: float = 0.95
) -> RankCorrelation:
    """Correlate scores with episode lengths by rank (Spearman 1904): near 1 means that the score mostly counts steps.

    Five of seven published curation metrics were found to exploit episode length; so each report shows this number.

    Raises:
        UsageError: scores and lengths differ in number.
    """
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(lengths, dtype=np.float64)
    if x.shape != y.shape:
        raise UsageError(f"{len(x)} scores for {len(y)} lengths", remedy="Give one length for each score.")
    rho = _rho(x, y) if len(x) >= FEWEST_N else None
    if rho is None:
        return RankCorrelation(None, None, None, len(x))
    draws = np.random.default_rng(seed).integers(0, len(x), size=(resamples, len(x)))
    drawn = [value for index in draws if (value := _rho(x[index], y[index])) is not None]
    low, high = np.quantile(drawn, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return RankCorrelation(rho, float(low), float(high), len(x))


def _rho(x: np.ndarray, y: np.ndarray) -> float | None:
    from scipy import stats

    ranks = stats.rankdata(x), stats.rankdata(y)
    if np.ptp(ranks[0]) == 0.0 or np.ptp(ranks[1]) == 0.0:
        return None
    return float(np.corrcoef(*ranks)[0, 1])
