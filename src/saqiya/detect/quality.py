"""How good a detector is: beside the stopwatch, up to the success horizon, with intervals over episodes.

The trap this avoids: a failed try lasts until its time-out, so "the longest tries failed" scores high over whole
episodes and warns of nothing. Every episode is therefore cut at the success horizon, and the stopwatch is scored on the
same cut: its score is the time that passed, at most the horizon. Where failures time out and successes end in time it
still scores well at the horizon, for "it is still running" is real evidence by then. So the report also looks at half
of the horizon, and compares tries still running at the same moment, where a stopwatch knows nothing: 0.5 by definition.

A budget that holds on nominal successes says little about successes under other conditions: their false alarms are
counted apart. A takeover is a label too: the policy had failed by then, so what came later is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import JsonValue
from saqiya.errors import UsageError

__all__ = ["Estimate", "ModeReport", "QualityReport", "ScoredEpisode", "quality_report"]

MOMENTS_N = 20


@dataclass(frozen=True)
class ScoredEpisode:
    """One episode as a detector saw it.

    Attributes:
        success: what it came to.
        length_s: how long it lasted.
        t_s: float64 (t,), seconds from its beginning, not decreasing.
        scores: float64 (t,), higher is worse.
        mode: of a failure, its mode or cause where that is known.
        shifted: whether conditions were other than nominal; None where nobody knows.
        failed_s: when it had failed: a person took over or stopped it. What came later does not count.
    """

    success: bool
    length_s: float
    t_s: Vector
    scores: Vector
    mode: str = ""
    shifted: bool | None = None
    failed_s: float | None = None

    @property
    def end_s(self) -> float:
        """When the policy's own part was over."""
        return self.length_s if self.failed_s is None else min(self.length_s, self.failed_s)

    def peak(self, until_s: float) -> float:
        """Return the highest score before `until_s`; minus infinity when there is none."""
        before = self.scores[self.t_s < self._until(until_s)]
        return float(before.max()) if before.size else float("-inf")

    def first_alarm_s(self, threshold: float | None) -> float | None:
        """Return when the score first passed the threshold; None when it never did or the threshold is infinite."""
        above = np.flatnonzero(self.scores > threshold) if threshold is not None else np.zeros(0, dtype=np.int64)
        first_s = float(self.t_s[above[0]]) if above.size else np.inf
        return first_s if first_s < self._until(np.inf) else None

    def _until(self, until_s: float) -> float:
        return until_s if self.failed_s is None else min(until_s, self.failed_s)


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval and the number of episodes it rests on; None where they are too few to say."""

    value: float | None
    low: float | None
    high: float | None
    n: int


NOTHING = Estimate(None, None, None, 0)


@dataclass(frozen=True)
class ModeReport:
    """How a detector does on the failures of one mode, against all successes; fields as in `QualityReport`."""

    failures_n: int
    auroc: Estimate
    gain: Estimate
    gain_half: Estimate
    caught: Estimate
    lead_s: Estimate
    beats_stopwatch: bool
    beats_stopwatch_half: bool


@dataclass(frozen=True)
class QualityReport:
    """A detector's figures on episodes that its calibration did not see.

    Attributes:
        horizon_s: success horizon at which episodes are cut.
        threshold: None is an infinite threshold: nothing alarms, nothing is caught.
        failures_n, successes_n: how many episodes of each kind.
        auroc, stopwatch, gain: area under the ROC curve of the highest score before the horizon, the same of the time
            that passed, and their difference.
        auroc_half, stopwatch_half, gain_half: the same at half of the horizon.
        auroc_running: area among tries still running at the same moment, averaged over moments up to the horizon; a
            stopwatch has 0.5.
        caught: share of failures alarmed before the horizon.
        false_alarms: share of successes alarmed before the horizon.
        false_alarms_nominal, false_alarms_shifted: the same of successes under nominal and under other conditions.
        lead_s: median time from the alarm of a caught failure to the horizon (or its end, where that came first).
        takeovers_n: how many of the failures are labelled by the moment at which a person stepped in.
        beats_stopwatch: the interval of `gain` lies above zero: it knows more by the horizon than that time has passed.
        beats_stopwatch_half: the interval of `gain_half` does: it warns while the clock has nothing to say.
        modes: the failures of each known mode apart.
    """

    horizon_s: float
    threshold: float | None
    failures_n: int
    successes_n: int
    auroc: Estimate
    stopwatch: Estimate
    gain: Estimate
    auroc_half: Estimate
    stopwatch_half: Estimate
    gain_half: Estimate
    auroc_running: Estimate
    caught: Estimate
    false_alarms: Estimate
    false_alarms_nominal: Estimate
    false_alarms_shifted: Estimate
    lead_s: Estimate
    takeovers_n: int
    beats_stopwatch: bool
    beats_stopwatch_half: bool
    modes: dict[str, ModeReport] = field(default_factory=dict)

    def as_json(self) -> dict[str, JsonValue]:
        """Return the report as plain JSON values."""
        return asdict(self)


def quality_report(
    episodes: Sequence[ScoredEpisode],
    *,
    threshold: float | None,
    horizon_s: float,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> QualityReport:
    """Judge a detector on `episodes`, none of which fitted it or set its threshold.

    Intervals: for areas and lead time, percentiles of a bootstrap over episodes, within failures and within successes;
    for shares the exact binomial one. Where every resample gives the same area (perfect separation), the bootstrap
    knows nothing, and the exact interval of as many trials as the smaller class has episodes is used instead.

    Raises:
        UsageError: the horizon is not positive.
    """
    if horizon_s <= 0.0:
        raise UsageError(f"the success horizon {horizon_s} s is not positive", remedy="Take it from successes.")
    failures = [episode for episode in episodes if not episode.success]
    successes = [episode for episode in episodes if episode.success]
    draws = _Draws.of(len(failures), len(successes), seed=seed, resamples=resamples, level=level)
    full = _beside_stopwatch(failures, successes, horizon_s, draws)
    half = _beside_stopwatch(failures, successes, horizon_s / 2.0, draws)
    caught, lead_s = _caught(failures, threshold, horizon_s, draws)

    def false_alarms(*conditions: bool | None) -> Estimate:
        kept = [episode for episode in successes if episode.shifted in conditions]
        return _share([_alarm_before(episode, threshold, horizon_s) is not None for episode in kept], level)

    return QualityReport(
        horizon_s=horizon_s,
        threshold=threshold,
        failures_n=len(failures),
        successes_n=len(successes),
        auroc=full[0],
        stopwatch=full[1],
        gain=full[2],
        auroc_half=half[0],
        stopwatch_half=half[1],
        gain_half=half[2],
        auroc_running=_running(failures, successes, horizon_s, draws),
        caught=caught,
        false_alarms=false_alarms(True, False, None),
        false_alarms_nominal=false_alarms(False),
        false_alarms_shifted=false_alarms(True),
        lead_s=lead_s,
        takeovers_n=sum(episode.failed_s is not None for episode in failures),
        beats_stopwatch=_above_zero(full[2]),
        beats_stopwatch_half=_above_zero(half[2]),
        modes={
            mode: _mode(
                [episode for episode in failures if episode.mode == mode],
                successes,
                threshold=threshold,
                horizon_s=horizon_s,
                draws=draws,
            )
            for mode in sorted({episode.mode for episode in failures} - {""})
        },
    )


def _mode(
    failures: Sequence[ScoredEpisode],
    successes: Sequence[ScoredEpisode],
    *,
    threshold: float | None,
    horizon_s: float,
    draws: _Draws,
) -> ModeReport:
    own = draws.again(len(failures))
    full = _beside_stopwatch(failures, successes, horizon_s, own)
    half = _beside_stopwatch(failures, successes, horizon_s / 2.0, own)
    caught, lead_s = _caught(failures, threshold, horizon_s, own)
    return ModeReport(
        failures_n=len(failures),
        auroc=full[0],
        gain=full[2],
        gain_half=half[2],
        caught=caught,
        lead_s=lead_s,
        beats_stopwatch=_above_zero(full[2]),
        beats_stopwatch_half=_above_zero(half[2]),
    )


def _caught(
    failures: Sequence[ScoredEpisode], threshold: float | None, horizon_s: float, draws: _Draws
) -> tuple[Estimate, Estimate]:
    """Return the share of failures that alarmed in time, and by how much the alarm came before the end."""
    alarms = [_alarm_before(episode, threshold, horizon_s) for episode in failures]
    leads = [
        min(horizon_s, episode.end_s) - alarm
        for episode, alarm in zip(failures, alarms, strict=True)
        if alarm is not None
    ]
    return _share([alarm is not None for alarm in alarms], draws.level), _median(leads, draws)


def _above_zero(gain: Estimate) -> bool:
    return gain.low is not None and gain.low > 0.0


def _alarm_before(episode: ScoredEpisode, threshold: float | None, horizon_s: float) -> float | None:
    alarm_s = episode.first_alarm_s(threshold)
    return alarm_s if alarm_s is not None and alarm_s < horizon_s else None


@dataclass(frozen=True)
class _Draws:
    """Bootstrap resamples as counts: how often each failure (b, F) and each success (b, S) was drawn."""

    failures: Vector
    successes: Vector
    level: float
    rng: np.random.Generator

    @classmethod
    def of(cls, failures_n: int, successes_n: int, *, seed: int, resamples: int, level: float) -> _Draws:
        rng = np.random.default_rng(seed)

        def counts(n: int) -> Vector:
            drawn = rng.multinomial(n, np.full(n, 1.0 / n), size=resamples) if n else np.zeros((resamples, 0))
            return drawn.astype(np.float64)

        return cls(counts(failures_n), counts(successes_n), level, rng)

    def again(self, failures_n: int) -> _Draws:
        """Return draws of other failures with the same draws of successes."""
        drawn = self.rng.multinomial(failures_n, np.full(failures_n, 1.0 / failures_n), size=len(self.failures))
        return _Draws(drawn.astype(np.float64), self.successes, self.level, self.rng)

    def areas(self, ahead: Vector) -> Vector:
        """Return the area of each resample, float64 (b,), from `ahead` (F, S): 1, 0.5 or 0 for each pair."""
        wins: Vector = ((self.failures @ ahead) * self.successes).sum(axis=1) / ahead.size
        return wins

    def interval(self, drawn: Vector) -> tuple[float, float]:
        low, high = np.quantile(drawn, [(1.0 - self.level) / 2.0, (1.0 + self.level) / 2.0])
        return float(low), float(high)


def _ahead(failures: Vector, successes: Vector) -> Vector:
    """For each pair, float64 (F, S): 1 when the failure scores higher, 0.5 on a tie, 0 when lower."""
    above = failures[:, None] > successes[None]
    ties = failures[:, None] == successes[None]
    pairs: Vector = above + 0.5 * ties
    return pairs


def _beside_stopwatch(
    failures: Sequence[ScoredEpisode], successes: Sequence[ScoredEpisode], until_s: float, draws: _Draws
) -> tuple[Estimate, Estimate, Estimate]:
    """Return area of the detector, of the stopwatch, and their difference, all cut at `until_s`."""
    if not failures or not successes:
        return NOTHING, NOTHING, NOTHING
    n = len(failures) + len(successes)
    peaks = [np.array([episode.peak(until_s) for episode in group]) for group in (failures, successes)]
    if all(np.all(np.isneginf(group)) for group in peaks):
        return NOTHING, NOTHING, NOTHING  # no score at all, which is not the same as a useless one
    times = [np.array([min(episode.end_s, until_s) for episode in group]) for group in (failures, successes)]
    ahead, timed = _ahead(*peaks), _ahead(*times)
    drawn, drawn_timed = draws.areas(ahead), draws.areas(timed)
    own, null = _area(ahead, drawn, draws, n), _area(timed, drawn_timed, draws, n)
    value = float(ahead.mean() - timed.mean())
    low, high = draws.interval(drawn - drawn_timed)
    if own.low is not None and own.high is not None and low == high:
        low, high = own.low - float(timed.mean()), own.high - float(timed.mean())
    return own, null, Estimate(value, low, high, n)


def _area(ahead: Vector, drawn: Vector, draws: _Draws, n: int) -> Estimate:
    value = float(ahead.mean())
    low, high = draws.interval(drawn)
    if low == high and value in {0.0, 1.0}:
        trials = min(ahead.shape)
        exact = _share([value == 1.0] * trials, draws.level)
        return Estimate(value, exact.low, exact.high, n)
    return Estimate(value, low, high, n)


def _running(
    failures: Sequence[ScoredEpisode], successes: Sequence[ScoredEpisode], horizon_s: float, draws: _Draws
) -> Estimate:
    """Average, over moments up to the horizon, the area among the tries still running then."""
    if not failures or not successes or not any(episode.scores.size for episode in (*failures, *successes)):
        return NOTHING
    pairs = np.zeros((len(failures), len(successes)))
    running = np.zeros_like(pairs)
    for moment_s in np.linspace(0.0, horizon_s, MOMENTS_N + 1)[1:]:
        alive = [np.array([episode.end_s >= moment_s for episode in group]) for group in (failures, successes)]
        peaks = [np.array([episode.peak(moment_s) for episode in group]) for group in (failures, successes)]
        both = np.outer(*alive)
        pairs += np.where(both, _ahead(*peaks), 0.0)
        running += both
    weight = draws.areas(running)
    if not running.sum():
        return NOTHING
    drawn = draws.areas(pairs)[weight > 0.0] / weight[weight > 0.0]
    return Estimate(float(pairs.sum() / running.sum()), *draws.interval(drawn), len(failures) + len(successes))


def _share(hits: Sequence[bool], level: float) -> Estimate:
    if not hits:
        return NOTHING
    from scipy import stats

    exact = stats.binomtest(sum(hits), len(hits)).proportion_ci(level, method="exact")
    return Estimate(sum(hits) / len(hits), float(exact.low), float(exact.high), len(hits))


def _median(values: Sequence[float], draws: _Draws) -> Estimate:
    if not values:
        return NOTHING
    found = np.asarray(values)
    index = draws.rng.integers(0, len(found), size=(len(draws.failures), len(found)))
    low, high = draws.interval(np.median(found[index], axis=1))
    return Estimate(float(np.median(found)), low, high, len(found))
