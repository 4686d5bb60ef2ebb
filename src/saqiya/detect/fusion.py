"""From the raw scores of several detectors to one alarm: normalised along the try, fused, one threshold for all.

A score becomes spreads above its band; spreads are compressed (logarithm of one more than them, sign kept) and
averaged: one detector that shouts weighs less than several that agree, and none needs a share of the budget. Splits:
bands are measured on some successes, and weights are learned there where labelled failures are at hand and it earns its
place (`detect.weights`); the threshold is set on others. It is the exact-rank conformal quantile of the highest fused
score before the success horizon (a functional band: Diquigiovanni et al. 2022), so the budget holds for the whole chain
however it was fused, as long as the calibrating successes served for nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.bands import Along, Bands, Scored, fit_bands
from saqiya.detect.conformal import conformal_threshold, success_horizon
from saqiya.detect.weights import Votes, earned_weights
from saqiya.domain.contracts import Vector
from saqiya.errors import MonitorUnreadable
from saqiya.models.rows import names_array, names_of

__all__ = ["Fused", "Fusion", "FusionWatch", "fit_fusion", "peak"]

ARRAYS = ("names", "phases", "width_s", "centre", "spread", "weights", "horizon_s", "threshold")


@dataclass(frozen=True)
class Fused:
    """The fused score of a try: seconds (t,), scores (t,), and the index (t,) of the detector that drove each."""

    t_s: Vector
    scores: Vector
    leading: NDArray[np.int64]


@dataclass(frozen=True)
class Fusion:
    """Bands of several detectors and their common threshold: frozen, and plain arrays.

    Attributes:
        bands: what each detector usually says.
        weights: float64 (detectors,), how much say each has; they add to 1.
        horizon_s: the success horizon: how long nine successes of ten take at most.
        threshold: an alarm is a fused score above it; None where successes were too few: nothing alarms.
        learned: whether the weights were learned from labelled tries; else they are equal.
    """

    bands: Bands
    weights: Vector
    horizon_s: float
    threshold: float | None = None
    learned: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The detectors, in the order that `leading` counts."""
        return self.bands.names

    def score(self, parts: Mapping[str, tuple[Vector, Vector]], phases: Sequence[tuple[float, str]] = ()) -> Fused:
        """Fuse the scores of one try.

        Args:
            parts: by detector, seconds since the start (t,) and scores (t,); a detector that is not there takes no
                part. Where stamps differ, each detector's latest score counts.
            phases: (seconds, event) of what happened, in time order; phases are taken from it.

        Returns:
            The weighted mean of the compressed spreads at every stamp of any detector. `leading` adds most to it.
        """
        t_s, votes = self.votes(parts, phases)
        shares = votes * self.weights
        leading = shares.argmax(axis=1) if self.names else np.zeros(len(t_s), dtype=np.int64)
        return Fused(t_s, shares.sum(axis=1), leading.astype(np.int64))

    def votes(
        self, parts: Mapping[str, tuple[Vector, Vector]], phases: Sequence[tuple[float, str]] = ()
    ) -> tuple[Vector, Vector]:
        """Return every stamp of any detector (t,) and the compressed spreads of each then, float64 (t, detectors).

        A detector that has said nothing yet has 0, as one at the centre of its band.
        """
        known = [(index, *parts[name]) for index, name in enumerate(self.names) if name in parts]
        every = np.unique(np.concatenate([t_s for _, t_s, _ in known])) if known else np.zeros(0)
        votes = np.zeros((len(every), len(self.names)))
        for index, t_s, scores in known:
            spreads = self.bands.spreads(self.names[index], t_s, scores, phases)
            last = np.searchsorted(t_s, every, side="right") - 1
            votes[last >= 0, index] = (np.sign(spreads) * np.log1p(np.abs(spreads)))[last[last >= 0]]
        return every, votes

    def watch(self) -> FusionWatch:
        """Begin a try."""
        return FusionWatch(self)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as arrays; the threshold is infinite where there is none."""
        return {
            "names": names_array(self.names),
            "phases": names_array(self.bands.phases[1:]),  # the first is always ""
            "width_s": self.bands.width_s,
            "centre": self.bands.centre,
            "spread": self.bands.spread,
            "weights": self.weights,
            "horizon_s": np.array(self.horizon_s),
            "threshold": np.array(np.inf if self.threshold is None else self.threshold),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Fusion:
        """Make it again.

        Raises:
            MonitorUnreadable: an array is missing, or their shapes do not agree.
        """
        missing = [name for name in ARRAYS if name not in arrays]
        if missing:
            raise MonitorUnreadable(f"lacks {', '.join(missing)}", remedy="Calibrate again and write it anew.")
        names, phases = names_of(arrays["names"]), ("", *names_of(arrays["phases"]))
        width_s, centre, spread = (np.asarray(arrays[key], np.float64) for key in ("width_s", "centre", "spread"))
        weights = np.asarray(arrays["weights"], np.float64)
        whole = (len(phases), *centre.shape[1:2], len(names))
        agree = centre.shape == whole == spread.shape and width_s.shape == whole[:1] and weights.shape == whole[2:]
        if not agree or not (spread > 0).all():
            raise MonitorUnreadable(
                f"bands {centre.shape} and {spread.shape} for {len(phases)} phases and {len(names)} detectors",
                remedy="Calibrate again and write it anew.",
            )
        threshold = float(arrays["threshold"])
        bands = Bands(names, phases, width_s, centre, spread)
        learned = bool(np.ptp(weights) > 0.0) if len(weights) else False
        return cls(bands, weights, float(arrays["horizon_s"]), None if np.isinf(threshold) else threshold, learned)


class FusionWatch:
    """`Fusion.score` as it happens; plain floats, because a call must take microseconds."""

    def __init__(self, fusion: Fusion) -> None:
        """Begin a try."""
        bands = fusion.bands
        self._names, self._place = bands.names, bands.begin()
        self._columns = {name: index for index, name in enumerate(bands.names)}
        self._width_s: list[float] = bands.width_s.tolist()
        self._centre: list[list[list[float]]] = bands.centre.tolist()
        self._spread: list[list[list[float]]] = bands.spread.tolist()
        self._last = len(self._centre[0]) - 1
        self._weights: list[float] = fusion.weights.tolist()
        self._votes = [0.0] * len(bands.names)

    def see(self, t_s: float, scores: Mapping[str, float], events: Sequence[str] = ()) -> tuple[float, str]:
        """Take in the scores that detectors gave at this instant and return the fused score and who drives it.

        Args:
            t_s: seconds since the start of the try, not decreasing.
            scores: of the detectors that gave one now; the others keep their last.
            events: names of what happened up to now.
        """
        for event in events:
            self._place.reach(t_s, event)
        phase = self._place.index
        one = min(int((t_s - self._place.since_s) / self._width_s[phase]), self._last)
        centre, spread = self._centre[phase][one], self._spread[phase][one]
        for name, score in scores.items():
            column = self._columns.get(name)
            if column is not None:
                spreads = (score - centre[column]) / spread[column]
                self._votes[column] = self._weights[column] * math.copysign(math.log1p(abs(spreads)), spreads)
        if not self._votes:
            return 0.0, ""
        return sum(self._votes), self._names[self._votes.index(max(self._votes))]


def fit_fusion(
    band_split: Sequence[Scored],
    calibrate_split: Sequence[Scored],
    *,
    budget: float,
    names: Sequence[str],
    along: Along = Along.TIME,
    failed: Sequence[Scored] = (),
    seed: int = 0,
) -> Fusion:
    """Measure bands on some successes and set the threshold on others.

    Args:
        band_split: successes for the bands and the horizon; none of them may calibrate.
        calibrate_split: successes that served for nothing else.
        budget: share of successes that may raise an alarm before the horizon, in (0, 1).
        names: detectors that take part.
        along: what the bands run along.
        failed: labelled failures to learn weights from, none of which judges; () for equal weights.
        seed: of the folds that decide whether learned weights stay.

    Raises:
        TooLittle: `band_split` is empty.
        UsageError: the budget is not in (0, 1).
    """
    horizon_s = success_horizon([one.length_s for one in band_split]) if band_split else 1.0
    bands = fit_bands(band_split, names, horizon_s=horizon_s, along=along)
    fusion = Fusion(bands, np.full(len(names), 1.0 / max(1, len(names))), horizon_s)
    if failed:
        told = [_told(fusion, one, failed=False) for one in band_split] + [
            _told(fusion, one, failed=True) for one in failed
        ]
        weights = earned_weights([one for one in told if len(one.votes)], seed=seed)
        fusion = fusion if weights is None else replace(fusion, weights=weights, learned=True)
    peaks = [peak(fusion.score(one.parts, one.phases), horizon_s) for one in calibrate_split]
    return replace(fusion, threshold=conformal_threshold(peaks, budget=budget))


def _told(fusion: Fusion, one: Scored, *, failed: bool) -> Votes:
    t_s, votes = fusion.votes(one.parts, one.phases)
    return Votes(votes[t_s < fusion.horizon_s], failed)


def peak(fused: Fused, until_s: float) -> float:
    """Return the highest fused score before `until_s`; minus infinity when there is none."""
    before = fused.scores[fused.t_s < until_s]
    return float(before.max()) if before.size else float("-inf")
