"""Seconds and memory until ten thousand episodes can be trained from, beside LeRobot (see PROTOCOL.md)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks._fleet import make_lerobot, make_workspace
from benchmarks._training import median
from benchmarks.harness import Figure, at_most, shown
from benchmarks.peers import ask

__all__ = ["run"]

COMMAND = "make bench ONLY=open"
SEED = 20261121
REPEATS = 5
EPISODES, ROWS = 10_000, 600


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield seconds and memory: here sealed and with nothing derived left, there the first time and later."""
    with tempfile.TemporaryDirectory(prefix="saqiya-open-") as name:
        folder = Path(name)
        episodes = 200 if quick else EPISODES
        make_workspace(folder / "lab", episodes=episodes, rows=ROWS, seed=SEED)
        make_lerobot(folder / "v3", episodes=episodes, rows=ROWS, seed=SEED)
        seen: dict[str, list[dict[str, float]]] = {"sealed": [], "bare": [], "first": [], "later": []}
        for repeat in range(2 if quick else REPEATS):
            seen["sealed"].append(_ours(folder / "lab"))
            bare = folder / "bare"
            shutil.copytree(folder / "lab", bare, copy_function=os.link, ignore=shutil.ignore_patterns("derived"))
            shutil.copy2(folder / "lab" / "catalog.sqlite", bare / "own.sqlite")  # a link would be the same database
            (bare / "own.sqlite").replace(bare / "catalog.sqlite")
            seen["bare"].append(_ours(bare))
            shutil.rmtree(bare)
            os.environ["HF_HOME"] = str(folder / f"hf-{repeat}")  # noqa: TID251 - a first time has no cache
            seen["first"].append(ask("lerobot_open", folder / "v3"))
            seen["later"].append(ask("lerobot_open", folder / "v3"))
            shutil.rmtree(folder / f"hf-{repeat}")
        yield at_most("open.first_s", median([one["seconds"] for one in seen["sealed"]]), 0.5, command=COMMAND)
        memory = median([one["megabytes"] for one in seen["sealed"]])
        yield at_most("open.megabytes_above_imports", memory, 100.0, command=COMMAND)
        for arm, label in (
            ("bare", "open.nothing_derived"),
            ("first", "open.lerobot"),
            ("later", "open.lerobot.later"),
        ):
            yield shown(f"{label}.first_s", median([one["seconds"] for one in seen[arm]]), command=COMMAND)
            over = median([one["megabytes"] for one in seen[arm]])
            yield shown(f"{label}.megabytes_above_imports", over, command=COMMAND)


def _ours(root: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.open", str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _fresh_peak_kib() -> int:
    """Forget the peak so far and return it anew: a child begins with its parent's, which has made the data."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak_kib()


def _peak_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _open(root: str) -> None:
    """Open the newest version, cut windows from it, and read one sample: before that nothing can be trained."""
    from saqiya.torch import Chunk, History, Windows, open_version

    import_kib = _fresh_peak_kib()
    begun = time.perf_counter()
    seen = {name: History() for name in ("observation/state", "observation/force")}
    windows = Windows(open_version(root), {**seen, "action/executed": Chunk(steps=50)}, at="action/executed")
    _ = windows[len(windows) // 2]
    seconds = time.perf_counter() - begun
    over_kib = _peak_kib() - import_kib
    print(json.dumps({"seconds": seconds, "megabytes": over_kib * 1024 / 1e6, "samples": len(windows)}))


if __name__ == "__main__":
    _open(sys.argv[1])
