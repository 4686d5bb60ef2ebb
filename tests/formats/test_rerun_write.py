"""Every sample, stamp, packet, event and fact is in the recording, as Rerun's own reader tells it."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rerun")
from rerun.chunk import RrdReader

from saqiya.domain.contracts import Shipped
from saqiya.domain.media import Video
from saqiya.domain.streams import EpisodeLog, Event, Stamp, Stream
from saqiya.errors import AlreadyThere, InvalidEpisode, UsageError
from saqiya.formats.pictures.annexb import Wrap
from saqiya.formats.rerun.write import RerunWriter, write_recording
from saqiya.testing import make_episode, make_video

EPOCH_NS = 1_700_000_000_000_000_000


def written(path: Path, log: EpisodeLog) -> tuple[dict[str, dict[str, list[Any]]], dict[str, dict[str, Any]]]:
    """Write a recording; return its columns by entity and name, in row order, and its static values."""
    write_recording(log, path, recording_id="r1", facts={})
    rows: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    static: dict[str, dict[str, Any]] = defaultdict(dict)
    for chunk in RrdReader(path).stream():
        for name, column in zip((batch := chunk.to_record_batch()).schema.names, batch.columns, strict=True):
            if name == "time":
                rows[chunk.entity_path][name] += column.cast("int64").to_pylist()
            elif chunk.is_static:
                static[chunk.entity_path][name] = column.to_pylist()[0]
            else:
                rows[chunk.entity_path][name] += list(column)
    return rows, static


def numbers(rows: Sequence[Any]) -> np.ndarray:
    return np.stack([row.values.to_numpy(zero_copy_only=False) for row in rows])


def assert_held(log: EpisodeLog, path: Path) -> None:
    rows, static = written(path, log)
    said = {value["saqiya.Stream:name"][0]: entity for entity, value in static.items() if "saqiya.Stream:name" in value}
    assert set(said) == set(log.streams)
    for name, stream in log.streams.items():
        found, facts = rows[said[name]], static[said[name]]
        assert found["time"] == stream.t_ns.tolist(), name
        assert facts["saqiya.Stream:dtype"] == [stream.values.dtype.str]
        assert facts["saqiya.Stream:clock"] == [stream.clock]
        assert facts["saqiya.Stream:unit"] == [stream.unit]
        assert json.loads(facts["saqiya.Stream:fields"][0]) == list(stream.fields)
        if not len(stream.t_ns):
            continue
        shown = ("Image:buffer", "DepthImage:buffer", f"saqiya.Row:{stream.values.dtype.name}", "Scalars:scalars")
        key = next(key for key in shown if key in found)
        if key.endswith("buffer"):
            raw = b"".join(row.values[0].values.to_numpy().tobytes() for row in found[key])
            back = np.frombuffer(raw, stream.values.dtype)
        else:
            back = numbers(found[key])
            back = back.view(np.complex128) if stream.values.dtype.kind == "c" else back
        back = back.astype(stream.values.dtype).reshape(stream.values.shape)
        assert back.tobytes() == stream.values.tobytes(), name


def test_every_sample_and_stamp_is_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wide = {
        "observation/float32": rng.normal(size=(12, 2)).astype(np.float32),
        "observation/half": rng.normal(size=(12, 2)).astype(np.float16),
        "observation/complex": rng.normal(size=(12, 2)) + 1j,
        "observation/block": rng.integers(-9, 9, (12, 2, 3), dtype=np.int16),
        "observation/scan": rng.normal(size=(12, 720)).astype(np.float32),
        "observation/far": rng.integers(-(2**62), 2**62, (12, 2)),
        "observation/huge": rng.integers(0, 2**64, (12, 1), dtype=np.uint64),
        "observation/odd values !": np.array([[np.nan, np.inf, -0.0]] * 12),
        "observation/scalar": rng.normal(size=12),
        "/observation//scalar": rng.normal(size=12),
        "events": rng.normal(size=(12, 1)),
        "__properties": rng.normal(size=(12, 1)),
        "observation/none": np.empty((12, 0)),
        "contact/held": rng.integers(0, 2, (12, 1)).astype(np.bool_),
        "camera/colour": rng.integers(0, 256, (12, 6, 8, 3), dtype=np.uint8),
        "camera/gray": rng.integers(0, 256, (12, 6, 8), dtype=np.uint8),
        "depth/front": rng.integers(0, 65536, (12, 6, 8), dtype=np.uint16),
        "depth/far": rng.normal(size=(12, 6, 8)).astype(np.float32),
        "big endian": rng.normal(size=(12, 2)).astype(">f8"),
    }  # fmt: skip
    log = make_episode(steps=12, streams=wide, metadata={"operator": "Zoë"})
    assert_held(log, tmp_path / "plain.rrd")
    moved = {
        name: Stream(
            stream.t_ns + EPOCH_NS, stream.values, "host", Stamp.RECEIVE, "N", ("a", "b")[: stream.values[0].size]
        )
        for name, stream in log.streams.items()
    }
    moved["empty"] = Stream(np.empty(0, np.int64), np.empty((0, 2)))
    moved["twice"] = Stream(np.array([EPOCH_NS] * 3), np.arange(3.0))
    assert_held(EpisodeLog("epoch", moved), tmp_path / "epoch.rrd")


def test_events_and_facts_are_there(tmp_path: Path) -> None:
    log = replace(make_episode(), events=(Event(5, "phase/a", "x: y"), Event(5, "takeover"), Event(2**40, "ende", "ü")))
    rows, static = written(tmp_path / "log.rrd", log)
    events = rows["/events"]
    assert events["time"] == [5, 5, 2**40]
    assert [one.values[0].as_py() for one in events["saqiya.Event:name"]] == ["phase/a", "takeover", "ende"]
    assert [one.values[0].as_py() for one in events["saqiya.Event:detail"]] == ["x: y", "", "ü"]
    assert [one.values[0].as_py() for one in events["TextLog:text"]] == ["phase/a: x: y", "takeover", "ende: ü"]
    said = json.loads(static["/episode"]["saqiya.Episode:json"][0])
    assert (said["key"], said["metadata"]) == (log.key, log.metadata)
    assert "**task**: reach" in static["/episode"]["TextDocument:text"][0]


@pytest.mark.parametrize(
    ("codec", "form", "component"),
    [
        ("h264", "annexb", "VideoStream:sample"),
        ("h264", "avcc", "VideoStream:sample"),
        ("hevc", "avcc", "VideoStream:sample"),
        ("av1", "obu", "VideoStream:sample"),
        ("jpeg", "", "EncodedImage:blob"),
    ],
)
def test_every_packet_comes_back(tmp_path: Path, codec: str, form: str, component: str) -> None:
    video = make_video(codec=codec, form=form, reordered=codec == "h264")
    rows, static = written(tmp_path / "log.rrd", replace(make_episode(), videos={"camera/front": video}))
    facts = {name.removeprefix("saqiya.Video:"): value[0] for name, value in static["/camera/front"].items()}
    wrap = Wrap(bytes.fromhex(facts["prefix"]), facts["length_bytes"])
    found = rows["/camera/front"]
    numbered = [one.values[0].as_py() for one in found["saqiya.Video:packet"]]
    assert sorted(numbered) == list(range(12))
    assert found["time"] == video.track.t_ns[video.track.rank[numbered]].tolist()
    assert [one.values[0].as_py() for one in found["saqiya.Video:picture"]] == video.track.rank[numbered].tolist()
    assert bytes.fromhex(facts["setup"]) == video.track.setup
    for number, sample in zip(numbered, found[component], strict=True):
        data = sample.values[0].values.to_numpy().tobytes()
        assert wrap.unwrap(data, key=bool(video.track.key[number])) == video.packet(number)
        if form == "avcc":
            assert data.startswith(b"\0\0\0\1")


def test_depth_pictures_say_their_metre(tmp_path: Path) -> None:
    video = make_video(codec="png", form="", unit="mm")
    rows, static = written(tmp_path / "log.rrd", replace(make_episode(), videos={"depth/front": video}))
    assert static["/depth/front"]["EncodedDepthImage:meter"] == [1000.0]
    assert len(rows["/depth/front"]["EncodedDepthImage:blob"]) == 12


def test_the_writer_makes_a_folder_and_says_what_is_not_shown(tmp_path: Path) -> None:
    said: list[tuple[str, int, int]] = []
    reordered = make_video(reordered=True)
    logs = [
        replace(make_episode(seed=seed), key=key, videos=videos)
        for seed, (key, videos) in enumerate([("../try 1", {}), ("../try 1", {"camera/a": reordered}), ("con", {})])
    ]
    shipped = [Shipped(f"uid-{n}", log, ((0, 5, 0.5, "demo"),)) for n, log in enumerate(logs)]
    notes = RerunWriter().write_all(shipped, tmp_path / "out", settings={}, progress=lambda *args: said.append(args))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    listed = json.loads((tmp_path / "out" / "episodes.json").read_text())["episodes"]
    assert [(one["uid"], one["file"]) for one in listed] == [
        ("uid-0", "try-1.rrd"), ("uid-1", "try-1-2.rrd"), ("uid-2", "episode-con.rrd"),
    ]  # fmt: skip
    assert listed[0]["spans"] == [{"start_ns": 0, "end_ns": 5, "weight": 0.5, "role": "demo"}]
    assert len(notes) == 1
    assert "camera/a is kept but will not play: it has B-frames" in notes[0]
    assert said[-1] == ("write", 3, 3)
    assert RrdReader(tmp_path / "out" / "try-1.rrd").recordings()[0].recording_id == "uid-0"


def test_nothing_is_left_of_a_failed_export(tmp_path: Path) -> None:
    good = Shipped("a", make_episode())
    with pytest.raises(InvalidEpisode, match="single sample"):
        RerunWriter().write_all(
            [good, Shipped("b", EpisodeLog("none", {}))], tmp_path / "out", settings={}, progress=_quiet
        )
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="unknown settings"):
        RerunWriter().write_all([good], tmp_path / "out", settings={"fps": 3}, progress=_quiet)
    (tmp_path / "out").mkdir()
    with pytest.raises(AlreadyThere):
        RerunWriter().write_all([good], tmp_path / "out", settings={}, progress=_quiet)


def test_a_turned_off_rerun_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERUN", "off")
    with pytest.raises(UsageError, match="turned off"):
        write_recording(make_episode(), tmp_path / "log.rrd", recording_id="r", facts={})


def test_what_is_rounded_is_said(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.longdouble).reshape(3, 2)
    log = EpisodeLog("k", {"x": Stream(np.arange(3), values), "scan": Stream(np.arange(3), np.zeros((3, 100)))})
    notes = write_recording(log, tmp_path / "log.rrd", recording_id="r", facts={})
    assert any("scan: 100 numbers a row" in note for note in notes)
    assert any("rounded to 64-bit" in note for note in notes) == (values.dtype.itemsize > 8)


def test_a_long_camera_is_cut_into_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from saqiya.formats.rerun import chunks as rerun_chunks

    monkeypatch.setattr(rerun_chunks, "_BATCH_BYTES", 500)
    video = make_video(pictures=100)
    rows, _ = written(tmp_path / "log.rrd", replace(make_episode(), videos={"camera/front": video}))
    assert rows["/camera/front"]["time"] == video.track.t_ns.tolist()
    assert isinstance(video, Video)


def _quiet(what: str, done: int, of: int) -> None:
    pass


def test_what_rerun_would_only_warn_of_fails_the_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rerun remembers one type for a component name for as long as the process runs, and drops all else."""
    from saqiya.formats.rerun import chunks as rerun_chunks

    log = EpisodeLog("k", {"x": Stream(np.arange(3), np.zeros((3, 100)))})
    for name, value in (("good", "word"), ("bad", {"no": "word"})):
        values = np.full((3, 100), value, dtype=object)
        monkeypatch.setattr(rerun_chunks, "_arrow_values", lambda stream, values=values: values)
        if name == "good":
            write_recording(log, tmp_path / name, recording_id="r", facts={})
            continue
        with pytest.raises(TypeError):
            write_recording(log, tmp_path / name, recording_id="r", facts={})
    assert [path.name for path in tmp_path.iterdir()] == ["good"]
