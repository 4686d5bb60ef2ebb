import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saqiya.errors import UsageError
from saqiya.views.decimate import decimate

STEP_NS = 5_000_000


@st.composite
def tables(draw):
    count = draw(st.integers(2, 300))
    gaps = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 20_000_000)))
    kinds = st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf])
    values = draw(hnp.arrays(np.float64, (count, 2), elements=kinds))
    return np.cumsum(gaps), values


def whole(t_ns, values, points):
    return decimate(t_ns, values, start_ns=int(t_ns[0]), end_ns=int(t_ns[-1]) + 1, points=points)


@settings(max_examples=80, deadline=None)
@given(tables(), st.integers(4, 60))
def test_the_extremes_of_every_column_are_kept(table, points):
    t_ns, values = table
    found = whole(t_ns, values, points)
    for column in range(2):
        finite = values[np.isfinite(values[:, column]), column]
        if finite.size:
            assert np.nanmin(found.low[:, column]) == finite.min()
            assert np.nanmax(found.high[:, column]) == finite.max()
        else:
            assert np.isnan(found.low[:, column]).all()
        assert found.lost[:, column].any() == (finite.size < len(values))


@settings(max_examples=80, deadline=None)
@given(tables(), st.integers(4, 60))
def test_points_are_in_order_few_and_hold_every_row_in_its_place(table, points):
    t_ns, values = table
    found = whole(t_ns, values, points)
    shown = ~(np.isnan(found.low).all(axis=1) & ~found.lost.any(axis=1))
    assert (np.diff(found.t_ns) >= 0).all()
    assert shown.sum() <= points
    begins = found.t_ns[shown]
    assert np.isin(begins, t_ns).all()
    assert found.rows == len(t_ns)
    low, high = found.low[shown], found.high[shown]
    for place, (begin, end) in enumerate(zip(begins, [*begins[1:], t_ns[-1] + 1], strict=True)):
        strictly_inside = values[(t_ns > begin) & (t_ns < end)]
        with np.errstate(invalid="ignore"):
            inside = np.where(np.isfinite(strictly_inside), strictly_inside, np.nan)
            assert not (inside < low[place]).any()
            assert not (inside > high[place]).any()


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(4, 60))
def test_the_first_and_the_last_row_are_points_of_their_own(table, points):
    t_ns, values = table
    found = whole(t_ns, values, points)
    assert (found.t_ns[0], found.t_ns[-1]) == (t_ns[0], t_ns[-1])
    for place in (0, -1):
        np.testing.assert_array_equal(found.low[place], np.where(np.isfinite(values[place]), values[place], np.nan))
        np.testing.assert_array_equal(found.low[place], found.high[place])


def test_a_spike_of_one_row_in_an_hour_is_kept():
    t_ns = np.arange(720_000) * STEP_NS
    values = np.zeros((720_000, 1), np.float32)
    values[543_210] = 1.0
    found = whole(t_ns, values, 500)
    assert len(found.t_ns) <= 500
    assert found.high.max() == 1.0
    at = int(np.argmax(found.high[:, 0]))
    assert found.t_ns[at] <= t_ns[543_210] < found.t_ns[at + 1]


def test_few_rows_come_back_as_they_are():
    t_ns, values = np.arange(9) * STEP_NS, np.arange(18).reshape(9, 2)
    found = whole(t_ns, values, 9)
    assert found.exact
    np.testing.assert_array_equal(found.t_ns, t_ns)
    np.testing.assert_array_equal(found.low, values)


def test_a_pause_is_a_gap_and_a_usual_step_is_none():
    t_ns = np.concatenate([np.arange(100), np.arange(300, 400)]) * STEP_NS
    for points in (200, 40):
        found = whole(t_ns, np.ones((200, 1)), points)
        gap = np.flatnonzero(np.isnan(found.low[:, 0]))
        assert len(gap) == 1
        assert not found.lost[gap].any()
        assert found.t_ns[gap[0]] == t_ns[99] + 1
    assert not np.isnan(whole(t_ns[:100], np.ones((100, 1)), 20).low).any()


def test_a_stretch_of_nan_stays_a_gap_and_a_single_nan_is_told():
    values = np.ones((1000, 1))
    values[300:600], values[700] = np.nan, np.nan
    found = whole(np.arange(1000) * STEP_NS, values, 50)
    missing = np.isnan(found.low[:, 0])
    assert 10 <= missing.sum() <= 16
    assert found.lost[missing].all()
    assert (found.lost[:, 0] & ~missing).sum() >= 1


def test_a_part_brings_one_row_on_each_side():
    t_ns = np.arange(1000) * STEP_NS
    found = decimate(t_ns, t_ns[:, None], start_ns=100 * STEP_NS, end_ns=110 * STEP_NS, points=50)
    np.testing.assert_array_equal(found.t_ns, t_ns[99:111])
    assert found.rows == 10


def test_columns_of_wide_rows_can_be_chosen():
    values = np.arange(60).reshape(10, 3, 2)
    t_ns = np.arange(10) * STEP_NS
    found = decimate(t_ns, values, start_ns=0, end_ns=STEP_NS * 10, points=20, columns=slice(2, 4))
    np.testing.assert_array_equal(found.low, values.reshape(10, 6)[:, 2:4])


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.int64, np.float16, np.float32])
def test_every_kind_of_number_is_drawn(kind):
    values = (np.arange(600) % 2).astype(kind)
    found = whole(np.arange(600) * STEP_NS, values, 30)
    assert (found.low.min(), found.high.max()) == (0.0, 1.0)


def test_an_empty_stream_gives_no_points():
    found = decimate(np.empty(0, np.int64), np.empty((0, 3)), start_ns=0, end_ns=10, points=10)
    assert found.low.shape == (0, 3)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(UsageError, match="cannot be drawn"):
        decimate(np.arange(5), np.arange(5), start_ns=3, end_ns=3, points=10)
    with pytest.raises(UsageError, match="cannot be drawn"):
        decimate(np.arange(5), np.arange(5), start_ns=0, end_ns=3, points=3)
