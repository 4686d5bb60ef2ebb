"""Guess from a stream's name what it measures, so that checks know a force sensor from a joint and a command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from saqiya.domain.streams import EpisodeLog, Stream

__all__ = ["MOST_COLUMNS_N", "Role", "numeric", "roles_of", "sensors"]

MOST_COLUMNS_N = 128
"""A stream with more columns is a picture, a scan or a cloud: the checks of single columns do not fit it."""


class Role(StrEnum):
    """What a stream is for; a stream can have several."""

    CLOCK = "clock"
    LABEL = "label"
    COMMANDED = "commanded"
    MEASURED = "measured"
    FORCE = "force"
    INERTIAL = "inertial"
    GRIPPER = "gripper"
    CAMERA = "camera"


_WORDS: Mapping[Role, frozenset[str]] = {
    Role.LABEL: frozenset((
        "author", "intervention", "interventions", "acting", "reward", "rewards", "done", "dones", "success", "label",
        "terminated", "truncated",
    )),
    Role.COMMANDED: frozenset((
        "action", "actions", "cmd", "cmds", "command", "commands", "commanded", "desired", "target", "targets",
        "setpoint", "setpoints", "reference", "control", "controls", "ctrl",
    )),
    Role.FORCE: frozenset((
        "force", "forces", "wrench", "wrenches", "torque", "torques", "effort", "efforts", "ft", "contact", "contacts",
        "tactile", "pressure", "current", "currents", "load", "loadcell",
    )),
    Role.INERTIAL: frozenset(("imu", "accel", "acceleration", "accelerations", "accelerometer", "gyro", "gyroscope")),
    Role.GRIPPER: frozenset((
        "gripper", "grippers", "finger", "fingers", "hand", "hands", "jaw", "claw", "suction", "grasp",
    )),
    Role.MEASURED: frozenset((
        "joint", "joints", "position", "positions", "pose", "poses", "state", "states", "qpos", "qvel", "odom",
        "odometry", "ee", "eef", "tcp", "velocity", "velocities", "angle", "angles", "tf", "twist", "proprio",
        "keypoint", "keypoints", "configuration", "encoder", "encoders", "arm",
    )),
    Role.CAMERA: frozenset(("camera", "depth", "image", "images", "rgb", "video")),
}  # fmt: skip

_SAID = re.compile(r"policy/(uncertainty|chunk)|shadow/.+/(action|uncertainty)|monitor/score")
"""Streams of a rollout that no sensor measured and that moved nothing."""


def roles_of(name: str, stream: Stream | None = None) -> frozenset[Role]:
    """Return the roles that a stream's name (and the names of its columns) speak for."""
    if name.startswith("clock/"):
        return frozenset((Role.CLOCK,))
    if _SAID.fullmatch(name):
        return frozenset((Role.LABEL,))
    words = _words(name)
    found = {role for role, known in _WORDS.items() if words & known}
    if stream is not None and any(_words(field) & _WORDS[Role.GRIPPER] for field in stream.fields):
        found.add(Role.GRIPPER)
    if Role.COMMANDED in found:
        found.discard(Role.MEASURED)
    if {Role.FORCE, Role.INERTIAL} & found:
        found.discard(Role.MEASURED)  # /joint_states/effort is no position
    if stream is not None and not numeric(stream) and stream.values.ndim >= 3:
        found = {Role.CAMERA}
    return frozenset(found)


def numeric(stream: Stream) -> bool:
    """Say whether a stream is a table of few numbers, as against pictures, scans and clouds."""
    width = 1
    for size in stream.values.shape[1:]:
        width *= size
    return stream.values.dtype.kind in "fiub" and 0 < width <= MOST_COLUMNS_N


def sensors(log: EpisodeLog) -> dict[str, Stream]:
    """Return the numeric streams that measure or command something, in order of name."""
    return {
        name: stream
        for name, stream in sorted(log.streams.items())
        if numeric(stream) and not {Role.CLOCK, Role.LABEL} & roles_of(name, stream)
    }


def _words(text: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return {part for part in re.split(r"[^a-z]+", spaced.casefold()) if part}
