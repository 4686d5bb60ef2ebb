"""Find streams that are out of step: what was commanded and what was measured do not move together in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import Stream
from saqiya.ingest.fault_values import table_of
from saqiya.ingest.findings import Finding, Severity, figures
from saqiya.models.roles import Role, roles_of

__all__ = ["Lag", "check_lags", "lag_of"]

LONGEST_LAG_S = 3.0
SHORTEST_OVERLAP_S = 4.0
FINEST_S, COARSEST_S = 0.01, 0.25
LEAST_R, LEAST_R_ALONE, CLEAR_R = 0.6, 0.9, 0.8
COLUMN_R = 0.4
"""A pair of columns that correlates by less at every lag tells nothing."""
DISTINCT = 0.15
"""Every other hill of the correlation must stay this much below the highest: a waltz has many."""
FLAT = 0.02
"""Lags whose correlation is this near the highest cannot be told from it."""
EARLY_S, SLOW_S, LATE_S = 0.15, 0.5, 1.0
LONG_S = 18.0
"""Halves shorter than three times the longest lag correlate somewhere by chance: no drift is told from them."""
MOST_COLUMNS_N = 48
SKIPPED = ("action/operator", "action/intended")


@dataclass(frozen=True)
class Lag:
    """How long after a command the measurement follows.

    Attributes:
        lag_s: where the correlation is highest; negative: it moved before it was told to.
        unsure_s: lags so much earlier or later correlate as well.
        r: the correlation there, over all matched columns.
        columns: how many columns matched.
        step_s: the grid that it was sought on.
        halves: the same of each half of the try, where it shows one.
        length_s: of what both streams cover.
    """

    lag_s: float
    unsure_s: float
    r: float
    columns: int
    step_s: float
    halves: tuple[Lag, ...] = ()
    length_s: float = 0.0

    @property
    def drift_s(self) -> float:
        """Lag of the second half minus lag of the first; 0 where the halves do not both show one clearly."""
        if len(self.halves) < 2 or min(half.r for half in self.halves) < CLEAR_R or self.length_s < LONG_S:
            return 0.0
        first, second = (half.lag_s for half in self.halves)
        # A clock that runs away passes through the lag of the whole; two chance lags do not.
        between = min(first, second) - self.step_s <= self.lag_s <= max(first, second) + self.step_s
        return second - first if between else 0.0


def check_lags(sensors: Mapping[str, Stream]) -> list[Finding]:
    """Compare each command stream with the measured stream that follows it best.

    A robot moves after it is told to, by less than a second. Moving 0.15 s (and two samples) before the command, or a
    second after it, is a fault of the stamps, where the halves of the try that show a lag show it too; so is a lag that
    changes by 0.2 s from one half to the other.
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
        lag_s=lag.lag_s, unsure_s=lag.unsure_s, r=lag.r, columns=lag.columns, drift_s=lag.drift_s, against=name
    )
    room_s = 2.0 * lag.step_s + lag.unsure_s
    # Seen once in a try, a correlation may be chance.
    seen = (lag.lag_s, *(half.lag_s for half in lag.halves)) if lag.halves else ()
    if seen and max(seen) < -EARLY_S - room_s:
        what = f"moves {-lag.lag_s:.2f} s before {name} commands it (correlation {lag.r:.2f}): the stamps do not agree"
        return [Finding("sync/early", other, Severity.FAULT, what, said)]
    if seen and min(seen) > LATE_S + room_s:
        what = f"follows {name} only after {lag.lag_s:.2f} s (correlation {lag.r:.2f}): the stamps do not agree"
        return [Finding("sync/late", other, Severity.FAULT, what, said)]
    if abs(lag.drift_s) > 0.2 + 2.0 * room_s:
        what = f"its lag behind {name} changes by {lag.drift_s:+.2f} s from one half to the other: a clock runs away"
        return [Finding("sync/drift", other, Severity.FAULT, what, said)]
    if seen and min(seen) > SLOW_S + room_s:
        what = f"follows {name} after {lag.lag_s:.2f} s (correlation {lag.r:.2f}): a slow controller, or late stamps"
        return [Finding("sync/slow", other, Severity.WARNING, what, said)]
    return []


def lag_of(command: Stream, measured: Stream) -> Lag | None:
    """Find the lag at which a command and a measurement agree best; None where they agree at none.

    Both are put on one grid. Each command column, as a place and as a speed, is compared with the speed of the measured
    column of its number (of any, where the widths differ), by Pearson correlation at every shift up to 3 s. The curves
    of the columns that match are averaged by how well they match, and the average must have one hill.
    """
    start, end = (max(int(command.t_ns[0]), int(measured.t_ns[0])), min(int(command.t_ns[-1]), int(measured.t_ns[-1])))
    slowest = min(command.rate_hz, measured.rate_hz)
    if (end - start) / 1e9 < SHORTEST_OVERLAP_S or slowest < 1.0 / COARSEST_S:
        return None
    step_s = max(FINEST_S, 1.0 / slowest)
    grid = np.arange(0.0, min((end - start) / 1e9, 600.0), step_s)
    told, seen = (_on_grid(one, grid, start) for one in (command, measured))
    whole = _best(told, seen, step_s)
    if whole is None:
        return None
    half = len(grid) // 2
    parts = [
        _best({n: x[cut] for n, x in told.items()}, {n: x[cut] for n, x in seen.items()}, step_s)
        for cut in (slice(0, half), slice(half, None))
    ]
    halves = tuple(part for part in parts if part is not None)
    return replace(whole, halves=halves, length_s=(end - start) / 1e9)


def _on_grid(stream: Stream, grid: Vector, start_ns: int) -> dict[int, Vector]:
    """Return the columns that move, by number, on the grid."""
    values = table_of(stream)
    t_s = (stream.t_ns - start_ns) / 1e9
    kept = np.isfinite(values).all(axis=1)
    if kept.sum() < 8:
        return {}
    moving = [c for c in range(values.shape[1]) if values[kept, c].min() < values[kept, c].max()][:MOST_COLUMNS_N]
    return {c: np.interp(grid, t_s[kept], values[kept, c]) for c in moving}


def _best(told: Mapping[int, Vector], seen: Mapping[int, Vector], step_s: float) -> Lag | None:
    """Return the lag at which the matched columns together agree best; None where they have no single one."""
    if not told or not seen:
        return None
    count = next(iter(told.values())).size
    shifts = min(round(LONGEST_LAG_S / step_s), count // 2)
    if shifts < 2:
        return None
    speeds = {number: np.gradient(x) for number, x in seen.items()}
    paired = max(told) == max(seen) or set(told) == set(seen)
    lags = []
    for derived in (True, False):
        curves = []
        for number, x in told.items():
            signal = np.gradient(x) if derived else x
            others = [speeds[number]] if paired and number in speeds else [] if paired else list(speeds.values())
            options = [_correlations(signal, other, shifts) for other in others]
            best = max(options, key=lambda curve: float(curve.max()), default=None)
            if best is not None and best.max() >= COLUMN_R:
                curves.append(best)
        if curves and (lag := _peak(curves, shifts, step_s, alone=len(told) == 1)) is not None:
            lags.append(lag)
    return max(lags, key=lambda one: one.r, default=None)


def _peak(curves: Sequence[Vector], shifts: int, step_s: float, *, alone: bool) -> Lag | None:
    """Return the highest place of the curves' average, if it is high and on a hill of its own."""
    weights = np.array([float(curve.max()) for curve in curves])
    r = np.average(np.stack(curves), axis=0, weights=weights)
    top = int(np.argmax(r))
    low, high = top, top
    while low > 0 and r[low - 1] <= r[low]:
        low -= 1
    while high < r.size - 1 and r[high + 1] <= r[high]:
        high += 1
    elsewhere = np.concatenate([r[:low], r[high + 1 :]])
    enough = r[top] >= (LEAST_R_ALONE if len(curves) == 1 else LEAST_R) and (alone or len(curves) > 1)
    if not enough or top in (0, r.size - 1) or (elsewhere.size and r[top] - elsewhere.max() < DISTINCT):
        return None
    alike = np.flatnonzero(r[low : high + 1] >= r[top] - FLAT)
    return Lag((top - shifts) * step_s, float(alike[-1] - alike[0]) / 2.0 * step_s, float(r[top]), len(curves), step_s)


def _correlations(signal: Vector, other: Vector, shifts: int) -> Vector:
    """Return Pearson correlations at shifts from -shifts to shifts, each of the samples that overlap at it."""
    n = signal.size
    a, b = signal - signal.mean(), other - other.mean()
    size = 1 << int(2 * n - 1).bit_length()
    product = np.fft.irfft(np.conj(np.fft.rfft(a, size)) * np.fft.rfft(b, size), size)
    lags = np.arange(-shifts, shifts + 1)
    energy = [np.concatenate([[0.0], np.cumsum(one**2)]) for one in (a, b)]
    begin, end = np.maximum(0, -lags), np.minimum(n, n - lags)
    norm = np.sqrt((energy[0][end] - energy[0][begin]) * (energy[1][end + lags] - energy[1][begin + lags]))
    # Where next to nothing overlaps that moves, any two bits correlate.
    floor = 0.3 * float(np.sqrt(energy[0][-1] * energy[1][-1]))
    r: Vector = np.concatenate([product[-shifts:], product[: shifts + 1]]) / max(floor, np.finfo(float).tiny)
    return np.where(norm > floor, r * floor / np.maximum(norm, np.finfo(float).tiny), r)
