"""Runtime signal: how far what the robot sees and does lies from the policy's training episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.smoothing import Smoother, smooth
from saqiya.domain.contracts import FittedDetector, Row, Seen, Vector, Watch
from saqiya.models.nearest import Neighbours, neighbours_of, read_neighbours
from saqiya.models.rows import Latest

__all__ = ["NEIGHBOURS_N", "Distance"]

NEIGHBOURS_N = 5


class Distance:
    """Mean distance to the five nearest normal rows of (observation, executed action), robustly scaled.

    Works on any policy: it reads the log alone. The method is kNN out-of-distribution detection (Sun et al. 2022) on
    raw channels; scales are floored, because a channel that is constant in training destroys plain distances.
    """

    name = "distance"
    version = "2"

    def fit(self, normal: Sequence[Seen], failed: Sequence[Seen] = ()) -> FittedDetector:  # noqa: ARG002 - novelty only
        """Keep the rows of normal tries.

        Raises:
            UsageError: there is no try, or they share no observation stream.
        """
        return _Nearest(neighbours_of([one.streams for one in normal], action=True))

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> FittedDetector:
        """Make the detector again from its arrays."""
        return _Nearest(read_neighbours(arrays))


@dataclass(frozen=True)
class _Nearest:
    known: Neighbours

    def score(self, seen: Seen) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps (t,) and smoothed distances (t,), 1.0 being one typical spread.

        Raises:
            InvalidEpisode: a stream that normal tries had is missing, or holds a value that is not finite.
        """
        stamps, distances = self.known.distances(seen.streams, k=NEIGHBOURS_N)
        return stamps, smooth(distances)

    def watch(self) -> Watch:
        """Begin a try."""
        return _Watch(self.known)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return names, widths, scales and rows."""
        return self.known.arrays()


class _Watch:
    def __init__(self, known: Neighbours) -> None:
        self._known, self._smoother = known, Smoother()
        self._latest = Latest(known.names, known.widths)

    def see(self, t_ns: int, row: Row, events: Sequence[str]) -> float | None:  # noqa: ARG002 - it reads streams
        """Return the smoothed distance of this instant."""
        values = self._latest.take(row)
        return None if values is None else self._smoother.add(self._known.distance(values, k=NEIGHBOURS_N))
