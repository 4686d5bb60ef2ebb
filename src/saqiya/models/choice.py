"""Which starts to show next: where the policy will probably fail, is unsure, and nothing near was shown yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import Start
from saqiya.errors import UsageError
from saqiya.models.starts import encode, nearest_distance

__all__ = ["Tried", "choose_starts", "failure_odds"]

FORGET = 0.6
"""Weight of a try for each retraining since: an older policy says less about the one of now."""
FEWEST_N = 8
"""Tries below which nothing is said of where the policy fails."""


@dataclass(frozen=True)
class Tried:
    """A try of the policy: where it began, whether it failed, and how many times the policy was retrained since."""

    start: Start
    failed: bool
    age: int = 0


def failure_odds(
    pool: Sequence[Start], tried: Sequence[Tried], covered: Sequence[Start], ranges: Mapping[str, tuple[float, float]]
) -> Vector:
    """Return how probable it is that the policy fails from each start of `pool`, float64 (n,).

    A logistic regression on the distance to what training covers, each factor, and each factor's distance from its
    middle; older tries weigh less. With fewer than eight tries, or all alike, every start gets 1/2.
    """
    outcomes = np.array([one.failed for one in tried], dtype=np.float64)
    if len(tried) < FEWEST_N or outcomes.min() == outcomes.max():
        return np.full(len(pool), 0.5)
    from sklearn.linear_model import LogisticRegression

    places = encode([*pool, *(one.start for one in tried), *covered], ranges)
    candidates, seen, known = np.split(places, [len(pool), len(pool) + len(tried)])

    def features(rows: Vector) -> Vector:
        far = nearest_distance(rows, known) if len(known) else np.zeros(len(rows))
        return np.column_stack([far, np.abs(rows - 0.5), rows - 0.5])

    weights = np.array([FORGET**one.age for one in tried])
    fitted = LogisticRegression().fit(features(seen), outcomes, sample_weight=weights)
    odds: Vector = fitted.predict_proba(features(candidates))[:, 1]
    return odds


def choose_starts(
    pool: Sequence[Start],
    covered: Sequence[Start],
    ranges: Mapping[str, tuple[float, float]],
    n: int,
    *,
    failing: Vector | None = None,
    unsure: Vector | None = None,
) -> tuple[int, ...]:
    """Choose up to `n` of `pool`, one after another, by failing x unsure x distance to what is covered or chosen.

    Distance alone would show corners that the policy masters already; failing alone shows the same corner again and
    again. The rule of two lines that it grew from (the failing starts farthest from training) needs a rollout for each
    candidate; here the candidates cost nothing, and rollouts only say where failures are.

    Args:
        pool: starts that could be shown, drawn from the whole region.
        covered: starts of the training episodes.
        ranges: full range of each start factor.
        n: how many to choose.
        failing: float64 (len(pool),), as `failure_odds` gives it; None: not known.
        unsure: float64 (len(pool),), how much the policy's members disagree at the first observation; None: black box.

    Raises:
        UsageError: starts have different factors, or a score has another length than the pool.
    """
    worth = np.ones(len(pool))
    for score in (failing, unsure):
        if score is None:
            continue
        if len(score) != len(pool):
            raise UsageError(f"{len(score)} scores for {len(pool)} starts", remedy="Give one score for each start.")
        worth = worth * score
    places = encode([*pool, *covered], ranges)
    candidates, known = places[: len(pool)], places[len(pool) :]
    middle = candidates.mean(axis=0, keepdims=True) if len(pool) else candidates
    far = nearest_distance(candidates, known if len(known) else middle)
    chosen: list[int] = []
    while len(chosen) < min(n, len(pool)):
        score = worth * far
        score[chosen] = -1.0
        chosen.append(int(np.argmax(score)))
        far = np.minimum(far, np.linalg.norm(candidates - candidates[chosen[-1]], axis=1))
    return tuple(chosen)
