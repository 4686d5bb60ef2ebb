"""Conditions under which tries fail more often than elsewhere, tested so that many looks do not invent one.

After the search for problematic slices (Chung et al. 2019; Sagadeeva and Boehm 2021), with exact tests where those rank
by the size of an effect. A slice has at most two literals, and a pair must say more than either of them alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from saqiya.triage.conditions import Factors, Table, tabulate

__all__ = ["Slice", "slices_by_mode", "slices_of"]

FALSE_DISCOVERIES = 0.1
LEVEL = 0.95
ON_ITS_OWN = 0.05
"""A slice that stands out must fail more, at this level, also where no slice kept before it lies."""


@dataclass(frozen=True)
class Slice:
    """One condition, or two that hold together.

    Attributes:
        literals: (factor, value), one or two.
        failures, trials: within it.
        low, high: exact 90 % interval of its failure rate (two one-sided 95 % bounds, Clopper and Pearson 1934).
        rest: (failures, trials) outside of it, where the factors are known.
        lift: its failure rate over the rate outside; None where nothing failed outside.
        lift_low, lift_high: 90 % interval of the lift, by the logarithm with one half added to each count (Walter
            1975); of slices that stand out the intervals hold together, after the choice (Benjamini and Yekutieli
            2005). `lift_high` is None where nothing failed outside.
        p_value: Fisher's exact test, one-sided: more failures than outside. Of a pair the largest of three: than
            outside, than elsewhere in the one condition, than elsewhere in the other.
        q_value: p adjusted for all conditions looked at (Benjamini and Hochberg 1995); conditions and pairs share the
            error in halves, so that a thousand pairs do not hide a condition (weights: Genovese et al. 2006).
        stands_out: q at most .10, and no slice that is kept explains it.
        explained_by: the kept slice that leaves nothing of this one which would stand out otherwise, else "".
    """

    literals: tuple[tuple[str, str], ...]
    failures: int
    trials: int
    low: float
    high: float
    rest: tuple[int, int]
    lift: float | None
    lift_low: float
    lift_high: float | None
    p_value: float
    q_value: float
    stands_out: bool
    explained_by: str = ""

    @property
    def factor(self) -> str:
        """The name of what is looked at."""
        return " and ".join(factor for factor, _ in self.literals)

    @property
    def value(self) -> str:
        """Its value."""
        return " and ".join(value for _, value in self.literals)

    @property
    def condition(self) -> str:
        """Both in words."""
        return " and ".join(f"{factor} is {value}" for factor, value in self.literals)


@dataclass
class _Cell:
    """A slice under test; `factors` are columns of the table, `codes` their values."""

    mode: int
    factors: tuple[int, ...]
    codes: tuple[int, ...]
    count: tuple[int, int, int, int]  # failures and trials inside, failures and trials where the factors are known
    tested: bool = False
    p_value: float = 1.0
    q_value: float = 1.0
    explained_by: str = ""

    @property
    def found(self) -> bool:
        return self.q_value <= FALSE_DISCOVERIES and not self.explained_by

    def inside(self, table: Table) -> NDArray[np.bool_]:
        held: NDArray[np.bool_] = (table.codes[:, self.factors] == self.codes).all(axis=1)
        return held

    def literals(self, table: Table) -> tuple[tuple[str, str], ...]:
        return tuple((table.factors[f], table.values[f][c]) for f, c in zip(self.factors, self.codes, strict=True))


def slices_of(trials: Sequence[tuple[Factors, bool]]) -> tuple[Slice, ...]:
    """Test every condition, and every pair of two factors' conditions, for more failures than elsewhere.

    All single conditions come back, tested or not; pairs only where they stand out or would but for another slice.
    What stands out comes first, then by the upper bound of the failure rate.

    Numbers are cut at their quartiles. A factor that has one value only, or is unknown for every try, says nothing.
    What so few tries cannot show, whatever came of them, is not tested and costs nothing (Tarone 1990).

    Args:
        trials: (conditions, failed) of each try.
    """
    failed = np.array([[failed] for _, failed in trials], dtype=bool)
    return _slices(tabulate([factors for factors, _ in trials]), failed)[0]


def slices_by_mode(trials: Sequence[tuple[Factors, str]]) -> dict[str, tuple[Slice, ...]]:
    """Say of each failure mode which conditions produce it: `slices_of`, with its tries against all the others.

    Args:
        trials: (conditions, the mode of its failure) of each try, "" for a success. One adjustment covers all modes.
    """
    modes = sorted({mode for _, mode in trials} - {""})
    failed = np.array([[told == mode for mode in modes] for _, told in trials], dtype=bool)
    return dict(zip(modes, _slices(tabulate([factors for factors, _ in trials]), failed), strict=True)) if modes else {}


def _slices(table: Table, failed: NDArray[np.bool_]) -> list[tuple[Slice, ...]]:
    """Search for each column of `failed`, (n, modes), with one adjustment over all of them."""
    failed = failed if len(failed) else np.zeros((0, 1), dtype=bool)
    columns = range(len(table.factors))
    single = [cell for one in columns for cell in _cells(table, (one,), failed)]
    pairs = [cell for both in combinations(columns, 2) for cell in _cells(table, both, failed)]
    _test(single)
    _test(pairs)
    _beyond_literals(pairs, single)
    tested = [[cell for cell in family if cell.tested] for family in (single, pairs)]
    _adjust([family for family in tested if family])
    shown: list[list[_Cell]] = []
    for mode in range(failed.shape[1]):
        mine = [[cell for cell in family if cell.mode == mode] for family in (single, pairs)]
        _prune(table, failed[:, mode], *mine)
        shown.append([*mine[0], *(cell for cell in mine[1] if cell.q_value <= FALSE_DISCOVERIES)])
    chosen = sum(cell.found for cells in shown for cell in cells) / max(1, sum(len(family) for family in tested))
    return [_told(table, cells, chosen) for cells in shown]


def _cells(table: Table, factors: tuple[int, ...], failed: NDArray[np.bool_]) -> Iterable[_Cell]:
    """Count tries and failures in every combination of the factors' values that occurs, for every mode."""
    known = table.known(factors)
    sizes = [len(table.values[factor]) for factor in factors]
    cell_of = np.ravel_multi_index(tuple(table.codes[known][:, factors].T), sizes)
    trials = np.bincount(cell_of, minlength=int(np.prod(sizes)))
    for mode in range(failed.shape[1]):
        failures = np.bincount(cell_of[failed[known, mode]], minlength=len(trials))
        total = int(failures.sum())
        for one in np.flatnonzero(trials):
            codes = tuple(int(code) for code in np.unravel_index(one, sizes))
            yield _Cell(mode, factors, codes, (int(failures[one]), int(trials[one]), total, len(cell_of)))


def _more(count: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return Fisher's one-sided p for rows of (failures, trials, all failures, all trials)."""
    from scipy.stats import hypergeom

    failures, trials, all_failures, everything = count.reshape(-1, 4).T
    p_values: NDArray[np.float64] = hypergeom.sf(failures - 1, everything, all_failures, trials)
    return np.clip(p_values, 0.0, 1.0)


def _test(cells: Sequence[_Cell]) -> None:
    """Test cells against what is outside of them, where the numbers of tries and failures could show anything."""
    if not cells:
        return
    count = np.array([cell.count for cell in cells])
    best = count.copy()
    best[:, 0] = count[:, [1, 2]].min(axis=1)
    able = (_more(best) <= FALSE_DISCOVERIES) & (count[:, 1] < count[:, 3])
    for cell, p_value, testable in zip(cells, _more(count), able, strict=True):
        cell.p_value, cell.tested = float(p_value), bool(testable)


def _beyond_literals(pairs: Sequence[_Cell], single: Sequence[_Cell]) -> None:
    """Raise the p of each pair to the largest of its three: it must fail more than the rest of either literal.

    Intersection-union (Berger 1982): no adjustment is needed for three, and most pairs are far from passing.
    """
    alone = {(cell.mode, cell.factors[0], cell.codes[0]): cell for cell in single}
    promising = [cell for cell in pairs if cell.tested and cell.p_value <= FALSE_DISCOVERIES]
    for side in (0, 1):
        if not promising:
            return
        within = []
        for cell in promising:
            literal = alone[cell.mode, cell.factors[side], cell.codes[side]]
            within.append((*cell.count[:2], *literal.count[:2]))
        for cell, p_value in zip(promising, _more(np.array(within)), strict=True):
            cell.p_value = max(cell.p_value, float(p_value))


def _adjust(families: Sequence[Sequence[_Cell]]) -> None:
    """Adjust p-values for the false discovery rate over all families, each with an equal share of the error."""
    cells = [cell for family in families for cell in family]
    weighted = np.array([cell.p_value * len(families) * len(family) for family in families for cell in family])
    order = np.argsort(weighted, kind="stable")
    steps = weighted[order] / np.arange(1, len(order) + 1)
    least = np.minimum.accumulate(steps[::-1])[::-1]
    for place, q_value in zip(order, least, strict=True):
        cells[place].q_value = min(1.0, max(float(q_value), cells[place].p_value))


def _prune(table: Table, failed: NDArray[np.bool_], single: Sequence[_Cell], pairs: Sequence[_Cell]) -> None:
    """Keep what still fails more where nothing kept before it lies: pairs first, since they say more than literals.

    A pair whose two conditions both stay, and which fails as their lifts multiplied would have it, says nothing new.
    """
    kept: list[tuple[_Cell, NDArray[np.bool_]]] = []
    covered: NDArray[np.bool_] = np.zeros(len(failed), dtype=bool)
    for family in (pairs, single):
        for cell in sorted(family, key=lambda cell: (cell.p_value, -cell.count[1], cell.factors, cell.codes)):
            if cell.q_value > FALSE_DISCOVERIES:
                continue
            inside = cell.inside(table)
            known = table.known(cell.factors) & ~covered
            new = inside & known
            count = [(new & failed).sum(), new.sum(), (known & failed).sum(), known.sum()]
            if kept and _more(np.array(count))[0] > ON_ITS_OWN:
                nearest = max(kept, key=lambda one: int((one[1] & inside).sum()))
                cell.explained_by = _words(nearest[0].literals(table))
            else:
                kept.append((cell, inside))
                covered |= inside
    literals = {(cell.factors[0], cell.codes[0]): inside for cell, inside in kept if len(cell.factors) == 1}
    for cell, _ in kept:
        sides = [literals[one] for one in zip(cell.factors, cell.codes, strict=True) if one in literals]
        both = len(cell.factors) == len(sides) == 2
        if both and not _more_than_product(sides[0], sides[1], table.known(cell.factors), failed):
            cell.explained_by = f"{_words(cell.literals(table)[:1])}, and {_words(cell.literals(table)[1:])}"


def _more_than_product(
    one: NDArray[np.bool_], other: NDArray[np.bool_], known: NDArray[np.bool_], failed: NDArray[np.bool_]
) -> bool:
    """Say whether both together fail more than their two lifts multiplied, by the ratio of ratios' 95 % bound."""
    ratio = variance = 0.0
    for where, sign in ((one & other, 1), (one & ~other, -1), (~one & other, -1), (~one & ~other, 1)):
        failures, trials = (where & known & failed).sum() + 0.5, (where & known).sum() + 0.5
        ratio += sign * np.log(failures / trials)
        variance += 1.0 / failures - 1.0 / trials
    from scipy.stats import norm

    return bool(ratio > norm.ppf(LEVEL) * np.sqrt(variance))


def _words(literals: Iterable[tuple[str, str]]) -> str:
    return " and ".join(f"{factor} is {value}" for factor, value in literals)


def _told(table: Table, cells: Sequence[_Cell], chosen: float) -> tuple[Slice, ...]:
    """Put cells in words and intervals; `chosen` is the share of all tested slices that stand out."""
    from scipy.stats import beta, norm

    count = np.array([cell.count for cell in cells], dtype=np.float64).reshape(-1, 4).T
    failures, trials, rest = count[0], count[1], count[2:] - count[:2]
    reach = np.array([norm.ppf(1.0 - (1.0 - LEVEL) * (chosen if cell.found else 1.0)) for cell in cells])
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(failures == 0, 0.0, beta.ppf(1.0 - LEVEL, failures, trials - failures + 1))
        high = np.where(failures == trials, 1.0, beta.ppf(LEVEL, failures + 1, trials - failures))
        lift = (failures / trials) / (rest[0] / rest[1])
    middle = np.log((failures + 0.5) / (trials + 0.5)) - np.log((rest[0] + 0.5) / (rest[1] + 0.5))
    spread = np.sqrt(1 / (failures + 0.5) - 1 / (trials + 0.5) + 1 / (rest[0] + 0.5) - 1 / (rest[1] + 0.5))
    slices = [
        Slice(
            literals=cell.literals(table),
            failures=cell.count[0],
            trials=cell.count[1],
            low=float(low[at]),
            high=float(high[at]),
            rest=(cell.count[2] - cell.count[0], cell.count[3] - cell.count[1]),
            lift=float(lift[at]) if rest[0][at] else None,
            lift_low=float(np.exp(middle[at] - reach[at] * spread[at])),
            lift_high=float(np.exp(middle[at] + reach[at] * spread[at])) if rest[0][at] else None,
            p_value=cell.p_value,
            q_value=cell.q_value,
            stands_out=cell.found,
            explained_by=cell.explained_by,
        )
        for at, cell in enumerate(cells)
    ]
    return tuple(sorted(slices, key=lambda one: (not one.stands_out, -one.high, -one.trials, one.factor, one.value)))
