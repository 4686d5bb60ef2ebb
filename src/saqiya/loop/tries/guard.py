"""A monitor beside a try: it is shown what the log will hold, and what it says becomes events and a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from saqiya.domain.contracts import MONITORED, OUTCOME_EVENTS, Step, Vector
from saqiya.domain.streams import Event
from saqiya.loop.tries.mind import Wish, uncertainty_of
from saqiya.loop.tries.monitor import Monitor, Verdict
from saqiya.loop.tries.pen import Pen

__all__ = ["SCORE", "Guard", "Shown", "Watching"]

SCORE = "monitor/score"


@dataclass(frozen=True)
class Shown:
    """Who wants what at a step, before anything moves.

    Attributes:
        action: float64 (d,), about to be executed, within its bounds.
        own: what the acting policy wants, None where there is none.
        beside: what shadows want, by "shadow/<name>".
        human: an operator acts.
    """

    action: Vector
    own: Wish | None
    beside: Mapping[str, Wish]
    human: bool


class Watching(Protocol):
    """Somebody who is shown every step of a try before it is carried out; `score` is what they said last."""

    score: float | None

    def look(self, step: Step, shown: Shown | None, pen: Pen) -> str:
        """Take in one instant; return what they want: "" or what `Monitor` was told to want on an alarm."""
        ...


class Guard:
    """Shows one try to a monitor, step by step; `verdict` is what it said last, and `score` of it the number.

    Its events: `alarm/<detector>` when an alarm begins or another detector comes to lead it, `monitor/blind` when it
    begins not to see, and at the start `monitor/stale` and `monitor/silent` where it was calibrated for another policy
    or has no threshold; the detail says why.
    """

    def __init__(self, monitor: Monitor, *, policy: str) -> None:
        """Begin a try in which the policy with this key acts."""
        self._monitor = monitor
        self._heard, self._leading, self._blind = 0, "", False
        self._last_ns: int | None = None
        self.score: float | None = None
        self.verdict: Verdict | None = None
        monitor.reset(policy=policy)

    def look(self, step: Step, shown: Shown | None, pen: Pen) -> str:
        """Show one instant, None of it where nobody acts any more; write down what it says, return what it wants.

        An instant that lies before the last one, after a rewind, is not shown again: no clock goes back for a monitor.
        """
        if self._last_ns is not None and step.t_ns <= self._last_ns:
            self._heard = len(pen.events)
            return ""
        self._last_ns = step.t_ns
        news = [event.name for event in pen.events[self._heard :]]
        verdict = self._monitor.see(
            step.t_ns,
            step.observation,
            shown.action if shown else None,
            uncertainty=_uncertainty(shown.own) if shown else None,
            chunk=shown.own.chunk if shown and shown.own else None,
            signals={**step.signals, **_beside(shown)},
            events=[name for name in news if name not in OUTCOME_EVENTS and not name.startswith(MONITORED)],
        )
        self.score, self.verdict = verdict.score, verdict
        if self._heard == 0:
            self._open(step.t_ns, verdict, pen)
        self._note(step.t_ns, verdict, pen)
        self._heard = len(pen.events)
        return verdict.wants

    def _open(self, t_ns: int, verdict: Verdict, pen: Pen) -> None:
        if verdict.stale:
            whose = self._monitor.policy or "an unknown policy"
            pen.events.append(Event(t_ns, "monitor/stale", f"it was calibrated for {whose}"))
        if verdict.threshold is None:
            pen.events.append(Event(t_ns, "monitor/silent", verdict.reason))

    def _note(self, t_ns: int, verdict: Verdict, pen: Pen) -> None:
        if verdict.score is not None:
            pen.acted[SCORE].append((t_ns, verdict.score))
        if verdict.blind and not self._blind:
            pen.events.append(Event(t_ns, "monitor/blind", verdict.blind))
        if verdict.detector != self._leading and verdict.alarm:
            pen.events.append(Event(t_ns, f"alarm/{verdict.detector}", verdict.reason))
        self._blind, self._leading = bool(verdict.blind), verdict.detector


def _uncertainty(wish: Wish | None) -> Vector | None:
    return None if wish is None or wish.members is None else uncertainty_of(wish.members)


def _beside(shown: Shown | None) -> dict[str, Vector]:
    """Return the rest of what the log will hold at this stamp."""
    if shown is None:
        return {}
    made = {"author": np.array([float(shown.human)])}
    if shown.own is not None:
        made["action/intended"] = shown.own.action
    if shown.human:
        made["action/operator"] = shown.action
    for name, wish in shown.beside.items():
        made[f"{name}/action"] = wish.action
        unsure = _uncertainty(wish)
        if unsure is not None:
            made[f"{name}/uncertainty"] = unsure
    return made
