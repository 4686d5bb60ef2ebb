"""The statistics that LeRobot keeps of every feature, an episode at a time and over all of them.

Over all episodes minimum, maximum, mean and deviation are exact; quantiles are the episodes' own, averaged by their
counts, as LeRobot 0.6.1 does it (`compute_stats.aggregate_feature_stats`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Stats", "Total", "numeric_stats", "picture_stats"]

Stats = Mapping[str, NDArray[Any]]
_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
_MOST_SIDE_PX = 150


def numeric_stats(values: NDArray[Any]) -> Stats:
    """Return the statistics of (N, ..., D) values, each (D,): like LeRobot, over all axes but the last."""
    rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
    spread = np.quantile(rows, list(_QUANTILES.values()), axis=0)
    return {
        "min": rows.min(axis=0),
        "max": rows.max(axis=0),
        "mean": rows.mean(axis=0),
        "std": rows.std(axis=0),
        "count": np.array([len(values)]),
        **dict(zip(_QUANTILES, spread, strict=True)),
    }


def picture_stats(pictures: Sequence[NDArray[Any]], *, scale: float) -> Stats:
    """Return the statistics of each channel of (H, W, C) pictures, shaped (C, 1, 1), divided by `scale`.

    Of large pictures every n-th line and column counts, as LeRobot does it.
    """
    thin = [one[:: _thin(one), :: _thin(one)] for one in pictures]
    pixels = np.concatenate([one.reshape(-1, one.shape[-1]) for one in thin])
    parts = [_counted(pixels[:, channel]) for channel in range(pixels.shape[1])]
    shaped = {name: np.array([part[name] for part in parts]).reshape(-1, 1, 1) / scale for name in parts[0]}
    return {**shaped, "count": np.array([len(pictures)])}


def _thin(picture: NDArray[Any]) -> int:
    return int(max(1, max(picture.shape[:2]) // _MOST_SIDE_PX))


def _counted(pixels: NDArray[Any]) -> dict[str, float]:
    """Return the statistics of one channel; whole numbers are counted, which is quicker than to sort them."""
    if pixels.dtype.kind == "u":
        times = np.bincount(pixels)
        values = np.arange(len(times), dtype=np.float64)
    else:
        values, times = np.unique(pixels.astype(np.float64), return_counts=True)
    there = np.flatnonzero(times)
    mean = float(values @ times) / len(pixels)
    ends = np.cumsum(times)
    found = {
        "min": float(values[there[0]]),
        "max": float(values[there[-1]]),
        "mean": mean,
        "std": float(np.sqrt(((values - mean) ** 2) @ times / len(pixels))),
    }
    quantiles = {name: float(values[np.searchsorted(ends, share * len(pixels))]) for name, share in _QUANTILES.items()}
    return {**found, **quantiles}


class Total:
    """The statistics of one feature over all episodes."""

    def __init__(self) -> None:
        """Begin with none."""
        self._count = 0
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._low: NDArray[Any] | None = None
        self._high: NDArray[Any] | None = None

    def add(self, stats: Stats) -> None:
        """Add an episode's."""
        count = int(stats["count"][0])
        self._count += count
        self._low = stats["min"] if self._low is None else np.minimum(self._low, stats["min"])
        self._high = stats["max"] if self._high is None else np.maximum(self._high, stats["max"])
        square = stats["std"] ** 2 + stats["mean"] ** 2
        for name, value in {"mean": stats["mean"], "square": square, **{q: stats[q] for q in _QUANTILES}}.items():
            self._sums[name] = self._sums.get(name, np.zeros_like(value)) + value * count

    def stats(self) -> Stats:
        """Return them; there must have been an episode."""
        means = {name: value / self._count for name, value in self._sums.items()}
        deviation = np.sqrt(np.maximum(means["square"] - means["mean"] ** 2, 0))
        quantiles = {name: means[name] for name in _QUANTILES}
        assert self._low is not None
        assert self._high is not None
        return {
            "min": self._low,
            "max": self._high,
            "mean": means["mean"],
            "std": deviation,
            "count": np.array([self._count]),
            **quantiles,
        }
