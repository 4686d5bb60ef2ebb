"""The shell of `deploy`: let a policy loose on fresh starts, log every try, and close the wheel."""

from __future__ import annotations

from collections.abc import Sequence

from saqiya.domain.contracts import Roll, Roller
from saqiya.domain.nouns import Decision, Deployment, GateDecision, Policy, Source
from saqiya.domain.streams import Start
from saqiya.errors import GuardRefusal
from saqiya.stores.workspace import Workspace

__all__ = ["run"]


def run(
    store: Workspace, decision: GateDecision, starts: Sequence[Start], roller: Roller, *, scope: str, key: str
) -> Deployment:
    """Deploy the policy that `decision` leaves in charge and roll it out from `starts`.

    After PROMOTE or INITIAL that is the candidate; after HOLD or REJECT the champion stays, and its log grows.

    Raises:
        GuardRefusal: the decision leaves no policy in charge.
    """
    promoted = decision.decision in {Decision.INITIAL, Decision.PROMOTE}
    in_charge = decision.candidate if promoted else decision.champion
    if in_charge is None:
        raise GuardRefusal("no policy is left in charge", subject=decision.id, remedy="Train and evaluate a candidate.")
    policy = store.catalog.get(in_charge, Policy)
    rolls = [Roll(f"{key}/{index:04d}", start, Source.ROLLOUT, policy=policy.id) for index, start in enumerate(starts)]
    episodes = tuple(rolled.episode.id for rolled in roller(rolls) if rolled.episode is not None)
    deployment = Deployment(
        id=store.catalog.new_id("deployment"),
        scope=scope,
        policy=policy.id,
        decision=decision.id,
        mode="full",
        episodes=episodes,
    )
    return store.catalog.put(deployment, key=key)
