"""Tell two policies apart from a table of trials, or say how many more trials would."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from scipy import stats

from saqiya.evaluate.intervals import Interval, check_counts, newcombe
from saqiya.evaluate.sequential import Arms, SequentialDesign, design, power_curve, smallest_visible

__all__ = ["Comparison", "Standing", "compare", "fixed_test", "trials_to_tell"]

ALPHA = 0.05
POWER = 0.8
FEW_N = 10
MOST_TRIALS_N = 1000
BOSCHLOO_CELLS_N = 160_000


class Standing(StrEnum):
    """What a table of trials says of two policies."""

    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Comparison:
    """The second policy against the first.

    Attributes:
        p_value: two-sided, exact.
        gain: interval for the second's rate less the first's (Newcombe).
        more_n: fresh trials an arm that would tell with 80 % power if the true rates were those seen; None where it is
            decided, where the rates are equal, or where it would take more than 1000.
        visible: the rate nearest to those seen that as many trials again would tell from them with 80 % power.
        sentence: all of that for a reader.
    """

    standing: Standing
    test: str
    p_value: float
    gain: Interval
    more_n: int | None
    visible: float | None
    sentence: str


def fixed_test(n: int, alpha: float) -> SequentialDesign:
    """Give the exact unconditional test (Barnard, pooled z) with n trials an arm and one look, one-sided."""
    return design(Arms.INDEPENDENT, alpha=alpha, n_max=n, look_every=n, futility=0.0)


def trials_to_tell(first: float, second: float, *, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """Give the trials an arm that a fresh two-sided exact test needs to tell two true rates apart.

    None where the rates are equal (no number does) or where it would take more than 1000. Power saws up and down by a
    point or so as n grows; the answer is a number that reaches the wanted power, within a few of the smallest.
    """
    low_rate, high_rate = sorted((first, second))
    gap = high_rate - low_rate
    if gap <= 0.0:
        return None
    z = float(stats.norm.isf(alpha / 2.0)) + float(stats.norm.ppf(power))
    guess = z * z * (low_rate * (1.0 - low_rate) + high_rate * (1.0 - high_rate)) / gap**2
    if guess > 1.5 * MOST_TRIALS_N:
        return None

    def reaches(n: int) -> bool:
        return power_curve(fixed_test(n, alpha / 2.0), [(low_rate, high_rate)])[0].superior >= power

    low, high = 1, max(4, ceil(guess))
    while not reaches(high):
        low, high = high, ceil(high * 1.2)
        if high > 1.5 * MOST_TRIALS_N:
            return None
    low = max(low, high // 2) if not reaches(max(low, high // 2)) else 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high if high <= MOST_TRIALS_N else None


def _two_sided(first: tuple[int, int], second: tuple[int, int]) -> tuple[str, float]:
    """Test for any difference: Boschloo's exact test, or Fisher's where so many trials make Boschloo's too slow."""
    if first[0] + second[0] in {0, first[1] + second[1]}:
        return "Boschloo", 1.0
    table = [[first[0], second[0]], [first[1] - first[0], second[1] - second[0]]]
    if first[1] * second[1] > BOSCHLOO_CELLS_N:
        return "Fisher", float(stats.fisher_exact(table).pvalue)
    sides = (float(stats.boschloo_exact(table, alternative=side).pvalue) for side in ("less", "greater"))
    return "Boschloo", min(1.0, 2.0 * min(sides))


def compare(
    first: tuple[int, int], second: tuple[int, int], *, names: tuple[str, str] = ("the first", "the second")
) -> Comparison:
    """Compare two policies by their (successes, trials): decided, or how many more trials an arm would tell.

    The trials to come are counted for a test of their own, at 80 % power and two-sided alpha .05: adding them to the
    trials that raised the question would test the same data twice.

    Raises:
        UsageError: counts that cannot be.
    """
    check_counts(*first)
    check_counts(*second)
    old, new = names
    gain = newcombe(first, second)
    if first[1] == 0 or second[1] == 0:
        empty = old if first[1] == 0 else new
        return Comparison(Standing.UNDECIDED, "none", 1.0, gain, None, None, f"{empty} has no trials: undecided.")
    test, p_value = _two_sided(first, second)
    rates = first[0] / first[1], second[0] / second[1]
    head = f"{new} ({second[0]} of {second[1]}) against {old} ({first[0]} of {first[1]})"
    tail = f"difference {gain.low:+.0%} to {gain.high:+.0%}, p = {p_value:.2g}, {test}'s exact test"
    if p_value <= ALPHA:
        standing = Standing.BETTER if rates[1] > rates[0] else Standing.WORSE
        return Comparison(standing, test, p_value, gain, None, None, f"{head}: {standing} ({tail}).")
    few = "" if min(first[1], second[1]) >= FEW_N else f", a guess from fewer than {FEW_N} trials"
    more_n = trials_to_tell(*rates)
    if more_n is not None:
        advice = f"about {_round_up(more_n)} more trials an arm would tell{few}"
        return Comparison(
            Standing.UNDECIDED, test, p_value, gain, more_n, None, f"{head}: undecided, {advice} ({tail})."
        )
    fresh_n = min(max(first[1], second[1]), MOST_TRIALS_N)
    visible, seen = _visible(fresh_n, rates)
    why = (
        "no number of trials tells equal rates apart"
        if rates[0] == rates[1]
        else f"so small a difference takes more than {MOST_TRIALS_N} more trials an arm"
    )
    sentence = f"{head}: undecided; {why}; {fresh_n} more an arm would {seen} ({tail})."
    return Comparison(Standing.UNDECIDED, test, p_value, gain, None, visible, sentence)


def _visible(n: int, rates: tuple[float, float]) -> tuple[float | None, str]:
    """Say what n fresh trials an arm see with 80 % power: a better policy, or where there is no room above, a worse."""
    test, low, high = fixed_test(n, ALPHA / 2.0), min(rates), max(rates)
    above = smallest_visible(test, low, power=POWER)
    if above is not None:
        return above, f"tell {low:.0%} only from {above:.0%} or more"
    below = smallest_visible(test, 1.0 - high, power=POWER)
    if below is not None:
        return 1.0 - below, f"tell {high:.0%} only from {1.0 - below:.0%} or less"
    return None, "see no difference at all"


def _round_up(n: int) -> int:
    step = 5 if n <= 100 else 10
    return -(-n // step) * step
