"""A figure with interval, seed count and bar, printed as one line of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: dotted, the benchmark first: "gate.independent.power.0.5-0.7".
        value: the number; NaN is refused, because no bar can judge it.
        low, high: its 95 % interval; equal to `value` where it was computed exactly.
        seeds: how many independent runs are behind it; 0 where it was computed exactly.
        bar: what it has to reach, or None: a control, a rival, or a number that is only shown.
        met: whether it does; None where there is no bar.
        command: what to type to get it again.
    """

    name: str
    value: float
    low: float
    high: float
    seeds: int
    bar: float | None
    met: bool | None
    command: str

    def __post_init__(self) -> None:
        """Refuse numbers that nothing can be said of, and bars without a judgement."""
        if not all(math.isfinite(number) for number in (self.value, self.low, self.high)):
            raise ValueError(f"{self.name}: {self.value} ({self.low} to {self.high}) is not a finite figure")
        if (self.bar is None) != (self.met is None):
            raise ValueError(f"{self.name}: a bar and its judgement come together or not at all")


@dataclass(frozen=True)
class Measured:
    """A value with its 95 % interval and the number of independent runs behind it."""

    value: float
    low: float
    high: float
    seeds: int


def exactly(value: float) -> Measured:
    """Wrap a number that was computed, not sampled."""
    return Measured(value, value, value, 0)


def at_most(name: str, measured: Measured, bar: float, *, command: str) -> Figure:
    """Make a figure that must not be above its bar."""
    return _figure(name, measured, bar, met=measured.value <= bar, command=command)


def at_least(name: str, measured: Measured, bar: float, *, command: str) -> Figure:
    """Make a figure that must not be below its bar."""
    return _figure(name, measured, bar, met=measured.value >= bar, command=command)


def shown(name: str, measured: Measured, *, command: str) -> Figure:
    """Make a figure without a bar: a control, a rival, or context."""
    return _figure(name, measured, None, met=None, command=command)


def _figure(name: str, measured: Measured, bar: float | None, *, met: bool | None, command: str) -> Figure:
    return Figure(name, measured.value, measured.low, measured.high, measured.seeds, bar, met, command)


def emit(figures: Iterable[Figure]) -> int:
    """Print each figure as soon as it is there; give 1 if any bar was missed, else 0."""
    missed = False
    for figure in figures:
        print(json.dumps(asdict(figure), allow_nan=False), flush=True)
        missed = missed or figure.met is False
    return int(missed)
