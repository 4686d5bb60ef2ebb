"""ROS 2 bags: SQLite and MCAP, split, packed, without metadata, damaged."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader
from tests.formats.bags import STEP, T0, Maker, robot, write2

from saqiya.domain.streams import EpisodeLog
from saqiya.errors import UnreadableLog
from saqiya.formats import bounded
from saqiya.formats.mcap.log import McapFormat
from saqiya.formats.open import read_logs
from saqiya.formats.ros.rosbag2 import Rosbag2Format
from saqiya.testing import check_format

FORMAT = Rosbag2Format()
DATA = Path(os.environ.get("SAQIYA_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
FIXTURES = DATA / "rosbag2-fixtures"
IMU = DATA / "plotjuggler-samples" / "datasamples" / "rosbag2_test"
MAKE = Maker(2)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bags")
    kinds = [(s, c) for s in ("SQLITE3", "MCAP") for c in (None, "FILE", "MESSAGE", "STORAGE")]
    made = {}
    for storage, compression in kinds:
        if (storage, compression) == ("SQLITE3", "STORAGE"):
            continue
        made[storage, compression] = write2(folder / f"{storage}{compression}", MAKE, robot(MAKE), storage, compression)
    return made


def only(path):
    [log] = FORMAT.read(path)
    return log


def same(a: EpisodeLog, b: EpisodeLog) -> None:
    assert set(a.streams) == set(b.streams)
    assert a.events == b.events
    for name, stream in a.streams.items():
        assert stream.t_ns.tobytes() == b.streams[name].t_ns.tobytes()
        assert stream.values.tobytes() == b.streams[name].values.tobytes()


def test_every_storage_and_packing_gives_the_same_episode(sound):
    first, *others = [only(path) for path in sound.values()]
    assert "skipped" not in first.metadata
    for other in others:
        same(first, other)


def test_the_format_keeps_the_contract(sound, tmp_path):
    [file] = sound["SQLITE3", None].glob("*.db3")
    [packed] = sound["MCAP", "FILE"].glob("*.zstd")
    check_format(FORMAT, tmp_path, samples=[*sound.values(), file, packed])


def test_a_single_file_without_metadata_is_the_same_bag(sound):
    [file] = sound["SQLITE3", None].glob("*.db3")
    same(only(file), only(sound["SQLITE3", None]))
    [file] = sound["MCAP", None].glob("*.mcap")
    [log] = McapFormat().read(file)
    same(log, only(sound["MCAP", None]))


def parts(folder, storage, count=3, metadata=None):
    """Split what a robot logs over several files that are named as a recorder names them."""
    items = robot(MAKE, 30)
    folder.mkdir()
    cut = len(items) // count
    for number in range(count):
        last = None if number == count - 1 else (number + 1) * cut
        one = write2(folder / "tmp", MAKE, items[number * cut : last], storage)
        [file] = one.glob("*.*3" if storage == "SQLITE3" else "*.mcap")
        shutil.move(file, folder / f"{folder.name}_{number}{file.suffix}")
        shutil.rmtree(one)
    if metadata:
        (folder / "metadata.yaml").write_text(metadata)
    return write2(folder.with_name("whole"), MAKE, items, storage)


@pytest.mark.parametrize("storage", ["SQLITE3", "MCAP"])
def test_a_split_bag_without_metadata_is_one_log(tmp_path, storage):
    whole = parts(tmp_path / "run", storage)
    assert FORMAT.sniff(tmp_path / "run")
    same(only(tmp_path / "run"), only(whole))
    found = [(path.name, type(item)) for path, _, item in read_logs([tmp_path], [McapFormat(), FORMAT])]
    assert found == [("run", EpisodeLog), ("whole", EpisodeLog)]


def test_metadata_says_what_is_missing_and_names_no_file_elsewhere(tmp_path):
    listed = "rosbag2_bagfile_information:\n  relative_file_paths: [run_0.db3, run_7.db3, ../../etc/run_1.db3]\n"
    parts(tmp_path / "run", "SQLITE3", metadata=listed)
    damage = only(tmp_path / "run").metadata["damage"]
    assert "run_7.db3 is not there" in damage
    assert "does not list run_2.db3" in damage


def test_files_of_other_names_are_logs_of_their_own(tmp_path):
    parts(tmp_path / "run", "MCAP")
    (tmp_path / "run").rename(tmp_path / "tries")
    assert not FORMAT.sniff(tmp_path / "tries")


def test_a_damaged_part_does_not_lose_the_others(tmp_path):
    parts(tmp_path / "run", "MCAP")
    last = tmp_path / "run" / "run_2.mcap"
    last.write_bytes(last.read_bytes()[:3000])
    log = only(tmp_path / "run")
    assert "run_2.mcap" in log.metadata["damage"]
    assert len(log.streams["/ft/wrench/force"].t_ns) >= 19


def test_messages_that_wait_in_a_write_ahead_log_are_not_lost(sound, tmp_path):
    [file] = sound["SQLITE3", None].glob("*.db3")
    live = tmp_path / "live.db3"
    shutil.copy(file, live)
    base = sqlite3.connect(live)
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("INSERT INTO messages (topic_id, timestamp, data) SELECT topic_id, timestamp, data FROM messages")
    base.commit()
    for end in ("", "-wal"):
        shutil.copy(tmp_path / f"live.db3{end}", tmp_path / f"copy.db3{end}")
    base.close()
    before = sorted(path.name for path in tmp_path.iterdir())
    log = only(tmp_path / "copy.db3")
    assert len(log.streams["/ft/wrench/force"].t_ns) == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_types_that_nobody_defines_are_named(sound, tmp_path):
    [file] = sound["SQLITE3", None].glob("*.db3")
    old = tmp_path / "old.db3"
    shutil.copy(file, old)
    base = sqlite3.connect(old)
    base.execute("DROP TABLE message_definitions")
    base.commit()
    base.close()
    log = only(old)
    assert list(log.metadata["skipped"]) == ["/hand"]
    assert "no standard type" in log.metadata["skipped"]["/hand"]
    assert log.streams["/joint_states/position"].values.shape == (20, 2)


def test_an_endless_table_is_given_up(tmp_path):
    base = sqlite3.connect(tmp_path / "x.db3")
    base.execute("CREATE TABLE topics (id, name, type, serialization_format)")
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    base.execute(f"CREATE VIEW messages AS {endless} SELECT i AS topic_id, i AS timestamp, i AS data FROM n")
    base.commit()
    base.close()
    with pytest.raises(UnreadableLog, match="no table of messages"):
        list(FORMAT.read(tmp_path / "x.db3"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS pointer"),
        (b"SQLite format 3\0", "no ROS 2 bag|damaged"),
        (b"nothing of the kind" * 9, "neither SQLite nor MCAP"),
    ],
)
def test_what_is_no_bag_is_named(tmp_path, content, words):
    (tmp_path / "x.db3").write_bytes(content)
    assert FORMAT.sniff(tmp_path / "x.db3")
    with pytest.raises(UnreadableLog, match=words):
        list(FORMAT.read(tmp_path / "x.db3"))


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded, "FLOOR_BYTES", 1 << 20)
    path = tmp_path / "x.db3.zstd"
    path.write_bytes(zstandard.ZstdCompressor().compress(bytes(40 << 20)))
    with pytest.raises(UnreadableLog, match="more bytes than any log"):
        list(FORMAT.read(path))


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_no_flipped_or_missing_byte_does_harm(sound, data, tmp_path_factory):
    kind = data.draw(st.sampled_from(list(sound)))
    folder = tmp_path_factory.mktemp("fuzz") / "x"
    shutil.copytree(sound[kind], folder)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path.write_bytes(content)
    try:
        logs = [log for where in (folder, path) if FORMAT.sniff(where) for log in FORMAT.read(where)]
    except UnreadableLog as error:
        assert error.remedy  # noqa: PT017 - either outcome is right, and each must be whole
        return
    assert all(isinstance(log, EpisodeLog) for log in logs)


@pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"no bags in {DATA}")
def test_the_published_bags_come_in_or_say_why_not():
    found = {}
    for path, _, item in read_logs([FIXTURES], [McapFormat(), FORMAT]):
        if isinstance(item, EpisodeLog):
            found["/".join(path.parts[-2:])] = item
    assert len(found["mcap/wbag"].events) == len(found["sqlite3/wbag"].events) == 6074
    assert found["mcap/convert_a"].streams["b_basictypes/int64_value"].values.shape == (50,)
    assert len([event for event in found["mcap/convert_b"].events if event.name == "a_empty"]) == 25
    assert [event.detail for event in found["sqlite3/talker"].events][1] == "Hello, world! 0"
    assert len(found["bags/only_services.mcap"].streams["/add_two_ints/_service_event/info/event_type"].t_ns) == 12


@pytest.mark.skipif(not IMU.is_dir(), reason=f"no bag in {DATA}")
def test_a_published_bag_of_standard_types_agrees_with_the_reference_library():
    log = only(IMU)
    with AnyReader([IMU], default_typestore=MAKE.store) as reader:
        wanted = [c for c in reader.connections if c.topic == "/imu"]
        read = [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages(wanted)]
    turn = log.streams["/imu/angular_velocity"]
    assert turn.values.tolist() == [[o.angular_velocity.x, o.angular_velocity.y, o.angular_velocity.z] for o in read]
    assert turn.unit == "rad/s"


def test_empty_lists_and_times_are_where_the_definition_says(tmp_path):
    items = [("/js", MAKE.joints(T0 + k * STEP, ["a"], [k], (), [k] if k % 2 else ()), T0 + k * STEP) for k in range(6)]
    log = only(write2(tmp_path / "x", MAKE, items))
    assert log.streams["/js/position"].values[:, 0].tolist() == list(range(6))
    assert log.streams["/js/effort"].values[:, 0].tolist() == [1, 3, 5]
    assert log.streams["/js/effort"].t_ns.tolist() == [T0 + k * STEP for k in (1, 3, 5)]
