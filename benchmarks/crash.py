"""What `kill -9` leaves of a session whose ninth episode is being recorded, here and with LeRobot (see PROTOCOL.md)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.harness import Figure, Measured, at_least, at_most, shown
from benchmarks.peers import ask, start
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.flywheel import Flywheel
from saqiya.record.recorder import Recorder, Signal
from saqiya.record.recover import recover

__all__ = ["run"]

COMMAND = "make bench ONLY=crash"
SEED = 20261121
REPEATS = 5
WHOLE = 8
FPS = 30
FRAMES = 150
SIGNALS = {"observation/state": Signal((14,)), "action/executed": Signal((14,))}


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield the readable episodes on both sides, and what is missing of the ninth."""
    rng = np.random.default_rng(SEED)
    ours, theirs, lost = [], [], []
    for repeat in range(2 if quick else REPEATS):
        wait_s = float(rng.uniform(1.5, 3.0))
        with tempfile.TemporaryDirectory(prefix="saqiya-crash-") as folder:
            readable, lost_s = _ours(Path(folder), wait_s, SEED + repeat)
            ours.append(readable)
            lost.append(lost_s)
            theirs.append(_theirs(Path(folder) / "lerobot", wait_s, SEED + repeat))
    yield at_least("crash.readable_of_8", _spread(ours, min(ours)), float(WHOLE), command=COMMAND)
    yield shown("crash.rival.lerobot.readable_of_8", _spread(theirs, max(theirs)), command=COMMAND)
    yield at_most("crash.ninth.lost_s", _spread(lost, max(lost)), 1.0, command=COMMAND)


def _spread(values: list[float], judged: float) -> Measured:
    return Measured(judged, min(values), max(values), len(values))


def _ours(folder: Path, wait_s: float, seed: int) -> tuple[float, float]:
    """Kill writer and control process together; return the readable whole episodes and the seconds missing."""
    spool = folder / "spool"
    spool.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.crash", str(spool), str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    killed_ns = _kill(process, wait_s)
    ninth = spool / f"episode-{WHOLE}.mcap"
    recover(ninth, folder / "ninth.mcap")
    (log,) = McapFormat().read(folder / "ninth.mcap")
    last_ns = max(int(stream.t_ns[-1]) for stream in log.streams.values())
    with Flywheel.init(folder / "wheel", site="tiny") as wheel:
        admitted = wheel.data.ingest([spool / f"episode-{number}.mcap" for number in range(WHOLE)])
        rows = [len(wheel.store.streams(one)["action/executed"].t_ns) for one in admitted.episodes]
    return float(sum(count == FRAMES for count in rows)), (killed_ns - last_ns) / 1e9


def _theirs(root: Path, wait_s: float, seed: int) -> float:
    process = start("lerobot_record", root, WHOLE, seed)
    _kill(process, wait_s)
    return float(ask("lerobot_readable", root)["readable"])


def _kill(process: subprocess.Popen[str], wait_s: float) -> int:
    assert process.stdout is not None
    while not (line := process.stdout.readline()).startswith("saved"):
        if not line:
            raise RuntimeError("the recording process ended by itself")
    time.sleep(wait_s)
    killed_ns = time.time_ns()  # noqa: TID251 - the clock that the loop stamps with
    for pid in line.split()[1:]:  # the writer that outlives its control process and would close the log: gone first
        os.kill(int(pid), signal.SIGKILL)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return killed_ns


def _record(spool: Path, seed: int) -> None:
    """Record eight whole episodes as fast as they come, then a ninth in real time until somebody kills it."""
    rng, clock = np.random.default_rng(seed), time.time_ns  # noqa: TID251 - a control loop's own clock
    for number in range(WHOLE + 1):
        with Recorder(spool / f"episode-{number}.mcap", SIGNALS) as recorder:
            if number == WHOLE:
                print(f"saved {recorder.writer_pid}", flush=True)
            row = 0
            while number == WHOLE or row < FRAMES:
                t_ns = clock() if number == WHOLE else row * 1_000_000_000 // FPS
                for name in SIGNALS:
                    recorder.record(name, t_ns, rng.normal(size=14))
                row += 1
                if number == WHOLE:
                    time.sleep(1 / FPS)


if __name__ == "__main__":
    _record(Path(sys.argv[1]), int(sys.argv[2]))
