"""Under LeRobot's Python: give the samples of a list, in batches, and say what they cost; keep the first batches."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.video_utils import get_safe_default_video_backend
from torch.utils.data import DataLoader

CHUNK = 50


def main(asked: Path) -> None:
    """Read `asked`, a JSON object: root, order (npy of sample numbers), batch, warm, batches, kept, keep (npz)."""
    wanted = json.loads(asked.read_text())
    begun = time.perf_counter()
    dataset = LeRobotDataset(
        "bench/loader",
        root=wanted["root"],
        delta_timestamps={"action": [k / wanted["fps"] for k in range(CHUNK)]},
        return_uint8=True,
    )
    opened_s = time.perf_counter() - begun
    order = np.load(wanted["order"]).tolist()
    loader = iter(DataLoader(dataset, wanted["batch"], sampler=order, num_workers=0))
    kept: dict[str, np.ndarray] = {}
    for number in range(wanted["warm"]):
        batch = next(loader)
        if number < wanted["kept"]:
            for name, value in batch.items():
                kept[f"{number}/{name}"] = value.numpy() if isinstance(value, torch.Tensor) else np.array(value)
    cpu, wall, samples = time.process_time(), time.perf_counter(), 0
    for _ in range(wanted["batches"]):
        samples += len(next(loader)["index"])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if wanted["keep"]:
        np.savez(wanted["keep"], **kept)
    answer = {"cpu_s": cpu, "wall_s": wall, "samples": samples, "opened_s": opened_s}
    answer |= {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    answer |= {"torchcodec": float(get_safe_default_video_backend() == "torchcodec")}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
