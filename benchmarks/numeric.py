"""Training samples a CPU-second from numbers alone, at ten thousand episodes, beside LeRobot (see PROTOCOL.md)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks._fleet import make_lerobot, make_workspace
from benchmarks._training import BATCH, Asked, differences, median, ours, prepare, theirs
from benchmarks.harness import Figure, at_least, at_most, exactly, shown
from saqiya.torch import Order
from saqiya.views.plan import permuted

COMMAND = "make bench ONLY=numeric"
SEED = 20261121
REPEATS = 5
EPISODES, ROWS = 10_000, 600
WARM, KEPT = 6, 4
OURS, THEIRS = 4_000, 12
BAR = 100.0


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield the ratio, whether outputs are equal, and what each side gave."""
    episodes = 200 if quick else EPISODES
    with tempfile.TemporaryDirectory(prefix="saqiya-numeric-") as name:
        folder = Path(name)
        prepare(folder)
        make_workspace(folder / "lab", episodes=episodes, rows=ROWS, seed=SEED)
        make_lerobot(folder / "v3", episodes=episodes, rows=ROWS, seed=SEED)
        total = episodes * ROWS
        order = permuted(np.arange(min(total, BATCH * 100)), total, Order(seed=SEED).epoch_seed(0))
        np.save(folder / "order.npy", order)
        here = Asked(str(folder / "lab"), "global", SEED, "", WARM, 50 if quick else OURS)
        there = Asked(str(folder / "v3"), "global", SEED, str(folder / "order.npy"), WARM, THEIRS)
        mine, other = (
            run_one(replace(asked, kept=KEPT, keep=str(folder / file), batches=1), folder)
            for run_one, asked, file in ((ours, here, "here.npz"), (theirs, there, "there.npz"))
        )
        apart = differences(folder / "here.npz", folder / "there.npz")
        worst = max(largest for largest, _ in apart.values())
        yield at_most("numeric.largest_difference", exactly(worst), 0.0, command=COMMAND)
        yield shown("numeric.lerobot.first_open_s", exactly(other["opened_s"]), command=COMMAND)
        yield shown("numeric.first_open_s", exactly(mine["opened_s"]), command=COMMAND)
        pairs = [(ours(here, folder), theirs(there, folder)) for _ in range(2 if quick else REPEATS)]
        rate = np.array([[one["samples"] / one["cpu_s"] for one in pair] for pair in pairs])
        yield at_least("numeric.ratio_to_lerobot", median(rate[:, 0] / rate[:, 1]), BAR, command=COMMAND)
        for side, label in enumerate(("numeric", "numeric.lerobot")):
            yield shown(f"{label}.samples_per_cpu_s", median(rate[:, side]), command=COMMAND)
            yield shown(f"{label}.open_s", median([pair[side]["opened_s"] for pair in pairs]), command=COMMAND)
            peak = median([pair[side]["peak_bytes"] / 1e6 for pair in pairs])
            yield shown(f"{label}.peak_megabytes", peak, command=COMMAND)
