import numpy as np
import pytest

from saqiya.detect.area import area_of, gain_over


def test_area_counts_pairs_and_halves_ties() -> None:
    assert area_of("x", [2.0, 1.0], [1.0, 0.0], seed=0).value == 0.875


def test_a_rival_may_be_turned_round() -> None:
    area = area_of("stopwatch", [1.0, 2.0], [3.0, 4.0], seed=0, either_way=True)
    assert (area.value, area.turned) == (1.0, True)


def test_perfect_separation_keeps_an_honest_interval() -> None:
    area = area_of("x", [9.0] * 8, [1.0] * 30, seed=0)
    assert (area.low, area.high) == (pytest.approx(0.6306, abs=1e-4), 1.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for seed in range(60):  # the true area of N(1,1) over N(0,1) is 0.760
        area = area_of("x", list(rng.normal(1.0, size=30)), list(rng.normal(size=30)), seed=seed)
        hits += area.low <= 0.760 <= area.high
    assert 51 <= hits <= 60


def test_the_gain_over_an_equal_rival_is_zero() -> None:
    scores = ([3.0, 1.0, 2.0], [0.0, 1.5, 0.5])
    assert gain_over(scores, scores, seed=0)[0] == 0.0


def test_two_perfect_scores_leave_the_gain_open() -> None:
    value, low, high = gain_over(([9.0] * 8, [1.0] * 9), ([1.0] * 8, [9.0] * 9), seed=0)
    assert value == 0.0
    assert low < -0.3
    assert high > 0.3
