from __future__ import annotations

import json

import numpy as np
import pytest

from saqiya.detect.quality import ScoredEpisode, quality_report


def tried(*, success, length_s=10.0, scores=None, level=0.0):
    t_s = np.arange(0.0, length_s, 0.5)
    return ScoredEpisode(success, length_s, t_s, np.full(len(t_s), level) if scores is None else np.asarray(scores))


def tries(rng, n, *, success, level):
    return [tried(success=success, length_s=rng.uniform(8, 12), level=rng.normal(level)) for _ in range(n)]


def test_a_stopwatch_in_disguise_does_not_beat_the_stopwatch():
    rng = np.random.default_rng(0)
    episodes = [
        tried(success=success, length_s=length, scores=np.arange(0.0, length, 0.5))
        for success in (True, False)
        for length in rng.uniform(5, 10 if success else 20, size=40)
    ]
    report = quality_report(episodes, threshold=None, horizon_s=9.5, seed=0, resamples=200)
    assert report.auroc.value > 0.6
    assert not report.beats_stopwatch
    assert not report.beats_stopwatch_half
    assert report.auroc_running.value == pytest.approx(0.5)


def test_a_detector_that_sees_failures_beats_it():
    rng = np.random.default_rng(1)
    episodes = tries(rng, 40, success=True, level=0) + tries(rng, 40, success=False, level=3)
    report = quality_report(episodes, threshold=1.5, horizon_s=9.0, seed=0, resamples=200)
    assert report.beats_stopwatch
    assert report.caught.low > 0.7
    assert report.false_alarms.high < 0.3


def test_noise_is_marked_as_no_better():
    rng = np.random.default_rng(2)
    episodes = tries(rng, 40, success=True, level=0) + tries(rng, 40, success=False, level=0)
    assert not quality_report(episodes, threshold=1.0, horizon_s=9.0, seed=0, resamples=200).beats_stopwatch


def test_what_happens_after_the_horizon_does_not_count():
    late = np.zeros(40)
    late[30:] = 9.0
    episodes = [tried(success=False, length_s=20.0, scores=late), tried(success=True, length_s=20.0)]
    report = quality_report(episodes, threshold=1.0, horizon_s=12.0, seed=0, resamples=50)
    assert report.auroc.value == 0.5
    assert report.caught.value == 0.0


def test_lead_time_runs_from_the_alarm_to_the_horizon():
    rising = np.arange(20.0)
    report = quality_report([tried(success=False, scores=rising)], threshold=5.5, horizon_s=8.0, seed=0, resamples=50)
    assert report.lead_s.value == 5.0


def test_perfect_separation_of_two_tries_proves_nothing():
    episodes = [tried(success=False, level=1.0), tried(success=True, level=0.0)]
    report = quality_report(episodes, threshold=0.5, horizon_s=8.0, seed=0, resamples=50)
    assert report.auroc.value == 1.0
    assert report.auroc.low < 0.1
    assert not report.beats_stopwatch


def test_without_failures_the_report_says_nothing_about_them():
    report = quality_report([tried(success=True)], threshold=1.0, horizon_s=8.0, seed=0, resamples=50)
    assert report.auroc.value is None
    assert report.caught.n == 0
    assert report.false_alarms.value == 0.0
    assert json.loads(json.dumps(report.as_json()))["successes_n"] == 1


def test_the_same_seed_gives_the_same_intervals():
    rng = np.random.default_rng(3)
    episodes = tries(rng, 9, success=True, level=0) + tries(rng, 9, success=False, level=1)
    first, second = (quality_report(episodes, threshold=1.0, horizon_s=9.0, seed=5, resamples=50) for _ in range(2))
    assert first == second


def test_shifted_successes_and_modes_are_told_apart() -> None:
    t_s = np.arange(10.0)

    def one(peak: float, *, success: bool, **facts: object) -> ScoredEpisode:
        return ScoredEpisode(success, 10.0, t_s, np.where(t_s >= 4.0, peak, 0.0), **facts)  # type: ignore[arg-type]

    episodes = [one(0.1 * i, success=True, shifted=False) for i in range(8)]
    episodes += [one(2.0, success=True, shifted=True) for _ in range(4)]
    episodes += [one(3.0, success=False, mode="slip") for _ in range(9)]
    episodes += [one(0.0, success=False, mode="bias") for _ in range(3)]
    report = quality_report(episodes, threshold=1.0, horizon_s=10.0, seed=1)
    assert (report.false_alarms.value, report.false_alarms.n) == (4 / 12, 12)
    assert (report.false_alarms_nominal.value, report.false_alarms_shifted.value) == (0.0, 1.0)
    assert (report.modes["slip"].caught.value, report.modes["bias"].caught.value) == (1.0, 0.0)
    assert report.modes["slip"].lead_s.value == 6.0
    assert report.modes["slip"].beats_stopwatch
    assert not report.modes["bias"].beats_stopwatch


def test_an_alarm_after_a_person_stepped_in_catches_nothing() -> None:
    t_s = np.arange(10.0)
    late, early = (ScoredEpisode(False, 10.0, t_s, 1.0 * (t_s >= at), failed_s=5.0) for at in (6.0, 3.0))
    assert late.first_alarm_s(0.5) is None
    assert early.first_alarm_s(0.5) == 3.0
    usual = ScoredEpisode(True, 10.0, t_s, np.zeros(10))
    report = quality_report([late, early, usual], threshold=0.5, horizon_s=9.0, seed=1)
    assert (report.takeovers_n, report.caught.value, report.lead_s.value) == (2, 0.5, 2.0)
    assert report.stopwatch.value == 0.0
