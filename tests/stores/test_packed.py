"""Wide rows lie packed where that pays, come back bit for bit, any of them alone, and a lie costs no memory."""

import mmap
from dataclasses import replace

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.domain.media import PACKED, Video
from saqiya.domain.streams import Stamp, Stream
from saqiya.errors import Corrupt
from saqiya.stores import packed as module
from saqiya.stores import streams as codec
from saqiya.stores.packed import layout_of, pack, split, stream_of, unpack

DTYPES = ("?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")


def pictures(count=12, side=48, dtype="<f4", noise=0, seed=0):
    """Whole numbers that hang together, as a simulator draws them; with noise, as a camera sees them."""
    draw = np.random.default_rng(seed)
    base = np.kron(draw.integers(0, 200, (count, side // 8, side // 8, 3)), np.ones((1, 8, 8, 1)))
    return (base + draw.integers(0, noise + 1, base.shape)).astype(dtype)


def stream(values, **more):
    return Stream(np.arange(len(values), dtype=np.int64) * 100, values, **more)


def same(one, two):
    assert one.values.dtype == two.values.dtype
    assert one.values.shape == two.values.shape
    assert one.values.tobytes() == two.values.tobytes()
    assert one.t_ns.tolist() == two.t_ns.tolist()
    told = ("clock", "stamp", "unit", "fields")
    assert [getattr(one, name) for name in told] == [getattr(two, name) for name in told]


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.sampled_from([(5000,), (64, 80), (24, 24, 9), (3, 4, 5, 100), (1, 8192, 1)]),
    rows=st.integers(8, 11),
    strange=st.lists(st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.0]), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_whatever_is_packed_comes_back_bit_for_bit(dtype, shape, rows, strange, seed):
    draw = np.random.default_rng(seed)
    raw = np.zeros((rows, *shape), dtype)
    if raw.dtype.kind == "f":
        raw.reshape(-1)[draw.integers(0, raw.size, 4 * len(strange))] = np.tile(strange, 4).astype(raw.dtype)
    else:
        raw.view(np.uint8).reshape(-1)[draw.integers(0, raw.nbytes, 9)] = 1
    logged = stream(raw, clock="cam", stamp=Stamp.RECEIVE, unit="mm", fields=("a", "\u00e9\n"))
    video = pack(logged)
    if raw[0].nbytes < 4096:
        assert video is None
        return
    assert video is not None
    same(stream_of(video), logged)
    assert stream_of(video).values.flags.writeable is False


@pytest.mark.parametrize("dtype", [">f4", ">u2"])
def test_the_other_byte_order_comes_back_as_a_plain_stream_does(dtype):
    logged = stream(pictures(dtype=dtype))
    plain = codec.Streams(memoryview(codec.encode({"camera/a": logged})), "here")["camera/a"]
    same(stream_of(pack(logged)), plain)


def test_equal_streams_give_equal_bytes_and_a_view_is_packed_like_a_copy():
    one, wide = pictures(), pictures(side=96)
    assert pack(stream(one)).data == pack(stream(one.copy())).data
    assert pack(stream(wide[:, ::2, ::-1])).data == pack(stream(wide[:, ::2, ::-1].copy())).data


def test_what_does_not_shrink_by_half_stays_as_it_is():
    draw = np.random.default_rng(1)
    assert pack(stream(draw.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8))) is None
    assert pack(stream(draw.normal(size=(12, 3000)))) is None


@pytest.mark.parametrize(
    "values", [pictures(count=7), np.zeros((40, 300)), np.zeros(40), np.zeros((0, 64, 64)), np.zeros((9, 64, 0, 64))]
)
def test_few_or_small_rows_stay_as_they_are(values):
    assert pack(stream(values)) is None


def test_bytes_lie_in_planes_where_that_saves_enough_and_pictures_of_a_simulator_are_left_alone():
    clean, noisy = pack(stream(pictures())), pack(stream(pictures(noise=30)))
    assert (clean.track.form, noisy.track.form) == ("<f4:48,48,3", "<f4:48,48,3:planes")
    assert clean.size_bytes * 50 < pictures().nbytes
    same(stream_of(noisy), stream(pictures(noise=30)))


@pytest.mark.parametrize("noise", [0, 30])
def test_any_row_is_at_hand(noise):
    values = pictures(noise=noise)
    video = pack(stream(values))
    assert np.array_equal(list(unpack(video, [7, 2, 2, 11])), values[[7, 2, 2, 11]])
    assert list(unpack(video, [])) == []
    assert stream_of(Video(video.track.between(5, 5), video.data)).values.shape == (0, 48, 48, 3)
    part = video.track.between(300, 700)
    assert np.array_equal(stream_of(Video(part, video.data)).values, values[3:7])


def test_many_rows_are_unpacked_into_a_file_and_not_into_memory(monkeypatch):
    monkeypatch.setattr(module, "_MEMORY_BYTES", 100_000)
    logged = stream(pictures())
    read = stream_of(pack(logged))
    same(read, logged)
    whole = read.values
    while isinstance(whole, np.ndarray):
        whole = whole.base
    assert isinstance(whole.obj if isinstance(whole, memoryview) else whole, mmap.mmap)
    damaged = pack(stream(pictures()))
    with pytest.raises(Corrupt):
        stream_of(Video(damaged.track, bytes(damaged.size_bytes)))


def test_streams_of_a_try_share_one_object_and_keep_their_names():
    streams = {"camera/b": stream(pictures(seed=1)), "camera/a": stream(pictures()), "q": stream(np.zeros((12, 2)))}
    found = split(streams, leave=(), refused=lambda _: False)
    assert list(found.plain) == ["q"]
    for name, (track, digest) in found.tracks.items():
        same(stream_of(Video(track, found.data)), streams[name])
        assert len(digest) == 64
    assert list(split(streams, leave={"camera/a"}, refused=lambda _: False).plain) == ["camera/a", "q"]
    assert split(streams, leave=(), refused=lambda _: True).plain == streams


@pytest.mark.parametrize("noise", [0, 30])
def test_a_flipped_bit_is_told_or_means_nothing(noise):
    values = pictures(count=8, noise=noise)
    video = pack(stream(values))
    draw, told = np.random.default_rng(0), 0
    places = [*range(20), *draw.integers(0, video.size_bytes, 40).tolist()]
    for at in places:
        data = bytearray(video.data)
        data[at] ^= 1 << int(draw.integers(8))
        try:
            assert np.array_equal(stream_of(Video(video.track, bytes(data))).values, values), at
        except Corrupt:
            told += 1
    assert told >= len(places) - 2  # zstd's header has a bit without a meaning


def test_what_was_cut_or_blanked_is_told():
    video = pack(stream(pictures()))
    shorter = replace(video.track, size=np.maximum(video.track.size - 1, 0))
    for track, data in ((shorter, video.data), (video.track, bytes(video.size_bytes))):
        with pytest.raises(Corrupt, match="row 0"):
            next(unpack(Video(track, data), [0]))


@pytest.mark.parametrize(
    "form", ["<f4:4000000,4000000,3", "<f4:96,96", "|u1:48,48,3", "<f8:48,48,3", "<f4:999999999999,999999999999"]
)
def test_a_lie_about_the_rows_asks_for_no_memory(form):
    video = pack(stream(pictures()))
    with pytest.raises(Corrupt, match="not hold"):
        stream_of(replace(video, track=replace(video.track, form=form)))


def test_a_packet_that_claims_to_grow_beyond_all_measure_is_refused():
    claim = zstandard.ZstdCompressor().compress(b"")[:4] + b""
    head = claim[:4] + b"\xe0" + (1 << 30).to_bytes(8, "little")
    track = replace(
        pack(stream(pictures())).track, size=np.full(12, len(head) + 3), offset=np.zeros(12, np.int64),
        form=f"|u1:{1 << 15},{1 << 15}",
    )  # fmt: skip
    with pytest.raises(Corrupt, match="does not hold"):
        next(unpack(Video(track, head + b"\x01\x00\x00"), [0]))


@pytest.mark.parametrize(
    "form", ["", "<f4", "|O8:3,3", "<c8:9", "<f4:", "<f4:0,4", "<f4:3,-1", "<f4:3:planks", "<f4:3\n"]
)
def test_a_form_that_is_none_is_told(form):
    with pytest.raises(Corrupt):
        layout_of(form, subject="here")


def test_names_of_fields_that_cannot_be_read_are_told():
    video = pack(stream(pictures()))
    for setup in (b"[", b"3", b"[3]", b"\xff"):
        with pytest.raises(Corrupt, match="its fields"):
            stream_of(replace(video, track=replace(video.track, setup=setup)))


def test_a_streams_object_says_which_of_its_tracks_are_packed_rows():
    found = split({"camera/a": stream(pictures()), "q": stream(np.zeros(3))}, leave=(), refused=lambda _: False)
    held = codec.Streams(memoryview(codec.encode(found.plain, found.tracks)), "here")
    assert list(held) == ["q"]
    assert held.packed["camera/a"].shape == (48, 48, 3)
    assert held.track("camera/a").codec == PACKED


def test_a_streams_object_without_packed_rows_is_written_as_before():
    assert b'\\"version\\":1' in codec.encode({"q": stream(np.zeros(3))})
