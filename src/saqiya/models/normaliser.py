"""Bring every channel to about zero mean and unit spread, never dividing by less than a sensor can resolve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from saqiya.domain.contracts import Vector

__all__ = ["RESOLUTION", "Normaliser", "fit_normaliser"]

RESOLUTION = 1e-3
"""One millimetre, one milliradian, a thousandth of a stroke: the least spread that a scale may have.

A channel that stood still in the data (a contact that was never made) would else get a scale of almost nothing, and a
tremor of millimetres would look like a hundred standard deviations.
"""


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


def fit_normaliser(values: Vector, weight: Vector, *, resolution: float = RESOLUTION) -> Normaliser:
    """Fit weighted mean and standard deviation.

    Args:
        values: float64 (N, D).
        weight: float64 (N,), not negative; rows of weight 0 change nothing.
        resolution: the least scale, in each channel's unit.
    """
    kept = weight > 0
    share = weight[kept] / weight[kept].sum()
    mean = share @ values[kept]
    spread = np.sqrt(share @ (values[kept] - mean) ** 2)
    return Normaliser(mean, np.maximum(spread, resolution))
