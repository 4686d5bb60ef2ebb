"""Who gets which work, and in which order."""

from dataclasses import replace
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.correct.routing import Sort, Work, Worker, blocked, lean, most_held, of_mode, product, terms, urgency

DAY = 86_400 * 1_000_000_000
PEG = Sort("peg", "lab", "arm", "takeover")
ALIKE = ("peg", "takeover")


def work(*, gain=0.01, minutes=1.0, due_ns=DAY, reference=False, **sort):
    return Work(PEG._replace(**sort), gain, minutes, due_ns, reference=reference, source="the plan")


def ann(name="ann", **how):
    none = {"skills": (), "sites": (), "rigs": (), "qualified": frozenset(), "held": {}}
    return Worker(name, **(none | how))


def place(one, worker, others=(), now_ns=0):
    """Log of the place in somebody's queue, as the queue is sorted."""
    return urgency(one, target_ns=DAY) + lean(one.sort, worker, others, examined=()) + now_ns / DAY


def test_worth_comes_first_and_waiting_makes_up_for_it():
    def order(one):
        return urgency(one, target_ns=DAY)

    assert order(work(gain=0.02)) > order(work(gain=0.01)) > order(work(gain=None))
    assert order(work(gain=0.02, minutes=4.0)) < order(work(gain=0.01, minutes=1.0))
    assert order(work(due_ns=0)) > order(work(gain=0.02))
    assert order(work(due_ns=0)) < order(work(gain=0.03))


def test_a_modes_priority_is_shared_out_over_corrections_and_minutes():
    gain, minutes = of_mode(0.2, {"human_minutes": 3.0})
    assert minutes == 3.0
    assert gain / minutes == pytest.approx(0.2 * (1.0 - exp(-0.1)))


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


def test_a_robot_that_stands_idle_comes_before_one_with_work_at_hand():
    busy = ann(rigs=("arm", "hand"), held={"arm": 1})
    assert place(work(embodiment="hand"), busy) > place(work(), busy)


def test_what_somebody_else_does_for_less_is_left_to_them_for_a_while_and_then_done():
    dear, cheap = ann("dear", cost_per_minute=4.0), ann("cheap", cost_per_minute=1.0)
    other = work(task="other")
    cheap = replace(cheap, skills=("peg",))  # who can do nothing else
    assert place(work(), dear, [cheap]) < place(other, dear, [cheap])
    assert place(work(), cheap, [dear]) == place(other, cheap, [dear])
    late = work(due_ns=other.due_ns - int(1.01 * DAY))
    assert place(late, dear, [cheap]) > place(other, dear, [cheap])


def test_who_may_not_do_it_is_no_reason_to_wait():
    dear, cheap = ann("dear", cost_per_minute=4.0), ann("cheap", cost_per_minute=1.0, sites=("paris",))
    assert lean(PEG, dear, [cheap], examined=()) == 0.0
    unproved = replace(cheap, sites=())
    assert lean(PEG, replace(dear, qualified=frozenset({"peg"})), [unproved], examined={"peg"}) == 0.0


def test_somebody_who_is_quick_at_a_task_gets_it_before_another_of_the_same_worth():
    quick = ann(paces={ALIKE: 0.5})
    assert place(work(), quick) > place(work(task="other"), quick)


COSTS = st.floats(0.0, 100.0)
FACTORS = st.floats(0.05, 20.0)
WORTH = st.one_of(st.none(), st.floats(-1.0, 1.0))


@st.composite
def asked(draw):
    person = ann(
        cost_per_minute=draw(COSTS), paces={ALIKE: draw(FACTORS)}, kept={ALIKE: draw(FACTORS)},
        held={"arm": draw(st.integers(0, 3))},
    )  # fmt: skip
    others = [ann(str(n), cost_per_minute=draw(COSTS)) for n in range(draw(st.integers(0, 3)))]
    return (
        work(gain=draw(WORTH), minutes=draw(st.floats(0.1, 60.0)), due_ns=draw(st.integers(-9, 9)) * DAY),
        person,
        others,
    )


@given(asked(), st.floats(1.0, 9.0))
def test_each_factor_moves_the_place_in_its_own_direction(case, more):
    one, person, others = case
    base = place(one, person, others)
    near = 1e-9 + abs(base) * 1e-12
    if one.gain is not None:
        assert place(replace(one, gain=one.gain + more), person, others) >= base - near
    assert place(replace(one, minutes=one.minutes * more), person, others) <= base + near
    assert place(replace(one, due_ns=one.due_ns - int(more * DAY)), person, others) >= base - near
    slower = replace(person, paces={ALIKE: person.paces[ALIKE] * more})
    assert place(one, slower, others) <= base + near
    better = replace(person, kept={ALIKE: person.kept[ALIKE] * more})
    assert place(one, better, others) >= base - near
    dearer = replace(person, cost_per_minute=person.cost_per_minute * more)
    assert place(one, dearer, others) <= base + near
    busier = replace(person, held={"arm": person.held["arm"] + 1})
    assert place(one, busier, others) < base


@given(asked(), st.integers(-4, 4))
def test_the_factors_that_are_shown_are_those_by_which_the_queue_is_sorted(case, days):
    one, person, others = case
    shown = terms(one, person, others, examined=(), now_ns=days * DAY, target_ns=DAY)
    assert all(term.because for term in shown)
    assert log(product(shown)) == pytest.approx(place(one, person, others, now_ns=days * DAY), abs=1e-6)


@given(asked(), asked())
def test_whatever_waits_comes_first_in_the_end(old, new):
    """However little it brings, however slow and dear whoever asks: after 25 days, by the bounds of the factors."""
    one, person, others = old
    fresh = replace(new[0], sort=PEG._replace(task="other", embodiment="hand"), due_ns=one.due_ns + 25 * DAY)
    assert place(one, person, others) > place(fresh, person, others)


def test_two_pieces_keep_their_order_as_time_goes_by():
    early, rich = work(due_ns=0), work(gain=0.02)
    for now_ns in (0, 5 * DAY, 50 * DAY):
        factors = [product(terms(one, ann(), (), examined=(), now_ns=now_ns, target_ns=DAY)) for one in (early, rich)]
        assert factors[0] > factors[1]
