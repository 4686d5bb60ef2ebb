"""A track's part holds every picture of its range, what decoding them needs, and as little else as can be."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.domain.media import Track, Video
from saqiya.errors import InvalidEpisode


def track_of(groups: list[tuple[bool, list[int]]], *, gap_ns: int = 10, pre: int = 0, post: int = 0) -> Track:
    """Make a track from groups: whether pictures before the group's key follow it (open), and its runs of B-frames.

    A group is a key, then for each run a P-frame and, decoded after it but shown before it, that many B-frames. In an
    open group the first run's B-frames are shown before the key itself.
    """
    rank: list[int] = []
    key: list[bool] = []
    shown = 0
    for is_open, runs in groups:
        leading = runs[0] if is_open and runs else 0
        rank += [shown + leading, *range(shown, shown + leading)]
        key += [True] + [False] * leading
        shown += leading + 1
        for run in runs[1:] if is_open else runs:
            rank += [shown + run, *range(shown, shown + run)]
            key += [False] * (run + 1)
            shown += run + 1
    size = np.arange(1, len(rank) + 1, dtype=np.int64)
    return Track(
        t_ns=np.arange(len(rank), dtype=np.int64) * gap_ns,
        offset=np.cumsum(size) - size,
        size=size,
        key=np.array(key),
        rank=np.array(rank, dtype=np.int64),
        codec="h264",
        width=4,
        height=4,
        form="avcc",
        pre=pre,
        post=post,
    )


groups = st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 3), max_size=4)), min_size=1, max_size=6)
bounds = st.tuples(st.integers(-20, 300), st.integers(-20, 300))


def picture_of_packet(track: Track) -> dict[int, int]:
    """The stamp of the picture that each packet (by its place) becomes."""
    return dict(zip(track.offset.tolist(), track.t_ns[track.rank].tolist(), strict=True))


@given(groups, bounds)
def test_a_part_shows_exactly_the_pictures_of_its_range(groups: list[tuple[bool, list[int]]], bounds: tuple[int, int]):
    whole = track_of(groups)
    part = whole.between(*bounds)
    want = whole.t_ns[(whole.t_ns >= bounds[0]) & (whole.t_ns < bounds[1])]
    assert part.shown_ns.tolist() == want.tolist()
    assert len(part) == len(want)


@given(groups, bounds)
def test_a_parts_packets_become_the_same_pictures_as_before(
    groups: list[tuple[bool, list[int]]], bounds: tuple[int, int]
):
    whole = track_of(groups)
    part = whole.between(*bounds)
    before = picture_of_packet(whole)
    assert all(before[place] == t_ns for place, t_ns in picture_of_packet(part).items())


@given(groups, bounds)
def test_a_part_is_one_run_of_packets_from_a_key_on(groups: list[tuple[bool, list[int]]], bounds: tuple[int, int]):
    whole = track_of(groups)
    part = whole.between(*bounds)
    if not len(part):
        assert part.offset.size == 0
        return
    first = int(np.flatnonzero(whole.offset == part.offset[0])[0])
    assert part.key[0]
    assert part.offset.tolist() == whole.offset[first : first + len(part.offset)].tolist()


@given(groups, bounds)
def test_a_part_begins_at_a_closed_group_where_there_is_one(
    groups: list[tuple[bool, list[int]]], bounds: tuple[int, int]
):
    whole = track_of(groups)
    part = whole.between(*bounds)
    if not len(part):
        return
    first = int(np.flatnonzero(whole.offset == part.offset[0])[0])
    low = int(np.flatnonzero(whole.t_ns == part.shown_ns[0])[0])
    splits = [
        packet
        for packet in range(len(whole.rank))
        if whole.key[packet]
        and all(whole.rank[:packet] < whole.rank[packet])
        and all(whole.rank[packet:] >= whole.rank[packet])
        and whole.rank[packet] <= low
    ]
    assert first == (splits[-1] if splits else 0)
    if splits:
        # No packet of the part refers to what came before its first: none before it is shown after it.
        assert all(whole.rank[:first] < part.pre + whole.rank[first])


@given(groups, bounds, bounds)
def test_a_part_of_a_part_is_the_part_of_both(
    groups: list[tuple[bool, list[int]]], outer: tuple[int, int], inner: tuple[int, int]
):
    whole = track_of(groups)
    twice = whole.between(*outer).between(*inner)
    once = whole.between(max(outer[0], inner[0]), min(outer[1], inner[1]))
    assert twice.shown_ns.tolist() == once.shown_ns.tolist()
    assert twice.offset.tolist() == once.offset.tolist()


@given(groups, st.integers(0, 3), st.integers(0, 3), bounds)
def test_pictures_outside_the_episode_stay_outside_its_parts(
    groups: list[tuple[bool, list[int]]], pre: int, post: int, bounds: tuple[int, int]
):
    whole = track_of(groups)
    pre = min(pre, len(whole.t_ns))
    whole = replace(whole, pre=pre, post=min(post, len(whole.t_ns) - pre))
    want = whole.shown_ns[(whole.shown_ns >= bounds[0]) & (whole.shown_ns < bounds[1])]
    assert whole.between(*bounds).shown_ns.tolist() == want.tolist()


def test_leading_pictures_of_a_first_open_group_are_found_from_packet_0():
    whole = track_of([(True, [2, 1]), (False, [1])])
    assert whole.rank[0] == 2
    part = whole.between(0, 10)
    assert part.shown_ns.tolist() == [0]
    assert part.offset[0] == 0
    assert part.post == 1  # the key itself, which the leading picture is decoded from


def test_without_b_frames_a_range_begins_at_the_key_before_it():
    whole = track_of([(False, [0] * 9), (False, [0] * 9)])
    part = whole.between(130, 150)
    assert (part.pre, part.post, len(part)) == (3, 0, 2)
    assert part.shown_ns.tolist() == [130, 140]


def test_packets_outside_the_bytes_are_refused():
    whole = track_of([(False, [0, 0])])
    with pytest.raises(InvalidEpisode, match="outside its bytes"):
        Video(whole, b"\0" * 5)


def test_a_packet_is_cut_from_the_bytes():
    whole = track_of([(False, [0, 0])])
    assert Video(whole, b"abbccc").packet(2) == b"ccc"


def test_a_track_that_does_not_begin_at_a_key_is_refused():
    whole = track_of([(False, [0, 0])])
    with pytest.raises(InvalidEpisode, match="begin at a key"):
        replace(whole, key=np.array([False, True, True]))


def test_two_packets_cannot_become_one_picture():
    whole = track_of([(False, [0, 0])])
    with pytest.raises(InvalidEpisode, match="do not make its pictures"):
        replace(whole, rank=np.array([0, 1, 1]))
