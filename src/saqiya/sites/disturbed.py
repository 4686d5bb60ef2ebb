"""A site on which something goes wrong that no log names: for measuring detectors and triage against a known cause.

The wrapped site keeps its name, its streams and its events. What is disturbed, when and how hard is drawn anew for each
try from the seed and the start's own seed, from harmless to hopeless: a disturbed try that succeeds all the same is as
much part of a deployment as one that fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from saqiya.domain.contracts import Operator, Restorable, Site, SiteSpec, Snapshot, Step, Vector
from saqiya.domain.streams import Start
from saqiya.errors import SiteFault, UsageError

__all__ = ["CAUSES", "ROUGH", "Displaceable", "Disturbed"]

CAUSES = ("shifted_start", "perception_bias", "push", "gripper_slip", "actuation_loss")
ROUGH = "rough"
COUNTS = "disturbed/counts"
"""No fault but a hard place to work: what everybody meets there, experts too."""

BEGIN = (0.0, 0.33)
"""Share of the site's usual horizon before which, and after which, no push and no loss of actuation begins."""
SLIP_DELAY_STEPS = (1, 20)
SLIP_STEPS = (1, 8)
PUSH_STEPS = (2, 16)
MOST_LOST = 0.8
KNOCKED_SHARE = 0.5
SHAKEN = 0.2
"""Standard deviation of the noise on every action of a rough site, as a share of half the action's range."""


@runtime_checkable
class Displaceable(Protocol):
    """A site whose object can be knocked against behind the policy's back."""

    def displace(self, offset: Vector) -> None:
        """Move the object by `offset`, float64 (2,) m in the plane of the table, unless it is held."""


@dataclass(frozen=True)
class _Handles:
    """What of a site a disturbance takes hold of.

    Attributes:
        seen: streams whose first two columns are the object's place, with the sign by which they follow it.
        gripper: column of the action that opens the jaws, at `opens`.
        held: signal that is 1 while the object is held.
        reach_m: the largest error of perception and the largest push.
    """

    seen: Mapping[str, float]
    gripper: int
    opens: float
    held: str
    reach_m: float


_SAWYER = _Handles(
    {"object": 1.0, "reach": 1.0, "carry": -1.0}, gripper=3, opens=-1.0, held="object/grasped", reach_m=0.045
)
_HANDLES = {
    "tiny": _Handles({"puck": 1.0}, gripper=2, opens=-1.0, held="contact/held", reach_m=0.07),
    "metaworld-pick-place": _SAWYER,
    "metaworld-pick-place-wall": _SAWYER,
    "metaworld-push": _SAWYER,
}


@dataclass(frozen=True)
class _Plan:
    """What will go wrong in one try; drawn whole at its start, so that equal seeds give equal tries."""

    bias: Vector
    push: Vector
    hand: bool
    begin: int
    steps: int
    direction: Vector
    slip_after: int
    slip_steps: int
    kept: Vector
    knocked: bool


class Disturbed:
    """`site` with one of `CAUSES` at work, or `ROUGH`, or none: a `Site`.

    - shifted_start: a try begins outside the middle `covered` of the start factors.
    - perception_bias: the object is seen beside its place, all the try long; policy and log see the same.
    - push: at an instant the object is displaced, or for some steps the hand is dragged off its way.
    - gripper_slip: some steps after the grasp the jaws give way; the log keeps the command.
    - actuation_loss: from an instant on, commands are carried out in part only; the log keeps the command.
    - rough: every command is carried out with noise, and half of the tries have a push; the log keeps the command.
    """

    def __init__(
        self, site: Site, cause: str | None = None, *, seed: int = 0, covered: float = 0.5, patience: float = 1.0
    ) -> None:
        """Wrap `site`.

        Args:
            site: where tries happen; several wrappers may share one.
            cause: one of `CAUSES`, or `ROUGH`; None disturbs nothing.
            seed: with the start's seed, decides what happens in a try.
            covered: middle share of every start factor that training covers.
            patience: the time-out as a multiple of the site's own.

        Raises:
            UsageError: the cause is unknown, or this site has no handles for it.
        """
        if cause not in {None, ROUGH, *CAUSES}:
            known_causes = ", ".join((*CAUSES, ROUGH))
            raise UsageError(f"there is no cause {cause!r}", remedy=f"Use one of {known_causes}, or None.")
        known = site.spec.name in _HANDLES and isinstance(site, Displaceable)
        if cause not in {None, "shifted_start"} and not known:
            raise UsageError(
                f"nobody has said what {cause} takes hold of on {site.spec.name}",
                remedy=f"Use one of {', '.join(_HANDLES)}, or shifted_start.",
            )
        self._site, self._cause, self._seed, self._covered = site, cause, seed, covered
        self._usual_steps = site.spec.horizon_steps
        self.spec: SiteSpec = replace(site.spec, horizon_steps=round(patience * site.spec.horizon_steps))

    def sample_start(self, seed: int, *, region: float = 1.0) -> Start:
        """Draw a start from the middle `region`; with a shifted start, from outside the middle that is covered."""
        if self._cause != "shifted_start":
            return self._site.sample_start(seed, region=region)
        rng = np.random.default_rng([self._seed, abs(seed)])
        reach = rng.uniform(self._covered, 1.0)
        while True:
            drawn = self._site.sample_start(int(rng.integers(2**31)), region=reach)
            if self._eccentricity(drawn) > (self._covered + reach) / 2:
                return Start(seed, drawn.factors)

    def reset(self, start: Start) -> Step:
        """Begin a try; what will go wrong in it is settled now."""
        self._begin(start.seed)
        return self._shown(self._site.reset(start))

    def step(self, action: Vector) -> Step:
        """Carry out `action`, or what is left of it."""
        plan, command = self._plan, np.array(action, dtype=np.float64)
        now, pushed = self._steps - plan.begin, self._cause == "push" or (self._cause == ROUGH and plan.knocked)
        if self._cause == "actuation_loss" and now >= 0:
            command = command * plan.kept
        elif pushed and plan.hand and 0 <= now < plan.steps:
            command = self._within(command + plan.direction)
        elif pushed and not plan.hand and now == 0 and isinstance(self._site, Displaceable):
            self._site.displace(plan.push)
        elif self._cause == "gripper_slip" and 0 < self._held_steps - plan.slip_after <= plan.slip_steps:
            command[_HANDLES[self.spec.name].gripper] = _HANDLES[self.spec.name].opens
        if self._cause == ROUGH:
            half = (self.spec.action_high - self.spec.action_low) / 2
            command = self._within(command + SHAKEN * half * self._noise[self._steps % len(self._noise)])
        self._steps += 1
        return self._shown(self._site.step(command))

    def snapshot(self) -> Snapshot:
        """Return the site's own snapshot, and how far the disturbance has gone.

        Raises:
            SiteFault: the wrapped site has none.
        """
        counts = np.array([self._start_seed, self._steps, self._held_steps], dtype=np.int64)
        return {**self._restorable().snapshot(), COUNTS: counts}

    def restore(self, snapshot: Snapshot) -> Step:
        """Put the state back; what was going to go wrong from there goes wrong again.

        Raises:
            SiteFault: the wrapped site cannot, or the snapshot was not taken here.
        """
        inner = self._restorable()
        if COUNTS not in snapshot:
            raise SiteFault("this snapshot was not taken here", subject=self.spec.name)
        seed, steps, held_steps = (int(one) for one in snapshot[COUNTS])
        step = inner.restore({name: value for name, value in snapshot.items() if name != COUNTS})
        self._begin(seed)
        seen = self._shown(step)
        self._steps, self._held_steps = steps, held_steps  # what is shown again was counted before
        return seen

    def close(self) -> None:
        """Close the site."""
        self._site.close()

    def expert(self, seed: int) -> Operator:
        """Return the site's own scripted expert, which sees the truth."""
        operator: Operator = self._site.expert(seed)  # type: ignore[attr-defined]
        return operator

    def _begin(self, start_seed: int) -> None:
        """Settle what will go wrong in a try."""
        self._start_seed, self._plan = start_seed, self._drawn(start_seed)
        drawn = np.random.default_rng([self._seed, abs(start_seed), 2])
        # An operator who takes over has a horizon of his own after the policy's.
        self._noise = drawn.normal(size=(2 * self.spec.horizon_steps, self.spec.action_low.size))
        self._steps = self._held_steps = 0

    def _restorable(self) -> Restorable:
        if not isinstance(self._site, Restorable):
            raise SiteFault(
                "cannot restore a state", subject=self.spec.name, remedy="Show the whole task from the start instead."
            )
        return self._site

    def _within(self, command: Vector) -> Vector:
        bounded: Vector = np.clip(command, self.spec.action_low, self.spec.action_high)
        return bounded

    def _eccentricity(self, start: Start) -> float:
        shares = []
        for name, (low, high) in self.spec.factors.items():
            shares.append(abs(float(start.factors[name]) - (low + high) / 2) / ((high - low) / 2))
        return max(shares)

    def _drawn(self, start_seed: int) -> _Plan:
        """Draw everything, whatever the cause, always in the same order."""
        rng = np.random.default_rng([self._seed, abs(start_seed), 1])
        handles = _HANDLES.get(self.spec.name)
        hard, angle = rng.uniform(0.0, 1.0), rng.uniform(0.0, 2.0 * np.pi)
        offset = (handles.reach_m if handles else 0.0) * hard * np.array([np.cos(angle), np.sin(angle)])
        width = self.spec.action_low.size
        moving = np.ones(width, dtype=bool)
        if handles:
            moving[handles.gripper] = False
        direction = np.where(moving, rng.normal(size=width), 0.0)
        direction *= 2.0 * (self.spec.action_high - self.spec.action_low) / 2 / np.abs(direction).max()
        one_only = rng.uniform() < 0.5
        lost = moving & (~one_only | (np.arange(width) == rng.choice(np.flatnonzero(moving))))
        low, high = (round(share * self._usual_steps) for share in BEGIN)
        return _Plan(
            bias=offset,
            push=offset,
            hand=bool(rng.uniform() < 0.5),
            begin=int(rng.integers(low, high)),
            steps=round(PUSH_STEPS[0] + hard * (PUSH_STEPS[1] - PUSH_STEPS[0])),
            direction=direction,
            slip_after=int(rng.integers(*SLIP_DELAY_STEPS)),
            slip_steps=round(SLIP_STEPS[0] + hard * (SLIP_STEPS[1] - SLIP_STEPS[0])),
            kept=np.where(lost, 1.0 - MOST_LOST * hard, 1.0),
            knocked=bool(rng.uniform() < KNOCKED_SHARE),
        )

    def _shown(self, step: Step) -> Step:
        handles = _HANDLES.get(self.spec.name)
        if self._cause == "gripper_slip" and handles:
            self._held_steps += bool(self._held_steps or step.signals[handles.held][0] > 0)
        if self._cause != "perception_bias" or not handles:
            return step
        seen = {name: value.copy() for name, value in step.observation.items()}
        for name, sign in handles.seen.items():
            seen[name][:2] += sign * self._plan.bias
        return replace(step, observation=seen)
