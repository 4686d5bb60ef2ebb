"""What the signal rules measure: small machines that take in one instant after another and never look back.

Each gauge reads one or two streams of a try and says, at every instant, how much of something there is, in physical
units, one number a column; what is too much is for `signals` to learn. A gauge costs some microseconds an instant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from saqiya.domain.contracts import Row, Vector

__all__ = ["ANGLE", "GAUGES", "HELD_ROWS", "LOST_EVENTS", "QUATERNION", "Gauge", "Moved", "Rule"]

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


class Gauge(Protocol):
    """Measures one thing as a try goes on."""

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:
        """Take in an instant and return how much there is now, float64 (C,); valid until the next call."""


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


class Rest:
    """Seconds since a stream last moved."""

    def __init__(self, streams: Sequence[str], params: Vector) -> None:
        self._name, self._moved, self._out = streams[0], Moved(params), np.zeros(1)

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:  # noqa: ARG002 - a gauge takes in all
        """Return the seconds."""
        values = row.get(self._name)
        if values is not None:
            self._moved.add(t_ns, values)
            self._out[0] = self._moved.for_s(t_ns)
        return self._out


class Blocked:
    """Seconds for which a command asks for motion and a measured stream rests.

    A command asks when it changed lately (positions), or when it is larger than normal tries' commands are at rest
    (speeds). `params`: the measured stream's width, its spread, the command's spread, the command's size that asks.
    """

    def __init__(self, streams: Sequence[str], params: Vector) -> None:
        self._name, self._command = streams
        wide = int(params[0])
        self._rests = Moved(params[1 : 1 + wide])
        spread, self._asks = params[1 + wide :].reshape(2, -1)
        self._wishes, self._out = Moved(spread), np.zeros(1)
        self._asked_ns = self._idle_ns = 0

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:  # noqa: ARG002 - a gauge takes in all
        """Return the seconds."""
        wish, values = row.get(self._command), row.get(self._name)
        if wish is not None:
            self._wishes.add(t_ns, wish)
            asked = self._wishes.for_s(t_ns) < ASKED_S or bool((np.abs(wish) > self._asks).any())
            self._idle_ns = self._idle_ns if asked else t_ns
        if values is not None:
            self._rests.add(t_ns, values)
            self._out[0] = min(self._rests.for_s(t_ns), (t_ns - self._idle_ns) / 1e9 if self._idle_ns else np.inf)
        return self._out


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

    def _onward(self, values: Vector) -> Vector:
        if not self._rows or not (self._turns or self._angle.any()):
            return values
        before, onward = self._rows[-1][1], values.copy()
        onward[self._angle] -= TURN * np.round((values - before)[self._angle] / TURN)
        for at in self._turns:
            if values[at : at + 4] @ before[at : at + 4] < 0.0:
                onward[at : at + 4] *= -1.0
        return onward


class Gap:
    """Seconds since a stream's last sample; 0 before the first: what was never recorded did not drop out."""

    def __init__(self, streams: Sequence[str], params: Vector) -> None:  # noqa: ARG002 - it was told nothing
        self._name, self._last_ns, self._out = streams[0], -1, np.zeros(1)

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:  # noqa: ARG002 - a gauge takes in all
        """Return the seconds."""
        self._out[0] = (t_ns - self._last_ns) / 1e9 if self._last_ns >= 0 else 0.0
        if self._name in row:
            self._last_ns = t_ns
        return self._out


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
            self._held, self._rows = not self._held, 0
            held_s = (self._turned_ns - self._since_ns) / 1e9
            self._since_ns = self._turned_ns
            if self._held:
                self._out[1] = 0.0
            elif held_s >= LEAST_HOLD_S:
                self._out += (1.0, 1.0 / held_s)
        return self._out


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


class Lost:
    """How often an event said that the object was lost."""

    def __init__(self, streams: Sequence[str], params: Vector) -> None:  # noqa: ARG002 - it reads events
        self._out = np.zeros(1)

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:  # noqa: ARG002 - a gauge takes in all
        """Return the number."""
        for event in events:
            self._out[0] += event.strip("/").casefold() in LOST_EVENTS
        return self._out


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
