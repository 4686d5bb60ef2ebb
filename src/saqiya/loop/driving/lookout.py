"""A monitor beside a person's drive, in a thread of its own: a slow one lags behind the steps and never holds one up.

What it says is what it says in a roll: the same events and the same stream, stamped with the instants that they are
about. They reach the log when they are known, so they may stand in it after what happened meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import Thread

from saqiya.domain.contracts import MONITORED, Step, Vector
from saqiya.domain.streams import Event
from saqiya.loop.tries.guard import SCORE, Guard, Shown
from saqiya.loop.tries.monitor import Monitor, Verdict
from saqiya.loop.tries.pen import Pen

__all__ = ["Lookout"]

LATE_S = 0.25
"""An alarm that comes so long after its instant says so: whoever took over could not have seen it before."""
WAIT_S = 2.0
"""At the end of a try this long is waited for a monitor that lags."""


@dataclass(frozen=True)
class _Instant:
    """One instant to look at, what happened since the last, and how often the try was wound back before it."""

    step: Step
    shown: Shown | None
    news: tuple[Event, ...]
    cuts_n: int


@dataclass(frozen=True)
class _Said:
    """What came of an instant: events, and rows of the score."""

    t_ns: int
    events: tuple[Event, ...]
    scores: tuple[tuple[int, float], ...]
    cuts_n: int


class Lookout:
    """Shows a drive to a monitor; `tell` writes down what it said meanwhile, `verdict` is its newest word."""

    def __init__(self, monitor: Monitor, *, policy: str) -> None:
        """Begin a try in which the policy with this key acts."""
        self._guard = Guard(monitor, policy=policy)
        self._due: SimpleQueue[_Instant | None] = SimpleQueue()
        self._said: deque[_Said] = deque()
        self._cuts: list[int] = []
        self._heard = self._asked = self._told = 0
        self._now_ns = 0
        self.score: float | None = None
        self._thread = Thread(target=self._watch, name="monitor", daemon=True)
        self._thread.start()

    @property
    def verdict(self) -> Verdict | None:
        """What the monitor said last; None before it said anything."""
        return self._guard.verdict

    def look(self, step: Step, shown: Shown | None, pen: Pen) -> str:
        """Take in an instant, to be looked at as soon as there is time; who drives decides, so nothing is wanted."""
        news = tuple(one for one in pen.events[self._heard :] if not one.name.startswith(MONITORED))
        self._heard, self._now_ns, self._asked = len(pen.events), step.t_ns, self._asked + 1
        # The site may write its next observation into the same arrays.
        kept = replace(step, observation=_copied(step.observation), signals=_copied(step.signals))
        self._due.put(_Instant(kept, shown, news, len(self._cuts)))
        return ""

    def tell(self, pen: Pen) -> None:
        """Write down what the monitor has said since, but nothing of instants that were wound back."""
        while self._said:
            said, self._told = self._said.popleft(), self._told + 1
            if any(said.t_ns >= cut_ns for cut_ns in self._cuts[said.cuts_n :]):
                continue
            late_s = (self._now_ns - said.t_ns) / 1e9
            words = f" (told {late_s:.2f} s later)" if late_s > LATE_S else ""
            pen.events += [replace(one, detail=one.detail + words) for one in said.events]
            pen.acted[SCORE] += said.scores

    def back(self, t_ns: int, pen: Pen) -> None:
        """Take in that the try was wound back to `t_ns`."""
        self._cuts.append(t_ns)
        self._heard, self._now_ns = len(pen.events), t_ns

    def end(self, pen: Pen) -> None:
        """Wait a moment for what is still to be said and write it down; if not all is said by then, say that."""
        self.close()
        self._thread.join(WAIT_S)
        self.tell(pen)
        if left := self._asked - self._told:
            pen.events.append(Event(self._now_ns, "monitor/blind", f"the last {left} steps were not looked at in time"))

    def close(self) -> None:
        """Look no further than what came so far."""
        self._due.put(None)

    def _watch(self) -> None:
        """Look at one instant after the other; the guard's own pen knows of the try what happened in it."""
        pen = Pen()
        while (now := self._due.get()) is not None:
            pen.events += now.news
            events_n, scores_n = len(pen.events), len(pen.acted[SCORE])
            self._guard.look(now.step, now.shown, pen)
            made = tuple(pen.events[events_n:]), tuple(pen.acted[SCORE][scores_n:])
            self._said.append(_Said(now.step.t_ns, *made, now.cuts_n))


def _copied(values: Mapping[str, Vector]) -> dict[str, Vector]:
    return {name: value.copy() for name, value in values.items()}
