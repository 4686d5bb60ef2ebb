"""Under LeRobot's Python: bring a v2.1 dataset with encoded video into v3.0, through its API or by its converter."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
from lerobot.configs.video import RGBEncoderConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def api(source: Path, target: Path) -> None:
    """Decode every picture and hand each frame to `add_frame`, which encodes it again while it comes in."""
    info = json.loads((source / "meta" / "info.json").read_text())
    own = {"timestamp", "frame_index", "episode_index", "index", "task_index"}
    features = {
        name: {**about, "shape": tuple(about["shape"])} for name, about in info["features"].items() if name not in own
    }
    cameras = [name for name, about in features.items() if about["dtype"] == "video"]
    dataset = LeRobotDataset.create(
        "bench/ingest", info["fps"], features, root=target, use_videos=True, streaming_encoding=True, rgb_encoder=h264()
    )
    for number in range(info["total_episodes"]):
        table = pq.read_table(source / "data" / "chunk-000" / f"episode_{number:06d}.parquet")
        numbers = {name: np.stack(table[name].to_numpy()) for name in features if name not in cameras}
        films = {
            name: pictures(source / "videos" / "chunk-000" / name / f"episode_{number:06d}.mp4") for name in cameras
        }
        for row in range(table.num_rows):
            frame = {name: rows[row].astype(np.float32) for name, rows in numbers.items()}
            dataset.add_frame({**frame, **{name: next(film) for name, film in films.items()}, "task": "carry the cup"})
        dataset.save_episode()
    dataset.finalize()


def h264() -> RGBEncoderConfig:
    """Ask for the codec of the source: LeRobot's own default, AV1, takes longer."""
    return RGBEncoderConfig(vcodec="h264", preset="veryfast", g=15, crf=23)


def pictures(path: Path) -> Iterator[np.ndarray]:
    """Yield the pictures of a film, uint8 (H, W, 3)."""
    with av.open(path) as film:
        for frame in film.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def converter(_source: Path, target: Path) -> None:
    """Let LeRobot's own script join files without decoding a picture; it works in place, so on a copy that is free."""
    from lerobot.scripts.convert_dataset_v21_to_v30 import convert_dataset

    convert_dataset("bench/ingest", root=target, push_to_hub=False)


def main(arm: str, source: Path, target: Path) -> None:
    """Run one arm and print the CPU seconds it took and the bytes it wrote."""
    if arm == "converter":
        shutil.copytree(source, target)
    begun, wall = used(), time.perf_counter()
    {"api": api, "converter": converter}[arm](source, target)
    taken = {"cpu_s": used() - begun, "wall_s": time.perf_counter() - wall}
    written = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(json.dumps({**taken, "written_bytes": written}))


def used() -> float:
    """Return the CPU seconds of this process and its children."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
