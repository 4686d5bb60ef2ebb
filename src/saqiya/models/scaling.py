"""Scales that make channels of different units comparable, and that a silent channel cannot blow up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from saqiya.domain.contracts import Vector

__all__ = ["Scale", "give_voice", "robust_scale"]

SILENT_SHARE = 0.05
"""A channel that moves less than this share of its stream's typical spread is silent: its own scale is unknown."""
IQR_OF_NORMAL = 1.349
RANGE_OF_NORMAL = 4.653  # 1 % to 99 %


@dataclass(frozen=True)
class Scale:
    """Maps rows (t, D) to comparable units; a distance of 1.0 is one typical spread over all channels.

    Attributes:
        centre: float64 (D,), the median of each channel.
        spread: float64 (D,), its robust standard deviation, never below the resolution.
    """

    centre: Vector
    spread: Vector

    def apply(self, rows: Vector) -> Vector:
        """Return the scaled rows, float64 (t, D), divided by sqrt(D) so that distances do not grow with D."""
        scaled: Vector = (rows - self.centre) / (self.spread * np.sqrt(len(self.spread)))
        return scaled


def give_voice(spread: Vector, widths: Sequence[int]) -> Vector:
    """Return `spread` (D,) where each silent channel has the typical spread of its stream, whose channels share a unit.

    A stream that never changes at all keeps its own unit: spread 1.
    """
    given, ends = spread.copy(), np.cumsum(widths)
    for begin, end in zip(ends - np.asarray(widths), ends, strict=True):
        typical = float(np.sqrt(np.mean(spread[begin:end] ** 2)))
        silent = spread[begin:end] <= SILENT_SHARE * typical
        given[begin:end][silent] = typical if typical > 0.0 else 1.0
    return given


def robust_scale(rows: Vector, widths: Sequence[int], *, resolution: Vector | None = None) -> Scale:
    """Measure centre and spread of each channel of `rows` (t, D); no silent channel gets a tiny scale.

    The spread is the larger of two robust ones, quartiles and 1-99 % range: a gripper that moves for a tenth of the
    time has no quartile range, yet it moves. A constant channel has none at all; with a tiny floor a difference of a
    millimetre in it would outweigh everything else (measured: every distance fell to chance). So a silent channel
    takes the typical (root-mean-square) spread of its stream's channels, which share a unit; a stream that never
    changes at all keeps its own unit. Where the sensor's `resolution` is known, it is a floor for every channel.

    Args:
        rows: float64 (t, D), t at least 1.
        widths: columns of each stream, in order; they add up to D.
        resolution: float64 (D,), in the channel's own unit, where known.
    """
    centre = np.median(rows, axis=0)
    low, first, third, high = np.quantile(rows, [0.01, 0.25, 0.75, 0.99], axis=0)
    spread = np.maximum((third - first) / IQR_OF_NORMAL, (high - low) / RANGE_OF_NORMAL)
    spread = give_voice(spread, widths)
    return Scale(centre, spread if resolution is None else np.maximum(spread, resolution))
