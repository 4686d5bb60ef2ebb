"""What standard types mean: the unit of a field by the struct that holds it, as REP 103 and the definitions say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from saqiya.formats.messages.types import Struct

__all__ = ["UNITS", "Facts", "pattern", "static_facts"]

_TURN = {"angular": "rad/s", "linear": "m/s"}
UNITS: dict[str, dict[str, str]] = {
    "geometry_msgs/Wrench": {"force": "N", "torque": "N m"},
    "geometry_msgs/Twist": _TURN,
    "geometry_msgs/Accel": {"angular": "rad/s^2", "linear": "m/s^2"},
    "geometry_msgs/Pose": {"position": "m"},
    "geometry_msgs/Transform": {"translation": "m"},
    "geometry_msgs/PointStamped": {"point": "m"},
    "geometry_msgs/Polygon": {"points": "m"},
    "geometry_msgs/Inertia": {"m": "kg", "com": "m"},
    "sensor_msgs/JointState": {"position": "rad", "velocity": "rad/s", "effort": "N m"},
    "sensor_msgs/Imu": {"angular_velocity": "rad/s", "linear_acceleration": "m/s^2"},
    "sensor_msgs/MagneticField": {"magnetic_field": "T"},
    "sensor_msgs/LaserScan": {
        "ranges": "m",
        "range_min": "m",
        "range_max": "m",
        "angle_min": "rad",
        "angle_max": "rad",
        "angle_increment": "rad",
        "time_increment": "s",
        "scan_time": "s",
    },
    "sensor_msgs/Range": {"range": "m", "min_range": "m", "max_range": "m", "field_of_view": "rad"},
    "sensor_msgs/Temperature": {"temperature": "degC"},
    "sensor_msgs/FluidPressure": {"fluid_pressure": "Pa"},
    "sensor_msgs/BatteryState": {
        "voltage": "V",
        "current": "A",
        "temperature": "degC",
        "charge": "A h",
        "capacity": "A h",
        "design_capacity": "A h",
        "cell_voltage": "V",
        "cell_temperature": "degC",
    },
    "sensor_msgs/NavSatFix": {"latitude": "deg", "longitude": "deg", "altitude": "m"},
    "trajectory_msgs/JointTrajectoryPoint": {
        "positions": "rad",
        "velocities": "rad/s",
        "accelerations": "rad/s^2",
        "effort": "N m",
    },
    "foxglove_msgs/Pose": {"position": "m"},
    "foxglove_msgs/FrameTransform": {"translation": "m"},
    "foxglove_msgs/LaserScan": {"ranges": "m", "start_angle": "rad", "end_angle": "rad"},
    "foxglove_msgs/JointState": {"position": "rad", "velocity": "rad/s", "effort": "N m"},
    "foxglove_msgs/LocationFix": {"latitude": "deg", "longitude": "deg", "altitude": "m"},
}
_MOST_PATHS = 4096


@dataclass
class Facts:
    """Units by path, and the names of the equal numbers in lists of structs; "*" stands for any index."""

    units: dict[str, str] = field(default_factory=dict)
    inner: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left: int = _MOST_PATHS


def pattern(path: str) -> str:
    """Return a path with "*" in place of every index."""
    return re.sub(r"(?<=/)\d+(?=/|$)", "*", path)


def static_facts(root: Struct) -> Facts:
    """Look through a type for what it says of its fields without any message."""
    facts = Facts()
    _visit(root, "", "", facts)
    return facts


def _visit(which: Struct, prefix: str, unit: str, facts: Facts) -> None:
    own = UNITS.get(which.name, {})
    for one in which.fields:
        path = f"{prefix}/{one.name}" if prefix else one.name
        said = own.get(one.name, unit)
        facts.left -= 1
        if facts.left < 0:
            return
        if isinstance(one.kind, Struct):
            if one.count is not None and one.kind.flat:
                facts.inner[path] = one.kind.flat
                facts.units[path] = said
            else:
                _visit(one.kind, path if one.count is None else f"{path}/*", said, facts)
        elif one.kind in {"time", "duration"}:
            facts.units[path] = "ns"
        elif said:
            facts.units[path] = said
