"""Small videos made with a real encoder, LeRobot data sets written by hand, and tries that go out and come back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from numpy.typing import NDArray

from saqiya.domain.contracts import Shipped, Unread
from saqiya.domain.media import Video
from saqiya.domain.streams import EpisodeLog, Event, Stamp, Stream
from saqiya.formats.lerobot.read import LeRobotFormat
from saqiya.formats.lerobot.write import LeRobotWriter
from saqiya.formats.pictures.annexb import wrap_of
from saqiya.formats.pictures.mp4 import open_mp4

NS = 1_000_000_000

CODECS: Mapping[str, Mapping[str, str]] = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libsvtav1": {"preset": "12", "svtav1-params": "rc=0"},
}


def frames_of(count: int, *, width: int = 64, height: int = 48, seed: int = 0) -> NDArray[np.uint8]:
    """Moving texture, uint8 (T, H, W, 3); neighbours differ."""
    rng = np.random.default_rng(seed)
    tile = np.kron(
        rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8), np.ones((8, 8, 1), dtype=np.uint8)
    )
    return np.stack([np.roll(tile, 3 * number, axis=1) for number in range(count)])


def film(
    path: Path,
    frames: NDArray[np.uint8],
    *,
    codec: str = "libx264",
    fps: int = 30,
    options: Mapping[str, str] | None = None,
    container: Mapping[str, str] | None = None,
    stamps_ms: Sequence[int] | None = None,
) -> Path:
    """Encode frames into an MP4."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=dict(container or {})) as target:
        stream: Any = target.add_stream(codec, rate=fps, options={**CODECS[codec], **(options or {})})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if stamps_ms is not None:
                frame.pts, frame.time_base = stamps_ms[number], Fraction(1, 1000)
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    return path


def shown(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    """Decode a file with the reference library: seconds and pixels of each picture."""
    import av

    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        base = float(stream.time_base or 0)
        return [(float(frame.pts or 0) * base, frame.to_ndarray(format="rgb24")) for frame in source.decode(stream)]


@pytest.fixture(scope="session")
def movies() -> SimpleNamespace:
    return SimpleNamespace(film=film, frames_of=frames_of, shown=shown)


TASKS = ("push the block", "lift the block")


def columns_of(index: int, count: int, start: int, fps: float) -> dict[str, Any]:
    """An episode's columns: numbers of several types, flags, a reward."""
    rng = np.random.default_rng(index)
    state = rng.normal(size=(count, 3)).astype(np.float32)
    return {
        "observation.state": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(state.reshape(-1)), 3),
        "action": pyarrow.array(list(rng.normal(size=(count, 2)))),
        "observation.grid": pyarrow.array(rng.integers(0, 9, (count, 2, 2)).tolist()),
        "gripper": pyarrow.array(rng.integers(0, 255, count, dtype=np.uint8)),
        "next.reward": pyarrow.array(rng.random(count).astype(np.float32)),
        "next.done": pyarrow.array(np.arange(count) == count - 1),
        "next.success": pyarrow.array((np.arange(count) == count - 1) & (index % 2 == 0)),
        "intervention": pyarrow.array((np.arange(count) >= 4) & (np.arange(count) < 7)),
        "timestamp": pyarrow.array((np.arange(count) / fps).astype(np.float32)),
        "frame_index": pyarrow.array(np.arange(count)),
        "episode_index": pyarrow.array(np.full(count, index)),
        "index": pyarrow.array(start + np.arange(count)),
        "task_index": pyarrow.array(np.full(count, index % 2)),
    }


FEATURES: Mapping[str, Any] = {
    "observation.state": {"dtype": "float32", "shape": [3], "names": {"motors": ["x", "y", "z"]}},
    "action": {"dtype": "float64", "shape": [2], "names": ["x", "y"]},
    "observation.grid": {"dtype": "int64", "shape": [2, 2], "names": None},
    "gripper": {"dtype": "uint8", "shape": [1], "names": None},
    "next.reward": {"dtype": "float32", "shape": [1], "names": None},
    "next.done": {"dtype": "bool", "shape": [1], "names": None},
    "next.success": {"dtype": "bool", "shape": [1], "names": None},
    "intervention": {"dtype": "bool", "shape": [1], "names": None},
}


def info_of(version: str, fps: float, cameras: Mapping[str, str], episodes: int, **more: Any) -> dict[str, Any]:
    features: dict[str, Any] = dict(FEATURES)
    for name, kind in cameras.items():
        features[name] = {"dtype": kind, "shape": [48, 64, 3], "names": ["height", "width", "channels"]}
    for name in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
        features[name] = {"dtype": "float32" if name == "timestamp" else "int64", "shape": [1], "names": None}
    said = {
        "codebase_version": version,
        "robot_type": "arm",
        "fps": fps,
        "chunks_size": 1000,
        "total_episodes": episodes,
        "splits": {"train": f"0:{episodes}"},
        "features": features,
    }
    return {**said, **more}


def write_v2(root: Path, *, version: str = "v2.1", lengths: Sequence[int] = (20, 15), **more: Any) -> Path:
    """A file an episode, tasks and episodes as JSON lines, one camera."""
    fps, camera = 10, "observation.images.top"
    (root / "meta").mkdir(parents=True)
    start = 0
    for index, count in enumerate(lengths):
        path = root / "data" / "chunk-000" / f"episode_{index:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.table(columns_of(index, count, start, fps)), path)
        film(root / "videos" / "chunk-000" / camera / f"episode_{index:06d}.mp4", frames_of(count, seed=index), fps=fps)
        start += count
    lines = [{"episode_index": i, "tasks": [TASKS[i % 2]], "length": n} for i, n in enumerate(lengths)]
    tasks = [{"task_index": i, "task": task} for i, task in enumerate(TASKS)]
    for name, rows in (("episodes", lines), ("tasks", tasks)):
        (root / "meta" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    templates = {
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    }
    info = info_of(version, fps, {camera: "video"}, len(lengths), **{**templates, **more})
    (root / "meta" / "info.json").write_text(json.dumps(info))
    return root


def write_v3(
    root: Path,
    *,
    lengths: Sequence[int] = (20, 15, 17),
    codec: str = "libx264",
    row_groups: bool = True,
    pandas: bool = True,
    **more: Any,
) -> Path:
    """One data file and one video file for all episodes, and PNG pictures in a column."""
    fps, camera, still = 10, "observation.images.top", "observation.images.wrist"
    (root / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
    (root / "data" / "chunk-000").mkdir(parents=True)
    tables, frames, starts = [], [], [0]
    for index, count in enumerate(lengths):
        table = pyarrow.table(columns_of(index, count, starts[-1], fps))
        pngs = [png(one) for one in frames_of(count, seed=index + 50)]
        column = pyarrow.array([{"bytes": one, "path": f"frame-{k:06d}.png"} for k, one in enumerate(pngs)])
        tables.append(table.append_column(still, column))
        frames.append(frames_of(count, seed=index))
        starts.append(starts[-1] + count)
    with pyarrow.parquet.ParquetWriter(root / "data" / "chunk-000" / "file-000.parquet", tables[0].schema) as writer:
        for table in tables if row_groups else [pyarrow.concat_tables(tables)]:
            writer.write_table(table)
    film(
        root / "videos" / camera / "chunk-000" / "file-000.mp4",
        np.concatenate(frames),
        fps=fps,
        codec=codec,
        options={"g": "5"},
    )
    rows = [episode_row(index, starts, fps, camera) for index in range(len(lengths))]
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist(rows), root / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    )
    text = "task" if pandas else "__index_level_0__"
    tasks = pyarrow.table({"task_index": [0, 1], text: list(TASKS)})
    pyarrow.parquet.write_table(tasks, root / "meta" / "tasks.parquet")
    info = info_of("v3.0", fps, {camera: "video", still: "image"}, len(lengths), **more)
    (root / "meta" / "info.json").write_text(json.dumps(info))
    return root


def episode_row(index: int, starts: Sequence[int], fps: float, camera: str) -> dict[str, Any]:
    first, last = starts[index], starts[index + 1]
    return {
        "episode_index": index,
        "tasks": [TASKS[index % 2]],
        "length": last - first,
        "data/chunk_index": 0,
        "data/file_index": 0,
        "dataset_from_index": first,
        "dataset_to_index": last,
        f"videos/{camera}/chunk_index": 0,
        f"videos/{camera}/file_index": 0,
        f"videos/{camera}/from_timestamp": first / fps,
        f"videos/{camera}/to_timestamp": last / fps,
        "stats/action/mean": [0.0, 0.0],
    }


def png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    target = BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


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


def camera(folder: Path, t_ns: Any, *, seed: int = 0, fps: int = 30, **more: Any) -> Video:
    """A camera of as many pictures as stamps, in a file of its own."""
    path = film(folder / f"{seed}-{len(t_ns)}.mp4", frames_of(len(t_ns), seed=seed), fps=fps, **more)
    movie = open_mp4(path)
    return movie.video(replace(movie.track, t_ns=t_ns, clock="camera", stamp=Stamp.SENSOR))


def annexb(video: Video) -> Video:
    """The same packets with start codes, as loggers get them from a camera: sets before each key, of both lengths."""
    wrap = wrap_of(video)
    assert wrap is not None
    packets = []
    for number, key in enumerate(video.track.key.tolist()):
        data = wrap.wrap(video.packet(number), key=key)
        packets.append(data if number % 3 else data[1:])  # the first start code then has three bytes
    size = np.array([len(one) for one in packets], dtype=np.int64)
    track = replace(video.track, offset=np.cumsum(size) - size, size=size, form="annexb", setup=b"")
    return Video(track, b"".join(packets))


def robot(folder: Path, *, seed: int = 0, seconds: float = 2.0, **kinds: Any) -> EpisodeLog:
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
    videos = {name: camera(folder, t_ns, seed=seed, **kind) for name, kind in kinds.items()}
    events = (Event(NS, "takeover"), Event(NS + 1, "slip", "left finger"))
    facts: dict[str, Any] = {
        "task": "plug it in",
        "outcome": "success",
        "embodiment": "arm",
        "nested": {"a": [1, None]},
    }
    return EpisodeLog(f"try-{seed}", streams, events, facts, videos)


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


@pytest.fixture(scope="session")
def trips() -> SimpleNamespace:
    return SimpleNamespace(
        write=write, read=read, assert_same=assert_same, info=info, table=table, native=native, stamps=stamps,
        camera=camera, annexb=annexb, robot=robot, robotless=robotless, quiet=quiet,
    )  # fmt: skip


@pytest.fixture(scope="session")
def lerobots() -> SimpleNamespace:
    return SimpleNamespace(write_v2=write_v2, write_v3=write_v3, columns_of=columns_of, tasks=TASKS, png=png)
