"""One try: site x policy x operator x log, stepped by the one takeover state machine of `loop.tries.stepping`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from saqiya.domain.asking import Hands
from saqiya.domain.contracts import Operator, Restorable, Roll, RunnablePolicy, Site, Step, Takeover
from saqiya.domain.streams import EpisodeLog, Event
from saqiya.loop.tries.guard import Guard
from saqiya.loop.tries.mind import Mind
from saqiya.loop.tries.monitor import Monitor
from saqiya.loop.tries.stepping import OPERATOR_STEPS, Control, Driver, Kept, arrived, steer

__all__ = ["Control", "Try", "run_try", "steer"]


@dataclass(frozen=True)
class Try:
    """A finished try: its log, what it came to, what it cost, and the seconds that were not Saqiya's own, by kind."""

    log: EpisodeLog
    success: bool
    human_steps: int
    takeovers: int
    seconds: Mapping[str, float]
    void: str = ""


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
    driver = Driver(site, Mind(policy) if policy is not None else None, operator, minds)
    if monitor is not None and roll.takeover is None:
        driver.guard = Guard(monitor, policy=str(facts.get("policy", "")))
    if roll.ask is not None and roll.takeover is None:
        driver.hands = Hands(roll.ask)
    step = driver.start(roll.start)
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


def _until_done(driver: Driver, step: Step, limit: int) -> Step:
    """Go on until the criterion holds, the time is up or it is paused; an operator who takes over has time anew."""
    driver.left = limit
    while driver.left > 0 and not step.success and driver.control is not Control.PAUSED:
        step = driver.drive(step)
    return step


def _corrected(driver: Driver, step: Step, plan: Takeover) -> tuple[Step, int, str]:
    """Replay to the takeover, let the operator finish; wind back and try again while it fails."""
    site = driver.site
    if not isinstance(site, Restorable):
        return step, 0, f"{site.spec.name} cannot restore a state: show the whole task from the start instead"
    points = sorted({max(0, plan.step - i * plan.earlier) for i in range(plan.attempts)}, reverse=True)
    saved: dict[int, Kept] = {}
    for index in range(points[0] + 1):
        if index in points:
            saved[index] = driver.kept(step, site)
        if index < points[0]:
            step = driver.drive(step, plan.actions[index])
    if not arrived(step, plan):
        return step, 0, "the replay did not reach the logged state: this site does not repeat itself"
    for attempt, point in enumerate(points):
        if attempt:
            driver.put_back(saved[point], site)
        at = saved[point].step
        driver.pen.events.append(Event(at.t_ns, "takeover"))
        driver.control = steer(steer(Control.AUTONOMOUS, "takeover"), "correct")
        step = _until_done(driver, at, int(OPERATOR_STEPS * site.spec.horizon_steps))
        if step.success:
            return step, attempt + 1, ""
    return step, len(points), ""
