"""Find streams that are out of step: what was commanded and what was measured do not move together in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import Stream
from saqiya.ingest.fault_values import table_of
from saqiya.ingest.findings import Finding, Severity, figures
from saqiya.ingest.roles import Role, roles_of

__all__ = ["Lag", "check_lags", "lag_of"]

LONGEST_LAG_S = 3.0
SHORTEST_OVERLAP_S = 4.0
FINEST_S, COARSEST_S = 0.01, 0.25
LEAST_R = 0.7
LEAST_R_ALONE = 0.9
DISTINCT = 0.15
"""The peak must stand this much above all that lie half a second or more from it: a waltz has many peaks."""
EARLY_S, SLOW_S, LATE_S = 0.15, 0.5, 1.0
MOST_COLUMNS_N = 16
SKIPPED = ("action/operator", "action/intended")


@dataclass(frozen=True)
class Lag:
    """How long after a command the measurement follows.

    Attributes:
        lag_s: the median over matched columns; negative: it moved before it was told to.
        spread_s: how far the columns disagree (median deviation).
        r: correlation at the lag, median.
        columns: how many columns matched.
        step_s: the grid that it was sought on.
        halves_s: the lag in the first and in the second half; () where one of them shows none.
    """

    lag_s: float
    spread_s: float
    r: float
    columns: int
    step_s: float
    halves_s: tuple[float, ...]

    @property
    def drift_s(self) -> float:
        """Lag of the second half minus lag of the first; 0 where a half shows none."""
        return self.halves_s[1] - self.halves_s[0] if self.halves_s else 0.0


def check_lags(sensors: Mapping[str, Stream]) -> list[Finding]:
    """Compare each command stream with the measured stream that follows it best.

    A robot moves after it is told to, by less than a second. Moving 0.15 s (and two samples) before the command, or a
    second after it, is a fault of the stamps; so is a lag that changes by 0.2 s from one half to the other.
    """
    found = []
    commands = {n: s for n, s in sensors.items() if Role.COMMANDED in roles_of(n) and n not in SKIPPED}
    measured = {n: s for n, s in sensors.items() if Role.MEASURED in roles_of(n)}
    for name, command in commands.items():
        lags = {other: lag for other, one in measured.items() if (lag := lag_of(command, one)) is not None}
        if not lags:
            continue
        other = max(lags, key=lambda key: (round(lags[key].r, 2), lags[key].columns, key))
        found += _judged(name, other, lags[other])
    return found


def _judged(name: str, other: str, lag: Lag) -> list[Finding]:
    said = figures(
        lag_s=lag.lag_s, spread_s=lag.spread_s, r=lag.r, columns=lag.columns, drift_s=lag.drift_s, against=name
    )
    if not lag.halves_s:
        return []  # seen once in a try, a correlation is chance
    if max(lag.halves_s) < -(EARLY_S + 2.0 * lag.step_s):
        what = f"moves {-lag.lag_s:.2f} s before {name} commands it (correlation {lag.r:.2f}): the stamps do not agree"
        return [Finding("sync/early", other, Severity.FAULT, what, said)]
    if min(lag.halves_s) > LATE_S + 2.0 * lag.step_s:
        what = f"follows {name} only after {lag.lag_s:.2f} s (correlation {lag.r:.2f}): the stamps do not agree"
        return [Finding("sync/late", other, Severity.FAULT, what, said)]
    if abs(lag.drift_s) > 0.2 + 2.0 * lag.step_s:
        what = f"its lag behind {name} changes by {lag.drift_s:+.2f} s from one half to the other: a clock runs away"
        return [Finding("sync/drift", other, Severity.FAULT, what, said)]
    if min(lag.halves_s) > SLOW_S + 2.0 * lag.step_s:
        what = f"follows {name} after {lag.lag_s:.2f} s (correlation {lag.r:.2f}): a slow controller, or late stamps"
        return [Finding("sync/slow", other, Severity.WARNING, what, said)]
    return []


def lag_of(command: Stream, measured: Stream) -> Lag | None:
    """Find the lag at which a command and a measurement agree best; None where they agree at none.

    Both are put on one grid; each command column is compared, as a place and as a speed, with the speed of each
    measured column (Pearson correlation at every shift up to 3 s).
    """
    start, end = (max(int(command.t_ns[0]), int(measured.t_ns[0])), min(int(command.t_ns[-1]), int(measured.t_ns[-1])))
    rates = command.rate_hz, measured.rate_hz
    if (end - start) / 1e9 < SHORTEST_OVERLAP_S or min(rates) <= 0.0:
        return None
    step_s = min(max(FINEST_S, 1.0 / min(rates)), COARSEST_S)
    if 1.0 / min(rates) > COARSEST_S:
        return None
    grid = np.arange(0.0, min((end - start) / 1e9, 600.0), step_s)
    told, seen = (_on_grid(one, grid, start) for one in (command, measured))
    if not told.shape[1] or not seen.shape[1]:
        return None
    speed = np.gradient(seen, axis=0)
    whole = _best(told, speed, step_s)
    if whole is None:
        return None
    half = len(grid) // 2
    parts = [_best(told[cut], speed[cut], step_s) for cut in (slice(0, half), slice(half, None))]
    halves = tuple(part[0] for part in parts if part is not None)
    return Lag(*whole, step_s=step_s, halves_s=halves if len(halves) == len(parts) else ())


def _on_grid(stream: Stream, grid: Vector, start_ns: int) -> Vector:
    values = table_of(stream)
    t_s = (stream.t_ns - start_ns) / 1e9
    kept = np.isfinite(values).all(axis=1)
    if kept.sum() < 8:
        return np.empty((grid.size, 0))
    moving = [c for c in range(values.shape[1]) if values[kept, c].min() < values[kept, c].max()][:MOST_COLUMNS_N]
    return (
        np.stack([np.interp(grid, t_s[kept], values[kept, c]) for c in moving], axis=1)
        if moving
        else np.empty((grid.size, 0))
    )


def _best(told: Vector, speed: Vector, step_s: float) -> tuple[float, float, float, int] | None:
    """Return lag, spread, correlation and number of columns.

    None where fewer than two columns, or fewer than half of the command's, agree on it: among so many pairs of columns
    one correlates by chance. A single moving column must correlate by .9.
    """
    shifts = round(LONGEST_LAG_S / step_s)
    lags, peaks = [], []
    for column in range(told.shape[1]):
        options = [
            peak
            for signal in (told[:, column], np.gradient(told[:, column]))
            for other in range(speed.shape[1])
            if (peak := _peak(signal, speed[:, other], shifts, step_s)) is not None
        ]
        if options:
            lag, r = max(options, key=lambda one: one[1])
            lags.append(lag)
            peaks.append(r)
    if not lags:
        return None
    middle = float(np.median(lags))
    near = np.abs(np.asarray(lags) - middle) <= 0.1 + 2.0 * step_s
    alone = told.shape[1] == 1
    if near.sum() < max(1 if alone else 2, 0.5 * told.shape[1]) or (alone and peaks[0] < LEAST_R_ALONE):
        return None
    spread = float(np.median(np.abs(np.asarray(lags) - middle)))
    return middle, spread, float(np.median(np.asarray(peaks)[near])), int(near.sum())


def _peak(signal: Vector, other: Vector, shifts: int, step_s: float) -> tuple[float, float] | None:
    """Return the lag of the highest correlation and its value, if it is high and alone."""
    n = signal.size
    shifts = min(shifts, n // 2)
    a, b = signal - signal.mean(), other - other.mean()
    if not a.any() or not b.any() or shifts < 2:
        return None
    size = 1 << int(2 * n - 1).bit_length()
    product = np.fft.irfft(np.conj(np.fft.rfft(a, size)) * np.fft.rfft(b, size), size)
    lags = np.arange(-shifts, shifts + 1)
    # Each shift is judged by the samples that overlap at it, or late streams would correlate less.
    energy = [np.concatenate([[0.0], np.cumsum(one**2)]) for one in (a, b)]
    begin, end = np.maximum(0, -lags), np.minimum(n, n - lags)
    norm = np.sqrt((energy[0][end] - energy[0][begin]) * (energy[1][end + lags] - energy[1][begin + lags]))
    floor = 1e-3 * float(np.sqrt(energy[0][-1] * energy[1][-1]))
    r = np.concatenate([product[-shifts:], product[: shifts + 1]]) / np.maximum(norm, floor)
    top = int(np.argmax(r))
    away = np.abs(np.arange(r.size) - top) * step_s >= 0.5
    if r[top] < LEAST_R or (away.any() and r[top] - r[away].max() < DISTINCT) or top in (0, r.size - 1):
        return None
    return (top - shifts) * step_s, float(r[top])
