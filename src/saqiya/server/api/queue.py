"""The operators' queue and the reviewers': offers, leases, what is handed in, and what is said of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from saqiya.domain.streams import Span
from saqiya.domain.words import Rank, Verdict
from saqiya.errors import GuardRefusal, UsageError
from saqiya.loop.people.claims import Lease, Offer
from saqiya.loop.people.reviews import Waiting
from saqiya.server.gatekeeper import Operator, Reviewer, Viewer
from saqiya.server.kept import Here
from saqiya.server.wire import Answer, Body, Limit, Line, Name, Ref, Shown, Text, Words, plain, shown

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["queue"])
_INT64 = (1 << 63) - 1
Moment = Annotated[int, Field(ge=-_INT64, le=_INT64)]


class Factor(Answer):
    """One factor of an offer's place in the asker's queue, and what it says."""

    name: str
    value: float
    because: str


class Offered(Answer):
    """A request that waits for people, as the asker sees it; `blocked` says why they cannot take it, "" if they can.

    `minutes` and `cost` are the asker's own, for one correction; the product of `terms` is `place`: the highest first.
    """

    request: str
    key: str
    target: str
    slot: int
    left: int
    why: str
    gain_per_minute: float | None
    minutes: float
    cost: float
    due_ns: int
    qualified: bool
    blocked: str
    first: bool
    rig: str
    place: float
    terms: list[Factor]


class Leased(Answer):
    """A slot that is the asker's until `until_ns`; `start` and `failure` are where and why, where they are known."""

    id: str
    request: str
    slot: int
    person: str
    until_ns: int
    start: dict[str, Any] | None
    failure: str | None


class AtRig(Answer):
    """What the asker does best at one robot: go on with the lease that they hold there, or claim what is offered."""

    name: str
    lease: Leased | None
    offer: Offered


class Waits(Answer):
    """A submission that waits for a reviewer; `second` is a second look, whose word changes nothing."""

    submission: str
    request: str
    episode: str
    operator: str
    note: str
    since_ns: int
    reviewer: str
    second: bool


class Claim(Body):
    """Which request is wanted, and which of its slots; nothing: the best offer, at one robot if it is named."""

    request: Ref | None = None
    slot: Annotated[int, Field(ge=0, lt=1 << 31)] | None = None
    rig: Name | None = None


class HandBack(Body):
    """Why the slot is handed back."""

    reason: Text = ""


class HandIn(Body):
    """The episode that is handed in, by id."""

    episode: Ref
    note: Text = ""


class Range(Body):
    """A half-open range on the episode's clock."""

    start_ns: Moment
    end_ns: Moment


class Word(Body):
    """What a reviewer says; a reason is needed for all but an accept."""

    verdict: Verdict
    reason: Text = ""
    spans: Annotated[tuple[Range, ...], Field(max_length=200)] = ()
    labels: Annotated[tuple[Words, ...], Field(max_length=50)] = ()


def _leased(one: Lease) -> Leased:
    start = plain(one.start) if one.start else None
    return Leased(
        id=one.id,
        request=one.request.id,
        slot=one.slot,
        person=one.person,
        until_ns=one.until_ns,
        start=start,
        failure=one.failure,
    )


def _offered(one: Offer) -> Offered:
    facts = {name: getattr(one, name) for name in Offered.model_fields if name not in {"request", "target", "terms"}}
    told = [Factor.model_validate(term) for term in one.terms]
    return Offered(request=one.request.id, target=one.request.target, terms=told, **facts)


def _waits(one: Waiting) -> Waits:
    return Waits(
        submission=one.submission.id,
        request=one.request.id,
        episode=one.episode,
        operator=one.submission.operator,
        note=one.submission.note,
        since_ns=one.since_ns,
        reviewer=one.reviewer,
        second=one.second,
    )


@router.get("/queue")
def queue(
    here: Here,
    who: Operator,
    limit: Limit = 50,
    rig: Annotated[Line, Query(max_length=64, description="Only what can be done at this robot.")] = "",
) -> list[Offered]:
    """List what waits for people, in the order in which the asker would get it; what is blocked comes last."""
    return [_offered(one) for one in here.wheel.desk.queue(who.name, limit=limit, rig=rig)]


@router.get("/queue/next")
def next_(here: Here, who: Operator) -> list[AtRig]:
    """Say what the asker does best at each of their robots, the one where a minute brings most first."""
    return [
        AtRig(name=one.name, lease=_leased(one.lease) if one.lease else None, offer=_offered(one.offer))
        for one in here.wheel.desk.next(who.name)
    ]


@router.post("/queue/claim")
def claim(body: Claim, here: Here, who: Operator) -> Leased:
    """Take a slot: the best that is open to the asker, or one of a request; told twice, the same one."""
    return _leased(here.wheel.desk.claim(who.name, body.request, slot=body.slot, rig=body.rig or ""))


@router.get("/leases")
def leases(here: Here, who: Operator) -> list[Leased]:
    """List what the asker holds now."""
    return [_leased(one) for one in here.wheel.desk.held(who.name)]


@router.post("/leases/{lease}/renew")
def renew(lease: Ref, here: Here, who: Operator) -> Leased:
    """Hold on to a slot."""
    return _leased(here.wheel.desk.renew(lease, who.name))


@router.post("/leases/{lease}/hand-back", status_code=204)
def hand_back(lease: Ref, body: HandBack, here: Here, who: Operator) -> None:
    """Let a slot go, for whoever comes next."""
    here.wheel.desk.hand_back(lease, who.name, body.reason)


@router.post("/leases/{lease}/submit")
def submit(lease: Ref, body: HandIn, here: Here, who: Operator) -> Shown:
    """Hand in an episode; told twice, it is handed in once."""
    made = here.wheel.desk.submit(lease, who.name, body.episode, body.note)
    return shown(made, here.wheel.key_of(made.id))


@router.get("/reviews")
def reviews(
    here: Here,
    who: Reviewer,
    limit: Limit = 50,
    *,
    everybody: Annotated[bool, Query(description="Also what another reviewer looks at, and one's own.")] = False,
) -> list[Waits]:
    """List what waits for a reviewer, the longest first."""
    return [_waits(one) for one in here.wheel.desk.reviews("" if everybody else who.name, limit=limit)]


@router.post("/reviews/take")
def take(here: Here, who: Reviewer) -> Waits:
    """Take the submission that waits longest, so that no two look at one; told twice, the same one."""
    return _waits(here.wheel.desk.take(who.name))


@router.post("/submissions/{submission}/review")
def review(submission: Ref, body: Word, here: Here, who: Reviewer) -> Shown:
    """Decide about a submission."""
    if any(one.end_ns < one.start_ns for one in body.spans):
        raise UsageError("ends before it starts", subject="spans", remedy="Ranges are [start_ns, end_ns).")
    spans = [Span(one.start_ns, one.end_ns) for one in body.spans]
    made = here.wheel.desk.review(submission, who.name, body.verdict, body.reason, spans, body.labels)
    return shown(made, here.wheel.key_of(made.id))


@router.get("/submissions/{submission}/doubts")
def doubts(submission: Ref, here: Here, _: Reviewer) -> list[dict[str, Any]]:
    """Say what a reviewer should look at, each with the span that it points at."""
    return [plain(one) for one in here.wheel.desk.doubts(submission)]


@router.get("/figures")
def figures(here: Here, who: Operator, person: Annotated[str, Query(max_length=64)] = "") -> dict[str, Any]:
    """Return an operator's book: the asker's own, or for a reviewer anybody's; its operator sees it first."""
    if person not in {"", who.name} and not who.rank.covers(Rank.REVIEWER):
        raise GuardRefusal("others' figures are not yours to see", subject=person, remedy="Ask a reviewer.")
    return dict(plain(here.wheel.desk.figures(person or who.name, by=who.name)))


@router.get("/history")
def history(here: Here, who: Operator, limit: Limit = 50) -> list[dict[str, Any]]:
    """List what the asker handed in, the newest first, each with the word on it."""
    return [plain(one) for one in here.wheel.desk.history(who.name, limit=limit)]


@router.get("/agreement")
def agreement(here: Here, _: Reviewer) -> dict[str, Any]:
    """Say how often second reviewers said what the first had said."""
    return dict(plain(here.wheel.desk.agreement()))


@router.get("/lead-time")
def lead_time(here: Here, _: Viewer) -> dict[str, Any]:
    """Say how long failures wait for an accepted correction, those that still wait counted in."""
    return dict(here.get("api/lead-time", lambda wheel: plain(wheel.desk.lead_time())))


@router.get("/became")
def became(here: Here, who: Operator) -> list[dict[str, Any]]:
    """Say what became of the modes that the asker's corrections were given for."""
    return [plain(one) for one in here.wheel.pump.became(who.name)]
