"""Intervals for success rates and their differences, so that no rate is ever shown alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
from scipy import optimize, stats

from saqiya.errors import UsageError

__all__ = [
    "Interval",
    "clopper_pearson",
    "lower_bound",
    "newcombe",
    "posterior_worse",
    "tango",
    "upper_bound",
    "wilson",
]

POSTERIOR_NODES_N = 4096


@dataclass(frozen=True)
class Interval:
    """A closed range of values that the data do not speak against."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        """Tell whether a value lies in the range, ends included."""
        return self.low <= value <= self.high


def check_counts(successes: int, trials: int) -> None:
    """Refuse counts that cannot be.

    Raises:
        UsageError: `successes` is not in `[0, trials]`.
    """
    if not 0 <= successes <= trials:
        raise UsageError(f"{successes} successes of {trials} trials cannot be", remedy="Count the trials again.")


def _check_level(level: float) -> None:
    if not (isfinite(level) and 0.0 < level < 1.0):
        raise UsageError(f"the confidence level {level} is not inside (0, 1)", remedy="Use for example 0.95.")


def lower_bound(successes: int, trials: int, level: float = 0.95) -> float:
    """Give the exact one-sided lower bound on a success rate (Clopper and Pearson 1934); 0 where there is no trial."""
    check_counts(successes, trials)
    _check_level(level)
    return 0.0 if successes == 0 else float(stats.beta.ppf(1.0 - level, successes, trials - successes + 1))


def upper_bound(successes: int, trials: int, level: float = 0.95) -> float:
    """Give the exact one-sided upper bound on a success rate (Clopper and Pearson 1934); 1 where there is no trial."""
    return 1.0 - lower_bound(trials - successes, trials, level)


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Give the exact two-sided interval for a success rate (Clopper and Pearson 1934).

    It covers the truth with at least `level` whatever the truth is; no trial at all gives (0, 1).
    """
    _check_level(level)
    one_sided = 0.5 + level / 2.0
    return Interval(lower_bound(successes, trials, one_sided), upper_bound(successes, trials, one_sided))


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Give the score interval for a success rate (Wilson 1927): near `level` on average, not always above it."""
    check_counts(successes, trials)
    _check_level(level)
    if trials == 0:
        return Interval(0.0, 1.0)
    z2 = float(stats.norm.ppf(0.5 + level / 2.0)) ** 2
    middle = (successes + z2 / 2.0) / (trials + z2)
    half = sqrt(z2 * (successes * (trials - successes) / trials + z2 / 4.0)) / (trials + z2)
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == trials else middle + half
    return Interval(low, high)


def newcombe(first: tuple[int, int], second: tuple[int, int], level: float = 0.95) -> Interval:
    """Give the interval for `second - first`, two rates from independent trials (Newcombe 1998, method 10).

    Each arm is (successes, trials). The Wilson limits of the arms are combined; coverage is near `level` on average.
    An arm without trials gives (-1, 1).
    """
    check_counts(*first)
    check_counts(*second)
    if first[1] == 0 or second[1] == 0:
        return Interval(-1.0, 1.0)
    rate_a, rate_b = first[0] / first[1], second[0] / second[1]
    a, b = wilson(*first, level), wilson(*second, level)
    gain = rate_b - rate_a
    low = gain - sqrt((rate_b - b.low) ** 2 + (a.high - rate_a) ** 2)
    high = gain + sqrt((b.high - rate_b) ** 2 + (rate_a - a.low) ** 2)
    return Interval(max(low, -1.0), min(high, 1.0))


def _tango_score(gain: float, losses: int, wins: int, pairs: int) -> float:
    """Score statistic of "wins - losses = pairs x gain"; the loss rate is its maximum-likelihood value under that."""
    a = 2.0 * pairs
    b = -wins - losses + (2.0 * pairs - wins + losses) * gain
    c = -losses * gain * (1.0 - gain)
    loss_rate = (sqrt(max(b * b - 4.0 * a * c, 0.0)) - b) / (2.0 * a)
    variance = pairs * (2.0 * loss_rate + gain * (1.0 - gain))
    distance = wins - losses - pairs * gain
    if variance <= 0.0:
        return 0.0 if distance == 0.0 else float(np.copysign(np.inf, distance))
    return distance / sqrt(variance)


def tango(losses: int, wins: int, pairs: int, level: float = 0.95) -> Interval:
    """Give the interval for a difference of rates measured in pairs (the score interval of Tango 1998).

    `losses` counts pairs in which only the first arm succeeded, `wins` those in which only the second did; the interval
    is for second - first. It stays sensible when no pair is discordant, where the Wald interval has width zero.

    Raises:
        UsageError: losses and wins are more than the pairs.
    """
    check_counts(losses + wins, pairs)
    check_counts(wins, pairs)
    _check_level(level)
    if pairs == 0:
        return Interval(-1.0, 1.0)
    z = float(stats.norm.ppf(0.5 + level / 2.0))
    seen = (wins - losses) / pairs

    def crossing(limit: float, far: float) -> float:
        def excess(gain: float) -> float:
            return min(max(_tango_score(gain, losses, wins, pairs), -1e6), 1e6) - limit

        if excess(far) * excess(seen) > 0.0:
            return far
        return float(optimize.brentq(excess, far, seen, xtol=1e-10))

    return Interval(crossing(z, -1.0), crossing(-z, 1.0))


def posterior_worse(
    old: tuple[int, int], new: tuple[int, int], *, margin: float = 0.0, prior: tuple[float, float] = (0.5, 0.5)
) -> float:
    """Give the posterior probability that the new rate lies more than `margin` below the old one.

    Each arm is (successes, trials) with its own Beta prior; (0.5, 0.5) is Jeffreys', (1, 1) is uniform. The integral
    runs over quantiles of the old rate, so the poles of Jeffreys' density do no harm; error below 1.3e-4.
    """
    check_counts(*old)
    check_counts(*new)
    quantiles = (np.arange(POSTERIOR_NODES_N) + 0.5) / POSTERIOR_NODES_N
    old_rates = stats.beta.ppf(quantiles, old[0] + prior[0], old[1] - old[0] + prior[1])
    below = stats.beta.cdf(old_rates - margin, new[0] + prior[0], new[1] - new[0] + prior[1])
    return float(np.mean(below))
