"""Runtime signal: how far what the robot sees and does lies from the policy's training episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.rowwise import Rowwise
from saqiya.domain.contracts import FittedDetector, Seen, Vector
from saqiya.models.nearest import Neighbours, neighbours_of, read_neighbours

__all__ = ["NEIGHBOURS_N", "Distance"]

NEIGHBOURS_N = 5
MOST_N = 5000
"""Rows kept: more cost time at every instant on the robot and bring little (see `models.nearest`)."""


class Distance:
    """Mean distance to the five nearest normal rows of (observation, executed action), robustly scaled.

    Works on any policy: it reads the log alone. The method is kNN out-of-distribution detection (Sun et al. 2022) on
    raw channels; scales are floored, because a channel that is constant in training destroys plain distances.
    """

    name = "distance"
    version = "3"

    def fit(self, normal: Sequence[Seen], failed: Sequence[Seen] = ()) -> FittedDetector:  # noqa: ARG002 - novelty only
        """Keep the rows of normal tries, at most `MOST_N`.

        Raises:
            UsageError: there is no try, or they share no observation stream.
        """
        return Rowwise(_Nearest(neighbours_of([one.streams for one in normal], action=True, most_n=MOST_N)))

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> FittedDetector:
        """Make the detector again from its arrays."""
        return Rowwise(_Nearest(read_neighbours(arrays)))


@dataclass(frozen=True)
class _Nearest:
    known: Neighbours

    @property
    def names(self) -> tuple[str, ...]:
        return self.known.names

    @property
    def widths(self) -> tuple[int, ...]:
        return self.known.widths

    def strangeness(self, rows: Vector) -> Vector:
        """Return the distance of each row, 1.0 being one typical spread."""
        return self.known.of_rows(rows, k=NEIGHBOURS_N)

    def apart(self, row: Vector) -> tuple[Vector, str]:
        """Return how far each channel is from the middle of the nearest normal rows."""
        scaled = self.known.scale.apply(row) - self.known.nearest(row, k=NEIGHBOURS_N).mean(axis=0)
        away: Vector = scaled * np.sqrt(len(row))
        return away, "the nearest normal rows"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return names, widths, scales and rows."""
        return self.known.arrays()
