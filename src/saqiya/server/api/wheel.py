"""The wheel as a whole: where it stands, what would come next, what is known and what is missing."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from saqiya.domain.nouns import CollectionPlan
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.news import News
from saqiya.loop.standing import holdings, standing
from saqiya.server.gatekeeper import Viewer
from saqiya.server.kept import Here
from saqiya.server.wire import Answer, Shown, plain, shown

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["wheel"])


class Stand(Answer):
    """Where the wheel stands. `turning` is false in a workspace for data alone; `facts` as `saqiya status --json`."""

    turning: bool
    facts: dict[str, Any]


@router.get("/wheel")
def wheel_stands(here: Here, _: Viewer) -> Stand:
    """Say where the wheel stands, what is open, and what comes next and why."""
    facts = here.get("api/wheel", lambda wheel: plain(standing(wheel) if wheel.turning else holdings(wheel)))
    return Stand(turning=here.wheel.turning, facts=facts)


@router.get("/plan")
def newest_plan(here: Here, _: Viewer) -> Shown | None:
    """Return the newest collection plan: what to collect under a budget of human minutes, and what not; null: none."""
    rows = News(here.wheel).page(CollectionPlan, limit=1)
    return shown(rows[0].noun, rows[0].key, rows[0].created_ns) if rows else None


@router.get("/coverage")
def coverage(here: Here, _: Viewer) -> dict[str, Any]:
    """Say which values of which factors were shown, are met, and were never shown."""
    return dict(here.get("api/coverage", _coverage))


def _coverage(wheel: Flywheel) -> Any:  # noqa: ANN401 - JSON
    found = wheel.pump.coverage()
    said = {"shown_n": found.shown_n, "met_n": found.met_n, "thin_n": found.thin_n, "gaps": found.gaps}
    return plain(said | {"values": found.values, "silent": found.silent})


@router.get("/saturation")
def saturation(here: Here, _: Viewer) -> list[dict[str, Any]]:
    """Say what more data still brings, by task and failure mode."""
    return list(here.get("api/saturation", lambda wheel: plain(wheel.pump.saturation())))


@router.get("/phases")
def phases(here: Here, _: Viewer) -> list[dict[str, Any]]:
    """Say where every scope stands in its life, and what the next phase needs."""
    return list(here.get("api/phases", lambda wheel: plain(wheel.pump.phases())))


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request, _: Viewer) -> dict[str, Any]:
    """Return what this interface is, in OpenAPI's words."""
    from saqiya.server.app import description  # which lists this router among others

    return description(request.app)
