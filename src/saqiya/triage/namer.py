"""Names failures as people named earlier ones: learned from few, calibrated, and silent where it should be.

A failure is refused as new when it looks unlike what was learned in either of two ways: it lies between the known
names (no name is likely), or away from all of them (its nearest known failure is far). Each is a conformal test
(Vovk et al. 2005) against known failures that the learner had not seen; half of the budget goes to each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.errors import TooLittle, UsageError
from saqiya.models.recipes import SMALL, Chosen, Recipe, choose, soften

__all__ = ["UNKNOWN", "Named", "Namer", "learn_names"]

UNKNOWN = "unknown"
SURE = 0.5
FAR = 5.0
"""A single feature counts for at most this many spreads in a distance: one wild value is no new kind of failure."""


@dataclass(frozen=True)
class Named:
    """What a failure is called.

    Attributes:
        label: the name, or "unknown".
        confidence: calibrated probability of `likeliest`, given that it is one of the known names.
        likeliest: the best known name, whether or not it was given.
        why_not: "" when it was named, "new" when it looks like none of the known, "unsure" when no name is likely.
        newness: p-value; as small as this for at most that share of failures of the known kinds.
    """

    label: str
    confidence: float
    likeliest: str
    why_not: str
    newness: float


@dataclass(frozen=True)
class Namer:
    """What `learn_names` learned.

    Attributes:
        names: known names, in order.
        recipe: the learner that was chosen.
        budget: share of failures of known kinds that may be refused as new.
        thin: names with a single distinct example, which nothing could be checked on.
    """

    names: tuple[str, ...]
    recipe: str
    budget: float
    thin: tuple[str, ...]
    _chosen: Chosen
    _far: Callable[[Vector], Vector]
    _unsure_seen: Vector
    _far_seen: Vector

    def probabilities(self, rows: Vector) -> Vector:
        """Return float64 (t, K): the probability of each known name, in the order of `names`."""
        return self._chosen.probabilities(rows)

    def newness(self, rows: Vector) -> Vector:
        """Return float64 (t,), p-values of looking like the known failures; small is new."""
        unsure = _rank(1.0 - self.probabilities(rows).max(axis=1), self._unsure_seen)
        far = _rank(self._far(rows), self._far_seen)
        both: Vector = np.minimum(1.0, 2.0 * np.minimum(unsure, far))
        return both

    def name(self, rows: Vector) -> tuple[Named, ...]:
        """Name failures, each a row of the features that were learned from: float64 (t, F), or (F,) for one.

        Raises:
            UsageError: rows have other features than those learned from.
        """
        rows = np.atleast_2d(np.asarray(rows, dtype=np.float64))
        likely, newness = self.probabilities(rows), self.newness(rows)
        found = []
        for shares, new in zip(likely, newness, strict=True):
            best = int(np.argmax(shares))
            why_not = "new" if new <= self.budget else "unsure" if shares[best] < SURE else ""
            name = self.names[best]
            found.append(Named(UNKNOWN if why_not else name, float(shares[best]), name, why_not, float(new)))
        return tuple(found)


def learn_names(
    rows: Vector,
    names: Sequence[str],
    *,
    groups: NDArray[np.int64] | None = None,
    budget: float = 0.1,
    seed: int = 0,
    recipes: Sequence[Recipe] = SMALL,
) -> Namer:
    """Learn to name failures from those that people named.

    Args:
        rows: float64 (n, F), features of named failures (`saqiya.models.windows`, or any others); NaN is missing.
        names: n names.
        groups: int64 (n,); failures with the same number are copies and are never parted when recipes are compared.
        budget: share of failures of known kinds that may be refused as new. Fewer than 2 / budget examples cannot
            show that anything is new: then nothing is refused as new, only as unsure.
        seed: of folds and learners.
        recipes: learners to choose from.

    Raises:
        TooLittle: fewer than two names, or no name has two examples.
        UsageError: rows and names do not go together.
    """
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or len(rows) != len(names):
        raise UsageError(f"rows of shape {rows.shape} do not go with {len(names)} names", remedy="Give a row a name.")
    known = tuple(sorted(set(names)))
    if len(known) < 2:
        raise TooLittle(
            f"only one name, {known[0]!r}, was given" if known else "no failure has a name",
            remedy="Name failures of a second kind.",
        )
    labels = np.array([known.index(name) for name in names], dtype=np.int64)
    own = np.arange(len(rows)) if groups is None else groups
    chosen = choose(recipes, rows, labels, own, seed=seed)
    distances = _distances(rows)
    apart: Vector = np.where(own[:, None] == own[None], np.inf, distances(rows))
    distinct = Counter(known[labels[np.flatnonzero(own == group)[0]]] for group in np.unique(own))
    return Namer(
        names=known,
        recipe=chosen.name,
        budget=budget,
        thin=tuple(name for name in known if distinct[name] < 2),
        _chosen=chosen,
        _far=lambda given: distances(given).min(axis=1),
        _unsure_seen=1.0 - chosen.unseen.max(axis=1),
        _far_seen=apart.min(axis=1),
    )


def _distances(rows: Vector) -> Callable[[Vector], Vector]:
    """Return a function from rows (t, F) to their distances (t, n) from these rows, features scaled by their spread."""
    soft = soften(rows)
    bent = soft(rows)
    centre, spread = bent.mean(axis=0), bent.std(axis=0)
    spread[spread <= 0.0] = 1.0

    def scaled(given: Vector) -> Vector:
        clipped: Vector = np.clip((soft(given) - centre) / spread, -FAR, FAR)
        return clipped

    learned = scaled(rows)

    def distances(given: Vector) -> Vector:
        here = scaled(given)
        apart: Vector = np.sqrt(((here[:, None] - learned[None]) ** 2).sum(axis=2))
        return apart

    return distances


def _rank(scores: Vector, seen: Vector) -> Vector:
    below: Vector = np.searchsorted(np.sort(seen), scores, side="left").astype(np.float64)
    return (1.0 + len(seen) - below) / (1.0 + len(seen))
