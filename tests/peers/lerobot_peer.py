"""Runs in LeRobot's own environment: writes small data sets with it, or opens one and notes what it returns.

python lerobot_peer.py write FOLDER
python lerobot_peer.py look ROOT OUT.npz BACKEND
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
from lerobot.configs import DepthEncoderConfig, RGBEncoderConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset

FPS, LENGTHS, TASKS = 20, (14, 11, 9), ("reach", "grasp", "reach")
NAMES = ["height", "width", "channels"]


def features(kind: str, *, deep: bool) -> dict:
    found = {
        "observation.state": {"dtype": "float32", "shape": (3,), "names": ["x", "y", "z"]},
        "observation.count": {"dtype": "int64", "shape": (1,), "names": None},
        "observation.grid": {"dtype": "float32", "shape": (2, 3), "names": None},
        "action": {"dtype": "float64", "shape": (2,), "names": {"motors": ["a", "b"]}},
        "next.success": {"dtype": "bool", "shape": (1,), "names": None},
        "observation.images.top": {"dtype": kind, "shape": (64, 80, 3), "names": NAMES},
    }
    if deep:
        found["observation.images.deep"] = {
            "dtype": kind,
            "shape": (64, 80, 1),
            "names": NAMES,
            "info": {"is_depth_map": True},
        }
    return found


def frame(rng: np.random.Generator, number: int, last: bool, *, deep: bool) -> dict:
    base = np.add.outer(np.arange(64), np.arange(80)) * 2 + 5 * number
    found = {
        "observation.state": rng.normal(size=3).astype(np.float32),
        "observation.count": np.array([number], dtype=np.int64),
        "observation.grid": rng.normal(size=(2, 3)).astype(np.float32),
        "action": rng.normal(size=2),
        "next.success": np.array([last]),
        "observation.images.top": np.stack([base % 256, (2 * base) % 256, (base // 2) % 256], -1).astype(np.uint8),
    }
    if deep:
        found["observation.images.deep"] = (500 + 10 * base[..., None]).astype(np.uint16)
    return found


def write(folder: Path) -> None:
    kinds = {
        "av1": ("video", RGBEncoderConfig(), False),
        "h264": ("video", RGBEncoderConfig(vcodec="h264", g=6), False),
        "depth": ("video", RGBEncoderConfig(), True),
        "image": ("image", RGBEncoderConfig(), False),
    }
    for name, (kind, encoder, deep) in kinds.items():
        made = LeRobotDataset.create(
            "local/peer",
            FPS,
            features(kind, deep=deep),
            root=folder / name,
            robot_type="so101",
            use_videos=kind == "video",
            rgb_encoder=encoder,
            depth_encoder=DepthEncoderConfig(),
        )
        rng = np.random.default_rng(1)
        for length, task in zip(LENGTHS, TASKS, strict=True):
            for number in range(length):
                made.add_frame({**frame(rng, number, number == length - 1, deep=deep), "task": task})
            made.save_episode()
        made.finalize()


def look(root: Path, out: Path, backend: str) -> None:
    """Note every item's numbers, task and pictures, and whether its pictures are those that PyAV decodes."""
    data = LeRobotDataset("local/peer", root=root, video_backend=backend)
    found: dict[str, list] = {}
    shown: dict[Path, list] = {}
    same = []
    for number in range(len(data)):
        item = data[number]
        for key, value in item.items():
            held = np.array(value) if isinstance(value, str) else value.numpy()
            if held.ndim == 3 and held.shape[0] in (3, 4):
                held = np.rint(held * 255).astype(np.uint8).transpose(1, 2, 0)
            found.setdefault(key, []).append(held)
        episode = int(item["episode_index"])
        for key in data.meta.video_keys:
            if key in data.meta.depth_keys:
                continue
            path = root / data.meta.get_video_file_path(episode, key)
            if path not in shown:
                with av.open(str(path)) as source:
                    shown[path] = [one.to_ndarray(format="rgb24") for one in source.decode(video=0)]
            first = data.meta.episodes[episode][f"videos/{key}/from_timestamp"]
            picture = shown[path][round(first * data.fps) + int(item["frame_index"])]
            same.append(np.array_equal(found[key][-1], picture))
    found["same"] = [np.array(same)]
    found["rows"] = [np.array([len(data), data.num_episodes, data.meta.total_tasks])]
    stats = {f"stats/{key}/mean": value["mean"] for key, value in data.meta.stats.items()}
    np.savez(out, **{key: np.stack(values) for key, values in found.items()}, **stats)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]))
    else:
        look(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
