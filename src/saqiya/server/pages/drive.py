"""Where a person drives: the page with the picture, and the socket that it comes through."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, WebSocket
from fastapi.responses import HTMLResponse

from saqiya.errors import LeaseLost
from saqiya.loop.driving.drives import Begin
from saqiya.loop.people.briefing import briefing_of
from saqiya.server.driving import Hangar
from saqiya.server.gatekeeper import Operator
from saqiya.server.kept import Here
from saqiya.server.page import page

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
LeaseRef = Annotated[str, Path(max_length=200)]
MAY = {
    Begin.FAILURE: "from shortly before the failure",
    Begin.WATCH: "watch the policy and take over",
    Begin.WHOLE: "the whole task",
}
GONE = "It was handed in or back, or its time ran out. The page Corrections says what you handed in, and what you hold."


@router.get("/drive/{lease}")
def drive(
    request: Request, lease: LeaseRef, here: Here, who: Operator, begin: Annotated[Begin | None, Query()] = None
) -> HTMLResponse:
    """Show the page on which a person drives what they hold."""
    held = next((one for one in here.wheel.desk.held(who.name) if one.id == lease), None)
    if held is None:
        raise LeaseLost("you do not hold this any more", subject=lease, remedy=GONE)
    hangar: Hangar = request.app.state.hangar
    ways = hangar.drives.ways(held)
    controls, pace_hz = hangar.drives.controls()
    return page(
        request,
        who,
        "drive.html",
        lease=held,
        b=briefing_of(here.wheel, held.request.id, held.slot),
        begin=begin or ways[0],
        ways=[(one, MAY[one]) for one in ways],
        controls=controls,
        known=json.dumps(asdict(controls)),
        pace_hz=pace_hz,
        slowed=pace_hz / here.wheel.site.spec.rate_hz,
    )


@router.websocket("/drive/{lease}/socket")
async def socket(socket: WebSocket, lease: LeaseRef, who: Operator, begin: Begin | None = None) -> None:
    """Carry inputs to a drive, and its pictures back."""
    hangar: Hangar = socket.app.state.hangar
    await hangar.serve(socket, lease, who.name, begin)
