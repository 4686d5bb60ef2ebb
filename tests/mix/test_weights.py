from __future__ import annotations

import numpy as np
import pytest

from saqiya.domain.nouns import Role
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode, UsageError
from saqiya.mix.weights import Lessons, entries, share_of_copies, taught_by_operator, whole


def stream(values):
    return Stream(np.arange(len(values), dtype=np.int64) * 10, np.array(values, dtype=np.uint8)[:, None])


def test_every_step_of_a_demonstration_teaches():
    lessons = whole("episode-a", Role.ANCHOR, stream([0, 0, 0]))
    assert [(span.start_ns, span.end_ns) for span in lessons.spans] == [(0, 21)]
    assert lessons.samples_n == 3


def test_of_a_correction_only_the_operators_steps_teach():
    lessons = taught_by_operator("episode-a", Role.CORRECTION, stream([0, 0, 1, 1, 0, 1]))
    assert [(span.start_ns, span.end_ns) for span in lessons.spans] == [(20, 40), (50, 51)]
    assert lessons.samples_n == 3


def test_a_correction_that_nobody_gave_is_refused():
    with pytest.raises(InvalidEpisode, match="no step that teaches"):
        taught_by_operator("episode-a", Role.CORRECTION, stream([0, 0]))


def test_natural_weights_count_every_sample_once():
    made = entries([whole("a", Role.ANCHOR, stream([0] * 9)), taught_by_operator("b", Role.CORRECTION, stream([1]))])
    assert [(entry.episode, entry.weight) for entry in made] == [("a", 1.0), ("b", 1.0)]


def test_declared_shares_are_the_shares_of_the_loss():
    lessons = [Lessons("a", Role.ANCHOR, whole("a", Role.ANCHOR, stream([0] * 90)).spans, 90)]
    lessons += [taught_by_operator("b", Role.CORRECTION, stream([1] * 10))]
    old, new = entries(lessons, shares={Role.ANCHOR: 0.7, Role.CORRECTION: 0.3})
    mass = {"old": old.weight * 90, "new": new.weight * 10}
    assert mass["new"] / sum(mass.values()) == pytest.approx(0.3)
    assert sum(mass.values()) == pytest.approx(100.0)


@pytest.mark.parametrize("shares", [{Role.ANCHOR: 0.9}, {Role.ANCHOR: 0.5, Role.REPLAY: 0.5}])
def test_shares_that_do_not_fit_are_refused(shares):
    with pytest.raises(UsageError, match="loss shares"):
        entries([whole("a", Role.ANCHOR, stream([0]))], shares=shares)


def test_a_group_of_copies_weighs_together_what_one_episode_weighs():
    share = share_of_copies("abcdx", [("a", "b"), ("b", "c"), ("gone", "d"), ("gone", "e")])
    assert share == {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
    lessons = [whole(name, Role.ANCHOR, stream([0] * 9)) for name in "abcdx"]
    weight = {entry.episode: entry.weight for entry in entries(lessons, copies=share)}
    assert weight["a"] + weight["b"] + weight["c"] == pytest.approx(1.0)
    assert weight["d"] == weight["x"] == 1.0


def test_copies_of_one_that_was_left_out_are_copies_of_each_other():
    assert share_of_copies("de", [("gone", "d"), ("gone", "e")]) == {"d": 0.5, "e": 0.5}
