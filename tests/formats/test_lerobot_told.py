"""What a LeRobot data set of ours says beside its frames: weights, tasks, statistics, settings, and damage."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Tools
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saqiya.domain.contracts import Shipped, Unread
from saqiya.domain.streams import EpisodeLog, Event, Stream
from saqiya.errors import AlreadyThere, ConfigError, InvalidEpisode, UnreadableLog
from saqiya.formats.lerobot import shards as lerobot_shards
from saqiya.formats.lerobot import tables as lerobot_tables
from saqiya.formats.lerobot.read import LeRobotFormat
from saqiya.formats.lerobot.write import LeRobotWriter
from saqiya.testing import make_episode


def test_weights_lie_beside_each_frame(tmp_path: Path, trips: Tools) -> None:
    one = make_episode(seed=0, steps=20)
    t_ns = one.streams["action/executed"].t_ns
    spans = ((int(t_ns[0]), int(t_ns[5]), 1.0, "anchor"), (int(t_ns[5]), int(t_ns[9]), 2.5, "correction"))
    path = tmp_path / "out"
    LeRobotWriter().write_all([Shipped("uid/1", one, spans)], path, settings={}, progress=trips.quiet)
    rows = pyarrow.parquet.read_table(path / "meta/saqiya/weights.parquet").to_pylist()
    assert [row["weight"] for row in rows] == [1.0] * 5 + [2.5] * 4 + [0.0] * 11
    assert {row["uid"] for row in rows} == {"uid/1"}
    assert [row["frame_index"] for row in rows] == list(range(20))
    (back,) = trips.read(path)
    assert back.metadata["uid"] == "uid/1"
    assert back.metadata["spans"] == [list(span) for span in spans]
    listed = pyarrow.parquet.read_table(path / "meta/saqiya/episodes.parquet").to_pylist()
    assert (listed[0]["uid"], listed[0]["outcome"], listed[0]["task"]) == ("uid/1", "success", one.metadata["task"])


def test_a_uid_never_names_a_file_elsewhere(tmp_path: Path, trips: Tools) -> None:
    uids = ["../../escape", "/etc/x", "..", ".hidden", "a" * 400, "ünï/😀"]
    many = [Shipped(uid, trips.robotless(seed)) for seed, uid in enumerate(uids)]
    LeRobotWriter().write_all(many, tmp_path / "out", settings={}, progress=trips.quiet)
    assert [one.metadata["uid"] for one in trips.read(tmp_path / "out")] == uids
    assert sorted(one.name for one in tmp_path.iterdir()) == ["out"]
    assert len(trips.native(tmp_path / "out")) == len(uids)


def test_two_tries_of_one_name_are_told_apart(tmp_path: Path, trips: Tools) -> None:
    trips.write([trips.robotless(0), trips.robotless(0)], tmp_path / "out")
    assert [one.key for one in trips.read(tmp_path / "out")] == ["try-0", "try-0#episode_001"]


def test_an_episode_that_comes_twice_is_refused(tmp_path: Path, trips: Tools) -> None:
    with pytest.raises(InvalidEpisode, match="comes twice"):
        LeRobotWriter().write_all(
            [Shipped("a", trips.robotless(0))] * 2, tmp_path / "out", settings={}, progress=trips.quiet
        )


def test_what_not_every_episode_has_is_no_column_and_comes_back(tmp_path: Path, trips: Tools) -> None:
    first, second = trips.robot(tmp_path, seed=1, **{"camera/top": {}}), trips.robot(tmp_path, seed=2)
    streams = dict(second.streams)
    del streams["/ft_sensor/wrench"]
    narrow = streams["observation/state"].values[:, :3].copy()
    streams["observation/state"] = replace(streams["observation/state"], values=narrow)
    second = EpisodeLog(second.key, streams, second.events, second.metadata)
    notes = trips.write([first, second], tmp_path / "out")
    assert not (tmp_path / "out" / "videos" / "observation.images.top").exists()
    assert not {"observation.state", "observation.ft_sensor.wrench"} & set(trips.table(tmp_path / "out").column_names)
    lacking = [note.split(":")[0] for note in notes if "not every episode has it" in note]
    assert lacking == ["observation.ft_sensor.wrench", "observation.images.top", "observation.state"]


def test_tasks_and_their_changes_are_numbered(tmp_path: Path, trips: Tools) -> None:
    one, two = trips.robotless(0), trips.robotless(1)
    t_ns = one.streams["action/executed"].t_ns
    events = (Event(int(t_ns[0]), "task", "reach"), Event(int(t_ns[6]), "task", "grasp"))
    one = EpisodeLog(one.key, one.streams, events, one.metadata)
    trips.write([one, two], tmp_path / "out")
    rows = pyarrow.parquet.read_table(tmp_path / "out/meta/tasks.parquet").to_pylist()
    assert rows == [{"task_index": k, "task": task} for k, task in enumerate(["reach", "grasp", "task 1"])]
    assert trips.table(tmp_path / "out")["task_index"].to_pylist() == [0] * 6 + [1] * 4 + [2] * 10
    listed = pyarrow.parquet.read_table(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [row["tasks"] for row in listed] == [["reach", "grasp"], ["task 1"]]


def test_statistics_are_those_of_the_columns(tmp_path: Path, trips: Tools) -> None:
    episodes = [trips.robotless(seed) for seed in range(3)]
    trips.write(episodes, tmp_path / "out")
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    actions = np.concatenate([one.streams["action/executed"].values for one in episodes])
    for name in ("mean", "std", "min", "max"):
        assert stats["action"][name] == pytest.approx(getattr(actions, name)(0).tolist())
    assert stats["action"]["count"] == [30]
    assert set(stats) == set(trips.info(tmp_path / "out")["features"])
    listed = pyarrow.parquet.read_table(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    own = episodes[1].streams["action/executed"].values
    assert listed[1]["stats/action/q50"] == pytest.approx(np.quantile(own, 0.5, axis=0).tolist())


def test_files_do_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trips: Tools) -> None:
    monkeypatch.setattr(lerobot_shards, "MOVIE_BYTES", 5_000)
    monkeypatch.setattr(lerobot_tables, "DATA_BYTES", 20_000)
    episodes = [trips.robot(tmp_path, seed=seed, **{"camera/top": {}}) for seed in range(4)]
    trips.write(episodes, tmp_path / "out")
    assert len(list((tmp_path / "out/videos/observation.images.top/chunk-000").iterdir())) > 1
    assert len(list((tmp_path / "out/data/chunk-000").iterdir())) > 1
    for wrote, back in zip(episodes, trips.read(tmp_path / "out"), strict=True):
        trips.assert_same(wrote, back)


def test_another_set_up_begins_another_file(tmp_path: Path, trips: Tools) -> None:
    kinds: list[dict[str, Any]] = [
        {"options": {"bf": "0"}},
        {"options": {"profile": "baseline"}},
        {"codec": "libsvtav1"},
    ]
    episodes = [trips.robot(tmp_path / str(seed), seed=seed, **{"camera/top": kind}) for seed, kind in enumerate(kinds)]
    notes = trips.write(episodes, tmp_path / "out")
    assert len(list((tmp_path / "out/videos/observation.images.top/chunk-000").iterdir())) == 3
    assert not any("encoded again" in note for note in notes)
    for wrote, back in zip(episodes, trips.read(tmp_path / "out"), strict=True):
        trips.assert_same(wrote, back)


def test_nothing_is_written_over_and_nothing_is_left_half(tmp_path: Path, trips: Tools) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(AlreadyThere):
        trips.write([trips.robotless(0)], tmp_path / "out")
    empty = EpisodeLog("empty", {"observation/x": Stream(np.empty(0, dtype=np.int64), np.empty((0, 1)))})
    with pytest.raises(InvalidEpisode, match="neither a signal nor a picture"):
        trips.write([trips.robotless(0), empty], tmp_path / "new")
    with pytest.raises(InvalidEpisode, match="no episode"):
        trips.write([], tmp_path / "new")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["out"]
    assert list((tmp_path / "out").iterdir()) == []


def test_no_card_and_no_licence_is_made(tmp_path: Path, trips: Tools) -> None:
    trips.write([trips.robotless(0)], tmp_path / "out")
    names = {one.name.lower() for one in (tmp_path / "out").rglob("*")}
    assert not any(word in name for name in names for word in ("readme", "license", "licence", "card"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"speed": 1},
        {"fps": 0},
        {"fps": "30"},
        {"fps": True},
        {"names": ["a"]},
        {"names": {"a": "b/c"}},
        {"names": {"a": "index"}},
        {"names": {"a": "x", "b": "x"}},
    ],
)
def test_a_wrong_setting_is_refused(wrong: dict[str, Any], tmp_path: Path, trips: Tools) -> None:
    with pytest.raises(ConfigError):
        trips.write([trips.robotless(0)], tmp_path / "out", **wrong)


def test_other_names_can_be_given(tmp_path: Path, trips: Tools) -> None:
    one = trips.robotless(0)
    trips.write([one], tmp_path / "out", names={"observation/state": "observation.proprio"})
    assert "observation.proprio" in trips.table(tmp_path / "out").column_names
    assert "observation.state" not in trips.table(tmp_path / "out").column_names
    trips.assert_same(one, trips.read(tmp_path / "out")[0])


def test_damage_beside_the_data_set_is_told_and_lerobots_part_is_read(tmp_path: Path, trips: Tools) -> None:
    trips.write([trips.robotless(0)], tmp_path / "out")
    (tmp_path / "out/meta/saqiya/episodes.parquet").write_bytes(b"PAR1 not")
    items = list(LeRobotFormat().read(tmp_path / "out"))
    assert [type(item) for item in items] == [Unread, EpisodeLog]
    assert isinstance(items[1], EpisodeLog)
    assert items[1].streams["action/executed"].clock == "lerobot"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_record_that_lies_gives_a_reason(data: st.DataObject, tmp_path: Path, trips: Tools) -> None:
    source = tmp_path / "source"
    if not source.exists():
        rng = np.random.default_rng(0)
        one = trips.robot(tmp_path, seconds=0.5, **{"camera/top": {}})
        raw = Stream(trips.stamps(15, 30), rng.integers(0, 255, (15, 16, 24, 3), dtype=np.uint8))
        trips.write(
            [EpisodeLog(one.key, {**one.streams, "camera/raw": raw}, one.events, one.metadata, one.videos)], source
        )
        shutil.copytree(source, tmp_path / "x")
    path = "meta/saqiya/episodes.parquet"
    rows = pyarrow.parquet.read_table(source / path)
    record = json.loads(rows["record"][0].as_py())
    spoil(record, data)
    rows = rows.set_column(rows.schema.get_field_index("record"), "record", [[json.dumps(record)]])
    pyarrow.parquet.write_table(rows, tmp_path / "x" / path)
    for item in list(LeRobotFormat().read(tmp_path / "x")):
        if isinstance(item, Unread):
            assert item.reason
            assert item.remedy


def spoil(value: Any, data: st.DataObject) -> None:
    """Put something else into one place of a nested value."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(value[key], dict | list) and value[key] and data.draw(st.integers(0, 9)):
            value = value[key]
            continue
        other = st.sampled_from(
            [None, -1, 10**30, 1e300, "", "../../etc/passwd", [], [-5, 1e-9], {}, "|O", True, 1 << 40]
        )
        value[key] = data.draw(other)
        return


def test_a_record_cannot_ask_for_memory_it_does_not_have(tmp_path: Path, trips: Tools) -> None:
    trips.write([trips.robotless(0)], tmp_path / "out")
    path = tmp_path / "out/meta/saqiya/episodes.parquet"
    rows = pyarrow.parquet.read_table(path)
    record = json.loads(rows["record"][0].as_py())
    for _, about in record["streams"]:
        about["shape"][0], about["t_ns"] = 1 << 31, [0, 30.0]
    rows = rows.set_column(rows.schema.get_field_index("record"), "record", [[json.dumps(record)]])
    pyarrow.parquet.write_table(rows, path)
    (item,) = LeRobotFormat().read(tmp_path / "out")
    assert isinstance(item, Unread)


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableLog, match="is not there"):
        list(LeRobotFormat().read(tmp_path))
