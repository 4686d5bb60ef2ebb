"""Every sample once, in an order that a seed fixes, and none of it as long as the data."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.domain.streams import Stream
from saqiya.errors import UsageError
from saqiya.views.plan import Blocks, blocks_of, drawn, mixing, permuted, samples_of
from saqiya.views.shelf import shelf_of


def ints(*values):
    return np.array(values, dtype=np.int64)


def a_shelf(*stamps):
    return shelf_of("s", [Stream(t_ns=ints(*t), values=np.zeros((len(t), 1))) for t in stamps])


def entries(*spans, weight=None):
    episode, start, end = (ints(*column) for column in zip(*spans, strict=True))
    return episode, start, end, np.ones(len(spans)) if weight is None else np.array(weight, dtype=float)


@given(st.integers(1, 3000), st.integers())
def test_a_shuffle_holds_every_element_once(count, seed):
    found = permuted(np.arange(count), count, seed)
    assert np.array_equal(np.sort(found), np.arange(count))


@given(st.integers(1, 10**12), st.integers(), st.data())
def test_a_shuffle_is_asked_anywhere_at_no_cost(count, seed, data):
    where = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=5, unique=True))
    found = permuted(ints(*where), count, seed)
    assert len(set(found.tolist())) == len(where)
    assert found.min() >= 0
    assert found.max() < count
    assert permuted(ints(where[0]), count, seed)[0] == found[0]


def test_shuffles_are_even_and_differ_by_seed():
    counts = {}
    for seed in range(4800):
        order = tuple(permuted(np.arange(4), 4, seed).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    assert sum((n - 200) ** 2 / 200 for n in counts.values()) < 49.7  # chi-squared, 23 degrees of freedom, p = .001


def test_a_shuffle_leaves_no_trace_of_the_order():
    order = permuted(np.arange(100_000), 100_000, 5)
    assert abs(np.corrcoef(np.arange(100_000), order)[0, 1]) < 0.01
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 0.01


@given(
    st.lists(st.lists(st.integers(0, 50), max_size=12).map(sorted), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 55), st.integers(0, 30)), min_size=1, max_size=5),
)
def test_samples_are_the_stamps_inside_the_spans(stamps, spans):
    spans = [(e % len(stamps), start, start + length) for e, start, length in spans]
    expected = [(n, e, t) for n, (e, start, end) in enumerate(spans) for t in stamps[e] if start <= t < end]
    if not expected:
        with pytest.raises(UsageError, match="no sample"):
            samples_of(*entries(*spans), anchor=a_shelf(*stamps))
        return
    samples = samples_of(*entries(*spans), anchor=a_shelf(*stamps))
    at = samples.at(np.arange(len(samples)))
    assert list(zip(at.entry, at.episode, at.t_ns, strict=True)) == expected
    assert [stamps[e][row] for e, row in zip(at.episode, at.row, strict=True)] == [t for *_, t in expected]


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=4),
    st.sampled_from([3.0, 7.0, 30.0, 999.999, 1e9 / 3, 1e8]).map(float),
)
def test_samples_at_a_rate_are_the_ticks_inside_the_spans(lengths, rate_hz):
    lengths = [length % int(50e9 / rate_hz) for length in lengths]
    if not any(lengths):
        return
    samples = samples_of(*entries(*[(0, 5, 5 + n) for n in lengths]), anchor=None, rate_hz=rate_hz)
    expected = [5 + round(k * 1e9 / rate_hz) for n in lengths for k in range(60) if round(k * 1e9 / rate_hz) < n]
    assert samples.at(np.arange(len(samples))).t_ns.tolist() == expected


def test_entries_that_hold_whole_episodes_cost_no_look_at_stamps():
    shelf = a_shelf([1, 2, 3], [4, 5])
    opened = []
    watched = replace(shelf, cells=lambda part: (opened.append(part), shelf.cells(part))[1])
    assert len(samples_of(*entries((0, 0, 9), (1, 0, 9)), anchor=watched)) == 5
    assert opened == []
    assert len(samples_of(*entries((0, 0, 9), (1, 5, 9)), anchor=watched)) == 4
    assert opened == [1]


def test_what_weighs_nothing_is_no_sample():
    assert len(samples_of(*entries((0, 0, 9), (0, 0, 2), weight=[0, 1]), anchor=a_shelf([1, 2, 3]))) == 1


@pytest.mark.parametrize("weight", [[-1.0], [np.nan]])
def test_senseless_weights_are_refused(weight):
    with pytest.raises(UsageError, match="weight"):
        samples_of(*entries((0, 0, 9), weight=weight), anchor=a_shelf([1]))


def test_neither_anchor_nor_rate_is_refused():
    with pytest.raises(UsageError, match="rate"):
        samples_of(*entries((0, 0, 9)), anchor=None)


def test_draws_follow_the_weights_of_samples():
    samples = samples_of(
        *entries((0, 0, 10), (1, 0, 90), weight=[9, 1]), anchor=a_shelf(list(range(10)), list(range(90)))
    )
    found = drawn(np.arange(20_000), samples, 3)
    assert np.mean(found < 10) == pytest.approx(0.5, abs=0.02)
    assert np.bincount(found, minlength=100)[10:].min() > 60
    assert np.array_equal(drawn(ints(17), samples, 3), found[17:18])


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(0, 40), st.integers(1, 4), st.integers(0, 2**40)
)
def test_blocks_give_every_sample_once_over_all_shares(counts, capacity, shares, seed):
    blocks = Blocks(np.cumsum(counts) - counts, ints(*counts))
    given = []
    for number in range(shares):
        pool = set()
        for read, leave in blocks.mixed(seed=seed, capacity=capacity, apart=seed % 9, share=(number, shares)):
            pool |= set(read.tolist())
            assert set(leave.tolist()) <= pool
            pool -= set(leave.tolist())
            assert len(pool) <= capacity
            given += leave.tolist()
    assert sorted(given) == list(range(sum(counts)))


def test_blocks_begin_where_pictures_do():
    samples = samples_of(*entries((0, 0, 100), (1, 3, 8)), anchor=a_shelf(list(range(0, 40, 2)), list(range(10))))
    begins = {0: ints(0, 11, 12, 30), 1: ints(-3, 5)}
    blocks = blocks_of(samples, begins.__getitem__, longest=8)
    assert blocks.start.tolist() == [0, 6, 14, 15, 20, 22]
    assert blocks.count.tolist() == [6, 8, 1, 5, 2, 3]


def test_blocks_without_pictures_are_even():
    samples = samples_of(*entries((0, 0, 100)), anchor=a_shelf(list(range(20))))
    assert blocks_of(samples, None, longest=8).count.tolist() == [8, 8, 4]


def test_mixing_tells_a_shuffle_from_a_queue():
    group = np.repeat(np.arange(400), 15)
    shuffled = group[np.random.default_rng(0).permutation(len(group))]
    assert mixing(shuffled, 30) == pytest.approx(1, abs=0.02)
    assert mixing(group, 15) == pytest.approx(1 / 15, rel=0.05)
    blocks = Blocks(np.arange(0, 6000, 15), np.full(400, 15))
    pooled = [
        mixing(group[np.concatenate([leave for _, leave in blocks.mixed(seed=1, capacity=capacity)])], 30)
        for capacity in (15, 100, 500, 3000)
    ]
    assert pooled == sorted(pooled)
    assert pooled[-1] > 0.9
    apart = np.concatenate([leave for _, leave in blocks.mixed(seed=1, capacity=500, apart=30)])
    assert mixing(group[apart], 30) > max(pooled[2], 0.99)


def test_neighbours_are_a_batch_apart_while_the_pool_has_others():
    blocks = Blocks(np.arange(0, 6000, 15), np.full(400, 15))
    order = np.concatenate([leave for _, leave in blocks.mixed(seed=4, capacity=500, apart=32)])
    where = {}
    for place, block in enumerate((order // 15).tolist()):
        where.setdefault(block, []).append(place)
    early = [gap for places in where.values() for gap in np.diff([p for p in places if p < 5500])]
    assert np.mean(np.array(early) >= 32) > 0.999
    assert len(set(map(int, early))) > 100
