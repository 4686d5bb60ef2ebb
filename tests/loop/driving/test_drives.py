import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.loop import driven
from tests.loop.driven import MOVES, Skilled, go

from saqiya.detect.stage import FUSED
from saqiya.domain.nouns import (
    AuthorKind,
    Calibration,
    Correction,
    Failure,
    Outcome,
    OutcomeClaim,
    Rank,
    Source,
    Verdict,
)
from saqiya.errors import GuardRefusal, LeaseLost
from saqiya.loop.driving.drive import Drive
from saqiya.loop.driving.drives import Begin, Drives
from saqiya.loop.driving.journal import Journal
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.tries.pen import Pen
from saqiya.sites.tiny import Tiny


@pytest.fixture(scope="module")
def wheel(turned_once, room):
    with Flywheel(Path(shutil.copytree(turned_once.store.root, room / "driven"))) as made:
        for name in ("ada", "eve"):
            made.staff.add(name, Rank.REVIEWER, password="turn the wheel by hand", by="test")
        yield made


@pytest.fixture
def asked(wheel, request):
    return driven.asked(wheel, f"asked/{request.node.name}")


@pytest.fixture
def lease(wheel, asked):
    held = wheel.desk.claim("ada", asked.id)
    yield held
    with contextlib.suppress(LeaseLost):
        wheel.desk.hand_back(held.id, "ada")


def drive(order, *, skilled=True):
    site, roll = Tiny(), order.task.roll
    person = Skilled(roll.operator, site.controls, site.spec, 20.0, expert=site.expert(3))
    if not skilled:
        person.act = lambda _: np.array([0.5, 0.0, -1.0])
    policy = order.task.policy.load() if order.task.policy else None
    return Drive(site, roll, person, policy=policy, facts=order.task.facts, journal=order.journal)


def test_a_lease_is_driven_handed_in_reviewed_and_is_a_correction_of_its_failure(wheel, asked, lease):
    drives = Drives(wheel)
    assert drives.ways(lease) == (Begin.FAILURE, Begin.WATCH, Begin.WHOLE)
    order = drives.order(lease)
    one = drive(order)
    one.signal("correct")
    go(one)
    one.finish(None)
    settled = drives.settle(order.journal)
    assert settled.submission.episode == settled.episode.id
    assert (settled.submission.slot, settled.submission.operator, settled.submission.latency_ms) == (0, "ada", 31.0)
    assert not list(drives.place.iterdir())
    assert (settled.episode.source, settled.episode.operator) == (Source.CORRECTION, "ada")
    assert settled.episode.extra["request"] == "asked/" + wheel.key_of(asked.id).removeprefix("asked/")
    failed = wheel.store.catalog.get(asked.failures[0], Failure)
    ours, theirs = (wheel.store.streams(wheel.episode(one)) for one in (settled.episode.id, failed.episode))
    replayed = int(np.argmax(ours["author"].values[:, 0]))
    np.testing.assert_array_equal(
        ours["observation/puck"].values[: replayed + 1], theirs["observation/puck"].values[: replayed + 1]
    )
    wheel.desk.review(settled.submission.id, "eve", Verdict.ACCEPT)
    made = [one for one in wheel.store.catalog.all(Correction) if one.episode == settled.episode.id]
    assert [(one.accepted, one.failure, one.operator) for one in made] == [(True, failed.id, "ada")]


def test_the_persons_word_stands_beside_the_simulators(wheel, lease):
    drives = Drives(wheel)
    order = drives.order(lease)
    one = drive(order, skilled=False)
    go(one, 5, MOVES)
    one.finish(Outcome.SUCCESS)
    episode = drives.settle(order.journal).episode
    claims = {
        one.author_kind: (one.value.value, one.author)
        for one in wheel.store.catalog.referring(episode.id, OutcomeClaim)
    }
    assert claims == {AuthorKind.SIMULATOR: ("failure", "tiny"), AuthorKind.PERSON: ("success", "ada")}


def test_watching_the_champion_and_showing_the_whole_task_are_other_ways_to_begin(wheel, lease):
    drives = Drives(wheel)
    watched = drives.order(lease, Begin.WATCH).task
    assert (watched.roll.takeover, watched.roll.policy) == (None, wheel.champion()[0].id)
    assert watched.policy is not None
    whole = drives.order(lease, Begin.WHOLE).task
    assert (whole.roll.takeover, whole.policy, whole.roll.source) == (None, None, Source.CORRECTION)


def test_a_watched_policy_is_watched_by_the_newest_monitor_that_was_calibrated_for_it(wheel, lease):
    drives, champion = Drives(wheel), wheel.champion()[0].id
    assert drives.order(lease, Begin.WATCH).task.monitor is None  # too few successes: nothing can alarm

    def calibrated(name, policy, threshold):
        digest = wheel.store.objects.put(name.encode())
        made = Calibration(
            id=wheel.store.catalog.new_id("calibration"), detector=FUSED, version="1", policy=policy, budget=0.1,
            successes=20, threshold=threshold, episodes=(), horizon_s=5.0, monitor=digest,
        )  # fmt: skip
        wheel.store.catalog.put(made, key=f"test/{name}")
        return wheel.store.catalog.object_path(digest)

    calibrated("old", champion, 1.5)
    newest = calibrated("new", champion, 1.25)
    calibrated("silent", champion, None)
    calibrated("another's", None, 1.0)
    assert drives.order(lease, Begin.WATCH).task.monitor == newest
    assert [drives.order(lease, begin).task.monitor for begin in (Begin.FAILURE, Begin.WHOLE)] == [None, None]


def test_what_a_dead_server_left_is_taken_in_as_an_aborted_try(wheel, lease):
    drives = Drives(wheel)
    order = drives.order(lease)
    one = drive(order, skilled=False)
    go(one, 6, MOVES)
    assert drives.recover() == ()  # somebody is at it
    one.cut()
    (settled,) = drives.recover()
    assert settled.submission is None
    claims = wheel.store.catalog.referring(settled.episode.id, OutcomeClaim)
    assert [one.value.value for one in claims] == ["aborted"]
    assert wheel.store.streams(settled.episode)["author"].values.sum() == 6
    assert drives.recover() == ()


def test_what_was_saved_and_not_taken_in_is_handed_in_by_the_next_server(wheel, lease):
    drives = Drives(wheel)
    order = drives.order(lease)
    one = drive(order)
    go(one)
    one.finish(None)
    (settled,) = drives.recover()
    assert settled.submission.operator == "ada"


def test_a_try_whose_lease_was_lost_is_stored_and_the_reason_is_told(wheel, lease):
    drives = Drives(wheel)
    order = drives.order(lease)
    one = drive(order)
    go(one)
    one.finish(None)
    wheel.desk.hand_back(lease.id, "ada")
    settled = drives.settle(order.journal)
    assert settled.episode is not None
    assert settled.submission is None
    assert "was handed back" in settled.lost


def test_a_drive_in_which_nobody_did_anything_leaves_nothing(wheel, lease):
    drives = Drives(wheel)
    order = drives.order(lease)
    drive(order).cut()
    assert drives.settle(order.journal).episode is None
    drives.place.joinpath("broken.drive").write_bytes(b"\1")
    assert drives.recover() == ()
    assert not list(drives.place.iterdir())


def test_a_second_drive_of_a_lease_has_a_key_of_its_own(wheel, lease):
    drives = Drives(wheel)
    first = drives.order(lease)
    Journal(first.journal, Pen(), {}).close()
    assert drives.order(lease).journal != first.journal
    first.journal.unlink()


def test_what_cannot_be_driven_is_refused_in_words(wheel, lease):
    drives = Drives(wheel)
    with pytest.raises(GuardRefusal, match="names no start"):
        drives.order(replace(lease, request=replace(lease.request, starts=())))
    with pytest.raises(GuardRefusal, match="cannot begin with 'failure'"):
        drives.order(replace(lease, request=replace(lease.request, failures=())), Begin.FAILURE)
