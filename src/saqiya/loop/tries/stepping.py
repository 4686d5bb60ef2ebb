"""Stepping a site: the one takeover state machine, and who wants what at each step, in rolls and in people's drives."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from saqiya.domain.asking import Hands
from saqiya.domain.contracts import Observation, Operator, Restorable, Site, Snapshot, Step, Takeover, Vector
from saqiya.domain.nouns import Outcome
from saqiya.domain.streams import Event, Start
from saqiya.errors import SaqiyaError, SiteFault
from saqiya.loop.tries.guard import Shown, Watching
from saqiya.loop.tries.mind import Mind, Wish, uncertainty_of
from saqiya.loop.tries.monitor import OnAlarm
from saqiya.loop.tries.pen import Pen

__all__ = ["OPERATOR_STEPS", "Control", "Driver", "Kept", "arrived", "steer"]

OPERATOR_STEPS = 1.0
"""An operator who takes over may use this many horizons from there: recovering takes longer than doing it right."""
RING_STEPS = 5
"""While somebody may be asked in, a restorable site's state is kept every so many steps."""
RING_N = 100


class Control(StrEnum):
    """Who has control, as LeRobot's users know it: pause, bring the robot back, then show the right way."""

    AUTONOMOUS = "autonomous"
    PAUSED = "paused"
    RECOVERY = "recovery"
    CORRECTION = "correction"


_STEER = {
    (Control.AUTONOMOUS, "takeover"): Control.PAUSED,
    (Control.PAUSED, "recover"): Control.RECOVERY,
    (Control.PAUSED, "correct"): Control.CORRECTION,
    (Control.PAUSED, "handback"): Control.AUTONOMOUS,
    (Control.RECOVERY, "correct"): Control.CORRECTION,
    (Control.RECOVERY, "handback"): Control.AUTONOMOUS,
    (Control.CORRECTION, "handback"): Control.AUTONOMOUS,
}


def steer(control: Control, signal: str) -> Control:
    """Return who has control after `signal`; a signal that means nothing now changes nothing."""
    return _STEER.get((control, signal), control)


def arrived(step: Step, plan: Takeover) -> bool:
    """Say whether a replay reached what the log saw at the takeover, bit for bit."""
    return all(np.array_equal(step.observation[name], value) for name, value in plan.arrived.items())


@dataclass(frozen=True)
class Kept:
    """A state to go back to: after so many control steps, what was seen there, and which phases were known."""

    taken: int
    state: Snapshot
    step: Step
    seen: frozenset[str]


@dataclass
class Driver:
    """Runs a site step by step for one try, timing what is not Saqiya's own work.

    `left` are the control steps until the try is over; `taken` those that were taken.
    """

    site: Site
    mind: Mind | None
    operator: Operator | None
    shadows: Mapping[str, Mind] = field(default_factory=dict)
    guard: Watching | None = None
    hands: Hands | None = None
    ring: deque[Kept] = field(default_factory=lambda: deque(maxlen=RING_N))
    left: int = 0
    taken: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    control: Control = Control.AUTONOMOUS
    pen: Pen = field(default_factory=Pen)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    seen: set[str] = field(default_factory=set)
    human_steps: int = 0
    takeovers: int = 0
    zeros: Vector = field(default_factory=lambda: np.zeros(0))

    def start(self, start: Start) -> Step:
        """Reset the site and whoever acts or is asked beside; write down what is seen first."""
        for mind in self.minds():
            mind.begin(start.seed)
        step, values = self._ask_site(self.site.reset, start)
        self.pen.see(step, values, self.seen)
        return step

    def minds(self) -> tuple[Mind, ...]:
        """Return who is asked at every step: who acts, and the shadows."""
        return (*([self.mind] if self.mind else ()), *self.shadows.values())

    def drive(self, step: Step, replayed: Vector | None = None) -> Step:
        """Carry out one control step and write down who wanted what; once paused, nothing moves."""
        own, beside = (None, {}) if replayed is not None else self._wishes(step.observation)
        if self.hands is not None and own is not None and (turned := self._turned(step, own, self.hands)):
            return self.drive(turned)
        intended = own.action if own else replayed
        human = replayed is None and (own is None or self.control is not Control.AUTONOMOUS)
        wanted = self._ask_operator(step.observation) if human or intended is None else intended
        if self.guard is not None:
            self._hand_over(self.guard.look(step, Shown(self._within(wanted), own, beside, human), self.pen), step)
            if self.control is Control.PAUSED:
                return step
            if self.control is Control.CORRECTION and not human:
                human, wanted = True, self._ask_operator(step.observation)
        executed = self._within(wanted)
        self._write(step.t_ns, own, beside)
        acted = self.pen.acted
        if intended is not None:
            acted["action/intended"].append((step.t_ns, intended))
        if human:
            acted["action/operator"].append((step.t_ns, wanted))
            self.human_steps += 1
            if self.hands is not None and own is not None:
                self.hands.went(apart=self._apart(executed, own), score=self._score(own))
        acted["action/executed"].append((step.t_ns, executed))
        acted["author"].append((step.t_ns, int(human)))
        self.taken, self.left = self.taken + 1, self.left - 1
        after, values = self._ask_site(self.site.step, executed)
        if after.t_ns <= step.t_ns:
            raise self._fault(f"its clock went from {step.t_ns} to {after.t_ns} ns in a step")
        self.pen.see(after, values, self.seen)
        return after

    def finish(self, step: Step) -> Outcome:
        """Write down how it ended; the monitor sees the last instant too, in which nobody acts."""
        paused = self.control is Control.PAUSED
        self.pen.events.append(Event(step.t_ns, "success" if step.success else "abort" if paused else "timeout"))
        if self.guard is not None and not paused:
            self.guard.look(step, None, self.pen)
        return Outcome.SUCCESS if step.success else Outcome.ABORTED if paused else Outcome.FAILURE

    def _wishes(self, observation: Observation) -> tuple[Wish | None, dict[str, Wish]]:
        own = self.mind.wish(observation, self.timed) if self.mind else None
        return own, {f"shadow/{name}": mind.wish(observation, self.timed) for name, mind in self.shadows.items()}

    def _write(self, t_ns: int, own: Wish | None, beside: Mapping[str, Wish]) -> None:
        if own and self.mind:
            self.pen.wish(t_ns, own, "policy", ahead=self.mind.looks_ahead)
        for name, wish in beside.items():
            self.pen.acted[f"{name}/action"].append((t_ns, wish.action))
            self.pen.wish(t_ns, wish, name)

    def _hand_over(self, wants: str, step: Step) -> None:
        """Give what the monitor asks for to the one state machine: an operator takes over, or the robot pauses."""
        asked = wants == OnAlarm.PAUSE or (wants == OnAlarm.TAKEOVER and self.operator is not None)
        if asked and self.control is Control.AUTONOMOUS:
            self._stop(step.t_ns)

    def _stop(self, t_ns: int, why: str = "") -> None:
        """Pause the policy; the operator, where there is one, goes on and has the time of a whole try."""
        self.control = steer(self.control, "takeover")
        if self.operator is not None:
            self.control = steer(self.control, "correct")
            self.takeovers += 1
            self.left = int(OPERATOR_STEPS * self.site.spec.horizon_steps)
        self.pen.events.append(Event(t_ns, "pause" if self.operator is None else "takeover", why))

    def _turned(self, step: Step, own: Wish, hands: Hands) -> Step | None:
        """Ask the operator in, or hand back; return the step to go on from, None where control stays where it is."""
        human, score = self.control is not Control.AUTONOMOUS, self._score(own)
        wants = hands.wants(step=self.taken, left=self.left, score=score, human=human)
        if not wants:
            if not human and hands.ask.rewind_steps is not None:
                self._keep(step)
            return None
        for mind in self.minds():
            mind.queue = []  # what was wanted for another place, or before somebody else moved the robot
        said = "no score" if score is None else f"score {score:.4g}"
        if wants == "handback":
            self.control = steer(self.control, "handback")
            self.pen.events.append(Event(step.t_ns, "handback", f"{said} below {hands.ask.leave:.4g}, and they agree"))
            return step
        random = hands.ask.at_step is not None
        steps = hands.ask.rewind_steps
        at, rewound = (step, 0) if random or steps is None else self._rewound(step, hands.calm - steps)
        self.ring.clear()
        hands.taken(rewound=rewound)
        self._stop(at.t_ns, f"random: {said}" if random else f"gate: {said} above {hands.ask.enter:.4g}")
        self.asked.append({"t_ns": at.t_ns, "random": random, "score": score, "rewound": rewound})
        return at

    def kept(self, step: Step, site: Restorable) -> Kept:
        """Return the state as it is at `step`, to be put back later."""
        return Kept(self.taken, self.timed("simulation", site.snapshot), step, frozenset(self.seen))

    def put_back(self, kept: Kept, site: Restorable) -> Step:
        """Restore a state and forget what was written after it; policies are asked anew from there."""
        at: Step = self.timed("simulation", site.restore, kept.state)
        self.taken, self.seen = kept.taken, set(kept.seen)
        self.pen.wind_back(at.t_ns)
        for mind in self.minds():
            mind.queue = []
        return at

    def _keep(self, step: Step) -> None:
        if self.taken % RING_STEPS == 0 and isinstance(self.site, Restorable):
            self.ring.append(self.kept(step, self.site))

    def _rewound(self, step: Step, to: int) -> tuple[Step, int]:
        """Go back to after `to` steps, or as near as states are kept; return where it is and how far back that is."""
        if not self.ring or not isinstance(self.site, Restorable):
            return step, 0
        earlier = [kept for kept in self.ring if kept.taken <= to]
        kept = earlier[-1] if earlier else self.ring[0]
        back = self.taken - kept.taken
        at = self.put_back(kept, self.site)
        self.pen.events.append(Event(at.t_ns, "rewind", f"{back} steps"))
        return at, back

    def _score(self, own: Wish) -> float | None:
        """What the monitor said of the step before; where none watches, how unsure the policy is now."""
        if self.guard is not None:
            return self.guard.score
        return None if own.members is None else float(uncertainty_of(own.members))

    def _apart(self, executed: Vector, own: Wish) -> float:
        """How far the operator is from the policy, as `Ask.agree` says."""
        spec = self.site.spec
        half = (spec.action_high - spec.action_low) / 2
        return float(np.sqrt((((executed - self._within(own.action)) / half) ** 2).mean()))

    def _within(self, wanted: Vector) -> Vector:
        bounded: Vector = np.minimum(np.maximum(wanted, self.site.spec.action_low), self.site.spec.action_high)
        return bounded

    def _ask_operator(self, observation: Observation) -> Vector:
        if self.operator is None:
            raise SiteFault(
                "nobody is there to act", subject=self.site.spec.name, remedy="Give a policy or an operator."
            )
        action = self.timed("expert", self.operator.act, observation)
        if action is None:
            raise SiteFault("the operator gave no action", subject=self.operator.name, remedy="Take over again.")
        return np.asarray(action, dtype=np.float64)

    def timed(self, kind: str, call: Any, *args: Any) -> Any:  # noqa: ANN401 - a transparent stopwatch
        """Call and count the seconds as `kind`."""
        began = time.perf_counter()
        try:
            return call(*args)
        finally:
            self.seconds[kind] += time.perf_counter() - began

    def _ask_site(self, call: Callable[[Any], Step], argument: object) -> tuple[Step, Vector]:
        """Return the site's answer, checked, and all its values side by side."""
        try:
            step: Step = self.timed("simulation", call, argument)
        except SaqiyaError:
            raise
        except Exception as error:
            raise self._fault(f"failed: {type(error).__name__}: {error}") from error
        for name, width in self.site.spec.observation.items():
            if name not in step.observation or step.observation[name].shape != (width,):
                raise self._fault(f"{name} is not {width} numbers at {step.t_ns} ns")
        everything = np.concatenate((*step.observation.values(), *step.signals.values()), axis=None)
        if everything.dot(self._zeros(everything.size)) != 0.0:  # zero times what is not finite is not zero
            values = {**step.observation, **step.signals}
            name = next(name for name, value in values.items() if not np.isfinite(value).all())
            raise self._fault(f"{name} is not finite at {step.t_ns} ns")
        return step, everything

    def _zeros(self, size: int) -> Vector:
        if self.zeros.size != size:
            self.zeros = np.zeros(size)
        return self.zeros

    def _fault(self, what: str) -> SiteFault:
        return SiteFault(
            what,
            subject=self.site.spec.name,
            remedy="Look at the site's sensors or simulator; the other tries are stored.",
        )
