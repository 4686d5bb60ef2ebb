"""The known mistakes of a first collection."""

import numpy as np
import pytest

from saqiya.correct.habits import many_operators, mixed_strategies, round_count, two_ways


def test_three_operators_are_many_and_strays_do_not_count():
    assert "ann 60%" in many_operators({"ann": 60, "bob": 25, "cid": 15})
    assert many_operators({"ann": 60, "bob": 40}) == ""
    assert many_operators({"ann": 90, "bob": 6, "cid": 4}) == ""


def test_two_grips_are_mixed_and_one_slip_of_the_pen_is_not():
    (said,) = mixed_strategies({"grip": {"pinch": 30, "scoop": 10}, "arms": {"one arm": 39, "two arms": 1}})
    assert "pinch 30 of 40" in said


def tries(n, rng, *, two):
    """Paths that bend with their start; with `two`, every third goes round the other side."""
    starts = rng.uniform(-1, 1, (n, 2))
    time = np.linspace(0, 1, 20)
    bend = np.where(np.arange(n) % 3 == 0, -1.0, 1.0) if two else np.ones(n)
    path = starts[:, :1] * (1 - time) + 0.4 * bend[:, None] * np.sin(np.pi * time) + 0.3 * starts[:, 1:] ** 2 * time
    return path + rng.normal(0, 0.05, (n, 1)) * time + rng.normal(0, 0.02, path.shape), starts


def test_two_ways_from_like_starts_are_seen():
    rows, starts = tries(45, np.random.default_rng(0), two=True)
    assert "two ways, 67% and 33% of 45" in two_ways(rows, starts, seed=0)


@pytest.mark.parametrize("seen_first", [False, True])
def test_one_way_is_seldom_taken_for_two(seen_first):
    false = 0
    for seed in range(60):
        rows, starts = tries(40, np.random.default_rng(seed), two=False)
        false += bool(two_ways(rows, np.column_stack([rows[:, :1], starts**2]) if seen_first else starts, seed=seed))
    assert false <= 3


def test_few_demonstrations_say_nothing_of_ways():
    rows, starts = tries(12, np.random.default_rng(0), two=True)
    assert two_ways(rows, starts, seed=0) == ""


def test_without_starts_nothing_is_said_of_ways():
    rows, starts = tries(45, np.random.default_rng(0), two=True)
    assert two_ways(rows, starts[:, :0], seed=0) == ""


def errors(*means):
    return np.array(means)[:, None] * np.random.default_rng(0).normal(1.0, 0.01, (len(means), 8))


def test_a_round_count_is_held_against_the_curve():
    assert "no plateau" in round_count(100, (20, 40, 80), errors(1.0, 0.7, 0.5))
    assert "past the plateau" in round_count(200, (40, 80, 160), errors(0.5, 0.5, 0.5))
    assert round_count(87, (20, 40, 80), errors(1.0, 0.7, 0.5)) == ""
    assert round_count(100, (20, 40, 80), errors(1.0, 0.6, 0.56)) == ""


@pytest.mark.parametrize("seed", range(6))
def test_two_ways_are_seen_at_a_level_that_is_shared_among_three_directions(seed):
    rows, starts = tries(45, np.random.default_rng(seed), two=True)
    assert "two ways" in two_ways(rows, starts, seed=seed)
