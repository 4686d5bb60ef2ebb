"""Under LeRobot's Python: how many episodes of a dataset folder can be opened and read to their last frame."""

from __future__ import annotations

import json
import sys

from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main(root: str) -> None:
    """Print the number, and why it is none."""
    try:
        dataset = LeRobotDataset("bench/crash", root=root)
        counted = {int(dataset[index]["episode_index"]) for index in range(len(dataset))}
        print(json.dumps({"readable": len(counted)}))
    except Exception as error:  # noqa: BLE001 - whatever it says counts as not readable
        print(json.dumps({"readable": 0, "why": f"{type(error).__name__}: {str(error)[:300]}"}))


if __name__ == "__main__":
    main(sys.argv[1])
