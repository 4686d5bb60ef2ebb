"""Nearest neighbours among the rows of training episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import Stream
from saqiya.models.rows import common_names, names_array, names_of, side_by_side, widths
from saqiya.models.scaling import Scale, robust_scale

__all__ = ["Neighbours", "neighbours_of", "read_neighbours"]

PIECE_N = 64
"""Rows searched by one product."""
PRODUCT_N = 200_000
"""Multiplications in one product: BLAS splits larger ones among threads, and waking a thread may take 8 ms."""
COMPARED_N = 65_536
"""Pairs of rows compared at once: they stay in the processor's cache."""
SPARE_N = 11
"""Rows beyond `k` that are compared exactly: single precision may confuse rows that lie almost equally near."""
NOWHERE = -1e30
FAR = 1e6  # a broken sensor's 1e300 has no place in single precision
POOL = 4


@dataclass(frozen=True)
class Neighbours:
    """Scaled rows of training episodes, searched by comparing with all of them.

    A plain search in single precision finds a few candidates, whose distances are then taken exactly. It is quicker
    than a k-d tree at 10 to 50 numbers a row, four times at 10,000 rows of 50, and takes equal time wherever it looks.

    Attributes:
        names: the streams side by side in a row; `widths` their columns.
        scale: how rows are scaled before they are compared.
        rows: float64 (n, D), scaled.
        episode: int64 (n,), which training episode a row comes from.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    scale: Scale
    rows: Vector
    episode: NDArray[np.int64]

    def distances(self, streams: Mapping[str, Stream], *, k: int) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps (t,) and the mean distance to the `k` nearest training rows (t,) (fewer if there are fewer).

        Raises:
            InvalidEpisode: a stream is missing, or never finite.
        """
        stamps, rows = side_by_side(streams, self.names)
        return stamps, self.of_rows(rows, k=k)

    def of_rows(self, rows: Vector, *, k: int) -> Vector:
        """Return the mean distance of each row, float64 (t, D), to the `k` nearest training rows, float64 (t,)."""
        asked = self.scale.apply(rows)
        step = max(1, min(PRODUCT_N // (PIECE_N * (rows.shape[1] + 1)), COMPARED_N // len(self.rows)))
        parts = [asked[at : at + step] for at in range(0, len(asked), step)]
        return np.concatenate([self._nearest(part, k)[1].mean(axis=1) for part in parts])

    def nearest(self, row: Vector, *, k: int) -> Vector:
        """Return the scaled training rows nearest to one row, float64 (k, D)."""
        index, _ = self._nearest(self.scale.apply(row[None]), k)
        found: Vector = self.rows[index[0]]
        return found

    def _nearest(self, asked: Vector, k: int) -> tuple[NDArray[np.intp], Vector]:
        """Return which training rows are nearest, (t, k), and how far they are, for a few scaled rows (t, D)."""
        wide = np.concatenate([np.clip(asked, -FAR, FAR), np.ones((len(asked), 1))], axis=1, dtype=np.float32)
        closeness = np.matmul(wide, self._pieces).swapaxes(0, 1).reshape(len(asked), -1)
        spare = min(k + SPARE_N, len(self.rows))
        near = np.argpartition(closeness, closeness.shape[1] - spare, axis=1)[:, closeness.shape[1] - spare :]
        exact = np.sqrt(((self.rows[near] - asked[:, None]) ** 2).sum(axis=2))
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(near, order, axis=1), np.take_along_axis(exact, order, axis=1)

    @cached_property
    def _pieces(self) -> NDArray[np.float32]:
        """Return float32 (p, D + 1, PIECE_N): r and -|r|^2 / 2, so that a product with (x, 1) grows as x comes near."""
        pieces_n = -(-len(self.rows) // PIECE_N)
        filled = np.zeros((pieces_n * PIECE_N, self.rows.shape[1] + 1), dtype=np.float32)
        filled[:, -1] = NOWHERE
        filled[: len(self.rows), :-1] = self.rows
        filled[: len(self.rows), -1] = -0.5 * (self.rows**2).sum(axis=1)
        return np.ascontiguousarray(filled.reshape(pieces_n, PIECE_N, -1).swapaxes(1, 2))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what makes it again with `read_neighbours`."""
        return {
            "names": names_array(self.names),
            "widths": np.array(self.widths, dtype=np.int64),
            "centre": self.scale.centre,
            "spread": self.scale.spread,
            "rows": self.rows,
            "episode": self.episode,
        }

    def spacing(self) -> float:
        """Return the median distance from a training row to the nearest row of *another* training episode.

        That is how far apart tries lie that both count as known; neighbours in the same try are close only because
        time is continuous. With one episode there is no other, and the answer is infinite.
        """
        from scipy.spatial import cKDTree

        tree = cKDTree(self.rows)
        nearest = np.full(len(self.rows), np.inf)
        open_rows = np.arange(len(self.rows))
        k = 8
        while open_rows.size:
            k = min(k, len(self.rows))
            found, index = tree.query(self.rows[open_rows], k=range(1, k + 1))
            other = self.episode[index] != self.episode[open_rows][:, None]
            nearest[open_rows] = np.where(other, found, np.inf).min(axis=1)
            open_rows = open_rows[~other.any(axis=1)]
            if k == len(self.rows):
                break
            k *= 4
        return float(np.median(nearest))


def neighbours_of(training: Sequence[Mapping[str, Stream]], *, action: bool, most_n: int | None = None) -> Neighbours:
    """Keep the rows of training episodes: `observation/*`, and the executed action if asked.

    Args:
        training: streams of each training episode.
        action: whether the executed action is part of a row.
        most_n: keep at most so many rows, those that lie farthest from one another.

    Raises:
        UsageError: there is no episode, or they share no observation stream.
        InvalidEpisode: a stream is never finite.
    """
    names = common_names(training, action=action)
    parts = [side_by_side(streams, names)[1] for streams in training]
    rows = np.concatenate(parts)
    wide = widths(training[0], names)
    scale = robust_scale(rows, wide)
    scaled = scale.apply(rows)
    episode = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    if most_n is not None and len(rows) > most_n:
        kept = _farthest_first(scaled, most_n)
        scaled, episode = scaled[kept], episode[kept]
    return Neighbours(names, wide, scale, scaled, episode)


def _farthest_first(rows: Vector, most_n: int) -> NDArray[np.intp]:
    """Choose rows, each the farthest from those before it (Gonzalez 1985), out of `POOL` times as many evenly spaced.

    Measured on the tiny disturbed site (seeds 11-15) with 500 of about 2,300 rows, area to the success horizon and at
    half of it: all rows .944 and .842, chosen so .936 and .820, evenly spaced .921 and .792, at random .918 and .785.
    """
    pool = np.unique(np.arange(most_n * POOL) * len(rows) // (most_n * POOL))
    columns = np.ascontiguousarray(rows[pool].T, dtype=np.float32)
    half = 0.5 * np.einsum("dn,dn->n", columns, columns)
    nearest = np.full(len(pool), np.inf, dtype=np.float32)
    chosen = np.zeros(most_n, dtype=np.intp)
    for index in range(1, most_n):
        last = chosen[index - 1]
        np.minimum(nearest, half + half[last] - np.einsum("dn,d->n", columns, columns[:, last]), out=nearest)
        chosen[index] = nearest.argmax()
    return pool[np.sort(chosen)]


def read_neighbours(arrays: Mapping[str, NDArray[Any]]) -> Neighbours:
    """Make the neighbours again from `Neighbours.arrays`."""
    wide = tuple(int(width) for width in arrays["widths"])
    scale = Scale(arrays["centre"], arrays["spread"])
    return Neighbours(names_of(arrays["names"]), wide, scale, np.ascontiguousarray(arrays["rows"]), arrays["episode"])
