"""Runtime signal: how far what the robot sees and does lies from the policy's training episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.smoothing import smooth
from saqiya.domain.contracts import FittedDetector, Vector
from saqiya.domain.streams import Stream
from saqiya.models.nearest import Neighbours, neighbours_of

__all__ = ["NEIGHBOURS_N", "Distance"]

NEIGHBOURS_N = 5


class Distance:
    """Mean distance to the five nearest training rows of (observation, executed action), robustly scaled.

    Works on any policy: it reads the log alone. The method is kNN out-of-distribution detection (Sun et al. 2022) on
    raw channels; scales are floored, because a channel that is constant in training destroys plain distances.
    """

    name = "distance"
    version = "1"

    def fit(self, training: Sequence[Mapping[str, Stream]]) -> FittedDetector:
        """Learn what is normal from the streams of the policy's training episodes.

        Raises:
            UsageError: there is no training episode, or they share no observation stream.
        """
        return _Nearest(neighbours_of(training, action=True))


@dataclass(frozen=True)
class _Nearest:
    known: Neighbours

    def score(self, streams: Mapping[str, Stream]) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps (t,) and smoothed distances (t,), 1.0 being one typical spread.

        Raises:
            InvalidEpisode: a stream that training had is missing, or holds a value that is not finite.
        """
        stamps, distances = self.known.distances(streams, k=NEIGHBOURS_N)
        return stamps, smooth(distances)
