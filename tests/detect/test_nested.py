from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.cropped import Cropped, crop
from saqiya.detect.moments import Try
from saqiya.detect.nested import judge_cropped
from saqiya.detect.profile import profile_of
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.errors import TooLittle
from saqiya.models.recipes import LINEAR

QUICK = LINEAR[:1]


def cropped(n: int = 12, *, shift: float = 0.0, hurried: bool = False, days: bool = False) -> Cropped:
    """Successes and failures, half and half: a bend in the middle of failures, or a shorter try, or another day."""
    rng = np.random.default_rng(0)
    tries = []
    for number in range(2 * n):
        success = number < n
        length_s = 2.0 + 0.5 * rng.random() + (2.0 if success and hurried else 0.0)
        t_ns = np.arange(0, round(length_s * 1e9), 20_000_000, dtype=np.int64)
        values = rng.normal(size=(t_ns.size, 3))
        if not success:
            values[40:60] += np.array([shift, -shift, 0.0])
        log = EpisodeLog(f"try-{number}", {"force": Stream(t_ns, values, fields=("x", "y", "z"))})
        tries.append(Try(log.key, profile_of(log), success, ("20240101" if success else "20260101") if days else ""))
    return crop(tries)


def test_failures_that_feel_different_are_detected_and_beat_the_probes():
    report = judge_cropped(cropped(shift=2.0), seeds=(0, 1), permutations_n=3, recipes=QUICK)
    assert report.area.value > 0.95
    assert report.null_mean is not None
    assert report.null_mean < 0.8
    assert 0.2 < report.null_p <= 1.0
    assert report.balanced[0] > 0.85


def test_failures_that_feel_the_same_are_not_detected_however_long_they_last():
    report = judge_cropped(cropped(hurried=True), seeds=(0,), recipes=QUICK)
    assert report.area.value < 0.8
    duration = next(probe for probe in report.probes if probe.name.startswith("duration"))
    assert duration.value == 1.0
    assert any("easy or confounded" in note for note in report.notes)


def test_the_stopwatch_inside_equal_windows_knows_nothing():
    report = judge_cropped(cropped(), seeds=(0,), recipes=QUICK)
    assert next(probe for probe in report.probes if "stopwatch" in probe.name).value == 0.5


def test_days_that_never_hold_both_outcomes_are_told():
    report = judge_cropped(cropped(days=True), seeds=(0,), recipes=QUICK)
    assert {"the day alone", "the year alone"} <= {probe.name for probe in report.probes}
    assert any("no day has both outcomes" in note for note in report.notes)


def test_too_few_tries_is_said():
    with pytest.raises(TooLittle, match="too few to judge"):
        judge_cropped(cropped(3), seeds=(0,), recipes=QUICK)
