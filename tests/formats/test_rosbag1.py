"""ROS 1 bags: every packing gives the same episode, and what is broken is said."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader
from tests.formats.bags import STEP, T0, Maker, long, packets, robot, write1

from saqiya.domain.streams import EpisodeLog
from saqiya.errors import UnreadableLog
from saqiya.formats.ros.rosbag1 import Rosbag1Format
from saqiya.testing import check_format

FORMAT = Rosbag1Format()
DATA = Path(os.environ.get("SAQIYA_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
FOXGLOVE = DATA / "foxglove-rosbag-fixtures" / "fixtures"
LASER = DATA / "plotjuggler-samples" / "datasamples" / "tilt_laser.bag"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    make = Maker(1)
    folder = tmp_path_factory.mktemp("bags")
    return {kind: write1(folder / f"{kind}.bag", make, robot(make), kind or None) for kind in ("", "BZ2", "LZ4")}


def same(a: EpisodeLog, b: EpisodeLog) -> None:
    assert set(a.streams) == set(b.streams)
    assert a.events == b.events
    for name, stream in a.streams.items():
        assert stream.t_ns.tobytes() == b.streams[name].t_ns.tobytes()
        assert stream.values.tobytes() == b.streams[name].values.tobytes()


def test_every_packing_gives_the_same_episode(sound):
    plain, *others = [next(iter(FORMAT.read(path))) for path in sound.values()]
    for other in others:
        same(plain, other)


def test_the_format_keeps_the_contract(sound, tmp_path):
    check_format(FORMAT, tmp_path, samples=list(sound.values()))


def test_numbers_are_those_that_the_reference_library_reads(sound):
    [log] = FORMAT.read(sound["LZ4"])
    with AnyReader([sound["LZ4"]]) as reader:
        wanted = [c for c in reader.connections if c.topic == "/hand"]
        hands = [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages(wanted)]
    assert log.streams["/hand/grip"].values.tolist() == [hand.grip.tolist() for hand in hands]
    assert log.streams["/hand/fingers/0/angle"].values.tolist() == [hand.fingers[0].angle for hand in hands]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("kind", ["", "BZ2"])
def test_a_bag_that_was_cut_short_gives_what_came_before(tmp_path, share, kind):
    make = Maker(1)
    path = write1(tmp_path / "x.bag", make, long(make), kind or None)
    [whole] = FORMAT.read(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    [log] = FORMAT.read(path)
    assert "truncated" in log.metadata["damage"]
    part, full = log.streams["/ft/wrench/force"].values, whole.streams["/ft/wrench/force"].values
    assert 0 < len(part) < len(full)
    assert (part == full[: len(part)]).all()


def test_a_bag_that_was_never_closed_is_read_without_its_index(sound, tmp_path):
    data = bytearray(sound[""].read_bytes())
    at = data.index(b"index_pos=") + len(b"index_pos=")
    (index,) = struct.unpack_from("<Q", data, at)
    data[at : at + 8] = bytes(8)
    (tmp_path / "x.bag.active").write_bytes(data[:index])
    [log] = FORMAT.read(tmp_path / "x.bag.active")
    same(log, next(iter(FORMAT.read(sound[""]))))
    assert "never closed" in log.metadata["damage"]
    assert log.key == "x"


def test_a_damaged_chunk_is_left_out_and_said(tmp_path):
    make = Maker(1)
    path = write1(tmp_path / "x.bag", make, long(make), "BZ2")
    data = bytearray(path.read_bytes())
    second = data.index(b"BZh9", data.index(b"BZh9") + 10)
    data[second + 60 : second + 80] = bytes(20)
    path.write_bytes(data)
    [log] = FORMAT.read(path)
    assert "1 of" in log.metadata["damage"]
    assert 0 < len(log.streams["/ft/wrench/force"].t_ns) < 150


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"#ROSBAG V1.2\n" + b"x" * 90, "version 1.2"),
        (b"\x89MCAP0\r\n" * 9, "does not begin as"),
        (b"#ROSBAG V2.0\n", "holds no messages.*never closed"),
        (b"#ROSBAG V2.0\n" + b"\xff" * 200, "damaged after"),
    ],
)
def test_what_is_no_bag_is_named(tmp_path, content, words):
    path = tmp_path / "x.bag"
    path.write_bytes(content)
    assert FORMAT.sniff(path)
    with pytest.raises(UnreadableLog, match=words):
        list(FORMAT.read(path))


def record(fields, data):
    head = b"".join(struct.pack("<I", len(k) + 1 + len(v)) + k + b"=" + v for k, v in fields.items())
    return struct.pack("<I", len(head)) + head + struct.pack("<I", len(data)) + data


@pytest.mark.parametrize("claimed", [100, 1 << 31, (1 << 32) - 1])
def test_a_bomb_is_refused_before_it_takes_memory(tmp_path, claimed):
    import bz2

    packed = bz2.compress(bytes(20 << 20), 9)
    chunk = record({b"op": b"\5", b"compression": b"bz2", b"size": struct.pack("<I", claimed)}, packed)
    path = tmp_path / "x.bag"
    path.write_bytes(b"#ROSBAG V2.0\n" + chunk)
    with pytest.raises(UnreadableLog, match=r"chunks are damaged"):
        list(FORMAT.read(path))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_flipped_or_missing_byte_does_harm(sound, data, tmp_path_factory):
    kind = data.draw(st.sampled_from(list(sound)))
    content = bytearray(sound[kind].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path = tmp_path_factory.mktemp("fuzz") / "x.bag"
    path.write_bytes(content)
    try:
        [log] = FORMAT.read(path)
    except UnreadableLog as error:
        assert error.remedy  # noqa: PT017 - either outcome is right, and each must be whole
        return
    assert isinstance(log, EpisodeLog)


def test_numbers_that_publishers_give_tell_what_was_lost(tmp_path):
    make = Maker(1)
    made = [make.joints(T0 + k * STEP, ["a"], [k]) for k in range(10)]
    for k, one in enumerate(made):
        one.header.seq = k + 3 * (k > 4)
    items = [("/js", one, T0 + k * STEP) for k, one in enumerate(made)]
    [log] = FORMAT.read(write1(tmp_path / "x.bag", make, items))
    assert log.metadata["notes"]["/js"].startswith("3 messages were lost")
    assert set(log.streams) == {"/js/position", "clock/js"}


def test_packets_of_a_raw_bag_stay_in_the_file(tmp_path):
    make = Maker(1)
    sent = packets(count=10)
    items = [("/cam", make.packed(T0 + k * STEP, one, "h264"), T0 + k * STEP) for k, (one, _) in enumerate(sent)]
    path = write1(tmp_path / "x.bag", make, items)
    [log] = FORMAT.read(path)
    assert log.videos["/cam"].file == path
    assert [log.videos["/cam"].packet(k) for k in range(10)] == [one for one, _ in sent]


@pytest.mark.skipif(not FOXGLOVE.is_dir(), reason=f"no bags in {DATA}")
def test_the_published_bags_give_one_episode_in_three_packings():
    plain, lz4, bz2 = (next(iter(FORMAT.read(FOXGLOVE / f"example{end}.bag"))) for end in ("", "-lz4", "-bz2"))
    same(plain, lz4)
    same(plain, bz2)
    assert plain.streams["/tf/world->turtle2"].values.shape == (1344, 7)
    for name, words in (("empty-file", "0 bytes"), ("no-messages", "no messages")):
        with pytest.raises(UnreadableLog, match=words):
            list(FORMAT.read(FOXGLOVE / f"{name}.bag"))


@pytest.mark.skipif(not LASER.is_file(), reason=f"no bag in {DATA}")
def test_a_published_bag_with_types_of_its_own_agrees_with_the_reference_library():
    [log] = FORMAT.read(LASER)
    assert "skipped" not in log.metadata
    with AnyReader([LASER]) as reader:
        scans = [c for c in reader.connections if c.topic in {"/scan", "/temperature"}]
        read = [(c.topic, reader.deserialize(raw, c.msgtype)) for c, _, raw in reader.messages(scans)]
    ranges = np.stack([one.ranges for topic, one in read if topic == "/scan"])
    np.testing.assert_array_equal(log.streams["/scan/ranges"].values, ranges)
    assert log.streams["/temperature/reading"].values.tolist() == [o.reading for t, o in read if t == "/temperature"]
