"""Bring every channel to about zero mean and unit spread, never dividing by less than a sensor can resolve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.models.scaling import give_voice

__all__ = ["RESOLUTION", "Normaliser", "fit_normaliser"]

RESOLUTION = 1e-3
"""One millimetre, one milliradian, a thousandth of a stroke: the least spread that a scale may have."""
_STILL = 1e-9
"""Below this a channel did not move: the mean of equal numbers is not quite that number."""


@dataclass(frozen=True)
class Normaliser:
    """An affine map for each channel: float64 `mean` (D,) and `scale` (D,), in the channel's own unit."""

    mean: Vector
    scale: Vector

    def apply(self, values: Vector) -> Vector:
        """Return `values` (..., D) in units of their usual spread."""
        return (values - self.mean) / self.scale

    def undo(self, values: Vector) -> Vector:
        """Return values (..., D) in their own unit again."""
        return values * self.scale + self.mean


def fit_normaliser(
    values: Vector, weight: Vector, *, widths: Sequence[int], resolution: float = RESOLUTION
) -> Normaliser:
    """Fit weighted mean and standard deviation.

    A channel that stood still in the data (an object that never tilted) must not get a scale of almost nothing: a
    tremor of half a millimetre would look like news. It takes the typical spread of its stream (`give_voice`), and
    no scale is below `resolution`.

    Args:
        values: float64 (N, D).
        weight: float64 (N,), not negative; rows of weight 0 change nothing.
        widths: columns of each stream, in order; they add up to D.
        resolution: the least scale, in each channel's unit.
    """
    kept = weight > 0
    share = weight[kept] / weight[kept].sum()
    mean = share @ values[kept]
    spread = np.sqrt(share @ (values[kept] - mean) ** 2)
    spread[spread < _STILL] = 0.0
    return Normaliser(mean, np.maximum(give_voice(spread, widths), resolution))
