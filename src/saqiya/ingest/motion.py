"""When a robot moves and when it rests, from all the streams that show where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import EpisodeLog, Span, Stream
from saqiya.ingest.stamps import YEAR_2000_NS
from saqiya.models.roles import Role, roles_of, sensors

__all__ = ["BIN_NS", "Motion", "motion_of", "span_of"]

BIN_NS = 100_000_000
MOST_BINS_N = 20_000_000
APART = 5.0
"""Rest and motion differ by at least this factor in a column's speed, or the column tells nothing."""
LEAST_BINS_N = 3
"""Motion of fewer bins is noise, a glitch, or a bump."""


@dataclass(frozen=True)
class Motion:
    """Bins of 0.1 s from `zero_ns` on: how fast the fastest column moves, over its floor; 0 where there is no sample.

    Attributes:
        level: float32 (B,), over the speed that parts motion from rest: above 1 it moves.
        streams: which streams spoke.
    """

    zero_ns: int
    level: NDArray[np.float32]
    streams: tuple[str, ...]

    def stretches(self, longer_s: float) -> list[tuple[int, int]]:
        """Return ranges of motion (ns, half-open) with pauses of at most `longer_s` in them."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], self.level > 1.0, [False]]).astype(np.int8)))
        begins, ends = edges[::2], edges[1::2]
        real = ends - begins >= LEAST_BINS_N
        merged: list[list[int]] = []
        for begin, end in zip(begins[real].tolist(), ends[real].tolist(), strict=True):
            if merged and (begin - merged[-1][1]) * BIN_NS <= longer_s * 1e9:
                merged[-1][1] = end
            else:
                merged.append([begin, end])
        return [(self.zero_ns + begin * BIN_NS, self.zero_ns + end * BIN_NS) for begin, end in merged]


def span_of(log: EpisodeLog) -> Span:
    """Return the log's range without stamps that were never set (before 2000 in a log of later years)."""
    span = log.span
    if span.start_ns >= YEAR_2000_NS or span.end_ns < YEAR_2000_NS:
        return span
    stamps = [s.t_ns for s in log.streams.values()] + [v.track.shown_ns for v in log.videos.values()]
    firsts = [int(t[at]) for t in stamps if t.size and (at := int(np.searchsorted(t, YEAR_2000_NS))) < t.size]
    return Span(min(firsts), span.end_ns)


def motion_of(log: EpisodeLog, patterns: Sequence[str] = (), floor: float | None = None) -> Motion | None:
    """Find out when the robot moves; None where no stream tells.

    Args:
        log: the whole log.
        patterns: names of the streams to look at, with * and ?; none: those that show or command where the robot is.
        floor: a speed in units a second up to which a column rests; None: for each column the split between slow and
            fast bins that separates them best (Otsu, 1979, on the logarithm of the speed).
    """
    span = span_of(log)
    bins = (span.end_ns - span.start_ns) // BIN_NS + 1
    chosen = _chosen(log, patterns)
    if not chosen or bins > MOST_BINS_N:
        return None
    level = np.zeros(bins, dtype=np.float32)
    spoke = [name for name, stream in chosen.items() if _raise_level(level, stream, span.start_ns, floor)]
    return Motion(span.start_ns, level, tuple(spoke)) if spoke else None


def _chosen(log: EpisodeLog, patterns: Sequence[str]) -> dict[str, Stream]:
    known = {name: one for name, one in sensors(log).items() if one.t_ns.size >= 2}
    if patterns:
        return {n: s for n, s in known.items() if any(fnmatchcase(n, pattern) for pattern in patterns)}
    places = {n: s for n, s in known.items() if Role.MEASURED in roles_of(n)}
    return places or {n: s for n, s in known.items() if not roles_of(n) & {Role.FORCE, Role.INERTIAL}}


def _raise_level(level: NDArray[np.float32], stream: Stream, zero_ns: int, floor: float | None) -> bool:
    """Raise the bins' level to that of a stream's columns; False where no column tells."""
    kept = stream.t_ns >= zero_ns
    t_ns = stream.t_ns[kept]
    if t_ns.size < 2:
        return False
    index = (t_ns - zero_ns) // BIN_NS
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    at = index[starts]
    # A slow stream has no sample in most bins: its travel belongs to every bin since the sample before, up to 2 s.
    first = np.maximum(index[np.maximum(starts - 1, 0)] + 1, at - 20)
    first[0] = at[0]
    many = at - first + 1
    owner = np.repeat(np.arange(at.size), many)
    covered = np.arange(owner.size) - np.repeat(np.cumsum(many) - many - first, many)
    flat = stream.values.reshape(stream.t_ns.size, -1)
    told = False
    for column in range(flat.shape[1]):
        x = flat[kept, column].astype(np.float64)
        speed = _speeds(np.where(np.isfinite(x), x, 0.0), t_ns, starts)
        split = floor if floor is not None else _split(speed)
        if split is None:
            continue
        told = True
        share = (speed / split).astype(np.float32)
        level[covered] = np.maximum(level[covered], share[owner])
    return told


def _speeds(x: Vector, t_ns: NDArray[np.int64], starts: NDArray[np.int64]) -> Vector:
    """Return for each bin with samples its travel, from the sample before it on, in units a second."""
    before = np.maximum(starts - 1, 0)
    high = np.maximum(np.maximum.reduceat(x, starts), x[before])
    low = np.minimum(np.minimum.reduceat(x, starts), x[before])
    ends = np.append(starts[1:], x.size) - 1
    length_s = np.maximum((t_ns[ends] - t_ns[before]) / 1e9, BIN_NS / 1e9)
    speed: Vector = (high - low) / length_s
    return speed


def _split(speed: Vector) -> float | None:
    """Return the speed between rest and motion, or None where the two are not apart."""
    positive = speed[speed > 0.0]
    if positive.size < 10:
        return None
    least, most = (float(q) for q in np.quantile(positive, [0.001, 0.999]))
    if most <= least:
        return least / 2.0 if positive.size < speed.size else None
    logs = np.log10(np.clip(speed, least / 10.0, most))
    counts, edges = np.histogram(logs, bins=128)
    middle = (edges[:-1] + edges[1:]) / 2.0
    weight = np.cumsum(counts).astype(np.float64)
    total = np.cumsum(counts * middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (total[-1] * weight / weight[-1] - total) ** 2 / (weight * (weight[-1] - weight))
    best = int(np.nanargmax(between[:-1]))
    slow, fast = logs[logs <= edges[best + 1]], logs[logs > edges[best + 1]]
    if not slow.size or not fast.size or np.median(fast) - np.median(slow) < np.log10(APART):
        return None
    # Between the classes every place separates alike: take the middle of the gap, not its edge.
    return float(10.0 ** ((np.quantile(slow, 0.95) + np.quantile(fast, 0.05)) / 2.0))
