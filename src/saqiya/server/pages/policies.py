"""Policies, and what the gate said of each: the boundary, and the path that the trials took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from saqiya.detect.stage import outcomes_of
from saqiya.domain.nouns import Decision, Deployment, Episode, GateDecision, Outcome, Policy
from saqiya.evaluate.intervals import Interval, clopper_pearson
from saqiya.loop.evidence import evidence_of
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.people.wishes import PASSED, wish, wish_of
from saqiya.server.gatekeeper import Reviewer, Viewer
from saqiya.server.kept import Here
from saqiya.server.page import page
from saqiya.server.pictures import walk_of
from saqiya.server.wire import Text

__all__ = ["Line", "lines_of", "router"]

router = APIRouter(include_in_schema=False)
Ref = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True)
class Line:
    """A policy in the list: what it learned from, what the gate said of it last, and how it did where it was deployed.

    `success` is (successes, judged tries, exact 95 % interval), None where it was never deployed.
    """

    policy: Policy
    key: str
    dataset: str
    decision: str
    decision_id: str
    deployments: tuple[str, ...]
    success: tuple[int, int, Interval] | None
    champion: bool


def lines_of(wheel: Flywheel) -> list[Line]:
    """Return every policy, the newest first."""
    catalog = wheel.store.catalog
    decided = {one.candidate: one for one in catalog.all(GateDecision)}
    every = catalog.all(Deployment)
    in_charge = {one.scope: one.policy for one in every}
    tries = {one for deployment in every for one in deployment.episodes}
    outcomes = outcomes_of(wheel.store, [one for one in catalog.all(Episode) if one.id in tries])
    found = []
    for policy in reversed(catalog.all(Policy)):
        mine = [one for one in every if one.policy == policy.id]
        said = decided.get(policy.id)
        found.append(
            Line(
                policy=policy,
                key=catalog.key_of(policy.id),
                dataset=catalog.key_of(policy.dataset) if policy.dataset else "",
                decision=said.decision.value if said else "",
                decision_id=said.id if said else "",
                deployments=tuple(catalog.key_of(one.id) for one in mine),
                success=_success(outcomes, mine),
                champion=policy.id in in_charge.values(),
            )
        )
    return found


def _success(outcomes: Mapping[str, Outcome], deployments: Sequence[Deployment]) -> tuple[int, int, Interval] | None:
    tries = {one for deployment in deployments for one in deployment.episodes}  # logs may be adopted twice
    judged = [outcomes[one] for one in tries if outcomes[one] is not Outcome.UNKNOWN]
    good = sum(one is Outcome.SUCCESS for one in judged)
    return (good, len(judged), clopper_pearson(good, len(judged))) if judged else None


@router.get("/policies")
def policies(request: Request, here: Here, who: Viewer, decision: Ref = "") -> HTMLResponse:
    """Show the policies, and the evidence of one decision: the newest that compared something, where none is named."""
    catalog = here.wheel.store.catalog
    compared = [one for one in catalog.all(GateDecision) if one.decision is not Decision.INITIAL]
    chosen = catalog.get(decision, GateDecision) if decision else (compared[-1] if compared else None)
    evidence = evidence_of(here.wheel, chosen) if chosen else None
    asked = wish_of(here.wheel) if here.wheel.turning else None
    return page(
        request,
        who,
        "policies.html",
        lines=here.get("policies", lines_of),
        chosen=chosen,
        candidate=catalog.key_of(chosen.candidate) if chosen else "",
        champion=catalog.key_of(chosen.champion) if chosen and chosen.champion else "",
        evidence=evidence,
        walk=walk_of(evidence) if evidence else None,
        decisions=[(catalog.key_of(one.id), one) for one in reversed(catalog.all(GateDecision))],
        passed={one.value for one in PASSED},
        wish=asked,
        wished=catalog.key_of(asked.policy) if asked and asked.policy else "",
    )


@router.post("/policies/rollback")
def roll_back(
    here: Here,
    who: Reviewer,
    policy: Annotated[str, Form(max_length=200)],
    reason: Annotated[Text, Form(max_length=400)],
) -> Response:
    """Ask whoever watches the workspace to let an earlier policy take charge again; refused where its guards refuse."""
    wish(here.wheel, by=who.name, policy=policy, reason=reason)
    return RedirectResponse("/policies", status_code=303)
