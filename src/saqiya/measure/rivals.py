"""The dumb rival of every novelty score: how long the episode is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import UsageError

__all__ = ["RankCorrelation", "rank_correlation"]

Values = NDArray[np.float64]
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
    rho = _rhos(x[None], y[None]) if len(x) >= FEWEST_N else np.empty(0)
    if not rho.size:
        return RankCorrelation(None, None, None, len(x))
    draws = np.random.default_rng(seed).integers(0, len(x), size=(resamples, len(x)))
    low, high = np.quantile(_rhos(x[draws], y[draws]), [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return RankCorrelation(float(rho[0]), float(low), float(high), len(x))


def _rhos(x: Values, y: Values) -> Values:
    """Return the rank correlation of each row of (R, N) values; a row of equal values has none and is left out."""
    from scipy import stats

    ranks = [stats.rankdata(values, axis=1) for values in (x, y)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    size = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    told = size > 0.0
    found: Values = (a * b).sum(axis=1)[told] / size[told]
    return found
