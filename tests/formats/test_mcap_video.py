"""Cameras in our own MCAP: what Foxglove reads, what comes back, and what is left of a damaged one."""

import base64
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader

from saqiya.domain.media import Video
from saqiya.domain.streams import EpisodeLog
from saqiya.errors import UnreadableLog
from saqiya.formats.mcap import video as mcap_video
from saqiya.formats.mcap.log import McapFormat
from saqiya.formats.pictures.annexb import obstacle, wrap_of
from saqiya.record.recover import recover
from saqiya.testing import make_episode, make_video


def written(path: Path, video: Video, name: str = "camera/front") -> Path:
    McapFormat().write(replace(make_episode(), videos={name: video}), path)
    return path


def read(path: Path) -> EpisodeLog:
    (log,) = McapFormat().read(path)
    assert isinstance(log, EpisodeLog)
    return log


def messages(path: Path, topic: str = "camera/front", *, stamped: bool = True) -> list[tuple[int, str, bytes, str]]:
    """Return log time, schema, data and format of each message, decoded by the schema in the file alone."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    found = []
    with path.open("rb") as stream:
        for schema, _, message in make_reader(stream).iter_messages(topics=[topic]):
            pool = descriptor_pool.DescriptorPool()
            for file in descriptor_pb2.FileDescriptorSet.FromString(schema.data).file:
                pool.Add(file)
            body = message_factory.GetMessageClass(pool.FindMessageTypeByName(schema.name)).FromString(message.data)
            assert body.frame_id == (topic if stamped else "")
            stamp = body.timestamp.seconds * 10**9 + body.timestamp.nanos
            found.append((stamp, schema.name, body.data, body.format if stamped else body.encoding))
            assert stamped or (body.width * body.height, body.step % body.width) == (
                len(body.data) // (body.step // body.width),
                0,
            )
    return found


def test_packets_with_lengths_become_what_foxglove_plays(tmp_path: Path) -> None:
    video = make_video(form="avcc")
    found = messages(written(tmp_path / "log.mcap", video))
    assert [(name, form) for _, name, _, form in found] == [("foxglove.CompressedVideo", "h264")] * 12
    for number, (stamp, _, data, _) in enumerate(found):
        assert stamp == video.track.t_ns[number]
        kinds = [unit[0] & 31 for unit in data.split(b"\0\0\0\1")[1:]]
        assert kinds == ([7, 8, 5] if video.track.key[number] else [1])


def test_hevc_is_called_by_foxgloves_name(tmp_path: Path) -> None:
    found = messages(written(tmp_path / "log.mcap", make_video(codec="hevc", form="avcc")))
    assert {form for *_, form in found} == {"h265"}
    assert [unit[0] >> 1 for unit in found[0][2].split(b"\0\0\0\1")[1:]] == [32, 33, 34, 19]


def test_pictures_are_compressed_images(tmp_path: Path) -> None:
    video = make_video(codec="jpeg", form="")
    found = messages(written(tmp_path / "log.mcap", video))
    assert {(name, form) for _, name, _, form in found} == {("foxglove.CompressedImage", "jpeg")}
    assert [data for _, _, data, _ in found] == [video.packet(number) for number in range(12)]


@pytest.mark.parametrize(
    ("dtype", "shape", "encoding"),
    [
        ("u1", (12, 20, 3), "rgb8"),
        ("u1", (16, 20), "mono8"),
        ("u1", (2, 2, 4), "rgba8"),
        (">u2", (20, 16, 1), "mono16"),
    ],
)
def test_raw_pictures_are_raw_images(tmp_path: Path, dtype: str, shape: tuple[int, ...], encoding: str) -> None:
    pictures = np.random.default_rng(0).integers(0, 200, (5, *shape)).astype(dtype)
    log = make_episode(steps=5, streams={"camera/raw": pictures})
    path = tmp_path / "log.mcap"
    McapFormat().write(log, path)
    found = messages(path, "camera/raw", stamped=False)
    assert {(name, form) for _, name, _, form in found} == {("foxglove.RawImage", encoding)}
    assert found[3][2] == pictures[3].astype(np.dtype(dtype).newbyteorder("<")).tobytes()
    back = read(path).streams["camera/raw"].values
    assert (back.dtype, back.tobytes()) == (pictures.dtype, pictures.tobytes())


def test_pictures_of_before_still_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from saqiya.formats.mcap import rows as mcap_rows

    pictures = np.arange(5 * 18 * 20, dtype=np.uint8).reshape(5, 18, 20)
    with monkeypatch.context() as then:
        then.setattr(mcap_rows, "_is_picture", lambda dtype, shape: False)
        McapFormat().write(make_episode(steps=5, streams={"camera/raw": pictures}), tmp_path / "log.mcap")
    assert np.array_equal(read(tmp_path / "log.mcap").streams["camera/raw"].values, pictures)


def test_packets_stay_in_decoding_order(tmp_path: Path) -> None:
    video = make_video(reordered=True)
    stamps = [stamp for stamp, *_ in messages(written(tmp_path / "log.mcap", video))]
    assert stamps == video.track.t_ns[video.track.rank].tolist()
    assert "B-frames" in obstacle(video.track)


def test_what_would_not_come_back_is_left_as_it_is(tmp_path: Path) -> None:
    """A start code inside a unit could not be told from one that was put there."""
    good = make_video(form="avcc")
    unit = b"\x65abc\0\0\0\1def"
    packet = struct.pack(">I", len(unit)) + unit
    track = replace(
        good.track, t_ns=good.track.t_ns[:1], offset=np.zeros(1, np.int64), size=np.array([len(packet)]),
        key=np.ones(1, bool), rank=np.zeros(1, np.int64),
    )  # fmt: skip
    video = Video(track, packet)
    assert wrap_of(video) is None
    path = written(tmp_path / "log.mcap", video)
    assert messages(path)[0][2] == packet
    assert read(path).videos["camera/front"].packet(0) == packet


@pytest.mark.parametrize("setup", [b"", b"\x01", b"\x01" + b"\xff" * 30])
def test_a_broken_set_up_still_comes_back(tmp_path: Path, setup: bytes) -> None:
    good = make_video(form="avcc")
    video = Video(replace(good.track, setup=setup), good.data)
    back = read(written(tmp_path / "log.mcap", video)).videos["camera/front"]
    assert (back.track.setup, back.packet(1)) == (setup, video.packet(1))


def test_a_long_camera_is_written_a_stretch_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcap_video, "STRETCH_BYTES", 200)
    videos = {"camera/a": make_video(pictures=200), "camera/b": make_video(seed=1, pictures=150, reordered=True)}
    log = replace(make_episode(), videos=videos)
    McapFormat().write(log, tmp_path / "log.mcap")
    back = read(tmp_path / "log.mcap")
    for name, video in videos.items():
        same = back.videos[name]
        assert [same.packet(n) for n in range(len(video.track.size))] == [
            video.packet(n) for n in range(len(video.track.size))
        ]
    force = back.streams["contact/force"]
    assert np.array_equal(force.values, log.streams["contact/force"].values)
    with (tmp_path / "log.mcap").open("rb") as stream:
        starts = [index.message_start_time for index in make_reader(stream).get_summary().chunk_indexes]
    assert len(starts) > 20
    assert np.median(np.diff(starts)) >= 0


def test_stamps_before_1970_and_far_away_come_back(tmp_path: Path) -> None:
    video = make_video()
    for shift in (-5_000_000_001, -(2**62), 2**62):
        moved = Video(replace(video.track, t_ns=video.track.t_ns + shift), video.data)
        back = read(written(tmp_path / f"{shift}.mcap", moved)).videos["camera/front"]
        assert np.array_equal(back.track.t_ns, moved.track.t_ns)


def test_a_cut_log_keeps_the_camera_up_to_its_last_whole_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcap_video, "STRETCH_BYTES", 200)
    video = make_video(pictures=200)
    path = written(tmp_path / "log.mcap", video)
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    recover(cut, tmp_path / "whole.mcap")
    log = read(tmp_path / "whole.mcap")
    back = log.videos["camera/front"]
    assert 20 < len(back.track) < 200
    assert all(back.packet(n) == video.packet(n) for n in range(len(back.track)))
    assert "of 200 packets are lost" in str(log.metadata["skipped"])


def test_packets_that_lie_there_as_they_were_stay_there(tmp_path: Path) -> None:
    plain = written(tmp_path / "plain.mcap", make_video())
    video = read(plain).videos["camera/front"]
    assert video.file == plain
    assert video.size_bytes == plain.stat().st_size
    turned = read(written(tmp_path / "turned.mcap", make_video(form="avcc"))).videos["camera/front"]
    assert turned.file is None
    headed = make_video()
    headed = Video(replace(headed.track, setup=b"\0\0\0\1sets"), headed.data)
    back = read(written(tmp_path / "headed.mcap", headed)).videos["camera/front"]
    assert back.file == tmp_path / "headed.mcap"
    assert [back.packet(n) for n in range(12)] == [headed.packet(n) for n in range(12)]


def test_a_camera_whose_packets_were_compressed_again_still_reads(tmp_path: Path) -> None:
    """Another tool may pack the chunks: `mcap compress` does."""
    from mcap.writer import CompressionType, Writer

    path = written(tmp_path / "log.mcap", video := make_video(reordered=True))
    with path.open("rb") as source, (tmp_path / "packed.mcap").open("wb") as target:
        writer = Writer(target, compression=CompressionType.ZSTD)
        writer.start()
        reader = make_reader(source)
        ids: dict[int, int] = {}
        for schema, channel, message in reader.iter_messages(log_time_order=False):
            if channel.id not in ids:
                number = writer.register_schema(schema.name, schema.encoding, schema.data)
                ids[channel.id] = writer.register_channel(
                    channel.topic, channel.message_encoding, number, channel.metadata
                )
            writer.add_message(ids[channel.id], message.log_time, message.data, message.publish_time, message.sequence)
        for record in reader.iter_metadata():
            writer.add_metadata(record.name, record.metadata)
        writer.finish()
    back = read(tmp_path / "packed.mcap").videos["camera/front"]
    assert back.file is None
    assert [back.packet(n) for n in range(12)] == [video.packet(n) for n in range(12)]
    assert np.array_equal(back.track.rank, video.track.rank)


def test_packets_behind_a_gap_wait_for_the_next_key() -> None:
    key = np.array([True, False, False, True, False, False, True])
    have = np.array([0, 1, 3, 5, 6])
    assert mcap_video._decodable(have, key).tolist() == [0, 1, 3, 6]
    assert mcap_video._decodable(np.array([1, 2, 3]), key).tolist() == [3]
    assert mcap_video._decodable(np.array([], np.int64), key).tolist() == []


LIES = {
    "packets": "99999999999999",
    "key": base64.b64encode(b"no zlib").decode(),
    "rank": mcap_video._packed(np.zeros(1 << 22, np.uint8)),
    "pre": "7000",
    "length_bytes": "x",
    "prefix": base64.b64encode(b"else").decode(),
    "codec": "mp3",
    "stamp": "guess",
}


@pytest.mark.parametrize("fact", LIES)
def test_metadata_that_lies_is_told(tmp_path: Path, fact: str, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = mcap_video._metadata
    monkeypatch.setattr(mcap_video, "_metadata", lambda *args: honest(*args) | {fact: LIES[fact]})
    path = written(tmp_path / "log.mcap", make_video(form="avcc"))
    with pytest.raises(UnreadableLog, match="camera cannot be rebuilt"):
        read(path)


def test_a_camera_that_was_encoded_decodes_from_its_messages(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate, encoder.max_b_frames = 64, 48, "yuv420p", 30, 0
    encoder.gop_size = 5
    encoder.options = {"x264-params": "annexb=0:repeat-headers=0", "flags": "+global_header"}
    rng = np.random.default_rng(0)
    packets, keys = [], []
    for number in range(12):
        frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), format="rgb24")
        frame.pts = number
        for packet in encoder.encode(frame):
            packets, keys = [*packets, bytes(packet)], [*keys, packet.is_keyframe]
    for packet in encoder.encode(None):
        packets, keys = [*packets, bytes(packet)], [*keys, packet.is_keyframe]
    size = np.array([len(packet) for packet in packets])
    track = replace(
        make_video(form="avcc").track, offset=np.cumsum(size) - size, size=size, key=np.array(keys),
        setup=bytes(encoder.extradata), width=64, height=48,
    )  # fmt: skip
    path = written(tmp_path / "log.mcap", Video(track, b"".join(packets)))
    decoder = av.CodecContext.create("h264", "r")  # no set-up beside the packets: each message must do
    shown = [frame for *_, data, _ in messages(path) for frame in decoder.decode(av.Packet(data))]
    shown += decoder.decode(None)
    assert len(shown) == 12
    assert read(path).videos["camera/front"].packet(3) == packets[3]
