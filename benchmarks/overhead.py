"""`overhead`: Saqiya's own share of a turn on Metaworld, and what a logged try costs beside its simulation."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import Figure, Measured, at_most, shown
from saqiya.loop.account import OWN, WAITING
from saqiya.loop.flywheel import Flywheel

__all__ = ["run"]

COMMAND = "make bench ONLY=overhead"
SEEDS = (0, 1, 2, 3, 4)
TURNS = 2
UNMODIFIED_STEPS_N = 400


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield the shares of bootstrap and correction turns, medians over seeds, and how they fall on their parts."""
    rows = [_turns(seed) for seed in (SEEDS[:1] if quick else SEEDS)]
    slowdown = _unmodified_step_s() / _own_step_s()
    for turn in range(TURNS):
        figures = [row[turn] for row in rows]
        yield at_most(
            f"overhead.turn-{turn}.wall_share", _spread([f["own_share"] for f in figures]), 0.15, command=COMMAND
        )
        yield shown(f"overhead.turn-{turn}.busy_share", _spread([f["busy_share"] for f in figures]), command=COMMAND)
        for kind in ("own", "simulation", "inference", "optimiser"):
            taken = [f["seconds"].get(kind, 0.0) for f in figures]
            yield shown(f"overhead.turn-{turn}.seconds.{kind}", _spread(taken), command=COMMAND)
        beside = [_beside(f["seconds"], slowdown) for f in figures]
        yield shown(f"overhead.turn-{turn}.busy_share.unmodified_simulator", _spread(beside), command=COMMAND)
    yield shown("overhead.simulator_speedup", _spread([slowdown]), command=COMMAND)


def _turns(seed: int) -> list[dict[str, Any]]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    import demo

    with tempfile.TemporaryDirectory(prefix="saqiya-overhead-") as folder:
        workspace = Path(folder) / "wheel"
        demo.prepare(workspace, seed)
        with Flywheel(workspace) as wheel:
            return [wheel.turn().figures for _ in range(TURNS)]


def _beside(seconds: dict[str, float], slowdown: float) -> float:
    """The busy share that our work would have, if each step of the simulator took what Metaworld's own takes."""
    others = sum(s for kind, s in seconds.items() if kind not in {OWN, WAITING, "simulation"})
    return seconds[OWN] / (seconds[OWN] + others + seconds["simulation"] * slowdown)


def _own_step_s() -> float:
    from saqiya.sites.metaworld import PickPlace

    site = PickPlace()
    site.reset(site.sample_start(0))
    action = (site.spec.action_low + site.spec.action_high) / 2
    began = time.perf_counter()
    for _ in range(UNMODIFIED_STEPS_N):
        site.step(action)
    took = time.perf_counter() - began
    site.close()
    return took / UNMODIFIED_STEPS_N


def _unmodified_step_s() -> float:
    """One step of the environment as Metaworld ships it, in the same process and minute."""
    import warnings

    import numpy as np

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS

        environment = ALL_V3_ENVIRONMENTS["pick-place-v3"]()
        environment._partially_observable = False  # noqa: SLF001 - Metaworld offers no other way
        environment._freeze_rand_vec = False  # noqa: SLF001
        environment._set_task_called = True  # noqa: SLF001
        environment.reset()
        action = np.zeros(4, dtype=np.float32)
        began = time.perf_counter()
        for _ in range(UNMODIFIED_STEPS_N):
            environment.step(action)
        return (time.perf_counter() - began) / UNMODIFIED_STEPS_N


def _spread(values: list[float]) -> Measured:
    ordered = sorted(values)
    return Measured(ordered[len(ordered) // 2], ordered[0], ordered[-1], len(ordered))
