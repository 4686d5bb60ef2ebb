from __future__ import annotations

import numpy as np

from saqiya.measure.learnable import learnable_bits

NOISE = np.full(2, 0.05)
STATES = np.linspace(-1.0, 1.0, 80)[:, None] * [1.0, 0.5]


def test_a_habit_that_the_policy_lacks_is_learnable():
    assert learnable_bits(STATES, np.sin(3.0 * STATES), NOISE) > 40.0


def test_noise_teaches_nothing_however_much_it_surprises():
    found = [learnable_bits(STATES, np.random.default_rng(seed).normal(size=(80, 2)), NOISE) for seed in range(20)]
    assert np.median(found) == 0.0
    assert max(found) < 15.0


def test_what_the_policy_knows_is_not_learned_again():
    rng = np.random.default_rng(0)
    assert learnable_bits(STATES, rng.normal(0.0, 0.02, (80, 2)), NOISE) < 1.0


def test_a_short_episode_says_nothing():
    assert learnable_bits(STATES[:19], STATES[:19], NOISE) is None


def test_a_long_one_costs_no_more_than_its_share():
    long = np.repeat(STATES, 100, axis=0)
    assert learnable_bits(long, np.sin(3.0 * long), NOISE) > 40.0
