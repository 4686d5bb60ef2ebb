"""Coverage over named factors: which values, and which pairs of values, were shown, are met, and were never shown.

What was *shown* can be trained on; what is *met* is what a deployed policy came across. A gap is a value, or a pair of
values that were both shown alone, which was never (or hardly ever) shown. Two factors of which each tells the other
(every site has its own operator) make no pairs: nothing can tell which of them matters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from saqiya.models.conditions import By, Said

__all__ = ["Coverage", "FactorTable", "Gap", "Pair", "Tries", "Value", "coverage", "tabulate"]

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]
MOST_VALUES_N = 64
"""A factor with more values has no pairs: it is a name for single tries, such as a file or a minute."""
LEVEL = 0.95
FIRST = ("task", "embodiment", "object")
APART = (By.SUGGESTED, By.UNREAD)


@dataclass(frozen=True)
class Tries:
    """What became of each try: bool and int64 arrays (n,).

    Attributes:
        shown: training can use it: a demonstration or correction that did not fail.
        met: a deployed policy's own try.
        lost: meant to show something, and training cannot use it: it failed, is in quarantine, or was turned down.
        judged: somebody said how it ended.
        failed: and it was not well.
        at_ns: when it was recorded, or came in.
    """

    shown: Flags
    met: Flags
    lost: Flags
    judged: Flags
    failed: Flags
    at_ns: Counts


@dataclass(frozen=True)
class FactorTable:
    """The factors of tries as numbers.

    Attributes:
        factors: names, in order.
        values: for each factor what its codes stand for; values that were declared and never seen are among them.
        codes: int64 (n, factors); -1 where nobody says.
        hints: int64 (n, factors); the same for what is only suggested, or no word of the list.
        by: for each factor how many tries each kind of author speaks for.
    """

    factors: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    codes: Counts
    hints: Counts
    by: tuple[dict[By, int], ...]


@dataclass(frozen=True)
class Value:
    """One value of one factor.

    Attributes:
        shown_n: tries that training can use; `shown_last_ns` is when the last of them was, None where none was.
        met_n: tries of deployed policies; `judged_n` of them have an outcome, `succeeded_n` a good one.
        low, high: exact 95 % interval of the success rate (Clopper and Pearson 1934); (0, 1) without an outcome.
        suggested_n: tries of which it is only suggested; they count nowhere else.
        lost_n: tries that were to show it, and that training cannot use.
    """

    factor: str
    value: str
    shown_n: int
    shown_last_ns: int | None
    met_n: int
    judged_n: int
    succeeded_n: int
    low: float
    high: float
    suggested_n: int
    lost_n: int


@dataclass(frozen=True)
class Pair:
    """Two factors against each other: int64 (values of the first, values of the second), by count.

    `impossible` marks what was said to be so.
    """

    factors: tuple[str, str]
    values: tuple[tuple[str, ...], tuple[str, ...]]
    shown: Counts
    met: Counts
    judged: Counts
    failed: Counts
    impossible: Flags

    @property
    def turned(self) -> Pair:
        """The same, with the second factor first."""
        (one, other), (rows, columns) = self.factors, self.values
        counts = self.shown.T, self.met.T, self.judged.T, self.failed.T
        return Pair((other, one), (columns, rows), *counts, self.impossible.T)


@dataclass(frozen=True)
class Gap:
    """A condition that was never shown, or hardly ever; of two factors at most.

    Attributes:
        factors: what holds, {factor: value}.
        met_n, failed_n: how often deployed policies met it, and failed there.
        shown_n: how often it was shown.
        why: one sentence.
        region: the same, a region of starts by its start factors: {"lighting": "dark", "object_x": "0.1..0.2"}.
        expected_failures: of as many tries as met it, at (failed + 1/2) / (judged + 1); gaps are ranked by it.
    """

    factors: dict[str, str]
    met_n: int
    failed_n: int
    shown_n: int
    why: str
    region: dict[str, str]
    expected_failures: float


@dataclass(frozen=True)
class Coverage:
    """What was shown and met, and what is missing.

    Attributes:
        values: by factor, every value, in order.
        pairs: by (factor, factor), in the table's order of factors.
        gaps: what deployment met first, by the failures to expect there; then what nobody met yet.
        together: pairs of factors of which each tells the other.
        spare: the one of each such two that is left out of the gaps of pairs, since the other says the same.
        crowded: factors with too many values for pairs.
        silent: factors of which no training try tells, though deployment or the file does.
        shown_n, met_n: tries of each kind.
    """

    values: Mapping[str, tuple[Value, ...]]
    by: Mapping[str, Mapping[By, int]]
    pairs: Mapping[tuple[str, str], Pair]
    gaps: tuple[Gap, ...]
    together: tuple[tuple[str, str], ...]
    spare: frozenset[str]
    crowded: tuple[str, ...]
    silent: tuple[str, ...]
    shown_n: int
    met_n: int
    thin_n: int


def tabulate(told: Sequence[Mapping[str, Said]], declared: Mapping[str, Sequence[str]]) -> FactorTable:
    """Code the factors of tries; spellings that differ in capitals alone are one value, the first one seen or declared.

    Args:
        told: of each try its factors.
        declared: values that ought to be there, by factor; a factor that nobody tells of has these alone.
    """
    factors = tuple(sorted({name for one in told for name in one} | set(declared)))
    columns = [_column([one.get(factor) for one in told], declared.get(factor, ())) for factor in factors]
    empty = np.zeros((len(told), 0), dtype=np.int64)
    return FactorTable(
        factors=factors,
        values=tuple(one[0] for one in columns),
        codes=np.stack([one[1] for one in columns], axis=1) if columns else empty,
        hints=np.stack([one[2] for one in columns], axis=1) if columns else empty,
        by=tuple(one[3] for one in columns),
    )


def _column(
    said: Sequence[Said | None], declared: Sequence[str]
) -> tuple[tuple[str, ...], Counts, Counts, dict[By, int]]:
    place = {value.casefold(): number for number, value in enumerate(declared)}
    words = list(declared)
    codes = np.full((2, len(said)), -1, dtype=np.int64)
    by: dict[By, int] = {}
    for row, one in enumerate(said):
        if one is None:
            continue
        folded = one.value.casefold()
        if folded not in place:
            place[folded] = len(words)
            words.append(one.value)
        codes[int(one.by in APART), row] = place[folded]
        by[one.by] = by.get(one.by, 0) + 1
    order = [*range(len(declared)), *sorted(range(len(declared), len(words)), key=lambda at: words[at].casefold())]
    rank = np.full(len(words) + 1, -1, dtype=np.int64)
    rank[order] = np.arange(len(words))
    return tuple(words[at] for at in order), rank[codes[0]], rank[codes[1]], by


def coverage(
    table: FactorTable,
    tries: Tries,
    *,
    impossible: Sequence[Mapping[str, str]] = (),
    thin_n: int = 5,
    region_of: Callable[[str, str], Mapping[str, str]] = lambda _factor, _value: {},
) -> Coverage:
    """Count values and pairs of values, and list what was never shown.

    Args:
        table: the factors of each try.
        tries: what became of each.
        impossible: pairs that cannot be, each {factor: value}.
        thin_n: a condition that deployment met and that was shown less often than this is a gap too.
        region_of: start factors of a region, by (factor, value).
    """
    sizes = [len(values) for values in table.values]
    crowded = tuple(name for name, size in zip(table.factors, sizes, strict=True) if size > MOST_VALUES_N)
    kinds = _kinds(tries)
    single = [_single(table, tries, kinds, column) for column in range(len(sizes))]
    wide = [column for column, size in enumerate(sizes) if 1 < size <= MOST_VALUES_N]
    cannot = {frozenset((name, value.casefold()) for name, value in one.items()) for one in impossible}
    found = [_pair(table, kinds, both, cannot) for both in combinations(wide, 2)]
    together = {one.factors for one in found if _tells(one)}
    values = dict(zip(table.factors, single, strict=True))
    pairs = {one.factors: one for one in found}
    shown_n = int(tries.shown.sum())
    gaps = [gap for some in single for gap in _gaps_of_values(some, thin_n, shown_n, region_of)]
    spare = _spare(table, together)
    for pair in found:
        if pair.factors not in together and spare.isdisjoint(pair.factors):
            gaps.extend(_gaps_of_pair(pair, thin_n, region_of))
    return Coverage(
        values=values,
        by=dict(zip(table.factors, table.by, strict=True)),
        pairs=pairs,
        gaps=tuple(sorted(gaps, key=lambda one: (not one.met_n, -one.expected_failures, -one.met_n, len(one.factors)))),
        together=tuple(sorted(together)),
        spare=spare,
        crowded=crowded,
        silent=tuple(name for name, some in values.items() if _silent(some)),
        shown_n=shown_n,
        met_n=int(tries.met.sum()),
        thin_n=thin_n,
    )


def _kinds(tries: Tries) -> Counts:
    """Number each try by what it was: 4 for shown; if met, 1 without an outcome, 2 where it went well, 3 where not."""
    met = np.where(tries.judged, np.where(tries.failed, 3, 2), 1)
    return 4 * tries.shown.astype(np.int64) + np.where(tries.met, met, 0)


@dataclass(frozen=True)
class _Counted:
    """Counts by cell, int64 (size,)."""

    shown: Counts
    met: Counts
    judged: Counts
    failed: Counts

    @classmethod
    def of(cls, cells: Counts, kinds: Counts, size: int) -> _Counted:
        count = np.bincount(cells * 8 + kinds, minlength=size * 8).reshape(size, 2, 4)
        met = count.sum(axis=1)
        return cls(count[:, 1].sum(axis=1), met[:, 1:].sum(axis=1), met[:, 2:].sum(axis=1), met[:, 3])


def _single(table: FactorTable, tries: Tries, kinds: Counts, column: int) -> tuple[Value, ...]:
    codes, size = table.codes[:, column], len(table.values[column])
    known = codes >= 0
    count = _Counted.of(codes[known], kinds[known], size)
    taught, last = known & tries.shown, np.zeros(size, dtype=np.int64)
    np.maximum.at(last, codes[taught], tries.at_ns[taught])
    hints = table.hints[:, column]
    suggested = np.bincount(hints[hints >= 0], minlength=size)
    lost = np.bincount(codes[known & tries.lost], minlength=size)
    succeeded = count.judged - count.failed
    low, high = _interval(succeeded, count.judged)
    return tuple(
        Value(
            factor=table.factors[column],
            value=value,
            shown_n=int(count.shown[at]),
            shown_last_ns=int(last[at]) if count.shown[at] else None,
            met_n=int(count.met[at]),
            judged_n=int(count.judged[at]),
            succeeded_n=int(succeeded[at]),
            low=float(low[at]),
            high=float(high[at]),
            suggested_n=int(suggested[at]),
            lost_n=int(lost[at]),
        )
        for at, value in enumerate(table.values[column])
    )


def _interval(successes: Counts, trials: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return exact two-sided 95 % bounds of rates; (0, 1) where there is no trial."""
    from scipy.special import betaincinv

    tail, failures = (1.0 - LEVEL) / 2.0, trials - successes
    low = np.where(successes > 0, betaincinv(np.maximum(successes, 1), failures + 1, tail), 0.0)
    high = np.where(failures > 0, betaincinv(successes + 1, np.maximum(failures, 1), 1.0 - tail), 1.0)
    return low, high


def _pair(table: FactorTable, kinds: Counts, both: tuple[int, int], cannot: set[frozenset[tuple[str, str]]]) -> Pair:
    one, other = both
    rows, columns = table.values[one], table.values[other]
    known = (table.codes[:, one] >= 0) & (table.codes[:, other] >= 0)
    cells = table.codes[known, one] * len(columns) + table.codes[known, other]
    count = _Counted.of(cells, kinds[known], len(rows) * len(columns))
    names, shape = (table.factors[one], table.factors[other]), (len(rows), len(columns))
    impossible = np.zeros(shape, dtype=np.bool_)
    for row, column in np.ndindex(*shape) if cannot else ():
        told = frozenset({(names[0], rows[row].casefold()), (names[1], columns[column].casefold())})
        impossible[row, column] = told in cannot
    return Pair(
        names,
        (rows, columns),
        count.shown.reshape(shape),
        count.met.reshape(shape),
        count.judged.reshape(shape),
        count.failed.reshape(shape),
        impossible,
    )


def _silent(values: Sequence[Value]) -> bool:
    return not any(one.shown_n for one in values) and any(one.met_n or not one.suggested_n for one in values)


def _tells(pair: Pair) -> bool:
    """Say whether each factor tells the other wherever both are known, so that nothing tells them apart."""
    there = (pair.shown + pair.met) > 0
    rows, columns = there.sum(axis=1), there.sum(axis=0)
    return bool(there.sum() > 1 and rows.max() == 1 and columns.max() == 1)


def _spare(table: FactorTable, together: set[tuple[str, str]]) -> frozenset[str]:
    """Return of each two factors that go together the one that is known of fewer tries; task and object stay."""
    known = dict(zip(table.factors, (table.codes >= 0).T, strict=True))
    spare: set[str] = set()
    for both in sorted(together):
        less, more = sorted(both, key=lambda name: (int(known[name].sum()), name in FIRST, name))
        if spare.isdisjoint(both) and not (known[less] & ~known[more]).any():
            spare.add(less)
    return frozenset(spare)


def _expected(met_n: int, judged_n: int, failed_n: int) -> float:
    return met_n * (failed_n + 0.5) / (judged_n + 1.0)


def _missing(shown_n: int, met_n: int, thin_n: int) -> bool:
    return shown_n == 0 or (met_n > 0 and shown_n < thin_n)


def _why(told: str, shown_n: int, count: tuple[int, int, int]) -> str:
    met_n, judged_n, failed_n = count
    often = "was never shown" if not shown_n else f"was shown {_times(shown_n)} only"
    if not met_n:
        return f"{told} {often}; deployment has not met it yet"
    met = f"deployment met it {_times(met_n)}"
    if not judged_n:
        return f"{told} {often}; {met}, and nobody judged that"
    if judged_n < met_n:
        return f"{told} {often}; {met}, and failed {failed_n} of the {judged_n} that somebody judged"
    return f"{told} {often}; {met} and {f'failed {_times(failed_n)}' if failed_n else 'never failed'}"


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


_Regions = Callable[[str, str], Mapping[str, str]]


def _gap(
    factors: dict[str, str], shown_n: int, count: tuple[int, int, int], region_of: _Regions, more: str = ""
) -> Gap:
    region = {name: part for one in factors.items() for name, part in (region_of(*one) or dict([one])).items()}
    told = " with ".join(f"{factor} {value}" for factor, value in factors.items())
    return Gap(factors, count[0], count[2], shown_n, _why(told, shown_n, count) + more, region, _expected(*count))


def _gaps_of_values(values: Sequence[Value], thin_n: int, shown_n: int, region_of: _Regions) -> list[Gap]:
    """List values that are missing; where no training try tells of the factor, nobody knows what was shown."""
    told_n = sum(one.shown_n for one in values)
    if not told_n:
        return []
    silent = f"; {shown_n - told_n} of {shown_n} training tries do not say" if told_n < shown_n else ""
    gaps = []
    for one in values:
        if _missing(one.shown_n, one.met_n, thin_n) and not (one.suggested_n and not one.met_n):
            count = (one.met_n, one.judged_n, one.judged_n - one.succeeded_n)
            lost = f"; {_times(one.lost_n)} it was tried, and training cannot use that" if one.lost_n else ""
            gaps.append(_gap({one.factor: one.value}, one.shown_n, count, region_of, lost + silent))
    return gaps


def _gaps_of_pair(pair: Pair, thin_n: int, region_of: _Regions) -> list[Gap]:
    """List pairs that are missing though each value was shown enough alone: else the value itself is the gap."""
    enough = [pair.shown.sum(axis=1 - axis) for axis in (0, 1)]
    gaps = []
    for row, column in np.argwhere((pair.shown < thin_n) & ~pair.impossible).tolist():
        shown_n, met_n = int(pair.shown[row, column]), int(pair.met[row, column])
        alone = min(int(enough[0][row]), int(enough[1][column]))
        if alone >= (thin_n if met_n else 1) and _missing(shown_n, met_n, thin_n):
            count = (met_n, int(pair.judged[row, column]), int(pair.failed[row, column]))
            factors = {pair.factors[0]: pair.values[0][row], pair.factors[1]: pair.values[1][column]}
            gaps.append(_gap(factors, shown_n, count, region_of))
    return gaps
