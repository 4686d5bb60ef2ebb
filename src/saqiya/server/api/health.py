"""Whether the server is well, for whatever restarts it, and how it does, for whatever draws its curves."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from saqiya.loop.pulse import answers, pulse
from saqiya.server.gatekeeper import Anybody, Viewer
from saqiya.server.kept import Here
from saqiya.server.meter import Meter
from saqiya.server.wire import Answer

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["health"])


class Well(Answer):
    """The server answers, and its catalog does."""

    status: str = "well"


@router.get("/health")
def health(here: Here, _: Anybody) -> Well:
    """Say that the catalog can be read; 503 where it cannot. By whatever name the server is called."""
    answers(here.wheel)
    return Well()


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
)
def metrics(request: Request, here: Here, _: Viewer) -> Response:
    """Tell what the server did since it started and what waits, in Prometheus' text format."""
    meter: Meter = request.app.state.meter
    found = pulse(here.wheel)
    gauges = {f"saqiya_slots_{name}": (f"Slots that are {name}.", float(n)) for name, n in found.slots.items()} | {
        "saqiya_listeners": ("Pages that hear what changes.", float(request.app.state.live.listeners)),
        "saqiya_drives": ("Drives under way.", float(request.app.state.hangar.flying)),
        "saqiya_catalog_bytes": ("What the catalog takes on its disk.", float(found.catalog_bytes)),
        "saqiya_disk_free_bytes": ("Free where the workspace lies.", float(found.free_bytes)),
    }
    return Response(meter.text(gauges, found.acts), media_type="text/plain; version=0.0.4")
