"""Under LeRobot's Python: how long a dataset takes to open until one sample is there, and what memory that adds."""

from __future__ import annotations

import json
import resource
import sys
import time

from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main(root: str) -> None:
    """Open the dataset, read one sample, and print seconds and megabytes above what importing took."""
    import_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    dataset = LeRobotDataset("bench/open", root=root, delta_timestamps={"action": [k / 30 for k in range(50)]})
    _ = dataset[len(dataset) // 2]
    seconds = time.perf_counter() - begun
    over_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - import_kib
    print(json.dumps({"seconds": seconds, "megabytes": over_kib * 1024 / 1e6, "samples": len(dataset)}))


if __name__ == "__main__":
    main(sys.argv[1])
