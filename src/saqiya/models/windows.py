"""What a short window of signals looked like, as numbers that a small learner can use: any columns, any rate.

Every number is either in the column's own unit or free of units; none holds the window's length or absolute time.
Statistics and spectra of force windows go back to Seabra Lopes and Camarinha-Matos (1998), who found that such
features, not the learner, decide how well failures are told apart. Directions and shares of energy come on top: a
direction says from where something was hit, the shares do not change when the sensor's frame is turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.errors import UsageError

__all__ = ["Described", "describe", "vector_name"]

BANDS_N = 3
ONSET_SHARE = 0.5
EARLY_SHARE = 0.15
MOST_PAIRED_N = 12
"""Correlations of all columns with each other are taken up to here; beyond, only inside a triad."""
AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Described:
    """A row of features for each window: `values` is float64 (n, F), NaN where a window lacks a column."""

    names: tuple[str, ...]
    values: Vector


def describe(
    windows: Sequence[NDArray[np.floating]],
    columns: Sequence[str],
    *,
    triads: Sequence[tuple[int, int, int]] = (),
) -> Described:
    """Describe windows by features; the same columns always give the same features.

    Args:
        windows: each float (T, C), T at least 4, all at one rate; NaN is a missing sample, filled from the nearest one.
        columns: C names.
        triads: columns that are x, y and z of one vector (a force, a torque); they get directions and sizes.

    Raises:
        UsageError: a window has another shape than its columns ask for.
    """
    for number, window in enumerate(windows):
        if window.ndim != 2 or window.shape[1] != len(columns) or len(window) < 4:
            raise UsageError(
                f"window {number} has shape {window.shape}; (4 or more, {len(columns)}) is needed",
                remedy="Give windows of one kind: the same columns, four samples or more.",
            )
    rows = [_features(np.asarray(window, dtype=np.float64), columns, triads) for window in windows]
    names = tuple(rows[0]) if rows else ()
    return Described(names, np.array([list(row.values()) for row in rows]).reshape(len(rows), len(names)))


def _features(window: Vector, columns: Sequence[str], triads: Sequence[tuple[int, int, int]]) -> dict[str, float]:
    filled = np.column_stack([_filled(column) for column in window.T])
    found: dict[str, float] = {}
    for number, name in enumerate(columns):
        found |= {f"{name}: {what}": value for what, value in _of_column(filled[:, number]).items()}
    names = [vector_name(columns, triad) for triad in triads]
    for name, triad in zip(names, triads, strict=True):
        found |= {f"{name}: {what}": value for what, value in _of_vector(filled[:, list(triad)]).items()}
    for (a, one), (b, other) in combinations(zip(names, triads, strict=True), 2):
        found[f"{a} / {b}: size"] = _ratio(filled[:, list(one)], filled[:, list(other)])
    return found | _pairs(filled, columns, triads)


def _filled(column: Vector) -> Vector:
    held = np.flatnonzero(np.isfinite(column))
    if not held.size:
        return np.full(len(column), np.nan)
    return np.interp(np.arange(len(column)), held, column[held])


def _of_column(x: Vector) -> dict[str, float]:
    time = np.linspace(-1.0, 1.0, len(x))
    bow = time**2 - np.mean(time**2)
    mean, median = float(x.mean()), float(np.median(x))
    steps = np.abs(np.diff(x))
    first, middle, last = (float(part.mean()) for part in np.array_split(x, 3))
    away = x - median
    at = int(np.argmax(np.abs(away)))
    power = np.abs(np.fft.rfft(x - mean))[1:] ** 2
    shares = [float(part.sum()) for part in np.array_split(power, BANDS_N)]
    total = sum(shares)
    return {
        "median": median,
        "mean": mean,
        "spread": float(x.std()),
        "lowest": float(x.min()),
        "highest": float(x.max()),
        "range": float(np.ptp(x)),
        "first": float(x[0]),
        "last": float(x[-1]),
        "change": float(x[-1] - x[0]),
        "slope": float(np.mean((x - mean) * time) / np.mean(time**2)),
        "bend": float(np.mean((x - mean) * bow) / np.mean(bow**2)),
        "first third": first,
        "middle third": middle,
        "last third": last,
        "peak": float(away[at]),
        "peak at": at / len(x),
        "mean step": float(steps.mean()),
        "largest step": float(steps.max()),
        **{f"band {band}": part / total if total != 0.0 else 0.0 for band, part in enumerate(shares)},
    }


def _of_vector(v: Vector) -> dict[str, float]:
    """Describe one vector over the window: sizes, where its change pointed, and how its energy spreads over axes."""
    size = np.linalg.norm(v, axis=1)
    away = v - np.median(v, axis=0)
    off = np.linalg.norm(away, axis=1)
    at, noise = int(np.argmax(off)), float(np.median(off))
    early = np.exp(-np.arange(len(v)) / (EARLY_SHARE * len(v)))
    energy = np.linalg.eigvalsh(away.T @ away / len(v)) if np.isfinite(v).all() else np.full(3, np.nan)
    total = float(energy.sum())
    found = {
        "size": float(size.mean()),
        "largest size": float(size.max()),
        "spread of size": float(size.std()),
        "first size": float(size[0]),
        "last size": float(size[-1]),
        "across": float(np.linalg.norm(v[:, :2], axis=1).mean()),
        "largest across": float(np.linalg.norm(v[:, :2], axis=1).max()),
        "peak": float(off[at]),
        "peak at": at / len(v),
        "onset at": float(np.argmax(off >= ONSET_SHARE * off[at])) / len(v),
        "largest share": float(energy[2]) / total if total != 0.0 else 1.0,
        "smallest share": float(energy[0]) / total if total != 0.0 else 0.0,
    }
    for what, pointed in (
        ("level", np.median(v, axis=0)),
        ("since first", v.mean(axis=0) - v[0]),
        ("peak", away[at]),
        ("early", early @ away / early.sum()),
    ):
        unit = pointed / (np.linalg.norm(pointed) + noise or 1.0)
        found |= {f"{what} towards {axis}": float(part) for axis, part in zip(AXES, unit, strict=True)}
    return found


def _ratio(a: Vector, b: Vector) -> float:
    one, other = (float(np.linalg.norm(v, axis=1).mean()) for v in (a, b))
    return one / (one + other) if one + other != 0.0 else 0.5


def _pairs(filled: Vector, columns: Sequence[str], triads: Sequence[tuple[int, int, int]]) -> dict[str, float]:
    if len(columns) <= MOST_PAIRED_N:
        pairs = list(combinations(range(len(columns)), 2))
    else:
        pairs = [pair for triad in triads for pair in combinations(triad, 2)]
    away = filled - filled.mean(axis=0)
    # A column that only flickers is correlated with nothing: its steps are its noise.
    scale = away.std(axis=0) + np.median(np.abs(np.diff(filled, axis=0)), axis=0)
    return {
        f"{columns[a]} with {columns[b]}": float(np.mean(away[:, a] * away[:, b]) / (scale[a] * scale[b]))
        if scale[a] * scale[b] != 0.0
        else 0.0
        for a, b in pairs
    }


def vector_name(columns: Sequence[str], triad: tuple[int, int, int]) -> str:
    """Name a vector by what its columns' names share: "force x (N)", "force y (N)", ... is "force"."""
    names = [columns[number] for number in triad]
    length = next((n for n, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1), len(names[0]))
    return names[0][:length].rstrip(" /_.:-") or "+".join(names)
