"""Which of many episodes to train on: the ones that say most about places that nothing chosen so far says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.errors import UsageError

__all__ = ["Chosen", "choose"]

MOST_STEPS_N = 64
"""States of an episode that are compared: neighbours in time say the same."""


@dataclass(frozen=True)
class Chosen:
    """What was chosen, in that order, and what each was worth when its turn came: bits a step times distance."""

    indices: tuple[int, ...]
    worth: tuple[float, ...]


def choose(states: Sequence[Vector], bits: Sequence[Vector], known: Vector, k: int) -> Chosen:
    """Choose up to `k` episodes, one after the other, each worth the most beside what is known and chosen already.

    An episode is worth the mean over its steps of bits times distance to the nearest state that is known or chosen:
    what the policy does not know, where nothing near it was shown. A copy of what was chosen lies at distance zero and
    is worth nothing. The mean, not the sum: long episodes get no more for being long. With equal bits everywhere it is
    the farthest-first traversal of Gonzalez (1985), on episodes in place of points.

    Args:
        states: float64 (t, D) of each episode, all in one scale.
        bits: float64 (t,) of each episode, bits of each step; not negative.
        known: float64 (n, D), states that the policy was trained on; none at all is (0, D), and the first choice is
            then by bits alone.
        k: how many.

    Raises:
        UsageError: an episode has no state, or its bits do not belong to its states.
    """
    for index, (rows, worth) in enumerate(zip(states, bits, strict=True)):
        if not len(rows) or len(rows) != len(worth):
            raise UsageError(
                f"{len(worth)} bits for {len(rows)} states", subject=f"candidate {index}", remedy="One for each state."
            )
    kept = [_spread(len(rows)) for rows in states]
    places = [rows[keep] for rows, keep in zip(states, kept, strict=True)]
    weights = [worth[keep] for worth, keep in zip(bits, kept, strict=True)]
    far = [_nearest(rows, known) if len(known) else np.ones(len(rows)) for rows in places]
    chosen: list[int] = []
    worths: list[float] = []
    while len(chosen) < min(k, len(places)):
        value = [float(np.mean(w * d)) for w, d in zip(weights, far, strict=True)]
        best = max((i for i in range(len(places)) if i not in chosen), key=value.__getitem__)
        first = not chosen and not len(known)
        far = [_nearest(rows, places[best]) if first else np.minimum(d, _nearest(rows, places[best]))
               for rows, d in zip(places, far, strict=True)]  # fmt: skip
        chosen.append(best)
        worths.append(value[best])
    return Chosen(tuple(chosen), tuple(worths))


def _spread(n: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, MOST_STEPS_N)).round().astype(np.int64))


def _nearest(rows: Vector, others: Vector) -> Vector:
    from scipy.spatial import cKDTree

    distance: Vector = cKDTree(others).query(rows)[0]
    return distance
