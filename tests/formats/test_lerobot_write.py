"""What goes out as LeRobot comes back to the bit, and what one rate cannot hold is said in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saqiya.domain.contracts import Shipped, Unread
from saqiya.domain.media import Track, Video
from saqiya.domain.streams import EpisodeLog, Event, Stamp, Stream
from saqiya.errors import AlreadyThere, ConfigError, InvalidEpisode, UnreadableLog
from saqiya.formats import lerobot_shards, lerobot_tables
from saqiya.formats.lerobot import LeRobotFormat
from saqiya.formats.lerobot_write import LeRobotWriter
from saqiya.formats.mp4 import open_mp4
from saqiya.testing import make_episode

NS = 1_000_000_000


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nobody listens."""


def shipped(episodes: list[EpisodeLog], spans: Any = ()) -> list[Shipped]:
    return [Shipped(f"episode_{number:03d}", log, spans) for number, log in enumerate(episodes)]


def write(episodes: list[EpisodeLog], path: Path, **settings: Any) -> tuple[str, ...]:
    return LeRobotWriter().write_all(shipped(episodes), path, settings=settings, progress=quiet)


def read(path: Path) -> list[EpisodeLog]:
    items = list(LeRobotFormat().read(path))
    assert [item for item in items if isinstance(item, Unread)] == []
    return [item for item in items if isinstance(item, EpisodeLog)]


def assert_same(wrote: EpisodeLog, back: EpisodeLog) -> None:
    assert back.key == wrote.key
    assert sorted(back.streams) == sorted(wrote.streams)
    for name, stream in wrote.streams.items():
        own = back.streams[name]
        assert own.t_ns.tolist() == stream.t_ns.tolist()
        assert (own.values.dtype, own.values.shape) == (stream.values.dtype, stream.values.shape)
        assert own.values.tobytes() == stream.values.tobytes(), name
        assert (own.clock, own.stamp, own.unit, own.fields) == (stream.clock, stream.stamp, stream.unit, stream.fields)
    assert sorted(back.videos) == sorted(wrote.videos)
    for name, video in wrote.videos.items():
        assert_same_video(video, back.videos[name])
    assert back.events == wrote.events
    assert {name: back.metadata.get(name) for name in wrote.metadata} == dict(wrote.metadata)


def assert_same_video(wrote: Video, back: Video) -> None:
    a, b = wrote.track, back.track
    for part in ("t_ns", "size", "key", "rank"):
        assert getattr(a, part).tolist() == getattr(b, part).tolist()
    for part in ("codec", "width", "height", "form", "setup", "pre", "post", "clock", "stamp", "unit"):
        assert getattr(a, part) == getattr(b, part)
    assert [wrote.packet(number) for number in range(len(a.size))] == [back.packet(n) for n in range(len(b.size))]


def info(path: Path) -> dict[str, Any]:
    return dict(json.loads((path / "meta" / "info.json").read_text()))


def table(path: Path) -> Any:
    return pyarrow.parquet.read_table(path / "data" / "chunk-000" / "file-000.parquet")


def native(path: Path) -> list[str]:
    return sorted(one.name for one in (path / "meta" / "saqiya").rglob("*") if one.suffix in {".safetensors", ".bin"})


def stamps(count: int, rate_hz: float, *, seed: int = 0, jitter_s: float = 0.0, start_s: float = 0.0) -> Any:
    rng = np.random.default_rng(seed)
    seconds = start_s + np.arange(count) / rate_hz + rng.uniform(0, jitter_s, count)
    return np.rint(np.sort(seconds) * 1e9).astype(np.int64)


def camera(movies: SimpleNamespace, folder: Path, t_ns: Any, *, seed: int = 0, fps: int = 30, **more: Any) -> Video:
    """A camera of as many pictures as stamps, in a file of its own."""
    path = movies.film(folder / f"{seed}-{len(t_ns)}.mp4", movies.frames_of(len(t_ns), seed=seed), fps=fps, **more)
    movie = open_mp4(path)
    return movie.video(replace(movie.track, t_ns=t_ns, clock="camera", stamp=Stamp.SENSOR))


def annexb(video: Video) -> Video:
    """The same packets with start codes, as loggers get them from a camera: sets before each key, of both lengths."""
    from saqiya.formats.annexb import wrap_of

    wrap = wrap_of(video)
    assert wrap is not None
    packets = []
    for number, key in enumerate(video.track.key.tolist()):
        data = wrap.wrap(video.packet(number), key=key)
        packets.append(data if number % 3 else data[1:])  # the first start code then has three bytes
    size = np.array([len(one) for one in packets], dtype=np.int64)
    track = replace(video.track, offset=np.cumsum(size) - size, size=size, form="annexb", setup=b"")
    return Video(track, b"".join(packets))


def robot(movies: SimpleNamespace, folder: Path, *, seed: int = 0, seconds: float = 2.0, **kinds: Any) -> EpisodeLog:
    """A try as robots log it: every stream at a rate and with a clock of its own."""
    rng = np.random.default_rng(seed)
    count = int(seconds * 30)

    def stream(rate_hz: float, width: int, dtype: Any = np.float64, **more: Any) -> Stream:
        t_ns = stamps(int(seconds * rate_hz), rate_hz, seed=seed + int(rate_hz), **more)
        return Stream(t_ns, rng.normal(size=(len(t_ns), width)).astype(dtype))

    streams = {
        "action/executed": Stream(stamps(count, 30, seed=seed, jitter_s=0.004), rng.normal(size=(count, 7))),
        "action/intended": stream(30, 7, jitter_s=0.004),
        "observation/state": stream(100, 7, np.float32, jitter_s=0.001),
        "/ft_sensor/wrench": stream(200, 6),
        "policy/uncertainty": stream(5, 1),
        "action/operator": Stream(stamps(6, 30, start_s=1.0), rng.normal(size=(6, 7))),
        "clock/observation/state": stream(100, 1).__class__(stamps(9, 100), np.arange(9).reshape(-1, 1)),
        "author": Stream(stamps(count, 30), (np.arange(count) > 30).astype(np.uint8).reshape(-1, 1)),
    }
    t_ns = stamps(count, 30, seed=seed + 9, jitter_s=0.005)
    videos = {name: camera(movies, folder, t_ns, seed=seed, **kind) for name, kind in kinds.items()}
    events = (Event(NS, "takeover"), Event(NS + 1, "slip", "left finger"))
    facts: dict[str, Any] = {
        "task": "plug it in",
        "outcome": "success",
        "embodiment": "arm",
        "nested": {"a": [1, None]},
    }
    return EpisodeLog(f"try-{seed}", streams, events, facts, videos)


def test_lerobot_data_of_one_rate_goes_out_without_being_kept_twice(lerobots: SimpleNamespace, tmp_path: Path) -> None:
    for number, make in enumerate((lerobots.write_v2, lerobots.write_v3)):
        episodes = read(make(tmp_path / f"in{number}"))
        notes = write(episodes, tmp_path / f"out{number}")
        for wrote, back in zip(episodes, read(tmp_path / f"out{number}"), strict=True):
            assert_same(wrote, back)
        assert native(tmp_path / f"out{number}") == []
        assert [note for note in notes if "copied as they are; pictures are up to 0 ms" not in note] == []


def test_columns_keep_the_names_types_and_values_of_the_data_set_they_came_from(
    lerobots: SimpleNamespace, tmp_path: Path
) -> None:
    source = lerobots.write_v3(tmp_path / "in")
    write(read(source), tmp_path / "out")
    was, now = table(source), table(tmp_path / "out")
    assert set(was.column_names) == set(now.column_names)
    for name in was.column_names:
        if name == "observation.images.wrist":
            assert [one["bytes"] for one in was[name].to_pylist()] == [one["bytes"] for one in now[name].to_pylist()]
        else:
            assert was[name].to_pylist() == now[name].to_pylist()
    assert set(info(tmp_path / "out")["features"]) == set(info(source)["features"])


@pytest.mark.parametrize(
    "kind",
    [
        {"options": {"g": "15", "bf": "0"}},
        {"options": {"g": "15"}},
        {"options": {"g": "12", "x264-params": "open-gop=1:scenecut=0:keyint=12:bframes=2"}},
        {"codec": "libx265"},
        {"codec": "libsvtav1", "options": {"g": "6"}},
    ],
    ids=["plain", "B-frames", "open groups", "hevc", "av1"],
)
def test_streams_at_many_rates_come_back_to_the_bit(
    kind: Mapping[str, Any], movies: SimpleNamespace, tmp_path: Path
) -> None:
    kinds = {"camera/top": kind}
    episodes = [robot(movies, tmp_path, seed=seed, **kinds) for seed in range(2)]
    notes = write(episodes, tmp_path / "out")
    for wrote, back in zip(episodes, read(tmp_path / "out"), strict=True):
        assert_same(wrote, back)
        assert back.videos["camera/top"].file == tmp_path / "out/videos/observation.images.top/chunk-000/file-000.mp4"
    said = " | ".join(notes)
    for word in (
        "observation/state: every frame has the latest sample",
        "/ft_sensor/wrench: every frame has the latest sample",
        "policy/uncertainty: fewer samples than frames",
        "action/operator: is there only at times",
        "clock/observation/state: readings of another clock",
        "stamps are replaced by frame / fps",
        "camera/top: packets are copied",
        "events of the kind slip have no column",
    ):
        assert word in said
    assert info(tmp_path / "out")["fps"] == 30


def test_packets_with_start_codes_are_copied_and_come_back_with_them(movies: SimpleNamespace, tmp_path: Path) -> None:
    for codec in ("libx264", "libx265"):
        one = robot(movies, tmp_path / codec)
        video = annexb(camera(movies, tmp_path / codec, one.streams["action/executed"].t_ns, codec=codec))
        one = EpisodeLog(one.key, one.streams, one.events, one.metadata, {"camera/top": video})
        notes = write([one], tmp_path / codec / "out")
        assert any(note.startswith("camera/top: packets are copied") for note in notes)
        (back,) = read(tmp_path / codec / "out")
        assert_same(one, back)
        shown = movies.shown(tmp_path / codec / "out/videos/observation.images.top/chunk-000/file-000.mp4")
        was = movies.shown(tmp_path / codec / "0-60.mp4")
        assert all(np.array_equal(a[1], b[1]) for a, b in zip(shown, was, strict=True))


def test_every_frame_has_each_streams_latest_sample(movies: SimpleNamespace, tmp_path: Path) -> None:
    one = robot(movies, tmp_path)
    write([one], tmp_path / "out")
    moments = one.streams["action/executed"].t_ns
    rows = table(tmp_path / "out")
    for name, feature in (
        ("observation/state", "observation.state"),
        ("/ft_sensor/wrench", "observation.ft_sensor.wrench"),
    ):
        stream = one.streams[name]
        want = [stream.values[max(0, int((stream.t_ns <= moment).sum()) - 1)].tolist() for moment in moments]
        assert rows[feature].to_pylist() == want
    assert rows["action"].to_pylist() == one.streams["action/executed"].values.tolist()
    assert rows["timestamp"].to_pylist() == [float(np.float32(number / 30)) for number in range(60)]
    assert rows["next.done"].to_pylist() == [False] * 59 + [True]
    assert rows["next.success"].to_pylist() == [False] * 59 + [True]
    author = one.streams["author"]
    want = [bool(author.values[max(0, int((author.t_ns <= moment).sum()) - 1), 0]) for moment in moments]
    assert rows["intervention"].to_pylist() == want
    assert "logged.action.intended" in rows.column_names


def test_a_rate_that_was_asked_for_is_laid_over_all(movies: SimpleNamespace, tmp_path: Path) -> None:
    one = robot(movies, tmp_path, **{"camera/top": {"options": {"g": "15", "bf": "0"}}})
    notes = write([one], tmp_path / "out", fps=10)
    assert info(tmp_path / "out")["fps"] == 10
    assert 19 <= info(tmp_path / "out")["total_frames"] <= 20
    assert any(note.startswith("camera/top (H.264, crf 18; not one picture a frame): encoded again") for note in notes)
    assert_same(one, read(tmp_path / "out")[0])
    film = tmp_path / "out/videos/observation.images.top/chunk-000/file-000.mp4"
    frames = movies.frames_of(60, seed=0).astype(int)
    stamps_ns = one.videos["camera/top"].track.t_ns
    moments = one.streams["action/executed"].t_ns[0] + np.arange(info(tmp_path / "out")["total_frames"]) * NS // 10
    chosen = [max(0, int((stamps_ns <= moment).sum()) - 1) for moment in moments]
    for (_, own), number in zip(movies.shown(film), chosen, strict=True):
        errors = [float(np.abs(own - frames[other]).mean()) for other in range(60)]
        assert int(np.argmin(errors)) == number


def test_a_camera_that_loses_pictures_is_encoded_again_and_its_packets_are_kept(
    movies: SimpleNamespace, tmp_path: Path
) -> None:
    one = robot(movies, tmp_path)
    t_ns = np.delete(stamps(60, 30, seed=3, jitter_s=0.002), slice(20, 26))
    lossy = {"camera/top": camera(movies, tmp_path, t_ns, options={"g": "9"})}
    one = EpisodeLog(one.key, one.streams, one.events, one.metadata, lossy)
    notes = write([one], tmp_path / "out")
    assert any("encoded again" in note for note in notes)
    assert [name for name in native(tmp_path / "out") if name.endswith(".bin")] == ["episode_000-0.bin"]
    assert_same(one, read(tmp_path / "out")[0])


def test_a_part_of_a_log_is_copied_with_the_pictures_that_decoding_it_needs(
    movies: SimpleNamespace, tmp_path: Path
) -> None:
    whole = camera(movies, tmp_path, stamps(90, 30), options={"g": "30", "bf": "2"})
    parts = []
    for number, (low, high) in enumerate(((10, 50), (50, 75))):
        t_ns = stamps(90, 30)[low:high]
        track = whole.track.between(int(t_ns[0]), int(t_ns[-1]) + 1)
        streams = {"action/executed": Stream(t_ns, np.arange(len(t_ns) * 2.0).reshape(-1, 2))}
        video = Video(track, whole.data, whole.file)
        parts.append(EpisodeLog(f"part-{number}", streams, (), {"task": "t"}, {"camera/top": video}))
    assert parts[0].videos["camera/top"].track.pre == 10
    write(parts, tmp_path / "out")
    for wrote, back in zip(parts, read(tmp_path / "out"), strict=True):
        assert_same(wrote, back)
    rows = pyarrow.parquet.read_table(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    shown = movies.shown(tmp_path / "out/videos/observation.images.top/chunk-000/file-000.mp4")
    was = movies.shown(tmp_path / "0-90.mp4")
    for row, first in zip(rows, (10, 50), strict=True):
        at = round(row["videos/observation.images.top/from_timestamp"] * 30)
        for number in range(row["length"]):
            assert np.array_equal(shown[at + number][1], was[first + number][1])


def test_frames_without_a_picture_of_every_camera_are_left_out(movies: SimpleNamespace, tmp_path: Path) -> None:
    one = robot(movies, tmp_path)
    late = {"camera/top": camera(movies, tmp_path, stamps(48, 30, start_s=0.3, seed=5), options={"bf": "0"})}
    one = EpisodeLog(one.key, one.streams, one.events, one.metadata, late)
    notes = write([one], tmp_path / "out")
    count = info(tmp_path / "out")["total_frames"]
    assert 46 <= count <= 49
    assert f"frames at which a camera has no picture yet, or none any more, are left out: up to {60 - count}" in notes
    assert_same(one, read(tmp_path / "out")[0])


RAW: Mapping[str, Callable[[Any], Any]] = {
    "camera/rgb": lambda rng: rng.integers(0, 255, (60, 16, 24, 3), dtype=np.uint8),
    "camera/gray": lambda rng: rng.integers(0, 255, (60, 16, 24), dtype=np.uint8),
    "camera/alpha": lambda rng: rng.integers(0, 255, (60, 16, 24, 4), dtype=np.uint8),
    "depth/deep": lambda rng: rng.integers(0, 65535, (60, 16, 24, 1), dtype=np.uint16),
}


@pytest.mark.parametrize("steady", [True, False])
def test_raw_pictures_are_packed_without_loss(steady: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    t_ns = stamps(60, 30) if steady else np.delete(stamps(70, 30, jitter_s=0.01), slice(20, 30))
    streams = {name: Stream(t_ns, make(rng), unit="mm" if "depth" in name else "") for name, make in RAW.items()}
    streams["action/executed"] = Stream(stamps(60, 30), rng.normal(size=(60, 2)))
    one = EpisodeLog("raw", streams, (), {"task": "t"})
    notes = write([one], tmp_path / "out")
    assert_same(one, read(tmp_path / "out")[0])
    assert (native(tmp_path / "out") == []) is steady
    assert "camera/rgb: raw pictures are packed as PNG, losslessly" in notes
    said = info(tmp_path / "out")["features"]
    assert said["observation.images.rgb"]["dtype"] == "image"
    assert said["observation.images.deep"]["info"] == {"is_depth_map": True, "depth_unit": "mm"}
    assert said["observation.images.alpha"]["shape"] == [16, 24, 4]


@pytest.mark.parametrize("shift", [0, 3])
def test_single_pictures_stay_the_very_bytes(
    shift: int, tmp_path: Path, movies: SimpleNamespace, lerobots: SimpleNamespace
) -> None:
    packets = [lerobots.png(one) for one in movies.frames_of(40)]
    size = np.array([len(one) for one in packets], dtype=np.int64)
    track = Track(
        stamps(40, 30), np.cumsum(size) - size, size, np.ones(40, dtype=np.bool_), np.arange(40), "png", 64, 48
    )
    actions = stamps(40, 30)[shift : 40 - shift]
    streams = {"action/executed": Stream(actions, np.zeros((len(actions), 1)))}
    one = EpisodeLog("stills", streams, (), {"task": "t"}, {"camera/top": Video(track, b"".join(packets))})
    write([one], tmp_path / "out")
    rows = table(tmp_path / "out")
    assert [row["bytes"] for row in rows["observation.images.top"].to_pylist()] == packets[shift : 40 - shift]
    assert_same(one, read(tmp_path / "out")[0])


def test_every_dtype_and_odd_value_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    odd = rng.normal(size=(12, 2))
    odd[3] = np.nan, -0.0
    odd.view(np.int64)[4, 0] = 0x7FF8000000000123  # a NaN with a payload
    t_ns = stamps(12, 20)
    values: dict[str, Any] = {
        f"observation/{np.dtype(kind).name}": rng.integers(0, 2, (12, 2)).astype(kind)
        for kind in ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")
    }
    values |= {"observation/odd": odd, "observation/flat": rng.normal(size=12)}
    values["observation/wide"] = rng.normal(size=(12, 2, 3, 2))
    streams = {name: Stream(t_ns, one, "plc", Stamp.RECEIVE, "N", ()) for name, one in values.items()}
    streams["action/executed"] = Stream(t_ns, rng.normal(size=(12, 2)), fields=("x", "y"))
    streams["observation/none"] = Stream(np.empty(0, dtype=np.int64), np.empty((0, 3)))
    one = EpisodeLog("odd", streams, (), {"task": 'Zoë "2"\n', "outcome": "aborted"})
    notes = write([one], tmp_path / "out")
    assert_same(one, read(tmp_path / "out")[0])
    assert "observation/none: has no sample" in notes
    assert "the outcome is aborted, which next.success cannot say: it is false on every frame" in notes
    assert not [note for note in notes if "observation/odd" in note]


def test_weights_lie_beside_each_frame(tmp_path: Path) -> None:
    one = make_episode(seed=0, steps=20)
    t_ns = one.streams["action/executed"].t_ns
    spans = ((int(t_ns[0]), int(t_ns[5]), 1.0, "anchor"), (int(t_ns[5]), int(t_ns[9]), 2.5, "correction"))
    path = tmp_path / "out"
    LeRobotWriter().write_all([Shipped("uid/1", one, spans)], path, settings={}, progress=quiet)
    rows = pyarrow.parquet.read_table(path / "meta/saqiya/weights.parquet").to_pylist()
    assert [row["weight"] for row in rows] == [1.0] * 5 + [2.5] * 4 + [0.0] * 11
    assert {row["uid"] for row in rows} == {"uid/1"}
    assert [row["frame_index"] for row in rows] == list(range(20))
    (back,) = read(path)
    assert back.metadata["uid"] == "uid/1"
    assert back.metadata["spans"] == [list(span) for span in spans]
    listed = pyarrow.parquet.read_table(path / "meta/saqiya/episodes.parquet").to_pylist()
    assert (listed[0]["uid"], listed[0]["outcome"], listed[0]["task"]) == ("uid/1", "success", one.metadata["task"])


def test_a_uid_never_names_a_file_elsewhere(tmp_path: Path) -> None:
    uids = ["../../escape", "/etc/x", "..", ".hidden", "a" * 400, "ünï/😀"]
    many = [Shipped(uid, robotless(seed)) for seed, uid in enumerate(uids)]
    LeRobotWriter().write_all(many, tmp_path / "out", settings={}, progress=quiet)
    assert [one.metadata["uid"] for one in read(tmp_path / "out")] == uids
    assert sorted(one.name for one in tmp_path.iterdir()) == ["out"]
    assert len(native(tmp_path / "out")) == len(uids)


def robotless(seed: int) -> EpisodeLog:
    """A small try at two rates without a camera."""
    rng = np.random.default_rng(seed)
    return EpisodeLog(
        f"try-{seed}",
        {
            "action/executed": Stream(stamps(10, 20), rng.normal(size=(10, 2))),
            "observation/state": Stream(stamps(50, 100), rng.normal(size=(50, 3))),
        },
        (),
        {"task": f"task {seed % 2}", "embodiment": "arm"},
    )


def test_two_tries_of_one_name_are_told_apart(tmp_path: Path) -> None:
    write([robotless(0), robotless(0)], tmp_path / "out")
    assert [one.key for one in read(tmp_path / "out")] == ["try-0", "try-0#episode_001"]


def test_an_episode_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidEpisode, match="comes twice"):
        LeRobotWriter().write_all([Shipped("a", robotless(0))] * 2, tmp_path / "out", settings={}, progress=quiet)


def test_what_not_every_episode_has_is_no_column_and_comes_back(movies: SimpleNamespace, tmp_path: Path) -> None:
    first, second = robot(movies, tmp_path, seed=1, **{"camera/top": {}}), robot(movies, tmp_path, seed=2)
    streams = dict(second.streams)
    del streams["/ft_sensor/wrench"]
    narrow = streams["observation/state"].values[:, :3].copy()
    streams["observation/state"] = replace(streams["observation/state"], values=narrow)
    second = EpisodeLog(second.key, streams, second.events, second.metadata)
    notes = write([first, second], tmp_path / "out")
    assert not (tmp_path / "out" / "videos" / "observation.images.top").exists()
    assert not {"observation.state", "observation.ft_sensor.wrench"} & set(table(tmp_path / "out").column_names)
    lacking = [note.split(":")[0] for note in notes if "not every episode has it" in note]
    assert lacking == ["observation.ft_sensor.wrench", "observation.images.top", "observation.state"]


def test_tasks_and_their_changes_are_numbered(tmp_path: Path) -> None:
    one, two = robotless(0), robotless(1)
    t_ns = one.streams["action/executed"].t_ns
    events = (Event(int(t_ns[0]), "task", "reach"), Event(int(t_ns[6]), "task", "grasp"))
    one = EpisodeLog(one.key, one.streams, events, one.metadata)
    write([one, two], tmp_path / "out")
    rows = pyarrow.parquet.read_table(tmp_path / "out/meta/tasks.parquet").to_pylist()
    assert rows == [{"task_index": k, "task": task} for k, task in enumerate(["reach", "grasp", "task 1"])]
    assert table(tmp_path / "out")["task_index"].to_pylist() == [0] * 6 + [1] * 4 + [2] * 10
    listed = pyarrow.parquet.read_table(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [row["tasks"] for row in listed] == [["reach", "grasp"], ["task 1"]]


def test_statistics_are_those_of_the_columns(tmp_path: Path) -> None:
    episodes = [robotless(seed) for seed in range(3)]
    write(episodes, tmp_path / "out")
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    actions = np.concatenate([one.streams["action/executed"].values for one in episodes])
    for name in ("mean", "std", "min", "max"):
        assert stats["action"][name] == pytest.approx(getattr(actions, name)(0).tolist())
    assert stats["action"]["count"] == [30]
    assert set(stats) == set(info(tmp_path / "out")["features"])
    listed = pyarrow.parquet.read_table(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    own = episodes[1].streams["action/executed"].values
    assert listed[1]["stats/action/q50"] == pytest.approx(np.quantile(own, 0.5, axis=0).tolist())


def test_files_do_not_grow_without_end(
    movies: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lerobot_shards, "MOVIE_BYTES", 5_000)
    monkeypatch.setattr(lerobot_tables, "DATA_BYTES", 20_000)
    episodes = [robot(movies, tmp_path, seed=seed, **{"camera/top": {}}) for seed in range(4)]
    write(episodes, tmp_path / "out")
    assert len(list((tmp_path / "out/videos/observation.images.top/chunk-000").iterdir())) > 1
    assert len(list((tmp_path / "out/data/chunk-000").iterdir())) > 1
    for wrote, back in zip(episodes, read(tmp_path / "out"), strict=True):
        assert_same(wrote, back)


def test_another_set_up_begins_another_file(movies: SimpleNamespace, tmp_path: Path) -> None:
    kinds: list[dict[str, Any]] = [
        {"options": {"bf": "0"}},
        {"options": {"profile": "baseline"}},
        {"codec": "libsvtav1"},
    ]
    episodes = [
        robot(movies, tmp_path / str(seed), seed=seed, **{"camera/top": kind}) for seed, kind in enumerate(kinds)
    ]
    notes = write(episodes, tmp_path / "out")
    assert len(list((tmp_path / "out/videos/observation.images.top/chunk-000").iterdir())) == 3
    assert not any("encoded again" in note for note in notes)
    for wrote, back in zip(episodes, read(tmp_path / "out"), strict=True):
        assert_same(wrote, back)


def test_nothing_is_written_over_and_nothing_is_left_half(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(AlreadyThere):
        write([robotless(0)], tmp_path / "out")
    empty = EpisodeLog("empty", {"observation/x": Stream(np.empty(0, dtype=np.int64), np.empty((0, 1)))})
    with pytest.raises(InvalidEpisode, match="neither a signal nor a picture"):
        write([robotless(0), empty], tmp_path / "new")
    with pytest.raises(InvalidEpisode, match="no episode"):
        write([], tmp_path / "new")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["out"]
    assert list((tmp_path / "out").iterdir()) == []


def test_no_card_and_no_licence_is_made(tmp_path: Path) -> None:
    write([robotless(0)], tmp_path / "out")
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
def test_a_wrong_setting_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        write([robotless(0)], tmp_path / "out", **wrong)


def test_other_names_can_be_given(tmp_path: Path) -> None:
    one = robotless(0)
    write([one], tmp_path / "out", names={"observation/state": "observation.proprio"})
    assert "observation.proprio" in table(tmp_path / "out").column_names
    assert "observation.state" not in table(tmp_path / "out").column_names
    assert_same(one, read(tmp_path / "out")[0])


def test_damage_beside_the_data_set_is_told_and_lerobots_part_is_read(tmp_path: Path) -> None:
    write([robotless(0)], tmp_path / "out")
    (tmp_path / "out/meta/saqiya/episodes.parquet").write_bytes(b"PAR1 not")
    items = list(LeRobotFormat().read(tmp_path / "out"))
    assert [type(item) for item in items] == [Unread, EpisodeLog]
    assert isinstance(items[1], EpisodeLog)
    assert items[1].streams["action/executed"].clock == "lerobot"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_record_that_lies_gives_a_reason(data: st.DataObject, tmp_path: Path, movies: SimpleNamespace) -> None:
    source = tmp_path / "source"
    if not source.exists():
        rng = np.random.default_rng(0)
        one = robot(movies, tmp_path, seconds=0.5, **{"camera/top": {}})
        raw = Stream(stamps(15, 30), rng.integers(0, 255, (15, 16, 24, 3), dtype=np.uint8))
        write([EpisodeLog(one.key, {**one.streams, "camera/raw": raw}, one.events, one.metadata, one.videos)], source)
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


def test_a_record_cannot_ask_for_memory_it_does_not_have(tmp_path: Path) -> None:
    write([robotless(0)], tmp_path / "out")
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
