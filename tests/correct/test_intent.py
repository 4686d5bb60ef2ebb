"""The guard's answer."""

import pytest

from saqiya.correct.intent import Solved, aim_at, aim_of, objections
from saqiya.errors import UsageError


def test_a_target_is_a_mode_or_a_condition():
    assert aim_of(" slip ").label == "slip"
    told = aim_of("object=cup, object_x=0.1..0.2")
    assert told.condition == {"object": "cup", "object_x": (0.1, 0.2)}
    assert told.holds({"object": "Cup", "object_x": 0.2})
    assert not told.holds({"object": "cup", "object_x": 0.21})
    assert not told.holds({"object_x": 0.15})
    assert aim_of("plate=3").holds({"plate": 3.0})
    assert not aim_of("plate=3").holds({"plate": "three"})


def test_a_region_s_words_may_hold_commas_and_dots():
    told = aim_at({"object": "nut, M5", "bin": "v1..rc", "object_x": "0.1..0.2"})
    assert told.condition == {"object": "nut, M5", "bin": "v1..rc", "object_x": (0.1, 0.2)}


def test_a_target_s_words_may_hold_commas_too():
    told = aim_of("object=nut, M5,object_x=0.1..0.2, light=dark")
    assert told.condition == {"object": "nut, M5", "object_x": (0.1, 0.2), "light": "dark"}


@pytest.mark.parametrize(
    "target", ["", "  ", "object=", "=cup", "cup,object=nut", "object=cup,=", "x=0.3..0.1", "x=a..b"]
)
def test_a_target_that_says_nothing_is_refused(target):
    with pytest.raises(UsageError):
        aim_of(target)


def test_what_surely_fails_too_seldom_is_solved():
    (said,) = objections(Solved((1, 400), 0.02))
    assert "1 of 400" in said
    assert "1.2%" in said
    assert objections(Solved((5, 400), 0.02)) == ()


def test_twenty_tries_without_a_failure_are_an_objection_and_five_are_not():
    assert "did not fail in 20 tries" in objections(Solved((0, 20), 0.02))[0]
    assert objections(Solved((0, 5), 0.02)) == ()
    assert objections(Solved((0, 0), 0.02)) == ()


def test_starts_that_all_pass_and_the_stop_rule_are_named_too():
    found = objections(Solved((0, 5), 0.02, starts=(6, 6), enough="Collect no more."))
    assert len(found) == 2
    assert "all 6 tries" in found[0]
    assert objections(Solved((3, 60), 0.02, starts=(6, 6))) == ()
