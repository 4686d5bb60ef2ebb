"""What the first page says people are wanted for is what the desk has for them."""

import shutil

import pytest

from saqiya.domain.contracts import Roll
from saqiya.domain.nouns import Rank, Source, Verdict
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.standing import standing


@pytest.fixture(scope="module")
def wheel(turned_once, room):
    path = shutil.copytree(turned_once.store.root, room / "standing")
    with Flywheel(path) as made:
        made.detect()
        made.triage()
        for name, rank in {"olga": Rank.OPERATOR, "rob": Rank.REVIEWER}.items():
            made.staff.add(name, rank, by="test", password="a few unrelated words")
        yield made


def hand_in(wheel):
    lease = wheel.desk.claim("olga")
    roll = Roll(f"people/{lease.id}", lease.start, Source.CORRECTION, operator="olga")
    return wheel.desk.submit(lease.id, "olga", next(iter(wheel.roller([roll]))).episode.id).id


def wanted(wheel):
    offers = {one.key: one.left for one in wheel.desk.queue("olga", limit=1000)}
    found = standing(wheel)
    assert found.waiting == offers
    return sum(offers.values()), found.reviewing


def test_what_was_handed_in_is_wanted_no_more_unless_it_is_sent_back(wheel):
    before, _ = wanted(wheel)
    first, second = hand_in(wheel), hand_in(wheel)
    assert wanted(wheel) == (before - 2, 2)
    wheel.desk.review(first, "rob", Verdict.ACCEPT)
    assert wanted(wheel) == (before - 2, 1)
    wheel.desk.review(second, "rob", Verdict.SEND_BACK, "the end is missing")
    assert wanted(wheel) == (before - 1, 0)
    assert (
        f"turn {wheel.number} waits at its step 'correct': corrections are asked for ({before - 1} to be recorded)"
        in (standing(wheel).why)
    )
