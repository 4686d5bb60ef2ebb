from __future__ import annotations

import dataclasses

import pytest

from saqiya.domain.nouns import Evaluation, EvaluationPlan, GateDecision, Policy, Suite, Trial
from saqiya.errors import SiteFault
from saqiya.evaluate import stage
from saqiya.evaluate.gate import GateParams
from saqiya.loop.flywheel import Flywheel

PARAMS = GateParams(n_max=30, look_every=5)
HASTY = GateParams(n_max=30, look_every=1, alpha_total=0.2)


@pytest.fixture
def wheel(turned):
    with Flywheel(turned) as opened:
        yield opened


def contest(wheel, **how):
    """The champion against the other policy there is, from fresh starts."""
    champion = wheel.champion()[0]
    candidate = next(one for one in reversed(wheel.store.catalog.all(Policy)) if one.id != champion.id)
    starts = tuple(wheel.site.sample_start(seed) for seed in range(9000, 9030))
    facts = {"scope": "test", "worked": (), "worked_known": 0, "regression": {}, "champion_rate": 0.5, "starts": starts}
    return stage.Contest(candidate=candidate, champion=champion, **{**facts, **how})


def run(wheel, *, key, params=PARAMS, roller=None, **how):
    return stage.run(wheel.store, contest(wheel, **how), roller or wheel.roller, params=params, seed=3, key=key)


def test_every_slot_and_its_order_is_stored_before_the_first_trial(wheel):
    seen = []

    def watching(rolls):
        seen.append(wheel.store.catalog.by_key(EvaluationPlan, "watched/plan"))
        return wheel.roller(rolls)

    run(wheel, key="watched", roller=watching)
    plan = wheel.store.catalog.by_key(EvaluationPlan, "watched/plan")
    assert seen[0] == plan
    assert [slot.pair for slot in plan.slots] == [pair for pair in range(30) for _ in range(2)]
    firsts = [slot.arm for slot in plan.slots[::2]]
    assert 5 < firsts.count(plan.candidate) < 25
    assert plan.power["sentence"]


def test_both_arms_of_a_pair_begin_at_the_same_start(wheel):
    run(wheel, key="pairs")
    plan = wheel.store.catalog.by_key(EvaluationPlan, "pairs/plan")
    for first, second in zip(plan.slots[::2], plan.slots[1::2], strict=True):
        assert first.start == second.start
        assert {first.arm, second.arm} == {plan.candidate, plan.champion}


def test_a_contest_that_is_run_again_tries_nothing_and_spends_nothing_again(wheel):
    first = run(wheel, key="twice")
    count, ledger = wheel.store.catalog.count(), stage.ledger(wheel.store, "test")
    assert run(wheel, key="twice") == first
    assert (wheel.store.catalog.count(), stage.ledger(wheel.store, "test")) == (count, ledger)


def test_each_contest_of_a_scope_gets_a_smaller_share_of_alpha(wheel):
    run(wheel, key="one")
    run(wheel, key="two")
    one, two = (wheel.store.catalog.by_key(EvaluationPlan, f"{key}/plan") for key in ("one", "two"))
    assert (one.round, two.round, two.alpha) == (1, 2, pytest.approx(one.alpha / 4))
    assert stage.ledger(wheel.store, "test") == (pytest.approx(one.alpha + two.alpha), 3)


def test_a_test_that_was_begun_keeps_its_rules_whatever_the_settings_say_later(wheel):
    def interrupted(rolls):
        for number, rolled in enumerate(wheel.roller(rolls)):
            if number == 8:
                raise SiteFault("stopped by a test", subject="site")
            yield rolled

    with pytest.raises(SiteFault):
        run(wheel, key="begun", roller=interrupted)
    evaluation, decision = run(wheel, key="begun", params=HASTY)
    expected, _ = run(wheel, key="calm", scope="calm")
    assert (evaluation.pairs, evaluation.stopped) == (expected.pairs, expected.stopped)
    plan = wheel.store.catalog.get(evaluation.plan, EvaluationPlan)
    assert plan.params == {**dataclasses.asdict(PARAMS), "arms": "paired"}
    assert decision.alpha_spent == plan.alpha == pytest.approx(0.05 * 6 / 9.8696, rel=1e-4)


def test_what_worked_is_tried_only_when_the_candidate_is_better(wheel):
    worked = tuple(wheel.site.sample_start(seed) for seed in range(40, 46))
    evaluation, decision = run(wheel, key="worked", worked=worked, worked_known=6)
    plan = wheel.store.catalog.get(evaluation.plan, EvaluationPlan)
    trials = [one for one in wheel.store.catalog.all(Trial) if one.plan == plan.id]
    tried = [one for one in trials if plan.slots[one.slot].suite is Suite.WORKED]
    assert len(tried) == (6 if evaluation.stopped == "superior" else 0)
    assert decision.reasons


def test_the_first_policy_goes_through_once(wheel):
    policy = wheel.store.catalog.all(Policy)[0]
    first = stage.initial(wheel.store, policy, key="first")
    assert stage.initial(wheel.store, policy, key="first") == first
    assert (first.decision, first.alpha_spent) == ("INITIAL", 0.0)
    assert wheel.store.catalog.by_key(GateDecision, "first") == first
    assert wheel.store.catalog.by_key(Evaluation, "first") is None
