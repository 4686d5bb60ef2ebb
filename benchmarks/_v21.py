"""Makes a LeRobot v2.1 dataset: numbers in Parquet and two cameras in H.264, one file an episode."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["CAMERAS", "FPS", "make_dataset"]

FPS = 30
CAMERAS = ("observation.images.front", "observation.images.wrist")
NUMBERS = {"observation.state": 14, "action": 14}
HEIGHT, WIDTH = 240, 320


def make_dataset(root: Path, *, episodes: int, frames: int, seed: int) -> None:
    """Write `episodes` of `frames` pictures a camera; equal seeds give equal numbers and equal pictures."""
    rng = np.random.default_rng(seed)
    stats = []
    for number in range(episodes):
        table: dict[str, Any] = {
            name: list(rng.normal(size=(frames, width)).astype(np.float32).cumsum(axis=0))
            for name, width in NUMBERS.items()
        }
        about = {name: _stats(np.stack(rows)) for name, rows in table.items()}
        about |= {camera: _picture_stats(frames) for camera in CAMERAS}
        index = np.arange(frames)
        table["timestamp"] = (index / FPS).astype(np.float32)
        table |= {"frame_index": index, "episode_index": np.full(frames, number)}
        table |= {"index": number * frames + index, "task_index": np.zeros(frames, dtype=np.int64)}
        path = root / "data" / "chunk-000" / f"episode_{number:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {name: pa.array(list(rows)) if name in NUMBERS else pa.array(rows) for name, rows in table.items()}
        pq.write_table(pa.table(columns), path)
        for camera in CAMERAS:
            _film(root / "videos" / "chunk-000" / camera / f"episode_{number:06d}.mp4", frames, rng)
        stats.append({"episode_index": number, "stats": about})
    _meta(root, episodes, frames, stats)


def _film(path: Path, frames: int, rng: np.random.Generator) -> None:
    """Film a texture that drifts under sensor noise, with a square that crosses it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ground = rng.integers(60, 196, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    noise = rng.integers(0, 12, (8, HEIGHT, WIDTH, 3), dtype=np.uint8)
    with av.open(path, "w") as out:
        options = {"preset": "veryfast", "crf": "23", "g": "15", "bf": "0"}
        stream = out.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(frames):
            picture = np.roll(ground, index, axis=1) + noise[index % 8]
            left = (index * 3) % (WIDTH - 40)
            picture[100:140, left : left + 40] = (230, 40, 40)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


def _stats(rows: np.ndarray) -> dict[str, list[float]]:
    made = {name: getattr(rows, name)(axis=0).tolist() for name in ("min", "max", "mean", "std")}
    return {**made, "count": [len(rows)]}


def _picture_stats(frames: int) -> dict[str, Any]:
    made: dict[str, Any] = {"min": 0.0, "max": 1.0, "mean": 0.5, "std": 0.2}
    return {name: [[[value]]] * 3 for name, value in made.items()} | {"count": [frames]}


def _meta(root: Path, episodes: int, frames: int, stats: list[dict[str, Any]]) -> None:
    features: dict[str, Any] = {
        name: {"dtype": "float32", "shape": [width], "names": [f"j{i}" for i in range(width)]}
        for name, width in NUMBERS.items()
    }
    facts = {"video.fps": FPS, "video.codec": "h264", "video.pix_fmt": "yuv420p", "has_audio": False}
    for camera in CAMERAS:
        names = ["height", "width", "channels"]
        features[camera] = {"dtype": "video", "shape": [HEIGHT, WIDTH, 3], "names": names, "info": facts}
    for name, dtype in (("timestamp", "float32"), *((n, "int64") for n in ("frame_index", "episode_index", "index"))):
        features[name] = {"dtype": dtype, "shape": [1], "names": None}
    features["task_index"] = {"dtype": "int64", "shape": [1], "names": None}
    info = {
        "codebase_version": "v2.1",
        "robot_type": "bench",
        "total_episodes": episodes,
        "total_frames": episodes * frames,
        "total_tasks": 1,
        "total_videos": episodes * len(CAMERAS),
        "total_chunks": 1,
        "chunks_size": 1000,
        "fps": FPS,
        "splits": {"train": f"0:{episodes}"},
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": features,
    }
    meta = root / "meta"
    meta.mkdir(parents=True, exist_ok=True)
    (meta / "info.json").write_text(json.dumps(info))
    _lines(meta / "tasks.jsonl", [{"task_index": 0, "task": "carry the cup"}])
    rows = [{"episode_index": i, "tasks": ["carry the cup"], "length": frames} for i in range(episodes)]
    _lines(meta / "episodes.jsonl", rows)
    _lines(meta / "episodes_stats.jsonl", stats)


def _lines(path: Path, rows: list[Mapping[str, Any]] | list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
