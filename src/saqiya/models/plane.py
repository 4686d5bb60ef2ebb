"""A plane to look at many rows of numbers on: the two directions in which they differ most."""

from __future__ import annotations

import numpy as np

from saqiya.domain.contracts import Vector

__all__ = ["plane"]

CLIP = 4.0
"""Spreads beyond which a number counts as this far: one wild value must not push all others into a corner."""


def plane(rows: Vector) -> Vector:
    """Lay rows out on a plane by their two principal components (Pearson 1901), the same for the same rows.

    Each column is taken less its median, over its standard deviation, and clipped at four of them; a column that is
    equal everywhere says nothing. The sign of each axis is chosen so that its largest loading is positive.

    Args:
        rows: float64 (n, d); NaN where a row lacks the number, which then counts as the column's median.

    Returns:
        float64 (n, 2) within [0, 1]; an axis along which nothing differs is 0.5.
    """
    n = len(rows)
    placed = np.full((n, 2), 0.5)
    if n < 2 or rows.shape[1] == 0:
        return placed
    known = rows[:, np.isfinite(rows).any(axis=0)]
    middle = np.nanmedian(np.where(np.isfinite(known), known, np.nan), axis=0)
    filled = np.where(np.isfinite(known), known, middle)
    spread = filled.std(axis=0)
    moves = spread > 1e-9
    if not moves.any():
        return placed
    scaled = np.clip((filled[:, moves] - middle[moves]) / spread[moves], -CLIP, CLIP)
    scaled -= scaled.mean(axis=0)
    axes = np.linalg.eigh(scaled.T @ scaled)[1][:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    found = scaled @ axes
    low, high = found.min(axis=0), found.max(axis=0)
    wide = high - low > 1e-9
    placed[:, : found.shape[1]][:, wide] = ((found - low) / np.where(wide, high - low, 1.0))[:, wide]
    return placed
