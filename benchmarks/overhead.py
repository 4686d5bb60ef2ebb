"""`overhead`: Saqiya's own share of a turn on Metaworld, and what a logged try costs beside its simulation.

See PROTOCOL.md. Each seed runs in a process of its own, as a turn does for whoever types it.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Figure, Measured, at_most, shown
from saqiya.domain.contracts import Roll
from saqiya.domain.nouns import Episode, Policy, Recording, Source
from saqiya.domain.streams import EpisodeLog
from saqiya.formats.mcap.log import McapFormat
from saqiya.ingest import stage as ingest
from saqiya.ingest.prints import prints_of
from saqiya.loop import draws
from saqiya.loop.account import OWN, WAITING
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.tries.rollout import run_try
from saqiya.stores import streams as codec
from saqiya.stores.workspace import Workspace
from saqiya.train import stage as train

__all__ = ["run"]

COMMAND = "make bench ONLY=overhead"
SEEDS = (0, 1, 2, 3, 4)
TURNS = ("turn-0", "turn-1")
BAR = 0.15
TRIES_N = 64
STEPS_N, ROUNDS_N = 100, 7


@dataclass(frozen=True)
class _Seed:
    """What one seed gave: the figures of its turns, milliseconds a try by part, and Metaworld's step over ours."""

    turns: tuple[dict[str, Any], ...]
    parts_ms: dict[str, float]
    slowdown: float


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield the shares of a bootstrap and a correction turn, medians over seeds, and how they fall on their parts."""
    seeds = SEEDS[:1] if quick else SEEDS
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        found = list(pool.map(_one, seeds))
    for number, name in enumerate(TURNS):
        turns = [one.turns[number] for one in found]
        wall = _over([turn["own_share"] for turn in turns])
        yield at_most(f"overhead.{name}.wall_share", wall, BAR, command=COMMAND)
        yield shown(f"overhead.{name}.busy_share", _over([turn["busy_share"] for turn in turns]), command=COMMAND)
        asked = _over([_share(turn["seconds"], ours=("measuring",)) for turn in turns])
        yield shown(f"overhead.{name}.busy_share.with_measuring", asked, command=COMMAND)
        beside = [_share(turn["seconds"], slowdown=one.slowdown) for turn, one in zip(turns, found, strict=True)]
        yield shown(f"overhead.{name}.busy_share.unmodified_simulator", _over(beside), command=COMMAND)
        for kind in sorted({kind for turn in turns for kind in turn["seconds"]}):
            seconds = _over([turn["seconds"].get(kind, 0.0) for turn in turns])
            yield shown(f"overhead.{name}.seconds.{kind}", seconds, command=COMMAND)
    for part in found[0].parts_ms:
        yield shown(f"overhead.ms_a_try.{part}", _over([one.parts_ms[part] for one in found]), command=COMMAND)
    yield shown("overhead.unmodified_step_over_ours", _over([one.slowdown for one in found]), command=COMMAND)


def _one(seed: int) -> _Seed:
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    import demo

    with tempfile.TemporaryDirectory(prefix="saqiya-overhead-") as folder:
        demo.prepare(Path(folder) / "wheel", seed)
        with Flywheel(Path(folder) / "wheel") as wheel:
            turns = tuple(dict(wheel.turn().figures) for _ in TURNS)
            parts = _parts(wheel, Path(folder))
    return _Seed(turns, parts, _slowdown())


def _share(seconds: dict[str, float], *, ours: Sequence[str] = (), slowdown: float = 1.0) -> float:
    """Saqiya's share of all seconds but waiting, with more kinds counted as ours or with a slower simulator."""
    taken = {kind: s * (slowdown if kind == "simulation" else 1.0) for kind, s in seconds.items() if kind != WAITING}
    return sum(taken.get(kind, 0.0) for kind in (OWN, *ours)) / sum(taken.values())


def _parts(wheel: Flywheel, folder: Path) -> dict[str, float]:
    """Time what is Saqiya's in a try, part by part, on tries of the first deployment: milliseconds a try."""
    catalog, reader = wheel.store.catalog, McapFormat()
    episodes = [one for one in catalog.all(Episode) if catalog.key_of(one.id).startswith("turn-0/deployment")][:TRIES_N]
    recordings = [catalog.get(one.recordings[0], Recording) for one in episodes]
    raws = [catalog.object_path(one.object).read_bytes() for one in recordings if one.object]
    files = [folder / f"{i:04d}.mcap" for i in range(len(raws))]
    for path, raw in zip(files, raws, strict=True):
        path.write_bytes(raw)
    logs = [log for path in files for log in reader.read(path) if isinstance(log, EpisodeLog)]
    encoded = [codec.encode(log.streams) for log in logs]
    stores = (_fresh(folder / f"store-{i}", wheel) for i in range(2 * ROUNDS_N))
    written = (folder / f"written-{i}" for i in range(ROUNDS_N))

    def write() -> None:
        target = next(written)
        target.mkdir()
        for log in logs:
            reader.write(log, target / f"{log.key.replace('/', '_')}.mcap")

    def admit() -> None:
        ingest.admit(next(stores), [(path, path.stem) for path in files], reader, clock=wheel.clock)

    calls: dict[str, Callable[[], object]] = {
        "write": write,
        "ingest": admit,
        "ingest.read": lambda: [list(reader.read(path)) for path in files],
        "ingest.prints": lambda: [prints_of(log.streams) for log in logs],
        "ingest.encode": lambda: [codec.encode(log.streams) for log in logs],
        "ingest.objects": lambda: next(stores).objects.put_many([*encoded, *raws]),
    }
    timed = {name: _median_s(call) for name, call in calls.items()}
    made = {"loop": _loop_s(wheel), **timed}
    return {name: seconds / len(logs) * 1e3 for name, seconds in made.items()}


def _fresh(root: Path, wheel: Flywheel) -> Workspace:
    return Workspace.create(root, site="local", clock=wheel.clock, entropy=np.random.default_rng(0).bytes)


def _loop_s(wheel: Flywheel) -> float:
    """Seconds that the loop itself takes for `TRIES_N` tries: all but simulation and inference."""
    policy = wheel.store.catalog.get("turn-0/policy", Policy)
    loaded, own = train.load(wheel.store, policy), 0.0
    for i, start in enumerate(draws.starts(wheel.site, 0, "benchmark", 0, TRIES_N, region=1.0)):
        roll = Roll(f"benchmark/{i}", start, Source.ROLLOUT, policy=policy.id)
        began = time.perf_counter()
        done = run_try(wheel.site, roll, policy=loaded, operator=None, facts={})
        own += time.perf_counter() - began - sum(done.seconds.values())
    return own


def _median_s(call: Callable[[], object]) -> float:
    took = []
    for _ in range(ROUNDS_N):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def _slowdown() -> float:
    """How much longer a step takes in the environment as Metaworld ships it; in turns with ours, median of rounds."""
    from metaworld.envs.sawyer_pick_place_v3 import SawyerPickPlaceEnvV3

    from saqiya.sites.metaworld import PickPlace

    site, environment = PickPlace(), SawyerPickPlaceEnvV3()
    # Metaworld offers no other way to a single environment than these marks.
    environment._partially_observable, environment._freeze_rand_vec = False, False  # noqa: SLF001
    environment._set_task_called = True  # noqa: SLF001
    ratios = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(ROUNDS_N):
            site.reset(site.sample_start(number))
            environment.reset()
            ours, theirs = (_steps_s(one.step) for one in (site, environment))
            ratios.append(theirs / ours)
    site.close()
    environment.close()
    return statistics.median(ratios)


def _steps_s(step: Callable[[Any], object]) -> float:
    rng, began = np.random.default_rng(0), time.perf_counter()
    for _ in range(STEPS_N):
        step(rng.uniform(-1.0, 1.0, 4).astype(np.float32))
    return time.perf_counter() - began


def _over(values: Sequence[float]) -> Measured:
    """The median over seeds and its range."""
    return Measured(statistics.median(values), min(values), max(values), len(values))
