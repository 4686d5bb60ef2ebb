"""Any picture, in any order, is what a container read gives, bit for bit."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from tests.views.clips import encoded

from saqiya.domain.media import Track, Video
from saqiya.errors import Corrupt
from saqiya.views.frames import Clip, Decoder, dtype_of, shape_of

KINDS = {
    "h264": ("libx264", {"g": "10", "bf": "0"}),
    "h264 with B-frames": ("libx264", {"g": "10", "bf": "3", "b-pyramid": "normal"}),
    "h264 with open groups": ("libx264", {"g": "10", "bf": "3", "x264-params": "open-gop=1:keyint=10:scenecut=0"}),
    "hevc": ("libx265", {"x265-params": "keyint=10:bframes=0:log-level=none"}),
    "hevc with open groups": ("libx265", {"x265-params": "keyint=10:bframes=3:open-gop=1:log-level=none"}),
    "av1": ("libsvtav1", {"g": "10", "preset": "12"}),
    "vp9": ("libvpx-vp9", {"g": "10", "deadline": "realtime"}),
    "jpeg": ("mjpeg", {}),
    "png": ("png", {}),
}
_made = {}


@pytest.fixture(params=KINDS)
def kind(request):
    codec, options = KINDS[request.param]
    if request.param not in _made:
        pix_fmt = {"mjpeg": "yuvj420p", "png": "rgb24"}.get(codec, "yuv420p")
        video, pictures = encoded(codec, options=options or {"q": "3"}, pix_fmt=pix_fmt)
        _made[request.param] = Clip.of(video, request.param), pictures
    return _made[request.param]


def test_every_picture_by_itself_in_random_order(kind):
    clip, pictures = kind
    decoder = Decoder()
    for picture in np.random.default_rng(1).permutation(len(pictures)):
        assert np.array_equal(decoder.pictures(clip, [int(picture)])[0], pictures[picture])


def test_one_after_the_other(kind):
    clip, pictures = kind
    decoder = Decoder()
    for picture in range(len(pictures)):
        assert np.array_equal(decoder.pictures(clip, [picture])[0], pictures[picture])


def test_many_at_once_in_the_order_asked(kind):
    clip, pictures = kind
    wanted = [31, 4, 4, 5, 0, len(pictures) - 1, 17]
    assert np.array_equal(Decoder().pictures(clip, wanted), pictures[wanted])
    assert np.array_equal(Decoder(threads=2).pictures(clip, range(len(pictures))), pictures)


@pytest.mark.parametrize("size", [(64, 48), (66, 50), (62, 46)])
@pytest.mark.parametrize("colour", [(1, 1), (5, 2), (1, 2)])
def test_declared_colours_are_converted_as_ffmpeg_does(size, colour):
    video, pictures = encoded(count=5, size=size, colour=colour)
    assert np.array_equal(Decoder().pictures(Clip.of(video), range(5)), pictures)


def test_a_following_picture_costs_one_packet(monkeypatch):
    video, _ = encoded(count=20)
    clip, decoder, fed = Clip.of(video), Decoder(), []
    inner = decoder._decode
    monkeypatch.setattr(decoder, "_decode", lambda clip, packet: (fed.append(packet.pts), inner(clip, packet)))
    for picture in (3, 4, 4, 5, 9, 10, 2):
        decoder.frames(clip, [picture])
    assert fed == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1, 2]


def test_any_run_of_requests_gives_the_right_pictures(kind):
    clip, pictures = kind
    rng, decoder = np.random.default_rng(8), Decoder()
    for _ in range(60):
        start = int(rng.integers(0, len(pictures) - 3))
        wanted = np.sort(rng.integers(start, start + 4, int(rng.integers(1, 4))))
        assert np.array_equal(decoder.pictures(clip, wanted.tolist()), pictures[wanted])


def test_two_clips_do_not_mix():
    (one, first), (two, second) = encoded(seed=1, count=12), encoded(seed=2, count=12)
    clips, decoder = (Clip.of(one), Clip.of(two)), Decoder()
    for picture in range(12):
        for clip, expected in zip(clips, (first, second), strict=True):
            assert np.array_equal(decoder.pictures(clip, [picture])[0], expected[picture])


def depth_video(pictures, unit="mm", pix_fmt="gray16be"):
    context = av.CodecContext.create("png", "w")
    context.height, context.width, context.pix_fmt, context.framerate = *pictures.shape[1:3], pix_fmt, 30
    context.time_base = Fraction(1, 30)
    packets = []
    for picture in pictures:
        frame = av.VideoFrame.from_ndarray(picture, format={"gray16be": "gray16le", "gray": "gray"}[pix_fmt])
        packets += [bytes(packet) for packet in context.encode(frame.reformat(format=pix_fmt))]
    size = np.array([len(packet) for packet in packets], dtype=np.int64)
    every = np.arange(len(packets))
    track = Track(
        t_ns=every * 33_333_333, offset=np.cumsum(size) - size, size=size, key=np.ones(len(size), dtype=bool),
        rank=every, codec="png", width=pictures.shape[2], height=pictures.shape[1], unit=unit,
    )  # fmt: skip
    return Video(track, b"".join(packets))


def test_depth_keeps_its_sixteen_bits():
    depth = np.random.default_rng(0).integers(0, 65536, (3, 46, 62), dtype=np.uint16)
    clip = Clip.of(depth_video(depth))
    assert (shape_of(clip.track), dtype_of(clip.track)) == ((46, 62), np.uint16)
    assert np.array_equal(Decoder().pictures(clip, [2, 0, 1]), depth[[2, 0, 1]])


def test_depth_in_eight_bits_keeps_its_numbers():
    depth = np.random.default_rng(0).integers(0, 256, (2, 46, 62), dtype=np.uint8)
    assert np.array_equal(Decoder().pictures(Clip.of(depth_video(depth, pix_fmt="gray")), [0, 1]), depth)


def test_sixteen_bits_without_a_unit_are_not_squeezed_into_eight():
    depth = np.full((1, 46, 62), 4000, dtype=np.uint16)
    with pytest.raises(Corrupt, match="it is depth"):
        Decoder().pictures(Clip.of(depth_video(depth, unit="")), [0])


def test_colours_are_no_depth():
    video, _ = encoded("png", count=2, pix_fmt="rgb24", options={"q": "3"})
    clip = Clip.of(Video(replace(video.track, unit="mm"), video.data))
    with pytest.raises(Corrupt, match="rgb24"):
        Decoder().pictures(clip, [0])


def test_a_picture_of_another_size_is_refused():
    video, _ = encoded(count=3)
    clip = Clip.of(Video(replace(video.track, width=32), video.data), "camera/front")
    with pytest.raises(Corrupt, match=r"camera/front.*64 x 48"):
        Decoder().pictures(clip, [0])


def test_a_picture_far_larger_than_declared_is_not_even_begun():
    file, _ = encoded("png", count=1, size=(512, 512), pix_fmt="rgb24", options={"q": "3"})
    clip = Clip.of(Video(replace(file.track, width=64, height=48), file.data))
    with pytest.raises(Corrupt, match="cannot be decoded"):
        Decoder().pictures(clip, [0])


def test_damage_is_told_and_the_decoder_goes_on_with_sound_clips():
    video, pictures = encoded(count=20)
    rubbish = Video(video.track, bytes(len(video.data)))
    decoder = Decoder()
    with pytest.raises(Corrupt):
        decoder.pictures(Clip.of(rubbish), [5])
    assert np.array_equal(decoder.pictures(Clip.of(video), [5])[0], pictures[5])


@pytest.mark.parametrize("codec", ["h264", "png", "av1"])
def test_flipped_bytes_never_do_worse_than_an_error(codec):
    name, options = KINDS[codec]
    video, _ = encoded(name, count=8, options=options or {"q": "3"}, pix_fmt="rgb24" if codec == "png" else "yuv420p")
    rng, decoder = np.random.default_rng(3), Decoder()
    for _ in range(30):
        data = np.frombuffer(video.data, np.uint8).copy()
        data[rng.integers(0, len(data), 20)] = rng.integers(0, 256, 20, dtype=np.uint8)
        try:
            found = decoder.pictures(Clip.of(Video(video.track, data.tobytes())), [7, 2])
        except Corrupt:
            continue
        assert found.shape == (2, 48, 64, 3)


def test_the_clip_knows_where_to_begin():
    video, _ = encoded(count=25)
    clip = Clip.of(video)
    assert clip.begin.tolist() == [0] * 10 + [10] * 10 + [20] * 5
    assert not clip.reordered
