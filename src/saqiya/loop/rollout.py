"""One try: site x policy x operator x log, and the one takeover state machine that all of them share.

Rows are stamped by the site's clock. An observation row belongs to the instant it was seen; the action rows carry the
stamp of the observation they answer, so a try of T steps has T + 1 observation rows and T action rows.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

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
from saqiya.domain.streams import Author, EpisodeLog, Event, Stream
from saqiya.errors import SaqiyaError, SiteFault

__all__ = ["Control", "Try", "run_try", "steer"]

OPERATOR_STEPS = 1.0
"""An operator who takes over may use this many horizons from there: recovering takes longer than doing it right."""


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
    """A finished try: its log, what it came to, what it cost, and where the time went (seconds by kind)."""

    log: EpisodeLog
    success: bool
    human_steps: int
    takeovers: int
    seconds: Mapping[str, float]
    void: str = ""


@dataclass
class _Pen:
    """Collects rows while a try runs; can be wound back to an earlier step when the state is restored."""

    clock: str = "sim"
    rows: dict[str, list[tuple[int, Any]]] = field(default_factory=lambda: defaultdict(list))
    events: list[Event] = field(default_factory=list)

    def see(self, step: Step, seen: set[str]) -> None:
        for name, value in step.observation.items():
            self.rows[f"observation/{name}"].append((step.t_ns, value))
        for name, value in step.signals.items():
            self.rows[name].append((step.t_ns, value))
        for name in step.events:
            if not name.startswith("phase/") or name not in seen:
                seen.add(name)
                self.events.append(Event(step.t_ns, name))

    def wind_back(self, t_ns: int) -> None:
        for name, rows in self.rows.items():
            seen_then = name.split("/")[0] not in _ACTED
            self.rows[name] = [row for row in rows if row[0] < t_ns or (seen_then and row[0] == t_ns)]
        self.events = [event for event in self.events if event.t_ns <= t_ns]

    def streams(self) -> dict[str, Stream]:
        made = {}
        for name, rows in sorted(self.rows.items()):
            values = np.asarray([row[1] for row in rows], dtype=np.uint8 if name == "author" else np.float64)
            stamps = np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))
            made[name] = Stream(stamps, values.reshape(len(rows), -1), clock=self.clock)
        return made


_ACTED = {"action", "policy", "author"}


@dataclass
class _Driver:
    """Runs a site step by step for one roll, timing what is not Saqiya's own work."""

    site: Site
    policy: RunnablePolicy | None
    operator: Operator | None
    pen: _Pen = field(default_factory=_Pen)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    seen: set[str] = field(default_factory=set)
    queue: list[tuple[Vector, float | None]] = field(default_factory=list)
    human_steps: int = 0

    def start(self, roll: Roll) -> Step:
        if self.policy is not None:
            self.policy.reset(roll.start.seed)
        step = self._ask_site(self.site.reset, roll.start)
        self.pen.see(step, self.seen)
        return step

    def intend(self, observation: Observation) -> tuple[Vector, float | None] | None:
        """What the policy wants now, and how much its members disagree about it (None: it has no members)."""
        if self.policy is None:
            return None
        if not self.queue:
            action = self._timed("inference", self.policy.act, observation)
            execute = self.policy.spec.execute
            if action.samples is None:
                spread: list[float | None] = [None] * execute
            else:
                spread = list(action.samples[:, :execute].std(axis=0).mean(axis=1))
            self.queue = list(zip(action.chunk[:execute], spread, strict=True))
        return self.queue.pop(0)

    def drive(self, step: Step, control: Control, replayed: Vector | None = None) -> Step:
        """Carry out one control step under `control` and write down who wanted what."""
        intended = None if replayed is not None else self.intend(step.observation)
        if replayed is not None:
            wanted, author = replayed, Author.POLICY
            self.pen.rows["action/intended"].append((step.t_ns, replayed))
        elif control is Control.AUTONOMOUS and intended is not None:
            wanted, author = intended[0], Author.POLICY
        else:
            wanted, author = self._ask_operator(step.observation), Author.OPERATOR
            self.pen.rows["action/operator"].append((step.t_ns, wanted))
            self.human_steps += 1
        if intended is not None:
            self.pen.rows["action/intended"].append((step.t_ns, intended[0]))
            if intended[1] is not None:
                self.pen.rows["policy/uncertainty"].append((step.t_ns, intended[1]))
        executed = np.minimum(np.maximum(wanted, self.site.spec.action_low), self.site.spec.action_high)
        self.pen.rows["action/executed"].append((step.t_ns, executed))
        self.pen.rows["author"].append((step.t_ns, int(author is Author.OPERATOR)))
        after = self._ask_site(self.site.step, executed)
        if after.t_ns <= step.t_ns:
            raise self._fault(f"its clock went from {step.t_ns} to {after.t_ns} ns in a step")
        self.pen.see(after, self.seen)
        return after

    def _ask_operator(self, observation: Observation) -> Vector:
        if self.operator is None:
            raise SiteFault(
                "nobody is there to act", subject=self.site.spec.name, remedy="Give a policy or an operator."
            )
        action = self._timed("expert", self.operator.act, observation)
        if action is None:
            raise SiteFault("the operator gave no action", subject=self.operator.name, remedy="Take over again.")
        return np.asarray(action, dtype=np.float64)

    def _timed(self, kind: str, call: Any, *args: Any) -> Any:  # noqa: ANN401 - a transparent stopwatch
        began = time.perf_counter()
        try:
            return call(*args)
        finally:
            self.seconds[kind] += time.perf_counter() - began

    def _ask_site(self, call: Callable[[Any], Step], argument: object) -> Step:
        try:
            step: Step = self._timed("simulation", call, argument)
        except SaqiyaError:
            raise
        except Exception as error:
            raise self._fault(f"failed: {type(error).__name__}: {error}") from error
        for name, width in self.site.spec.observation.items():
            if name not in step.observation or step.observation[name].shape != (width,):
                raise self._fault(f"{name} is not {width} numbers at {step.t_ns} ns")
        for values in (step.observation, step.signals):
            for name, value in values.items():
                if not math.isfinite(value.sum()):  # a sum is finite unless a part is not, and ten times quicker
                    raise self._fault(f"{name} is not finite at {step.t_ns} ns")
        return step

    def _fault(self, what: str) -> SiteFault:
        return SiteFault(
            what,
            subject=self.site.spec.name,
            remedy="Look at the site's sensors or simulator; the other tries are stored.",
        )


def run_try(
    site: Site, roll: Roll, *, policy: RunnablePolicy | None, operator: Operator | None, facts: Mapping[str, Any]
) -> Try:
    """Run one try at `site` and return its log.

    A try ends when the site's criterion holds, or at the horizon ("timeout"). With `roll.takeover` the logged actions
    are replayed up to the takeover, then the operator drives; an attempt that fails is wound back further.

    Args:
        site: where it happens; reset by this call.
        roll: where it starts and who acts.
        policy: acts, or, beside an operator, says what it would have done.
        operator: acts when there is no policy or after the takeover.
        facts: goes into the log's metadata (policy id, site, task ...).

    Raises:
        SiteFault: the site failed, or returned a wrong shape, a value that is not finite or a clock that does not
            go on; or nobody was there to act.
    """
    began = time.perf_counter()
    driver = _Driver(site, policy, operator)
    step = driver.start(roll)
    void = ""
    takeovers = 0
    if roll.takeover is not None:
        step, takeovers, void = _corrected(driver, step, roll.takeover)
    else:
        control = Control.AUTONOMOUS if policy is not None else Control.CORRECTION
        step = _until_done(driver, step, control, site.spec.horizon_steps)
    driver.pen.events.append(Event(step.t_ns, "success" if step.success else "timeout"))
    seconds = dict(driver.seconds)
    seconds["own"] = time.perf_counter() - began - sum(seconds.values())
    outcome = Outcome.SUCCESS if step.success else Outcome.FAILURE
    metadata = {
        **facts,
        "source": roll.source.value,
        "operator": roll.operator,
        "start": {"seed": roll.start.seed, "factors": dict(roll.start.factors)},
        "outcome": outcome.value,
        "human_steps": driver.human_steps,
        "takeovers": takeovers,
    }
    log = EpisodeLog(roll.key, driver.pen.streams(), tuple(driver.pen.events), metadata)
    return Try(log, step.success, driver.human_steps, takeovers, seconds, void)


def _until_done(driver: _Driver, step: Step, control: Control, limit: int) -> Step:
    for _ in range(limit):
        if step.success:
            break
        step = driver.drive(step, control)
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
            saved[index] = (site.snapshot(), step, set(driver.seen))
        if index < points[0]:
            step = driver.drive(step, Control.AUTONOMOUS, plan.actions[index])
    if not all(np.array_equal(step.observation[name], value) for name, value in plan.arrived.items()):
        return step, 0, "the replay did not reach the logged state: this site does not repeat itself"
    for attempt, point in enumerate(points):
        snapshot, at, seen = saved[point]
        if attempt:
            step = site.restore(snapshot)
            driver.pen.wind_back(at.t_ns)
            driver.seen, driver.queue = set(seen), []
        driver.pen.events.append(Event(at.t_ns, "takeover"))
        control = steer(steer(Control.AUTONOMOUS, "takeover"), "correct")
        step = _until_done(driver, at, control, int(OPERATOR_STEPS * site.spec.horizon_steps))
        if step.success:
            return step, attempt + 1, ""
    return step, len(points), ""
