"""The wheel: where each task stands, the week, and the one next step."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from saqiya.domain.nouns import CorrectionRequest, Wish
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.novelty.phases import Place, places_of
from saqiya.loop.pages.wheel_facts import Facts, facts_of
from saqiya.loop.pages.wheel_page import headline
from saqiya.loop.pages.wheel_pictures import Picture, picture_of
from saqiya.loop.people.wishes import wish, wish_of
from saqiya.loop.standing import Holdings, Standing, holdings, standing
from saqiya.loop.week import Week, week_of
from saqiya.server.gatekeeper import Reviewer, Viewer
from saqiya.server.kept import Here, Kept
from saqiya.server.page import page

__all__ = ["Now", "now_of", "router"]

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Now:
    """What the page shows of a workspace that turns; `waiting` are requests, and how many of each are still wanted."""

    facts: Facts
    stand: Standing
    places: tuple[Place, ...]
    headline: str
    picture: Picture
    waiting: tuple[tuple[CorrectionRequest, int], ...]
    week: Week
    wish: Wish | None


def now_of(wheel: Flywheel) -> Now | Holdings:
    """Gather what the page shows; in a workspace for data alone, what it holds."""
    if not wheel.turning:
        return holdings(wheel)
    places, facts = places_of(wheel), facts_of(wheel, novelty=False)  # of the places the wheel's own is the first
    stand = standing(wheel, place=places[0])
    return Now(
        facts=facts,
        stand=stand,
        places=places,
        headline=headline(facts),
        picture=picture_of(facts),
        waiting=tuple((wheel.store.catalog.get(key, CorrectionRequest), left) for key, left in stand.waiting.items()),
        week=week_of(wheel),
        wish=wish_of(wheel),
    )


def _shown(request: Request, who: Viewer, here: Kept, name: str) -> HTMLResponse:
    now = here.get("wheel", now_of)
    lead = here.get("lead time", lambda wheel: wheel.desk.lead_time())
    return page(
        request,
        who,
        name,
        now=now,
        turning=isinstance(now, Now),
        lead=lead,
        behind=here.wheel.clock() if here.behind("wheel") else 0,
    )


@router.get("/")
def home(request: Request, here: Here, who: Viewer) -> HTMLResponse:
    """Show where the wheel stands."""
    return _shown(request, who, here, "wheel.html")


@router.get("/wheel/now")
def fragment(request: Request, here: Here, who: Viewer) -> HTMLResponse:
    """Show the part of the page that changes while a turn runs."""
    return _shown(request, who, here, "_wheel.html")


@router.post("/wheel/next")
def next_step(here: Here, who: Reviewer) -> Response:
    """Put the next step down for whoever watches the workspace."""
    wish(here.wheel, by=who.name)
    return RedirectResponse("/", status_code=303)
