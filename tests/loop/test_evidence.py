"""What a decision rests on: the walk ends where the gate counted, inside the boundaries that were promised."""

from saqiya.domain.nouns import Decision, Evaluation, GateDecision
from saqiya.loop.evidence import evidence_of
from saqiya.loop.people.briefing import briefing_of
from saqiya.loop.week import week_of
from saqiya.server.pictures import spreads_of, walk_of


def decision(wheel, *, first):
    found = [one for one in wheel.store.catalog.all(GateDecision) if (one.decision is Decision.INITIAL) is first]
    return found[-1]


def test_the_first_policy_rests_on_no_comparison(turned_once):
    assert evidence_of(turned_once, decision(turned_once, first=True)) is None


def test_the_walk_ends_at_the_counts_of_the_gate(turned_once):
    said = decision(turned_once, first=False)
    found = evidence_of(turned_once, said)
    counted = turned_once.store.catalog.get(said.evaluation, Evaluation)
    assert found.leads[0] == 0
    assert found.leads[found.n] == counted.wins - counted.losses
    assert (found.n, found.candidate, found.champion) == (
        counted.pairs, counted.candidate_successes, counted.champion_successes,
    )  # fmt: skip


def test_a_test_that_did_not_stop_stayed_between_its_boundaries(turned_once):
    found = evidence_of(turned_once, decision(turned_once, first=False))
    assert found.stopped == "exhausted"
    for look in found.looks:
        assert look.better is None or found.leads[look.n] < look.better
        assert look.worse is None or found.leads[look.n] > look.worse


def test_the_picture_has_a_point_for_each_trial(turned_once):
    found = evidence_of(turned_once, decision(turned_once, first=False))
    drawn = walk_of(found)
    assert len(drawn.path.split()) == found.n + 1
    assert drawn.path.split()[-1] == f"{drawn.end[0]},{drawn.end[1]}"
    assert str(found.n) in drawn.words


def test_intervals_share_one_scale_that_holds_zero():
    small, large = spreads_of([(1.0, 0.5, 1.5), (4.0, -1.0, 9.0)])
    assert small.zero == large.zero == 10.0
    assert (large.start, large.width) == (0.0, 100.0)
    assert small.start == 15.0


def test_the_week_counts_what_was_stored_in_it(turned_once):
    week = week_of(turned_once)
    assert (week.turns, week.found) == (2, 10)
    assert week.accepted == 17
    assert [one.word for one in week.decisions] == ["HOLD"]
    assert week_of(turned_once, days=0).turns == 0


def test_a_briefing_says_where_to_begin_what_counts_and_why(turned_once):
    asked = turned_once.store.catalog.get("turn-1/triage/request/unseen_start-demonstration")
    told = briefing_of(turned_once, asked.id, 0)
    assert told.start == asked.starts[0]
    assert told.criterion == "released-within-40mm"
    assert told.failure.id == asked.failures[0]
    assert {one.name for one in told.sensors} >= {"hand", "puck", "action/executed"}
    assert told.show.startswith("Show the whole task")
