"""An operator's own queue: what waits, what they hold with all its context, and what became of what they gave."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from saqiya.domain.words import Rank
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.novelty.became import became
from saqiya.loop.people.briefing import briefing_of
from saqiya.loop.people.staff import Person
from saqiya.server.gatekeeper import Operator, Viewer
from saqiya.server.kept import Here
from saqiya.server.page import page
from saqiya.server.wire import Line, Text

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
MOST_OFFERS = 40
Ref = Annotated[Line, Form(max_length=200)]


def _open(wheel: Flywheel, who: Person) -> dict[str, Any]:
    """Return what is open to a person, and what they do best at each of their robots."""
    return {
        "offers": wheel.desk.queue(who.name, limit=MOST_OFFERS),
        "rigs": wheel.desk.next(who.name) if who.rank.covers(Rank.OPERATOR) else (),
        "now_ns": wheel.clock(),
    }


@router.get("/corrections")
def corrections(request: Request, here: Here, who: Viewer) -> HTMLResponse:
    """Show a person's own queue; a viewer sees what is asked of others."""
    wheel, name = here.wheel, who.name
    works = who.rank.covers(Rank.OPERATOR)
    held = wheel.desk.held(name) if works else ()
    return page(
        request,
        who,
        "corrections.html",
        works=works,
        held=[(one, briefing_of(wheel, one.request.id, one.slot)) for one in held],
        handed=wheel.desk.history(name, limit=20),
        became=here.get(f"became {name}", lambda wheel: became(wheel, name)),
        figures=wheel.desk.figures(name, name) if works else None,
        **_open(wheel, who),
    )


@router.get("/corrections/offers")
def offers(request: Request, here: Here, who: Viewer) -> HTMLResponse:
    """Show what is open to a person now, for a page that is open already."""
    return page(request, who, "_offers.html", works=who.rank.covers(Rank.OPERATOR), **_open(here.wheel, who))


@router.get("/corrections/{ref}/briefing")
def briefing(
    request: Request, ref: str, here: Here, who: Viewer, slot: Annotated[int, Query(ge=0)] = 0
) -> HTMLResponse:
    """Show the context of one slot of a request, before it is claimed."""
    return page(request, who, "_briefing.html", b=briefing_of(here.wheel, ref, slot))


@router.post("/corrections/claim")
def claim(here: Here, who: Operator, ref: Ref = "") -> Response:
    """Take the best that is open, or a slot of one request."""
    here.wheel.desk.claim(who.name, ref or None)
    return RedirectResponse("/corrections", status_code=303)


@router.post("/corrections/renew")
def renew(here: Here, who: Operator, lease: Ref) -> Response:
    """Hold on to a lease."""
    here.wheel.desk.renew(lease, who.name)
    return RedirectResponse("/corrections", status_code=303)


@router.post("/corrections/hand-back")
def hand_back(here: Here, who: Operator, lease: Ref, reason: Annotated[Text, Form(max_length=400)] = "") -> Response:
    """Let a slot go."""
    here.wheel.desk.hand_back(lease, who.name, reason)
    return RedirectResponse("/corrections", status_code=303)


@router.post("/corrections/submit")
def submit(
    here: Here, who: Operator, lease: Ref, episode: Ref, note: Annotated[Text, Form(max_length=2000)] = ""
) -> Response:
    """Hand in an episode that is in the workspace already, recorded elsewhere or by the drive page."""
    here.wheel.desk.submit(lease, who.name, episode.strip(), note)
    return RedirectResponse("/corrections", status_code=303)
