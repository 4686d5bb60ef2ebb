"""Find sensors that stand still while the robot moves: a stream, a column of it, or a camera's picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import Stream
from saqiya.ingest.fault_values import column_name, table_of
from saqiya.ingest.findings import Finding, Severity, figures
from saqiya.models.roles import Role, roles_of

__all__ = ["check_frozen", "check_nothing_moves"]

SHORTEST_S = 0.5
STILL_S, STILL_N = 1.0, 20
FEWEST_N = 8
RESTLESS = 0.05
"""A column that repeats at most this share of its samples, even while the robot rests, has noise: it is never still."""
ALIKE, ALIKE_AT_END = 0.4, 0.7
"""How well two streams' speeds must agree (rank correlation) for one to vouch that the other should move."""
MOST_RUNS_N = 20
FEW_VALUES_N = 16
LEAP = 2.0
"""A sensor that comes back leaps to where the robot has got to: by this many times the 99 % quantile of its steps."""
BIN_S = 0.2


@dataclass(frozen=True)
class _Run:
    """Samples `[begin, end)` that are all equal."""

    begin: int
    end: int


def check_nothing_moves(sensors: Mapping[str, Stream]) -> list[Finding]:
    """Report a try in which no numeric stream ever changes: nobody can learn or diagnose anything from it."""
    lively = [one for one in sensors.values() if one.t_ns.size >= 2]
    if not lively or any(_moves(one) for one in lively):
        return []
    length_s = max(int(one.t_ns[-1]) - int(one.t_ns[0]) for one in lively) / 1e9
    if length_s < STILL_S or max(one.t_ns.size for one in lively) < STILL_N:
        return []  # a few messages say nothing of the robot
    return [Finding(
        "values/nothing-moves", "", Severity.FAULT,
        f"none of its {len(lively)} numeric streams ever changes: the robot, or the recording of it, stood still",
        figures(streams=len(lively)),
    )]  # fmt: skip


def check_frozen(sensors: Mapping[str, Stream]) -> list[Finding]:
    """Find measured streams that repeat one value exactly while another stream shows that the robot moves.

    An object at rest and an idle arm repeat their values too. So a run counts only when it lasts half a second and 8
    samples, another stream moves during it as it usually does, and one of three things speaks against rest. It is a
    force or inertial sensor that elsewhere changes even while the robot rests. Or it comes back with a leap, and
    elsewhere its speed agrees with the other stream's (rank correlation of .4). Or the run lasts to the end, and they
    agree by .7.
    """
    usable = {name: one for name, one in sensors.items() if one.t_ns.size >= 2 * FEWEST_N and _moves(one)}
    speeds = {name: _Speed.of(one) for name, one in usable.items() if roles_of(name) & {Role.MEASURED, Role.COMMANDED}}
    movers = {name: speed for name, speed in speeds.items() if speed.rests}
    found = []
    for name, stream in usable.items():
        if Role.COMMANDED in roles_of(name) or stream.values.dtype.kind not in "fiu":
            continue  # a command may stand still while the robot carries it out
        others = {other: speed for other, speed in movers.items() if other != name}
        values, analog = table_of(stream), bool(roles_of(name) & {Role.FORCE, Role.INERTIAL})
        whole = np.flatnonzero((values != values[:1]).any(axis=0))
        groups = [whole, *(whole[at : at + 1] for at in range(whole.size))] if whole.size > 1 else [whole]
        frozen = [
            one for columns in groups if (one := _frozen(stream, values, columns, others, analog=analog)) is not None
        ]
        if frozen:
            columns, run, witness = frozen[0]
            alone = f"{column_name(stream, int(columns[0]))}" + (
                f" and {len(frozen) - 1} columns more" if len(frozen) > 1 else ""
            )
            what = f"all its {columns.size} columns stand" if columns.size > 1 else f"{alone} stands"
            # In a stream that repeats values anyway, one column that does so may be a coarse sensor of a slow joint.
            sure = columns.size > 1 or whole.size == 1 or _repeats(values[:, columns], run) <= RESTLESS
            found.append(_finding(name, stream, run, f"{what} still", witness, sure=sure))
    return found


def _frozen(
    stream: Stream, values: Vector, columns: NDArray[np.int64], others: Mapping[str, _Speed], *, analog: bool
) -> tuple[NDArray[np.int64], _Run, str] | None:
    """Return the longest run of some columns that speaks for a frozen sensor, and the stream that moved meanwhile."""
    part = values[:, columns]
    if np.unique(part[:4096], axis=0).shape[0] <= FEW_VALUES_N:
        return None  # a flag, a count, a gripper word
    own = _Speed.of(Stream(stream.t_ns, np.array(part)))
    for run in _runs((part[1:] == part[:-1]).all(axis=1), stream.t_ns):
        start_ns, end_ns = int(stream.t_ns[run.begin]), int(stream.t_ns[run.end - 1])
        moving = {other: speed for other, speed in others.items() if speed.moves_within(start_ns, end_ns)}
        if not moving:
            continue
        if analog and part.shape[1] == 1 and part[run.begin, 0] in (part.min(), part.max()):
            continue  # it stands at the end of its range: that is saturation
        if analog and _has_noise(stream, part, run, others):
            return columns, run, next(iter(moving))
        ends = run.end == len(part)
        if not ends and not _leaps(part, run):
            continue
        alike = ALIKE_AT_END if ends else ALIKE
        witness = next((o for o, speed in moving.items() if own.agrees(speed, start_ns, end_ns) >= alike), None)
        if witness is not None:
            return columns, run, witness
    return None


def _has_noise(stream: Stream, part: Vector, run: _Run, others: Mapping[str, _Speed]) -> bool:
    """Say whether the stream changes, outside the run, even where every other stream rests.

    Where the robot never rests, a stream that repeats hardly any sample has noise too, unless it stands at zero (no
    contact in a simulator).
    """
    equal = (part[1:] == part[:-1]).all(axis=1)
    outside = np.ones(equal.size, dtype=bool)
    outside[run.begin : run.end - 1] = False
    quiet = np.ones(equal.size, dtype=bool)
    for speed in others.values():
        quiet &= speed.rests_at(stream.t_ns[1:])
    if outside.sum() < 20 or float(equal[outside].mean()) > RESTLESS:
        return False
    told = outside & quiet
    if told.sum() < 20:
        return float(equal[outside].mean()) <= 0.2 * RESTLESS and bool((part[run.begin] != 0.0).any())
    return float(equal[told].mean()) <= RESTLESS


def _leaps(part: Vector, run: _Run) -> bool:
    """Say whether the stream comes back with a leap: beyond its steps, and as far as it usually gets meanwhile."""
    steps = np.abs(np.diff(part, axis=0))
    others = np.delete(steps, run.end - 1, axis=0)
    n = run.end - run.begin
    leap = steps[run.end - 1]
    moved = np.abs(part[n:] - part[:-n]) if part.shape[0] > 2 * n else leap[None]
    far = leap > 0.5 * np.median(moved, axis=0)
    return bool(((leap > LEAP * np.quantile(others, 0.99, axis=0)) & far & (leap > 0.0)).any())


def _repeats(part: Vector, run: _Run) -> float:
    equal = (part[1:] == part[:-1]).all(axis=1)
    return float(np.delete(equal, slice(run.begin, run.end - 1)).mean())


def _finding(name: str, stream: Stream, run: _Run, what: str, witness: str, *, sure: bool) -> Finding:
    length_s = (int(stream.t_ns[run.end - 1]) - int(stream.t_ns[run.begin])) / 1e9
    at_s = (int(stream.t_ns[run.begin]) - int(stream.t_ns[0])) / 1e9
    return Finding(
        "values/frozen", name, Severity.FAULT if sure else Severity.WARNING,
        f"{what} for {length_s:.2f} s, {at_s:.2f} s after its first sample, while {witness} moves",
        figures(length_s=length_s, at_s=at_s, samples=run.end - run.begin, witness=witness),
    )  # fmt: skip


def _runs(equal: NDArray[np.bool_], t_ns: NDArray[np.int64]) -> list[_Run]:
    """Return the runs of equal samples that are long enough to mean something, the longest first."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]]).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    length = t_ns[ends] - t_ns[begins]
    long = np.flatnonzero((length >= SHORTEST_S * 1e9) & (ends - begins + 1 >= FEWEST_N))
    order = long[np.argsort(-length[long], kind="stable")][:MOST_RUNS_N]
    return [_Run(int(begins[one]), int(ends[one]) + 1) for one in order]


def _moves(stream: Stream) -> bool:
    flat = stream.values.reshape(stream.t_ns.size, -1)
    return bool((flat[1:] != flat[:1]).any())


@dataclass(frozen=True)
class _Speed:
    """How much a stream travels in each bin of 0.2 s, each column by its own range; NaN where it has no samples.

    `rests` says that it has bins of little travel: noise alone makes every bin alike and vouches for nothing.
    """

    zero: int
    travel: Vector
    usual: float
    rests: bool

    @classmethod
    def of(cls, stream: Stream) -> _Speed:
        values = table_of(stream)
        zero = int(stream.t_ns[0] // round(BIN_S * 1e9))
        finite = np.where(np.isfinite(values), values, 0.0)
        ends = np.quantile(finite, [0.02, 0.98], axis=0)
        width = ends[1] - ends[0]
        used = width > 0.0
        if not used.any():
            return cls(zero, np.zeros(1), 0.0, rests=False)
        bins = (stream.t_ns // round(BIN_S * 1e9) - zero).astype(np.int64)
        starts = np.flatnonzero(np.diff(bins, prepend=-1))
        scaled = finite[:, used] / width[used]
        high, low = np.maximum.reduceat(scaled, starts), np.minimum.reduceat(scaled, starts)
        # The sample before a bin belongs to its travel, or slow streams would have one sample a bin and no travel.
        before = scaled[np.maximum(starts - 1, 0)]
        travel_of = (np.maximum(high, before) - np.minimum(low, before)).max(axis=1)
        travel = np.full(int(bins[-1]) + 1 if bins[-1] < 10_000_000 else 1, np.nan)
        if travel.size == 1:
            return cls(zero, np.zeros(1), 0.0, rests=False)
        travel[bins[starts]] = travel_of
        moving = travel_of[travel_of > 0.0]
        usual = float(np.median(moving)) if moving.size else 0.0
        return cls(zero, travel, usual, rests=bool(moving.size and np.quantile(travel_of, 0.95) > 0.01))

    def moves_within(self, start_ns: int, end_ns: int) -> bool:
        """Say whether it travels in most bins inside a range at least half as much as it usually does."""
        low, high = (int(t // round(BIN_S * 1e9)) - self.zero for t in (start_ns, end_ns))
        inside = self.travel[max(0, low + 1) : max(0, high)]
        inside = inside[np.isfinite(inside)]
        return inside.size > 0 and self.usual > 0.0 and float((inside >= 0.5 * self.usual).mean()) > 0.5

    def rests_at(self, t_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say for each stamp whether it travels then by less than a tenth of what it usually does."""
        bins = t_ns // round(BIN_S * 1e9) - self.zero
        inside = (bins >= 0) & (bins < self.travel.size)
        travel = self.travel[np.clip(bins, 0, self.travel.size - 1)]
        return inside & (travel < 0.1 * self.usual)

    def agrees(self, other: _Speed, start_ns: int, end_ns: int) -> float:
        """Return the rank correlation of two streams' travels outside a range; 0 where too little tells."""
        begin = max(self.zero, other.zero)
        end = min(self.zero + self.travel.size, other.zero + other.travel.size)
        if end - begin < 10:
            return 0.0
        a, b = self.travel[begin - self.zero : end - self.zero], other.travel[begin - other.zero : end - other.zero]
        at = np.arange(begin, end) * round(BIN_S * 1e9)
        outside = np.isfinite(a) & np.isfinite(b) & ((at + round(BIN_S * 1e9) <= start_ns) | (at > end_ns))
        if outside.sum() < 10 or any(one[outside].min() == one[outside].max() for one in (a, b)):
            return 0.0
        ranks = [np.argsort(np.argsort(one[outside])).astype(np.float64) for one in (a, b)]
        return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
