"""What the signal rules measure: small machines that take in one instant after another and never look back.

Each gauge reads one or two streams of a try and says, at every instant, how much of something there is, in physical
units, one number a column; what is too much is for `signals` to learn. `read` costs some microseconds an instant, on
the robot. `of` says the same of a whole log at once: equal to the bit, and never from what came later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Row, Seen, Vector
from saqiya.models.replay import beats_of, brought, heard_at

__all__ = ["ANGLE", "GAUGES", "HELD_ROWS", "LOST_EVENTS", "QUATERNION", "Gauge", "Rule", "Shown", "Whole", "latest"]

MOVED_SPREADS = 0.1
"""A column has moved when it lies this many typical spreads from where it last moved to: above sensors' noise."""
ASKED_S = 0.5
"""A command that changed within this time asks for motion."""
HELD_ROWS = 3
"""Contact chatters: held, or lost, is what stays so for this many rows."""
LEAST_HOLD_S = 0.1
SETTLED_S = 0.2
SETTLED_SHARE = 0.02
OPENING_SHARE = 0.05
TURN = 2.0 * np.pi
ANGLE, QUATERNION = 1.0, 2.0
LATE_ROWS = 1.5
NEAR_ROWS = 4
Stamps = NDArray[np.int64]
Shown = tuple[Stamps, Vector]
"""Stamps (n,), and what is so from each of them on, float64 (n, C); 0 before the first."""
LOST_EVENTS = frozenset(("contact/lost", "slip", "dropped", "drop", "object/lost", "object_lost", "grasp/lost"))


@dataclass(frozen=True)
class Rule:
    """One thing that may go wrong with one stream.

    Attributes:
        kind: which gauge measures it.
        streams: what it reads; the first is what it is about.
        params: float64, what the gauge was told of normal tries.
        usual, limit: float64 (C,), the most that normal tries showed, and what is too much.
        unit: of both.
        columns: a name for each.
    """

    kind: str
    streams: tuple[str, ...]
    params: Vector
    usual: Vector
    limit: Vector
    unit: str
    columns: tuple[str, ...]


class Whole:
    """A whole try as arrays.

    Attributes:
        beats: int64 (t,), every instant at which something came.
        heard: what was said at which of them.

    Raises:
        InvalidEpisode: no stream has a sample.
    """

    def __init__(self, seen: Seen) -> None:
        self.beats = beats_of(seen)
        self.heard = heard_at(seen, self.beats)
        self._streams = seen.streams
        self._rows: dict[str, Shown] = {}
        self._moved: dict[tuple[str, bytes], Stamps] = {}

    def rows(self, name: str) -> Shown:
        """Return what a stream brought, and when: a row that is not finite never came."""
        if name not in self._rows:
            t_ns, rows = brought(self._streams[name]) if name in self._streams else (self.beats[:0], np.zeros((0, 0)))
            finite = np.isfinite(rows).all(axis=1)
            self._rows[name] = (t_ns, rows) if finite.all() else (t_ns[finite], rows[finite])
        return self._rows[name]

    def moved_ns(self, name: str, spread: Vector) -> Stamps:
        """Return when a stream had last moved, at each of its rows: `Moved` of all of them."""
        key = name, spread.tobytes()
        if key not in self._moved:
            t_ns, rows = self.rows(name)
            self._moved[key] = t_ns[_moves(rows, MOVED_SPREADS * spread)]
        return self._moved[key]


def latest(known_ns: Stamps, t_ns: Stamps) -> NDArray[np.intp]:
    """Return the place in `known_ns` of the last stamp at or before each of `t_ns`; -1 before the first."""
    return np.searchsorted(known_ns, t_ns, side="right") - 1


class Gauge(Protocol):
    """Measures one thing as a try goes on."""

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:
        """Take in an instant and return how much there is now, float64 (C,); valid until the next call."""

    def of(self, whole: Whole) -> Shown:
        """Return what `read` shows of a whole try whose streams are there, without taking it in."""


class Force:
    """Magnitudes: of a vector's columns together, of a joint's alone; `params` (C,) says which go together."""

    def __init__(self, streams: Sequence[str], params: Vector) -> None:
        self._name, self._group = streams[0], params.astype(np.int64)
        self._now = np.zeros(int(self._group.max()) + 1)

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:  # noqa: ARG002 - a gauge takes in all
        """Return the magnitudes."""
        values = row.get(self._name)
        if values is not None:
            self._now = np.sqrt(np.bincount(self._group, values * values))
        return self._now

    def of(self, whole: Whole) -> Shown:
        """Return the magnitudes at every row."""
        t_ns, rows = whole.rows(self._name)
        wide = len(self._now)
        places = self._group + wide * np.arange(len(rows))[:, None]  # a row's groups, then the next row's
        sums = np.bincount(places.ravel(), (rows * rows).ravel(), minlength=wide * len(rows))
        return t_ns, np.sqrt(sums).reshape(-1, wide)


class Moved:
    """When a stream last moved by a tenth of its typical spread `params` (C,)."""

    def __init__(self, spread: Vector) -> None:
        self._least = MOVED_SPREADS * spread
        self._place: Vector | None = None
        self.at_ns = 0

    def add(self, t_ns: int, values: Vector) -> None:
        """Take in a row."""
        if self._place is None or (np.abs(values - self._place) > self._least).any():
            self._place, self.at_ns = values.copy(), t_ns

    def for_s(self, t_ns: int) -> float:
        """Return for how long it has rested."""
        return (t_ns - self.at_ns) / 1e9 if self._place is not None else 0.0


def _moves(rows: Vector, least: Vector) -> NDArray[np.intp]:
    """Return the place of the row to which a stream had last moved, at each of its rows (n, C).

    Each place follows from the one before. Most moves are a few rows apart: those are looked for at all rows at once.
    """
    columns, least = np.ascontiguousarray(rows.T), least[:, None]
    near = np.zeros(len(rows), np.int64)
    for lag in range(min(NEAR_ROWS, len(rows) - 1), 0, -1):
        near[:-lag][(np.abs(columns[:, lag:] - columns[:, :-lag]) > least).any(axis=0)] = lag
    lags = near.tolist()
    places = np.zeros(len(rows), np.intp)
    at, step = 0, 1
    while step:
        places[at] = at
        step = lags[at] or _far(columns, least, at)
        at += step
    return np.maximum.accumulate(places)


def _far(columns: Vector, least: Vector, at: int) -> int:
    """Return how many rows after `at` the next move is, where it is not near; 0: none is."""
    begin, size = at + NEAR_ROWS + 1, 2 * NEAR_ROWS
    while begin < columns.shape[1]:
        moved = (np.abs(columns[:, begin : begin + size] - columns[:, at, None]) > least).any(axis=0)
        if moved.any():
            return begin + int(moved.argmax()) - at
        begin, size = begin + size, 2 * size
    return 0


class Rest:
    """Seconds since a stream last moved."""

    def __init__(self, streams: Sequence[str], params: Vector) -> None:
        self._name, self._spread, self._moved, self._out = streams[0], params, Moved(params), np.zeros(1)

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:  # noqa: ARG002 - a gauge takes in all
        """Return the seconds."""
        values = row.get(self._name)
        if values is not None:
            self._moved.add(t_ns, values)
            self._out[0] = self._moved.for_s(t_ns)
        return self._out

    def of(self, whole: Whole) -> Shown:
        """Return the seconds at every row."""
        t_ns, _ = whole.rows(self._name)
        return t_ns, ((t_ns - whole.moved_ns(self._name, self._spread)) / 1e9)[:, None]


class Blocked:
    """Seconds for which a command asks for motion and a measured stream rests.

    A command asks when it changed lately (positions), or when it is larger than normal tries' commands are at rest
    (speeds). `params`: the measured stream's width, its spread, the command's spread, the command's size that asks.
    """

    def __init__(self, streams: Sequence[str], params: Vector) -> None:
        self._name, self._command = streams
        wide = int(params[0])
        self._spread, (self._about, self._asks) = params[1 : 1 + wide], params[1 + wide :].reshape(2, -1)
        self._rests, self._wishes, self._out = Moved(self._spread), Moved(self._about), np.zeros(1)
        self._idle_ns: int | None = None

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:  # noqa: ARG002 - a gauge takes in all
        """Return the seconds."""
        wish, values = row.get(self._command), row.get(self._name)
        if wish is not None:
            self._wishes.add(t_ns, wish)
            asked = self._wishes.for_s(t_ns) < ASKED_S or bool((np.abs(wish) > self._asks).any())
            self._idle_ns = self._idle_ns if asked else t_ns
        if values is not None:
            self._rests.add(t_ns, values)
            self._out[0] = min(
                self._rests.for_s(t_ns), np.inf if self._idle_ns is None else (t_ns - self._idle_ns) / 1e9
            )
        return self._out

    def of(self, whole: Whole) -> Shown:
        """Return the seconds at every measured row."""
        (t_ns, _), (wished_ns, wishes) = whole.rows(self._name), whole.rows(self._command)
        rests_s = (t_ns - whole.moved_ns(self._name, self._spread)) / 1e9
        if wished_ns.size:
            asked = (wished_ns - whole.moved_ns(self._command, self._about)) / 1e9 < ASKED_S
            asked |= (np.abs(wishes) > self._asks).any(axis=1)
            idle_ns = wished_ns[~asked]
            idle = latest(idle_ns, t_ns)
            known = idle >= 0
            rests_s[known] = np.minimum(rests_s[known], (t_ns[known] - idle_ns[idle[known]]) / 1e9)
        return t_ns, rests_s[:, None]


class Jolt:
    """The third difference of each column, per step cubed; 0 across a gap.

    `params`: seconds a step, then for each column what it is: 0 a number, `ANGLE` in rad, `QUATERNION` (four together).
    Angles that go round and quaternions that change their sign go on where they were.
    """

    def __init__(self, streams: Sequence[str], params: Vector) -> None:
        self._name, self._longest_ns = streams[0], 3e9 * LATE_ROWS * params[0]
        self._angle = params[1:] == ANGLE
        self._turns = np.flatnonzero(params[1:] == QUATERNION)[::4].tolist()
        self._rows: list[tuple[int, Vector]] = []
        self._before: Vector | None = None
        self._rounds, self._sign = np.zeros(len(params) - 1), np.ones(len(params) - 1)
        self._out = np.zeros(len(params) - 1)

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:  # noqa: ARG002 - a gauge takes in all
        """Return the differences."""
        values = row.get(self._name)
        if values is None:
            return self._out
        self._rows = [*self._rows[-3:], (t_ns, self._onward(values))]
        if len(self._rows) < 4 or t_ns - self._rows[0][0] > self._longest_ns:
            self._out = np.zeros(len(self._out))
            return self._out
        (_, first), (_, second), (_, third), (_, last) = self._rows
        self._out = np.abs(last - 3.0 * third + 3.0 * second - first)
        return self._out

    def of(self, whole: Whole) -> Shown:
        """Return the differences at every row."""
        t_ns, rows = whole.rows(self._name)
        shown = np.zeros((len(rows), len(self._out)))
        if len(rows) > 3:
            if self._turns or self._angle.any():
                rounds, flips = self._turned(rows[1:], rows[:-1])
                rows = rows.copy()
                rows[1:] = (rows[1:] - TURN * np.cumsum(rounds, axis=0)) * np.cumprod(flips, axis=0)
            jumps = np.abs(rows[3:] - 3.0 * rows[2:-1] + 3.0 * rows[1:-2] - rows[:-3])
            shown[3:] = np.where((t_ns[3:] - t_ns[:-3] > self._longest_ns)[:, None], 0.0, jumps)
        return t_ns, shown

    def _onward(self, values: Vector) -> Vector:
        if not (self._turns or self._angle.any()):
            return values
        if self._before is not None:
            rounds, flips = self._turned(values, self._before)
            self._rounds, self._sign = self._rounds + rounds, self._sign * flips
        self._before = values.copy()
        onward: Vector = (values - TURN * self._rounds) * self._sign
        return onward

    def _turned(self, values: Vector, before: Vector) -> tuple[Vector, Vector]:
        """Return by how many rounds each column (..., C) went on from the row before, and -1 where its sign changed."""
        rounds = np.where(self._angle, np.round((values - before) / TURN), 0.0)
        flips = np.ones(values.shape)
        for at in self._turns:
            cosine = (values[..., at : at + 4] * before[..., at : at + 4]).sum(axis=-1)
            flips[..., at : at + 4] = np.where(cosine < 0.0, -1.0, 1.0)[..., None]
        return rounds, flips


class Gap:
    """Seconds since a stream's last sample; 0 before the first: what was never recorded did not drop out."""

    def __init__(self, streams: Sequence[str], params: Vector) -> None:  # noqa: ARG002 - it was told nothing
        self._name, self._out = streams[0], np.zeros(1)
        self._last_ns: int | None = None

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:  # noqa: ARG002 - a gauge takes in all
        """Return the seconds."""
        self._out[0] = 0.0 if self._last_ns is None else (t_ns - self._last_ns) / 1e9
        if self._name in row:
            self._last_ns = t_ns
        return self._out

    def of(self, whole: Whole) -> Shown:
        """Return the seconds at every instant: nothing came is what it is about."""
        last_ns, beats = whole.rows(self._name)[0], whole.beats
        before = latest(last_ns, beats - 1)
        return beats, np.where(before >= 0, (beats - last_ns[before]) / 1e9, 0.0)[:, None]


class Hold:
    """How often something held was lost, and 1 / s: how short the hold was that ended last, until it is held again.

    Held is a stream above `params[0]`: a 0-or-1 signal above one half, a grip force above a share of the usual one.
    """

    def __init__(self, streams: Sequence[str], params: Vector) -> None:
        self._name, self._level = streams[0], float(params[0])
        self._held, self._rows, self._since_ns, self._turned_ns = False, 0, 0, 0
        self._out = np.zeros(2)

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:  # noqa: ARG002 - a gauge takes in all
        """Return the two numbers."""
        values = row.get(self._name)
        if values is None:
            return self._out
        if (float(values.max()) > self._level) == self._held:
            self._rows = 0
            return self._out
        self._turned_ns = self._turned_ns if self._rows else t_ns
        self._rows += 1
        if self._rows == HELD_ROWS:
            self._rows = 0
            self._turn(self._turned_ns)
        return self._out

    def of(self, whole: Whole) -> Shown:
        """Return the two numbers at every row."""
        t_ns, rows = whole.rows(self._name)
        high = rows.max(axis=1) > self._level
        begins = np.flatnonzero(np.diff(high, prepend=not high[0]))
        begins = begins[np.diff(begins, append=len(high)) >= HELD_ROWS]
        turns = begins[np.diff(high[begins], prepend=False)]  # what chattered in between does not count
        hold, shown = Hold((self._name,), np.array([self._level])), np.zeros((len(rows), 2))
        for at in turns.tolist():
            hold._turn(int(t_ns[at]))
            shown[at + HELD_ROWS - 1 :] = hold._out
        return t_ns, shown

    def _turn(self, turned_ns: int) -> None:
        """Begin or end a hold."""
        self._held = not self._held
        held_s = (turned_ns - self._since_ns) / 1e9
        self._since_ns = turned_ns
        if self._held:
            self._out[1] = 0.0
        elif held_s >= LEAST_HOLD_S:
            self._out += (1.0, 1.0 / held_s)


class Closing:
    """How far a gripper that had closed on something closes further without opening first, as a share of its stroke.

    `params`: the stroke, then the columns that add up to the opening.
    """

    def __init__(self, streams: Sequence[str], params: Vector) -> None:
        self._name, self._stroke, self._columns = streams[0], float(params[0]), params[1:].astype(np.int64)
        self._widest = self._settled = self._near = np.nan
        self._near_ns = 0
        self._out = np.zeros(1)

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:  # noqa: ARG002 - a gauge takes in all
        """Return the share."""
        values = row.get(self._name)
        if values is None:
            return self._out
        opening = float(np.abs(values[self._columns]).sum()) / self._stroke
        if not opening <= self._widest:
            self._widest = opening
        if opening > self._settled + OPENING_SHARE:  # it opens: what comes now is another grasp
            self._widest, self._settled = opening, np.nan
        if not abs(opening - self._near) <= SETTLED_SHARE:
            self._near, self._near_ns = opening, t_ns
        closed = self._widest - opening > 2 * OPENING_SHARE
        if closed and np.isnan(self._settled) and t_ns - self._near_ns >= SETTLED_S * 1e9:
            self._settled = opening
        self._out[0] = 0.0 if np.isnan(self._settled) else max(0.0, self._settled - opening)
        return self._out

    def of(self, whole: Whole) -> Shown:
        """Return the share at every row."""
        t_ns, rows = whole.rows(self._name)
        opening = np.abs(rows.take(self._columns, axis=1)).sum(axis=1) / self._stroke
        still = t_ns - t_ns[_moves(opening[:, None], np.array([SETTLED_SHARE]))] >= SETTLED_S * 1e9
        shown, begin = np.zeros(len(rows)), 0
        while begin < len(rows):  # one grasp after another
            closed = np.maximum.accumulate(opening[begin:]) - opening[begin:] > 2 * OPENING_SHARE
            settles = np.flatnonzero(closed & still[begin:])
            if not settles.size:
                break
            at = begin + int(settles[0])
            opens = np.flatnonzero(opening[at:] > opening[at] + OPENING_SHARE)
            begin = at + int(opens[0]) if opens.size else len(rows)
            shown[at:begin] = np.maximum(0.0, opening[at] - opening[at:begin])
        return t_ns, shown[:, None]


class Lost:
    """How often an event said that the object was lost."""

    def __init__(self, streams: Sequence[str], params: Vector) -> None:  # noqa: ARG002 - it reads events
        self._out = np.zeros(1)

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:  # noqa: ARG002 - a gauge takes in all
        """Return the number."""
        for event in events:
            self._out[0] += event.strip("/").casefold() in LOST_EVENTS
        return self._out

    def of(self, whole: Whole) -> Shown:
        """Return the number at each instant at which it grew."""
        at = [at for at, event in whole.heard if event.strip("/").casefold() in LOST_EVENTS]
        return whole.beats[np.array(at, np.intp)], np.arange(1.0, len(at) + 1.0)[:, None]


GAUGES: dict[str, Callable[[Sequence[str], Vector], Gauge]] = {
    "force": Force,
    "rest": Rest,
    "blocked": Blocked,
    "jerk": Jolt,
    "dropout": Gap,
    "hold": Hold,
    "closing": Closing,
    "lost": Lost,
}
"""What each kind of rule is measured by."""
