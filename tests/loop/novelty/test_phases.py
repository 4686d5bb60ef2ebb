import dataclasses

import pytest

from saqiya.evaluate.intervals import clopper_pearson
from saqiya.loop.novelty.phases import _needing, more_tries, place_of
from saqiya.measure.saturation import Curve, Point


def test_a_wheel_stands_where_its_last_policy_puts_it(turned_once):
    place = place_of(turned_once, turned_once.scope)
    assert place.phase == turned_once.config.phases.current(place.low)
    assert f"{place.good}/{place.tries}" in place.because
    assert place.bar > place.low
    assert place.needs


def test_a_scope_without_a_try_begins_at_the_bootstrap(turned_once):
    place = place_of(turned_once, "nobody@knows/it")
    assert (place.phase, place.tries, place.next) == ("bootstrap", 0, "mining")
    assert "demonstrations" in place.needs[0]


@pytest.mark.parametrize(("good", "tries", "bar"), [(80, 100, 0.75), (31, 50, 0.6), (90, 100, 0.89)])
def test_more_tries_are_just_enough(good, tries, bar):
    found = more_tries(good / tries, tries, bar)
    assert clopper_pearson(round(good / tries * found), found).low >= bar
    assert found > tries
    assert more_tries(bar, tries, bar) is None


def test_needs_are_numbers(turned_once):
    place = dataclasses.replace(
        place_of(turned_once, "nobody@knows/it"), phase="mining", next="active_learning", bar=0.7,
        good=138, tries=200, low=clopper_pearson(138, 200).low,
    )  # fmt: skip
    rising = Curve("task", (Point(20, 46, 200), Point(45, 110, 200), Point(60, 138, 200)))
    found = _needing(place, rising, 0)
    assert "from 62% to 70%" in found.needs[0]
    assert found.demonstrations.value is not None
    assert f"about {found.demonstrations.value} more demonstrations" in found.needs[-1]
    blind = _needing(place, Curve("task", ()), 0)
    assert "--declare demonstrations=N" in blind.needs[-1]
    few = _needing(dataclasses.replace(place, good=4, tries=5, low=clopper_pearson(4, 5).low), rising, 0)
    assert "too few" in few.needs[0]
