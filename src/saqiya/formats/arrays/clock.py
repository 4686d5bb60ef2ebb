"""Times among the arrays of a try: which array is a clock, of what, and in which unit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import Stamp

__all__ = ["Clock", "assumed", "best_clock", "is_time", "rate_said", "stamps_of"]

UNITS_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
SUFFIXES = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "ms": ("ms", "msec", "msecs", "millis", "milliseconds"),
    "us": ("us", "usec", "usecs", "micros", "microseconds"),
    "ns": ("ns", "nsec", "nsecs", "nanos", "nanoseconds"),
}
UNIT_OF = {suffix: unit for unit, suffixes in SUFFIXES.items() for suffix in suffixes}
TIME_WORDS = {"t", "ts", "time", "times", "timestamp", "timestamps", "stamp", "stamps", "stamped"}
NO_TIMES = {
    "factor",
    "step",
    "steps",
    "index",
    "idx",
    "to",
    "delta",
    "dt",
    "duration",
    "elapsed",
    "count",
    "out",
    "limit",
}
EPOCH_NS = (946_684_800 * 10**9, 4_102_444_800 * 10**9)
"""2000 to 2100: a number that is a date in there, in some unit, is taken for one."""
PLAUSIBLE_HZ = (0.05, 20_000.0)
USUAL_HZ = (1.0, 2_000.0)
LARGEST_NS = 2**62
RATE_WORDS = {"control_freq", "control_frequency", "control_hz", "fps", "frequency", "frame_rate", "hz", "rate_hz"}
RATE_HZ = (0.01, 100_000.0)


@dataclass(frozen=True)
class Clock:
    """Stamps that an array of a try gives.

    Attributes:
        path: the array they came from.
        t_ns: int64 (T,), not decreasing.
        unit: what its values were taken to be.
        epoch: they are dates, not counted from the try's beginning.
    """

    path: str
    t_ns: NDArray[np.int64]
    unit: str
    epoch: bool

    @property
    def name(self) -> str:
        """The clock's name in a stream."""
        return f"{'epoch' if self.epoch else 'log'}:{self.path}"


def is_time(path: str, shape: tuple[int, ...], kind: str) -> bool:
    """Say whether an array looks like times by its name, shape (T,) or (T, 1) and kind of numbers."""
    if kind not in "iuf" or not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)) or not shape[0]:
        return False
    *groups, leaf = path.lower().split("/")
    if any(TIME_WORDS & set(_words(group)) - {"t", "ts"} for group in groups):
        return True
    words = set(_words(leaf))
    return bool(words & TIME_WORDS) and not words & NO_TIMES


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name) if word]


def stamps_of(path: str, values: NDArray[Any]) -> Clock | str:
    """Turn an array into stamps, or say why it is no clock.

    A unit in the name wins ("time_ms"). Else a number that is a date between 2000 and 2100 in one unit has that unit;
    else the one unit that makes a rate of 1 to 2000 Hz is taken, and of several none, but for fractions, which are
    seconds first.
    """
    flat = values.reshape(-1)
    if flat.dtype.kind == "f" and not bool(np.isfinite(flat).all()):
        return "it has values that are no numbers"
    if bool((flat[1:] < flat[:-1]).any()):
        return "it goes back"
    steps = np.diff(flat.astype(np.float64) if flat.dtype.kind == "f" else flat - flat[0])
    step = float(np.median(steps[steps > 0])) if bool((steps > 0).any()) else 0.0
    if flat.size > 1 and (step == 0.0 or float((steps > 0).mean()) < 0.5):
        return "it stands still"
    unit = _unit(path, flat, step)
    if len(unit) > 2:
        return unit
    scaled = _scaled(flat, UNITS_NS[unit])
    if scaled is None:
        return f"its values are no times in {unit}"
    return Clock(path, scaled, unit, bool(scaled.size) and _is_date(float(scaled[0])))


def _unit(path: str, flat: NDArray[Any], step: float) -> str:
    """Return the unit, or a sentence of why there is none."""
    named = UNIT_OF.get((_words(path.lower().rsplit("/", 1)[-1]) or [""])[-1])
    rates = {unit: 1e9 / (step * scale) if step else 0.0 for unit, scale in UNITS_NS.items()}
    if named is not None:
        good = not step or PLAUSIBLE_HZ[0] <= rates[named] <= PLAUSIBLE_HZ[1]
        return named if good else f"its {rates[named]:.3g} Hz in {named} are no rate of a robot"
    first = float(flat[0]) if flat.size else 0.0
    for unit, scale in UNITS_NS.items():
        if _is_date(first * scale) and (not step or PLAUSIBLE_HZ[0] <= rates[unit] <= PLAUSIBLE_HZ[1]):
            return unit
    usual = [unit for unit in UNITS_NS if USUAL_HZ[0] <= rates[unit] <= USUAL_HZ[1]]
    broken = flat.dtype.kind == "f" and bool((flat != np.rint(flat)).any())
    if len(usual) == 1 or (usual and broken):
        return usual[0]
    return "its unit cannot be told from its values" if usual else "no unit makes its steps a rate of 1 to 2000 Hz"


def _is_date(t_ns: float) -> bool:
    return EPOCH_NS[0] <= t_ns < EPOCH_NS[1]


def _scaled(flat: NDArray[Any], scale: int) -> NDArray[np.int64] | None:
    most = LARGEST_NS // scale
    if flat.size and max(abs(float(flat[0])), abs(float(flat[-1]))) >= most:
        return None
    if flat.dtype.kind != "f":
        whole: NDArray[np.int64] = flat.astype(np.int64) * scale
        return whole
    exact = flat.astype(np.float64)
    parts = np.floor(exact)  # whole and rest apart: a date in seconds times 1e9 has no room for its last digits
    stamps: NDArray[np.int64] = parts.astype(np.int64) * scale + np.rint((exact - parts) * scale).astype(np.int64)
    return stamps


def best_clock(path: str, rows: int, clocks: Iterable[Clock]) -> Clock | None:
    """Choose the clock of an array: as long as it, and nearest by name."""
    own = _parts(path)
    found = [(_nearness(own, path, clock), clock) for clock in clocks if len(clock.t_ns) == rows]
    return max(found, key=lambda one: one[0])[1] if found else None


def _parts(path: str) -> set[str]:
    return {word for word in _words(path.lower()) if word not in TIME_WORDS and word not in UNIT_OF}


def _nearness(own: set[str], path: str, clock: Clock) -> tuple[int, int, int, int]:
    theirs = _parts(clock.path)
    same_group = path.rpartition("/")[0] == clock.path.rpartition("/")[0]
    control = len({"control", "step", "start"} & theirs)
    return len(own & theirs), int(same_group), -len(theirs - own), control


def assumed(rows: int, rate_hz: float) -> tuple[NDArray[np.int64], str, Stamp]:
    """Make stamps from a rate, beginning at 0, with the name of their clock and their kind."""
    t_ns = np.rint(np.arange(rows) * (1e9 / rate_hz)).astype(np.int64)
    return t_ns, f"assumed:{rate_hz:g}Hz", Stamp.ASSUMED


def rate_said(words: Mapping[str, Any], *, depth: int = 3) -> float | None:
    """Find a control rate in Hz among the facts a file states, nested ones too; None when there is none."""
    for key, value in words.items():
        if key.lower() in RATE_WORDS and isinstance(value, int | float) and not isinstance(value, bool):
            if RATE_HZ[0] <= value <= RATE_HZ[1]:
                return float(value)
        elif isinstance(value, dict) and depth > 0:
            inner = rate_said(value, depth=depth - 1)
            if inner is not None:
                return inner
    return None
