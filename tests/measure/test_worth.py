from __future__ import annotations

import numpy as np
import pytest

from saqiya.domain.contracts import Action
from saqiya.domain.nouns import Outcome, PolicySpec
from saqiya.domain.streams import Span, Stream
from saqiya.errors import InvalidEpisode, UsageError
from saqiya.measure.worth import reference

SPEC = PolicySpec(observation={"state": 2}, action=2, rate_hz=20.0, chunk=1, execute=1, embodiment="point")
STEPS = 40


def episode(seed, *, offset=0.0, noise=0.0, author=None, extra=None, width=2, rate_hz=20.0):
    """A way to the middle from a start of its own; the action is the step, plus noise."""
    rng = np.random.default_rng(seed)
    place = np.zeros((STEPS + 1, width))
    place[0] = rng.uniform(0.5, 1.5, width) + offset
    actions = np.zeros((STEPS, width))
    for step in range(STEPS):
        actions[step] = -0.15 * place[step] + rng.normal(0.0, 0.002 + noise, width)
        place[step + 1] = place[step] + actions[step]
    t_ns = np.arange(STEPS + 1, dtype=np.int64) * round(1e9 / rate_hz)
    made = {"observation/state": Stream(t_ns, place), "action/executed": Stream(t_ns[:-1], actions)}
    if author is not None:
        made["author"] = Stream(t_ns[:-1], np.asarray(author, dtype=np.uint8)[:, None])
    if extra is not None:
        made["observation/contact"] = Stream(t_ns, extra(rng, STEPS + 1))
    return made


class Members:
    """Members that part with the distance from the middle."""

    spec = SPEC

    def reset(self, seed):
        pass

    def act(self, observation):
        samples = np.array([0.10, 0.15, 0.20])[:, None, None] * -observation["state"]
        return Action(samples.mean(axis=0), samples, np.full(2, 0.01))


class BlackBox(Members):
    def act(self, observation):
        return Action(super().act(observation).chunk)


BASE = [episode(seed) for seed in range(8)]
AGAINST = reference(BASE, policy=Members())
ALONE = reference(BASE)


def test_a_copy_is_worth_nothing_and_new_ground_is_worth_more_the_newer_it_is():
    copy, like, far = (AGAINST.worth(one).worth for one in (BASE[3], episode(50), episode(51, offset=3.0)))
    assert copy == 0.0
    assert 0.0 < like < far


def test_random_and_trembling_hands_are_worth_nothing_and_are_told_so():
    trembling = AGAINST.worth(episode(60, noise=0.3))
    assert trembling.worth == 0.0
    assert trembling.bits.total > AGAINST.worth(episode(50)).bits.total
    assert "do not follow from states" in trembling.junk


def test_a_failed_try_is_junk_however_new():
    told = AGAINST.worth(episode(51, offset=3.0), Outcome.FAILURE)
    assert (told.worth, told.junk) == (0.0, "its outcome is failure")


def test_an_unknown_outcome_is_no_fault_where_the_actions_can_be_judged():
    assert AGAINST.worth(episode(51, offset=3.0), Outcome.UNKNOWN).junk == ""


def test_what_deployment_never_meets_counts_for_little():
    met = [episode(seed) for seed in range(70, 80)]
    there = reference(BASE, policy=Members(), met=met)
    assert there.worth(episode(51, offset=20.0)).worth < 0.3 * AGAINST.worth(episode(51, offset=20.0)).worth


def test_a_black_box_is_measured_by_the_states_it_was_trained_on():
    for against in (ALONE, reference(BASE, policy=BlackBox())):
        near, far = against.worth(episode(50)), against.worth(episode(51, offset=3.0))
        assert far.bits.method == "state_surprisal"
        assert near.bits.total < far.bits.total == far.surprisal


def test_the_most_similar_episode_is_named():
    assert AGAINST.worth(BASE[5]).nearest == 5


def test_a_span_counts_its_own_steps_alone():
    long_ns = round(1e9 / SPEC.rate_hz)
    assert AGAINST.worth(BASE[0], span=Span(5 * long_ns, 30 * long_ns)).bits.steps == 25
    with pytest.raises(InvalidEpisode, match="no step in the span"):
        AGAINST.worth(BASE[0], span=Span(10**12, 10**13))


def test_where_a_person_took_over_only_their_steps_count():
    late = episode(50, author=np.arange(STEPS) >= 10)
    assert AGAINST.worth(late).bits.steps == 30
    assert AGAINST.worth(episode(50, author=np.zeros(STEPS))).bits.steps == STEPS


def test_a_jitter_of_3_mm_in_a_channel_that_stood_still_is_no_news():
    """With a scale of the channel's own noise it brought twelve bits a step, and every copy looked new."""

    def silent(rng, steps):
        return rng.normal(0.0, 1e-7, (steps, 1))

    def jittered(rng, steps):
        return rng.normal(0.0, 3e-3, (steps, 1))

    against = reference([episode(seed, extra=silent) for seed in range(8)])
    shaken = {**episode(3, extra=silent), "observation/contact": episode(3, extra=jittered)["observation/contact"]}
    assert against.worth(shaken).surprisal == 0.0
    assert against.worth(shaken).worth < 0.01
    assert against.worth(episode(51, offset=3.0, extra=silent)).surprisal > 10.0


def test_other_widths_and_rates_are_measured_too():
    wide = [episode(seed, width=7, rate_hz=100.0) for seed in range(4)]
    against = reference(wide)
    assert against.worth(episode(9, width=7, rate_hz=100.0, offset=2.0)).worth > 0.0
    assert against.worth(episode(9, width=7, rate_hz=100.0, noise=0.4)).junk != ""


def test_nothing_to_compare_with_is_refused():
    with pytest.raises(UsageError, match="neither a policy"):
        reference([])
    with pytest.raises(UsageError, match="dataset"):
        reference(BASE[:1]).worth(BASE[0])
