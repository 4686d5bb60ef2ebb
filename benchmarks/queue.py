"""`queue`: fifty operators and reviewers at one desk with 5,000 requests, on SQLite and on PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks._desk import Done, Office, Worked, audited, filled, opened, people, work
from benchmarks._postgres import binaries, postgres
from benchmarks.harness import Figure, Measured, at_most, exactly, shown

__all__ = ["run"]

COMMAND = "make bench ONLY=queue"
SEEDS = (20261121, 20261122, 20261123)
REQUESTS, OPERATORS, REVIEWERS = 5000, 30, 20
SHIFT_S, PAUSE_S, RUSH_S = 30.0, 5.0, 10.0
BAR_MS = 200.0
DRAWS_N = 1000
SYNCS_N = 100


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield how long decisions take, and what was given twice or lost."""
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="saqiya-queue-")))
        yield shown("queue.disk.sync_ms", _syncs(folder), command=COMMAND)
        yield from _on("sqlite", folder / "sqlite", "", quick=quick)
        found = binaries()
        if found is None:
            raise SystemExit("queue: there is no PostgreSQL server on this machine: apt-get install postgresql")
        server = held.enter_context(postgres(found, durable=True))
        yield from _on("postgresql", folder / "postgresql", server.new(), quick=quick)


def _on(name: str, root: Path, url: str, *, quick: bool) -> Iterator[Figure]:
    done: list[Done] = []
    with opened(root, catalog=url) as wheel:
        stock = iter(list(filled(wheel, 200 if quick else REQUESTS, seed=SEEDS[0])))
        names = people(wheel, OPERATORS, REVIEWERS)
        wheel.desk.queue(names[0][0])
        shifts: list[Worked] = []
        for seed in SEEDS[:1] if quick else SEEDS:
            part = list(islice(stock, 1000))
            shifts.append(work(partial(Office, wheel), names, part, seconds=SHIFT_S, pause_s=PAUSE_S, seed=seed))
            stock = iter([*_unused(part, shifts[-1]), *stock])
        worked = time.process_time()
        rush = work(partial(Office, wheel), names, list(stock), seconds=RUSH_S, pause_s=0.0, seed=SEEDS[0])
        worked = time.process_time() - worked
        for one in (*shifts, rush):
            done += one.done
        wrong = audited(wheel, done)
        wrong["errors"] = sum(len(one.errors) for one in (*shifts, rush))
    for what in ("", "claim", "submit", "take", "review"):
        label = f"queue.{name}.p95_ms" + (f".{what}" if what else "")
        measured = _p95([one.milliseconds(what) for one in shifts])
        yield shown(label, measured, command=COMMAND) if what else at_most(label, measured, BAR_MS, command=COMMAND)
    for what, count in wrong.items():
        yield at_most(f"queue.{name}.{what}", exactly(count), 0, command=COMMAND)
    yield shown(f"queue.{name}.decisions", exactly(len(done)), command=COMMAND)
    yield shown(f"queue.{name}.rush.p95_ms", _p95([rush.milliseconds()]), command=COMMAND)
    yield shown(f"queue.{name}.rush.decisions_a_second", exactly(len(rush.done) / rush.seconds), command=COMMAND)
    yield shown(f"queue.{name}.rush.processor_ms", exactly(1e3 * worked / max(1, len(rush.done))), command=COMMAND)
    yield shown(f"queue.{name}.load_average", exactly(os.getloadavg()[0]), command=COMMAND)


def _unused(part: list[str], shift: Worked) -> list[str]:
    """Return the episodes that nobody came to hand in: they are taken in order."""
    return part[sum(one.what == "submit" for one in shift.done) + len(shift.errors) :]


def _p95(shifts: list[np.ndarray]) -> Measured:
    """Return the 95 % quantile over all shifts, with a bootstrap over decisions."""
    every = np.concatenate(shifts)
    if not len(every):
        raise SystemExit("queue: nobody decided anything")
    drawn = np.random.default_rng(0).choice(every, size=(DRAWS_N, len(every)))
    low, high = np.quantile(np.quantile(drawn, 0.95, axis=1), [0.025, 0.975])
    return Measured(float(np.quantile(every, 0.95)), float(low), float(high), len(shifts))


def _syncs(folder: Path) -> Measured:
    """Return what the disk takes to keep 4 KiB, ms: each decision waits for it at least once."""
    took = []
    with (folder / "sync").open("wb") as file:
        for _ in range(SYNCS_N):
            start = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            took.append(1e3 * (time.perf_counter() - start))
    return Measured(float(np.median(took)), float(np.quantile(took, 0.025)), float(np.quantile(took, 0.975)), 1)
