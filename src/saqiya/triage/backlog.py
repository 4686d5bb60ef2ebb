"""Failures found against corrections integrated, turn by turn; in words, whether the wheel stalls or oscillates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

__all__ = ["Balance", "Variety", "troubles", "variety"]

LEVEL = 0.05
TURNS = 2
"""Turns in a row in which failures outran corrections before it is called a stall: one may be bad luck."""
RESAMPLES_N = 1000


@dataclass(frozen=True)
class Balance:
    """One turn's books.

    Attributes:
        episodes: deployed episodes of the turn whose outcome is known.
        found: failures found in them.
        integrated: failures whose correction entered the policy that the turn deployed.
        verified: failures shown to be fixed in that turn.
        open: failures open when it ended.
        modes: failures of the turn by mode label.
    """

    turn: int
    episodes: int
    found: int
    integrated: int
    verified: int
    open: int
    modes: Mapping[str, int]


@dataclass(frozen=True)
class Variety:
    """Distinct modes of a turn's deployment.

    Attributes:
        distinct: how many.
        per_thousand: distinct modes per 1,000 deployed episodes, as counted.
        rarefied: distinct modes expected among as many episodes as the smallest deployment had (Hurlbert 1971), which
            is what turns can be compared by; `low` and `high` its 95 % bootstrap interval over episodes.
    """

    turn: int
    distinct: int
    per_thousand: float
    rarefied: float
    low: float
    high: float
    among: int


def troubles(balances: Sequence[Balance]) -> tuple[str, ...]:
    """Say in sentences what is wrong with the wheel's balance; () when nothing is.

    It stalls when failures outran the corrections that were integrated in each of the last two turns and the failure
    rate did not fall so far that chance cannot explain it (Fisher's exact test, one-sided, .05). It oscillates when a
    mode's rate fell and rose again, both beyond chance, with Bonferroni's correction for the pairs of turns.
    """
    said = []
    last = balances[-TURNS:]
    if len(balances) > TURNS and all(one.found > one.integrated for one in last):
        before, after = balances[-TURNS - 1], balances[-1]
        if _p_less((after.found, after.episodes), (before.found, before.episodes)) > LEVEL:
            counts = ", ".join(f"turn {one.turn}: {one.found} found, {one.integrated} integrated" for one in last)
            said.append(
                f"The wheel stalls: failures outrun corrections ({counts}), {after.open} are open, and the failure "
                "rate has not fallen beyond chance. Collect more corrections a turn, or for fewer modes at once."
            )
    return (*said, *_oscillations(balances))


def _oscillations(balances: Sequence[Balance]) -> list[str]:
    said = []
    triples = list(combinations(range(len(balances)), 3))
    for label in sorted({label for one in balances for label in one.modes}):
        rates = [(one.modes.get(label, 0), one.episodes) for one in balances]
        level = LEVEL / max(1, 2 * len(triples))
        lower = {
            (one, other)
            for one, other in permutations(range(len(rates)), 2)
            if rates[one][0] * rates[other][1] < rates[other][0] * rates[one][1]
            and _p_less(rates[one], rates[other]) < level
        }
        for first, middle, last in triples:
            if {(middle, first), (middle, last)} <= lower:
                turns = [balances[index].turn for index in (first, middle, last)]
                counts = [f"{rates[index][0]} of {rates[index][1]}" for index in (first, middle, last)]
                said.append(
                    f"The wheel oscillates: {label} was fixed and broken again (turn {turns[0]}: {counts[0]}, "
                    f"turn {turns[1]}: {counts[1]}, turn {turns[2]}: {counts[2]}). Keep its corrections in the mix."
                )
                break
    return said


def _p_less(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Test whether the first rate is lower than the second (Fisher's exact test, one-sided)."""
    from scipy import stats

    table = [[one[0], one[1] - one[0]], [other[0], other[1] - other[0]]]
    return float(stats.fisher_exact(table, alternative="less").pvalue)


def variety(balances: Sequence[Balance], *, seed: int) -> tuple[Variety, ...]:
    """Return the distinct modes of each turn per 1,000 episodes, and rarefied to the smallest deployment."""
    sizes = [one.episodes for one in balances if one.episodes]
    if not sizes:
        return ()
    among, rng, rows = min(sizes), np.random.default_rng(seed), []
    for one in balances:
        if not one.episodes:
            continue
        counts = np.array([n for n in one.modes.values() if n], dtype=np.int64)
        share = np.append(counts, max(0, one.episodes - int(counts.sum()))) / one.episodes
        drawn = rng.multinomial(one.episodes, share / share.sum(), size=RESAMPLES_N)[:, :-1]
        again = [_rarefied(row, one.episodes, among) for row in drawn]
        low, high = (float(value) for value in np.quantile(again, [0.025, 0.975])) if counts.size else (0.0, 0.0)
        rows.append(
            Variety(
                turn=one.turn,
                distinct=int(counts.size),
                per_thousand=1000.0 * counts.size / one.episodes,
                rarefied=_rarefied(counts, one.episodes, among),
                low=low,
                high=high,
                among=among,
            )
        )
    return tuple(rows)


def _rarefied(counts: np.ndarray, episodes: int, among: int) -> float:
    """Expect this many distinct modes among `among` episodes drawn without replacement."""
    from scipy.special import gammaln

    n = counts[counts > 0].astype(np.float64)
    possible = episodes - n >= among
    rest = n[possible]
    missed = np.exp(
        gammaln(episodes - rest + 1)
        - gammaln(episodes - rest - among + 1)
        - gammaln(episodes + 1)
        + gammaln(episodes - among + 1)
    )
    return float(len(n) - missed.sum())
