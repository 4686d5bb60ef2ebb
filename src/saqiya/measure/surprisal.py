"""What a black-box policy's training data did not show, in bits: how far an episode's states lie from known ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import Stream
from saqiya.errors import UsageError
from saqiya.measure.bits import Bits
from saqiya.measure.scales import resolved
from saqiya.models.nearest import Neighbours
from saqiya.models.rows import common_names, side_by_side, widths

__all__ = ["FLOOR", "METHOD", "StateSpace", "state_space", "surprise"]

METHOD = "state_surprisal"
FLOOR = 0.001
"""Distances below this share of a typical spread count as equal: copies of one try do not make all else a surprise."""


def surprise(distance: Vector, spacing: float) -> Vector:
    """Return bits, float64 (t,), of states at a distance (t,) from known ones: max(0, log2(distance / spacing)).

    A state no farther from the data than tries lie from one another brings nothing; each doubling brings one bit.
    """
    bits: Vector = np.maximum(0.0, np.log2(np.maximum(distance, FLOOR) / max(spacing, FLOOR)))
    return bits


@dataclass(frozen=True)
class StateSpace:
    """The observations of training episodes, and how far apart two tries usually lie in them."""

    known: Neighbours
    spacing: float

    def bits(self, streams: Mapping[str, Stream]) -> Bits:
        """Measure an episode's state surprisal: the sum of the `surprise` of its steps.

        Raises:
            InvalidEpisode: an observation stream is missing or not finite.
        """
        _, distance = self.known.distances(streams, k=1)
        per_step = surprise(distance, self.spacing)
        return Bits(METHOD, float(per_step.sum()), per_step)


def state_space(training: Sequence[Mapping[str, Stream]]) -> StateSpace:
    """Learn the state space of a policy's training episodes.

    Raises:
        UsageError: fewer than two episodes: the usual distance between tries is unknown.
    """
    if len(training) < 2:
        raise UsageError("fewer than two training episodes", remedy="State surprisal compares tries: give two or more.")
    names = common_names(training, action=False)
    parts = [side_by_side(streams, names)[1] for streams in training]
    wide, rows = widths(training[0], names), np.concatenate(parts)
    scale = resolved(rows, wide)
    number = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    known = Neighbours(names, wide, scale, scale.apply(rows), number)
    return StateSpace(known, known.spacing())
