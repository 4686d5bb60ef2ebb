"""What the workspace holds, kind by kind, the newest first, and what each came from."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter

from saqiya.domain.nouns import (
    CorrectionRequest,
    DatasetVersion,
    Deployment,
    Episode,
    FailureMode,
    GateDecision,
    Noun,
    Policy,
)
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.news import News
from saqiya.server.gatekeeper import Viewer
from saqiya.server.kept import Here
from saqiya.server.wire import Cursor, Limit, Page, Ref, Shown, cursor_of, place_of, plain, shown

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["nouns"])
_DEPTH: Final = 6


def _page(wheel: Flywheel, kind: type[Noun], after: str, limit: int) -> Page[Shown]:
    place = place_of(after, (int,))
    rows = News(wheel).page(kind, before_ns=place[0] if place else None, limit=limit + 1)
    there = [shown(row.noun, row.key, row.created_ns) for row in rows[:limit]]
    return Page(items=there, next=cursor_of(rows[limit - 1].created_ns) if len(rows) > limit else "")


def _one(wheel: Flywheel, ref: str, kind: type[Noun] | None) -> Shown:
    noun = wheel.store.catalog.get(ref, kind)
    return shown(noun, wheel.key_of(noun.id))


@router.get("/episodes")
def episodes(here: Here, _: Viewer, after: Cursor = "", limit: Limit = 50) -> Page[Shown]:
    """List the tries."""
    return _page(here.wheel, Episode, after, limit)


@router.get("/episodes/{ref}")
def episode(ref: Ref, here: Here, _: Viewer) -> Shown:
    """Return one try."""
    return _one(here.wheel, ref, Episode)


@router.get("/modes")
def modes(here: Here, _: Viewer, after: Cursor = "", limit: Limit = 50) -> Page[Shown]:
    """List the failure modes of every turn."""
    return _page(here.wheel, FailureMode, after, limit)


@router.get("/requests")
def requests(here: Here, _: Viewer, after: Cursor = "", limit: Limit = 50) -> Page[Shown]:
    """List the correction requests."""
    return _page(here.wheel, CorrectionRequest, after, limit)


@router.get("/datasets")
def datasets(here: Here, _: Viewer, after: Cursor = "", limit: Limit = 50) -> Page[Shown]:
    """List the dataset versions."""
    return _page(here.wheel, DatasetVersion, after, limit)


@router.get("/datasets/{ref}")
def dataset(ref: Ref, here: Here, _: Viewer) -> Shown:
    """Return one dataset version with its entries."""
    return _one(here.wheel, ref, DatasetVersion)


@router.get("/difference")
def difference(old: Ref, new: Ref, here: Here, _: Viewer) -> dict[str, Any]:
    """Say what differs between two dataset versions."""
    return dict(plain(here.wheel.data.diff(old, new)))


@router.get("/policies")
def policies(here: Here, _: Viewer, after: Cursor = "", limit: Limit = 50) -> Page[Shown]:
    """List the policies."""
    return _page(here.wheel, Policy, after, limit)


@router.get("/decisions")
def decisions(here: Here, _: Viewer, after: Cursor = "", limit: Limit = 50) -> Page[Shown]:
    """List what the gate said."""
    return _page(here.wheel, GateDecision, after, limit)


@router.get("/deployments")
def deployments(here: Here, _: Viewer, after: Cursor = "", limit: Limit = 50) -> Page[Shown]:
    """List what was let loose where."""
    return _page(here.wheel, Deployment, after, limit)


@router.get("/nouns")
def noun(ref: Ref, here: Here, _: Viewer) -> Shown:
    """Return whatever has this id, key, or unique part of an id."""
    return _one(here.wheel, ref, None)


@router.get("/lineage")
def lineage(ref: Ref, here: Here, _: Viewer, *, up: bool = True) -> dict[str, Any]:
    """Walk from a noun to what it came from, or down to what came of it."""
    return dict(plain(here.wheel.lineage(ref, up=up, depth=_DEPTH)))
