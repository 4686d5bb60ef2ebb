"""People, for admins: who may come in and do what, the tokens of programs, and the trail of who did what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from saqiya.domain.words import Rank
from saqiya.loop.people.staff import Profile
from saqiya.server.gatekeeper import SESSION, TICKET, Admin, gate_of
from saqiya.server.kept import Here
from saqiya.server.page import page
from saqiya.server.wire import Line

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
MOST_ENTRIES = 25
APART = {SESSION, TICKET}
"""What is stored as tokens, and is none of a program."""
Name = Annotated[Line, Form(max_length=64)]


def _shown(request: Request, here: Here, who: Admin, *, title: str = "", secret: str = "") -> HTMLResponse:
    """Show the page, and once a secret that was made just now."""
    staff = here.wheel.staff
    everybody = staff.people.all()
    return page(
        request,
        who,
        "people.html",
        everybody=everybody,
        tokens=[one for one in staff.people.tokens() if not one.revoked and not APART & set(one.scopes)],
        trail=staff.trail.read(limit=MOST_ENTRIES),
        ranks=list(Rank),
        figures=[here.wheel.desk.figures(one.name, who.name) for one in everybody if one.rank is Rank.OPERATOR],
        title=title,
        secret=secret,
        now_ns=here.wheel.clock(),
    )


@router.get("/people")
def people(request: Request, here: Here, who: Admin) -> HTMLResponse:
    """Show everybody."""
    return _shown(request, here, who)


class Newcomer(BaseModel):
    """The form that lets somebody in; what suits them is written with commas."""

    name: Annotated[str, Field(max_length=64)]
    rank: Rank = Rank.OPERATOR
    skills: Annotated[Line, Field(max_length=1000)] = ""
    sites: Annotated[Line, Field(max_length=1000)] = ""
    rigs: Annotated[Line, Field(max_length=1000)] = ""
    cost: Annotated[float, Field(ge=0, le=1e6)] = 1.0

    def profile(self) -> Profile:
        """Return what work suits them."""
        return Profile(_listed(self.skills), _listed(self.sites), _listed(self.rigs), self.cost)


@router.post("/people")
def add(request: Request, here: Here, who: Admin, asked: Annotated[Newcomer, Form()]) -> HTMLResponse:
    """Let somebody in; the page shows their password this once."""
    made, password = here.wheel.staff.add(asked.name.strip(), asked.rank, by=who.name, profile=asked.profile())
    return _shown(request, here, who, title=f"The password of {made.name}", secret=password)


@router.post("/people/rank")
def rank_of(request: Request, here: Here, who: Admin, name: Name, rank: Annotated[Rank, Form()]) -> HTMLResponse:
    """Give somebody another rank."""
    here.wheel.staff.change(name, by=who.name, rank=rank)
    return _shown(request, here, who)


@router.post("/people/password")
def password(request: Request, here: Here, who: Admin, name: Name) -> HTMLResponse:
    """Give somebody a fresh password; whoever is signed in under their name is out."""
    return _shown(
        request, here, who, title=f"The new password of {name}", secret=here.wheel.staff.password(name, by=who.name)
    )


@router.post("/people/link")
def link(request: Request, here: Here, who: Admin, name: Name) -> HTMLResponse:
    """Make a link that signs somebody in once and lets them choose a password; the page shows it this once."""
    made = gate_of(request).link(here.wheel.staff.people.known(name).name, by=who.name)
    return _shown(request, here, who, title=f"A link for {name}: it signs in once, within a day", secret=made)


@router.post("/people/disable")
def disable(request: Request, here: Here, who: Admin, name: Name, disabled: Annotated[bool, Form()]) -> HTMLResponse:
    """Keep somebody out, or let them in again."""
    here.wheel.staff.change(name, by=who.name, disabled=disabled)
    return _shown(request, here, who)


@router.post("/people/token")
def issue(
    request: Request,
    here: Here,
    who: Admin,
    person: Name,
    name: Name,
    scope: Annotated[Rank, Form()] = Rank.VIEWER,
    days: Annotated[float, Form(gt=0, le=366)] = 90.0,
) -> HTMLResponse:
    """Make a token for a program; the page shows its secret this once."""
    made, secret = here.wheel.staff.issue(person, name, [scope.value], days=days, by=who.name)
    return _shown(request, here, who, title=f"The token {made.name} of {made.person}", secret=secret)


@router.post("/people/revoke")
def revoke(request: Request, here: Here, who: Admin, token: Annotated[Line, Form(max_length=200)]) -> HTMLResponse:
    """Let a token count no more."""
    here.wheel.staff.revoke(token, by=who.name)
    return _shown(request, here, who)


def _listed(words: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in words.split(",") if one.strip())
