"""Guards beside the main test: no failure mode got worse, and what worked still works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log

import numpy as np
from scipy import stats

from saqiya.errors import UsageError
from saqiya.evaluate.intervals import check_counts, lower_bound, posterior_worse

__all__ = [
    "Stratum",
    "StratumResult",
    "Worked",
    "WorkedResult",
    "fewest_starts",
    "holm",
    "keeps",
    "p_worse",
    "regressions",
]


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """The trials of one part of the regression suite: the starts of one failure mode, or one site.

    Attributes:
        champion: (successes, trials). (0, 0) where the champion was not tried again because it failed each of these
            starts: it cannot be beaten downwards, and the stratum is reported without a test.
        candidate: (successes, trials).
        discordant: (only the champion succeeded, only the candidate did) where both arms ran the same starts with the
            same seeds; None where the trials of the arms are independent.
    """

    name: str
    champion: tuple[int, int]
    candidate: tuple[int, int]
    discordant: tuple[int, int] | None = None


@dataclass(frozen=True)
class StratumResult:
    """One stratum's answer: p-value as it is and after Holm, and the chance of a loss beyond the margin."""

    stratum: Stratum
    test: str
    p_value: float
    adjusted_p: float
    worse: bool
    risk: float


@dataclass(frozen=True)
class Worked:
    """Starts on which the champion succeeded before, tried again with the candidate; how many, is fixed before data.

    They must not come from the pairs of the superiority test: it stops when losses are few, and so would flatter.
    `known` counts all starts known to have worked; none at all means that there is nothing to keep.
    """

    kept: int
    tried: int
    known: int


@dataclass(frozen=True)
class WorkedResult:
    """Whether it was shown that the candidate keeps at least 1 - margin of what worked, and on what numbers."""

    shown: bool
    p_value: float
    lower: float
    fewest: int


def p_worse(stratum: Stratum) -> tuple[str, float]:
    """Test exactly whether the candidate is worse on a stratum; gives the test's name and its one-sided p-value.

    Pairs: McNemar's exact conditional test. Independent arms: Boschloo's unconditional test (Boschloo 1970).

    Raises:
        UsageError: counts that cannot be.
    """
    check_counts(*stratum.champion)
    check_counts(*stratum.candidate)
    if stratum.champion[1] == 0:
        return "none: the champion failed each of these starts", 1.0
    if stratum.discordant is not None:
        losses, wins = stratum.discordant
        gain = stratum.candidate[0] - stratum.champion[0]
        if wins - losses != gain or stratum.champion[1] != stratum.candidate[1]:
            raise UsageError(
                f"{losses} losses and {wins} wins do not fit {stratum.champion} and {stratum.candidate}",
                subject=stratum.name,
                remedy="Count each pair once for both arms.",
            )
        return "exact McNemar", float(stats.binom.sf(losses - 1, losses + wins, 0.5))
    if stratum.candidate[1] == 0:
        return "none: the candidate was not tried", 1.0
    if stratum.champion[0] in {0, stratum.champion[1]} and stratum.candidate[0] / stratum.candidate[1] == (
        stratum.champion[0] / stratum.champion[1]
    ):
        return "Boschloo", 1.0
    table = [
        [stratum.candidate[0], stratum.champion[0]],
        [stratum.candidate[1] - stratum.candidate[0], stratum.champion[1] - stratum.champion[0]],
    ]
    return "Boschloo", float(stats.boschloo_exact(table, alternative="less").pvalue)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values so that the chance of one or more false alarms among them stays at alpha (Holm 1979)."""
    adjusted = np.ones(len(p_values))
    running = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return tuple(float(p) for p in adjusted)


def regressions(strata: Sequence[Stratum], *, alpha: float, margin: float) -> tuple[StratumResult, ...]:
    """Ask of every stratum whether the candidate is worse than the champion, with Holm's step-down over all of them.

    `risk` is the posterior probability (Jeffreys, arms taken as independent) of a loss of more than `margin`; it is
    shown, not tested.
    """
    tests = [p_worse(stratum) for stratum in strata]
    adjusted = holm([p for _, p in tests])
    return tuple(
        StratumResult(
            stratum, name, p, corrected, corrected <= alpha,
            posterior_worse(stratum.champion, stratum.candidate, margin=margin) if stratum.champion[1] else 0.0,
        )
        for stratum, (name, p), corrected in zip(strata, tests, adjusted, strict=True)
    )  # fmt: skip


def fewest_starts(margin: float, alpha: float) -> int:
    """Give the number of starts below which even a perfect candidate cannot show that it keeps 1 - margin."""
    return ceil(log(alpha) / log(1.0 - margin))


def keeps(worked: Worked, *, margin: float, alpha: float) -> WorkedResult:
    """Test exactly whether the candidate keeps at least `1 - margin` of what worked (one-sided binomial test).

    The champion counts as certain on these starts. Where policy or site do not repeat themselves, the champion would
    not keep all of them either: the margin has to hold that too.
    """
    check_counts(worked.kept, worked.tried)
    check_counts(worked.tried, worked.known)
    p_value = float(stats.binom.sf(worked.kept - 1, worked.tried, 1.0 - margin))
    lower = lower_bound(worked.kept, worked.tried, 1.0 - alpha)
    shown = worked.known == 0 or p_value <= alpha
    return WorkedResult(shown, p_value, lower, fewest_starts(margin, alpha))
