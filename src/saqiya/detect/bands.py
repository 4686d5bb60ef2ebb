"""What a detector usually says at this point of a try: scores become spreads above what successes had just then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.errors import TooLittle

__all__ = ["Along", "Bands", "Place", "Scored", "fit_bands"]

PHASE = "phase/"
TIME_BINS_N = 6
PHASE_BINS_N = 5
FLOOR_SHARE = 1.0
"""A band is never narrower than this share of the detector's median band: a quiet moment would alarm at nothing."""
UPPER = 0.9
FEWEST_VALUES_N = 5


class Along(StrEnum):
    """What a band runs along: nothing (one band for all), time since the start, or time since the phase was reached."""

    NOTHING = "nothing"
    TIME = "time"
    PHASE = "phase"


@dataclass(frozen=True)
class Scored:
    """One try as several detectors scored it.

    Attributes:
        parts: by detector: seconds since the start float64 (t,), not decreasing, and scores float64 (t,).
        length_s: how long the try lasted.
        phases: (seconds, name of the event) of each phase that was reached, in time order.
    """

    parts: Mapping[str, tuple[Vector, Vector]]
    length_s: float
    phases: Sequence[tuple[float, str]] = field(default=())


@dataclass
class Place:
    """Where a try stands while it runs: the phase it reached last, and since when."""

    phases: Mapping[str, int]
    index: int = 0
    since_s: float = 0.0

    def reach(self, t_s: float, event: str) -> None:
        """Take in an event; one that names no phase of the bands changes nothing."""
        found = self.phases.get(event)
        if found is not None:
            self.index, self.since_s = found, t_s


@dataclass(frozen=True)
class Bands:
    """Centre and width of each detector's scores on successes, in bins of time since the start or the last phase.

    Attributes:
        names: detectors, the last axis of the arrays.
        phases: names of phase events, "" first: before any; that one alone where bands run along time.
        width_s: float64 (phases,), length of a bin; the last bin has no end.
        centre, spread: float64 (phases, bins, detectors).
    """

    names: tuple[str, ...]
    phases: tuple[str, ...]
    width_s: Vector
    centre: Vector
    spread: Vector

    def begin(self) -> Place:
        """Stand at the start of a try."""
        return Place({name: index for index, name in enumerate(self.phases) if name})

    def bins(self, t_s: Vector, phases: Sequence[tuple[float, str]]) -> tuple[np.ndarray, np.ndarray]:
        """Return the phase index (t,) and the bin (t,) of each instant."""
        index, since = np.zeros(len(t_s), dtype=np.int64), np.zeros(len(t_s))
        place = self.begin()
        for at_s, name in phases:
            place.reach(at_s, name)
            index[t_s >= at_s], since[t_s >= at_s] = place.index, place.since_s
        bins = ((t_s - since) / self.width_s[index]).astype(np.int64)
        return index, np.minimum(bins, self.centre.shape[1] - 1)

    def spreads(self, name: str, t_s: Vector, scores: Vector, phases: Sequence[tuple[float, str]]) -> Vector:
        """Return how many spreads each score lies above what successes had at that point, float64 (t,)."""
        index, bins = self.bins(t_s, phases)
        column = self.names.index(name)
        above: Vector = (scores - self.centre[index, bins, column]) / self.spread[index, bins, column]
        return above


def fit_bands(successes: Sequence[Scored], names: Sequence[str], *, horizon_s: float, along: Along) -> Bands:
    """Measure centre (median) and spread (up to the 90 % quantile) of each detector's scores on successes.

    A bin borrows from its neighbours; one that no success reached is like the last that some did.

    Raises:
        TooLittle: there is no success.
    """
    if not successes:
        raise TooLittle("there is no success to measure bands on", remedy="Deploy until a try succeeds.")
    phases, width_s = _layout(successes, horizon_s, along)
    bins_n = {Along.NOTHING: 1, Along.TIME: TIME_BINS_N, Along.PHASE: PHASE_BINS_N}[along]
    shape = (len(phases), bins_n, len(names))
    bands = Bands(tuple(names), phases, width_s / bins_n, np.zeros(shape), np.ones(shape))
    for column, name in enumerate(names):
        held = [(one, *one.parts[name]) for one in successes if name in one.parts]
        if not held:
            continue
        values = np.concatenate([scores[t_s < horizon_s] for _, t_s, scores in held])
        places = [bands.bins(t_s[t_s < horizon_s], one.phases) for one, t_s, _ in held]
        index, at = (np.concatenate(part) for part in zip(*places, strict=True))
        bands.centre[..., column], bands.spread[..., column] = _measured(values, index, at, shape[:2])
    return bands


def _layout(successes: Sequence[Scored], horizon_s: float, along: Along) -> tuple[tuple[str, ...], Vector]:
    """Return the phases in the order of their median time, and how long a success usually stays in each."""
    if along is not Along.PHASE:
        return ("",), np.array([horizon_s])
    stays: dict[str, list[float]] = {"": []}
    begins: dict[str, list[float]] = {"": [-1.0]}
    for one in successes:
        reached = [(0.0, ""), *((t_s, name) for t_s, name in one.phases if name.startswith(PHASE))]
        ends = [t_s for t_s, _ in reached[1:]] + [one.length_s]
        for (begin_s, name), end_s in zip(reached, ends, strict=True):
            stays.setdefault(name, []).append(end_s - begin_s)
            begins.setdefault(name, []).append(begin_s)
    order = sorted(stays, key=lambda name: float(np.median(begins[name])))
    usual = [max(float(np.quantile(stays[name], UPPER)), horizon_s / 100) for name in order]
    return tuple(order), np.array(usual)


def _measured(values: Vector, index: np.ndarray, at: np.ndarray, shape: tuple[int, int]) -> tuple[Vector, Vector]:
    centre, spread = np.full(shape, np.nan), np.full(shape, np.nan)
    for phase, one in np.ndindex(*shape):
        near = values[(index == phase) & (np.abs(at - one) <= 1)]
        if len(near) >= FEWEST_VALUES_N:
            centre[phase, one] = np.median(near)
            spread[phase, one] = np.quantile(near, UPPER) - centre[phase, one]
    for phase in range(shape[0]):
        _fill(centre[phase], spread[phase], values)
    typical = float(np.median(spread))
    whole = float(np.quantile(values, UPPER) - np.median(values))
    floor = FLOOR_SHARE * (typical or whole) or float(np.abs(values).max()) or 1.0
    return centre, np.maximum(spread, floor)


def _fill(centre: Vector, spread: Vector, values: Vector) -> None:
    """Give a bin without a success what the last one before it had; all values stand in where none has any."""
    known = np.flatnonzero(np.isfinite(centre))
    if not known.size:
        centre[:], spread[:] = np.median(values), np.quantile(values, UPPER) - np.median(values)
        return
    source = known[np.maximum(np.searchsorted(known, np.arange(len(centre)), side="right") - 1, 0)]
    centre[:], spread[:] = centre[source], spread[source]
