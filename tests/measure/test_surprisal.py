from __future__ import annotations

import numpy as np
import pytest

from saqiya.domain.streams import Stream
from saqiya.errors import UsageError
from saqiya.measure.surprisal import state_space


def episode(seed, shift=0.0, contact=0.0, n=50):
    rng = np.random.default_rng(seed)
    path = np.linspace(0, 1, n)[:, None] * [1.0, 0.5] + rng.normal(scale=0.05, size=2) + shift
    state = np.concatenate([path, np.full((n, 1), contact)], axis=1)
    return {"observation/state": Stream(np.arange(n, dtype=np.int64), state)}


SPACE = state_space([episode(seed) for seed in range(20)])


def test_a_copy_of_a_training_episode_brings_no_bits():
    assert SPACE.bits(episode(3)).total == 0.0


def test_new_ground_brings_more_bits_the_farther_it_lies():
    near, far = SPACE.bits(episode(99, shift=5.0)).mean, SPACE.bits(episode(99, shift=50.0)).mean
    assert 0.0 < near < far
    assert far - near == pytest.approx(np.log2(10.0), abs=0.3)


def test_a_jitter_in_a_constant_channel_brings_no_bits():
    assert SPACE.bits(episode(3, contact=0.003)).mean < 0.1


def test_one_episode_cannot_say_what_is_usual():
    with pytest.raises(UsageError, match="two or more"):
        state_space([episode(0)])
