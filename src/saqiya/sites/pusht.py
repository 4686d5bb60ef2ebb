"""Push-T as a site: a round finger pushes a T onto its mark. gym-pusht's own environment, and no OpenGL.

World: a square table of 512 pixels, x right, y down. An action is the place (x, y) that the finger is drawn to by
gym-pusht's spring and damper, so a person can drive it by pointing. Physics, criterion and pictures are gym-pusht's;
a test holds this site and the unmodified environment side by side, bit for bit. Only the control period is not its
default: three physics steps of 10 ms instead of ten, because nobody steers well by hand at ten looks a second.
"""

from __future__ import annotations

import contextlib
import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import SiteSpec, Snapshot, Step, Vector
from saqiya.domain.controls import Axis, Controls
from saqiya.domain.streams import Start
from saqiya.errors import SiteFault

__all__ = ["PushT"]

SIZE = 512.0
SUBSTEPS_N = 3
PERIOD_NS = 30_000_000
COVERED = 0.95
ALIGNED = 0.5
PUSHED = 20.0
BESIDE = 211
PHASES = ("reach", "push", "align", "place")

# The ranges that gym-pusht draws a start from.
_FACTORS = {
    "agent_x": (50.0, 450.0),
    "agent_y": (50.0, 450.0),
    "object_x": (100.0, 400.0),
    "object_y": (100.0, 400.0),
    "object_angle": (-math.pi, math.pi),
}
_SPEC = SiteSpec(
    name="pusht",
    task="push-t",
    criterion="95 % of the mark is covered",
    embodiment="finger-2d",
    observation={"agent": 4, "object": 4},
    action_low=np.zeros(2),
    action_high=np.full(2, SIZE),
    rate_hz=1e9 / PERIOD_NS,
    phases=PHASES,
    factors=_FACTORS,
    horizon_steps=1000,
)


class PushT:
    """Push-T: `Site`, `Restorable`, `Renderable` and `Drivable`. It brings no expert: none was found that deserves it.

    Streams for a policy: "agent" (x, y in pixels and their rates per second), "object" (x, y in pixels, sine and cosine
    of its angle). Signals: "object/coverage" (share of the mark that is covered), "contact/points" (contact points in
    the last control step). The factors of a start are what gym-pusht's `reset_to_state` takes; its T then comes to lie
    a little beside that place, as in its public data.

    A snapshot is the start and every action since: going back is doing it again, bit for bit, in some 50 us a step.
    """

    spec = _SPEC
    controls = Controls(
        axes=(
            Axis("left, right", ("ArrowLeft", "ArrowRight"), (220.0, 0.0), stick=0),
            Axis("up, down", ("ArrowUp", "ArrowDown"), (0.0, 220.0), stick=1),
        ),
        rest=(SIZE / 2, SIZE / 2),
        place="agent",
        pointer=(0, 1),
        aspect=1.0,
    )

    def __init__(self) -> None:
        """Make the environment.

        Raises:
            SiteFault: gym-pusht is not installed.
        """
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # pygame greets
                from gym_pusht.envs.pusht import PushTEnv
        except ImportError as error:
            raise SiteFault(
                f"gym-pusht does not load: {error}", subject="pusht", remedy="pip install saqiya[pusht]"
            ) from error
        self._env: Any = PushTEnv()
        self._env.control_hz = 30  # int(1 / (0.01 s x 30)): three physics steps
        self._start: Vector | None = None
        self._actions: list[Vector] = []

    def sample_start(self, seed: int, *, region: float = 1.0) -> Start:
        """Draw finger and T uniformly from the middle `region` (0..1] of gym-pusht's ranges."""
        rng = np.random.default_rng(seed)
        factors: dict[str, float | str] = {}
        for name, (low, high) in self.spec.factors.items():
            half = region * (high - low) / 2
            factors[name] = float((low + high) / 2 + rng.uniform(-half, half))
        return Start(seed, factors)

    def reset(self, start: Start) -> Step:
        """Put finger and T where `start` says.

        Raises:
            SiteFault: a factor is missing, unknown or not a number.
        """
        place = [start.factors.get(name) for name in self.spec.factors]
        if len(start.factors) != len(place) or not all(isinstance(one, float) and math.isfinite(one) for one in place):
            raise SiteFault(
                f"a start needs numbers for {', '.join(self.spec.factors)}, not {start.factors}",
                subject=self.spec.name,
                remedy="Draw it with sample_start.",
            )
        return self._begin(np.array(place, np.float64))

    def step(self, action: Vector) -> Step:
        """Draw the finger towards a place for 30 ms.

        Raises:
            SiteFault: the action has a wrong shape or is not finite, or nothing was reset.
        """
        place = np.array(action, np.float64)
        if place.shape != (2,) or not np.isfinite(place).all():
            raise SiteFault(f"an action is 2 finite numbers, not {action!r}", subject=self.spec.name)
        if self._start is None:
            raise SiteFault("step before reset", subject=self.spec.name, remedy="Call reset(start) first.")
        self._push(place)
        return self._seen(self._progress())

    def snapshot(self) -> Snapshot:
        """Return the start and the actions since.

        Raises:
            SiteFault: nothing was reset.
        """
        if self._start is None:
            raise SiteFault("snapshot before reset", subject=self.spec.name, remedy="Call reset(start) first.")
        return {"start": self._start.copy(), "actions": np.array(self._actions, np.float64).reshape(-1, 2)}

    def restore(self, snapshot: Snapshot) -> Step:
        """Do again what led to the snapshot; the returned step has the observation and signals of that instant.

        Raises:
            SiteFault: the snapshot is not one of this site.
        """
        start, actions = np.asarray(snapshot.get("start", ())), np.asarray(snapshot.get("actions", ()))
        if start.shape != (len(_FACTORS),) or actions.shape[1:] != (2,):
            raise SiteFault("this is not a snapshot of this site", subject=self.spec.name, remedy="Take it here.")
        self._begin(np.array(start, np.float64))
        for action in np.array(actions, np.float64):
            self._push(action)
            self._progress()
        return self._seen(())

    def render(self, *, height: int, width: int) -> NDArray[np.uint8]:
        """Return the table as uint8 (height, width, 3) RGB, a cross where the finger is drawn to.

        The table is square: what a wider or higher picture has beside it is grey.
        """
        side = min(height, width)
        self._env.visualization_height = self._env.visualization_width = side
        picture = np.full((height, width, 3), BESIDE, np.uint8)
        top, left = (height - side) // 2, (width - side) // 2
        picture[top : top + side, left : left + side] = self._env.render()
        return picture

    def close(self) -> None:
        """Free the environment."""
        self._env.close()

    def _begin(self, place: Vector) -> Step:
        self._env.reset(options={"reset_to_state": place})
        self._start, self._actions = place, []
        self._from, self._phase, self._covered = self._object(), 0, float(self._env._get_coverage())  # noqa: SLF001
        self._env._last_action = None  # noqa: SLF001 - gym-pusht's reset would still draw the last try's
        return self._seen(())

    def _push(self, place: Vector) -> None:
        info = self._env.step(place)[4]
        self._covered = float(info["coverage"])
        self._actions.append(place)

    def _progress(self) -> tuple[str, ...]:
        """Say which phases are reached now for the first time."""
        reached = 1 if self._env.n_contact_points else 0
        if np.hypot(*(self._object() - self._from)) > PUSHED:
            reached = 3 if self._covered > ALIGNED else 2
        if self._covered > COVERED:
            reached = 4
        first = PHASES[self._phase : reached]
        self._phase = max(self._phase, reached)
        return tuple(f"phase/{name}" for name in first)

    def _object(self) -> Vector:
        return np.array(self._env.block.position, np.float64)

    def _seen(self, events: tuple[str, ...]) -> Step:
        agent, block = self._env.agent, self._env.block
        return Step(
            observation={
                "agent": np.array([*agent.position, *agent.velocity], np.float64),
                "object": np.array([*block.position, math.sin(block.angle), math.cos(block.angle)], np.float64),
            },
            success=self._covered > COVERED,
            t_ns=len(self._actions) * PERIOD_NS,
            signals={
                "object/coverage": np.array([self._covered]),
                "contact/points": np.array([float(self._env.n_contact_points)]),
            },
            events=events,
        )
