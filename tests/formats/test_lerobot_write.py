"""What goes out as LeRobot comes back to the bit: streams at their own rates, packets, raw and single pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace as Tools
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from saqiya.domain.media import Track, Video
from saqiya.domain.streams import EpisodeLog, Stamp, Stream

NS = 1_000_000_000


def test_lerobot_data_of_one_rate_goes_out_without_being_kept_twice(
    lerobots: Tools, tmp_path: Path, trips: Tools
) -> None:
    for number, make in enumerate((lerobots.write_v2, lerobots.write_v3)):
        episodes = trips.read(make(tmp_path / f"in{number}"))
        notes = trips.write(episodes, tmp_path / f"out{number}")
        for wrote, back in zip(episodes, trips.read(tmp_path / f"out{number}"), strict=True):
            trips.assert_same(wrote, back)
        assert trips.native(tmp_path / f"out{number}") == []
        assert [note for note in notes if "copied as they are; pictures are up to 0 ms" not in note] == []


def test_columns_keep_the_names_types_and_values_of_the_data_set_they_came_from(
    lerobots: Tools, tmp_path: Path, trips: Tools
) -> None:
    source = lerobots.write_v3(tmp_path / "in")
    trips.write(trips.read(source), tmp_path / "out")
    was, now = trips.table(source), trips.table(tmp_path / "out")
    assert set(was.column_names) == set(now.column_names)
    for name in was.column_names:
        if name == "observation.images.wrist":
            assert [one["bytes"] for one in was[name].to_pylist()] == [one["bytes"] for one in now[name].to_pylist()]
        else:
            assert was[name].to_pylist() == now[name].to_pylist()
    assert set(trips.info(tmp_path / "out")["features"]) == set(trips.info(source)["features"])


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
def test_streams_at_many_rates_come_back_to_the_bit(kind: Mapping[str, Any], tmp_path: Path, trips: Tools) -> None:
    kinds = {"camera/top": kind}
    episodes = [trips.robot(tmp_path, seed=seed, **kinds) for seed in range(2)]
    notes = trips.write(episodes, tmp_path / "out")
    for wrote, back in zip(episodes, trips.read(tmp_path / "out"), strict=True):
        trips.assert_same(wrote, back)
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
    assert trips.info(tmp_path / "out")["fps"] == 30


def test_packets_with_start_codes_are_copied_and_come_back_with_them(
    movies: Tools, tmp_path: Path, trips: Tools
) -> None:
    for codec in ("libx264", "libx265"):
        one = trips.robot(tmp_path / codec)
        video = trips.annexb(trips.camera(tmp_path / codec, one.streams["action/executed"].t_ns, codec=codec))
        one = EpisodeLog(one.key, one.streams, one.events, one.metadata, {"camera/top": video})
        notes = trips.write([one], tmp_path / codec / "out")
        assert any(note.startswith("camera/top: packets are copied") for note in notes)
        (back,) = trips.read(tmp_path / codec / "out")
        trips.assert_same(one, back)
        shown = movies.shown(tmp_path / codec / "out/videos/observation.images.top/chunk-000/file-000.mp4")
        was = movies.shown(tmp_path / codec / "0-60.mp4")
        assert all(np.array_equal(a[1], b[1]) for a, b in zip(shown, was, strict=True))


def test_every_frame_has_each_streams_latest_sample(tmp_path: Path, trips: Tools) -> None:
    one = trips.robot(tmp_path)
    trips.write([one], tmp_path / "out")
    moments = one.streams["action/executed"].t_ns
    rows = trips.table(tmp_path / "out")
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


def test_a_rate_that_was_asked_for_is_laid_over_all(movies: Tools, tmp_path: Path, trips: Tools) -> None:
    one = trips.robot(tmp_path, **{"camera/top": {"options": {"g": "15", "bf": "0"}}})
    notes = trips.write([one], tmp_path / "out", fps=10)
    assert trips.info(tmp_path / "out")["fps"] == 10
    assert 19 <= trips.info(tmp_path / "out")["total_frames"] <= 20
    assert any(note.startswith("camera/top (H.264, crf 18; not one picture a frame): encoded again") for note in notes)
    trips.assert_same(one, trips.read(tmp_path / "out")[0])
    film = tmp_path / "out/videos/observation.images.top/chunk-000/file-000.mp4"
    frames = movies.frames_of(60, seed=0).astype(int)
    stamps_ns = one.videos["camera/top"].track.t_ns
    moments = (
        one.streams["action/executed"].t_ns[0] + np.arange(trips.info(tmp_path / "out")["total_frames"]) * NS // 10
    )
    chosen = [max(0, int((stamps_ns <= moment).sum()) - 1) for moment in moments]
    for (_, own), number in zip(movies.shown(film), chosen, strict=True):
        errors = [float(np.abs(own - frames[other]).mean()) for other in range(60)]
        assert int(np.argmin(errors)) == number


def test_a_camera_that_loses_pictures_is_encoded_again_and_its_packets_are_kept(tmp_path: Path, trips: Tools) -> None:
    one = trips.robot(tmp_path)
    t_ns = np.delete(trips.stamps(60, 30, seed=3, jitter_s=0.002), slice(20, 26))
    lossy = {"camera/top": trips.camera(tmp_path, t_ns, options={"g": "9"})}
    one = EpisodeLog(one.key, one.streams, one.events, one.metadata, lossy)
    notes = trips.write([one], tmp_path / "out")
    assert any("encoded again" in note for note in notes)
    assert [name for name in trips.native(tmp_path / "out") if name.endswith(".bin")] == ["episode_000-0.bin"]
    trips.assert_same(one, trips.read(tmp_path / "out")[0])


def test_a_part_of_a_log_is_copied_with_the_pictures_that_decoding_it_needs(
    movies: Tools, tmp_path: Path, trips: Tools
) -> None:
    whole = trips.camera(tmp_path, trips.stamps(90, 30), options={"g": "30", "bf": "2"})
    parts = []
    for number, (low, high) in enumerate(((10, 50), (50, 75))):
        t_ns = trips.stamps(90, 30)[low:high]
        track = whole.track.between(int(t_ns[0]), int(t_ns[-1]) + 1)
        streams = {"action/executed": Stream(t_ns, np.arange(len(t_ns) * 2.0).reshape(-1, 2))}
        video = Video(track, whole.data, whole.file)
        parts.append(EpisodeLog(f"part-{number}", streams, (), {"task": "t"}, {"camera/top": video}))
    assert parts[0].videos["camera/top"].track.pre == 10
    trips.write(parts, tmp_path / "out")
    for wrote, back in zip(parts, trips.read(tmp_path / "out"), strict=True):
        trips.assert_same(wrote, back)
    rows = pyarrow.parquet.read_table(tmp_path / "out/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    shown = movies.shown(tmp_path / "out/videos/observation.images.top/chunk-000/file-000.mp4")
    was = movies.shown(tmp_path / "0-90.mp4")
    for row, first in zip(rows, (10, 50), strict=True):
        at = round(row["videos/observation.images.top/from_timestamp"] * 30)
        for number in range(row["length"]):
            assert np.array_equal(shown[at + number][1], was[first + number][1])


def test_frames_without_a_picture_of_every_camera_are_left_out(tmp_path: Path, trips: Tools) -> None:
    one = trips.robot(tmp_path)
    late = {"camera/top": trips.camera(tmp_path, trips.stamps(48, 30, start_s=0.3, seed=5), options={"bf": "0"})}
    one = EpisodeLog(one.key, one.streams, one.events, one.metadata, late)
    notes = trips.write([one], tmp_path / "out")
    count = trips.info(tmp_path / "out")["total_frames"]
    assert 46 <= count <= 49
    assert f"frames at which a camera has no picture yet, or none any more, are left out: up to {60 - count}" in notes
    trips.assert_same(one, trips.read(tmp_path / "out")[0])


RAW: Mapping[str, Callable[[Any], Any]] = {
    "camera/rgb": lambda rng: rng.integers(0, 255, (60, 16, 24, 3), dtype=np.uint8),
    "camera/gray": lambda rng: rng.integers(0, 255, (60, 16, 24), dtype=np.uint8),
    "camera/alpha": lambda rng: rng.integers(0, 255, (60, 16, 24, 4), dtype=np.uint8),
    "depth/deep": lambda rng: rng.integers(0, 65535, (60, 16, 24, 1), dtype=np.uint16),
}


@pytest.mark.parametrize("steady", [True, False])
def test_raw_pictures_are_packed_without_loss(steady: bool, tmp_path: Path, trips: Tools) -> None:
    rng = np.random.default_rng(0)
    t_ns = trips.stamps(60, 30) if steady else np.delete(trips.stamps(70, 30, jitter_s=0.01), slice(20, 30))
    streams = {name: Stream(t_ns, make(rng), unit="mm" if "depth" in name else "") for name, make in RAW.items()}
    streams["action/executed"] = Stream(trips.stamps(60, 30), rng.normal(size=(60, 2)))
    one = EpisodeLog("raw", streams, (), {"task": "t"})
    notes = trips.write([one], tmp_path / "out")
    trips.assert_same(one, trips.read(tmp_path / "out")[0])
    assert (trips.native(tmp_path / "out") == []) is steady
    assert "camera/rgb: raw pictures are packed as PNG, losslessly" in notes
    said = trips.info(tmp_path / "out")["features"]
    assert said["observation.images.rgb"]["dtype"] == "image"
    assert said["observation.images.deep"]["info"] == {"is_depth_map": True, "depth_unit": "mm"}
    assert said["observation.images.alpha"]["shape"] == [16, 24, 4]


@pytest.mark.parametrize("shift", [0, 3])
def test_single_pictures_stay_the_very_bytes(
    shift: int, tmp_path: Path, movies: Tools, lerobots: Tools, trips: Tools
) -> None:
    packets = [lerobots.png(one) for one in movies.frames_of(40)]
    size = np.array([len(one) for one in packets], dtype=np.int64)
    track = Track(
        trips.stamps(40, 30), np.cumsum(size) - size, size, np.ones(40, dtype=np.bool_), np.arange(40), "png", 64, 48
    )
    actions = trips.stamps(40, 30)[shift : 40 - shift]
    streams = {"action/executed": Stream(actions, np.zeros((len(actions), 1)))}
    one = EpisodeLog("stills", streams, (), {"task": "t"}, {"camera/top": Video(track, b"".join(packets))})
    trips.write([one], tmp_path / "out")
    rows = trips.table(tmp_path / "out")
    assert [row["bytes"] for row in rows["observation.images.top"].to_pylist()] == packets[shift : 40 - shift]
    trips.assert_same(one, trips.read(tmp_path / "out")[0])


def test_every_dtype_and_odd_value_comes_back(tmp_path: Path, trips: Tools) -> None:
    rng = np.random.default_rng(1)
    odd = rng.normal(size=(12, 2))
    odd[3] = np.nan, -0.0
    odd.view(np.int64)[4, 0] = 0x7FF8000000000123  # a NaN with a payload
    t_ns = trips.stamps(12, 20)
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
    notes = trips.write([one], tmp_path / "out")
    trips.assert_same(one, trips.read(tmp_path / "out")[0])
    assert "observation/none: has no sample" in notes
    assert "the outcome is aborted, which next.success cannot say: it is false on every frame" in notes
    assert not [note for note in notes if "observation/odd" in note]
