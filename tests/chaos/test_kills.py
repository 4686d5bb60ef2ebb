"""`kill -9` at random moments, over whole turns of the tiny site: nothing is lost, and nothing is done twice.

Workspaces lie in memory where the machine allows it: a kill loses nothing that was written, synced or not (only a power
cut does), so waiting for the disk would show nothing more.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from saqiya.loop.flywheel import Flywheel

pytestmark = pytest.mark.slow

TURNS = 3
TIMES = {"cycle_s", "own_share", "busy_share", "seconds"}
SETTINGS = """
[train.settings]
members = 3
features = 64
[bootstrap]
demonstrations = 12
smoke = 6
region = 0.4
[deploy]
rollouts = 20
[correct]
per_turn = 8
[evaluate]
worked = 10
[gate]
n_max = 20
[stop]
target = 1.0
turns_without_gain = 9
"""


class Nursery:
    """Forks `saqiya` processes; see nursery.py."""

    def __init__(self, complaints: Path) -> None:
        self.complaints = complaints
        with complaints.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("nursery.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def bear(self, *arguments: str) -> int:
        """Start `saqiya <arguments>` and return its process id."""
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        return int(self._said("born")[0])

    def wait(self) -> int:
        """Wait for the last born to end and return its exit code, or minus the signal that ended it."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._said("died")[1])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _said(self, word: str) -> list[str]:
        first, *rest = self._process.stdout.readline().split() or [f"nothing; {self.complaints.read_text()}"]
        assert first == word, f"{first} {rest}; {self.complaints.read_text()}"
        return rest


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    made = Nursery(tmp_path_factory.mktemp("nursery") / "complaints")
    yield made
    made.close()


def new_workspace(path: Path, *, workers: int = 0) -> Path:
    Flywheel.init(path, site="tiny", trainer="ridge", workers=workers).close()
    text = (path / "saqiya.toml").read_text().split("[bootstrap]")[0]
    (path / "saqiya.toml").write_text(text + SETTINGS)
    return path


def turns_done(path: Path) -> int:
    connection = sqlite3.connect(path / "catalog.sqlite")
    try:
        return connection.execute("SELECT count(*) FROM nouns WHERE kind = 'turn'").fetchone()[0]
    finally:
        connection.close()


def children(pid: int) -> list[int]:
    """Every process below `pid`, now."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text().split():
            found += [int(child), *children(int(child))]
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Killer:
    """Runs turns to their end through kills at random moments, and counts the kills that struck."""

    def __init__(self, nursery: Nursery, seed: int, *, longest_s: float) -> None:
        self.nursery, self.dice, self.longest_s = nursery, random.Random(seed), longest_s
        self.struck = self.orphans = 0

    def turn_once(self, root: Path, *, alone: bool) -> None:
        """Run `saqiya turn`, and kill it, with its whole group or alone, if it still runs after a random while."""
        pid = self.nursery.bear("turn", "--workspace", str(root), "--json")
        time.sleep(self.dice.uniform(0.0, self.longest_s))
        below = children(pid)
        (os.kill if alone else os.killpg)(pid, signal.SIGKILL)
        code = self.nursery.wait()
        self.struck += code == -signal.SIGKILL
        assert code in {0, 1, -signal.SIGKILL}, self.nursery.complaints.read_text()
        if alone:
            self.orphans += len(below)
            end = time.monotonic() + 20
            while any(alive(one) for one in below):
                assert time.monotonic() < end, f"orphans live on: {below}"
                time.sleep(0.02)

    def to_the_end(self, root: Path, *, kills: int, forget: float = 0.0, alone: float = 0.0) -> None:
        """Kill until `kills` have struck in all, then let the rest run undisturbed."""
        while turns_done(root) < TURNS and self.struck < kills:
            self.turn_once(root, alone=self.dice.random() < alone)
            if self.dice.random() < forget:
                # Workflow state, and what `verify` remembers; a kill may come before there is any.
                shutil.rmtree(root / "derived", ignore_errors=True)
        finish(self.nursery, root)


def finish(nursery: Nursery, root: Path) -> None:
    while turns_done(root) < TURNS:
        nursery.bear("turn", "--workspace", str(root), "--json")
        code = nursery.wait()
        assert code in {0, 1}, nursery.complaints.read_text()


def story(root: Path) -> dict[str, object]:
    """All that a run left behind, told without ids and times, so that two runs can be compared."""
    with Flywheel(root) as wheel:
        report = wheel.verify(full=True)
        with wheel.store.catalog.database.reading() as connection:
            rows = connection.exec_driver_sql("SELECT id, kind, key, payload FROM nouns").all()
        figures = [{k: v for k, v in turn.figures.items() if k not in TIMES} for turn in wheel.turns()]
        keys = {row[0]: f"<{row[1]}:{row[2]}>" for row in rows}
        # A key may hold an id (an alarm's holds its calibration's); once is enough, such ids have plain keys.
        named = re.compile(r"[a-z_]+-local-[0-9a-f]{32}")
        keys = {one: named.sub(lambda found: keys[found[0]], key) for one, key in keys.items()}
        told = Counter(_told(named.sub(lambda found: keys[found[0]], str(row[3]))) for row in rows)
    return {
        "lies": report.lies,
        "figures": figures,
        "nouns": told,
        "spool": sorted(path.name for path in (root / "spool").iterdir()),
    }


def _told(payload: str) -> str:
    text = re.sub(r'"(time_ns|cycle_s|own_share|busy_share)":[-0-9.e]+', "", payload)
    return re.sub(r'"seconds":\{[^}]*\}', "", text)


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path_factory.mktemp("wheels")
        return
    made = Path(tempfile.mkdtemp(prefix="saqiya-", dir=memory))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def undisturbed(nursery, room):
    """What a run without kills leaves behind, and how long one of its turns takes here and now."""
    root = new_workspace(room / "undisturbed")
    began = time.monotonic()
    finish(nursery, root)
    return story(root), (time.monotonic() - began) / TURNS


def agree(root: Path, expected: dict[str, object]) -> None:
    found = story(root)
    assert found["lies"] == ()
    assert found["spool"] == []
    assert found["figures"] == expected["figures"]
    lost, extra = expected["nouns"] - found["nouns"], found["nouns"] - expected["nouns"]
    assert (list(lost)[:3], list(extra)[:3]) == ([], [])


def survive(nursery, undisturbed, room, *, name, kills, share, **how):
    """Turn one workspace after another until so many kills have struck; each must tell the undisturbed story."""
    expected, turn_s = undisturbed
    killer = Killer(nursery, seed=sum(name.encode()), longest_s=share * turn_s)
    for number in range(kills):
        root = new_workspace(room / f"{name}{number}", workers=how.get("workers", 0))
        killer.to_the_end(root, kills=kills, forget=how.get("forget", 0.0), alone=how.get("alone", 0.0))
        agree(root, expected)
        if killer.struck >= kills:
            break
    assert killer.struck >= kills
    return killer


def test_the_undisturbed_run_is_worth_disturbing(undisturbed):
    figures = undisturbed[0]["figures"]
    assert figures[0]["decision"] == "INITIAL"
    assert all(turn["corrections"] and turn["pairs"] for turn in figures[1:])
    assert undisturbed[0]["spool"] == []


def test_nothing_is_lost_or_done_twice_through_16_kills(nursery, undisturbed, room):
    survive(nursery, undisturbed, room, name="plain", kills=16, share=0.4)


def test_nothing_is_lost_when_the_workflow_state_goes_too(nursery, undisturbed, room):
    survive(nursery, undisturbed, room, name="forgetful", kills=16, share=0.6, forget=0.6)


def test_a_crew_dies_with_its_wheel_and_the_next_one_goes_on(nursery, undisturbed, room):
    killer = survive(nursery, undisturbed, room, name="crew", kills=10, share=1.0, alone=0.5, workers=2)
    assert killer.orphans > 0
