"""A scale of states in which what a sensor cannot resolve counts for nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.models.normaliser import RESOLUTION
from saqiya.models.scaling import Scale, give_voice, robust_scale

__all__ = ["resolved"]


def resolved(rows: Vector, widths: Sequence[int]) -> Scale:
    """Return a robust scale of rows (t, D) in which a channel that moves less than a sensor resolves is silent.

    Its own spread would be a sensor's noise, and a jitter of 3 mm in it would outweigh everything that moved. It takes
    the typical spread of its stream, or keeps its own unit where all of the stream stood still. `widths` are the
    columns of each stream.
    """
    plain = robust_scale(rows, [1] * rows.shape[1])
    still = (plain.spread < RESOLUTION) | (np.ptp(rows, axis=0) < RESOLUTION)
    return Scale(plain.centre, give_voice(np.where(still, 0.0, plain.spread), widths))
