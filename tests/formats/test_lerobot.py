"""LeRobot data sets come in with every value, stamp, packet and word; what is broken says why, the rest comes in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saqiya.domain.contracts import Unread
from saqiya.domain.media import Video
from saqiya.domain.streams import EpisodeLog, Stamp
from saqiya.errors import UnreadableLog
from saqiya.formats.lerobot.read import LeRobotFormat
from saqiya.formats.open import read_logs
from saqiya.formats.pictures.mp4 import open_mp4
from saqiya.testing import check_format

TOP = "observation.images.top"
TEN_HZ_NS = 100_000_000
Folders = dict[str, Path]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, lerobots: SimpleNamespace) -> Folders:
    root = tmp_path_factory.mktemp("lerobots")
    return {
        "v2.0": lerobots.write_v2(root / "v20", version="v2.0"),
        "v2.1": lerobots.write_v2(root / "v21"),
        "v3.0": lerobots.write_v3(root / "v30"),
        "v3.0 in one row group": lerobots.write_v3(root / "v30one", row_groups=False, pandas=False),
        "v3.0 in AV1": lerobots.write_v3(root / "v30av1", codec="libsvtav1"),
    }


KINDS = ["v2.0", "v2.1", "v3.0", "v3.0 in one row group", "v3.0 in AV1"]


def both(path: Path, *, videos: bool = True) -> tuple[list[EpisodeLog], dict[str, Unread]]:
    items = list(LeRobotFormat(videos=videos).read(path))
    return (
        [item for item in items if isinstance(item, EpisodeLog)],
        {item.key: item for item in items if isinstance(item, Unread)},
    )


def good(path: Path) -> list[EpisodeLog]:
    episodes, unread = both(path)
    assert unread == {}
    return episodes


def pictures(video: Video) -> list[np.ndarray]:
    """The pictures of a camera in the episode's range, decoded with the reference library from packets alone."""
    import av

    track = video.track
    codec = {"h264": "h264", "av1": "libdav1d", "png": "png"}[track.codec]
    context: Any = av.CodecContext.create(codec, "r")
    if track.setup:
        context.extradata = track.setup
    found = {}
    for number in [*range(len(track.size)), None]:
        packet = None
        if number is not None:
            packet = av.Packet(video.packet(number))
            packet.pts = int(track.rank[number])
        for frame in context.decode(packet):
            found[frame.pts] = frame.to_ndarray(format="rgb24")
    return [found[number] for number in range(track.pre, len(track.t_ns) - track.post)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_known_by_its_info(folders: Folders, kind: str, tmp_path: Path) -> None:
    form = LeRobotFormat()
    assert form.sniff(folders[kind])
    assert not form.sniff(folders[kind] / "meta")
    assert not form.sniff(folders[kind] / "meta" / "info.json")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text('{"fps": 30}')
    assert not form.sniff(tmp_path)


def test_the_reader_keeps_the_contract(folders: Folders, tmp_path: Path) -> None:
    check_format(LeRobotFormat(), tmp_path, samples=[folders[kind] for kind in KINDS])


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_keeps_its_type_and_shape(folders: Folders, kind: str, lerobots: SimpleNamespace) -> None:
    start = 0
    for index, episode in enumerate(good(folders[kind])):
        count = len(episode.streams["action/executed"].t_ns)
        want = lerobots.columns_of(index, count, start, 10)
        for feature, stream, dtype, shape in (
            ("observation.state", "observation/state", np.float32, (count, 3)),
            ("action", "action/executed", np.float64, (count, 2)),
            ("observation.grid", "observation/grid", np.int64, (count, 2, 2)),
            ("gripper", "gripper", np.uint8, (count, 1)),
            ("next.reward", "reward", np.float32, (count, 1)),
            ("next.done", "next.done", np.bool_, (count, 1)),
        ):
            own = episode.streams[stream].values
            assert (own.dtype, own.shape) == (dtype, shape)
            assert own.tolist() == np.array(want[feature].to_pylist(), dtype=dtype).reshape(shape).tolist()
        start += count
    assert start in {35, 52}


@pytest.mark.parametrize("kind", KINDS)
def test_stamps_are_frames_over_rate_and_say_so(folders: Folders, kind: str) -> None:
    for episode in good(folders[kind]):
        for stream in episode.streams.values():
            assert stream.t_ns.tolist() == [TEN_HZ_NS * number for number in range(len(stream.t_ns))]
            assert (stream.clock, stream.stamp) == ("lerobot", Stamp.ASSUMED)
        track = episode.videos["camera/top"].track
        assert track.shown_ns.tolist() == episode.streams["action/executed"].t_ns.tolist()
        assert (track.clock, track.stamp) == ("lerobot", Stamp.ASSUMED)


@pytest.mark.parametrize("kind", KINDS)
def test_a_camera_is_the_files_own_packets_and_shows_the_files_own_pictures(
    folders: Folders, kind: str, movies: SimpleNamespace
) -> None:
    start = 0
    for episode in good(folders[kind]):
        video = episode.videos["camera/top"]
        assert video.file is not None
        shown = movies.shown(video.file)
        own = pictures(video)
        first = start if kind.startswith("v3") else 0
        assert all(np.array_equal(a, b) for a, (_, b) in zip(own, shown[first : first + len(own)], strict=True))
        assert video.size_bytes == video.file.stat().st_size
        start += len(own)


def test_a_part_of_a_shared_file_has_no_more_packets_than_it_needs(folders: Folders) -> None:
    episodes = good(folders["v3.0"])
    whole = open_mp4(folders["v3.0"] / "videos" / TOP / "chunk-000" / "file-000.mp4").track
    assert [len(one.videos["camera/top"].track) for one in episodes] == [20, 15, 17]
    assert sum(len(one.videos["camera/top"].track.size) for one in episodes) <= len(whole.size) + 8


def test_pictures_in_a_column_are_the_very_bytes(
    folders: Folders, lerobots: SimpleNamespace, movies: SimpleNamespace
) -> None:
    for index, episode in enumerate(good(folders["v3.0"])):
        video = episode.videos["camera/wrist"]
        assert (video.track.codec, video.track.width, video.track.height) == ("png", 64, 48)
        want = [lerobots.png(one) for one in movies.frames_of(len(video.track), seed=index + 50)]
        assert [video.packet(number) for number in range(len(want))] == want
        assert video.size_bytes == sum(map(len, want))


@pytest.mark.parametrize("kind", KINDS)
def test_words_and_facts_come_along(folders: Folders, kind: str, lerobots: SimpleNamespace) -> None:
    for index, episode in enumerate(good(folders[kind])):
        assert episode.key == f"episode_{index:06d}"
        assert episode.metadata["task"] == lerobots.tasks[index % 2]
        assert episode.metadata["embodiment"] == "arm"
        assert episode.metadata["fps"] == 10
        assert episode.metadata["outcome"] == ("failure" if index % 2 else "success")
        assert "faults" not in episode.metadata
        assert episode.streams["observation/state"].fields == ("x", "y", "z")


def test_an_intervention_is_who_acted_and_when_it_changed(folders: Folders) -> None:
    episode = good(folders["v3.0"])[0]
    author = episode.streams["author"]
    assert author.values.dtype == np.uint8
    assert author.values[:, 0].tolist() == [0] * 4 + [1] * 3 + [0] * 13
    assert "intervention" not in episode.streams
    told = [(event.name, event.t_ns // TEN_HZ_NS) for event in episode.events]
    assert told == [("takeover", 4), ("handback", 7), ("success", 19), ("done", 19)]
    assert episode.metadata["source"] == "rollout"


def changed(source: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy whose info.json was changed."""
    shutil.copytree(source, target)
    info = json.loads((target / "meta" / "info.json").read_text())
    change(info)
    (target / "meta" / "info.json").write_text(json.dumps(info))
    return target


def with_rows(source: Path, target: Path, change: Callable[[pyarrow.Table], pyarrow.Table], number: int = 0) -> Path:
    """A copy of a v2 data set whose rows of one episode were changed."""
    shutil.copytree(source, target)
    path = target / "data" / "chunk-000" / f"episode_{number:06d}.parquet"
    pyarrow.parquet.write_table(change(pyarrow.parquet.read_table(path)), path)
    return target


def put(table: pyarrow.Table, name: str, values: Any) -> pyarrow.Table:
    return table.set_column(table.schema.get_field_index(name), name, pyarrow.array(values))


def test_a_pointer_of_git_lfs_asks_for_git_lfs_pull(folders: Folders, tmp_path: Path) -> None:
    root = shutil.copytree(folders["v3.0"], tmp_path / "x")
    film = root / "videos" / TOP / "chunk-000" / "file-000.mp4"
    film.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 134213\n")
    episodes, unread = both(root)
    assert episodes == []
    assert all("git lfs pull" in one.remedy and one.reason.startswith("videos/") for one in unread.values())
    assert sorted(unread) == [f"episode_{index:06d}" for index in range(3)]


def test_numbers_alone_need_no_video(folders: Folders, tmp_path: Path) -> None:
    root = shutil.copytree(folders["v3.0"], tmp_path / "x")
    shutil.rmtree(root / "videos")
    episodes, unread = both(root, videos=False)
    assert unread == {}
    assert [sorted(one.videos) for one in episodes] == [["camera/wrist"]] * 3


def test_a_camera_without_any_file_is_told_and_the_rest_is_good(folders: Folders, tmp_path: Path) -> None:
    for kind in ("v2.1", "v3.0"):
        root = shutil.copytree(folders[kind], tmp_path / kind)
        shutil.rmtree(root / "videos")
        episodes, unread = both(root)
        assert list(unread) == [TOP]
        assert [sorted(one.videos) for one in episodes] == [["camera/wrist"] if kind == "v3.0" else []] * len(episodes)
        for one in episodes:
            assert one.metadata["faults"][0]["check"] == "lerobot/missing-camera"  # type: ignore[call-overload,index]
            assert one.metadata["faults"][0]["stream"] == "camera/top"  # type: ignore[call-overload,index]


def test_a_camera_that_only_one_episode_lacks_refuses_that_episode(folders: Folders, tmp_path: Path) -> None:
    root = shutil.copytree(folders["v2.1"], tmp_path / "x")
    (root / "videos" / "chunk-000" / TOP / "episode_000001.mp4").unlink()
    episodes, unread = both(root)
    assert [one.key for one in episodes] == ["episode_000000"]
    assert "is not there" in unread["episode_000001"].reason


def test_of_a_cut_video_the_first_episodes_come_in(folders: Folders, tmp_path: Path) -> None:
    root = shutil.copytree(folders["v3.0"], tmp_path / "x")
    film = root / "videos" / TOP / "chunk-000" / "file-000.mp4"
    content = film.read_bytes()
    moov = content.index(b"moov") - 4
    track = open_mp4(film).track
    tables = content[moov:]
    # Tables first, so that they survive: every chunk's place moves by their length.
    at = tables.index(b"stco")
    count = int.from_bytes(tables[at + 8 : at + 12], "big")
    places = np.frombuffer(tables, ">u4", count, at + 12) + len(tables)
    tables = tables[: at + 12] + places.astype(">u4").tobytes() + tables[at + 12 + 4 * count :]
    head = content.index(b"mdat") - 4
    whole = content[:head] + tables + content[head:moov]
    film.write_bytes(whole)
    assert len(good(root)) == 3
    film.write_bytes(whole[: int(track.offset[40]) + len(tables)])
    episodes, unread = both(root)
    assert [one.key for one in episodes] == ["episode_000000", "episode_000001"]
    assert "cut off" in unread["episode_000002"].reason


def test_a_split_that_names_what_is_not_there_is_told_once(folders: Folders, tmp_path: Path) -> None:
    root = changed(folders["v2.0"], tmp_path / "x", lambda info: info.update(splits={"train": "0:100", "odd": "all"}))
    episodes, unread = both(root)
    assert len(episodes) == 2
    assert "98 of them do not exist" in unread["split train"].reason
    assert "no range" in unread["split odd"].reason


def test_a_template_that_leads_nowhere_is_helped_out(folders: Folders, tmp_path: Path) -> None:
    wrong = {
        "data_path": "data/chunk-{episode_index:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_index:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    }
    root = changed(folders["v2.0"], tmp_path / "x", lambda info: info.update(wrong))
    assert len(good(root)) == 2


@pytest.mark.parametrize(
    "template",
    [
        "../{episode_index}.parquet",
        "/etc/passwd",
        "data/{episode_index.__class__}",
        "data/{episode_index!r}",
        "data/{episode_index:99999999d}",
        "data/{nothing}",
        "data/{}",
        "data\0/x",
        "",
    ],
)
def test_a_template_that_leads_out_of_the_folder_is_refused(folders: Folders, tmp_path: Path, template: str) -> None:
    root = changed(folders["v2.1"], tmp_path / "x", lambda info: info.update(data_path=template))
    episodes, unread = both(root)
    if template:
        assert episodes == []
        assert all("template" in one.reason or "leads out" in one.reason for one in unread.values())
    else:
        assert len(episodes) == 2  # what says nothing means the usual


@pytest.mark.parametrize("name", ["../../../secret", "/etc", "a/../../../b"])
def test_a_camera_whose_name_leads_out_of_the_folder_is_refused(folders: Folders, tmp_path: Path, name: str) -> None:
    def rename(info: dict[str, Any]) -> None:
        info["features"][name] = info["features"].pop(TOP)
        info["video_path"] = "{video_key}/episode_{episode_index:06d}.mp4"

    episodes, unread = both(changed(folders["v2.1"], tmp_path / "x", rename))
    assert episodes == []
    assert all("leads out" in one.reason for one in unread.values())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"codebase_version": "v1.6"}, "is LeRobot v1.6"),
        ({"codebase_version": None}, "is LeRobot None"),
        ({"fps": 0}, "frames a second"),
        ({"fps": "30"}, "frames a second"),
        ({"fps": 1e300}, "frames a second"),
    ],
)
def test_an_info_that_cannot_be_used_refuses_the_folder(
    folders: Folders, tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    root = changed(folders["v3.0"], tmp_path / "x", lambda info: info.update(change))
    with pytest.raises(UnreadableLog, match=why):
        list(LeRobotFormat().read(root))


def test_renamed_columns_are_told_and_read(folders: Folders, tmp_path: Path) -> None:
    names = {"observation.state": "observation.stage", "gripper": "gripp/er"}
    root = with_rows(folders["v2.1"], tmp_path / "x", lambda rows: rows.rename_columns(names))
    first, second = good(root)
    assert {fault["stream"] for fault in first.metadata["faults"]} == {"observation/state", "gripper"}  # type: ignore[union-attr,index,call-overload]
    assert "observation/stage" in first.streams
    assert "faults" not in second.metadata


def test_stamps_that_are_no_frames_are_kept_as_they_are(folders: Folders, tmp_path: Path) -> None:
    real = np.sort(np.arange(20) / 10 + np.random.default_rng(0).uniform(0, 0.03, 20))
    root = with_rows(folders["v2.1"], tmp_path / "x", lambda rows: put(rows, "timestamp", real))
    stream = good(root)[0].streams["action/executed"]
    assert stream.stamp is Stamp.RECEIVE
    assert stream.t_ns.tolist() == np.rint(real * 1e9).astype(int).tolist()


def test_rows_that_begin_later_than_their_pictures_are_told(folders: Folders, tmp_path: Path) -> None:
    late = (np.arange(20) + 1) / 10
    root = with_rows(folders["v2.1"], tmp_path / "x", lambda rows: put(rows, "timestamp", late))
    first = good(root)[0]
    assert first.streams["action/executed"].t_ns[0] == TEN_HZ_NS
    assert first.videos["camera/top"].track.shown_ns[0] == 0
    assert "rows begin at 0.1 s" in first.metadata["problems"][0]  # type: ignore[index,operator,call-overload]


@pytest.mark.parametrize("values", [[float("nan")] * 20, list(np.arange(20)[::-1] / 1.0), [1e300] * 20])
def test_stamps_that_are_no_times_refuse_the_episode(folders: Folders, tmp_path: Path, values: list[float]) -> None:
    root = with_rows(folders["v2.1"], tmp_path / "x", lambda rows: put(rows, "timestamp", values))
    episodes, unread = both(root)
    assert [one.key for one in episodes] == ["episode_000001"]
    assert "timestamps" in unread["episode_000000"].reason


def test_a_change_of_task_is_an_event(folders: Folders, tmp_path: Path, lerobots: SimpleNamespace) -> None:
    numbers = [0] * 12 + [1] * 8
    root = with_rows(folders["v2.1"], tmp_path / "x", lambda rows: put(rows, "task_index", numbers))
    first = good(root)[0]
    assert first.metadata["task"] == lerobots.tasks[0]
    assert first.metadata["tasks"] == list(lerobots.tasks)
    told = [(event.t_ns // TEN_HZ_NS, event.detail) for event in first.events if event.name == "task"]
    assert told == [(0, lerobots.tasks[0]), (12, lerobots.tasks[1])]


def test_a_column_of_texts_is_told_where_it_changes(folders: Folders, tmp_path: Path) -> None:
    words = pyarrow.array(["reach"] * 5 + ["grasp"] * 15)
    root = with_rows(folders["v2.1"], tmp_path / "x", lambda rows: rows.append_column("subtask", words))
    told = [(event.t_ns // TEN_HZ_NS, event.detail) for event in good(root)[0].events if event.name == "subtask"]
    assert told == [(0, "reach"), (5, "grasp")]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([[1.0]] * 19 + [None], "1 of its rows are empty"),
        ([[1.0]] * 19 + [[1.0, 2.0]], "not of one length"),
        ([[1.0, None]] * 20, "20 of its values are empty"),
        ([{"a": 1}] * 20, "no numbers"),
    ],
)
def test_a_column_that_is_no_stream_is_left_out_and_told(
    folders: Folders, tmp_path: Path, values: list[Any], why: str
) -> None:
    root = with_rows(folders["v2.1"], tmp_path / "x", lambda rows: put(rows, "action", values))
    first = good(root)[0]
    assert "action/executed" not in first.streams
    assert why in first.metadata["skipped"]["action"]  # type: ignore[index,call-overload,operator]
    assert first.metadata["faults"][0]["stream"] == "action/executed"  # type: ignore[index,call-overload]


def test_failures_that_never_end_are_no_failures(folders: Folders, tmp_path: Path) -> None:
    never = with_rows(folders["v2.1"], tmp_path / "x", lambda rows: put(rows, "next.done", [False] * 15), 1)
    assert "outcome" not in good(never)[1].metadata


def test_without_an_episodes_table_episodes_are_found_by_their_rows(folders: Folders, tmp_path: Path) -> None:
    three = shutil.copytree(folders["v3.0"], tmp_path / "three")
    shutil.rmtree(three / "meta" / "episodes")
    episodes, unread = both(three)
    assert [len(one.streams["gripper"].t_ns) for one in episodes] == [20, 15, 17]
    assert "meta/episodes" in unread
    two = shutil.copytree(folders["v2.1"], tmp_path / "two")
    (two / "meta" / "episodes.jsonl").unlink()
    episodes, unread = both(two)
    assert [sorted(one.videos) for one in episodes] == [["camera/top"]] * 2
    assert list(unread) == ["meta/episodes.jsonl"]


def test_rows_that_no_table_lists_are_told(folders: Folders, tmp_path: Path) -> None:
    root = shutil.copytree(folders["v3.0"], tmp_path / "x")
    path = root / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).slice(1), path)
    episodes, unread = both(root)
    assert [one.key for one in episodes] == ["episode_000001", "episode_000002"]
    assert "1 runs of rows" in unread["data/chunk-000/file-000.parquet"].reason


def test_an_episode_whose_rows_are_missing_is_told(folders: Folders, tmp_path: Path) -> None:
    root = shutil.copytree(folders["v2.1"], tmp_path / "x")
    (root / "data" / "chunk-000" / "episode_000000.parquet").unlink()
    episodes, unread = both(root)
    assert [one.key for one in episodes] == ["episode_000001"]
    assert "is not there" in unread["episode_000000"].reason


def test_a_bomb_of_rows_is_refused(folders: Folders, tmp_path: Path) -> None:
    root = shutil.copytree(folders["v2.1"], tmp_path / "x")
    path = root / "data" / "chunk-000" / "episode_000000.parquet"
    bomb = pyarrow.table({"action": pyarrow.array(np.zeros(60_000_000))})
    pyarrow.parquet.write_table(bomb, path, compression="zstd")
    assert path.stat().st_size < 1_000_000
    _, unread = both(root)
    assert "of its rows are" in unread["episode_000000"].reason


def test_many_videos_hold_no_file_open(lerobots: SimpleNamespace, tmp_path: Path) -> None:
    root = lerobots.write_v2(tmp_path / "x", lengths=[3] * 40)
    before = len(list(Path("/proc/self/fd").iterdir()))
    episodes = good(root)
    assert len(episodes) == 40
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


def test_a_folder_among_others_is_one_log(folders: Folders) -> None:
    items = list(read_logs([folders["v3.0"].parent], [LeRobotFormat()]))
    assert len(items) == 2 + 2 + 3 + 3 + 3


FILES = {
    "v2.1": ["meta/info.json", "meta/episodes.jsonl", "meta/tasks.jsonl", "data/chunk-000/episode_000000.parquet"],
    "v3.0": [
        "meta/info.json",
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/tasks.parquet",
        "data/chunk-000/file-000.parquet",
        f"videos/{TOP}/chunk-000/file-000.mp4",
    ],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in FILES.items() for name in names])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damage_gives_episodes_or_reasons_and_nothing_else(
    folders: Folders, tmp_path: Path, kind: str, name: str, data: st.DataObject
) -> None:
    root = tmp_path / "x"
    if not root.exists():
        shutil.copytree(folders[kind], root)
    content = bytearray((folders[kind] / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1) | st.integers(max(0, len(content) - 800), len(content) - 1))
        content[at : at + 1] = data.draw(st.binary(min_size=0, max_size=3))
        content = content or bytearray(b"x")
    (root / name).write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    try:
        items = list(LeRobotFormat().read(root))
    except UnreadableLog as error:
        items = [Unread(".", error.what, error.remedy)]
    assert all(item.reason and item.remedy for item in items if isinstance(item, Unread))
    assert len({item.key for item in items}) == len(items)
