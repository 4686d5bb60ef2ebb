"""What corrections may bring, learned from what they brought."""

import pytest

from saqiya.correct.experience import Lesson, expect
from saqiya.errors import UsageError

GOOD = [Lesson("slip", 20, (60, 200), (6, 200)), Lesson("stall", 20, (40, 200), (5, 200))]
BAD = [Lesson("slip", 20, (60, 200), (62, 200)), Lesson("slip", 20, (62, 200), (58, 200))]


def gain(mode, lessons, count=20, failures=(40, 200)):
    return expect(mode, failures, lessons, seed=0).gain(count)


def test_without_history_the_interval_is_wide_and_says_that_harm_is_possible():
    value, low, high = gain("slip", [])
    assert low < 0.0 < value < high
    assert high - low > 0.1


def test_history_moves_the_expectation_and_narrows_it():
    hope, doubt, prior = gain("slip", GOOD), gain("slip", BAD), gain("slip", [])
    assert doubt[0] < prior[0] < hope[0]
    assert hope[2] - hope[1] < prior[2] - prior[1]
    assert hope[1] > 0.0


def test_other_modes_speak_too_but_more_softly():
    own, other, prior = gain("slip", BAD), gain("weak_grasp", BAD), gain("weak_grasp", [])
    assert own[0] < other[0] < prior[0]


def test_each_next_correction_brings_less():
    told = expect("slip", (40, 200), GOOD, seed=0)
    gains = [told.gain(10, after=n)[0] for n in (0, 10, 20, 40)]
    assert gains == sorted(gains, reverse=True)
    assert told.gain(20)[0] == pytest.approx(told.gain(10)[0] + told.gain(10, after=10)[0])


def test_equal_seeds_give_equal_answers_and_lessons_are_counted():
    assert gain("slip", GOOD) == gain("slip", GOOD)
    assert expect("slip", (1, 20), GOOD, seed=0).lessons == (2, 1)


def test_counts_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="cannot be"):
        expect("slip", (21, 20), [], seed=0)
