"""Live collection: the champion acts, the gate asks a person in, and what they do becomes corrections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from saqiya.correct import stage as correct
from saqiya.correct.asking import Asking, Heard, Precision, heard, needed
from saqiya.correct.intent import aim_of
from saqiya.detect.stage import outcomes_of
from saqiya.domain.asking import Ask
from saqiya.domain.contracts import Demonstrable, Restorable, Roll, Rolled
from saqiya.domain.nouns import Correction, Deployment, Episode, Failure, FailureMode, Intent, Outcome, Policy, Source
from saqiya.domain.streams import Start
from saqiya.errors import GuardRefusal, UsageError
from saqiya.evaluate.intervals import Interval, newcombe
from saqiya.loop import draws
from saqiya.loop.figures import SWITCH_STEPS
from saqiya.loop.novelty.aim import cleared
from saqiya.models.starts import encode, nearest_distance

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Collected", "collect"]

SCORE = "policy/uncertainty"
LIVE = "asked"
"""What the log of a try into which a person could be asked says of each time that it was."""
REWIND_STEPS = 20
DRAWN_N = 2000
"""Starts that are drawn to find those that a condition holds for."""
NEARBY = 4
"""Of so many times as many fresh starts as are wanted, those nearest to a mode's failing ones are taken."""


@dataclass(frozen=True)
class Collected:
    """What a live collection came to.

    Attributes:
        asked, drawn: takeovers that the score decided, and random ones, with how many of each were needed.
        better: 95 % interval of the difference of the two shares; None while one of them has no takeover.
        share: of all control steps, a person's; `budget` is what it may be.
        minutes: of a person, switches included.
        said: what could not be done here, in words.
    """

    corrections: tuple[Correction, ...]
    tries: int
    steps: int
    human_steps: int
    takeovers: int
    share: float
    budget: float
    minutes: float
    asked: Precision
    drawn: Precision
    better: Interval | None
    said: tuple[str, ...]


def collect(
    wheel: Flywheel,
    target: str,
    *,
    episodes: int,
    minutes: float = np.inf,
    budget: float = 0.1,
    random: float = 0.15,
) -> Collected:
    """Let the champion act, with a person asked in, until so many tries or minutes of theirs are over.

    Args:
        wheel: the workspace.
        target: what it is for, on record by `saqiya aim`: a failure mode or a condition.
        episodes: so many tries at most.
        minutes: of a person, at most; the last takeover is finished.
        budget: share of control steps that may be a person's, what earlier collections with this policy took included.
        random: share of takeovers that no score decides.

    Raises:
        GuardRefusal: the target is not on record, nothing is deployed, or nobody is there to ask.
        TooLittle: the deployment holds too few tries with a score.
        UsageError: the target is the bootstrap, or a number cannot be.
    """
    if aim_of(target).label == correct.BOOTSTRAP:
        raise UsageError("there is no policy to take over from", subject=target, remedy="saqiya record bootstrap.")
    if episodes < 1 or not minutes > 0.0:
        raise UsageError(f"{episodes} tries and {minutes:g} minutes cannot be", remedy="Give positive numbers.")
    intent, (policy, deployment) = cleared(wheel, target), _deployed(wheel)
    if not isinstance(wheel.site, Demonstrable):
        raise GuardRefusal("has no scripted expert", subject=wheel.site.spec.name, remedy="Give run_try an operator.")
    live = _Live(wheel, intent, policy)
    rng = np.random.default_rng(draws.seed(wheel.config.run.seed, "collect", wheel.number, live.number))
    restorable = isinstance(wheel.site, Restorable)
    starts = _starts(wheel, intent, live.number, episodes)
    live.promises = _promises(wheel, policy, starts)
    gate = Asking.begin(
        live.calibration(deployment),
        rng,
        budget=budget,
        random=random,
        agree=policy.metrics.get("held_out_rmse", 0.1),
        rewind_steps=REWIND_STEPS if restorable else None,
    )
    for one in live.before():
        gate = gate.after(one, rng)
    for index, start in enumerate(starts):
        if live.minutes >= minutes:
            break
        ask = gate.ask(rng, promise=live.promises[index])
        rolled = live.one(index, start, ask)
        if rolled.episode is not None:
            gate = gate.after(live.told(index, rolled, ask), rng)
    return live.collected(budget, () if restorable else ("this site restores no state: nothing is wound back",))


class _Live:
    """One collection: its tries so far, and what they cost."""

    def __init__(self, wheel: Flywheel, intent: Intent, policy: Policy) -> None:
        self._wheel, self._intent, self._policy = wheel, intent, policy
        known = {wheel.key_of(one.id) for one in wheel.store.catalog.all(Episode)}
        place = wheel.key("collect")
        self.number = len({key.split("/")[2] for key in known if key.startswith(f"{place}/")})
        self._place = f"{place}/{self.number}"
        self._operator = wheel.site.expert(wheel.config.run.seed).name  # type: ignore[attr-defined]
        self._half = (wheel.site.spec.action_high - wheel.site.spec.action_low) / 2
        self.promises: list[float | None] = []
        self._made: list[Correction] = []
        self._counts = {False: Precision(0, 0), True: Precision(0, 0)}
        self._tries = self._steps = self._human = self._takeovers = 0
        self._agree = policy.metrics.get("held_out_rmse", 0.1)

    @property
    def minutes(self) -> float:
        """Of a person, until now."""
        return (self._human + SWITCH_STEPS * self._takeovers) / self._wheel.site.spec.rate_hz / 60.0

    def calibration(self, deployment: Deployment) -> list[Heard]:
        """The champion's own tries: nobody took over in them, and their outcomes are known."""
        store = self._wheel.store
        episodes = [store.catalog.get(one, Episode) for one in deployment.episodes]
        outcomes, known = outcomes_of(store, episodes), all(one.start for one in episodes)
        starts = [one.start for one in episodes if one.start is not None]
        promises: Sequence[float | None] = [None] * len(episodes)
        if known:
            promises = _promises(self._wheel, self._policy, starts)
        return [
            heard(store.streams(one), None, score=SCORE, success=outcomes[one.id] is Outcome.SUCCESS, promise=promise)
            for one, promise in zip(episodes, promises, strict=True)
        ]

    def before(self) -> list[Heard]:
        """The live tries of earlier collections with this policy: what they overspent is not given out again."""
        store = self._wheel.store
        tries = [
            one
            for one in store.catalog.all(Episode)
            if one.policy == self._policy.id and LIVE in one.extra and one.start
        ]
        promises = _promises(self._wheel, self._policy, [one.start for one in tries if one.start is not None])
        return [
            heard(store.streams(one), one.extra[LIVE], score=SCORE, promise=promise)
            for one, promise in zip(tries, promises, strict=True)
        ]

    def one(self, index: int, start: Start, ask: Ask) -> Rolled:
        """Run one try, and keep what a person gave."""
        key = f"{self._place}/{index:04d}"
        roll = Roll(key, start, Source.CORRECTION, policy=self._policy.id, operator=self._operator, ask=ask)
        (rolled,) = self._wheel.roller([roll])
        self._tries += 1
        self._human += rolled.human_steps
        self._takeovers += rolled.takeovers
        why = "a random takeover" if ask.at_step is not None else f"the policy was unsure: above {ask.enter:.4g}"
        made = correct.keep_live(self._wheel.store, self._intent, rolled, operator=self._operator, reason=why)
        self._made += [made] if made else []
        return rolled

    def told(self, index: int, rolled: Rolled, ask: Ask) -> Heard:
        """Read what a try says to the gate, and count its takeovers."""
        episode = rolled.episode
        if episode is None:
            raise UsageError("there is no try to read", subject=rolled.roll.key)
        streams, asked = self._wheel.store.streams(episode), episode.extra.get(LIVE)
        for random, found in needed(streams, asked, half_range=self._half, agree=self._agree).items():
            before = self._counts[random]
            self._counts[random] = Precision(before.needed + found.needed, before.takeovers + found.takeovers)
        self._steps += episode.steps
        alone = rolled.success if np.isinf(ask.enter) else None
        return heard(streams, asked, score=SCORE, success=alone, promise=self.promises[index])

    def collected(self, budget: float, said: tuple[str, ...]) -> Collected:
        """Sum up."""
        asked, drawn = self._counts[False], self._counts[True]
        both = asked.takeovers and drawn.takeovers
        return Collected(
            tuple(self._made),
            self._tries,
            self._steps,
            self._human,
            self._takeovers,
            self._human / self._steps if self._steps else 0.0,
            budget,
            self.minutes,
            asked,
            drawn,
            newcombe((drawn.needed, drawn.takeovers), (asked.needed, asked.takeovers)) if both else None,
            said,
        )


def _deployed(wheel: Flywheel) -> tuple[Policy, Deployment]:
    champion = wheel.champion()
    if champion is None:
        raise GuardRefusal("nothing is deployed in this scope", subject=wheel.scope, remedy="Run saqiya turn first.")
    return champion


def _starts(wheel: Flywheel, intent: Intent, number: int, episodes: int) -> list[Start]:
    """Begin where a mode failed before, then at the nearest of fresh starts; under a condition, where it holds."""
    seed, catalog = wheel.config.run.seed, wheel.store.catalog
    aim = aim_of(intent.target)
    purpose = f"collect-{number}"
    if aim.condition:
        drawn = draws.starts(wheel.site, seed, purpose, wheel.number, DRAWN_N, region=1.0)
        found = [one for one in drawn if aim.holds(one.factors)][:episodes]
        if not found:
            raise UsageError(f"none of {DRAWN_N} drawn starts fits", subject=intent.target, remedy="Widen it.")
        return found
    failed = []
    if intent.mode is not None:
        members = [catalog.get(one, Failure) for one in catalog.get(intent.mode, FailureMode).members]
        failed = [start for one in members if (start := catalog.get(one.episode, Episode).start) is not None]
    fresh = draws.starts(wheel.site, seed, purpose, wheel.number, NEARBY * episodes, region=1.0)
    apart = _apart(wheel, fresh, failed)
    if None not in apart:  # what is given there is booked for this mode, so it must lie near its failures
        kept = sorted(np.argsort(np.array(apart, dtype=np.float64), kind="stable")[:episodes])
        fresh = tuple(fresh[at] for at in kept)
    return [*failed, *fresh][:episodes]


def _promises(wheel: Flywheel, policy: Policy, starts: Sequence[Start]) -> list[float | None]:
    """How far each start lies from what training covers: there a person teaches most."""
    return _apart(wheel, starts, [one.start for one in wheel.training_episodes(policy) if one.start is not None])


def _apart(wheel: Flywheel, starts: Sequence[Start], others: Sequence[Start]) -> list[float | None]:
    """How far each start lies from the nearest of others; None where they have no factors in common to tell by."""
    alike = [one for one in others if starts and one.factors.keys() == starts[0].factors.keys()]
    if not alike or any(one.factors.keys() != starts[0].factors.keys() for one in starts):
        return [None] * len(starts)
    placed = encode([*starts, *alike], wheel.ranges)
    return [float(one) for one in nearest_distance(placed[: len(starts)], placed[len(starts) :])]
