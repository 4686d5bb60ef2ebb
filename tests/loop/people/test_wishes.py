"""What people ask for from afar, and rolling back to a policy that the gate once let through."""

from dataclasses import replace

import pytest

from saqiya.deploy import stage as deploy
from saqiya.domain.nouns import Decision, GateDecision, Wish
from saqiya.errors import GuardRefusal, UnknownId, UsageError
from saqiya.loop.figures import put_back, stopped_because, success_of
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.people.wishes import roll_back, wish, wish_of


@pytest.fixture
def wheel(turned):
    with Flywheel(turned) as made:
        yield made


@pytest.fixture
def promoted(wheel):
    """The candidate of the last turn took charge: its decision and its deployment are stored as a gate would."""
    catalog = wheel.store.catalog
    held = catalog.get("turn-1/decision", GateDecision)
    said = replace(held, id=catalog.new_id("gate_decision"), decision=Decision.PROMOTE)
    said = catalog.put(said, key="promoted/decision")
    starts = [
        one.start for one in wheel.store.catalog.all(type(wheel.episode("turn-0/deployment/0000")))[:2] if one.start
    ]
    deploy.run(wheel.store, said, starts, wheel.roller, scope=wheel.scope, key="promoted/deployment")
    return wheel


def test_a_wish_stands_until_its_turn_is_over(wheel):
    said = wish(wheel, by="rob")
    assert wish_of(wheel) == said
    assert wish(wheel, by="ren") == said
    assert wheel.staff.trail.read(limit=1)[0].what == "wish"


def test_what_else_is_asked_for_meanwhile_is_refused_and_not_forgotten(promoted):
    wish(promoted, by="rob")
    with pytest.raises(UnknownId):
        wish(promoted, by="ren", policy="nothing", reason="it drops cups")
    with pytest.raises(GuardRefusal, match="asked for already: turn"):
        wish(promoted, by="ren", policy="turn-0/policy", reason="it drops cups")


def test_of_two_wishes_in_one_moment_the_quicker_stands_and_the_other_is_told(promoted, monkeypatch):
    catalog = promoted.store.catalog
    put_all = catalog.put_all

    def late(batch, **named):
        monkeypatch.undo()
        wish(promoted, by="ren")
        return put_all(batch, **named)

    monkeypatch.setattr(catalog, "put_all", late)
    with pytest.raises(GuardRefusal, match="asked for already: turn"):
        wish(promoted, by="rob", policy="turn-0/policy", reason="it drops cups")
    assert [one.author for one in catalog.all(Wish)] == ["ren"]


def test_a_roll_back_needs_a_reason_that_can_be_seen(promoted):
    with pytest.raises(UsageError, match="needs a reason"):
        wish(promoted, by="rob", policy="turn-0/policy", reason=" \u200b\n")
    assert wish_of(promoted) is None
    assert wish(promoted, by="rob", policy="turn-0/policy", reason=" it drops\u200b cups ").reason == "it drops cups"


def test_nothing_is_wished_for_at_first(wheel):
    assert wish_of(wheel) is None


def test_an_earlier_policy_takes_charge_again(promoted):
    before = promoted.champion()[0]
    made = roll_back(promoted, "turn-0/policy")
    assert promoted.key_of(before.id) == "turn-1/policy"
    assert promoted.key_of(promoted.champion()[0].id) == "turn-0/policy"
    assert len(made.episodes) == promoted.config.deploy.rollouts


def test_what_the_policy_reached_that_was_taken_back_lets_no_wheel_rest(promoted):
    object.__setattr__(promoted.config.stop, "turns_without_gain", 1)
    assert put_back(promoted) is None
    assert "no gain" in stopped_because(promoted)
    made = roll_back(promoted, "turn-0/policy")
    success = success_of(promoted, made)
    assert put_back(promoted) == ("turn-0/policy", success)
    assert stopped_because(promoted) is None
    object.__setattr__(promoted.config.stop, "target", success["low"])
    assert f"the lower bound of success, {success['low']:.3f}" in stopped_because(promoted)


def test_a_wish_to_roll_back_is_over_when_it_is_done(promoted):
    wish(promoted, by="rob", policy="turn-0/policy", reason="it drops cups")
    assert promoted.key_of(wish_of(promoted).policy) == "turn-0/policy"
    roll_back(promoted, "turn-0/policy")
    assert wish_of(promoted) is None


def test_the_policy_in_charge_cannot_come_back(wheel):
    with pytest.raises(GuardRefusal, match="in charge already"):
        roll_back(wheel, "turn-0/policy")


def test_what_the_gate_never_let_through_cannot_come_back(wheel):
    with pytest.raises(GuardRefusal, match="never let it through"):
        wish(wheel, by="rob", policy="turn-1/policy", reason="it drops cups")


def test_nothing_comes_back_while_a_turn_is_under_way(promoted):
    promoted.detect()
    with pytest.raises(GuardRefusal, match="under way"):
        roll_back(promoted, "turn-0/policy")
