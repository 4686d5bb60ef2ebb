"""The account gives every second to one kind, and calls its own what the work did not need."""

from __future__ import annotations

import types

import pytest

from saqiya.loop import account
from saqiya.loop.account import Account


@pytest.fixture
def clock(monkeypatch):
    """A stopwatch that a test moves."""
    now = types.SimpleNamespace(s=100.0)
    monkeypatch.setattr(account.time, "perf_counter", lambda: now.s)
    return now


def test_time_is_own_until_it_is_booked(clock):
    one = Account()
    clock.s += 3
    with one.spent("optimiser"):
        clock.s += 7
    assert one.seconds() == {"optimiser": 7.0, "own": 3.0}
    assert (one.own_share(0), one.busy_share()) == pytest.approx((0.3, 0.3))


def test_an_inner_block_is_counted_once(clock):
    one = Account()
    with one.spent("optimiser"):
        clock.s += 2
        with one.spent("start-up"):
            clock.s += 5
        clock.s += 1
    assert one.seconds() == {"optimiser": 3.0, "start-up": 5.0, "own": 0.0}


def test_a_rollout_in_this_process_leaves_its_own_part_with_us(clock):
    one = Account()
    clock.s += 10
    one.here({"simulation": 6.0, "inference": 2.0, "own": 1.0})
    assert one.seconds() == {"simulation": 6.0, "inference": 2.0, "own": 2.0}
    assert (one.own_share(0), one.busy_share()) == pytest.approx((0.2, 0.2))


def test_work_of_two_processes_counts_half_of_the_wall_and_a_gap_counts_as_ours(clock):
    one = Account()
    with one.spent("waiting"):
        clock.s += 10
    one.add({"simulation": 8.0, "own": 1.0})
    one.add({"simulation": 6.0, "own": 1.0})
    assert one.seconds() == {"waiting": 10.0, "simulation": 14.0, "own": 2.0}
    assert one.busy_share() == pytest.approx(2 / 16)
    assert one.own_share(2) == pytest.approx(1 - 7 / 10)


def test_time_that_ends_in_an_error_is_booked_too(clock):
    one = Account()

    def draw():
        clock.s += 4
        raise ValueError("no screen")

    with pytest.raises(ValueError, match="no screen"), one.spent("rendering"):
        draw()
    assert one.seconds()["rendering"] == 4.0
