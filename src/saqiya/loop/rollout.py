"""One try: site x policy x operator x log, and the one takeover state machine that all of them share.

Rows are stamped by the site's clock. An observation row belongs to the instant it was seen; the action rows carry the
stamp of the observation they answer, so a try of T steps has T + 1 observation rows and T action rows.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    """A finished try: its log, what it came to, what it cost, and the seconds that were not Saqiya's own, by kind."""

    log: EpisodeLog
    success: bool
    human_steps: int
    takeovers: int
    seconds: Mapping[str, float]
    void: str = ""


@dataclass
class _Table:
    """Steps in a row that have the same names and widths: one vector a step, its values side by side."""

    layout: tuple[tuple[str, int], ...]
    t_ns: list[int] = field(default_factory=list)
    rows: list[Vector] = field(default_factory=list)


@dataclass
class _Pen:
    """Collects rows while a try runs; can be wound back to an earlier step when the state is restored.

    While the try runs it keeps one vector a step; they are taken apart into streams at the end.
    """

    clock: str = "sim"
    seen: list[_Table] = field(default_factory=list)
    acted: dict[str, list[tuple[int, Any]]] = field(default_factory=lambda: defaultdict(list))
    members: list[tuple[int, Vector]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def see(self, step: Step, values: Vector, known: set[str]) -> None:
        """Keep a step, `values` being all it holds side by side; a phase in `known` is not reached again."""
        layout = (
            *((f"observation/{name}", value.size) for name, value in step.observation.items()),
            *((name, value.size) for name, value in step.signals.items()),
        )
        if not self.seen or self.seen[-1].layout != layout:
            self.seen.append(_Table(layout))
        self.seen[-1].t_ns.append(step.t_ns)
        self.seen[-1].rows.append(values)
        for name in step.events:
            if not name.startswith("phase/") or name not in known:
                known.add(name)
                self.events.append(Event(step.t_ns, name))

    def wind_back(self, t_ns: int) -> None:
        for table in self.seen:
            kept = bisect_right(table.t_ns, t_ns)
            del table.t_ns[kept:], table.rows[kept:]
        self.seen = [table for table in self.seen if table.rows]
        for name, rows in self.acted.items():
            self.acted[name] = [row for row in rows if row[0] < t_ns]
        self.members = [row for row in self.members if row[0] < t_ns]
        self.events = [event for event in self.events if event.t_ns <= t_ns]

    def streams(self) -> dict[str, Stream]:
        made = self._columns()
        for name, rows in self.acted.items():
            made[name] = _stamps(rows), _stack([row[1] for row in rows], np.uint8 if name == "author" else np.float64)
        if self.members:
            wanted = np.array([row[1] for row in self.members])
            made["policy/uncertainty"] = _stamps(self.members), wanted.std(axis=1).mean(axis=1)[:, None]
        return {name: Stream(at, values, clock=self.clock) for name, (at, values) in sorted(made.items())}

    def _columns(self) -> dict[str, tuple[NDArray[np.int64], NDArray[Any]]]:
        parts: dict[str, list[tuple[NDArray[np.int64], NDArray[Any]]]] = defaultdict(list)
        for table in self.seen:
            stamps, values, at = np.array(table.t_ns, np.int64), np.array(table.rows, np.float64), 0
            for name, width in table.layout:
                parts[name].append((stamps, values[:, at : at + width].copy()))
                at += width
        return {
            name: found[0] if len(found) == 1 else (np.concatenate([t for t, _ in found]), _joined(found))
            for name, found in parts.items()
        }


def _joined(parts: list[tuple[NDArray[np.int64], NDArray[Any]]]) -> NDArray[Any]:
    return np.concatenate([values for _, values in parts])


def _stamps(rows: list[tuple[int, Any]]) -> NDArray[np.int64]:
    return np.array([row[0] for row in rows], np.int64)


def _stack(rows: list[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """Return rows as (T, width); vectors of one length go the way that is five times quicker."""
    first = rows[0] if rows else None
    if isinstance(first, np.ndarray) and {row.shape for row in rows} == {first.shape}:
        return np.concatenate(rows, axis=None, dtype=dtype, casting="unsafe").reshape(len(rows), -1)
    return np.asarray(rows, dtype).reshape(len(rows), -1)


@dataclass
class _Driver:
    """Runs a site step by step for one roll, timing what is not Saqiya's own work."""

    site: Site
    policy: RunnablePolicy | None
    operator: Operator | None
    pen: _Pen = field(default_factory=_Pen)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    seen: set[str] = field(default_factory=set)
    queue: list[tuple[Vector, Vector | None]] = field(default_factory=list)
    human_steps: int = 0
    zeros: Vector = field(default_factory=lambda: np.zeros(0))

    def start(self, roll: Roll) -> Step:
        if self.policy is not None:
            self.policy.reset(roll.start.seed)
        step, values = self._ask_site(self.site.reset, roll.start)
        self.pen.see(step, values, self.seen)
        return step

    def intend(self, observation: Observation) -> tuple[Vector, Vector | None] | None:
        """What the policy wants now, and what each of its members wants, (m, d); None when it has no members."""
        if self.policy is None:
            return None
        if not self.queue:
            action = self.timed("inference", self.policy.act, observation)
            execute = self.policy.spec.execute
            samples = action.samples
            members = [None if samples is None else samples[:, i] for i in range(execute)]
            self.queue = list(zip(action.chunk[:execute], members, strict=True))
        return self.queue.pop(0)

    def drive(self, step: Step, control: Control, replayed: Vector | None = None) -> Step:
        """Carry out one control step under `control` and write down who wanted what."""
        acted = self.pen.acted
        intended = None if replayed is not None else self.intend(step.observation)
        if replayed is not None:
            wanted, author = replayed, Author.POLICY
            acted["action/intended"].append((step.t_ns, replayed))
        elif control is Control.AUTONOMOUS and intended is not None:
            wanted, author = intended[0], Author.POLICY
        else:
            wanted, author = self._ask_operator(step.observation), Author.OPERATOR
            acted["action/operator"].append((step.t_ns, wanted))
            self.human_steps += 1
        if intended is not None:
            acted["action/intended"].append((step.t_ns, intended[0]))
            if intended[1] is not None:
                self.pen.members.append((step.t_ns, intended[1]))
        executed = np.minimum(np.maximum(wanted, self.site.spec.action_low), self.site.spec.action_high)
        acted["action/executed"].append((step.t_ns, executed))
        acted["author"].append((step.t_ns, int(author is Author.OPERATOR)))
        after, values = self._ask_site(self.site.step, executed)
        if after.t_ns <= step.t_ns:
            raise self._fault(f"its clock went from {step.t_ns} to {after.t_ns} ns in a step")
        self.pen.see(after, values, self.seen)
        return after

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
    return Try(log, step.success, driver.human_steps, takeovers, dict(driver.seconds), void)


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
            saved[index] = (driver.timed("simulation", site.snapshot), step, set(driver.seen))
        if index < points[0]:
            step = driver.drive(step, Control.AUTONOMOUS, plan.actions[index])
    if not all(np.array_equal(step.observation[name], value) for name, value in plan.arrived.items()):
        return step, 0, "the replay did not reach the logged state: this site does not repeat itself"
    for attempt, point in enumerate(points):
        snapshot, at, seen = saved[point]
        if attempt:
            step = driver.timed("simulation", site.restore, snapshot)
            driver.pen.wind_back(at.t_ns)
            driver.seen, driver.queue = set(seen), []
        driver.pen.events.append(Event(at.t_ns, "takeover"))
        control = steer(steer(Control.AUTONOMOUS, "takeover"), "correct")
        step = _until_done(driver, at, control, int(OPERATOR_STEPS * site.spec.horizon_steps))
        if step.success:
            return step, attempt + 1, ""
    return step, len(points), ""
