"""People, the tokens of their programs, and the trail of who did what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from saqiya.domain.words import Rank
from saqiya.errors import GuardRefusal
from saqiya.loop.people.staff import Person, Profile, Token
from saqiya.server.gatekeeper import SESSION, TICKET, Admin, Viewer, gate_of
from saqiya.server.kept import Here
from saqiya.server.wire import Answer, Body, Cursor, Limit, Name, Page, PersonName, Ref, cursor_of, place_of

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["people"])
Names = Annotated[tuple[Name, ...], Field(max_length=100)]


class Suits(Body):
    """What work suits a person; empty lists: anything."""

    skills: Names = ()
    sites: Names = ()
    rigs: Names = ()
    cost_per_minute: Annotated[float, Field(ge=0.0, le=1e6, allow_inf_nan=False)] = 1.0

    def profile(self) -> Profile:
        """Return it as it is stored."""
        return Profile(self.skills, self.sites, self.rigs, self.cost_per_minute)


class Somebody(Answer):
    """A person who may, or might once, come in."""

    name: str
    rank: Rank
    disabled: bool
    skills: list[str]
    sites: list[str]
    rigs: list[str]
    cost_per_minute: float


class Newcomer(Body):
    """Somebody who is let in."""

    name: PersonName
    rank: Rank = Rank.OPERATOR
    profile: Suits = Suits()


class Change(Body):
    """What changes of somebody; what is left out stays."""

    rank: Rank | None = None
    disabled: bool | None = None
    profile: Suits | None = None


class Link(Answer):
    """An address that signs somebody in once, shown this once."""

    name: str
    link: str


class Wish(Body):
    """A token for a program: it acts as its person, with at most the rank that is granted."""

    name: Name
    rank: Rank = Rank.VIEWER
    days: Annotated[float, Field(gt=0.0, le=366.0, allow_inf_nan=False)] = 30.0


class Granted(Answer):
    """A token without its secret."""

    id: str
    person: str
    name: str
    scopes: list[str]
    expires_ns: int
    revoked: bool


class Issued(Granted):
    """A token with its secret, shown this once."""

    secret: str


class Act(Answer):
    """An entry of the trail: who did what to which thing when; each carries the hash of the one before."""

    seq: int
    t_ns: int
    who: str
    what: str
    subject: str
    detail: dict[str, object]
    hash: str


def _somebody(one: Person) -> Somebody:
    suits = one.profile
    return Somebody(
        name=one.name,
        rank=one.rank,
        disabled=one.disabled,
        skills=list(suits.skills),
        sites=list(suits.sites),
        rigs=list(suits.rigs),
        cost_per_minute=suits.cost_per_minute,
    )


@router.get("/people")
def people(here: Here, _: Admin) -> list[Somebody]:
    """List everybody."""
    return [_somebody(one) for one in here.wheel.staff.people.all()]


@router.post("/people", status_code=201)
def add(body: Newcomer, request: Request, here: Here, who: Admin) -> Link:
    """Let somebody in; the answer holds the link by which they come in and choose a password."""
    here.wheel.staff.add(body.name, body.rank, by=who.name, profile=body.profile.profile())
    return Link(name=body.name, link=gate_of(request).link(body.name, by=who.name))


@router.patch("/people/{name}")
def change(name: PersonName, body: Change, here: Here, who: Admin) -> Somebody:
    """Change somebody's rank or profile, or keep them out."""
    profile = body.profile.profile() if body.profile else None
    made = here.wheel.staff.change(name, by=who.name, rank=body.rank, profile=profile, disabled=body.disabled)
    return _somebody(made)


@router.post("/people/{name}/link")
def link(name: PersonName, request: Request, who: Admin) -> Link:
    """Return a link that signs somebody in once, for who lost a password."""
    return Link(name=name, link=gate_of(request).link(name, by=who.name))


@router.get("/tokens")
def tokens(here: Here, who: Viewer) -> list[Granted]:
    """List the tokens of the asker's programs."""
    return [Granted.model_validate(one) for one in _own(here, who)]


@router.post("/tokens", status_code=201)
def issue(body: Wish, request: Request, here: Here, who: Viewer) -> Issued:
    """Make a token for one of the asker's programs, with at most their own rank."""
    if not request.state.csrf:
        raise GuardRefusal("a token makes no tokens", subject=body.name, remedy="Sign in with a password.")
    if not who.rank.covers(body.rank):
        raise GuardRefusal("nobody grants more than they may do", subject=body.rank, remedy="Ask for less.")
    made, secret = here.wheel.staff.issue(who.name, body.name, [body.rank.value], days=body.days, by=who.name)
    return Issued(**Granted.model_validate(made).model_dump(), secret=secret)


@router.delete("/tokens/{token}", status_code=204)
def revoke(token: Ref, here: Here, who: Viewer) -> None:
    """Let a token count no more; an admin may revoke anybody's."""
    if not who.rank.covers(Rank.ADMIN) and token not in {one.id for one in _own(here, who)}:
        raise GuardRefusal("is no token of yours", subject=token, remedy="Ask an admin.")
    here.wheel.staff.revoke(token, by=who.name)


@router.get("/trail")
def trail(
    here: Here,
    _: Admin,
    who: Annotated[str, Query(max_length=64, description="Only what this person did.")] = "",
    subject: Annotated[str, Query(max_length=200, description="Only what was done to this thing.")] = "",
    after: Cursor = "",
    limit: Limit = 100,
) -> Page[Act]:
    """List who did what, the newest first; `saqiya verify` checks the chain."""
    place = place_of(after, (int,))
    before = {"before": place[0]} if place else {}
    found = here.wheel.staff.trail.read(who=who, subject=subject, limit=limit + 1, **before)
    acts = [Act.model_validate(one) for one in found[:limit]]
    return Page(items=acts, next=cursor_of(acts[-1].seq) if len(found) > limit else "")


def _own(here: Here, who: Person) -> list[Token]:
    return [one for one in here.wheel.staff.people.tokens(who.name) if not {SESSION, TICKET} & set(one.scopes)]
