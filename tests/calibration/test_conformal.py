"""The false-alarm budget is kept on fresh successes, over many resamples."""

from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.conformal import conformal_threshold, peak_until, success_horizon

RESAMPLES = 4000


@pytest.mark.parametrize("n", [12, 20, 50])
@pytest.mark.parametrize("budget", [0.1, 0.2])
def test_the_false_alarm_rate_keeps_the_budget(n, budget):
    rng = np.random.default_rng([n, int(100 * budget)])
    peaks = rng.lognormal(size=(RESAMPLES, n + 1))
    alarms = [fresh > conformal_threshold(held_out, budget=budget) for *held_out, fresh in peaks]
    error = 3.0 * np.sqrt(budget * (1 - budget) / RESAMPLES)
    assert budget - 1 / (n + 1) - error <= np.mean(alarms) <= budget + error


def test_a_plain_quantile_would_break_the_budget():
    peaks = np.random.default_rng(1).normal(size=(RESAMPLES, 13))
    alarms = [row[-1] > np.quantile(row[:-1], 0.9) for row in peaks]
    assert np.mean(alarms) > 0.1 + 3.0 * np.sqrt(0.1 * 0.9 / RESAMPLES)


def test_the_budget_holds_when_the_horizon_comes_from_the_same_successes():
    rng, budget, t_ns = np.random.default_rng(2), 0.1, np.arange(60, dtype=np.int64)
    alarms = []
    for _ in range(1000):
        lengths = rng.integers(20, 60, size=21)
        scores = [np.cumsum(rng.normal(size=length)) for length in lengths]
        horizon = int(success_horizon(lengths[:-1]))
        peaks = [peak_until(t_ns[: len(one)], one, until_ns=horizon) for one in scores]
        alarms.append(peaks[-1] > conformal_threshold(peaks[:-1], budget=budget))
    assert np.mean(alarms) <= budget + 3.0 * np.sqrt(budget * (1 - budget) / 1000)
