"""The conditions of tries as whole numbers: words as they are, numbers in four bins that never saw an outcome."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Condition", "Factors", "Table", "tabulate"]

BINS_N = 4
MOST_LEVELS_N = 12
FEWEST_AT_LEVEL_N = 5
"""Numbers that come again and again are names (stations, plates): up to 12 of them, of 5 tries each on average."""
Condition = str | float
Factors = Mapping[str, Condition]
"""The conditions of one try by name (object, object_x, site, operator, light, policy); what is unknown is left out."""


@dataclass(frozen=True)
class Table:
    """Every try's conditions.

    Attributes:
        factors: names, sorted; only those that have at least two values.
        values: for each factor what its codes stand for ("dark", "0.21 to 0.265").
        codes: int64 (n, factors), -1 where a try does not say.
    """

    factors: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    codes: NDArray[np.int64]

    def known(self, factors: Sequence[int]) -> NDArray[np.bool_]:
        """Return which tries say all of the factors, by their numbers."""
        return np.asarray((self.codes[:, list(factors)] >= 0).all(axis=1))


def tabulate(tries: Sequence[Factors]) -> Table:
    """Code the conditions of tries; a factor of many numbers, and no word, is cut at its quartiles.

    A table of trials holds text: where all of it reads as numbers, they are numbers. A few numbers that many tries
    share are taken as names.
    """
    factors, values, columns = [], [], []
    for factor in sorted({name for one in tries for name in one}):
        said = [one.get(factor) for one in tries]
        numbers = [_number(value) for value in said if value is not None]
        levels_n = len(set(numbers))
        names = levels_n <= BINS_N or (levels_n <= MOST_LEVELS_N and len(numbers) >= FEWEST_AT_LEVEL_N * levels_n)
        continuous = None not in numbers and not names
        words, codes = _binned(said) if continuous else _listed(said)
        if len(words) > 1:
            factors.append(factor)
            values.append(words)
            columns.append(codes)
    table = np.stack(columns, axis=1) if columns else np.zeros((len(tries), 0), dtype=np.int64)
    return Table(tuple(factors), tuple(values), table)


def _number(value: Condition) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _listed(said: Sequence[Condition | None]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    named = [None if value is None else value if isinstance(value, str) else f"{value:g}" for value in said]
    words = tuple(sorted({word for word in named if word is not None}))
    codes = {word: code for code, word in enumerate(words)}
    return words, np.array([-1 if word is None else codes[word] for word in named], dtype=np.int64)


def _binned(said: Sequence[Condition | None]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    numbers = np.array([math.nan if value is None else float(value) for value in said])
    known = np.isfinite(numbers)
    cuts = np.unique(np.quantile(numbers[known], np.linspace(0.0, 1.0, BINS_N + 1)[1:-1]))
    bins = np.searchsorted(cuts, numbers[known])  # a value that most tries share gets a bin of its own
    if not bins.any():
        bins = np.searchsorted(cuts, numbers[known], side="right")
    taken, codes = np.unique(bins, return_inverse=True)
    spans = [(float(numbers[known][bins == one].min()), float(numbers[known][bins == one].max())) for one in taken]
    words = tuple(f"{low:.4g} to {high:.4g}" if low < high else f"{low:.4g}" for low, high in spans)
    if len(set(words)) < len(words):
        words = tuple(f"{low!r} to {high!r}" for low, high in spans)
    coded = np.full(len(numbers), -1, dtype=np.int64)
    coded[known] = codes
    return words, coded
