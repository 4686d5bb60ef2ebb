"""Whose hands a live try is in: the one state machine of `rollout`, with a gate that asks."""

import numpy as np
import pytest
from tests.loop.watched import Fades, one_try

from saqiya.domain.asking import Ask
from saqiya.domain.contracts import Roll
from saqiya.domain.nouns import Source
from saqiya.loop.tries.rollout import run_try
from saqiya.mix.weights import Role, taught_by_operator
from saqiya.sites.tiny import Tiny

NEVER = Ask(np.inf, 0.0, 0.0)
LOW, HIGH = 0.0816, 0.653  # how far apart the members of `Fades` are, before it leans on a joint and after


def live(ask, *, good_n=20, seed=300, site=None, operator=True, **how):
    site = site or Tiny()
    roll = Roll("live/1", site.sample_start(seed, region=0.5), Source.CORRECTION, ask=ask)
    expert = site.expert(1) if operator else None
    return run_try(site, roll, policy=Fades(site, good_n), operator=expert, facts={"policy": "p"}, **how)


def named(done, name):
    return [event for event in done.log.events if event.name == name]


def author(done):
    return done.log.streams["author"].values[:, 0]


def test_a_gate_that_never_asks_changes_nothing():
    done, alone = live(NEVER), one_try(300, good_n=20)
    assert np.array_equal(done.log.streams["action/executed"].values, alone.log.streams["action/executed"].values)
    assert (done.takeovers, done.human_steps, done.log.metadata["asked"]) == (0, 0, [])


def test_a_high_score_asks_and_the_log_says_who_did_what_and_why():
    done = live(Ask(0.3, 0.2, 0.0))
    streams, (taken,) = done.log.streams, named(done, "takeover")
    at = int(np.argmax(author(done)))
    assert (done.success, done.takeovers, at) == (True, 1, 20)
    assert author(done)[at:].all()
    assert not author(done)[:at].any()
    assert done.human_steps == author(done).sum()
    assert taken.t_ns == streams["author"].t_ns[at]
    assert taken.detail.startswith("gate: score 0.6")
    after = slice(at, None)
    assert np.array_equal(streams["action/executed"].values[after], streams["action/operator"].values)
    assert not np.array_equal(streams["action/intended"].values[after], streams["action/operator"].values)


def test_with_a_rewind_the_person_begins_before_trouble_and_the_log_goes_on_from_there():
    done = live(Ask(0.3, 0.2, 0.0, rewind_steps=8))
    (rewound,), (taken,) = named(done, "rewind"), named(done, "takeover")
    at = int(np.argmax(author(done)))
    assert at == 10
    assert rewound.t_ns == taken.t_ns == done.log.streams["author"].t_ns[at]
    assert rewound.detail == "10 steps"
    assert done.log.metadata["asked"][0]["rewound"] == 10
    alone = one_try(300, good_n=20).log.streams["action/executed"].values
    assert np.array_equal(done.log.streams["action/executed"].values[:at], alone[:at])
    assert np.all(np.diff(done.log.streams["observation/hand"].t_ns) > 0)
    assert done.success


def test_a_site_that_restores_nothing_is_not_wound_back():
    class Cell:
        def __init__(self):
            self._site = Tiny()
            self.spec, self.reset, self.step = self._site.spec, self._site.reset, self._site.step
            self.sample_start, self.close, self.expert = self._site.sample_start, self._site.close, self._site.expert

    site = Cell()
    roll = Roll("live/1", site.sample_start(300, region=0.5), Source.CORRECTION, ask=Ask(0.3, 0.2, 0.0, rewind_steps=8))
    done = run_try(site, roll, policy=Fades(site, 20), operator=site.expert(1), facts={})
    assert named(done, "rewind") == []
    assert (int(np.argmax(author(done))), done.log.metadata["asked"][0]["rewound"]) == (20, 0)


def test_a_random_takeover_comes_at_its_step_whatever_the_score_and_says_so():
    done = live(Ask(np.inf, 0.2, 0.0, at_step=7, rewind_steps=8), good_n=10_000)
    assert int(np.argmax(author(done))) == 7
    assert named(done, "takeover")[0].detail.startswith("random")
    assert [one["random"] for one in done.log.metadata["asked"]] == [True]
    watched = live(Ask(0.3, 0.2, 0.0, at_step=5000))
    assert watched.takeovers == 0


def test_control_goes_back_when_they_agree_and_only_the_persons_steps_teach():
    done = live(Ask(np.inf, 0.2, 5.0, at_step=7), good_n=10_000)
    (back,) = named(done, "handback")
    stamps = done.log.streams["author"].t_ns
    assert np.flatnonzero(author(done)).tolist() == list(range(7, 12))
    assert back.t_ns == stamps[12]
    assert (done.success, done.human_steps) == (True, 5)
    (span,) = taught_by_operator("one", Role.CORRECTION, done.log.streams["author"]).spans
    assert (span.start_ns, span.end_ns) == (stamps[7], stamps[12])


def test_it_asks_again_after_it_handed_back_but_not_for_ever():
    done = live(Ask(0.3, 1.0, 5.0))
    assert done.takeovers == 3
    assert len(named(done, "takeover")) == 3
    assert len(named(done, "handback")) == 2


@pytest.mark.parametrize("late", [0, 10])
def test_nobody_is_asked_in_the_last_ten_steps(late):
    horizon = Tiny.spec.horizon_steps
    done = live(Ask(np.inf, 0.2, 0.0, at_step=horizon - 11 + late), good_n=20)
    assert done.takeovers == (late == 0)
