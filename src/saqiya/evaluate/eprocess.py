"""The sign e-process: an anytime-valid McNemar test, for comparisons without a last trial fixed in advance.

Each discordant pair is a bet against "the candidate wins at most half of them"; the product of the bets, mixed over how
good the candidate may be, is a supermartingale under that null, so it passes 1/alpha with chance alpha at most, however
often one looks and whenever one stops (Ville 1939; mixture as in Robbins 1970).
"""

from __future__ import annotations

from math import exp, inf, log

import numpy as np
from scipy import special

from saqiya.evaluate.intervals import check_counts
from saqiya.evaluate.paths import Arms
from saqiya.evaluate.sequential import SequentialDesign, from_critical

__all__ = ["anytime_p", "boundary", "log_e_value"]


def log_e_value(losses: int, wins: int) -> float:
    """Give the logarithm of the evidence that the candidate wins more than half of the discordant pairs.

    The mixture is uniform over the win rate t in (1/2, 1): the mean of (2t)^wins (2 - 2t)^losses, in closed form by the
    incomplete beta function. -inf where it is below the smallest float: nothing speaks for the candidate.

    Raises:
        UsageError: a count is negative.
    """
    check_counts(losses, losses + wins)
    share = float(special.betainc(losses + 1, wins + 1, 0.5))
    if share <= 0.0:
        return -inf
    return (losses + wins + 1) * log(2.0) + float(special.betaln(wins + 1, losses + 1)) + log(share)


def anytime_p(log_e_values: list[float]) -> float:
    """Give the p-value that is valid at every moment: one over the largest evidence seen so far, at most 1."""
    return min(1.0, exp(-max(log_e_values, default=0.0)))


def boundary(alpha: float, n_max: int) -> SequentialDesign:
    """Give the e-process cut off after `n_max` pairs, looking at each, so that its exact power can be computed."""
    critical = np.full((n_max, n_max + 1), n_max + 1, dtype=np.int64)
    wins = 0
    for losses in range(n_max + 1):
        while wins <= n_max and log_e_value(losses, wins) < -log(alpha):
            wins += 1
        critical[:, losses] = min(wins, n_max + 1)
    return from_critical(
        "sign e-process", Arms.PAIRED, alpha=alpha, looks=tuple(range(1, n_max + 1)), critical=critical
    )
