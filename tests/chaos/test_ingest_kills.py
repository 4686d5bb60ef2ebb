"""Eight processes take in logs at once, and `kill -9` strikes in the middle: every try is there whole, and once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from saqiya.domain.nouns import Audit, Episode, OutcomeClaim, Recording
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.flywheel import Flywheel
from saqiya.stores.sweep import sweep

pytestmark = pytest.mark.slow

KILLS = 20
CREW = 8
LATE_NS = 10**20
# Imports all that an ingest needs by doing one, then forks: starting Python takes longer than what is to be killed.
TAKE = """
import json, os, signal, sys, time, traceback
from pathlib import Path
from saqiya.loop.flywheel import Flywheel
def take(root, *logs):
    with Flywheel(root) as wheel:
        done = wheel.data.ingest([Path(one) for one in logs])
    return [one.id for one in done.episodes], [one.reason for one in done.rejections]
take(sys.argv[1], sys.argv[2])
print("ready", flush=True)
"""
CREW_OF = (
    TAKE
    + """
root, *crew = json.loads(sys.stdin.readline())
children = []
for number, logs in enumerate(crew):
    child = os.fork()
    if child == 0:
        try:
            said = json.dumps(take(root, *logs))
        except BaseException:
            said = json.dumps([[], [traceback.format_exc()]])
        Path(root, f"said-{number}").write_text(said)
        os._exit(0)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children], flush=True)
"""
)
DRIVER = (
    TAKE
    + """
for line in sys.stdin:
    root, logs, delay_s = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        take(root, logs)
        os._exit(0)
    end = time.monotonic() + float(delay_s)
    while time.monotonic() < end and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
)


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


def driven(script: str, fresh: Path) -> subprocess.Popen[str]:
    """Start a script that takes in one log elsewhere, and so has imported all it needs when it is ready."""
    Flywheel.init(fresh / "scratch").close()
    log = write_log(fresh / "scratch.mcap", 999_999)
    command = [sys.executable, "-c", script, str(fresh / "scratch"), str(log)]
    driver = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert driver.stdout.readline() == "ready\n"
    return driver


def test_eight_processes_take_in_logs_of_their_own_and_the_same_ones(fresh):
    root = fresh / "shared"
    Flywheel.init(root).close()
    common = some_logs(fresh / "common", 10)
    own = [some_logs(fresh / f"own{n}", 6, first=100 * (n + 1)) for n in range(CREW)]
    crew = [[str(path) for path in mine + common] for mine in own]
    for number, files in enumerate(crew):
        random.Random(number).shuffle(files)
    driver = driven(CREW_OF, fresh)
    assert driver.communicate(json.dumps([str(root), *crew]) + "\n")[0] == f"{[0] * CREW}\n"
    said = [json.loads((root / f"said-{number}").read_text()) for number in range(CREW)]
    assert [reasons for _, reasons in said] == [[]] * CREW
    names = {path.name for path in common} | {path.name for files in own for path in files}
    assert assert_whole(root, names) == names
    answers = [set(ids) for ids, _ in said]
    assert {len(one) for one in answers} == {16}
    assert len(set.intersection(*answers)) == 10  # whoever came second was given the first one's episode


def test_nothing_is_half_in_after_twenty_kills_and_what_they_left_is_swept(fresh):
    logs = some_logs(fresh / "logs", 60)
    names = {path.name for path in logs}
    Flywheel.init(fresh / "calm").close()
    with Flywheel(fresh / "calm") as wheel:
        wheel.data.ingest([fresh / "logs"])
    driver = driven(DRIVER, fresh)
    assert assert_whole(fresh / "calm", names) == names
    draw, struck, midway, number = random.Random(20), 0, 0, 0
    while struck < KILLS:
        root = fresh / f"killed{number}"
        number += 1
        Flywheel.init(root).close()
        held: set[str] = set()
        while held != names:
            delay_s = draw.uniform(0.01, 0.6) if struck < KILLS else 600.0
            driver.stdin.write(f"{root}\t{fresh / 'logs'}\t{delay_s}\n")
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
