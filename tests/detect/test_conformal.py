from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.detect.conformal import (
    alarm_spans,
    conformal_threshold,
    fewest_successes,
    peak_until,
    success_horizon,
)
from saqiya.domain.streams import Span
from saqiya.errors import UsageError

STAMPS = np.array([0, 10, 20, 30, 40], dtype=np.int64)


def test_the_threshold_is_the_exact_rank_not_the_plain_quantile():
    assert conformal_threshold(range(1, 20), budget=0.1) == 18
    assert conformal_threshold(range(1, 11), budget=0.1) == 10


def test_too_few_successes_give_no_threshold():
    assert conformal_threshold(range(8), budget=0.1) is None
    assert conformal_threshold([], budget=0.1) is None
    assert conformal_threshold(range(9), budget=0.1) == 8


@given(st.floats(0.01, 0.5))
def test_the_fewest_successes_are_just_enough(budget):
    n = fewest_successes(budget)
    assert conformal_threshold(np.zeros(n), budget=budget) == 0.0
    assert conformal_threshold(np.zeros(n - 1), budget=budget) is None


@given(st.lists(st.floats(-10, 10), min_size=20, max_size=60), st.floats(0.05, 0.5))
def test_no_more_successes_than_the_budget_lie_above_it(peaks, budget):
    threshold = conformal_threshold(peaks, budget=budget)
    assert threshold is not None
    assert np.mean(np.array(peaks) > threshold) <= budget


@pytest.mark.parametrize("budget", [0.0, 1.0, -0.1])
def test_a_budget_outside_its_range_is_refused(budget):
    with pytest.raises(UsageError, match="budget"):
        conformal_threshold([1.0], budget=budget)


def test_the_horizon_is_a_length_that_nine_in_ten_successes_keep():
    assert success_horizon(range(1, 11)) == 9
    assert success_horizon([7.0]) == 7.0


def test_no_success_has_no_horizon():
    with pytest.raises(UsageError, match="no success"):
        success_horizon([])


def test_the_peak_counts_only_what_came_before():
    assert peak_until(STAMPS, np.array([0.0, 1, 2, 3, 9]), until_ns=40) == 3.0
    assert peak_until(STAMPS, np.zeros(5), until_ns=0) == float("-inf")


def test_alarms_are_the_spans_above_the_threshold():
    spans = alarm_spans(STAMPS, np.array([2.0, 1, 3, 4, 2]), 1.0)
    assert spans == ((Span(0, 10), 2.0), (Span(20, 41), 4.0))


def test_a_score_at_the_threshold_is_no_alarm():
    assert alarm_spans(STAMPS, np.ones(5), 1.0) == ()


def test_an_infinite_threshold_never_alarms():
    assert alarm_spans(STAMPS, np.full(5, 1e9), None) == ()
