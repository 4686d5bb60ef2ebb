"""Conditions under which tries fail more often than elsewhere, tested so that many looks do not invent one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

__all__ = ["Slice", "slices_of"]

FALSE_DISCOVERIES = 0.1
LEVEL = 0.95


@dataclass(frozen=True)
class Slice:
    """One condition.

    Attributes:
        failures, trials: within it.
        low, high: exact 90 % interval of its failure rate (two one-sided 95 % bounds, Clopper and Pearson 1934).
        rest: (failures, trials) outside of it.
        lift: its failure rate over the rate outside; None where nothing failed outside.
        p_value: Fisher's exact test, one-sided: more failures than outside.
        q_value: p adjusted for all conditions looked at (Benjamini and Hochberg 1995).
        stands_out: q at most .10.
    """

    factor: str
    value: str
    failures: int
    trials: int
    low: float
    high: float
    rest: tuple[int, int]
    lift: float | None
    p_value: float
    q_value: float
    stands_out: bool


def slices_of(trials: Sequence[tuple[Mapping[str, str], bool]]) -> tuple[Slice, ...]:
    """Test every value of every factor; what stands out comes first, then by the upper bound of the failure rate.

    `trials` are (factors, failed). A factor that has one value only, or is unknown for every trial, says nothing.
    """
    found: list[tuple[str, str, int, int, tuple[int, int]]] = []
    for factor in sorted({name for factors, _ in trials for name in factors}):
        known = [(factors[factor], failed) for factors, failed in trials if factor in factors]
        for value in sorted({word for word, _ in known}):
            inside = [failed for word, failed in known if word == value]
            outside = [failed for word, failed in known if word != value]
            if outside:
                found.append((factor, value, sum(inside), len(inside), (sum(outside), len(outside))))
    p_values = [_fisher(k, n, rest) for _, _, k, n, rest in found]
    slices = [
        _slice(item, p_value, q_value)
        for item, p_value, q_value in zip(found, p_values, _adjusted(p_values), strict=True)
    ]
    return tuple(
        sorted(slices, key=lambda item: (not item.stands_out, -item.high, -item.trials, item.factor, item.value))
    )


def _slice(item: tuple[str, str, int, int, tuple[int, int]], p_value: float, q_value: float) -> Slice:
    factor, value, failures, trials, rest = item
    low = 0.0 if failures == 0 else float(stats.beta.ppf(1.0 - LEVEL, failures, trials - failures + 1))
    high = 1.0 if failures == trials else float(stats.beta.ppf(LEVEL, failures + 1, trials - failures))
    lift = (failures / trials) / (rest[0] / rest[1]) if rest[0] else None
    return Slice(factor, value, failures, trials, low, high, rest, lift, p_value, q_value, q_value <= FALSE_DISCOVERIES)


def _fisher(failures: int, trials: int, rest: tuple[int, int]) -> float:
    table = [[failures, trials - failures], [rest[0], rest[1] - rest[0]]]
    return float(stats.fisher_exact(table, alternative="greater").pvalue)


def _adjusted(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for the false discovery rate, keeping their order."""
    order = np.argsort(p_values)
    adjusted = [1.0] * len(p_values)
    least = 1.0
    for rank in range(len(order), 0, -1):
        number = int(order[rank - 1])
        least = min(least, p_values[number] * len(p_values) / rank)
        adjusted[number] = least
    return adjusted
