"""Alignment against loops that a child could check."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.domain.logged import ClockMap
from saqiya.errors import UsageError
from saqiya.views.align import at_rate, chunk, history, latest, linear, nearest, on_clock, read, take

EPOCH = 1_780_000_000_000_000_000  # real stamps: float64 would lose their last hundreds of nanoseconds
stamps = st.lists(st.integers(0, 60), max_size=12).map(lambda t: np.array(sorted(t), dtype=np.int64) + EPOCH)
moments = st.lists(st.integers(-5, 70), min_size=1, max_size=8).map(lambda t: np.array(t, dtype=np.int64) + EPOCH)
tolerances = st.one_of(st.none(), st.integers(0, 20))


def clock(offset_ns=0, drift_ppm=0.0, at_ns=EPOCH):
    return ClockMap(
        id="clock_map:1", recording="recording:1", source="camera", target="host", at_ns=at_ns, offset_ns=offset_ns,
        drift_ppm=drift_ppm, uncertainty_ns=0, method="test", version="1",
    )  # fmt: skip


@given(stamps, moments, tolerances)
def test_latest_is_the_last_row_not_after_the_query(t_ns, query_ns, tolerance_ns):
    found = latest(t_ns, query_ns, tolerance_ns=tolerance_ns)
    for q, row, valid, age in zip(query_ns, found.row, found.valid, found.age_ns, strict=True):
        before = [k for k, t in enumerate(t_ns) if t <= q]
        assert row == (before[-1] if before else -1)
        assert age == (q - t_ns[row] if before else 0)
        assert valid == (bool(before) and (tolerance_ns is None or age <= tolerance_ns))


@given(stamps, moments, tolerances)
def test_nearest_is_the_row_with_the_least_distance(t_ns, query_ns, tolerance_ns):
    found = nearest(t_ns, query_ns, tolerance_ns=tolerance_ns)
    for q, row, valid in zip(query_ns, found.row, found.valid, strict=True):
        if not len(t_ns):
            assert (row, valid) == (-1, False)
            continue
        least = min(abs(q - t) for t in t_ns)
        assert abs(q - t_ns[row]) == least
        assert valid == (tolerance_ns is None or least <= tolerance_ns)


@given(stamps, st.integers(-5, 70), st.integers(1, 6), tolerances)
def test_native_history_ends_with_the_latest_row_and_repeats_the_first(t_ns, at, steps, tolerance_ns):
    at_ns = EPOCH + at
    found = history(t_ns, at_ns, steps, tolerance_ns=tolerance_ns)
    before = [k for k, t in enumerate(t_ns) if t <= at_ns]
    fresh = bool(before) and (tolerance_ns is None or at_ns - t_ns[before[-1]] <= tolerance_ns)
    wanted = ([None] * steps + before)[-steps:]
    assert found.row.tolist() == [(0 if before else -1) if k is None else k for k in wanted]
    assert found.valid.tolist() == [k is not None and fresh for k in wanted]


@given(stamps, st.integers(-5, 70), st.integers(1, 6), tolerances)
def test_history_at_a_rate_asks_latest_at_each_tick(t_ns, at, steps, tolerance_ns):
    at_ns = EPOCH + at
    found = history(t_ns, at_ns, steps, rate_hz=2e8, tolerance_ns=tolerance_ns)
    for k in range(steps):
        q = at_ns - 5 * (steps - 1 - k)
        one = latest(t_ns, np.array([q]), tolerance_ns=tolerance_ns)
        begun = len(t_ns) > 0 and t_ns[0] <= at_ns
        assert found.valid[k] == one.valid[0]
        assert found.row[k] == (max(one.row[0], 0) if begun else -1)


@given(stamps, st.integers(-5, 70), st.integers(1, 6))
def test_history_never_sees_the_future(t_ns, at, steps):
    for rate_hz in (None, 3e8):
        found = history(t_ns, EPOCH + at, steps, rate_hz=rate_hz)
        assert all(t_ns[row] <= EPOCH + at for row in found.row if row >= 0)


@given(stamps, st.integers(-5, 70), st.integers(1, 6), st.one_of(st.none(), st.integers(0, 70)))
def test_native_chunk_begins_at_the_moment_and_repeats_the_last(t_ns, at, steps, until):
    until_ns = None if until is None else EPOCH + until
    found = chunk(t_ns, EPOCH + at, steps, until_ns=until_ns)
    ahead = [k for k, t in enumerate(t_ns) if t >= EPOCH + at and (until_ns is None or t < until_ns)]
    wanted = [ahead[k] if k < len(ahead) else None for k in range(steps)]
    assert found.valid.tolist() == [k is not None for k in wanted]
    assert found.row.tolist() == [(ahead[-1] if ahead else -1) if k is None else k for k in wanted]


@given(stamps, st.integers(-5, 70), st.integers(1, 6), st.one_of(st.none(), st.integers(0, 70)))
def test_chunk_at_a_rate_takes_the_nearest_rows_before_the_end(t_ns, at, steps, until):
    until_ns = None if until is None else EPOCH + until
    found = chunk(t_ns, EPOCH + at, steps, rate_hz=2e8, until_ns=until_ns)
    kept = [t for t in t_ns if until_ns is None or t < until_ns]
    for k in range(steps):
        q = EPOCH + at + 5 * k
        if not kept:
            assert (found.row[k], found.valid[k]) == (-1, False)
            continue
        assert abs(q - t_ns[found.row[k]]) == min(abs(q - t) for t in kept)
        assert found.valid[k] == (q <= kept[-1] + 2 and (until_ns is None or q < until_ns))


@given(stamps, moments)
def test_linear_lies_on_the_line_between_its_neighbours(t_ns, query_ns):
    values = np.arange(len(t_ns), dtype=np.float64)[:, None] ** 2
    found = linear(t_ns, values, query_ns)
    for q, value, valid in zip(query_ns, found.values[:, 0], found.valid, strict=True):
        inside = len(t_ns) > 0 and t_ns[0] <= q <= t_ns[-1]
        assert valid == inside
        if inside and q not in t_ns:
            assert value == pytest.approx(np.interp(q - EPOCH, t_ns - EPOCH, values[:, 0]))
        elif inside:
            assert value == values[np.flatnonzero(t_ns == q)[-1], 0]
        else:
            assert value == 0


def test_a_gap_wider_than_the_tolerance_is_not_bridged():
    found = linear(np.array([0, 10, 100]), np.array([[0.0], [1.0], [2.0]]), np.array([5, 50]), tolerance_ns=20)
    assert found.valid.tolist() == [True, False]


def test_a_query_on_a_row_is_not_touched_by_what_comes_after():
    found = linear(np.array([0, 10]), np.array([[1.0], [np.nan]]), np.array([0, 5]))
    assert found.values[0, 0] == 1.0
    assert np.isnan(found.values[1, 0])


def test_integers_are_interpolated_as_floats_and_floats_keep_their_kind():
    t_ns, query_ns = np.array([0, 10]), np.array([5])
    assert linear(t_ns, np.array([[1], [2]], dtype=np.uint8), query_ns).values.tolist() == [[1.5]]
    assert linear(t_ns, np.array([[1], [2]], dtype=np.float32), query_ns).values.dtype == np.float32


def test_quaternions_turn_along_the_shorter_arc_at_even_speed():
    half = np.pi / 4
    turned = [np.cos(half), 0.0, 0.0, np.sin(half)]  # 90 degrees about z
    values = np.array([[9.0, 1.0, 0.0, 0.0, 0.0], [9.0, *(-np.array(turned))]])  # the same attitude with the other sign
    found = linear(np.array([0, 90]), values, np.array([0, 30, 60, 90]), quaternions=(1,))
    angles = 2 * np.arctan2(np.abs(found.values[:, 4]), np.abs(found.values[:, 1]))
    assert np.degrees(angles) == pytest.approx([0, 30, 60, 90])
    assert np.linalg.norm(found.values[:, 1:], axis=1) == pytest.approx(1)
    assert found.values[:, 0] == pytest.approx(9)


def test_equal_quaternions_stay_and_zeros_do_not_divide():
    values = np.zeros((2, 4))
    assert linear(np.array([0, 10]), values, np.array([5]), quaternions=(0,)).values.tolist() == [[0, 0, 0, 0]]
    values[:, 0] = 1
    assert linear(np.array([0, 10]), values, np.array([5]), quaternions=(0,)).values.tolist() == [[1, 0, 0, 0]]


def test_a_quaternion_that_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="hold no quaternion"):
        linear(np.array([0, 1]), np.zeros((2, 3)), np.array([0]), quaternions=(0,))


@given(stamps, st.integers(-100, 100), st.floats(-900_000, 900_000))
def test_a_clock_map_moves_stamps_and_keeps_their_order(t_ns, offset_ns, drift_ppm):
    moved = on_clock(t_ns, clock(offset_ns, drift_ppm, EPOCH + 30))
    exact = [int(t) + offset_ns + round((int(t) - EPOCH - 30) * drift_ppm * 1e-6) for t in t_ns]
    assert moved.tolist() == pytest.approx(exact, abs=1)
    assert (np.diff(moved) >= 0).all()


def test_alignment_through_a_clock_map_names_it():
    t_ns = np.array([0, 10, 20]) + EPOCH
    found = latest(t_ns, np.array([EPOCH + 12]), clock_map=clock(offset_ns=5))
    assert (found.row.tolist(), found.age_ns.tolist(), found.clock_map) == ([0], [7], "clock_map:1")
    for one in (history(t_ns, EPOCH + 12, 2, clock_map=clock(5)), chunk(t_ns, EPOCH + 12, 2, clock_map=clock(5))):
        assert one.clock_map == "clock_map:1"
    assert chunk(t_ns, EPOCH + 12, 2, clock_map=clock(5)).row.tolist() == [1, 2]


def test_a_clock_that_runs_backwards_is_refused():
    with pytest.raises(UsageError, match="backwards"):
        on_clock(np.array([0]), clock(drift_ppm=-2e6))


def test_rows_that_are_not_there_read_as_zeros():
    values = np.array([[1.0], [2.0]])
    assert take(values, latest(np.array([5, 6]), np.array([4, 5]))).tolist() == [[0], [1]]
    empty = read(np.zeros((0, 2), dtype=np.float32), latest(np.empty(0, np.int64), np.array([4])))
    assert empty.values.tolist() == [[0, 0]]
    assert empty.valid.tolist() == [False]


def test_ticks_are_rounded_each_by_itself():
    assert at_rate(4, 30).tolist() == [0, 33_333_333, 66_666_667, 100_000_000]
