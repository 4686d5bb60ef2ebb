"""Under LeRobot's Python: record episodes of numbers as its API does, the last one in real time until it is killed."""

from __future__ import annotations

import sys
import time

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

FPS = 30
FRAMES = 150


def main(root: str, whole: int, seed: int) -> None:
    """Save `whole` episodes, say so, then go on with one more at the camera's pace for ever."""
    features = {
        name: {"dtype": "float32", "shape": (14,), "names": [f"j{i}" for i in range(14)]}
        for name in ("observation.state", "action")
    }
    dataset = LeRobotDataset.create("bench/crash", FPS, features, root=root, use_videos=False)
    rng = np.random.default_rng(seed)

    def add() -> None:
        state, action = rng.normal(size=(2, 14)).astype(np.float32)
        dataset.add_frame({"observation.state": state, "action": action, "task": "carry"})

    for _ in range(whole):
        for _ in range(FRAMES):
            add()
        dataset.save_episode()
    print("saved", flush=True)
    while True:
        add()
        time.sleep(1 / FPS)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
