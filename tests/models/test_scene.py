from __future__ import annotations

import numpy as np
import pytest

from saqiya.domain.streams import Event, Span, Stream
from saqiya.models.scene import scene, usual

T_NS = np.arange(100, dtype=np.int64) * 50_000_000
SPAN = Span(0, int(T_NS[-1]) + 1)


def stream(values):
    return Stream(T_NS.copy(), np.asarray(values, dtype=np.float64))


def seen(until_ns=None, events=(), **streams):
    return scene({name.replace("__", "/"): stream(value) for name, value in streams.items()}, events, SPAN,
                 until_ns=until_ns)  # fmt: skip


def line(*columns):
    return np.stack([np.broadcast_to(column, 100) for column in columns], axis=1)


def test_what_is_not_logged_is_left_out():
    assert seen() == {}
    assert seen(camera__front=np.zeros((100, 2, 2)), observation__hand=line(0.0)) == {}


def test_the_way_from_object_to_goal_is_read_or_made():
    logged = seen(observation__carry=line(np.linspace(3.0, 0.0, 100), 4.0))
    made = seen(observation__object=line(np.linspace(-3.0, 0.0, 100), 0.0, 0.0, 9.0), goal=line(0.0, 4.0, 0.0))
    assert logged == made == {"goal_first_m": 5.0, "goal_last_m": 4.0}


def test_a_quaternion_and_its_negative_and_either_order_are_one_angle():
    half = np.cos(0.2), np.sin(0.2)
    for turned in ((half[0], 0.0, 0.0, half[1]), (-half[0], 0.0, 0.0, -half[1])):
        for order in (1, -1):
            pair = {"object__orientation": line(*turned[::order]), "goal__orientation": line(*(1, 0, 0, 0)[::order])}
            assert seen(**pair)["angle_rad"] == pytest.approx(0.4)
    axes = {"object__orientation": line(0.0, np.sin(0.3), np.cos(0.3)), "goal__orientation": line(0.0, 0.0, 1.0)}
    assert seen(**axes)["angle_rad"] == pytest.approx(0.3)
    assert "angle_rad" not in seen(object__orientation=line(0.0, 0.0, 0.0, 0.0), goal__orientation=line(1, 0, 0, 0))


def test_the_first_closing_is_measured_where_it_was_closed():
    opening = np.concatenate([np.full(40, 0.8), np.linspace(0.8, 0.4, 10), np.full(20, 0.4), np.full(30, 0.8)])
    found = seen(gripper__opening=line(opening), observation__reach=line(np.linspace(0.99, 0.0, 100), 0.0, 0.0))
    assert found["closed_to"] == pytest.approx(0.5)
    assert found["closed_s"] == pytest.approx(T_NS[44] / 1e9)
    assert found["closed_reach_m"] == pytest.approx(0.5, abs=0.02)
    assert "closed_s" not in seen(gripper__opening=line(0.8))


@pytest.mark.parametrize(("told_row", "let_go"), [(59, 1.0), (40, 0.0)])
def test_a_hold_that_ends_was_let_go_when_the_command_changed_just_before(told_row, let_go):
    held = (np.arange(100) >= 20) & (np.arange(100) < 60)
    held[[30, 70]] = False, True  # contact chatters
    found = seen(object__grasped=line(held), action__executed=line(0.5, np.where(np.arange(100) < told_row, 1.0, -1.0)))
    assert found == {"held": 1.0, "holds_n": 1.0, "dropped_s": 3.0, "let_go": let_go}


def test_what_is_held_to_the_end_was_not_dropped():
    found = seen(puck__held=line(np.arange(100) > 20), action__executed=line(np.arange(100)))
    assert found == {"held": 1.0, "holds_n": 1.0}


def test_an_arm_is_still_from_when_it_came_where_it_stayed():
    found = seen(hand=line(np.minimum(np.arange(100), 60.0), 0.0))
    assert found["still_s"] == pytest.approx((99 - 58) * 0.05)


def test_what_a_person_did_is_not_read():
    until_ns = int(T_NS[50])
    events = [Event(0, "phase/reach"), Event(until_ns + 1, "phase/grasp"), Event(5, "bell")]
    held = np.arange(100) > 60
    found = seen(until_ns, events, object__held=line(held), carry=line(np.linspace(99.0, 0.0, 100)))
    assert found == {"phase_s/reach": 0.0, "held": 0.0, "holds_n": 0.0, "goal_first_m": 99.0, "goal_last_m": 49.0}


def test_gaps_in_a_log_are_not_read_as_numbers():
    carry = np.linspace(1.0, 0.5, 100)
    carry[-3:] = np.nan
    assert seen(carry=line(carry))["goal_last_m"] == pytest.approx(carry[-4])
    assert seen(carry=line(np.nan)) == {}


def test_what_is_usual_needs_eight_successes():
    some = [{"goal_last_m": value} for value in np.linspace(0.0, 1.0, 21)]
    assert usual(some)["goal_last_m"] == pytest.approx((0.05, 0.95))
    assert usual(some[:7]) == {}
