from __future__ import annotations

import numpy as np
import pytest

from saqiya.domain.contracts import Action
from saqiya.domain.nouns import PolicySpec
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode, UsageError
from saqiya.measure.bits import epistemic_bits

SPEC = PolicySpec(observation={"state": 2}, action=1, rate_hz=20.0, chunk=2, execute=1, embodiment="arm")
RANGE = np.array([2.0])


class Members:
    """Linear members: each answers with its own gain times the first observation."""

    def __init__(self, gains, noise=None):
        self.spec, self.gains, self.noise = SPEC, np.array(gains), noise

    def reset(self, seed):
        pass

    def act(self, observation):
        samples = np.repeat((self.gains * observation["state"][0])[:, None, None], 2, axis=1)
        return Action(samples.mean(axis=0), samples, self.noise)


class BatchedMembers(Members):
    def act_batch(self, observations):
        samples = self.gains[:, None, None, None] * observations["state"][None, :, :1, None].repeat(2, axis=2)
        return Action(samples.mean(axis=0), samples, self.noise)


class Alone(Members):
    def act(self, observation):
        return Action(super().act(observation).chunk)


def episode(values):
    t_ns = np.arange(len(values) + 1, dtype=np.int64)
    state = np.stack([np.append(values, 0.0), np.zeros(len(values) + 1)], axis=1)
    return {"observation/state": Stream(t_ns, state), "action/executed": Stream(t_ns[:-1], np.zeros((len(values), 1)))}


def test_members_that_agree_have_nothing_to_learn():
    bits = epistemic_bits(Members([2.0, 2.0, 2.0]), episode([1.0, 5.0]), action_range=RANGE, noise=np.ones(1))
    assert (bits.total, bits.steps) == (0.0, 2)


def test_bits_follow_the_formula():
    bits = epistemic_bits(Members([-1.0, 1.0]), episode([1.0]), action_range=RANGE, noise=np.ones(1))
    assert bits.total == pytest.approx(0.5 * np.log2(1.0 + 2.0))


def test_one_batch_gives_what_single_answers_give():
    log, noise = episode(np.linspace(0, 3, 20)), np.full(1, 0.3)
    one = epistemic_bits(Members([1.0, 1.5, 0.2], noise), log, action_range=RANGE)
    batch = epistemic_bits(BatchedMembers([1.0, 1.5, 0.2], noise), log, action_range=RANGE)
    assert batch.per_step == pytest.approx(one.per_step)
    assert one.mean == pytest.approx(one.total / 20)


def test_a_policy_sure_of_its_noise_cannot_make_bits_of_rounding():
    bits = epistemic_bits(Members([1.0, 1.0 + 1e-6]), episode([1.0]), action_range=RANGE, noise=np.full(1, 1e-12))
    assert bits.total < 1e-6


def test_a_black_box_is_sent_to_state_surprisal():
    with pytest.raises(UsageError, match="state surprisal"):
        epistemic_bits(Alone([1.0, 2.0]), episode([1.0]), action_range=RANGE, noise=np.ones(1))


def test_unknown_noise_is_not_guessed():
    with pytest.raises(UsageError, match="noise"):
        epistemic_bits(Members([1.0, 2.0]), episode([1.0]), action_range=RANGE)


def test_an_episode_without_the_policys_observation_is_refused():
    with pytest.raises(InvalidEpisode, match="observation/state"):
        epistemic_bits(Members([1.0, 2.0]), {}, action_range=RANGE, noise=np.ones(1))
