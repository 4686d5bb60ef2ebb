"""Whom the desk suggests what first, and why."""

import pytest

from saqiya.domain.nouns import Rank, Verdict
from saqiya.stores.people import Profile

HOUR = 3600 * 1_000_000_000


def joined(crowd, name, **profile):
    crowd.people(name, rank=Rank.OPERATOR, profile=Profile(**profile))


def names(crowd, person, **how):
    return [one.request.id for one in crowd.desk.queue(person, **how)]


def test_work_that_somebody_cheaper_does_is_left_to_them_while_they_are_there(crowd, now):
    joined(crowd, "dear", cost_per_minute=4.0)
    joined(crowd, "cheap", skills=("peg",), cost_per_minute=1.0)
    crowd.request()
    crowd.desk.claim("cheap")  # on duty
    peg, other = crowd.request(), crowd.request(task="stack")
    assert names(crowd, "dear") == [other.id, peg.id]
    why = {one.name: one for one in crowd.desk.queue("dear")[1].terms}
    assert why["cost"].value < 1.0
    assert "cheap" not in why["cost"].because.split()
    now.ns += 9 * HOUR
    assert names(crowd, "dear")[-2:] == [peg.id, other.id]


def test_who_is_quicker_than_others_at_a_task_gets_it_first(crowd):
    first = crowd.request(3)
    crowd.handed_in("ann", first, steps=80)
    handed = [crowd.handed_in("bob", first, steps=20) for _ in range(2)]
    crowd.desk.review(handed[0].id, "rex", Verdict.ACCEPT)
    stack, peg = crowd.request(task="stack"), crowd.request()
    assert names(crowd, "bob") == [peg.id, stack.id]
    assert names(crowd, "ann") == [stack.id, peg.id]
    offer = crowd.desk.queue("bob")[0]
    assert offer.minutes == pytest.approx((2 * 10 + 5 * 20) / (7 * 20))
    assert "times what others take" in {one.name: one.because for one in offer.terms}["per_minute"]


def test_the_factors_of_an_offer_multiply_to_its_place(crowd):
    crowd.request()
    (offer,) = crowd.desk.queue("ann")
    assert [one.name for one in offer.terms] == ["gain", "per_minute", "kept", "cost", "load", "wait"]
    assert offer.place == pytest.approx(0.001 * 2.718281828**-1.0, rel=0.01)
    assert offer.gain_per_minute is None


def test_an_idle_robot_comes_first_and_each_has_its_own_queue(crowd):
    joined(crowd, "two", rigs=("arm", "hand"))
    arms, hand = crowd.request(3), crowd.request(embodiment="hand")
    assert names(crowd, "two", rig="hand") == [hand.id]
    assert crowd.desk.claim("two").request == arms
    assert crowd.desk.claim("two").request == hand
    assert crowd.desk.claim("two", rig="arm").request == arms
    assert {one.failure for one in crowd.desk.held("two")} == {*arms.failures[:2], hand.failures[0]}


def test_what_to_do_next_is_said_for_each_robot(crowd):
    joined(crowd, "two", rigs=("arm", "hand"))
    arms, hand = crowd.request(), crowd.request(embodiment="hand")
    lease = crowd.desk.claim("two", hand.id)
    first, second = crowd.desk.next("two")
    assert (first.name, first.lease, first.offer.request) == ("arm", None, arms)
    assert (second.name, second.lease, second.offer.request) == ("hand", lease, hand)
    assert first.offer.place >= second.offer.place


def test_who_named_no_robot_is_told_of_those_that_wait(crowd):
    crowd.request()
    crowd.request(embodiment="hand")
    assert [one.name for one in crowd.desk.next("ann")] == ["arm", "hand"]
