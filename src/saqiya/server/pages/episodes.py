"""The tries of the workspace; and one of them: cameras, streams and bands on one scrubber, and what was said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from saqiya.loop.episode.listing import FILTERS, Wanted, choices, lines_of, name_of
from saqiya.server.gatekeeper import Viewer
from saqiya.server.kept import Here
from saqiya.server.page import page
from saqiya.server.wire import Ref, plain

__all__ = ["router"]

router = APIRouter()
LINES_MOST: Final = 50


@router.get("/episodes", response_class=HTMLResponse, include_in_schema=False)
def episodes(
    request: Request,
    here: Here,
    who: Viewer,
    wanted: Annotated[Wanted, Depends()],
    first: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> HTMLResponse:
    """Show the tries that are asked for, the newest first, fifty at a time."""
    every = here.get("episodes", lines_of)
    found = wanted.among(every)
    asked = {name: value for name in ("words", *FILTERS) if (value := getattr(wanted, name))}
    return page(
        request,
        who,
        "episodes.html",
        lines=found[first : first + LINES_MOST],
        first=first,
        total=len(found),
        every=len(every),
        choices=choices(every),
        asked=asked,
        before=_part(asked, max(0, first - LINES_MOST)) if first else "",
        after=_part(asked, first + LINES_MOST) if first + LINES_MOST < len(found) else "",
    )


def _part(asked: Mapping[str, str], first: int) -> str:
    return f"/episodes?{urlencode({**asked, 'first': first})}"


@router.get("/episodes/{ref}", response_class=HTMLResponse)
def episode(request: Request, ref: Ref, here: Here, who: Viewer) -> HTMLResponse:
    """Show a try; `?t=SECONDS` names the moment, `&beside=ID` another try."""
    seen, found = here.wheel.replay.overview(ref), here.wheel.episode(ref)
    policy = here.wheel.key_of(found.policy) if found.policy else seen.policy
    name = name_of(here.wheel.store.catalog, found)
    return page(request, who, "episode.html", seen=seen, name=name, policy=policy, known=plain(seen))
