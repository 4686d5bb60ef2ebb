"""How well failures are named, judged on failures that took no part in learning or in any choice, beside dumb rivals.

Every figure is the mean over seeds of nested cross-validation. More seeds are not more failures: intervals are over
failures, exact binomial ones (Clopper and Pearson 1934) for shares, bootstrap ones for the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.errors import TooLittle
from saqiya.models.folds import deal, turns
from saqiya.models.recipes import SMALL, Recipe, choose
from saqiya.triage.namer import learn_names

__all__ = ["NamingReport", "OpenSet", "Rival", "Share", "Skill", "judge_names", "judge_new"]

OUTER_N = 5
RESAMPLES_N = 2000
LEVEL = 0.95
BOOTSTRAP_SEED = 20261121


@dataclass(frozen=True)
class Rival:
    """What a namer must beat: rows of its own, and learners that get the same choice among them."""

    name: str
    rows: Vector
    recipes: Sequence[Recipe]


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval; `n` is what it is a share of."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Skill:
    """How often one way of naming is right: of all failures, and as the mean over names."""

    name: str
    accuracy: Share
    balanced: Share
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class NamingReport:
    """What nested cross-validation said.

    Attributes:
        own: always giving the likeliest name.
        rivals: beside it, the same folds and seeds.
        gain: accuracy less that of the best rival, with its interval over failures.
        recall: by name; `named_right` etc. are shares.
        answered: share that was given a name at all; `right_when_answered` of those.
        refused_as_new: share of failures of known kinds that were refused as new.
        confidence: mean confidence; calibrated when near the accuracy.
        confusion: (true name, given name) to its mean count a seed, where not zero.
        recipes: learner to how often it was chosen.
        thin: names with too few distinct examples to be judged: absent from training when they are judged.
    """

    failures_n: int
    distinct_n: int
    names: tuple[tuple[str, int], ...]
    seeds: tuple[int, ...]
    own: Skill
    rivals: tuple[Skill, ...]
    gain: tuple[float, float, float]
    recall: tuple[tuple[str, Share], ...]
    answered: Share
    right_when_answered: Share
    refused_as_new: Share
    confidence: float
    confusion: tuple[tuple[str, str, float], ...]
    recipes: tuple[tuple[str, int], ...]
    thin: tuple[str, ...]


@dataclass(frozen=True)
class OpenSet:
    """How often failures of a kind that was not learned are not given a wrong name: refused as new, or as unsure."""

    name: str
    refused_as_new: Share
    not_named: Share


def judge_names(
    rows: Vector,
    names: Sequence[str],
    groups: NDArray[np.int64],
    *,
    seeds: Sequence[int],
    rivals: Sequence[Rival] = (),
    recipes: Sequence[Recipe] = SMALL,
    budget: float = 0.1,
) -> NamingReport:
    """Judge naming by nested cross-validation: 5 outer folds to judge, 4 inner ones for every choice, for each seed.

    Args:
        rows: float64 (n, F), features.
        names: n true names.
        groups: int64 (n,), copies share a number and a fold.
        seeds: one full cross-validation each.
        rivals: judged on the same folds; the commonest name is always among them.
        recipes: learners to choose from.
        budget: share of known failures that may be refused as new.

    Raises:
        TooLittle: fewer than two names have two distinct failures.
    """
    known, labels = _numbered(names)
    distinct = [len(np.unique(groups[labels == number])) for number in range(len(known))]
    if sum(size >= 2 for size in distinct) < 2:
        raise TooLittle(
            f"{len(labels)} failures of {len(known)} names cannot be judged",
            remedy="Two names with two or more distinct failures each are needed.",
        )
    ways = ["the learned namer", *(rival.name for rival in rivals), "the commonest name"]
    guesses = np.zeros((len(seeds), len(ways), len(labels)), dtype=np.int64)
    confidence, answered, refused = (np.zeros((len(seeds), len(labels))) for _ in range(3))
    used: Counter[str] = Counter()
    for at, seed in enumerate(seeds):
        fold = deal(labels, groups, folds_n=min(OUTER_N, len(np.unique(groups))), seed=seed)
        for learn, judge in turns(fold):
            namer = learn_names(
                rows[learn],
                [known[label] for label in labels[learn]],
                groups=groups[learn],
                budget=budget,
                seed=seed,
                recipes=recipes,
            )
            used[namer.recipe] += 1
            for row, said in zip(judge, namer.name(rows[judge]), strict=True):
                guesses[at, 0, row] = known.index(said.likeliest)
                confidence[at, row] = said.confidence
                answered[at, row], refused[at, row] = not said.why_not, said.why_not == "new"
            for number, rival in enumerate(rivals, start=1):
                guesses[at, number, judge] = _rival(rival, labels, groups, learn, judge, seed)
            guesses[at, -1, judge] = int(np.argmax(np.bincount(labels[learn])))
    right = guesses == labels
    own, *others = (_skill(name, right[:, number], labels) for number, name in enumerate(ways))
    best = 1 + int(np.argmax([skill.accuracy.value for skill in others]))
    wins = (right[:, 0].mean(axis=0) - right[:, best].mean(axis=0)).astype(np.float64)
    answered_n = float(answered.sum(axis=1).mean())
    counts = Counter(
        (known[true], known[given]) for each in guesses[:, 0] for true, given in zip(labels, each, strict=True)
    )
    return NamingReport(
        failures_n=len(labels),
        distinct_n=len(np.unique(groups)),
        names=tuple((name, int(np.sum(labels == number))) for number, name in enumerate(known)),
        seeds=tuple(seeds),
        own=own,
        rivals=tuple(others),
        gain=(float(wins.mean()), *_bootstrap(wins, np.zeros_like(labels))),
        recall=tuple(
            (name, _share(right[:, 0][:, labels == number].sum(axis=1).mean(), int(np.sum(labels == number))))
            for number, name in enumerate(known)
        ),
        answered=_share(answered_n, len(labels)),
        right_when_answered=_share((answered * right[:, 0]).sum(axis=1).mean(), round(answered_n)),
        refused_as_new=_share(refused.sum(axis=1).mean(), len(labels)),
        confidence=float(confidence.mean()),
        confusion=tuple((*pair, n / len(seeds)) for pair, n in sorted(counts.items())),
        recipes=tuple(used.most_common()),
        thin=tuple(name for name, size in zip(known, distinct, strict=True) if size < 2),
    )


def judge_new(
    rows: Vector,
    names: Sequence[str],
    groups: NDArray[np.int64],
    *,
    seeds: Sequence[int],
    recipes: Sequence[Recipe] = SMALL,
    budget: float = 0.1,
) -> tuple[OpenSet, ...]:
    """Leave out each name in turn, learn the others, and count how often its failures are given none of their names.

    A name is passed over where fewer than two others with two distinct failures remain. Copies that carry the name
    left out are never learned from under another name.
    """
    known, labels = _numbered(names)
    found = []
    for number, name in enumerate(known):
        new = labels == number
        rest = np.flatnonzero(~new & ~np.isin(groups, groups[new]))
        sizes = [len(np.unique(groups[rest][labels[rest] == other])) for other in np.unique(labels[rest])]
        if sum(size >= 2 for size in sizes) < 2:
            continue
        as_new, not_named = [], []
        for seed in seeds:
            namer = learn_names(
                rows[rest],
                [known[label] for label in labels[rest]],
                groups=groups[rest],
                budget=budget,
                seed=seed,
                recipes=recipes,
            )
            said = namer.name(rows[new])
            as_new.append(sum(one.why_not == "new" for one in said))
            not_named.append(sum(bool(one.why_not) for one in said))
        size = int(new.sum())
        found.append(OpenSet(name, _share(float(np.mean(as_new)), size), _share(float(np.mean(not_named)), size)))
    return tuple(found)


def _rival(
    rival: Rival,
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    learn: NDArray[np.int64],
    judge: NDArray[np.int64],
    seed: int,
) -> NDArray[np.int64]:
    present, own = np.unique(labels[learn], return_inverse=True)
    chosen = choose(rival.recipes, rival.rows[learn], own, groups[learn], seed=seed)
    guesses: NDArray[np.int64] = present[chosen.probabilities(rival.rows[judge]).argmax(axis=1)]
    return guesses


def _numbered(names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    known = tuple(sorted(set(names)))
    return known, np.array([known.index(name) for name in names], dtype=np.int64)


def _skill(name: str, right: NDArray[np.bool_], labels: NDArray[np.int64]) -> Skill:
    """Measure one way of naming; `right` is bool (seeds, n)."""
    each = right.mean(axis=0)
    balanced = float(np.mean([each[labels == label].mean() for label in np.unique(labels)]))
    weights = np.array([1.0 / np.sum(labels == label) for label in labels]) * len(labels) / len(np.unique(labels))
    low, high = _bootstrap(each * weights, labels)
    if (each == 1.0).all():  # no resample differs: the smallest class says how little that proves
        exact = _share(balanced * np.bincount(labels).min(), int(np.bincount(labels).min()))
        low, high = exact.low, exact.high
    return Skill(
        name,
        _share(each.sum(), len(labels)),
        Share(balanced, max(0.0, low), min(1.0, high), len(labels)),
        tuple(float(one.mean()) for one in right),
    )


def _bootstrap(values: Vector, strata: NDArray[np.int64]) -> tuple[float, float]:
    """Return the percentile interval of the mean, rows drawn again within their stratum."""
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    total = np.zeros(RESAMPLES_N)
    for stratum in np.unique(strata):
        own = values[strata == stratum]
        total += own[rng.integers(0, len(own), (RESAMPLES_N, len(own)))].sum(axis=1)
    low, high = np.quantile(total / len(values), [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return float(low), float(high)


def _share(count: float, n: int) -> Share:
    """Return count / n with its exact interval; a mean over seeds may be a count that is no whole number."""
    from scipy import stats

    if n == 0:
        return Share(0.0, 0.0, 1.0, 0)
    count, tail = min(float(count), float(n)), (1.0 - LEVEL) / 2.0
    low = 0.0 if count <= 0.0 else float(stats.beta.ppf(tail, count, n - count + 1.0))
    high = 1.0 if count >= n else float(stats.beta.ppf(1.0 - tail, count + 1.0, n - count))
    return Share(count / n, low, high, n)
