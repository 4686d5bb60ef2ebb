"""The shape of a try in a few numbers: the way its signals went, whatever its rate, its clock, and its speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.domain.logged import StreamInfo
from saqiya.domain.streams import Stream
from saqiya.models.normaliser import RESOLUTION
from saqiya.models.roles import MOST_COLUMNS_N, Role, roles_of
from saqiya.models.rows import EXECUTED, OBSERVATION

__all__ = ["OUTLINE_N", "PATH_N", "Outline", "compared", "outline", "path"]

OUTLINE_N = 96
"""Instants of an outline, evenly spaced in time; where there are more samples, means of those around an instant."""
PATH_N = 48
"""Points of a path, evenly spaced along the way."""
DENSE_N = 4 * OUTLINE_N
"""From so many samples on the means between instants quieten noise by themselves."""
NEARBY_N = 6
LOUD = 3.0
"""What moves less than this many times its noise did not move."""
BEGIN_N = 5
FAR = 1e9  # a broken sensor's 1e300 has no square


@dataclass(frozen=True)
class Outline:
    """A try at `OUTLINE_N` instants.

    Attributes:
        widths: columns of each stream, in the order asked for.
        points: float32 (OUTLINE_N, D), in each signal's own unit.
        noise: float32 (D,), the part of each signal that changes from one sample to the next and back.
    """

    widths: tuple[int, ...]
    points: NDArray[np.float32]
    noise: NDArray[np.float32]

    def begin(self) -> tuple[Vector, Vector]:
        """Return where each signal begins, and how finely that is known: float64 (D,); infinite where it moves."""
        first = self.points[:BEGIN_N].astype(np.float64)
        where = np.median(first, axis=0)
        fine = RESOLUTION * np.maximum(1.0, np.abs(where)) + self.noise
        return where, np.where(np.ptp(first, axis=0) <= LOUD * fine, fine, np.inf)


def compared(infos: Sequence[StreamInfo]) -> tuple[tuple[str, int], ...]:
    """Return name and columns of the streams by which tries are compared, sorted by name.

    Those are `observation/*` and the executed action; in foreign logs, which have neither, whatever measures or
    commands. Pictures, scans, clocks and labels are left out.
    """
    tables = {
        one.name: width
        for one in infos
        if np.dtype(one.dtype).kind in "fiub"
        and 0 < (width := int(np.prod(one.shape[1:], dtype=np.int64))) <= MOST_COLUMNS_N
        and not {Role.CLOCK, Role.LABEL} & roles_of(one.name)
    }
    ours = {name for name in tables if name.startswith(OBSERVATION)}
    names = ours | ({EXECUTED} & set(tables)) if ours else set(tables)
    return tuple((name, tables[name]) for name in sorted(names))


def outline(streams: Mapping[str, Stream], names: Sequence[str]) -> Outline | None:
    """Draw the outline of a try by the named streams; None where one of them never has a finite sample."""
    kept = [(streams[name].t_ns, _rows(streams[name])) for name in names]
    kept = [(t_ns[good], rows[good]) for t_ns, rows in kept for good in [np.isfinite(rows).all(axis=1)]]
    if not kept or any(not len(rows) for _, rows in kept):
        return None
    noise = [_noise(rows) for _, rows in kept]
    begin = min(int(t_ns[0]) for t_ns, _ in kept)
    end = max(int(t_ns[-1]) for t_ns, _ in kept)
    edges = np.linspace(0.0, float(end - begin), OUTLINE_N + 1)
    points = [
        _at((t_ns - begin).astype(np.float64), _calmed(rows, own) if len(rows) < DENSE_N else rows, edges)
        for (t_ns, rows), own in zip(kept, noise, strict=True)
    ]
    return Outline(
        tuple(rows.shape[1] for _, rows in kept),
        np.concatenate(points, axis=1).astype(np.float32),
        np.concatenate(noise).astype(np.float32),
    )


def path(points: Vector, noise: Vector) -> Vector:
    """Space points evenly along the way that scaled points went, float64 (PATH_N, D): speed and pauses are gone.

    Args:
        points: float64 (OUTLINE_N, D), scaled.
        noise: float64 (D,), in the same units; what it explains is no way.
    """
    step2 = (np.diff(points, axis=0) ** 2 - 2.0 * (LOUD * noise) ** 2).clip(0.0).sum(axis=1)
    way = np.concatenate([[0.0], np.cumsum(np.sqrt(step2))])
    if way[-1] == 0.0:
        way = np.arange(len(points), dtype=np.float64)
    at = np.linspace(0.0, way[-1], PATH_N)
    after = np.searchsorted(way, at, side="left").clip(1, len(points) - 1)
    share = ((at - way[after - 1]) / np.maximum(way[after] - way[after - 1], 1e-300)).clip(0.0, 1.0)[:, None]
    spaced: Vector = points[after - 1] * (1.0 - share) + points[after] * share
    return spaced


def _rows(stream: Stream) -> Vector:
    rows = stream.values.reshape(len(stream.t_ns), -1).astype(np.float64)
    return np.where(np.isnan(rows), rows, rows.clip(-FAR, FAR))


def _at(t: Vector, rows: Vector, edges: Vector) -> Vector:
    """Return the values at instants: means between the edges where samples are dense, else lines between samples."""
    middles = (edges[1:] + edges[:-1]) / 2.0
    drawn = np.stack([np.interp(middles, t, column) for column in rows.T], axis=1)
    if len(rows) < DENSE_N:
        return drawn
    first = np.searchsorted(t, edges[:-1])
    count = np.diff(np.append(first, len(t)))
    sums = np.add.reduceat(rows, first.clip(max=len(t) - 1), axis=0)
    return np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], drawn)


def _calmed(rows: Vector, noise: Vector) -> Vector:
    """Average each sample with those about it that differ by no more than noise does (the sigma filter, Lee 1983)."""
    total, count = rows.copy(), np.ones_like(rows)
    for gap in range(1, min(NEARBY_N, len(rows) - 1) + 1 if noise.any() else 1):
        alike = np.abs(rows[gap:] - rows[:-gap]) <= LOUD * np.sqrt(2.0) * noise
        total[gap:] += np.where(alike, rows[:-gap], 0.0)
        total[:-gap] += np.where(alike, rows[gap:], 0.0)
        count[gap:] += alike
        count[:-gap] += alike
    calm: Vector = total / count
    return calm


def _noise(rows: Vector) -> Vector:
    """Return the standard deviation of what changes and changes back: second differences, of which most are small."""
    if len(rows) < 3:
        return np.zeros(rows.shape[1])
    bent = np.abs(rows[2:] - 2.0 * rows[1:-1] + rows[:-2])
    typical: Vector = np.median(bent, axis=0) / (0.6745 * np.sqrt(6.0))
    return typical
