"""Who gets which work, and in which order."""

import pytest

from saqiya.correct.routing import Work, Worker, blocked, most_held, urgency

DAY = 86_400 * 1_000_000_000


def work(**how):
    return Work(**{"task": "peg", "site": "lab", "embodiment": "arm", "worth": 0.01, "due_ns": DAY, **how})


def ann(**how):
    none = {"skills": (), "sites": (), "rigs": (), "qualified": frozenset(), "held": {}}
    return Worker("ann", **(none | how))


def test_worth_comes_first_and_waiting_makes_up_for_it():
    def order(one):
        return urgency(one, target_ns=DAY)

    assert order(work(worth=0.02)) > order(work(worth=0.01)) > order(work(worth=None))
    assert order(work(worth=0.01, due_ns=0)) > order(work(worth=0.02, due_ns=DAY))
    assert order(work(worth=0.01, due_ns=0)) < order(work(worth=0.03, due_ns=DAY))


def test_whoever_says_nothing_of_themselves_may_take_anything():
    assert blocked(work(), ann(), examined=()) == ""


@pytest.mark.parametrize(
    ("person", "why"),
    [
        ({"skills": ("push",)}, "needs the skill peg"),
        ({"sites": ("paris",)}, "is at lab"),
        ({"rigs": ("hand",)}, "needs the rig arm"),
        ({"held": {"arm": 2}}, "holds 2 leases"),
        ({"rigs": ("arm", "hand"), "held": {"arm": 2}}, "works on arm already"),
    ],
)
def test_what_does_not_suit_is_blocked_with_its_reason(person, why):
    assert why in blocked(work(), ann(**person), examined=())


def test_one_person_serves_as_many_robots_as_they_have_and_prepares_the_next():
    assert (most_held(()), most_held(("arm", "hand"))) == (2, 3)
    two = {"rigs": ("arm", "hand")}
    assert blocked(work(embodiment="hand"), ann(**two, held={"arm": 2}), examined=()) == ""


def test_a_task_with_a_reference_asks_for_a_qualification():
    assert "qualification" in blocked(work(), ann(), examined={"peg"})
    assert blocked(work(), ann(qualified=frozenset({"peg"})), examined={"peg"}) == ""
    assert blocked(work(reference=True), ann(), examined={"peg"}) == ""
