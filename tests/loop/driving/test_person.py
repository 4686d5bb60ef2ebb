import numpy as np
import pytest

from saqiya.domain.controls import Axis, Controls
from saqiya.loop.driving.person import Inputs, Person
from saqiya.sites.tiny import Tiny

SPEC = Tiny.spec
PLACE = Controls((Axis("left, right", ("ArrowLeft", "ArrowRight"), (1.0, 0.0, 0.0)),), (0.0,) * 3, "hand", (0, 1))


def person(controls=Tiny.controls, held=(0.0, 0.0, -1.0)):
    made = Person("ada", controls, SPEC, pace_hz=10.0)  # the blend takes three steps
    made.take(None if held is None else np.array(held))
    return made


def acts(who, steps, **inputs):
    who.inputs = Inputs(**inputs)
    return [who.act({"hand": np.array([0.5, -0.5, 0.0, 0.0, 1.0])}).tolist() for _ in range(steps)]


def test_keys_move_their_dimension_and_let_go_it_rests():
    who = person()
    assert acts(who, 3, axes=(1.0, 0.0, 0.0))[-1] == [-1.0, 0.0, -1.0]
    assert acts(who, 1)[-1] == [0.0, 0.0, -1.0]


def test_a_switch_stays_where_it_was_put():
    who = person()
    assert acts(who, 3, axes=(0.0, 0.0, 1.0))[-1][2] == 1.0
    assert acts(who, 1)[-1][2] == 1.0
    assert acts(who, 1, axes=(0.0, 0.0, -1.0))[-1][2] == -1.0


def test_a_switch_stands_as_whoever_acted_before_left_it():
    assert acts(person(held=(0.0, 0.0, 0.7)), 3)[-1][2] == 1.0
    assert acts(person(held=(0.0, 0.0, -0.7)), 3)[-1][2] == -1.0


def test_the_first_action_is_a_third_of_the_way_from_what_was_held():
    third = [row[0] for row in acts(person(held=(0.9, 0.0, -1.0)), 4, axes=(1.0,))]
    assert third == pytest.approx([0.9 - 1.9 / 3, 0.9 - 2 * 1.9 / 3, -1.0, -1.0])


def test_a_place_is_held_and_begins_where_the_robot_is():
    who = person(PLACE, held=None)
    assert acts(who, 3)[-1] == [0.5, -0.5, 0.0]
    assert acts(who, 2, axes=(1.0,))[-1] == pytest.approx([0.7, -0.5, 0.0])
    assert acts(who, 2)[-1] == pytest.approx([0.7, -0.5, 0.0])


def test_a_pointer_sets_a_place_within_the_bounds():
    who = person(PLACE, held=None)
    assert acts(who, 4, point=(0.25, 1.0))[-1][:2] == [-0.5, 1.0]
    assert acts(who, 1, point=(7.0, -7.0))[-1][:2] == [1.0, -1.0]
    assert acts(who, 1)[-1][:2] == [1.0, -1.0]


def test_too_few_and_too_many_and_too_large_deflections_do_no_harm():
    assert acts(person(), 3, axes=(9.0,))[-1] == [-1.0, 0.0, -1.0]
    assert acts(person(), 3, axes=(0.0,) * 9)[-1] == [0.0, 0.0, -1.0]
    assert not Inputs(axes=(0.0, 0.0)).moves
    assert Inputs(point=(0.0, 0.0)).moves
