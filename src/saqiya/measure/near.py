"""Tries that repeat one another: found through an index, judged by how far apart tries of this data usually lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.measure.outline import PATH_N, Outline, path
from saqiya.models.groups import earliest
from saqiya.models.index import index_of
from saqiya.models.normaliser import RESOLUTION
from saqiya.models.scaling import robust_scale

__all__ = ["Copies", "Pair", "aligned", "distances", "near_copies"]

BY_CHANCE = 0.005
"""What comes closer than this share of other tries does by chance may be the same try."""
SHARES = (0.1, 0.5)
"""What that may be, in shares of the spacing."""
ALWAYS_NEAR = 0.01
"""Closer than a hundredth of the spread all along: the same, however densely the data lie."""
CANDIDATES_N = 8
NOISE = 5.0
"""A difference counts in units of the spread, or of so many times the noise of the two tries."""
ELSEWHERE = 5.0
"""What lies still when a try begins, and in another try this many times its resolution away, makes it another try."""
CODE_N = 64
SCALED_ROWS_N = 200_000
BATCH_N = 256


@dataclass(frozen=True)
class Pair:
    """A try that repeats another, by their places, and how far apart their ways are; `first` is its group's first."""

    first: int
    second: int
    distance: float


@dataclass(frozen=True)
class Copies:
    """What a search for near copies gave.

    Attributes:
        pairs: one for each copy.
        spacing: the median distance of a try to the nearest other one; None where there is no other.
        compared_n: pairs whose ways were compared, of n (n - 1) / 2.
    """

    pairs: tuple[Pair, ...]
    spacing: float | None
    compared_n: int


def near_copies(outlines: Sequence[Outline], *, seed: int = 0) -> Copies:
    """Find the tries that go the same way, of one embodiment and with the same streams.

    Each try becomes a way (`path`), scaled by the data's own spread, and that a short code. The index proposes the few
    tries whose codes are nearest; only their ways are compared (`aligned`). What is closer than others come by chance
    (`_yardstick`) and begins in the same place is a copy. Of each group the first alone goes on, until nothing joins
    any more: so a crowd of copies hides no other.

    Args:
        outlines: with equal widths, the earliest first.
        seed: of the code and the index.
    """
    if len(outlines) < 2:
        return Copies((), None, 0)
    ways, noise = _ways(outlines)
    codes = _codes(ways, seed)
    known: dict[tuple[int, int], float] = {}
    copies: list[tuple[int, int]] = []
    alive = np.arange(len(outlines))
    while True:
        places, _ = index_of(codes[alive], seed=seed).search(codes[alive], min(CANDIDATES_N + 1, len(alive)))
        pairs = np.sort(np.stack([np.repeat(alive, places.shape[1]), alive[places].ravel()], axis=1), axis=1)
        found = np.unique(pairs[(pairs[:, 0] != pairs[:, 1]) & (places.ravel() >= 0)], axis=0)
        proposed = [(int(a), int(b)) for a, b in found]
        fresh = [one for one in proposed if one not in known]
        known.update(zip(fresh, _distances(ways, noise, fresh).tolist(), strict=True))
        spacing, limit = _yardstick({pair: known[pair] for pair in proposed})
        joined = _begun_alike(outlines, [pair for pair in proposed if known[pair] < limit])
        copies += joined
        first = earliest(joined)
        alive = np.array([one for one in alive.tolist() if first.get(one, one) == one])
        if not joined or len(alive) < 2:
            break
    led = sorted((first, one) for one, first in earliest(copies).items() if first != one)
    apart = _distances(ways, noise, led).tolist()
    return Copies(tuple(Pair(*pair, one) for pair, one in zip(led, apart, strict=True)), spacing, len(known))


def distances(outlines: Sequence[Outline], pairs: Sequence[tuple[int, int]]) -> Vector:
    """Return float64 (p,): how far apart pairs of tries are, as `near_copies` sees them among these outlines."""
    return _distances(*_ways(outlines), pairs)


def aligned(first: Vector, second: Vector) -> Vector:
    """Return float64 (p,): the mean distance from the points of each way to the other, in order, the larger of both.

    A point may meet any place of the other way, between its points too, that is not before the place which the point
    before it met; ends are free. So neither speed nor rate nor a few samples less at an end keep two ways apart, while
    one that goes back where the other came is another way.

    Args:
        first: float64 (p, m, D), scaled.
        second: float64 (p, n, D).
    """
    return np.maximum(_one_way(first, second), _one_way(second, first))


def _one_way(points: Vector, way: Vector) -> Vector:
    begin, along = way[:, :-1], np.diff(way, axis=1)
    length2 = (along**2).sum(axis=2)[:, None]
    met = points @ along.swapaxes(1, 2) - (begin * along).sum(axis=2)[:, None]
    share = (met / np.maximum(length2, 1e-300)).clip(0.0, 1.0)
    apart2 = (points**2).sum(axis=2)[..., None] + (begin**2).sum(axis=2)[:, None] - 2.0 * points @ begin.swapaxes(1, 2)
    apart = np.sqrt((apart2 + share * (share * length2 - 2.0 * met)).clip(0.0))
    least = apart[:, 0]
    for row in range(1, apart.shape[1]):
        least = apart[:, row] + np.minimum.accumulate(least, axis=1)
    mean: Vector = least.min(axis=1) / apart.shape[1]
    return mean


def _ways(outlines: Sequence[Outline]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the ways, float32 (n, PATH_N, D), and their noise, float32 (n, D), in units of the data's spread."""
    step = max(1, len(outlines) * len(outlines[0].points) // SCALED_ROWS_N)
    rows = np.concatenate([one.points for one in outlines[::step]], dtype=np.float64)
    noise = np.stack([one.noise for one in outlines])
    floor = np.maximum(RESOLUTION, NOISE * np.median(noise, axis=0).astype(np.float64))
    scale = robust_scale(rows, outlines[0].widths, resolution=floor)
    loud = (noise / (scale.spread * np.sqrt(len(floor)))).astype(np.float32)
    ways = [path(scale.apply(one.points.astype(np.float64)), own) for one, own in zip(outlines, loud, strict=True)]
    return np.stack(ways).astype(np.float32), loud


def _codes(ways: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Return float32 (n, CODE_N): random directions of the ways, which keep distances (Johnson, Lindenstrauss 1984)."""
    flat = ways.reshape(len(ways), -1)
    drawn = np.random.default_rng(seed).normal(size=(flat.shape[1], CODE_N)) / np.sqrt(CODE_N * PATH_N)
    codes: NDArray[np.float32] = flat @ drawn.astype(np.float32)
    return codes


def _distances(ways: NDArray[np.float32], noise: NDArray[np.float32], pairs: Sequence[tuple[int, int]]) -> Vector:
    """Compare pairs of ways; where noise is loud in either of the two, differences count by the noise."""
    found = []
    for at in range(0, len(pairs), BATCH_N):
        first, second = np.array(pairs[at : at + BATCH_N]).T
        unit = np.sqrt(ways.shape[2]) * NOISE * np.maximum(noise[first], noise[second]).astype(np.float64)
        shrink = (1.0 / np.maximum(1.0, unit))[:, None]
        found.append(aligned(ways[first] * shrink, ways[second] * shrink))
    return np.concatenate(found) if found else np.zeros(0)


def _begun_alike(outlines: Sequence[Outline], pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Leave out pairs that begin in different places: what lies still at first lies elsewhere, by more than noise."""
    alike = []
    for a, b in pairs:
        (here, fine), (there, fine_too) = outlines[a].begin(), outlines[b].begin()
        if (np.abs(here - there) <= ELSEWHERE * np.maximum(fine, fine_too)).all():
            alike.append((a, b))
    return alike


def _yardstick(known: Mapping[tuple[int, int], float]) -> tuple[float | None, float]:
    """Return the spacing, which is the median distance of a try to the nearest other one, and where copies begin.

    Where tries differ in few ways (a script, two numbers of the start) some lie close by chance; where they differ in
    many (people) hardly any do. In d dimensions a share of log 2 * s^d has its nearest one within s of the median, if
    they lie evenly; and the upper quartile of these distances is 2^(1/d) times their median, which gives d.
    Which are others depends on the limit: it begins at the farthest of each try's neighbours, and falls until it agrees
    with itself.
    """
    near: dict[int, list[float]] = {}
    for pair, distance in known.items():
        for one in pair:
            near.setdefault(one, []).append(distance)
    rows = [np.sort(each) for each in near.values()]
    spacing = float(np.median([row[-1] for row in rows])) if rows else float("inf")
    limit = max(ALWAYS_NEAR, SHARES[0] * spacing)
    while True:
        others = [other for row in rows if len(other := row[row >= limit])]
        if not others:
            return None, ALWAYS_NEAR
        closest, far = np.quantile([row[0] for row in others], [0.5, 0.75]).tolist()
        share = (BY_CHANCE / np.log(2.0)) ** (np.log(far / closest) / np.log(2.0))
        limit = max(ALWAYS_NEAR, float(np.clip(share, *SHARES)) * closest)
        if closest >= spacing:
            return closest, limit
        spacing = closest
