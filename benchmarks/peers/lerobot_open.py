"""Under LeRobot's Python: how long a dataset takes to open until one sample is there, and what memory that adds."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main(root: str) -> None:
    """Open the dataset, read one sample, and print seconds and megabytes above what importing took."""
    Path("/proc/self/clear_refs").write_text("5")  # a child begins with its parent's peak: forget it
    import_kib = peak_kib()
    begun = time.perf_counter()
    dataset = LeRobotDataset("bench/open", root=root, delta_timestamps={"action": [k / 30 for k in range(50)]})
    _ = dataset[len(dataset) // 2]
    seconds = time.perf_counter() - begun
    over_kib = peak_kib() - import_kib
    print(json.dumps({"seconds": seconds, "megabytes": over_kib * 1024 / 1e6, "samples": len(dataset)}))


def peak_kib() -> int:
    """Return the peak resident size."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main(sys.argv[1])
