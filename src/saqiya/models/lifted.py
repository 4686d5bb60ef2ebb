"""Random ReLU features with a ridge regression on top: a small non-linear fit in closed form, with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector

__all__ = ["Lifted", "fit_lifted", "read_lifted"]


@dataclass(frozen=True)
class Lifted:
    """A network of one hidden layer: float64 `hidden` (D, F), `shift` (F,), `out` (F, o) and `base` (o,)."""

    hidden: Vector
    shift: Vector
    out: Vector
    base: Vector

    def apply(self, rows: Vector) -> Vector:
        """Return float64 (t, o) for rows float64 (t, D)."""
        lifted = np.maximum(_times(rows, self.hidden) + self.shift, 0.0)
        return _times(lifted, self.out) + self.base

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return what makes it again with `read_lifted`."""
        return {f"{name}/{part}": values for part, values in vars(self).items()}


def _times(rows: Vector, weight: Vector) -> Vector:
    """Return `rows @ weight`; one row goes without BLAS, which may wake threads for it and lose 8 ms."""
    product: Vector = np.einsum("td,df->tf", rows, weight) if len(rows) == 1 else rows @ weight
    return product


def read_lifted(arrays: Mapping[str, NDArray[Any]], name: str) -> Lifted:
    """Make it again from `Lifted.arrays`."""
    return Lifted(*(arrays[f"{name}/{part}"] for part in ("hidden", "shift", "out", "base")))


def fit_lifted(
    inputs: Vector, target: Vector, weight: Vector, *, features_n: int, penalty: float, rng: np.random.Generator
) -> Lifted:
    """Fit by weighted least squares with a ridge.

    Random features after Rahimi and Recht (2007), with ReLU in place of the cosine. Each feature's kink goes through a
    sample, so that there are most kinks where the data are densest.

    Args:
        inputs: float64 (N, D), at about unit spread.
        target: float64 (N, o).
        weight: float64 (N,), not negative; rows of weight 0 change nothing.
        features_n: F.
        penalty: share of the mean feature power.
        rng: draws the features.
    """
    width = inputs.shape[1]
    hidden = rng.normal(size=(width, features_n)) / np.sqrt(width)
    kept = weight > 0
    through = inputs[kept][rng.integers(0, int(kept.sum()), features_n)]
    shift = -np.einsum("fd,df->f", through, hidden)
    share = weight[kept] / weight[kept].sum()
    lifted = np.maximum(inputs[kept] @ hidden + shift, 0.0)
    middle, aim = share @ lifted, share @ target[kept]
    centred = lifted - middle
    gram = centred.T @ (share[:, None] * centred)
    gram[np.diag_indices(features_n)] += penalty * np.trace(gram) / features_n
    out = np.linalg.solve(gram, centred.T @ (share[:, None] * (target[kept] - aim)))
    return Lifted(hidden, shift, out, aim - middle @ out)
