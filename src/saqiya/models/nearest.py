"""Nearest neighbours among the rows of training episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import Stream
from saqiya.models.rows import common_names, names_array, names_of, side_by_side, widths
from saqiya.models.scaling import Scale, robust_scale

__all__ = ["Neighbours", "neighbours_of", "read_neighbours"]


@dataclass(frozen=True)
class Neighbours:
    """Scaled rows of training episodes in a search tree.

    Attributes:
        names: the streams side by side in a row; `widths` their columns.
        scale: how rows are scaled before they are compared.
        rows: float64 (n, D), scaled.
        episode: int64 (n,), which training episode a row comes from.
        tree: a k-d tree over `rows`.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    scale: Scale
    rows: Vector
    episode: NDArray[np.int64]
    tree: Any

    def distances(self, streams: Mapping[str, Stream], *, k: int) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps (t,) and the mean distance to the `k` nearest training rows (t,) (fewer if there are fewer).

        Raises:
            InvalidEpisode: a stream is missing or holds a value that is not finite.
        """
        stamps, rows = side_by_side(streams, self.names)
        found, _ = self.tree.query(self.scale.apply(rows), k=range(1, min(k, len(self.rows)) + 1))
        mean: Vector = found.mean(axis=1)
        return stamps, mean

    def distance(self, row: Vector, *, k: int) -> float:
        """Return the mean distance of one row, float64 (D,), to the `k` nearest training rows."""
        found, _ = self.tree.query(self.scale.apply(row), k=range(1, min(k, len(self.rows)) + 1))
        return float(found.mean())

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
        nearest = np.full(len(self.rows), np.inf)
        open_rows = np.arange(len(self.rows))
        k = 8
        while open_rows.size:
            k = min(k, len(self.rows))
            found, index = self.tree.query(self.rows[open_rows], k=range(1, k + 1))
            other = self.episode[index] != self.episode[open_rows][:, None]
            nearest[open_rows] = np.where(other, found, np.inf).min(axis=1)
            open_rows = open_rows[~other.any(axis=1)]
            if k == len(self.rows):
                break
            k *= 4
        return float(np.median(nearest))


def neighbours_of(training: Sequence[Mapping[str, Stream]], *, action: bool) -> Neighbours:
    """Build the search tree from the streams of training episodes: `observation/*`, and the executed action if asked.

    Raises:
        UsageError: there is no episode, or they share no observation stream.
        InvalidEpisode: a stream holds a value that is not finite.
    """
    from scipy.spatial import cKDTree

    names = common_names(training, action=action)
    parts = [side_by_side(streams, names)[1] for streams in training]
    rows = np.concatenate(parts)
    wide = widths(training[0], names)
    scale = robust_scale(rows, wide)
    scaled = scale.apply(rows)
    episode = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return Neighbours(names, wide, scale, scaled, episode, cKDTree(scaled))


def read_neighbours(arrays: Mapping[str, NDArray[Any]]) -> Neighbours:
    """Make the neighbours again from `Neighbours.arrays`."""
    from scipy.spatial import cKDTree

    wide = tuple(int(width) for width in arrays["widths"])
    scale = Scale(arrays["centre"], arrays["spread"])
    rows = np.ascontiguousarray(arrays["rows"])
    return Neighbours(names_of(arrays["names"]), wide, scale, rows, arrays["episode"], cKDTree(rows))
