"""Many at one desk: threads and processes that work off one queue, and processes that are killed while they do."""

import contextlib
import subprocess
import sys
import threading
from collections import Counter
from functools import partial

import pytest
from benchmarks._desk import Office, audited, filled, opened, people, work

from saqiya.domain.nouns import Correction, Review, Submission
from saqiya.stores.leases import LeaseState, changed

MANY = 24
WORKER = """
import sys
from pathlib import Path
from benchmarks._desk import Office
from saqiya.errors import NothingOpen
from saqiya.loop.flywheel import Flywheel
with Flywheel(Path(sys.argv[1])) as wheel:
    office, reviews, episodes = Office(wheel, sys.argv[2]), sys.argv[3] == "reviews", iter(sys.argv[4:])
    print("ready", flush=True)
    while True:
        try:
            if reviews:
                submission = office.take()
                office.review(submission)
                print("review", submission, flush=True)
            else:
                lease = office.claim()
                print("submit", office.submit(lease, next(episodes)), flush=True)
        except NothingOpen:
            if not reviews:
                break
        except StopIteration:
            break
"""


pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgresql"])
def office(fresh, request):
    """A desk with a queue of requests, the episodes to answer them, four operators and two reviewers."""
    url = request.getfixturevalue("postgres").new() if request.param == "postgresql" else ""
    with opened(fresh / "lab", catalog=url) as wheel:
        episodes = list(filled(wheel, MANY, seed=1))
        yield wheel, people(wheel, 4, 2), episodes


def test_threads_that_work_off_one_queue_do_everything_once(office):
    wheel, names, episodes = office
    worked = work(partial(Office, wheel), names, episodes, seconds=60.0, pause_s=0.0, seed=1, until=MANY)
    assert worked.errors == []
    assert audited(wheel, worked.done) == {"twice": 0, "lost": 0, "unlike": 0, "lies": 0}
    assert Counter(one.what for one in worked.done) == dict.fromkeys(("claim", "submit", "take", "review"), MANY)


@contextlib.contextmanager
def working(root, who, what, episodes):
    command = [sys.executable, "-c", WORKER, root, who, what, *episodes]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_processes_that_are_killed_lose_nothing_they_acknowledged_and_leave_no_slot_stuck(office):
    wheel, names, episodes = office
    root, told = wheel.store.root, list[tuple[str, str]]()

    def listen(process, most):
        for line in process.stdout:
            told.append(tuple(line.split()))
            if len(told) >= most:
                process.kill()

    with contextlib.ExitStack() as held:
        crew = [
            held.enter_context(working(root, names[0][0], "works", episodes[: MANY // 2])),
            held.enter_context(working(root, names[0][1], "works", episodes[MANY // 2 :])),
            held.enter_context(working(root, names[1][0], "reviews", ())),
        ]
        ears = [threading.Thread(target=listen, args=(one, most)) for one, most in zip(crew, (7, 11, 17), strict=True)]
        for ear in ears:
            ear.start()
        for ear in ears:
            ear.join(60)
    submitted = {one.id: one for one in wheel.store.catalog.all(Submission)}
    assert {name for what, name in told if what == "submit"} <= set(submitted)
    assert {name for what, name in told if what == "review"} <= reviewed(wheel)
    assert max(Counter((one.request, one.slot) for one in submitted.values()).values()) == 1
    assert wheel.verify().lies == ()
    finish(wheel, names, episodes)


def reviewed(wheel):
    return {one.submission for one in wheel.store.catalog.all(Review)}


def finish(wheel, names, episodes):
    """Whatever the dead left behind is open again once its time is over: others do the rest."""
    later_ns = 10**13
    clock = wheel.clock
    wheel.clock = lambda: clock() + later_ns
    used = {one.episode for one in wheel.store.catalog.all(Submission)}
    rest = [one for one in episodes if one not in used]
    left = MANY - len(wheel.store.catalog.all(Correction))
    worked = work(partial(Office, wheel), names, rest, seconds=60.0, pause_s=0.0, seed=1, until=left)
    assert worked.errors == []
    assert len(wheel.store.catalog.all(Correction)) == MANY
    with wheel.store.catalog.database.reading() as connection:
        assert {row.state for row in changed(connection, 0)} == {LeaseState.DONE}
