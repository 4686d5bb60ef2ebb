"""Eight processes take in logs at once, and `kill -9` strikes in the middle: every try is there whole, and once."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from saqiya.domain.nouns import Audit, Episode, OutcomeClaim, Recording
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.formats.mcap import McapFormat
from saqiya.loop.flywheel import Flywheel
from saqiya.stores.sweep import sweep

pytestmark = pytest.mark.slow

KILLS = 20
CREW = 8
LATE_NS = 10**20
TAKE = """
import sys
from pathlib import Path
from saqiya.loop.flywheel import Flywheel
with Flywheel(sys.argv[1]) as wheel:
    print("ready", flush=True)
    sys.stdin.readline()
    done = wheel.data.ingest([Path(one) for one in sys.argv[2:]])
print(*(episode.id for episode in done.episodes), *(one.reason for one in done.rejections))
"""
# Imports all that an ingest needs by doing one, then forks: starting Python takes longer than what is to be killed.
DRIVER = """
import os, signal, sys, time
from pathlib import Path
from saqiya.loop.flywheel import Flywheel
def take(root, logs):
    with Flywheel(root) as wheel:
        wheel.data.ingest([Path(logs)])
take(sys.argv[1], sys.argv[2])
print("ready", flush=True)
for line in sys.stdin:
    root, logs, delay_s = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        take(root, logs)
        os._exit(0)
    time.sleep(float(delay_s))
    os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def write_log(path: Path, seed: int, rows: int = 200) -> Path:
    rng = np.random.default_rng(seed)
    t_ns = np.arange(rows, dtype=np.int64) * 50_000_000
    streams = {
        "observation/q": Stream(t_ns, rng.normal(size=(rows, 3))),
        "action/executed": Stream(t_ns, rng.normal(size=(rows, 2))),
    }
    McapFormat().write(EpisodeLog(path.stem, streams, (), {"outcome": "success", "task": "carry"}), path)
    return path


def some_logs(folder: Path, count: int, *, first: int = 0) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return [write_log(folder / f"{number}.mcap", number) for number in range(first, first + count)]


def assert_whole(root: Path, expected: set[str]) -> set[str]:
    """Every episode has its recording, audit, claim and bytes; return the names of the logs that are in."""
    with Flywheel(root) as wheel:
        assert wheel.verify(full=True).lies == ()
        catalog = wheel.store.catalog
        episodes = catalog.all(Episode)
        for kind in (Audit, OutcomeClaim):
            assert Counter(one.episode for one in catalog.all(kind)) == Counter(one.id for one in episodes)
        recordings = {one.id: one for one in catalog.all(Recording)}
        names = [recordings[one.recordings[0]].name for one in episodes]
        assert len(set(names)) == len(names) == len(recordings)
        assert set(names) <= expected
        for episode in episodes:
            assert len(wheel.store.streams(episode)["observation/q"].values) == 200
    return set(names)


def test_eight_processes_take_in_logs_of_their_own_and_the_same_ones(fresh):
    root = fresh / "shared"
    Flywheel.init(root).close()
    common = some_logs(fresh / "common", 10)
    own = [some_logs(fresh / f"own{n}", 6, first=100 * (n + 1)) for n in range(CREW)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    crew = []
    for number, mine in enumerate(own):
        files = mine + common
        random.Random(number).shuffle(files)
        crew.append(subprocess.Popen([sys.executable, "-c", TAKE, str(root), *map(str, files)], **pipes))
    assert [one.stdout.readline() for one in crew] == ["ready\n"] * CREW
    for one in crew:  # all at once
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate() for one in crew]
    assert [(one.returncode, err) for one, (_, err) in zip(crew, said, strict=True)] == [(0, "")] * CREW
    names = {path.name for path in common} | {path.name for files in own for path in files}
    assert assert_whole(root, names) == names
    answers = [set(out.split()) for out, _ in said]
    assert {len(one) for one in answers} == {16}
    assert len(set.intersection(*answers)) == 10  # whoever came second was given the first one's episode


def test_nothing_is_half_in_after_twenty_kills_and_what_they_left_is_swept(fresh):
    logs = some_logs(fresh / "logs", 60)
    names = {path.name for path in logs}
    Flywheel.init(fresh / "calm").close()
    command = [sys.executable, "-c", DRIVER, str(fresh / "calm"), str(fresh / "logs")]
    driver = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert driver.stdout.readline() == "ready\n"
    assert assert_whole(fresh / "calm", names) == names
    draw, struck, midway, number = random.Random(20), 0, 0, 0
    while struck < KILLS:
        root = fresh / f"killed{number}"
        number += 1
        Flywheel.init(root).close()
        held: set[str] = set()
        while held != names:
            driver.stdin.write(f"{root}\t{fresh / 'logs'}\t{draw.uniform(0.01, 0.6)}\n")
            driver.stdin.flush()
            struck += int(driver.stdout.readline()) == -9
            before, held = held, assert_whole(root, names)
            assert before <= held
            midway += 0 < len(held) < len(names)
        assert story(root) == story(fresh / "calm")
    driver.communicate()
    assert struck >= KILLS
    assert midway > 0


def story(root: Path) -> tuple[dict[str, int], set[str]]:
    """How many nouns of each kind there are, and which objects once what nobody needs was swept."""
    with Flywheel(root) as wheel:
        sweep(wheel.store.catalog, wheel.store.objects, now_ns=LATE_NS)
        assert wheel.verify(full=True).lies == ()
        assert wheel.store.objects.leftovers() == []
        return wheel.store.catalog.count(), set(wheel.store.objects.digests())
