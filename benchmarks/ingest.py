"""Frames a CPU-second when video comes in encoded, and bytes written a byte read, beside LeRobot (see PROTOCOL.md)."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks._v21 import CAMERAS, make_dataset
from benchmarks.harness import Figure, Measured, at_least, at_most, shown
from benchmarks.peers import ask
from saqiya.loop.flywheel import Flywheel

__all__ = ["run"]

COMMAND = "make bench ONLY=ingest"
SEED = 20261121
REPEATS = 5
EPISODES, FRAMES = 6, 300
OURS = ("cameras", "link", "copy")
THEIRS = ("api", "converter")


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield the ratio of frames a CPU-second, every arm's own figure, and what was written for what was read."""
    with tempfile.TemporaryDirectory(prefix="saqiya-ingest-") as folder:
        source = Path(folder) / "source"
        make_dataset(source, episodes=EPISODES, frames=FRAMES, seed=SEED)
        read = sum(file.stat().st_size for file in source.rglob("*") if file.is_file())
        frames = EPISODES * FRAMES * len(CAMERAS)
        seen: dict[str, list[dict[str, float]]] = {}
        for repeat in range(2 if quick else REPEATS):
            for arm in OURS:
                seen.setdefault(arm, []).append(_ours(source, Path(folder) / f"{arm}-{repeat}", arm))
            for arm in THEIRS:
                seen.setdefault(arm, []).append(ask("lerobot_ingest", arm, source, Path(folder) / f"{arm}-{repeat}"))
        rate = {arm: np.array([frames / one["cpu_s"] for one in found]) for arm, found in seen.items()}
        yield at_least(
            "ingest.frames_ratio.to_lerobot_api", _median(rate["cameras"] / rate["api"]), 5.0, command=COMMAND
        )
        yield shown(
            "ingest.frames_ratio.to_lerobot_converter", _median(rate["cameras"] / rate["converter"]), command=COMMAND
        )
        for arm in (*OURS, *THEIRS):
            yield shown(f"ingest.{arm}.frames_per_cpu_s", _median(rate[arm]), command=COMMAND)
        for arm in (*OURS, *THEIRS):
            written = _median(np.array([one["written_bytes"] / read for one in seen[arm]]))
            bars = {"cameras": 1.1, "link": 0.2}
            name = f"ingest.{arm}.bytes_written_per_byte_read"
            yield (
                at_most(name, written, bars[arm], command=COMMAND)
                if arm in bars
                else shown(name, written, command=COMMAND)
            )


def _median(values: np.ndarray) -> Measured:
    return Measured(float(np.median(values)), float(values.min()), float(values.max()), len(values))


def _ours(source: Path, target: Path, keep: str) -> dict[str, float]:
    """Ingest in a process of its own, as the peer does."""
    command = [sys.executable, "-m", "benchmarks.ingest", keep, str(source), str(target)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _used() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def _ingest(keep: str, source: Path, target: Path) -> None:
    """Ingest, and print CPU seconds and bytes; importing libraries is counted on neither side."""
    import av  # noqa: F401 - imported before the clock starts, as the peer's script does
    import pyarrow.parquet  # noqa: F401

    with Flywheel.init(target, site="tiny") as wheel:
        begun, wall = _used(), time.perf_counter()
        admitted = wheel.data.ingest([source], keep=keep)
        taken = {"cpu_s": _used() - begun, "wall_s": time.perf_counter() - wall}
    if len(admitted.episodes) != EPISODES or any(len(one.media) != len(CAMERAS) for one in admitted.episodes):
        raise RuntimeError(f"not everything came in: {admitted.rejections}")
    written = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(json.dumps({**taken, "written_bytes": written}))


if __name__ == "__main__":
    _ingest(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
