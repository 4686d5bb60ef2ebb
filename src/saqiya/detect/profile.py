"""A try on a common grid: what the search for worst moments keeps of a log, a few kilobytes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import EpisodeLog, Event, Stream

__all__ = ["BIN_S", "Profile", "Track", "profile_of"]

BIN_S = 0.05
HOLD_BINS_N = 10
"""A gap is filled with the last value for half a second; a longer one stays a gap."""
MOST_COLUMNS_N = 128
FEWEST_SAMPLES_N = 8
MOST_BINS_N = 200_000
TELLTALES = frozenset(
    (
        "author",
        "interventions",
        "policy_acting",
        "user_acting",
        "reward",
        "rewards",
        "done",
        "dones",
        "success",
        "label",
    )
)
"""Streams that hold the label, or who acted: a detector that read them would be told the answer."""


@dataclass(frozen=True)
class Track:
    """One stream on the grid.

    Attributes:
        values: float32 (T, C), the mean of each bin of `BIN_S`; NaN where there is no sample.
        resolution: float64 (C,), the smallest step the sensor commonly takes.
        clock_like: bool (C,), columns that only count time: they would smuggle the duration in.
    """

    values: NDArray[np.float32]
    resolution: NDArray[np.float64]
    clock_like: NDArray[np.bool_]
    unit: str
    fields: tuple[str, ...]

    @property
    def length_s(self) -> float:
        """How long the stream lasts."""
        return len(self.values) * BIN_S


@dataclass(frozen=True)
class Profile:
    """One try on the grid; `phases` are (name, seconds from the start), `length_s` is what a stopwatch shows."""

    length_s: float
    tracks: Mapping[str, Track]
    phases: tuple[tuple[str, float], ...]

    def phase_at(self, t_s: float) -> str:
        """Return the last phase reached by `t_s`, "" when none was."""
        reached = [name for name, start_s in self.phases if start_s <= t_s]
        return reached[-1] if reached else ""


def profile_of(log: EpisodeLog) -> Profile:
    """Put every numeric stream of a try on a grid of 50 ms that begins with its first sample.

    Images, streams that hold the label, and streams of fewer than 8 samples are left out. Clocks whose ranges do not
    meet (one counts from boot, one from 1970) each begin at zero.
    """
    zero = _zeros(tuple(log.streams.values()))
    tracks = {
        name: _track(stream, zero[stream.clock])
        for name, stream in sorted(log.streams.items())
        if name.rsplit("/", 1)[-1] not in TELLTALES and _usable(stream)
    }
    lengths = [(int(s.t_ns[-1]) - zero[s.clock]) / 1e9 for s in log.streams.values() if s.t_ns.size]
    return Profile(max(lengths, default=0.0), tracks, _phases(log.events, zero))


def _zeros(streams: Sequence[Stream]) -> dict[str, int]:
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    for stream in streams:
        if stream.t_ns.size:
            starts[stream.clock] = min(starts.get(stream.clock, int(stream.t_ns[0])), int(stream.t_ns[0]))
            ends[stream.clock] = max(ends.get(stream.clock, int(stream.t_ns[-1])), int(stream.t_ns[-1]))
    if not starts:
        return {stream.clock: 0 for stream in streams}
    first = min(starts.values())
    together = all(start <= min(ends.values()) for start in starts.values())
    return {stream.clock: first if together else starts.get(stream.clock, 0) for stream in streams}


def _phases(events: Sequence[Event], zero: Mapping[str, int]) -> tuple[tuple[str, float], ...]:
    origins = sorted(set(zero.values()), reverse=True)
    found = []
    for event in events:
        if event.name.startswith("phase/"):
            origin = next((start for start in origins if start <= event.t_ns), origins[-1] if origins else 0)
            found.append((event.name.removeprefix("phase/"), (event.t_ns - origin) / 1e9))
    return tuple(found)


def _usable(stream: Stream) -> bool:
    if stream.values.dtype.kind not in "fiu" or stream.t_ns.size < FEWEST_SAMPLES_N:
        return False
    return 0 < int(np.prod(stream.values.shape[1:])) <= MOST_COLUMNS_N


def _track(stream: Stream, zero_ns: int) -> Track:
    raw = stream.values.reshape(stream.t_ns.size, -1).astype(np.float64)
    bins = np.minimum((stream.t_ns - zero_ns) // round(BIN_S * 1e9), MOST_BINS_N - 1)
    total = int(bins[-1]) + 1
    finite = np.isfinite(raw)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    sums = np.add.reduceat(np.where(finite, raw, 0.0), starts, axis=0)
    counts = np.add.reduceat(finite.astype(np.float64), starts, axis=0)
    values = np.full((total, raw.shape[1]), np.nan, dtype=np.float32)
    with np.errstate(over="ignore"):
        values[bins[starts]] = np.where(counts > 0, sums / np.maximum(counts, 1.0), np.nan)
    values[~np.isfinite(values)] = np.nan
    return Track(_held(values), _resolution(raw), _clock_like(raw), stream.unit, stream.fields)


def _held(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill short gaps with the last value before them, which is what a controller would have seen."""
    rows = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, rows), axis=0)
    held = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    return np.where((last >= 0) & (rows - last <= HOLD_BINS_N), held, np.float32(np.nan))


def _resolution(raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the tenth percentile of the steps that a column takes when it moves at all; 0 when it never does."""
    found = np.zeros(raw.shape[1])
    for column in range(raw.shape[1]):
        steps = np.abs(np.diff(raw[:, column]))
        steps = steps[np.isfinite(steps) & (steps > 0.0)]
        found[column] = float(np.quantile(steps, 0.1)) if steps.size else 0.0
    return found


def _clock_like(raw: NDArray[np.float64]) -> NDArray[np.bool_]:
    steps = np.diff(raw, axis=0)
    typical = np.median(steps, axis=0)
    even = np.abs(steps - typical) <= 0.02 * np.abs(typical) + 1e-12
    flags: NDArray[np.bool_] = (typical > 0.0) & (even.mean(axis=0) > 0.98)
    return flags
