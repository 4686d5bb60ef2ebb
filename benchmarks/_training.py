"""What `loader` and `numeric` share: give the same samples here and in LeRobot, each in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Measured
from benchmarks.peers import ask

__all__ = ["BATCH", "CHUNK", "Asked", "differences", "median", "ours", "prepare", "theirs"]

BATCH = 32
CHUNK = 50
FPS = 30
NAMES = {
    "camera/front": "observation.images.front",
    "camera/wrist": "observation.images.wrist",
    "observation/state": "observation.state",
    "observation/force": "observation.force",
    "action/executed": "action",
    "action/executed/pad": "action_is_pad",
    "task": "task",
}
"""What a column is called here and in LeRobot."""


@dataclass(frozen=True)
class Asked:
    """What one process is to give.

    Attributes:
        root: the workspace, or LeRobot's dataset.
        how: the order here: "global" or "blocks".
        seed: of the order here.
        order: for LeRobot, a file with the numbers of the samples in that order.
        warm, batches: batches before the clock starts, and on it.
        kept, keep: so many of the first batches go into this file, "" for none.
    """

    root: str
    how: str
    seed: int
    order: str
    warm: int
    batches: int
    kept: int = 0
    keep: str = ""
    batch: int = BATCH
    fps: int = FPS


def prepare(folder: Path) -> None:
    """Set what the processes of a run inherit.

    One thread of linear algebra on every side: more of them wait for each other, which costs LeRobot a fifth of its
    samples a CPU-second. Its Arrow copy belongs to this run.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # noqa: TID251 - passed on
    os.environ["HF_HOME"] = str(folder / "hf")  # noqa: TID251 - passed on


def theirs(asked: Asked, folder: Path) -> dict[str, float]:
    """Run LeRobot."""
    return ask("lerobot_loader", _written(asked, folder))


def ours(asked: Asked, folder: Path) -> dict[str, float]:
    """Run ours, in a fresh process as the peer is."""
    command = [sys.executable, "-m", "benchmarks._training", str(_written(asked, folder))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _written(asked: Asked, folder: Path) -> Path:
    path = folder / f"asked-{time.monotonic_ns()}.json"
    path.write_text(json.dumps(asdict(asked)))
    return path


def differences(here: Path, there: Path) -> dict[str, tuple[float, float]]:
    """Return by column the largest and mean difference of all kept batches (for texts and masks: 1 and the share).

    Raises:
        RuntimeError: a column or a batch is missing, or shapes differ.
    """
    with np.load(here) as mine, np.load(there) as other:
        batches = {name.partition("/")[0] for name in mine.files}
        found: dict[str, list[NDArray[np.float64]]] = {}
        for batch in batches:
            for name, their_name in NAMES.items():
                if f"{batch}/{name}" not in mine.files:
                    continue
                one, two = mine[f"{batch}/{name}"], other[f"{batch}/{their_name}"]
                if one.ndim == two.ndim + 1 and one.shape[1] == 1:
                    one = one[:, 0]  # a history of one step has an axis for it
                if one.shape != two.shape:
                    raise RuntimeError(f"{name}: {one.shape} here, {two.shape} there")
                apart = (one != two) if one.dtype.kind in "bU" else np.abs(one.astype(np.float64) - two)
                found.setdefault(name, []).append(np.asarray(apart, dtype=np.float64).reshape(-1))
    if not batches or "action/executed/pad" not in found or "task" not in found:
        raise RuntimeError("nothing was kept to compare")
    return {name: (max(float(a.max()) for a in one), float(np.concatenate(one).mean())) for name, one in found.items()}


def median(values: NDArray[np.float64] | list[float]) -> Measured:
    """Return the median of repeats, with their range."""
    return Measured(float(np.median(values)), float(np.min(values)), float(np.max(values)), len(values))


def _give(asked: Mapping[str, object]) -> None:
    """Give batches from a workspace's newest version and print what they cost."""
    from saqiya.torch import Chunk, History, Order, Windows, open_version

    want = Asked(**asked)  # type: ignore[arg-type]
    begun = time.perf_counter()
    source = open_version(want.root)
    seen = [name for name in NAMES if name in source.cameras | source.streams and name != "action/executed"]
    cut = {name: History() for name in seen} | {"action/executed": Chunk(steps=CHUNK)}
    windows = Windows(source, cut, at="action/executed")
    opened_s = time.perf_counter() - begun
    batches = iter(windows.loader(want.batch, order=Order(how=want.how, seed=want.seed, pool=512)))  # type: ignore[arg-type]
    kept: dict[str, NDArray[np.generic]] = {}
    for number in range(want.warm):
        batch = next(batches)
        if number < want.kept:
            kept |= {f"{number}/{name}": np.asarray(value) for name, value in batch.items()}
    cpu, wall, samples = time.process_time(), time.perf_counter(), 0
    for _ in range(want.batches):
        samples += len(next(batches)["t_ns"])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if want.keep:
        np.savez(want.keep, **kept)  # type: ignore[arg-type]
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        json.dumps({"cpu_s": cpu, "wall_s": wall, "samples": samples, "opened_s": opened_s, "peak_bytes": peak_bytes})
    )


if __name__ == "__main__":
    _give(json.loads(Path(sys.argv[1]).read_text()))
