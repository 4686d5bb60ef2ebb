import numpy as np
import pytest

from saqiya.domain.streams import Start
from saqiya.errors import UsageError
from saqiya.models.choice import Tried, choose_starts, failure_odds

RANGES = {"x": (0.0, 1.0), "y": (0.0, 1.0)}


def starts(n, seed=0, low=0.0, high=1.0):
    drawn = np.random.default_rng(seed).uniform(low, high, (n, 2))
    return [Start(index, {"x": x, "y": y}) for index, (x, y) in enumerate(drawn.tolist())]


def test_odds_are_high_where_the_policy_failed_and_low_where_it_succeeded():
    tried = [Tried(one, failed=one.factors["x"] > 0.7) for one in starts(60, seed=1)]
    covered = starts(20, seed=2, low=0.2, high=0.5)
    pool = [Start(0, {"x": 0.95, "y": 0.5}), Start(1, {"x": 0.3, "y": 0.5})]
    right, left = failure_odds(pool, tried, covered, RANGES)
    assert right > 0.5 > left


def test_newer_tries_outweigh_what_an_older_policy_did():
    place = starts(40, seed=3)
    old = [Tried(one, failed=one.factors["x"] > 0.5, age=8) for one in place]
    new = [Tried(one, failed=one.factors["y"] > 0.5) for one in place]
    pool = [Start(0, {"x": 0.9, "y": 0.1}), Start(1, {"x": 0.1, "y": 0.9})]
    by_x, by_y = failure_odds(pool, [*old, *new], starts(10, seed=4), RANGES)
    assert by_y > by_x


@pytest.mark.parametrize("failures", [0, 5, 30])
def test_few_or_equal_tries_say_nothing(failures):
    tried = [Tried(one, failed=failures > 0) for one in starts(7 if failures == 5 else 30)]
    assert failure_odds(starts(4), tried, starts(5), RANGES).tolist() == [0.5] * 4


def test_without_scores_the_farthest_start_comes_first():
    pool = [Start(i, {"x": x, "y": 0.5}) for i, x in enumerate((0.4, 0.9, 0.6))]
    covered = [Start(0, {"x": 0.3, "y": 0.5})]
    assert choose_starts(pool, covered, RANGES, 3) == (1, 2, 0)


def test_what_was_chosen_counts_as_covered():
    pool = [Start(i, {"x": x, "y": 0.5}) for i, x in enumerate((0.98, 1.0, 0.0))]
    covered = [Start(0, {"x": 0.45, "y": 0.5})]
    assert choose_starts(pool, covered, RANGES, 2) == (1, 2)


def test_a_mastered_corner_is_not_shown():
    pool = [Start(0, {"x": 1.0, "y": 1.0}), Start(1, {"x": 0.8, "y": 0.2})]
    covered = [Start(0, {"x": 0.5, "y": 0.5})]
    assert choose_starts(pool, covered, RANGES, 1, failing=np.array([0.01, 0.9])) == (1,)
    assert choose_starts(pool, covered, RANGES, 1, unsure=np.array([0.01, 0.9])) == (1,)


def test_every_start_is_chosen_once_even_where_none_is_worth_it():
    pool = starts(5)
    assert sorted(choose_starts(pool, pool, RANGES, 9)) == [0, 1, 2, 3, 4]


def test_nothing_covered_yet_begins_far_from_the_middle_of_the_pool():
    pool = [Start(i, {"x": x, "y": 0.5}) for i, x in enumerate((0.5, 0.52, 0.0))]
    assert choose_starts(pool, [], RANGES, 1) == (2,)


def test_scores_must_fit_the_pool():
    with pytest.raises(UsageError, match="one score for each start"):
        choose_starts(starts(3), [], RANGES, 1, failing=np.ones(2))
