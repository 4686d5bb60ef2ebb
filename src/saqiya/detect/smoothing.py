"""A running mean that never looks ahead."""

from __future__ import annotations

import numpy as np

from saqiya.domain.contracts import Vector

__all__ = ["WINDOW_N", "Smoother", "smooth"]

WINDOW_N = 5


def smooth(scores: Vector) -> Vector:
    """Return the mean of each score and up to `WINDOW_N - 1` before it, float64 (t,).

    A policy that predicts chunks has a sawtooth of uncertainty within each chunk; the window covers it.
    """
    total = np.concatenate([np.zeros(1), np.cumsum(scores)])
    end = np.arange(1, len(scores) + 1)
    begin = np.maximum(end - WINDOW_N, 0)
    mean: Vector = (total[end] - total[begin]) / (end - begin)
    return mean


class Smoother:
    """`smooth` as it happens."""

    def __init__(self) -> None:
        """Begin a try."""
        self._total, self._before = 0.0, [0.0]

    def add(self, score: float) -> float:
        """Return the mean of this score and up to `WINDOW_N - 1` before it."""
        self._total += score  # one running sum, as in `smooth`: the same additions give the same bits
        self._before.append(self._total)
        if len(self._before) > WINDOW_N + 1:
            self._before.pop(0)
        return (self._total - self._before[0]) / (len(self._before) - 1)
