"""`chaos`: `kill -9` at random moments over whole turns on Metaworld, beside an undisturbed run with the same seed."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Figure, at_least, at_most, exactly, shown
from saqiya.loop.flywheel import Flywheel

__all__ = ["run"]

COMMAND = "make bench ONLY=chaos"
SEED = 20261121
KILLS = 8
TURNS = 2
SMALL = """
[bootstrap]
demonstrations = 12
region = 0.5
smoke = 6

[train]
settings = { layers = 2, width = 64, steps = 200 }

[deploy]
rollouts = 40

[correct]
per_turn = 8

[evaluate]
worked = 20

[gate]
n_max = 40

[stop]
target = 1.0
turns_without_gain = 9
"""


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield how many kills struck, and in how much the killed run differs from the undisturbed one."""
    rng = random.Random(SEED)  # noqa: S311 - when to kill is no secret
    with tempfile.TemporaryDirectory(prefix="saqiya-chaos-") as folder:
        calm, struck = (_prepare(Path(folder) / name) for name in ("calm", "struck"))
        while _turns(calm) < TURNS:
            _turn(calm).wait()
        kills = 0
        while _turns(struck) < TURNS:
            process = _turn(struck)
            if kills < (2 if quick else KILLS):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(1.0, 8.0))
                if process.poll() is None:
                    process.kill()
                    kills += 1
            process.wait()
        differences, lies = _compare(calm, struck)
    yield shown("chaos.metaworld.kills", exactly(float(kills)), command=COMMAND)
    yield at_least("chaos.metaworld.turns_finished", exactly(float(TURNS)), float(TURNS), command=COMMAND)
    yield at_most("chaos.metaworld.differences", exactly(float(differences)), 0.0, command=COMMAND)
    yield at_most("chaos.metaworld.lies", exactly(float(lies)), 0.0, command=COMMAND)


def _prepare(folder: Path) -> Path:
    with Flywheel.init(folder, site="metaworld-pick-place", seed=SEED % 1000) as wheel:
        task = wheel.config.task
    head = (
        f'[task]\nname = "{task.name}"\ncriterion = "{task.criterion}"\nembodiment = "{task.embodiment}"\n\n'
        f'[site]\nname = "metaworld-pick-place"\n\n[run]\nseed = {SEED % 1000}\nworkers = 2\n'
    )
    (folder / "saqiya.toml").write_text(head + SMALL, encoding="utf-8")
    return folder


def _turn(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "saqiya", "turn", "-w", str(folder), "--json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _turns(folder: Path) -> int:
    with Flywheel(folder) as wheel:
        return wheel.number


def _compare(calm: Path, struck: Path) -> tuple[int, int]:
    """Count nouns by kind and figures of turns that differ (times aside), and what `verify` finds in the struck run."""
    facts = []
    for folder in (calm, struck):
        with Flywheel(folder) as wheel:
            turns = [turn.figures for turn in wheel.turns()]
            plain = {
                f"turn {f['turn']} {name}": f[name]
                for f in turns
                for name in ("dataset", "success", "decision", "pairs")
            }
            facts.append({**wheel.store.catalog.count(), **plain})
            lies = len(wheel.verify(full=True).lies)
    names = facts[0].keys() | facts[1].keys()
    differing = [name for name in names if facts[0].get(name) != facts[1].get(name)]
    for name in differing:
        sys.stderr.write(json.dumps({"differs": name, "calm": facts[0].get(name), "struck": facts[1].get(name)}) + "\n")
    return len(differing), lies
