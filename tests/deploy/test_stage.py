import pytest

from saqiya.deploy import stage
from saqiya.domain.nouns import Decision, GateDecision, Policy
from saqiya.errors import GuardRefusal
from saqiya.loop.flywheel import Flywheel


@pytest.fixture
def wheel(turned):
    with Flywheel(turned) as opened:
        yield opened


def said(wheel, decision, *, champion=True):
    catalog = wheel.store.catalog
    first, *_, last = catalog.all(Policy)
    noun = GateDecision(
        id=catalog.new_id("gate_decision"),
        decision=decision,
        candidate=last.id,
        champion=first.id if champion else None,
        evaluation=None,
        alpha_spent=0.0,
        reasons=(),
    )
    return catalog.put(noun, key=f"said/{decision}/{champion}"), first, last


def deploy(wheel, decision):
    starts = [wheel.site.sample_start(seed) for seed in range(3)]
    return stage.run(wheel.store, decision, starts, wheel.roller, scope="test", key=f"deployed/{decision.decision}")


@pytest.mark.parametrize("decision", [Decision.PROMOTE, Decision.INITIAL])
def test_a_candidate_that_went_through_is_in_charge_and_signs_every_episode(wheel, decision):
    noun, _, candidate = said(wheel, decision)
    deployment = deploy(wheel, noun)
    assert deployment.policy == candidate.id
    assert [wheel.episode(one).policy for one in deployment.episodes] == [candidate.id] * 3


@pytest.mark.parametrize("decision", [Decision.HOLD, Decision.REJECT])
def test_the_champion_stays_when_the_candidate_does_not_go_through(wheel, decision):
    noun, champion, _ = said(wheel, decision)
    assert deploy(wheel, noun).policy == champion.id


def test_deploying_twice_is_deploying_once(wheel):
    noun, *_ = said(wheel, Decision.PROMOTE)
    first = deploy(wheel, noun)
    count = wheel.store.catalog.count()
    assert deploy(wheel, noun) == first
    assert wheel.store.catalog.count() == count


def test_a_rejected_first_policy_leaves_nobody_in_charge(wheel):
    noun, *_ = said(wheel, Decision.REJECT, champion=False)
    with pytest.raises(GuardRefusal, match="no policy is left in charge"):
        deploy(wheel, noun)
