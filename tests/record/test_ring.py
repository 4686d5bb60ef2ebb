"""The ring: what goes in comes out once and in order, and what does not fit is counted."""

from __future__ import annotations

import mmap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.record.ring import Cell, Inlet, Outlet, Signal, ring_bytes, ring_lanes


def lane_ends(signal=None, slots=4):
    signal = signal or Signal((2,))
    memory = mmap.mmap(-1, ring_bytes([signal], [slots]))
    [lane] = ring_lanes(memory, [signal], [slots])
    return Inlet(lane, signal), Outlet(lane)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["put", "take"]), max_size=40), st.integers(2, 7))
def test_accepted_samples_come_out_once_and_in_order(moves, slots):
    inlet, outlet = lane_ends(slots=slots)
    accepted, out, stamps = [], [], []
    for i, move in enumerate(moves):
        if move == "put" and inlet.offer(i, np.array([i, -i], np.float64)) is None:
            accepted.append(i)
        elif move == "take":
            out.extend(outlet.take()[1][:, 0].tolist())
    t_ns, rows = outlet.take(final=True)
    stamps.extend(t_ns.tolist())
    out.extend(rows[:, 0].tolist())
    assert out == accepted
    assert len(accepted) + outlet.count(Cell.OVERFLOW) == moves.count("put")


def test_full_ring_counts_and_names_the_last_loss():
    inlet, outlet = lane_ends(slots=2)
    kinds = [inlet.offer(t, np.zeros(2)) for t in range(5)]
    assert kinds == [None, None, *[Cell.OVERFLOW] * 3]
    assert (outlet.count(Cell.OVERFLOW), outlet.count(Cell.LAST_LOST_NS)) == (3, 4)


def test_slots_are_given_back_one_poll_late():
    """The consumer's reads may still be under way, on a processor that reorders, when it raises the counter."""
    inlet, outlet = lane_ends(slots=1)
    inlet.offer(1, np.zeros(2))
    assert len(outlet.take()[0]) == 0
    assert len(outlet.take()[0]) == 1
    assert inlet.offer(2, np.zeros(2)) is Cell.OVERFLOW
    outlet.take()
    assert inlet.offer(3, np.zeros(2)) is None


@pytest.mark.parametrize(
    ("t_ns", "values"),
    [
        (1, 3.0),
        (1, np.zeros(3)),
        (1, [[0, 0]]),
        (1, ["a", "b"]),
        (1, None),
        (1, [[1], [2, 3]]),
        (1, np.zeros(2, np.complex128)),
        (1.5, np.zeros(2)),
        ("now", np.zeros(2)),
        (2**63, np.zeros(2)),
        (None, np.zeros(2)),
    ],
)
def test_what_was_not_declared_is_counted_and_not_stored(t_ns, values):
    inlet, outlet = lane_ends()
    assert inlet.offer(t_ns, values) is Cell.MALFORMED
    assert len(outlet.take(final=True)[0]) == 0


def test_values_that_cast_without_changing_kind_are_taken():
    inlet, outlet = lane_ends()
    for values in ([1, 2], (1.5, 2), np.array([1, 2], np.float32), np.array([True, False])):
        assert inlet.offer(1, values) is None
    assert outlet.take(final=True)[1].tolist() == [[1, 2], [1.5, 2], [1, 2], [1, 0]]


def test_a_stamp_before_the_last_is_late():
    inlet, outlet = lane_ends()
    assert [inlet.offer(t, np.zeros(2)) for t in (5, 5, 4)] == [None, None, Cell.LATE]
    assert outlet.take(final=True)[0].tolist() == [5, 5]


def test_lanes_do_not_touch_each_other():
    signals = [Signal((), "|u1"), Signal((3, 0)), Signal((5,), "<f4")]
    memory = mmap.mmap(-1, ring_bytes(signals, [3, 3, 3]))
    lanes = ring_lanes(memory, signals, [3, 3, 3])
    for lane in lanes:
        lane.rows[...] = 7
        lane.stamps[2] = 9
    for lane in lanes:
        assert bool((lane.rows == 7).all())
        assert list(lane.stamps) == [0, 0, 9]
        assert list(lane.cells) == [0] * 8
