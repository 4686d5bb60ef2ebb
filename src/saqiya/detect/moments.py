"""Where a failed try first looked unlike the successes, from the logs alone: no policy, no training, no labels inside.

The score at a time is the mean distance to the 5 nearest successes near the same time since the start, streams weighted
alike, each column scaled by the spread of the successes at that time (floored at the sensor's resolution and at a tenth
of its overall spread, for a quiet column would otherwise blow up). Successes are scored against the other successes.
The threshold is the exact-rank conformal quantile (Vovk et al. 2005) of the successes' peaks. Leaving one out in place
of splitting keeps small fleets usable; it costs exactness: the proven bound is twice the budget (Barber et al. 2021,
jackknife+), near the budget in practice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.area import Area, area_of, gain_over
from saqiya.detect.conformal import conformal_threshold, fewest_successes, success_horizon
from saqiya.detect.panel import Panel, Reference, panel_of, scores_of
from saqiya.detect.profile import Profile

__all__ = ["Curve", "Moment", "Moments", "Try", "find_moments"]

FEWEST_SUCCESSES_N = 5
SHORT_SHARE = 0.25
START_S = 0.5
CURVE_POINTS_N = 160


@dataclass(frozen=True)
class Try:
    """One try to be judged: its name, what it was on the grid, what it came to, and its day as YYYYMMDD or ""."""

    key: str
    profile: Profile
    success: bool
    day: str = ""


@dataclass(frozen=True)
class Curve:
    """What a page draws of one failure, at most 160 points: the score, and the column that drove it in its band.

    NaN is None. `low`, `middle`, `high` are the 5 %, 50 % and 95 % quantiles of the successes at that time.
    """

    t_s: tuple[float, ...]
    score: tuple[float | None, ...]
    value: tuple[float | None, ...]
    low: tuple[float | None, ...]
    middle: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True)
class Moment:
    """Where to look in one failure.

    Attributes:
        first_s: when it first left the band; None when it never did, or when there is no band.
        peak_s: when it was farthest from the successes.
        look_s: the moment to look at: `first_s`, else `peak_s`. A try that is outside from its first half second
            differs in its set-up, so there `peak_s`.
        from_start: outside the band within the first half second.
        score: the highest score, in spreads of the successes' own scores.
        drivers: streams by their share of the distance at `look_s`, the largest first.
        column: the column of the first driver that differed most.
        phases: the phases this try reached, with seconds from its start.
    """

    key: str
    first_s: float | None
    peak_s: float
    look_s: float
    from_start: bool
    score: float
    phase: str
    drivers: tuple[tuple[str, float], ...]
    column: str
    phases: tuple[tuple[str, float], ...]
    curve: Curve


@dataclass(frozen=True)
class Moments:
    """What the search found in tries of one task.

    Attributes:
        threshold: None when there were too few successes for the budget: nothing is called outside.
        horizon_s: the success horizon; the search ends there, or where fewer than 5 successes still run.
        window_s: the equal window that every try is cut to before areas are taken; durations play no part in it.
        areas: how well the score tells failures from successes in that window, beside what should not be able to.
        gain: the score's area less the stopwatch's, with its interval; None without failures and successes.
        used, left_out: streams, and why others were not used.
        notes: what a reader must know before believing any of it.
    """

    successes_n: int
    failures_n: int
    budget: float
    threshold: float | None
    horizon_s: float
    window_s: float
    since_start: bool
    areas: tuple[Area, ...]
    gain: tuple[float, float, float] | None
    used: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    moments: tuple[Moment, ...]
    notes: tuple[str, ...]


def find_moments(tries: Sequence[Try], *, seed: int, budget: float = 0.1) -> Moments:
    """Find each failure's worst moment, and how far the score can be believed, in tries of one task.

    With fewer than 5 successes nothing is scored, with too few for the budget there is no threshold; `notes` says so.
    When more than half of the failures are outside from the start, the set-up differed; the search is then repeated on
    the change since the start (`since_start`), and without the streams that still differ; the area of each search is
    given.
    """
    kept, notes = _long_enough(tries)
    successes_n = sum(item.success for item in kept)
    failures_n = len(kept) - successes_n
    if successes_n < FEWEST_SUCCESSES_N:
        notes.append(f"too few successes ({successes_n}; {FEWEST_SUCCESSES_N} needed) to say what is normal: no score")
        return _nothing(successes_n, failures_n, budget, notes)
    panel = panel_of([item.profile for item in kept], [item.success for item in kept])
    if not panel.names:
        notes.append("no stream is shared by enough tries to compare them: no score")
        return replace(_nothing(successes_n, failures_n, budget, notes), left_out=panel.left_out)
    search = _Search.over(kept, panel, budget)
    areas = [_area(search, kept, "the score", seed)] if failures_n else []
    since_start = search.set_up_differs()
    if since_start:
        search, more, said = _past_set_up(search, kept, budget, seed)
        areas += more
        notes += said
        panel = search.panel
    if search.threshold is None:
        notes.append(
            f"too few successes ({successes_n}; {fewest_successes(budget)} needed) for a false-alarm budget of "
            f"{budget:.0%}: no threshold; the moment shown is the peak"
        )
    gain = None
    if failures_n:
        areas += _rivals(panel, kept, search.window_n, seed)
        own, rival = search.peaks(search.window_n, kept), _split([item.profile.length_s for item in kept], kept)
        gain = gain_over(own, rival, seed=seed)
        notes += _warnings(areas, gain)
    moments = tuple(search.moment(number) for number, item in enumerate(kept) if not item.success)
    return Moments(
        successes_n=successes_n,
        failures_n=failures_n,
        budget=budget,
        threshold=search.threshold,
        horizon_s=search.horizon_n * panel.bin_s,
        window_s=search.window_n * panel.bin_s,
        since_start=since_start,
        areas=tuple(areas),
        gain=gain,
        used=panel.names,
        left_out=panel.left_out,
        moments=moments,
        notes=tuple(notes),
    )


def _nothing(successes_n: int, failures_n: int, budget: float, notes: Sequence[str]) -> Moments:
    return Moments(
        successes_n, failures_n, budget, None, 0.0, 0.0, since_start=False, areas=(), gain=None, used=(), left_out=(),
        moments=(), notes=tuple(notes),
    )  # fmt: skip


def _long_enough(tries: Sequence[Try]) -> tuple[list[Try], list[str]]:
    """Leave out tries that hardly began: one of them would cut everybody's equal window to nothing."""
    lengths = [item.profile.length_s for item in tries if item.success]
    bar_s = SHORT_SHARE * float(np.median(lengths)) if lengths else 0.0
    kept = [item for item in tries if item.profile.tracks and item.profile.length_s >= bar_s]
    short = [item.key for item in tries if item.profile.tracks and item.profile.length_s < bar_s]
    empty = [item.key for item in tries if not item.profile.tracks]
    notes = []
    if short:
        notes.append(f"shorter than a quarter of the median success ({bar_s:.1f} s), not scored: {', '.join(short)}")
    if empty:
        notes.append(f"no numeric stream, not scored: {', '.join(empty)}")
    return kept, notes


@dataclass(frozen=True)
class _Search:
    """Scores of every try on the panel's grid: float64 (n, T), NaN beyond a try's end and beyond the support."""

    tries: Sequence[Try]
    panel: Panel
    scores: NDArray[np.float64]
    shares: NDArray[np.float32]
    threshold: float | None
    horizon_n: int
    window_n: int
    reference: Reference

    @classmethod
    def over(cls, tries: Sequence[Try], panel: Panel, budget: float) -> _Search:
        success = np.array([item.success for item in tries])
        reference = Reference.of(panel, success)
        scores, shares = scores_of(panel, reference)
        lengths = panel.lengths_n
        supported = int(np.sort(lengths[success])[-FEWEST_SUCCESSES_N])
        horizon_n = max(1, min(int(success_horizon([float(n) for n in lengths[success]])), supported))
        scores[:, horizon_n:] = np.nan
        peaks = [_peak(row) for row in scores[success]]
        return cls(
            tries, panel, scores, shares, conformal_threshold(peaks, budget=budget), horizon_n,
            max(1, min(horizon_n, int(lengths.min()))), reference,
        )  # fmt: skip

    def peaks(self, until_n: int, tries: Sequence[Try]) -> tuple[list[float], list[float]]:
        return _split([_peak(row[:until_n]) for row in self.scores], tries)

    def first(self, number: int) -> int | None:
        if self.threshold is None:
            return None
        above = np.flatnonzero(np.nan_to_num(self.scores[number], nan=-np.inf) > self.threshold)
        return int(above[0]) if above.size else None

    def from_start(self, number: int) -> bool:
        first = self.first(number)
        return first is not None and first * self.panel.bin_s < START_S

    def set_up_differs(self) -> bool:
        """Say whether more than half of the failures are outside in their first half second."""
        flags = [self.from_start(number) for number, item in enumerate(self.tries) if not item.success]
        return sum(flags) * 2 > len(flags)

    def early_driver(self) -> int:
        """Return the stream that drove most failures in their first half second."""
        end = max(1, round(START_S / self.panel.bin_s))
        failures = [number for number, item in enumerate(self.tries) if not item.success]
        return int(np.argmax(self.shares[failures, :end].mean(axis=(0, 1))))

    def moment(self, number: int) -> Moment:
        row, bin_s = self.scores[number], self.panel.bin_s
        peak, first = int(np.nanargmax(row)), self.first(number)
        from_start = self.from_start(number)
        look = peak if first is None or from_start else first
        shares = self.shares[number, look]
        order = np.argsort(-shares)
        drivers = tuple((self.panel.names[n], round(float(shares[n]), 3)) for n in order if shares[n] >= 0.05)
        column = self.reference.odd_column(self.panel, number, look, int(order[0]))
        return Moment(
            key=self.tries[number].key,
            first_s=None if first is None else round(first * bin_s, 3),
            peak_s=round(peak * bin_s, 3),
            look_s=round(look * bin_s, 3),
            from_start=from_start,
            score=float(row[peak]),
            phase=self.tries[number].profile.phase_at(round(look * bin_s, 3)),
            drivers=drivers,
            column=self.panel.columns[column],
            phases=self.tries[number].profile.phases,
            curve=self._curve(number, column),
        )

    def _curve(self, number: int, column: int) -> Curve:
        held = np.flatnonzero(np.isfinite(self.panel.values[number, : self.horizon_n, column]))
        end = min(self.horizon_n, int(held[-1]) + 2) if held.size else self.horizon_n
        points = np.unique(np.linspace(0, end - 1, min(end, CURVE_POINTS_N)).astype(np.int64))
        band = self.reference.band(self.panel, column)[:, points]
        return Curve(
            tuple(round(float(point) * self.panel.bin_s, 3) for point in points),
            _plain(self.scores[number, points]),
            _plain(self.panel.values[number, points, column]),
            *(_plain(line) for line in band),
        )


def _peak(row: NDArray[np.float64]) -> float:
    return float(np.nanmax(row)) if bool(np.any(np.isfinite(row))) else 0.0


def _plain(values: NDArray[np.floating]) -> tuple[float | None, ...]:
    return tuple(float(f"{value:.5g}") if np.isfinite(value) else None for value in values)


def _split(values: Sequence[float], tries: Sequence[Try]) -> tuple[list[float], list[float]]:
    failures = [value for value, item in zip(values, tries, strict=True) if not item.success]
    return failures, [value for value, item in zip(values, tries, strict=True) if item.success]


def _area(search: _Search, tries: Sequence[Try], name: str, seed: int) -> Area:
    return area_of(name, *search.peaks(search.window_n, tries), seed=seed)


def _past_set_up(
    search: _Search, tries: Sequence[Try], budget: float, seed: int
) -> tuple[_Search, list[Area], list[str]]:
    """Search on where failures differ before anything happened: first the change since the start, then fewer streams.

    A stream that tells most failures in their first half second shows how the cell was set up, not how the try failed.
    It is left out while another stream remains.
    """
    outside = sum(search.from_start(number) for number, item in enumerate(tries) if not item.success)
    failures_n = sum(not item.success for item in tries)
    notes = [
        f"{outside} of {failures_n} failures differ from every success in the first half second: their set-up "
        "differed. Moments are taken from the change since the start"
    ]
    search = _Search.over(tries, search.panel.since_start(), budget)
    areas = [_area(search, tries, "the score, change since the start", seed)]
    while search.set_up_differs() and len(search.panel.names) > 1:
        name = search.panel.names[search.early_driver()]
        search = _Search.over(tries, search.panel.without(name), budget)
        notes.append(f"the stream {name} still differs from the start on and is left out of the search for moments")
        areas.append(_area(search, tries, f"the score, also without {name}", seed))
    if search.set_up_differs():
        notes.append("even so they differ from the start on: the moment shown is the peak")
    return search, areas, notes


def _rivals(panel: Panel, tries: Sequence[Try], window_n: int, seed: int) -> list[Area]:
    """Score what should not be able to tell: the stopwatch, the day, and the loudest instant of one stream."""
    lengths = _split([item.profile.length_s for item in tries], tries)
    found = [area_of("the stopwatch (whole duration)", *lengths, seed=seed, either_way=True)]
    loud = [
        area_of(f"peak of {name} alone", *_split(panel.loudest(stream, window_n), tries), seed=seed, either_way=True)
        for stream, name in enumerate(panel.names)
    ]
    best = max(loud, key=lambda area: area.value)
    found.append(replace(best, name=f"{best.name} (the best of {len(loud)} streams)" if len(loud) > 1 else best.name))
    days = [item.day for item in tries]
    if all(days) and len(set(days)) > 1:
        ordinal = _split([float(day) for day in days], tries)
        found.append(area_of("the day alone", *ordinal, seed=seed, either_way=True))
    return found


def _warnings(areas: Sequence[Area], gain: tuple[float, float, float]) -> list[str]:
    notes = []
    if gain[1] <= 0.0:
        notes.append(
            "the score does not beat the stopwatch here: duration alone tells as much, so take it as a place to look, "
            "not as a detector"
        )
    day = next((area for area in areas if area.name == "the day alone"), None)
    if day is not None and day.value >= 0.9:
        notes.append(
            "the day alone tells failures from successes: whatever else changed between those days explains the score "
            "as well as failure does. Record successes and failures on the same day"
        )
    return notes
