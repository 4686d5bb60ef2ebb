"""Failures: the queue of them, page by page, and what people say of one."""

from __future__ import annotations

from bisect import bisect_right
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, Response

from saqiya.domain.nouns import Dismissal, ModeName
from saqiya.domain.words import Rank
from saqiya.loop.board import OPEN, Entry, Wanted
from saqiya.loop.flywheel import Flywheel
from saqiya.server.faults import Refused
from saqiya.server.gatekeeper import Operator, Reviewer, Viewer
from saqiya.server.kept import Here
from saqiya.server.wire import (
    Answer,
    Body,
    Cursor,
    Limit,
    Name,
    Page,
    Ref,
    Shown,
    Words,
    cursor_of,
    place_of,
    plain,
    shown,
)

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["failures"])
_FILM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"video/mp4": {}}, "description": "The clip."},
    206: {"content": {"video/mp4": {}}, "description": "A part of the clip."},
    416: {"description": "The clip is shorter than that."},
}
_STILL: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {kind: {} for kind in ("image/jpeg", "image/png")}, "description": "The picture."}
}


class FailureRow(Answer):
    """A failure in the queue; `moment_s` is when to look, in seconds from the beginning of the try."""

    failure: str
    key: str
    episode: str
    label: str
    state: str
    moment_s: float
    phase: str
    priority: float
    person: str


class ClipState(Answer):
    """How the clip of a failure's moment stands: "ready", "filming", "possible", or why there is none.

    `still` says that the picture of the moment can be had already.
    """

    state: str
    still: bool


class Assign(Body):
    """Who is asked to correct it: somebody who may take work."""

    person: Name


class Reason(Body):
    """Why."""

    reason: Words


class Advise(Body):
    """A correction in words."""

    text: Words


class Label(Body):
    """A word of the vocabulary."""

    label: Words


class What(Body):
    """What shall count no more: a dismissal, a mode's name or an assignment, by id."""

    what: Ref


def _place(entry: Entry) -> tuple[float, str, str]:
    return -entry.priority, entry.label, entry.failure


@router.get("/failures")
def failures(
    here: Here,
    _: Viewer,
    label: Annotated[str, Query(max_length=200, description="Only of this mode.")] = "",
    state: Annotated[str, Query(max_length=40, description='Only at this state; "open", "" for any.')] = OPEN,
    person: Annotated[str, Query(max_length=64, description='Only asked of this person; "nobody".')] = "",
    after: Cursor = "",
    limit: Limit = 50,
) -> Page[FailureRow]:
    """List failures: the most urgent mode first."""
    place = place_of(after, (float, str, str))
    found = sorted(here.board.entries(Wanted(label, state, person)), key=_place)
    first = bisect_right(found, place, key=_place) if place else 0
    some = found[first : first + limit]
    more = first + limit < len(found)
    return Page(
        items=[FailureRow.model_validate(one) for one in some], next=cursor_of(*_place(some[-1])) if more else ""
    )


@router.get("/failures/{ref}")
def failure(ref: Ref, here: Here, _: Viewer) -> dict[str, Any]:
    """Return all that is known of a failure: alarms, evidence, life, requests, advice."""
    return dict(plain(here.board.card(ref)))


@router.get("/failures/{ref}/clip")
def clip(ref: Ref, here: Here, _: Viewer) -> ClipState:
    """Say how the clip of a failure's moment stands."""
    return ClipState.model_validate(here.wheel.replay.moment(ref))


@router.post("/failures/{ref}/clip", status_code=202)
def film_clip(ref: Ref, here: Here, _: Viewer) -> ClipState:
    """Begin to make the clip of a failure's moment: from its cameras' pictures, or drawn by the site where it happened.

    One is made at a time, in a process of its own; it changes nothing in the books.
    """
    return ClipState.model_validate(here.wheel.replay.film_moment(ref))


@router.get("/failures/{ref}/clip/film", response_class=FileResponse, responses=_FILM)
def clip_film(ref: Ref, here: Here, _: Viewer) -> FileResponse:
    """Return the clip: three seconds before the moment and two after it, with a red border from the moment on."""
    return FileResponse(here.wheel.replay.moment_film(ref), media_type="video/mp4")


@router.get("/failures/{ref}/clip/still", response_class=Response, responses=_STILL)
def clip_still(ref: Ref, here: Here, _: Viewer) -> Response:
    """Return the picture of the moment."""
    found = here.wheel.replay.moment_still(ref)
    return Response(found.data, media_type=found.kind)


@router.post("/failures/{ref}/assign")
def assign(ref: Ref, body: Assign, here: Here, who: Operator) -> Shown:
    """Ask somebody to correct it."""
    return _said(here.wheel, here.wheel.desk.assign(ref, body.person, by=who.name))


@router.post("/failures/{ref}/dismiss")
def dismiss(ref: Ref, body: Reason, here: Here, who: Reviewer) -> Shown:
    """Say that it is none, or not worth fixing."""
    return _said(here.wheel, here.wheel.desk.dismiss(ref, by=who.name, reason=body.reason))


@router.post("/failures/{ref}/advise")
def advise(ref: Ref, body: Advise, here: Here, who: Operator) -> Shown:
    """Say in words what the robot should have done."""
    return _said(here.wheel, here.wheel.desk.advise(ref, by=who.name, text=body.text))


@router.post("/modes/{ref}/name")
def name_mode(ref: Ref, body: Label, here: Here, who: Reviewer) -> Shown:
    """Name a mode, or rename it."""
    return _said(here.wheel, here.wheel.failures.name(ref, body.label, author=who.name))


@router.post("/undo")
def undo(body: What, here: Here, who: Operator) -> Shown:
    """Take back an assignment; a dismissal or a mode's name takes a reviewer."""
    reviewed = isinstance(here.wheel.store.catalog.get(body.what), Dismissal | ModeName)
    if reviewed and not who.rank.covers(Rank.REVIEWER):
        raise Refused(403, "RankTooLow", "a reviewer said it", subject=body.what, remedy="Ask a reviewer.")
    return _said(here.wheel, here.wheel.desk.undo(body.what, by=who.name))


def _said(wheel: Flywheel, noun: Any) -> Shown:  # noqa: ANN401 - any noun of people
    return shown(noun, wheel.key_of(noun.id))
