"""What counts as a fixed failure, and what the tries of others say about it."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from saqiya.domain.nouns import (
    AuthorKind,
    Calibration,
    Decision,
    Deployment,
    Episode,
    Failure,
    FailureMode,
    GateDecision,
    Outcome,
    OutcomeClaim,
    Policy,
    Source,
    Turn,
)
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.lives import Lives, balances_of, lives_of
from saqiya.loop.memory import regression_suite
from saqiya.triage.life import Chapter, Fact, Life, State, What, life


@pytest.fixture
def wheel(turned):
    with Flywheel(turned) as opened:
        yield opened


BORN = Fact(0, What.TRIAGED, "failure")
PASSED = [Fact(at, What.TRIED, f"try-{at}", policy="later", passed=True) for at in range(1, 6)]


@pytest.mark.parametrize(
    ("after", "held"),
    [
        ((), True),
        ((Fact(9, What.RETURNED, "again"),), True),
        ((Fact(9, What.DISMISSED, "no", "ann: the cell was moved"),), False),
    ],
)
def test_what_was_once_verified_stays_in_the_suite_until_a_person_dismisses_it(after, held):
    told = Lives({"one": life(BORN, [*PASSED, *after])}, {"one": "slip"}, {})
    assert ("one" in told.fixed) is held


def try_again(wheel, failure, decision):
    """Let a candidate that the gate has decided about pass five tries from a failure's start."""
    catalog = wheel.store.catalog
    policy = catalog.put(replace(catalog.all(Policy)[-1], id=catalog.new_id("policy"), name="new"), key="new/policy")
    catalog.put(
        GateDecision(
            id=catalog.new_id("gate_decision"),
            decision=decision,
            candidate=policy.id,
            champion=None,
            evaluation=None,
            alpha_spent=0.0,
            reasons=(),
        ),
        key="new/decision",
    )
    failed = catalog.get(failure.episode, Episode)
    for number in range(5):
        again = replace(
            failed, id=catalog.new_id("episode"), policy=policy.id, source=Source.ROLLOUT, prints=(f"{number:016x}",)
        )
        catalog.put(again, key=f"new/try-{number}")
        claim = OutcomeClaim(
            id=catalog.new_id("outcome_claim"),
            episode=again.id,
            value=Outcome.SUCCESS,
            author_kind=AuthorKind.SIMULATOR,
            author="site",
            version="1",
            time_ns=0,
        )
        catalog.put(claim, key=f"new/try-{number}/log")


@pytest.mark.parametrize(("decision", "state"), [(Decision.PROMOTE, True), (Decision.REJECT, False)])
def test_only_a_policy_that_the_gate_let_through_verifies_a_failure(wheel, decision, state):
    failure = wheel.store.catalog.all(Failure)[0]
    try_again(wheel, failure, decision)
    told = lives_of(wheel).lives[failure.id]
    assert any(one.state is State.VERIFIED for one in told.chapters) is state


def test_new_failures_do_not_crowd_a_fixed_one_out_of_the_suite(wheel):
    catalog = wheel.store.catalog
    mode = max(catalog.all(FailureMode), key=lambda one: len(one.members))
    champion = catalog.get(mode.policy, Policy)
    for failure in (mode.members[0], mode.members[-1]):
        start = catalog.get(catalog.get(failure, Failure).episode, Episode).start
        suite = regression_suite(catalog, champion, 1, fixed={failure})
        assert suite[f"{mode.label}, fixed before"][0] == (start,)


def test_drift_is_not_read_from_another_task_of_the_same_policy(wheel):
    catalog = wheel.store.catalog
    here = catalog.all(Deployment)[0]
    early, late = here.episodes[:4], here.episodes[4:]
    other = catalog.put(replace(catalog.all(Policy)[0], id=catalog.new_id("policy"), name="b"), key="b")
    monitor = wheel.store.objects.put(b"a monitor")

    def deployed(name, policy, scope, episodes):
        made = replace(here, id=catalog.new_id("deployment"), policy=policy, scope=scope, episodes=episodes)
        return catalog.put(made, key=f"b/{name}")

    def calibrated(name, episodes):
        made = replace(
            catalog.all(Calibration)[-1],
            id=catalog.new_id("calibration"),
            detector="any detector",
            policy=here.policy,
            episodes=episodes,
            monitor=monitor,
        )
        return catalog.put(made, key=f"b/calibration/{name}")

    deployed("pick", here.policy, "pick", early[:2])
    deployed("place", here.policy, "place", early[2:])
    now = deployed("now", other.id, "place", late)
    calibrated("pick", early[:1])
    assert wheel.failures._before(now) is None
    held = calibrated("place", early[2:3])
    calibrated("pick again", early[1:2])
    assert wheel.failures._before(now) == held


def random_life(rng):
    """Draw chapters in any order of states and times."""
    count = rng.randrange(1, 5)
    return Life(tuple(Chapter(rng.choice(list(State)), rng.randrange(100), "", "") for _ in range(count)))


@pytest.mark.parametrize("seed", range(5))
def test_the_books_count_each_life_as_one_would_by_hand(wheel, seed):
    rng, catalog = random.Random(seed), wheel.store.catalog
    ends = [at for at, _ in catalog.since(Turn, -1)]
    lives = {
        one.id: Life(tuple(replace(c, since_ns=ends[0] + c.since_ns - 50) for c in random_life(rng).chapters))
        for one in catalog.all(Failure)
    }
    rows = balances_of(wheel, Lives(lives, dict.fromkeys(lives, ""), {}))
    assert rows
    bounds = dict(enumerate(pairwise([*ends, 1 << 62]), start=1))
    for row in rows:
        begin, end = bounds[row.turn]
        came = [{c.state for c in one.chapters if begin < c.since_ns <= end} for one in lives.values()]
        last = [[c.state for c in one.chapters if c.since_ns <= end][-1:] for one in lives.values()]
        assert row.integrated == sum(State.INTEGRATED in states for states in came)
        assert row.verified == sum(State.VERIFIED in states for states in came)
        shut = ([], [State.VERIFIED], [State.CLOSED], [State.DISMISSED])
        assert row.open == sum(states not in shut for states in last)


def test_lives_that_are_kept_are_those_that_would_be_told_now(wheel):
    catalog, rng, kept = wheel.store.catalog, random.Random(0), wheel.failures
    failures = catalog.all(Failure)
    for number in range(6):
        failure = rng.choice(failures)
        if number == 3:
            try_again(wheel, failure, Decision.PROMOTE)
        elif number % 2:
            catalog.put(replace(failure, id=catalog.new_id("failure")), key=f"again/{number}")
        else:
            wheel.desk.dismiss(failure.id, "rob", "none")
        assert kept.lives() == lives_of(wheel)
    assert kept.lives() is kept.lives()


def test_a_failure_that_is_stored_while_lives_are_told_is_told_next_time_and_breaks_nothing(wheel, monkeypatch):
    catalog = wheel.store.catalog
    known = [one for at, one in catalog.since(Failure, -1)]
    late, since = known[-1], catalog.since

    def seen(kind, after_ns):  # what was read first did not hold the newest failure yet, and its mode came meanwhile
        found = since(kind, after_ns)
        return [(at, one) for at, one in found if one is not late] if kind is Failure else found

    monkeypatch.setattr(catalog, "since", seen)
    told = lives_of(wheel)
    assert late.id not in told.lives
    assert {label: told.passed(label) for label in set(told.labels.values())}
