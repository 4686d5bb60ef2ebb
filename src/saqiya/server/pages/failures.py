"""The queue of failures, the map of their modes, and all that is known of one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from saqiya.domain.words import Rank
from saqiya.loop.board import NOBODY, OPEN, Entry, Wanted
from saqiya.server.gatekeeper import Viewer
from saqiya.server.kept import Here
from saqiya.server.page import page
from saqiya.triage.life import State

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
ROWS_MOST = 200
FINENESS = 1000
"""Steps of an axis of the map."""


ANY = "any"


def _wanted(
    label: Annotated[str, Query(max_length=200)] = "",
    state: Annotated[str, Query(max_length=40)] = OPEN,
    person: Annotated[str, Query(max_length=64)] = "",
) -> Wanted:
    return Wanted(label, "" if state == ANY else state, person)


Asked = Annotated[Wanted, Depends(_wanted)]


@router.get("/failures")
@router.get("/failures/map")
def failures(request: Request, here: Here, who: Viewer, wanted: Asked) -> HTMLResponse:
    """Show the queue, and beside it the map."""
    found = here.board.entries(wanted)
    return page(
        request,
        who,
        "failures.html",
        label=wanted.label,
        state=wanted.state or ANY,
        person=wanted.person,
        total=len(found),
        groups=here.board.groups(found),
        people=[
            one.name for one in here.wheel.desk.people.all() if not one.disabled and one.rank.covers(Rank.OPERATOR)
        ],
        states=(OPEN, *(one.value for one in State)),
        nobody=NOBODY,
        words=[one.name for one in here.wheel.vocabulary.current],
    )


@router.get("/failures/rows")
def rows(here: Here, _: Viewer, wanted: Asked, first: Annotated[int, Query(ge=0)] = 0) -> dict[str, Any]:
    """Return some of the queue, from its `first` on, and how long it is: the list on the page holds what is in view."""
    found = here.board.entries(wanted)
    behind = here.board.behind
    return {
        "total": len(found),
        "first": first,
        "behind": behind,
        "rows": [_row(one) for one in found[first : first + ROWS_MOST]],
    }


def _row(entry: Entry) -> list[str | float]:
    return [
        entry.failure, entry.key, entry.label, entry.state, round(entry.moment_s, 2), entry.phase, entry.person,
        entry.episode,
    ]  # fmt: skip


@router.get("/failures/points")
def points(here: Here, _: Viewer, wanted: Asked) -> dict[str, Any]:
    """Return where the queue's failures lie on the map, in the queue's order; whole numbers, to be short."""
    found = here.board.entries(wanted)
    groups = here.board.groups(found)
    place = {one.label: at for at, one in enumerate(groups)}
    where = {one.failure: at for at, one in enumerate(found)}
    spots = (here.board.places(found) * FINENESS).round().astype(int)
    return {
        "fineness": FINENESS,
        "x": spots[:, 0].tolist(),
        "y": spots[:, 1].tolist(),
        "mode": [place[one.label] for one in found],
        "medoids": [where[one.medoid] for one in groups if one.medoid in where],
    }


@router.get("/failures/{ref}/card")
def card(request: Request, ref: str, here: Here, who: Viewer) -> HTMLResponse:
    """Show all that is known of one failure."""
    found = here.board.card(ref)
    return page(request, who, "_failure.html", card=found, entry=found.entry)
