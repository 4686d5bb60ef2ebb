"""One try: cameras, streams and bands on one scrubber, and what was said of it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from saqiya.server.gatekeeper import Viewer
from saqiya.server.kept import Here
from saqiya.server.page import page
from saqiya.server.wire import Ref, plain

__all__ = ["router"]

router = APIRouter()


@router.get("/episodes/{ref}", response_class=HTMLResponse)
def episode(request: Request, ref: Ref, here: Here, who: Viewer) -> HTMLResponse:
    """Show a try; `?t=SECONDS` names the moment, `&beside=ID` another try."""
    seen, policy = here.wheel.replay.overview(ref), here.wheel.episode(ref).policy
    named = here.wheel.key_of(policy) if policy else seen.policy
    return page(request, who, "episode.html", seen=seen, policy=named, known=plain(seen))
