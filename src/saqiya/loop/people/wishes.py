"""What people ask of the wheel from afar, and rolling back. A page only writes it down; `saqiya turn --watch` does it.

Rolling back deploys a policy that the gate once let through, on fresh starts, under the decision that let it through:
no policy takes charge without one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from saqiya.deploy import stage as deploy
from saqiya.domain.nouns import Decision, Deployment, GateDecision, Policy, Wish
from saqiya.domain.visible import words
from saqiya.errors import GuardRefusal, UsageError
from saqiya.loop import draws
from saqiya.loop.figures import stopped_because
from saqiya.stores.trail import append

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["roll_back", "to_roll_back", "wish", "wish_of"]

PASSED = {Decision.INITIAL, Decision.PROMOTE}


def wish_of(wheel: Flywheel) -> Wish | None:
    """Return what is asked for now; a wish is over with the turn it was said in, or once its policy is in charge."""
    said = wheel.store.catalog.last(Wish)
    if said is None or said.turn != wheel.number:
        return None
    champion = wheel.champion()
    return None if said.policy and champion and champion[0].id == said.policy else said


def wish(wheel: Flywheel, *, by: str, policy: str = "", reason: str = "") -> Wish:
    """Ask for the next turn, or to roll back to a policy; asked twice, the first is returned.

    Raises:
        GuardRefusal: something else is asked for, the wheel rests, or `to_roll_back` refuses.
        UnknownId: there is no such policy.
        UsageError: a roll back without a reason.
    """
    if policy and not words(reason):
        raise UsageError("needs a reason", subject="roll back", remedy="Say what is wrong with the policy in charge.")
    catalog = wheel.store.catalog
    newest_ns = max((at for at, _ in catalog.since(Wish, -1)), default=-1)
    held = wish_of(wheel)
    if held is not None:
        if held.policy == (catalog.get(policy, Policy).id if policy else None):
            return held
        raise GuardRefusal(
            "something else is asked for already: "
            + (f"to roll back to {catalog.key_of(held.policy)}" if held.policy else f"turn {held.turn}"),
            subject=wheel.scope,
            remedy="Run saqiya turn --watch, which does it; then ask again.",
        )
    rests = stopped_because(wheel)
    if not policy and rests:
        raise GuardRefusal(
            f"the wheel rests: {rests}", subject=wheel.scope, remedy="Raise [stop] in saqiya.toml first."
        )
    now_ns = wheel.clock()
    asked = to_roll_back(wheel, policy)[0].id if policy else None
    made = Wish(id=catalog.new_id("wish"), turn=wheel.number, policy=asked, author=by, reason=words(reason))

    def along(connection: sa.Connection) -> None:
        append(
            connection,
            by,
            "wish",
            made.id,
            {"turn": made.turn, "policy": asked or "", "reason": made.reason},
            now_ns=now_ns,
        )

    if not catalog.put_all([(made, f"wish/{made.id}")], unless=catalog.newer(Wish, newest_ns), along=along):
        return wish(wheel, by=by, policy=policy, reason=reason)  # somebody was a moment quicker: theirs stands
    return made


def to_roll_back(wheel: Flywheel, ref: str) -> tuple[Policy, GateDecision]:
    """Return a policy that may take charge again, and the decision that once let it through.

    Raises:
        GuardRefusal: it is in charge, the gate never let it through, or a turn is under way.
        UnknownId: there is no such policy.
    """
    catalog = wheel.store.catalog
    policy, champion = catalog.get(ref, Policy), wheel.champion()
    key = catalog.key_of(policy.id)
    if champion and champion[0].id == policy.id:
        raise GuardRefusal("is in charge already", subject=key, remedy="Choose an earlier one.")
    passed = [one for one in catalog.all(GateDecision) if one.candidate == policy.id and one.decision in PASSED]
    if not passed:
        raise GuardRefusal("the gate never let it through", subject=key, remedy="Only what passed can come back.")
    if catalog.first_created_ns(wheel.key("")) is not None:
        raise GuardRefusal(
            f"turn {wheel.number} is under way with the policy in charge", subject=key, remedy="Run saqiya turn first."
        )
    return policy, passed[-1]


def roll_back(wheel: Flywheel, ref: str) -> Deployment:
    """Let an earlier policy take charge again: it is rolled out from fresh starts, and the next turn begins with it.

    Raises:
        GuardRefusal, UnknownId: see `to_roll_back`.
        WorkspaceBusy: a turn runs.
    """
    _, decision = to_roll_back(wheel, ref)
    site, config = wheel.site, wheel.config
    with wheel.store.lock(wheel.scope):
        before = sum(wheel.key_of(one.id).startswith("rollback/") for one in wheel.store.catalog.all(Deployment))
        starts = draws.starts(site, config.run.seed, "rollback", before, config.deploy.rollouts, region=1.0)
        return deploy.run(wheel.store, decision, starts, wheel.roller, scope=wheel.scope, key=f"rollback/{before}")
