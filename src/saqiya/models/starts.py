"""The space of starts: how far one start lies from others, measured in shares of each factor's range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import Start
from saqiya.errors import UsageError

__all__ = ["encode", "farthest_first", "nearest_distance", "spacing"]

SPACING_QUANTILE = 0.95


def encode(starts: Sequence[Start], ranges: Mapping[str, tuple[float, float]]) -> Vector:
    """Place starts in one space, float64 (n, D): numbers as shares of their range, words as equal or not (distance 1).

    Factors without a declared range (a real cell) are scaled by the span of the given starts. Encode everything that
    is to be compared in one call.

    Raises:
        UsageError: the starts do not share the same factors, or have none.
    """
    if not starts:
        return np.zeros((0, 0))
    names = sorted(starts[0].factors)
    odd = next((start for start in starts if sorted(start.factors) != names), None)
    if odd is not None or not names:
        had = ", ".join(sorted(odd.factors)) if odd is not None else "none"
        raise UsageError(
            f"starts have different factors or none: {', '.join(names) or 'none'} and {had}",
            remedy="Name the same start factors in every episode.",
        )
    columns: list[Vector] = []
    for name in names:
        values = [start.factors[name] for start in starts]
        if any(isinstance(value, str) for value in values):
            words = sorted({str(value) for value in values})
            columns.extend(np.array([str(value) == word for value in values]) / np.sqrt(2.0) for word in words)
            continue
        numbers = np.array(values, dtype=np.float64)
        low, high = ranges.get(name, (float(numbers.min()), float(numbers.max())))
        columns.append((numbers - low) / (high - low) if high > low else np.zeros(len(numbers)))
    return np.stack(columns, axis=1)


def nearest_distance(candidates: Vector, covered: Vector) -> Vector:
    """Return float64 (n,): for each candidate row its distance to the nearest covered row; infinite when none is."""
    if not len(covered):
        return np.full(len(candidates), np.inf)
    if not len(candidates):
        return np.zeros(0)
    from scipy.spatial import cKDTree

    distance: Vector = cKDTree(covered).query(candidates)[0]
    return distance


def spacing(covered: Vector) -> float:
    """Return how far apart covered starts lie: the 95 % quantile of the distance to the nearest other one.

    A start farther than this from all of them lies outside. With fewer than two it is infinite: nothing can be said.
    """
    if len(covered) < 2:
        return float("inf")
    from scipy.spatial import cKDTree

    distance = cKDTree(covered).query(covered, k=2)[0][:, 1]
    return float(np.quantile(distance, SPACING_QUANTILE))


def farthest_first(candidates: Vector, covered: Vector, n: int) -> tuple[int, ...]:
    """Choose up to `n` candidate rows, each the farthest from everything covered or chosen so far (Gonzalez 1985).

    Ties go to the earlier row; with nothing covered yet, the row nearest to the candidates' middle comes first. A
    candidate that repeats a chosen one comes last, and is still chosen when nothing else is left.
    """
    if not len(candidates) or n <= 0:
        return ()
    chosen: list[int] = []
    if len(covered):
        distance = nearest_distance(candidates, covered)
    else:
        middle = np.linalg.norm(candidates - candidates.mean(axis=0), axis=1)
        chosen.append(int(np.argmin(middle)))
        distance = np.linalg.norm(candidates - candidates[chosen[0]], axis=1)
    while len(chosen) < min(n, len(candidates)):
        free = distance.copy()
        free[chosen] = -1.0
        chosen.append(int(np.argmax(free)))
        distance = np.minimum(distance, np.linalg.norm(candidates - candidates[chosen[-1]], axis=1))
    return tuple(chosen)
