from __future__ import annotations

import numpy as np
import pytest

from saqiya.domain.contracts import Action, Roll
from saqiya.domain.nouns import PolicySpec, Source
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode
from saqiya.loop.tries.rollout import run_try
from saqiya.loop.tries.shadow import shadow
from saqiya.sites.tiny import Tiny


class Echo:
    """Wants what it sees, and its members a little less and more; says four actions, two of which are carried out."""

    spec = PolicySpec({"hand": 5}, action=3, rate_hz=20.0, chunk=4, execute=2, embodiment="two-joint-arm")

    def __init__(self):
        self.asked = 0

    def reset(self, seed):
        self.draws = np.random.default_rng(seed)

    def act(self, observation):
        self.asked += 1
        wish = np.clip(observation["hand"][:3] + self.draws.normal(0.0, 0.1, 3), -1.0, 1.0)
        chunk = wish * np.array([[1.0], [0.9], [0.8], [0.7]])
        return Action(chunk, samples=np.stack([chunk - 0.1, chunk + 0.1]))


def test_afterwards_it_wants_what_it_wanted_live():
    site = Tiny()
    roll = Roll("try", site.sample_start(4), Source.ROLLOUT)
    live = run_try(site, roll, policy=Echo(), operator=None, facts={}, shadows={"echo": Echo()}).log.streams
    later = shadow(Echo(), "echo", live, seed=4)
    assert set(later) == {"shadow/echo/action", "shadow/echo/uncertainty"}
    for name, stream in later.items():
        assert np.array_equal(stream.t_ns, live[name].t_ns)
        assert np.array_equal(stream.values, live[name].values)


def seen(rate_hz=100.0, seconds=2.0, offset_ns=0):
    stamps = offset_ns + np.arange(round(rate_hz * seconds) + 1, dtype=np.int64) * round(1e9 / rate_hz)
    return Stream(stamps, np.repeat((stamps - offset_ns)[:, None] / 1e10, 5, axis=1))


def test_a_log_of_another_rate_is_answered_at_the_policys_own():
    found = shadow(Echo(), "echo", {"observation/hand": seen(offset_ns=7)}, seed=0)["shadow/echo/action"]
    assert found.t_ns[:3].tolist() == [7, 50_000_007, 100_000_007]
    assert len(found.t_ns) == 41


def test_a_chunk_is_used_up_before_the_policy_is_asked_again():
    policy = Echo()
    shadow(policy, "echo", {"observation/hand": seen()}, seed=0)
    assert policy.asked == 21


def test_it_never_sees_what_came_later():
    whole = seen()
    begun = Stream(whole.t_ns[:101].copy(), whole.values[:101].copy())
    first, all_of_it = (
        shadow(Echo(), "echo", {"observation/hand": one}, seed=0)["shadow/echo/action"].values for one in (begun, whole)
    )
    assert np.array_equal(first, all_of_it[: len(first)])


def test_what_the_policy_reads_must_be_there():
    with pytest.raises(InvalidEpisode, match="hand, which the policy reads"):
        shadow(Echo(), "echo", {"observation/state": seen()}, seed=0)


def test_it_must_have_the_width_that_the_policy_reads():
    narrow = Stream(seen().t_ns.copy(), seen().values[:, :4].copy())
    with pytest.raises(InvalidEpisode, match="4 numbers, and the policy reads 5"):
        shadow(Echo(), "echo", {"observation/hand": narrow}, seed=0)
