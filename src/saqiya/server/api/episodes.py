"""One try, looked at closely: what there is, streams in few points, pictures and films, factors, how it ended."""

from __future__ import annotations

import shutil
from math import floor, inf, log10
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, Response
from numpy.typing import NDArray
from pydantic import StringConstraints
from starlette.background import BackgroundTask

from saqiya.domain.nouns import FactorClaim, Outcome, OutcomeClaim
from saqiya.loop.episode.replay import MOST_POINTS
from saqiya.server.gatekeeper import Operator, Reviewer, Viewer
from saqiya.server.kept import Here
from saqiya.server.wire import Answer, Body, Name, Ref, plain

__all__ = ["router"]

router = APIRouter(prefix="/api/v1/episodes/{ref}", tags=["episodes"])

Signal = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A stream's or a camera's name."""
Value = Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
Seconds = Annotated[float, Query(ge=0, le=1e8, allow_inf_nan=False, description="From the episode's beginning.")]
_FOREVER: Final = {"Cache-Control": "private, max-age=31536000, immutable"}
"""An episode never changes, and neither do its pictures."""
_PICTURES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {kind: {} for kind in ("image/jpeg", "image/png")}, "description": "The picture."}
}
_DIGITS: Final = 6
"""Values are rounded to a millionth of the range that their column shows."""
_EXACT: Final = 2.0**53
_FILM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"video/mp4": {}}, "description": "The film."},
    206: {"content": {"video/mp4": {}}, "description": "A part of the film."},
    416: {"description": "The film is shorter than that."},
}
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "The file."}
}


class Series(Answer):
    """A stream in few points: `low` and `high` by column; null stands for no value, `high` is null where `low` is all.

    Values are rounded to a millionth of the range that their column shows.

    `lost` has (column, point) of each point in which a value was missing.
    """

    stream: str
    t_ns: list[int]
    low: list[list[float | None]]
    high: list[list[float | None]] | None
    lost: list[tuple[int, int]]
    rows: int


class Stamps(Answer):
    """When each picture of a camera was taken, ns from the episode's beginning."""

    t_ns: list[int]


class State(Answer):
    """How the film of a simulated try stands: "ready", "filming", "possible", "", or why there is none."""

    state: str


class Ended(Body):
    """How somebody says that a try ended; "unknown" says that nobody can tell."""

    outcome: Outcome


class Factor(Body):
    """What somebody says of a try; an empty value takes back what was said before."""

    factor: Name
    value: Value


@router.get("/overview")
def overview(ref: Ref, here: Here, _: Viewer) -> dict[str, Any]:
    """Say what there is of a try: tracks, cameras, bands, events, outcomes and factors with their authors."""
    return dict(plain(here.wheel.replay.overview(ref)))


@router.get("/series", response_model=list[Series])
def series(
    ref: Ref,
    here: Here,
    _: Viewer,
    stream: Annotated[list[Signal], Query(min_length=1, max_length=64)],
    start_s: Seconds,
    end_s: Seconds,
    points: Annotated[int, Query(ge=4, le=MOST_POINTS)] = 600,
    first_column: Annotated[int, Query(ge=0, le=1 << 20)] = 0,
) -> Response:
    """Return streams between two moments in at most so many points; the extremes are always among them."""
    start_ns, end_ns = round(start_s * 1e9), round(end_s * 1e9)
    made = []
    for name in dict.fromkeys(stream):
        found = here.wheel.replay.series(
            ref, name, start_ns=start_ns, end_ns=end_ns, points=points, first_column=first_column
        )
        made.append({
            "stream": name,
            "t_ns": found.t_ns.tolist(),
            "low": _columns(found.low),
            "high": None if found.exact else _columns(found.high),
            "lost": np.argwhere(found.lost.T).tolist(),
            "rows": found.rows,
        })  # fmt: skip
    return Response(msgspec.json.encode(made), media_type="application/json")


@router.get("/stamps", response_model=Stamps)
def stamps(ref: Ref, camera: Signal, here: Here, _: Viewer) -> Response:
    """Return when each picture of a camera was taken."""
    found = here.wheel.replay.stamps(ref, camera).tolist()
    return Response(msgspec.json.encode({"t_ns": found}), media_type="application/json")


@router.get("/picture", response_class=Response, responses=_PICTURES)
def picture(
    ref: Ref, camera: Signal, index: Annotated[int, Query(ge=0, le=1 << 40)], here: Here, _: Viewer
) -> Response:
    """Return one picture of a camera, counted from the first of the try."""
    found = here.wheel.replay.frame(ref, camera, index)
    return Response(found.data, media_type=found.kind, headers=_FOREVER)


@router.get("/film", response_class=FileResponse, responses=_FILM)
def film(ref: Ref, camera: Signal, here: Here, _: Viewer) -> FileResponse:
    """Return a camera as a film: picture i from i / `film_rate_hz` seconds on, whatever its stamps."""
    return FileResponse(here.wheel.replay.film(ref, camera), media_type="video/mp4")


@router.get("/beside")
def beside(ref: Ref, other: Ref, here: Here, _: Viewer) -> dict[str, Any]:
    """Say how moments of one try read on another."""
    return dict(plain(here.wheel.replay.beside(ref, other)))


@router.get("/like")
def like(ref: Ref, here: Here, _: Viewer) -> list[dict[str, str]]:
    """Return tries from the same start, and those that correct this one or that it corrects."""
    found = here.wheel.replay.like(ref)
    return [
        {"id": one.id, "key": here.wheel.key_of(one.id), "source": str(one.source), "operator": one.operator}
        for one in found
    ]


@router.get("/rehearsal")
def rehearsal(ref: Ref, here: Here, _: Viewer) -> State:
    """Say how the film of a simulated try without cameras stands."""
    return State(state=here.wheel.replay.rehearsal(ref))


@router.post("/rehearsal", status_code=202)
def rehearse(ref: Ref, here: Here, _: Operator) -> State:
    """Begin to film a simulated try without cameras, from its start and its logged actions."""
    return State(state=here.wheel.replay.rehearse(ref))


@router.get("/open", response_class=FileResponse, responses=_FILE)
def open_in(ref: Ref, viewer: Literal["rerun", "foxglove"], t: Seconds, here: Here, _: Viewer) -> FileResponse:
    """Return a file that Rerun or Foxglove opens at a moment."""
    found = here.wheel.replay.opened_in(ref, at_s=t, viewer=viewer)
    clean = BackgroundTask(shutil.rmtree, found.path.parent, ignore_errors=True)
    return FileResponse(found.path, filename=found.path.name, background=clean)


@router.post("/factors", status_code=201)
def say(ref: Ref, body: Factor, here: Here, who: Operator) -> list[dict[str, str]]:
    """Put down a person's word on a factor of the try."""
    with here.wheel.staff.noting(who.name, "factor", (FactorClaim,)):
        made = here.wheel.pump.factors.say([_one(here, ref)], {body.factor: body.value}, author=who.name)
    return [{"factor": one.factor, "value": one.value, "author": one.author} for one in made]


@router.post("/outcomes", status_code=201)
def ended(ref: Ref, body: Ended, here: Here, who: Reviewer) -> list[dict[str, str]]:
    """Put down a person's word on how the try ended; it counts before any rule, log or simulator."""
    with here.wheel.staff.noting(who.name, "outcome", (OutcomeClaim,)):
        made = here.wheel.data.say_outcome([_one(here, ref)], body.outcome, author=who.name)
    return [{"outcome": one.value, "author": one.author} for one in made]


def _one(here: Here, ref: str) -> str:
    """Return the id of the one try that a reference names: the verbs also take a version or a subset, whole."""
    return here.wheel.episode(ref).id


def _columns(values: NDArray[np.float64]) -> list[list[float | None]]:
    return [_column(column) for column in values.T]


def _column(values: NDArray[np.float64]) -> list[float | None]:
    """Return a column rounded far below what a screen shows: that halves what travels. NaN becomes null on its way."""
    known = values[np.isfinite(values)]
    reach = float(known.max()) - float(known.min()) if known.size else 0.0
    digits = min(15, max(0, _DIGITS - floor(log10(reach)))) if 0.0 < reach < inf else 15
    largest = float(np.abs(known).max(initial=0.0))
    fine = largest * 10.0**digits > _EXACT  # there is nothing behind the last digit that is kept
    found: list[float | None] = (values if fine else values.round(digits)).tolist()
    return found
