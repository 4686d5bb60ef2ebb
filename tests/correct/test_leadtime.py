"""Waiting is counted for those that still wait."""

import numpy as np
import pytest

from saqiya.correct.leadtime import lead_time


def test_the_median_of_a_queue_that_is_done_is_the_median():
    told = lead_time([(1.0, True), (2.0, True), (3.0, True)], target_s=2.0)
    assert (told.median_s, told.p90_s, told.open) == (2.0, 3.0, 0)
    assert told.within[0] == pytest.approx(2 / 3)


def test_those_that_still_wait_are_not_left_out():
    told = lead_time([(1.0, True), *[(100.0, False)] * 9], target_s=10.0)
    assert told.median_s is None
    assert told.within[0] == pytest.approx(0.1)
    assert told.within[1] < 0.1 < told.within[2]


def test_nothing_asked_is_nothing_said_and_nothing_done_is_bounded():
    assert lead_time([], target_s=1.0).within is None
    assert lead_time([(5.0, False)] * 10, target_s=1.0).within == (0.0, 0.0, 0.3)
    assert lead_time([(0.5, True)] * 10, target_s=1.0).within == (1.0, 0.7, 1.0)


def test_a_random_end_of_the_books_does_not_move_the_median():
    rng = np.random.default_rng(3)
    waits, ends = rng.exponential(10.0, 4000), rng.uniform(0.0, 40.0, 4000)
    told = lead_time([(float(min(w, e)), bool(w <= e)) for w, e in zip(waits, ends, strict=True)], target_s=10.0)
    assert told.median_s == pytest.approx(10.0 * np.log(2), rel=0.08)
    assert told.within[1] < 1 - np.exp(-1) < told.within[2]
