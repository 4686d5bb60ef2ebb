"""The tiny built-in site: a two-joint arm that carries a puck across a table. numpy and the standard library only.

World (metres, radians, seconds, newtons; base frame: the shoulder is the origin, x right, y forward): two links of
0.30 m turn in the plane of a table. Two jaws at the hand close on a puck, drag it over the table, and let go at the
goal. There is no hidden rule about where a try starts: whatever goes wrong follows from the dynamics below.

- Joints: a command is a share of 3 rad/s; a joint's velocity moves half of the way to it in each step of 50 ms.
  The elbow stops at 0.2 and at 2.9 rad.
- Jaws: they open or close by a quarter of their stroke a step. The puck is 80 mm across, half a stroke.
- Grasp: when the jaws come to the puck's width, a puck within 40 mm of the hand is held where it is; one within 70 mm
  is struck by a finger and pushed out to 70 mm; one further away is missed.
- Load: a held puck pulls with its inertia (0.25 kg, at rest until it is held) and with the table's drag (2 N s/m).
- Slip: the jaws hold 2.2 N in their middle, 2.2 (1 - (offset / 50 mm)^2) N off it; above that the puck is lost.
- Place: the puck stays where the jaws let it go.

A policy must turn a wish in the plane into joint velocities; that inverse bends over the table, so one that saw a
small part of the table steers wrongly elsewhere: it closes beside the puck, drags too hard and loses it, or lets go
too early. Puck and goal are seen from the hand, as a camera on the wrist would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Observation, SiteSpec, Snapshot, Step, Vector
from saqiya.domain.controls import Axis, Controls
from saqiya.domain.streams import Start
from saqiya.errors import SiteFault
from saqiya.sites.tiny_view import draw

__all__ = ["Tiny"]

LINK_M = 0.30
PERIOD_S = 0.05
PERIOD_NS = 50_000_000
JOINT_SPEED_RAD_S = 3.0
JOINT_RESPONSE = 0.5
ELBOW_STOPS_RAD = (0.2, 2.9)
JAW_STEP = 0.25
PUCK_WIDTH = 0.5
HELD_WITHIN_M = 0.040
STRUCK_WITHIN_M = 0.070
MASS_KG = 0.25
DRAG_N_S_M = 2.0
HOLD_N = 2.2
HOLD_REACH_M = 0.050
CARRIED_M = 0.030
NEAR_GOAL_M = 0.080
PLACED_WITHIN_M = 0.040

# The expert: it slows down within 60 mm, closes and opens within 20 mm, and trembles by 2 % of full joint speed.
REACH_SPEED_M_S = 0.50
CARRY_SPEED_M_S = 0.45
SLOW_WITHIN_M = 0.060
CLOSE_WITHIN_M = 0.020
OPEN_WITHIN_M = 0.020
TREMOR = 0.02

HOME_RAD = (0.55, 2.1)
PHASES = ("reach", "grasp", "carry", "place")

_SPEC = SiteSpec(
    name="tiny",
    task="carry-puck",
    criterion="released-within-40mm",
    embodiment="two-joint-arm",
    observation={"hand": 5, "puck": 2, "goal": 2},
    action_low=np.full(3, -1.0),
    action_high=np.full(3, 1.0),
    rate_hz=20.0,
    phases=PHASES,
    factors={
        "object_x": (0.175, 0.385),
        "object_y": (0.11, 0.28),
        "goal_x": (-0.385, -0.175),
        "goal_y": (0.11, 0.28),
    },
    horizon_steps=80,
)


@dataclass
class _World:
    """Everything that changes in a try; floats only, so that a snapshot is one array."""

    shoulder_rad: float = HOME_RAD[0]
    elbow_rad: float = HOME_RAD[1]
    shoulder_rad_s: float = 0.0
    elbow_rad_s: float = 0.0
    jaw: float = 1.0
    puck_x: float = 0.0
    puck_y: float = 0.0
    goal_x: float = 0.0
    goal_y: float = 0.0
    held: float = 0.0
    offset_x: float = 0.0
    offset_y: float = 0.0
    puck_vx: float = 0.0
    puck_vy: float = 0.0
    from_x: float = 0.0
    from_y: float = 0.0
    phase: float = 0.0
    steps: float = 0.0

    def hand(self) -> tuple[float, float]:
        """Forward kinematics: the hand's place (m) in the base frame."""
        both = self.shoulder_rad + self.elbow_rad
        return (
            LINK_M * (math.cos(self.shoulder_rad) + math.cos(both)),
            LINK_M * (math.sin(self.shoulder_rad) + math.sin(both)),
        )


class Tiny:
    """The tiny site: reach, grasp, carry, place with a two-joint arm, some ten microseconds a step.

    Observation: "hand" (x m, y m, shoulder rad/s, elbow rad/s, jaw opening 0..1); "puck" and "goal" (x m, y m), both
    as seen from the hand, in the base frame's directions.
    Action: shoulder and elbow velocity as shares of 3 rad/s, and the jaws (above 0 closes, else opens).
    Signals: "contact/force" (2,), the load of the held puck on the jaws in N, base frame; "contact/held" (1,), 0 or 1.
    """

    spec = _SPEC
    controls = Controls(
        axes=(
            Axis("swing left, right", ("ArrowLeft", "ArrowRight"), (-1.0, 0.0, 0.0), stick=0),
            Axis("fold, stretch", ("ArrowDown", "ArrowUp"), (0.0, -1.0, 0.0), stick=1, flipped=True),
            Axis("open, close", ("KeyZ", "KeyC"), (0.0, 0.0, 1.0), switch=True),
        ),
        rest=(0.0, 0.0, 0.0),
        aspect=1.35,
    )

    def __init__(self) -> None:
        self._world = _World()
        self._force = (0.0, 0.0)

    def sample_start(self, seed: int, *, region: float = 1.0) -> Start:
        """Draw puck and goal uniformly from the middle `region` (0..1] of their ranges."""
        rng = np.random.default_rng(seed)
        factors: dict[str, float | str] = {}
        for name, (low, high) in self.spec.factors.items():
            half = region * (high - low) / 2
            factors[name] = float((low + high) / 2 + rng.uniform(-half, half))
        return Start(seed, factors)

    def reset(self, start: Start) -> Step:
        """Put the arm home, its jaws open, and puck and goal where `start` says.

        Raises:
            SiteFault: a factor is missing, unknown or not a number.
        """
        place = {
            name: value for name, value in start.factors.items() if isinstance(value, float) and math.isfinite(value)
        }
        if set(place) != set(self.spec.factors) or set(start.factors) != set(place):
            raise SiteFault(
                f"a start needs numbers for {', '.join(self.spec.factors)}, not {start.factors}",
                subject=self.spec.name,
                remedy="Draw it with sample_start.",
            )
        self._world = _World(
            puck_x=place["object_x"],
            puck_y=place["object_y"],
            from_x=place["object_x"],
            from_y=place["object_y"],
            goal_x=place["goal_x"],
            goal_y=place["goal_y"],
        )
        self._force = (0.0, 0.0)
        return self._seen(())

    def step(self, action: Vector) -> Step:
        """Carry out one command for 50 ms; beyond the bounds it is cut off, as a drive would.

        Raises:
            SiteFault: the action has a wrong shape or is not finite.
        """
        command = np.asarray(action, dtype=np.float64)
        if command.shape != (3,) or not np.isfinite(command).all():
            raise SiteFault(
                f"an action is 3 finite numbers, not {command!r}",
                subject=self.spec.name,
                remedy="Look at the policy or operator that sent it.",
            )
        shoulder, elbow, jaws = (min(1.0, max(-1.0, value)) for value in command.tolist())
        world = self._world
        world.steps += 1.0
        velocity = self._turn(shoulder, elbow)
        self._move_jaws(closing=jaws > 0.0)
        events = self._drag(*velocity)
        return self._seen((*events, *self._progress()))

    def snapshot(self) -> Snapshot:
        """Return the whole state as one float64 array."""
        return {"world": np.array([*vars(self._world).values(), *self._force], dtype=np.float64)}

    def restore(self, snapshot: Snapshot) -> Step:
        """Put a snapshot's state back, bit for bit; the step's signals are those of the instant it was taken.

        Raises:
            SiteFault: the snapshot is not one of this site's.
        """
        values = np.asarray(snapshot.get("world", ())).tolist()
        if len(values) != len(vars(self._world)) + 2:
            raise SiteFault("this is not a snapshot of this site", subject=self.spec.name, remedy="Take it here.")
        self._world = _World(*values[:-2])
        self._force = (values[-2], values[-1])
        return self._seen(())

    def expert(self, seed: int) -> Expert:
        """Return the scripted operator of this site; `seed` moves its hand's tremor."""
        return Expert(self, seed)

    def displace(self, offset: Vector) -> None:
        """Move the puck by `offset`, float64 (2,) m, unless it is held: somebody knocked against it."""
        if not self._world.held:
            self._world.puck_x += float(offset[0])
            self._world.puck_y += float(offset[1])

    def render(self, *, height: int, width: int) -> NDArray[np.uint8]:
        """Return the table from above as uint8 (height, width, 3) RGB: arm, puck and goal."""
        world = self._world
        elbow = (LINK_M * math.cos(world.shoulder_rad), LINK_M * math.sin(world.shoulder_rad))
        return draw(
            ((0.0, 0.0), elbow, world.hand()),
            puck=(world.puck_x, world.puck_y),
            goal=(world.goal_x, world.goal_y),
            jaw=world.jaw,
            size=(height, width),
        )

    def close(self) -> None:
        """Nothing is held."""

    @property
    def world(self) -> _World:
        """The true state, for the expert: a policy never sees it."""
        return self._world

    def _turn(self, shoulder: float, elbow: float) -> tuple[float, float]:
        """Move the joints for one period and return the hand's mean velocity, m/s."""
        world = self._world
        before_x, before_y = world.hand()
        world.shoulder_rad_s += JOINT_RESPONSE * (JOINT_SPEED_RAD_S * shoulder - world.shoulder_rad_s)
        world.elbow_rad_s += JOINT_RESPONSE * (JOINT_SPEED_RAD_S * elbow - world.elbow_rad_s)
        world.shoulder_rad += PERIOD_S * world.shoulder_rad_s
        world.elbow_rad += PERIOD_S * world.elbow_rad_s
        low, high = ELBOW_STOPS_RAD
        if not low <= world.elbow_rad <= high:
            world.elbow_rad, world.elbow_rad_s = min(high, max(low, world.elbow_rad)), 0.0
        after_x, after_y = world.hand()
        return (after_x - before_x) / PERIOD_S, (after_y - before_y) / PERIOD_S

    def _move_jaws(self, *, closing: bool) -> None:
        world = self._world
        was = world.jaw
        world.jaw = max(0.0, was - JAW_STEP) if closing else min(1.0, was + JAW_STEP)
        if world.held and closing:
            world.jaw = PUCK_WIDTH
        elif world.held:
            world.held = 0.0
        elif was > PUCK_WIDTH >= world.jaw:
            self._touch()

    def _touch(self) -> None:
        """The jaws have come to the puck's width: they hold it, strike it, or miss it."""
        world = self._world
        hand_x, hand_y = world.hand()
        dx, dy = world.puck_x - hand_x, world.puck_y - hand_y
        away_m = math.hypot(dx, dy)
        if away_m < HELD_WITHIN_M:
            world.held, world.offset_x, world.offset_y = 1.0, dx, dy
        elif away_m < STRUCK_WITHIN_M:
            world.puck_x = hand_x + dx * STRUCK_WITHIN_M / away_m
            world.puck_y = hand_y + dy * STRUCK_WITHIN_M / away_m

    def _drag(self, vx: float, vy: float) -> list[str]:
        """A held puck goes with the hand, which moved at (vx, vy) m/s, while the jaws can bear its load."""
        world = self._world
        if not world.held:
            world.puck_vx = world.puck_vy = 0.0
            self._force = (0.0, 0.0)
            return []
        self._force = (
            MASS_KG * (vx - world.puck_vx) / PERIOD_S + DRAG_N_S_M * vx,
            MASS_KG * (vy - world.puck_vy) / PERIOD_S + DRAG_N_S_M * vy,
        )
        offset_m = math.hypot(world.offset_x, world.offset_y)
        if math.hypot(*self._force) > HOLD_N * (1.0 - (offset_m / HOLD_REACH_M) ** 2):
            world.held = world.puck_vx = world.puck_vy = 0.0
            return ["contact/lost"]
        hand_x, hand_y = world.hand()
        world.puck_x, world.puck_y = hand_x + world.offset_x, hand_y + world.offset_y
        world.puck_vx, world.puck_vy = vx, vy
        return []

    def _to_goal_m(self) -> float:
        world = self._world
        return math.hypot(world.puck_x - world.goal_x, world.puck_y - world.goal_y)

    def _progress(self) -> list[str]:
        """Name the phases that this step reached first; who holds the puck has reached it, wherever the jaws met it."""
        world = self._world
        x, y = world.hand()
        reached = 1 if math.hypot(world.puck_x - x, world.puck_y - y) < STRUCK_WITHIN_M else 0
        if world.held:
            moved_m = math.hypot(world.puck_x - world.from_x, world.puck_y - world.from_y)
            reached = 4 if self._to_goal_m() < NEAR_GOAL_M else 3 if moved_m > CARRIED_M else 2
        first = [f"phase/{name}" for name in PHASES[int(world.phase) : reached]]
        world.phase = max(world.phase, float(reached))
        return first

    def _seen(self, events: tuple[str, ...]) -> Step:
        world = self._world
        x, y = world.hand()
        return Step(
            observation={
                "hand": np.array([x, y, world.shoulder_rad_s, world.elbow_rad_s, world.jaw]),
                "puck": np.array([world.puck_x - x, world.puck_y - y]),
                "goal": np.array([world.goal_x - x, world.goal_y - y]),
            },
            success=world.phase >= 2 and not world.held and world.jaw == 1.0 and self._to_goal_m() < PLACED_WITHIN_M,
            t_ns=int(world.steps) * PERIOD_NS,
            signals={"contact/force": np.array(self._force), "contact/held": np.array([world.held])},
            events=events,
        )


class Expert:
    """The scripted operator of the tiny site: sees the true state, and has a hand that trembles a little."""

    name = "tiny-expert"

    def __init__(self, site: Tiny, seed: int) -> None:
        self._site = site
        self._tremor = np.random.default_rng(seed)

    def act(self, observation: Observation) -> Vector:  # noqa: ARG002 - it looks at the state itself
        """Return the next command: over the puck, close, to the goal, open; whatever went wrong, begin again."""
        world = self._site.world
        x, y = world.hand()
        if world.held:
            dx, dy = world.goal_x - world.puck_x, world.goal_y - world.puck_y
            closing = math.hypot(dx, dy) > OPEN_WITHIN_M
            speed_m_s = CARRY_SPEED_M_S
        else:
            dx, dy = world.puck_x - x, world.puck_y - y
            near = math.hypot(dx, dy) < (CLOSE_WITHIN_M if world.jaw == 1.0 else 2 * CLOSE_WITHIN_M)
            done = (
                world.phase >= 2
                and math.hypot(world.puck_x - world.goal_x, world.puck_y - world.goal_y) < PLACED_WITHIN_M
            )
            closing = near and world.jaw > PUCK_WIDTH and not done
            speed_m_s = 0.0 if done else REACH_SPEED_M_S
        gain = speed_m_s / (math.hypot(dx, dy) + SLOW_WITHIN_M)
        shoulder, elbow = _joint_speeds(world, gain * dx, gain * dy)
        tremor = self._tremor.normal(0.0, TREMOR, 2)
        command = np.array([shoulder / JOINT_SPEED_RAD_S, elbow / JOINT_SPEED_RAD_S, 1.0 if closing else -1.0])
        command[:2] += tremor
        within: Vector = np.clip(command, -1.0, 1.0)
        return within


def _joint_speeds(world: _World, vx: float, vy: float) -> tuple[float, float]:
    """Inverse kinematics of the hand's velocity: the 2 x 2 Jacobian, solved exactly."""
    both = world.shoulder_rad + world.elbow_rad
    j01, j11 = -LINK_M * math.sin(both), LINK_M * math.cos(both)
    j00, j10 = j01 - LINK_M * math.sin(world.shoulder_rad), j11 + LINK_M * math.cos(world.shoulder_rad)
    determinant = j00 * j11 - j01 * j10
    return (j11 * vx - j01 * vy) / determinant, (j00 * vy - j10 * vx) / determinant
