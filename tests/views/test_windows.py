"""A batch of windows is what one sample after the other gives, and what the rules of `align` say."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.views.clips import encoded

from saqiya.domain.logged import ClockMap
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode, UsageError
from saqiya.views import align
from saqiya.views.reel import reel_of
from saqiya.views.shelf import Shelf, shelf_of
from saqiya.views.windows import Chunk, History, read_rows, read_values

episodes = st.lists(st.lists(st.integers(0, 60), max_size=12).map(sorted), min_size=1, max_size=4)
places = st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 70), st.integers(0, 40)), min_size=1, max_size=6)
rates = st.sampled_from([None, 2e8, 1e8, 3e8])
tolerances = st.sampled_from([None, 4e-9, 10e-9])


def streams_of(stamps, width=2):
    values = [
        np.arange(len(t) * width, dtype=np.float32).reshape(-1, width) ** 2 + 100 * e for e, t in enumerate(stamps)
    ]
    return [Stream(t_ns=np.array(t, dtype=np.int64), values=v) for t, v in zip(stamps, values, strict=True)]


def packed(streams):
    """The same streams in one buffer, with something else between them: what a pack is."""
    cells, floats, at = bytearray(b"header.."), [], []
    for stream in streams:
        at.append((len(cells) // 8, (len(cells) + stream.t_ns.nbytes) // 4))
        cells += stream.t_ns.tobytes() + stream.values.tobytes()
        cells += bytes(-len(cells) % 8) + b"between."
        floats.append(stream)
    base = shelf_of("s", streams)
    stamps_at, values_at = np.array(at, dtype=np.int64).T
    both = np.frombuffer(cells, np.int64), np.frombuffer(cells, np.float32)
    part = np.zeros(len(streams), dtype=np.int32)
    return Shelf(
        "s", base.dtype, base.shape, part, stamps_at, values_at, base.count, base.first_ns, base.last_ns, lambda _: both
    )


def batch(stamps, where):
    episode, at_ns, length = np.array([(e % len(stamps), t, n) for e, t, n in where], dtype=np.int64).T
    return episode, at_ns, at_ns + length


@given(episodes, places, st.integers(1, 5), rates, tolerances)
def test_histories_follow_the_rules(stamps, where, steps, rate_hz, tolerance_s):
    streams, (episode, at_ns, until_ns) = streams_of(stamps), batch(stamps, where)
    window = History(steps=steps, rate_hz=rate_hz, tolerance_s=tolerance_s)
    tolerance_ns = None if tolerance_s is None else int(tolerance_s * 1e9)
    for shelf in (shelf_of("s", streams), packed(streams)):
        values, valid = read_values(shelf, window, episode, at_ns, until_ns)
        for k, (e, t) in enumerate(zip(episode, at_ns, strict=True)):
            one = align.history(streams[e].t_ns, int(t), steps, rate_hz=rate_hz, tolerance_ns=tolerance_ns)
            assert valid[k].tolist() == one.valid.tolist()
            assert np.array_equal(values[k], align.take(streams[e].values, one))


@given(episodes, places, st.integers(1, 5), rates, tolerances)
def test_chunks_follow_the_rules(stamps, where, steps, rate_hz, tolerance_s):
    streams, (episode, at_ns, until_ns) = streams_of(stamps), batch(stamps, where)
    window = Chunk(steps=steps, rate_hz=rate_hz, tolerance_s=tolerance_s)
    tolerance_ns = None if tolerance_s is None else int(tolerance_s * 1e9)
    for shelf in (shelf_of("s", streams), packed(streams)):
        values, valid = read_values(shelf, window, episode, at_ns, until_ns)
        for k, (e, t, until) in enumerate(zip(episode, at_ns, until_ns, strict=True)):
            one = align.chunk(
                streams[e].t_ns, int(t), steps, rate_hz=rate_hz, until_ns=int(until), tolerance_ns=tolerance_ns
            )
            assert valid[k].tolist() == one.valid.tolist()
            assert np.array_equal(values[k], align.take(streams[e].values, one))


@given(episodes, places, st.integers(1, 4), st.sampled_from([2e8, 3e8]), tolerances, st.booleans())
def test_interpolated_windows_follow_the_rules(stamps, where, steps, rate_hz, tolerance_s, ahead):
    streams, (episode, at_ns, until_ns) = streams_of(stamps, 5), batch(stamps, where)
    kind = Chunk if ahead else History
    window = kind(steps=steps, rate_hz=rate_hz, linear=True, quaternions=(1,), tolerance_s=tolerance_s)
    values, valid = read_values(packed(streams), window, episode, at_ns, until_ns)
    ticks = align.at_rate(steps, rate_hz)
    for k, (e, t, until) in enumerate(zip(episode, at_ns, until_ns, strict=True)):
        query_ns = t + (ticks if ahead else -ticks[::-1])
        one = align.linear(
            streams[e].t_ns, streams[e].values, query_ns, quaternions=(1,),
            tolerance_ns=None if tolerance_s is None else int(tolerance_s * 1e9),
        )  # fmt: skip
        inside = one.valid & (query_ns < until) if ahead else one.valid
        assert valid[k].tolist() == inside.tolist()
        assert np.array_equal(values[k][inside], one.values[inside])
        assert not values[k][~inside].any()


@given(episodes.filter(lambda stamps: any(len(set(t)) == len(t) > 0 for t in stamps)), st.data(), rates)
def test_a_sample_on_a_stream_knows_its_row(stamps, data, rate_hz):
    streams = streams_of(stamps)
    sound = [e for e, t in enumerate(stamps) if t and len(set(t)) == len(t)]
    episode = np.array(data.draw(st.lists(st.sampled_from(sound), min_size=1, max_size=4)))
    own = np.array([data.draw(st.integers(0, len(stamps[e]) - 1)) for e in episode])
    at_ns = np.array([stamps[e][row] for e, row in zip(episode, own, strict=True)])
    for window in (History(steps=3, rate_hz=rate_hz), Chunk(steps=4, rate_hz=rate_hz)):
        shelf, until_ns = packed(streams), at_ns + 20
        found, expected = (read_values(shelf, window, episode, at_ns, until_ns, own=row) for row in (own, None))
        assert all(np.array_equal(one, two) for one, two in zip(found, expected, strict=True))


@given(
    st.lists(st.lists(st.integers(0, 10**6), max_size=40).map(sorted), min_size=1, max_size=5),
    st.integers(0, 2**32),
    st.sampled_from(["left", "right"]),
)
def test_a_search_for_a_whole_batch_is_a_search_for_each(stamps, seed, side):
    draw = np.random.default_rng(seed)
    streams = streams_of(stamps)
    episode = draw.integers(0, len(stamps), 24)
    ends = [max(t, default=0) for t in stamps]
    query_ns = np.array([
        draw.choice(stamps[e]) if stamps[e] and k % 3 == 0 else draw.integers(-9, ends[e] + 9)
        for k, e in enumerate(episode)
    ])  # fmt: skip
    expected = [np.searchsorted(streams[e].t_ns, q, side) for e, q in zip(episode, query_ns, strict=True)]
    for shelf in (packed(streams), shelf_of("s", streams)):
        assert shelf.search(episode, query_ns, side).tolist() == expected


def test_an_episode_without_the_stream_gives_zeros():
    shelf = shelf_of("s", [None, *streams_of([[0, 10]])])
    values, valid = read_values(shelf, Chunk(steps=2), *(np.array(x) for x in ([0, 1], [0, 0], [99, 99])))
    assert valid.tolist() == [[False, False], [True, True]]
    assert values[0].tolist() == [[0, 0], [0, 0]]
    assert values[1].tolist() == [[0, 1], [4, 9]]


def test_rows_of_any_shape_and_kind_come_whole():
    scans = np.arange(24, dtype=np.uint16).reshape(4, 3, 2)
    shelf = shelf_of("depth", [Stream(t_ns=np.arange(4), values=scans)])
    values, _ = read_values(shelf, History(steps=2), *(np.array(x) for x in ([0], [3], [9])))
    assert values.dtype == np.uint16
    assert np.array_equal(values[0], scans[2:])


def test_a_clock_map_is_applied_on_read():
    behind = ClockMap(
        id="clock_map:1", recording="r", source="arm", target="host", at_ns=0, offset_ns=5, drift_ppm=0.0,
        uncertainty_ns=0, method="test", version="1",
    )  # fmt: skip
    streams = streams_of([[0, 10], [0, 10]])
    shelf = shelf_of("s", streams, {1: behind})
    row, _ = read_rows(shelf, History(), *(np.array(x) for x in ([0, 1, 1], [10, 10, 15], [99, 99, 99])))
    assert row.tolist() == [[1], [0], [1]]
    assert [bound.tolist() for bound in shelf.bounds()] == [[0, 5], [10, 15]]
    assert shelf.stamps_of(np.array([0, 1]), np.array([1, 1])).tolist() == [10, 15]


def test_a_reel_answers_like_a_shelf():
    videos = [encoded(count=count, seed=count)[0] for count in (5, 8)]
    reel = reel_of("camera/front", [None, *videos])
    shelf = shelf_of(
        "s", [None, *(Stream(t_ns=v.track.t_ns.copy(), values=np.zeros((len(v.track), 1))) for v in videos)]
    )
    episode, at_ns = np.array([1, 2, 2, 0, 1]), np.array([70, 200, -1, 50, 999]) * 1_000_000
    for window in (History(steps=2), History(steps=3, rate_hz=10), Chunk(steps=3), Chunk(steps=3, rate_hz=20)):
        found, expected = (read_rows(one, window, episode, at_ns, at_ns + 10**8) for one in (reel, shelf))
        assert all(np.array_equal(one, two) for one, two in zip(found, expected, strict=True))
    assert [bound.tolist() for bound in reel.bounds()] == [bound.tolist() for bound in shelf.bounds()]
    again = pickle.loads(pickle.dumps(reel))
    assert np.array_equal(again.stamps(2), reel.stamps(2))


def test_a_camera_that_changes_its_size_is_refused():
    reel = reel_of("camera/front", [encoded(count=2)[0], encoded(count=2, size=(32, 32))[0]])
    with pytest.raises(InvalidEpisode, match="camera/front"):
        reel.clip(1)


def test_streams_that_do_not_fit_together_are_refused():
    one, two = streams_of([[0]], 2)[0], streams_of([[0]], 3)[0]
    with pytest.raises(InvalidEpisode, match="rows differ"):
        shelf_of("s", [one, two])
    with pytest.raises(InvalidEpisode, match="no episode"):
        shelf_of("s", [None])
    with pytest.raises(InvalidEpisode, match="no episode"):
        reel_of("s", [None])


@pytest.mark.parametrize("kind", [History, Chunk])
@pytest.mark.parametrize(("steps", "rate_hz", "linear"), [(0, None, False), (1, -1.0, False), (1, None, True)])
def test_windows_that_cannot_be_cut_are_refused(kind, steps, rate_hz, linear):
    with pytest.raises(UsageError):
        kind(steps=steps, rate_hz=rate_hz, linear=linear)
