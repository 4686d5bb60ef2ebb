"""Choosing episodes that say most where nothing was said."""

import numpy as np
import pytest

from saqiya.errors import UsageError
from saqiya.mix.choose import choose


def line(at, steps=5):
    return np.column_stack([np.full(steps, float(at)), np.linspace(0.0, 0.1, steps)])


def test_a_copy_of_what_was_chosen_is_worth_nothing():
    states = [line(5.0), line(5.0), line(3.0)]
    found = choose(states, [np.ones(5)] * 3, line(0.0), 3)
    assert found.indices == (0, 2, 1)
    assert found.worth[2] == 0.0


def test_a_copy_of_what_is_known_is_worth_nothing_however_many_bits_it_has():
    found = choose([line(0.0), line(1.0)], [np.full(5, 100.0), np.full(5, 0.1)], line(0.0), 1)
    assert found.indices == (1,)


def test_of_two_equally_far_the_one_with_more_bits_comes_first():
    found = choose([line(2.0), line(-2.0)], [np.ones(5), np.full(5, 3.0)], line(0.0), 2)
    assert found.indices == (1, 0)


def test_a_long_episode_is_worth_no_more_than_a_short_one():
    found = choose([line(2.0, 200), line(2.5, 5)], [np.ones(200), np.ones(5)], line(0.0), 1)
    assert found.indices == (1,)


def test_with_nothing_known_bits_alone_decide_first_and_distance_afterwards():
    found = choose(
        [line(0.0), line(0.1), line(9.0)], [np.full(5, 2.0), np.full(5, 1.9), np.ones(5)], np.zeros((0, 2)), 2
    )
    assert found.indices == (0, 2)


def test_the_order_of_the_candidates_changes_nothing():
    rng = np.random.default_rng(0)
    states, bits = [rng.normal(size=(7, 3)) for _ in range(12)], [rng.random(7) for _ in range(12)]
    order = rng.permutation(12)
    straight = choose(states, bits, rng.normal(size=(9, 3)) * 0 + 1.0, 5).indices
    mixed = choose([states[i] for i in order], [bits[i] for i in order], np.ones((9, 3)), 5).indices
    assert straight == tuple(int(order[i]) for i in mixed)


def test_more_than_there_are_gives_all():
    assert len(choose([line(1.0), line(2.0)], [np.ones(5)] * 2, line(0.0), 9).indices) == 2


def test_bits_that_do_not_belong_to_the_states_are_refused():
    with pytest.raises(UsageError, match="4 bits for 5 states"):
        choose([line(1.0)], [np.ones(4)], line(0.0), 1)
