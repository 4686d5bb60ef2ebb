"""What to keep of a fleet's tries, by rule and by lot, and how to read a fleet's rates from what was kept. Pure.

The lot is drawn by a hash of seed and episode id: the same episode draws the same number whenever and wherever the rule
is applied, and what is kept at a smaller probability is a part of what is kept at a larger one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, sqrt
from typing import Final

import msgspec

from saqiya.domain.nouns import Outcome, Retention
from saqiya.errors import UsageError

__all__ = [
    "ALWAYS",
    "Candidate",
    "Chosen",
    "Estimate",
    "Rule",
    "Seen",
    "choose",
    "fleet_rate",
    "probabilities",
    "strata",
]

ALWAYS: Final = "always"
"""The stratum of what a rule keeps without drawing: its probability is 1."""


@dataclass(frozen=True)
class Candidate:
    """A try that may be dropped.

    Attributes:
        stratum: the group whose probability it is kept with ("site|policy|task").
        needed: something that may not lose it (a dataset version, a trial, a correction) refers to it.
    """

    episode: str
    stratum: str
    outcome: Outcome
    age_s: float
    size_bytes: int
    needed: bool = False


@dataclass(frozen=True)
class Rule:
    """What is kept: all that is needed, all that is young, all outcomes but those that are sampled; the rest by lot.

    Attributes:
        probability: with which a try of a stratum is kept, in (0, 1]: at 0 nothing could stand for the stratum.
        otherwise: the same for strata that are not named.
        younger_s: what is younger is kept.
        sampled: outcomes that are sampled at all.
    """

    probability: Mapping[str, float] = field(default_factory=dict)
    otherwise: float = 1.0
    younger_s: float = 0.0
    sampled: tuple[Outcome, ...] = (Outcome.SUCCESS,)

    def __post_init__(self) -> None:
        """Refuse probabilities that are none.

        Raises:
            UsageError: one is not in (0, 1], or a stratum has the name of what is always kept.
        """
        for name, value in {**self.probability, "otherwise": self.otherwise}.items():
            if not (isfinite(value) and 0.0 < value <= 1.0):
                raise UsageError(f"{value} is no probability in (0, 1]", subject=name, remedy="Use for example 0.1")
        if ALWAYS in self.probability:
            raise UsageError(f"no stratum can be named {ALWAYS!r}", remedy="Name it otherwise")

    def of(self, candidate: Candidate) -> tuple[str, float]:
        """Return the stratum that a try is counted in, and the probability with which it is kept."""
        if candidate.needed or candidate.age_s < self.younger_s or candidate.outcome not in self.sampled:
            return ALWAYS, 1.0
        return candidate.stratum, self.probability.get(candidate.stratum, self.otherwise)


@dataclass(frozen=True)
class Chosen:
    """What is kept and what is dropped, each by stratum and then by id.

    Attributes:
        probability: of each stratum that has any try.
        counts: for each stratum, in order of name, how many were kept and how many dropped.
        kept_bytes, dropped_bytes: their sizes.
    """

    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    probability: dict[str, float]
    counts: dict[str, tuple[int, int]]
    kept_bytes: int
    dropped_bytes: int


def draw(seed: int, episode: str) -> float:
    """Return the number in [0, 1) that an episode draws."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{episode}".encode()).digest()[:8], "big") / 2**64


def choose(candidates: Iterable[Candidate], rule: Rule, *, seed: int) -> Chosen:
    """Apply a rule to tries, in whatever order they come."""
    rows = sorted((*rule.of(one), one.episode, one.size_bytes) for one in candidates)
    lots = [(stratum, p, episode, size, p >= 1.0 or draw(seed, episode) < p) for stratum, p, episode, size in rows]
    counts: dict[str, tuple[int, int]] = {}
    for stratum, _, _, _, keep in lots:
        kept, dropped = counts.get(stratum, (0, 0))
        counts[stratum] = (kept + keep, dropped + (not keep))
    return Chosen(
        tuple(episode for _, _, episode, _, keep in lots if keep),
        tuple(episode for _, _, episode, _, keep in lots if not keep),
        {stratum: p for stratum, p, _, _, _ in lots},
        counts,
        sum(size for _, _, _, size, keep in lots if keep),
        sum(size for _, _, _, size, keep in lots if not keep),
    )


def strata(retention: Retention) -> dict[str, str]:
    """Return the stratum of every episode that a decision kept or dropped: its lists are in the strata's order.

    Raises:
        UsageError: the decision does not say its counts.
    """
    try:
        counts = msgspec.convert(retention.rule.get("counts"), dict[str, tuple[int, int]])
    except msgspec.ValidationError as error:
        raise UsageError(f"its counts are none: {error}", subject=retention.id, remedy="Make it by `choose`") from error
    found: dict[str, str] = {}
    at = [0, 0]
    for name, pair in sorted(counts.items()):
        for side, ids in enumerate((retention.kept, retention.dropped)):
            found |= dict.fromkeys(ids[at[side] : at[side] + pair[side]], name)
            at[side] += pair[side]
    return found


def probabilities(retentions: Iterable[Retention]) -> dict[str, float]:
    """Return with which probability each episode that is still kept has come through all decisions on it.

    Decisions with one seed draw the same lot, so the smallest of their probabilities counts; lots of different seeds
    are independent, so these multiply.
    """
    least: dict[str, dict[int, float]] = {}
    gone: set[str] = set()
    for one in retentions:
        for episode, stratum in strata(one).items():
            by_seed = least.setdefault(episode, {})
            by_seed[one.seed] = min(by_seed.get(one.seed, 1.0), one.probability[stratum])
        gone |= set(one.dropped)
    found = {}
    for episode, by_seed in least.items():
        if episode not in gone:
            found[episode] = 1.0
            for p in by_seed.values():
                found[episode] *= p
    return found


@dataclass(frozen=True)
class Seen:
    """What was counted among the kept tries of a stratum, and how many were dropped."""

    kept: int
    hits: int
    dropped: int
    probability: float


@dataclass(frozen=True)
class Estimate:
    """A fleet's rate with its interval; `rate` may pass 1 by chance in a small fleet: else it would be biased."""

    rate: float
    low: float
    high: float
    fleet: int


def fleet_rate(seen: Sequence[Seen], *, level: float = 0.95) -> Estimate:
    """Estimate the share of hits in the whole fleet, dropped tries included, from what was kept.

    The estimate weighs every kept try with 1/p (Horvitz and Thompson 1952) over the known size of the fleet. For the
    interval, the hits kept in a stratum are a thinned count of those there were: that is inverted exactly within what
    the counts allow, and the strata are put together by the square-and-add rule (Zou and Donner 2008). The rate is the
    fleet's own, of these tries; it says nothing of tries to come.

    Raises:
        UsageError: counts or probabilities cannot be, or there is no try.
    """
    fleet = sum(one.kept + one.dropped for one in seen)
    bad = any(not 0 <= one.hits <= one.kept or one.dropped < 0 or not 0.0 < one.probability <= 1.0 for one in seen)
    if bad or fleet == 0 or any(one.probability == 1.0 and one.dropped for one in seen):
        raise UsageError("these counts cannot be", subject=str(list(seen))[:200], remedy="Count the kept tries again")
    total = below = above = 0.0
    for one in seen:
        mean = one.hits / one.probability
        low, high = _thinned(one, (1.0 - level) / 2.0)
        total += mean
        below += max(0.0, mean - low) ** 2
        above += max(0.0, high - mean) ** 2
    least, most = sum(one.hits for one in seen), sum(one.hits + one.dropped for one in seen)
    lower, upper = min(max(total - sqrt(below), least), most), max(min(total + sqrt(above), most), least)
    return Estimate(total / fleet, lower / fleet, upper / fleet, fleet)


def _thinned(one: Seen, tail: float) -> tuple[int, int]:
    """Return the smallest and largest number of hits of which `one.hits` may be what was kept."""
    from scipy.stats import binom

    least, most = one.hits, one.hits + one.dropped
    if least == most:
        return least, most
    k, p = one.hits, one.probability
    low = _first(lambda n: k == 0 or binom.sf(k - 1, n, p) >= tail, least, most)
    high = _first(lambda n: binom.cdf(k, n, p) < tail, least, most + 1) - 1
    return low, max(low, high)


def _first(test: Callable[[int], bool], low: int, high: int) -> int:
    """Return the first number of [low, high] that passes a test which all after it pass too; `high` if none does."""
    while low < high:
        middle = (low + high) // 2
        if test(middle):
            high = middle
        else:
            low = middle + 1
    return low
