"""Exact path counting for two sequential comparisons: independent arms, and pairs that share their starts.

Both walks have two counts as their state, `(champion, candidate)`, in arrays of shape (n_max + 1, n_max + 1):

- INDEPENDENT arms: the successes of each arm after n trials each. Under the null both arms succeed with the same,
  unknown rate p.
- PAIRED arms: the pairs in which only that arm succeeded (McNemar's discordant pairs) after n pairs. Under the null a
  pair is discordant with some unknown rate d, and then either way with chance 1/2.

What makes it quick is that the counts are sufficient: given the counts after n trials, the order in which they came has
the same distribution whatever the rates are. So one pass over *conditional* shares ("of all orders that lead to these
counts, how many were not stopped before?") serves every rate at once, where a pass over probabilities would be needed
for each rate by itself. Under the null the total of the counts is binomial with the nuisance rate, so the chance of
rejection is a polynomial in that rate, written in Bernstein form, and its maximum over the whole of [0, 1] can be
bounded by subdivision: no grid is trusted.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = [
    "Arms",
    "Bools",
    "Floats",
    "Ints",
    "advance",
    "bernstein_maximum",
    "elevate",
    "foresee",
    "null_shares",
    "null_total_pmf",
    "state_probabilities",
    "totals_n",
    "unstopped",
    "z_scores",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
JEFFREYS = 0.5
N_MAX_LIMIT = 2000


class Arms(StrEnum):
    """How the trials of the two arms belong together."""

    INDEPENDENT = "independent"
    PAIRED = "paired"


def unstopped(arms: Arms, n: int, n_max: int) -> Floats:
    """Give the shares after n trials when no look has come yet: 1 for every state that n trials can reach."""
    shares = np.zeros((n_max + 1, n_max + 1))
    counts = np.arange(n + 1)
    reached = np.ones((n + 1, n + 1)) if arms is Arms.INDEPENDENT else counts[:, None] + counts <= n
    shares[: n + 1, : n + 1] = reached
    return shares


def advance(arms: Arms, shares: Floats, n: int) -> Floats:
    """Take the shares of orders not yet stopped from n - 1 trials to n.

    Given the counts after n trials, the last trial was a success with chance count / n: the formula below needs no
    rate. The result has the shape of `shares`; only its corner `[: n + 1, : n + 1]` means something.
    """
    part = np.arange(n + 1) / n
    before = shares[: n + 1, : n + 1]
    after = np.zeros_like(shares)
    corner = after[: n + 1, : n + 1]
    if arms is Arms.INDEPENDENT:
        half = (1.0 - part)[:, None] * before
        half[1:] += part[1:, None] * before[:-1]
        corner[:] = (1.0 - part) * half
        corner[:, 1:] += part[1:] * half[:, :-1]
    else:
        corner[:] = np.maximum(1.0 - part[:, None] - part, 0.0) * before
        corner[1:] += part[1:, None] * before[:-1]
        corner[:, 1:] += part[1:] * before[:, :-1]
    return after


def foresee(arms: Arms, value: Floats, n: int) -> Floats:
    """Take a chance of a later event, known for each state after n + 1 trials, back to the states after n.

    The next trial is predicted from the counts so far with Jeffreys' prior (an urn: (count + 1/2) over (n + 1) for an
    arm by itself, (count + 1/2) over (n + 3/2) for the three kinds of pair). Cells that n trials cannot reach keep 0.
    """
    counts = np.arange(n + 1)
    after = np.zeros_like(value)
    corner = after[: n + 1, : n + 1]
    if arms is Arms.INDEPENDENT:
        rate = (counts + JEFFREYS) / (n + 2 * JEFFREYS)
        half = (1.0 - rate)[:, None] * value[: n + 1, : n + 2] + rate[:, None] * value[1 : n + 2, : n + 2]
        corner[:] = (1.0 - rate) * half[:, : n + 1] + rate * half[:, 1 : n + 2]
    else:
        rate = (counts + JEFFREYS) / (n + 3 * JEFFREYS)
        stay = 1.0 - rate[:, None] - rate
        corner[:] = (
            stay * value[: n + 1, : n + 1]
            + rate[:, None] * value[1 : n + 2, : n + 1]
            + rate * value[: n + 1, 1 : n + 2]
        )
        corner[counts[:, None] + counts > n] = 0.0
    return after


@lru_cache(maxsize=1)
def _log_factorials() -> Floats:
    return np.asarray(special.gammaln(np.arange(2 * N_MAX_LIMIT + 2) + 1.0), dtype=np.float64)


def _log_factorial(k: Ints) -> Floats:
    """Give log(k!) from a table; calling the gamma function itself took most of the time."""
    return _log_factorials()[k]


def _log_choose(n: int | Ints, k: Ints) -> Floats:
    table = _log_factorials()
    return np.asarray(table[n] - table[k] - table[n - k], dtype=np.float64)


def totals_n(arms: Arms, n: int) -> int:
    """Give how many coin throws the null's total counts after n trials: 2n for independent arms, n for pairs."""
    return 2 * n if arms is Arms.INDEPENDENT else n


def null_shares(arms: Arms, n: int) -> tuple[Floats, Ints]:
    """Split each total of counts after n trials over its states, as the null does, and give the totals.

    Both arrays have shape (n + 1, n + 1); the shares of the states with the same total add up to 1. They do not depend
    on the nuisance rate. Paired states that n trials cannot reach have share 0.
    """
    counts = np.arange(n + 1)
    totals = counts[:, None] + counts
    if arms is Arms.INDEPENDENT:
        single = _log_choose(n, counts)
        shares = np.exp(single[:, None] + single - _log_choose(2 * n, totals))
    else:
        shares = np.exp(
            special.gammaln(totals + 1) - special.gammaln(counts + 1)[:, None] - special.gammaln(counts + 1)
        )
        shares = np.where(totals <= n, shares * 0.5 ** np.minimum(totals, n), 0.0)
    return shares, totals


def null_total_pmf(arms: Arms, n: int, nuisance: Floats) -> Floats:
    """Give the null's distribution of the total after n trials, shape (nuisance rates, totals + 1)."""
    size = totals_n(arms, n)
    totals = np.arange(size + 1)
    log_pmf = (
        _log_choose(size, totals)
        + special.xlogy(totals, nuisance[:, None])
        + special.xlog1py(size - totals, -nuisance[:, None])
    )
    return np.asarray(np.exp(log_pmf), dtype=np.float64)


def state_probabilities(arms: Arms, n: int, truth: tuple[float, float]) -> Floats:
    """Give the chance of each state after n trials, stops aside, shape (n + 1, n + 1).

    `truth` holds, for champion and candidate, the success rates of independent arms, or the rates of the pairs in which
    only that arm succeeds.
    """
    counts = np.arange(n + 1)
    if arms is Arms.INDEPENDENT:
        champion, candidate = (
            np.exp(_log_choose(n, counts) + special.xlogy(counts, p) + special.xlog1py(n - counts, -p)) for p in truth
        )
        return np.asarray(np.outer(champion, candidate), dtype=np.float64)
    rest = np.maximum(n - counts[:, None] - counts, 0)
    single = _log_factorial(counts)
    both_or_none = special.xlogy(counts, max(1.0 - truth[0] - truth[1], 0.0)) - single
    log_pmf = (special.xlogy(counts, truth[0]) - single)[:, None] + (special.xlogy(counts, truth[1]) - single)
    log_pmf += both_or_none[rest] + single[n]
    return np.asarray(np.where(counts[:, None] + counts <= n, np.exp(log_pmf), 0.0), dtype=np.float64)


def chances(arms: Arms, states: tuple[Ints, Ints, Ints], truth: tuple[float, float]) -> Floats:
    """Give the chance of single states, as `state_probabilities` gives that of all.

    `states` holds of each the trials, the champion's count and the candidate's, and must be possible.
    """
    n, first, second = states
    if arms is Arms.INDEPENDENT:
        logs = [
            _log_choose(n, counts) + special.xlogy(counts, p) + special.xlog1py(n - counts, -p)
            for counts, p in zip((first, second), truth, strict=True)
        ]
        return np.asarray(np.exp(logs[0] + logs[1]), dtype=np.float64)
    rest = n - first - second
    log_pmf = _log_factorial(n) - _log_factorial(first) - _log_factorial(second) - _log_factorial(rest)
    log_pmf += special.xlogy(first, truth[0]) + special.xlogy(second, truth[1])
    log_pmf += special.xlogy(rest, max(1.0 - truth[0] - truth[1], 0.0))
    return np.asarray(np.exp(log_pmf), dtype=np.float64)


def z_scores(arms: Arms, n: int) -> Floats:
    """Order the states after n trials by how much they speak for the candidate: pooled z, or McNemar's z.

    Both rise when the candidate's count rises and fall when the champion's does, so that the null is at its worst where
    the arms are equal. Rounded, because states that tie must stop together whatever the last bit says.
    """
    counts = np.arange(n + 1)
    total, gain = counts[:, None] + counts, counts - counts[:, None]
    spread = total * (2 * n - total) / (2.0 * n) if arms is Arms.INDEPENDENT else total.astype(np.float64)
    scores = np.where(gain == 0, 0.0, gain / np.sqrt(np.maximum(spread, 1e-300)))
    return np.asarray(np.round(scores, 9), dtype=np.float64)


def elevate(coefficients: Floats, degree: int) -> Floats:
    """Write a Bernstein polynomial in a higher degree; here: follow the chance of having stopped as the total grows."""
    while len(coefficients) - 1 < degree:
        part = np.arange(len(coefficients) + 1) / len(coefficients)
        longer = np.zeros(len(coefficients) + 1)
        longer[:-1] += (1.0 - part[:-1]) * coefficients
        longer[1:] += part[1:] * coefficients
        coefficients = longer
    return coefficients


def bernstein_maximum(coefficients: Floats, tolerance: float = 1e-6) -> float:
    """Bound a Bernstein polynomial from above over the whole of [0, 1]; at most `tolerance` above its true maximum.

    A polynomial is never above its largest coefficient. Halving an interval (de Casteljau) brings the coefficients
    closer to the curve, quadratically; intervals that cannot hold the maximum are dropped.
    """
    pieces = coefficients[None, :]
    best = -np.inf
    while True:
        best = max(best, float(pieces[:, [0, -1]].max()))
        pieces = pieces[pieces.max(axis=1) > best + tolerance]
        if not len(pieces):
            return best + tolerance
        left, right = np.empty_like(pieces), np.empty_like(pieces)
        for step in range(pieces.shape[1]):
            left[:, step], right[:, -1 - step] = pieces[:, 0], pieces[:, -1]
            pieces = 0.5 * (pieces[:, :-1] + pieces[:, 1:])
        pieces = np.concatenate([left, right])
