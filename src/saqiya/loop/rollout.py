"""One try: site x policy x operator x log, and the one takeover state machine that all of them share."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np

from saqiya.domain.asking import Hands
from saqiya.domain.contracts import (
    Observation,
    Operator,
    Restorable,
    Roll,
    RunnablePolicy,
    Site,
    Snapshot,
    Step,
    Takeover,
    Vector,
)
from saqiya.domain.nouns import Outcome
from saqiya.domain.streams import EpisodeLog, Event
from saqiya.errors import SaqiyaError, SiteFault
from saqiya.loop.guard import Guard, Shown
from saqiya.loop.mind import Mind, Wish, uncertainty_of
from saqiya.loop.monitor import Monitor, OnAlarm
from saqiya.loop.pen import Pen

__all__ = ["Control", "Try", "run_try", "steer"]

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


@dataclass(frozen=True)
class Try:
    """A finished try: its log, what it came to, what it cost, and the seconds that were not Saqiya's own, by kind."""

    log: EpisodeLog
    success: bool
    human_steps: int
    takeovers: int
    seconds: Mapping[str, float]
    void: str = ""


@dataclass(frozen=True)
class _Kept:
    """A state to go back to: after so many control steps, what was seen there, and which phases were known."""

    taken: int
    state: Snapshot
    step: Step
    seen: frozenset[str]


@dataclass
class _Driver:
    """Runs a site step by step for one roll, timing what is not Saqiya's own work."""

    site: Site
    mind: Mind | None
    operator: Operator | None
    shadows: Mapping[str, Mind] = field(default_factory=dict)
    guard: Guard | None = None
    hands: Hands | None = None
    ring: deque[_Kept] = field(default_factory=lambda: deque(maxlen=RING_N))
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

    def start(self, roll: Roll) -> Step:
        for mind in self.minds():
            mind.begin(roll.start.seed)
        step, values = self._ask_site(self.site.reset, roll.start)
        self.pen.see(step, values, self.seen)
        return step

    def minds(self) -> tuple[Mind, ...]:
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

    def _keep(self, step: Step) -> None:
        if self.taken % RING_STEPS == 0 and isinstance(self.site, Restorable):
            state = self.timed("simulation", self.site.snapshot)
            self.ring.append(_Kept(self.taken, state, step, frozenset(self.seen)))

    def _rewound(self, step: Step, to: int) -> tuple[Step, int]:
        """Go back to after `to` steps, or as near as states are kept; return where it is and how far back that is."""
        if not self.ring or not isinstance(self.site, Restorable):
            return step, 0
        earlier = [kept for kept in self.ring if kept.taken <= to]
        kept = earlier[-1] if earlier else self.ring[0]
        back, self.taken = self.taken - kept.taken, kept.taken
        at: Step = self.timed("simulation", self.site.restore, kept.state)
        self.pen.wind_back(at.t_ns)
        self.seen = set(kept.seen)
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


def run_try(
    site: Site,
    roll: Roll,
    *,
    policy: RunnablePolicy | None,
    operator: Operator | None,
    facts: Mapping[str, Any],
    shadows: Mapping[str, RunnablePolicy] = MappingProxyType({}),
    monitor: Monitor | None = None,
) -> Try:
    """Run one try at `site` and return its log.

    A try ends when the site's criterion holds, or at the horizon ("timeout"). With `roll.takeover` the logged actions
    are replayed up to the takeover, then the operator drives; an attempt that fails is wound back further.

    A monitor sees every action before it is carried out. Its alarms are events, its score is a stream. Where it wants
    a takeover and there is an operator, the operator acts in the policy's place from that step on; where it wants a
    pause and there is none, nothing moves any more and the try is aborted.

    With `roll.ask` the operator is asked in when the score (the monitor's where one watches, else how unsure the policy
    is) passes one threshold, from shortly before that place where the site can restore it, and hands back below
    another; or at a step that was drawn. What was wound back is not in the log; `asked` in its metadata says how far.

    Args:
        site: where it happens; reset by this call.
        roll: where it starts and who acts.
        policy: acts, or, beside an operator, says what it would have done.
        operator: acts when there is no policy or after a takeover; with `roll.ask` there must be one.
        facts: goes into the log's metadata (policy key, site, task ...).
        shadows: policies, by name, that are asked at every step and never move anything: what they want becomes
            `shadow/<name>/action`, and how unsure they are `shadow/<name>/uncertainty`.
        monitor: watches; it is told `facts["policy"]`, and takes no part in a correction.

    Raises:
        SiteFault: the site failed, or returned a wrong shape, a value that is not finite or a clock that does not
            go on; or nobody was there to act.
    """
    minds = {name: Mind(shadow) for name, shadow in shadows.items()}
    driver = _Driver(site, Mind(policy) if policy is not None else None, operator, minds)
    if monitor is not None and roll.takeover is None:
        driver.guard = Guard(monitor, policy=str(facts.get("policy", "")))
    if roll.ask is not None and roll.takeover is None:
        driver.hands = Hands(roll.ask)
    step = driver.start(roll)
    void = ""
    if roll.takeover is not None:
        step, driver.takeovers, void = _corrected(driver, step, roll.takeover)
    else:
        driver.control = Control.AUTONOMOUS if policy is not None else Control.CORRECTION
        step = _until_done(driver, step, site.spec.horizon_steps)
    outcome = driver.finish(step)
    metadata = {
        **facts,
        "source": roll.source.value,
        "operator": roll.operator,
        "start": {"seed": roll.start.seed, "factors": dict(roll.start.factors)},
        "outcome": outcome.value,
        "human_steps": driver.human_steps,
        "takeovers": driver.takeovers,
        **({"asked": driver.asked} if roll.ask is not None else {}),
    }
    log = EpisodeLog(roll.key, driver.pen.streams(), tuple(driver.pen.events), metadata)
    return Try(log, step.success, driver.human_steps, driver.takeovers, dict(driver.seconds), void)


def _until_done(driver: _Driver, step: Step, limit: int) -> Step:
    """Go on until the criterion holds, the time is up or it is paused; an operator who takes over has time anew."""
    driver.left = limit
    while driver.left > 0 and not step.success and driver.control is not Control.PAUSED:
        step = driver.drive(step)
    return step


def _corrected(driver: _Driver, step: Step, plan: Takeover) -> tuple[Step, int, str]:
    """Replay to the takeover, let the operator finish; wind back and try again while it fails."""
    site = driver.site
    if not isinstance(site, Restorable):
        return step, 0, f"{site.spec.name} cannot restore a state: show the whole task from the start instead"
    points = sorted({max(0, plan.step - i * plan.earlier) for i in range(plan.attempts)}, reverse=True)
    saved: dict[int, tuple[Snapshot, Step, set[str]]] = {}
    for index in range(points[0] + 1):
        if index in points:
            saved[index] = (driver.timed("simulation", site.snapshot), step, set(driver.seen))
        if index < points[0]:
            step = driver.drive(step, plan.actions[index])
    if not all(np.array_equal(step.observation[name], value) for name, value in plan.arrived.items()):
        return step, 0, "the replay did not reach the logged state: this site does not repeat itself"
    for attempt, point in enumerate(points):
        snapshot, at, seen = saved[point]
        if attempt:
            step = driver.timed("simulation", site.restore, snapshot)
            driver.pen.wind_back(at.t_ns)
            driver.seen = set(seen)
            for mind in driver.minds():
                mind.queue = []
        driver.pen.events.append(Event(at.t_ns, "takeover"))
        driver.control = steer(steer(Control.AUTONOMOUS, "takeover"), "correct")
        step = _until_done(driver, at, int(OPERATOR_STEPS * site.spec.horizon_steps))
        if step.success:
            return step, attempt + 1, ""
    return step, len(points), ""
