"""Metaworld's table-top tasks with one puck, stepped directly: what `saqiya.sites.metaworld` names its tasks to.

The model, its constants, the reset procedure and the expert are Metaworld's own. Only its Python loop around MuJoCo is
replaced: the reward, the checks and the wrappers cost more than the physics. A test holds each task and the unmodified
environment side by side: bit for bit, but for the quaternion, whose sign is another.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Observation, Operator, SiteSpec, Snapshot, Step, Vector
from saqiya.domain.controls import Axis, Controls
from saqiya.domain.streams import Start
from saqiya.errors import SiteFault
from saqiya.sites.mujoco_view import AZIMUTH_DEG, View

__all__ = ["FACTORS", "Sawyer", "Task"]

PERIOD_NS = 12_500_000  # 5 substeps of 2.5 ms
SUBSTEPS_N = 5
NEAR_M = 0.03  # Metaworld: "near_object"
LIFTED_M = 0.02  # Metaworld: "grasp_success" needs the object this far above its start
CLEARANCE_M = 0.15  # Metaworld never starts with object and goal nearer than this in the plane
LOST_STEPS = 3  # a grasp that flickers for less than this is not lost

FACTORS = ("object_x", "object_y", "goal_x", "goal_y", "goal_z")
REMEDY = "Reset the site; if it comes back, keep the start and the actions and report them."


@dataclass(frozen=True)
class Task:
    """What one task of Metaworld has of its own.

    Attributes:
        name: of the site.
        task: Metaworld's name; the environment and the script are found by it ("push-v3").
        radius_m: success when the object is this near to the goal, as Metaworld says.
        factors: the first of `FACTORS`; a goal without a height lies on the table, at the object's own height.
        phases: of "reach", "grasp", "lift" and "place", those that this task has.
        horizon_steps: a try is over after this many steps.
    """

    name: str
    task: str
    radius_m: float
    factors: tuple[str, ...]
    phases: tuple[str, ...]
    horizon_steps: int


def _controls() -> Controls:
    """Move the hand as the picture shows it: right is right and up is away from whoever looks."""
    away = math.radians(AZIMUTH_DEG)
    ahead_x, ahead_y = math.cos(away), math.sin(away)
    return Controls(
        axes=(
            Axis("left, right", ("ArrowLeft", "ArrowRight"), (ahead_y, -ahead_x, 0.0, 0.0), stick=0),
            Axis("nearer, away", ("ArrowDown", "ArrowUp"), (ahead_x, ahead_y, 0.0, 0.0), stick=1, flipped=True),
            Axis("down, up", ("KeyQ", "KeyE"), (0.0, 0.0, 1.0, 0.0), stick=3, flipped=True),
            Axis("open, close", ("KeyZ", "KeyC"), (0.0, 0.0, 0.0, 1.0), switch=True),
        ),
        rest=(0.0, 0.0, 0.0, 0.0),
    )


class Sawyer:
    """A Sawyer arm and a puck to bring to a goal: `Site`, `Restorable`, `Demonstrable`, `Renderable`, `Drivable`.

    Streams for a policy: "hand" (x, y, z in m, opening 0..1), "object" (x, y, z in m, and the unit vector of the
    puck's axis, which says all about the pose of a round puck), "goal" (x, y, z in m), and what a small network is
    slow to learn from these: "reach" (object less hand, m) and "carry" (goal less object, m). Signals: "contact/finger"
    (left, right pad on the object, N), "contact/table" (object on all but the robot, N), "gripper/opening" (0..1) and
    "object/grasped" (0 or 1). A firm grasp presses with 200-800 N: the model's fingers are stiff.
    """

    controls = _controls()

    def __init__(self, task: Task) -> None:
        """Load the model and bring the hand to its first place once; every later reset starts from that state."""
        import mujoco

        self._mujoco, self._task = mujoco, task
        module, title = task.task.replace("-", "_"), "".join(part.capitalize() for part in task.task.split("-"))
        script = title.replace("V3", "V3Policy")
        env = getattr(import_module(f"metaworld.envs.sawyer_{module}"), f"Sawyer{title.replace('V3', 'EnvV3')}")()
        self._policy = getattr(import_module(f"metaworld.policies.sawyer_{module}_policy"), f"Sawyer{script}")()
        self._model, self._data = env.model, env.data
        self._model_path = env.model_name
        self._scale, self._mocap_low, self._mocap_high = env.action_scale, env.mocap_low, env.mocap_high
        self._bodies()
        self._kind = mujoco.mjtState.mjSTATE_INTEGRATION
        self._ready = np.empty(mujoco.mj_stateSize(self._model, self._kind))
        mujoco.mj_resetData(self._model, self._data)
        env._reset_hand()  # noqa: SLF001 - Metaworld's own first 50 steps; they do not depend on the start
        mujoco.mj_getState(self._model, self._data, self._ready, self._kind)
        space = env._random_reset_space  # noqa: SLF001 - the only place where Metaworld keeps its ranges
        on_table = len(task.factors) < len(FACTORS)
        self._object_z_m = float(self._object[2] if on_table else space.low[2])
        self._low, self._high = (np.delete(bound, 2)[: len(task.factors)] for bound in (space.low, space.high))
        self._view: View | None = None
        self._take(np.full(len(task.factors), np.nan))
        self.spec = SiteSpec(
            name=task.name,
            task=task.task,
            criterion=f"object within {task.radius_m} m of the goal",
            embodiment="sawyer",
            observation={"hand": 4, "object": 6, "goal": 3, "reach": 3, "carry": 3},
            action_low=-np.ones(4),
            action_high=np.ones(4),
            rate_hz=1e9 / PERIOD_NS,
            phases=task.phases,
            factors={n: (float(a), float(b)) for n, a, b in zip(task.factors, self._low, self._high, strict=True)},
            horizon_steps=task.horizon_steps,
        )

    def _bodies(self) -> None:
        """Keep views of what is read at each step: looking names up costs more than reading them."""
        data, model = self._data, self._model
        self._hand = data.body("hand").xpos
        self._claws = data.body("rightclaw").xpos, data.body("leftclaw").xpos
        self._tips = data.site("rightEndEffector").xpos, data.site("leftEndEffector").xpos
        self._object, self._object_quat = data.body("obj").xpos, data.body("obj").xquat
        self._object_axis = data.geom("objGeom").xmat[2::3]
        self._object_geom = model.geom("objGeom").id
        self._pads = model.geom("leftpad_geom").id, model.geom("rightpad_geom").id
        root = model.body_rootid
        of_robot = root[model.geom_bodyid] == root[model.body("hand").id]
        self._fixed = frozenset(np.flatnonzero(~of_robot).tolist()) - {self._object_geom}

    def sample_start(self, seed: int, *, region: float = 1.0) -> Start:
        """Draw object and goal uniformly from the middle `region` of every range, as far apart as Metaworld asks."""
        generator = np.random.default_rng(seed)
        middle, half = (self._low + self._high) / 2, (self._high - self._low) / 2 * region
        while True:
            drawn = generator.uniform(middle - half, middle + half)
            if np.hypot(*(drawn[:2] - drawn[2:4])) >= CLEARANCE_M:
                return Start(seed, dict(zip(self._task.factors, drawn.tolist(), strict=True)))

    def reset(self, start: Start) -> Step:
        """Put object and goal where `start` says and the hand at its first place.

        Raises:
            SiteFault: a factor is missing, unknown, or out of its range.
        """
        factors = self._checked(start)
        mujoco, data = self._mujoco, self._data
        mujoco.mj_setState(self._model, data, self._ready, self._kind)
        data.qpos[9:12] = factors[0], factors[1], self._object_z_m
        data.qvel[9:15] = 0.0
        mujoco.mj_forward(self._model, data)
        self._take(factors)
        self._steps = 0
        self._reached: set[str] = set()
        self._held_steps = self._open_steps = 0
        self._frame = self._previous = self._read_frame()
        self._forces = self._read_forces()
        return self._observe()

    def step(self, action: Vector) -> Step:
        """Move the hand by up to 1 cm a control step and set the fingers' target, as Metaworld does.

        Raises:
            SiteFault: the action has a wrong shape or is not finite, or the simulation became unstable.
        """
        if np.shape(action) != (4,) or not np.isfinite(action).all():
            raise SiteFault(f"the action {action!r} is not four finite numbers", subject=self.spec.name)
        if self._factors[0] != self._factors[0]:
            raise SiteFault("step before reset", subject=self.spec.name, remedy="Call reset(start) first.")
        mujoco, model, data = self._mujoco, self._model, self._data
        moved = data.mocap_pos[0] + np.clip(action[:3], -1, 1) * self._scale
        data.mocap_pos[0] = np.clip(moved, self._mocap_low, self._mocap_high)
        data.mocap_quat[0] = 1, 0, 1, 0
        data.ctrl[:] = action[3], -action[3]
        before_s = data.time
        mujoco.mj_step(model, data, nstep=SUBSTEPS_N)
        mujoco.mj_forward(model, data)
        self._steps += 1
        self._previous, self._frame = self._frame, self._read_frame()
        if data.time <= before_s or not np.isfinite(self._frame).all():  # MuJoCo resets itself when it blows up
            raise SiteFault(
                f"the simulation became unstable at step {self._steps}", subject=self.spec.name, remedy=REMEDY
            )
        self._forces = self._read_forces()
        return self._observe()

    def displace(self, offset: Vector) -> None:
        """Move the object by `offset`, float64 (2,) m, unless a finger touches it: somebody knocked against it."""
        if not self._forces[:2].any():
            self._data.qpos[9:11] += offset

    def close(self) -> None:
        """End the drawing process, if there is one."""
        if self._view is not None:
            self._view.close()
            self._view = None

    def snapshot(self) -> Snapshot:
        """Return MuJoCo's whole integration state (mocap and warm start in it) and what this site remembers."""
        physics = np.empty_like(self._ready)
        self._mujoco.mj_getState(self._model, self._data, physics, self._kind)
        reached = [name in self._reached for name in self._task.phases]
        return {
            "physics": physics,
            "factors": self._factors.copy(),
            "frames": np.stack([self._previous, self._frame]),
            "forces": self._forces.copy(),
            "counts": np.array([self._steps, self._held_steps, self._open_steps, *reached], np.int64),
        }

    def restore(self, snapshot: Snapshot) -> Step:
        """Put the state back; the returned step has the observation and signals of that instant, and no events.

        Raises:
            SiteFault: the snapshot is not one of this site.
        """
        factors_n, counts_n = len(self._task.factors), 3 + len(self._task.phases)
        mine = {"physics": self._ready.shape, "factors": (factors_n,), "frames": (2, 11), "forces": (3,)}
        mine["counts"] = (counts_n,)
        if {name: np.shape(value) for name, value in snapshot.items()} != mine:
            raise SiteFault("this snapshot was not taken here", subject=self.spec.name, remedy=f"Expected {mine}.")
        mujoco, model, data = self._mujoco, self._model, self._data
        physics = np.ascontiguousarray(snapshot["physics"], np.float64)
        mujoco.mj_setState(model, data, physics, self._kind)
        mujoco.mj_forward(model, data)
        mujoco.mj_setState(model, data, physics, self._kind)  # forward moved the solver's warm start
        self._take(np.array(snapshot["factors"], np.float64))
        self._previous, self._frame = (np.array(frame) for frame in snapshot["frames"])
        self._forces = np.array(snapshot["forces"])
        self._steps, self._held_steps, self._open_steps, *flags = (int(n) for n in snapshot["counts"])
        self._reached = {name for name, flag in zip(self._task.phases, flags, strict=True) if flag}
        return self._step((), self._distance() <= self._task.radius_m)

    def expert(self, seed: int) -> Operator:
        """Return Metaworld's scripted policy, which reads the full observation of this very site.

        The script has no randomness, so `seed` changes nothing.
        """
        del seed
        return _Expert(self)

    def render(self, *, height: int, width: int) -> NDArray[np.uint8]:
        """Return the scene as uint8 (height, width, 3) RGB, drawn by a child process that stays until `close`.

        Raises:
            SiteFault: no offscreen renderer works here.
        """
        if self._view is None or self._view.size != (height, width):
            self.close()
            self._view = View(self._model_path, height=height, width=width)
        return self._view.draw(self._data.qpos, self._goal)

    def full_observation(self) -> Vector:
        """Return Metaworld's own observation, float64 (39,): this frame (18), the last one (18), the goal (3)."""
        full = np.zeros(39)
        full[:11], full[18:29], full[36:] = self._frame, self._previous, self._goal
        return full

    def _checked(self, start: Start) -> Vector:
        given: Mapping[str, Any] = start.factors
        if set(given) != set(self._task.factors):
            raise SiteFault(
                f"the start names {sorted(given)}",
                subject=self.spec.name,
                remedy=f"It must name {', '.join(self._task.factors)}.",
            )
        factors = np.array([given[name] for name in self._task.factors], np.float64)
        if not ((self._low <= factors) & (factors <= self._high)).all():
            raise SiteFault(
                f"the start {dict(given)} is out of range",
                subject=self.spec.name,
                remedy=f"Ranges: {self.spec.factors}.",
            )
        return factors

    def _take(self, factors: Vector) -> None:
        """Remember the start's factors and where they put the goal."""
        self._factors = factors
        self._goal = np.append(factors[2:], self._object_z_m)[:3]

    def _read_frame(self) -> Vector:
        """Return hand x, y, z, opening, object x, y, z, quaternion x, y, z, w: Metaworld's order, unpadded."""
        right, left = self._claws
        frame = np.empty(11)
        frame[:3] = self._hand
        frame[3] = min(float(np.linalg.norm(right - left)) / 0.1, 1.0)
        frame[4:7] = self._object
        frame[7:10], frame[10] = self._object_quat[1:], self._object_quat[0]
        return frame

    def _read_forces(self) -> Vector:
        """Return the normal forces on the object in N: from the left pad, the right pad, and the table and walls."""
        data, forces, one = self._data, np.zeros(3), np.zeros(6)
        for i, (a, b) in enumerate(data.contact.geom.tolist()):
            if self._object_geom not in {a, b}:
                continue
            other = b if a == self._object_geom else a
            which = self._pads.index(other) if other in self._pads else 2 if other in self._fixed else None
            if which is not None:
                self._mujoco.mj_contactForce(self._model, data, i, one)
                forces[which] += one[0]
        return forces

    def _distance(self) -> float:
        return float(np.linalg.norm(self._frame[4:7] - self._goal))

    def _observe(self) -> Step:
        """Say what is seen now and what happened in this step."""
        grasped = bool(self._forces[0] > 0 < self._forces[1])
        near = np.linalg.norm(self._frame[4:7] - (self._tips[0] + self._tips[1]) / 2) <= NEAR_M
        lifted = grasped and self._frame[6] - LIFTED_M > self._object_z_m
        success = self._distance() <= self._task.radius_m
        now = {"reach": bool(near), "grasp": grasped, "lift": bool(lifted), "place": success}
        events = [f"phase/{name}" for name in self._task.phases if now[name] and name not in self._reached]
        self._reached.update(name for name in self._task.phases if now[name])
        touched = grasped or bool(self._forces[:2].any())
        self._held_steps += grasped
        self._open_steps = 0 if touched else self._open_steps + 1
        if self._held_steps >= LOST_STEPS and self._open_steps >= LOST_STEPS:
            self._held_steps = 0
            events.append("contact/lost")
        return self._step(tuple(events), success)

    def _step(self, events: tuple[str, ...], success: bool) -> Step:  # noqa: FBT001
        frame = self._frame
        observation: Observation = {
            "hand": frame[:4].copy(),
            "object": np.concatenate((frame[4:7], self._object_axis)),
            "goal": self._goal.copy(),
            "reach": frame[4:7] - frame[:3],
            "carry": self._goal - frame[4:7],
        }
        signals = {
            "contact/finger": self._forces[:2].copy(),
            "contact/table": self._forces[2:].copy(),
            "gripper/opening": frame[3:4].copy(),
            "object/grasped": np.array([float(self._forces[0] > 0 < self._forces[1])]),
        }
        return Step(observation, success=success, t_ns=self._steps * PERIOD_NS, signals=signals, events=events)


class _Expert:
    """Metaworld's script at the controls of one site."""

    name = "metaworld-script"

    def __init__(self, site: Sawyer) -> None:
        self._site, self._policy = site, site._policy  # noqa: SLF001 - two halves of one thing

    def act(self, observation: Observation) -> Vector | None:
        """Return the script's action, clipped to the bounds as Metaworld clips it; `observation` is not needed."""
        del observation
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"Constant\(s\) may be too high")  # it says so at most steps
            action = self._policy.get_action(self._site.full_observation())
        clipped: Vector = np.clip(np.asarray(action, np.float64), -1.0, 1.0)
        return clipped
