"""Dataset versions: what is in each, what changed, and where it came from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from saqiya.domain.nouns import DatasetVersion, Policy
from saqiya.loop.branches import branches_of
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.news import News
from saqiya.mix.difference import Difference, Total
from saqiya.server.gatekeeper import Viewer
from saqiya.server.kept import Here
from saqiya.server.page import page

__all__ = ["Version", "router"]

router = APIRouter(include_in_schema=False)
MOST_VERSIONS = 200
MOST_CHANGED = 100
DEPTH = 2
Ref = Annotated[str, Query(max_length=200)]


@dataclass(frozen=True)
class Version:
    """A dataset version in the list."""

    id: str
    key: str
    created_ns: int
    note: str
    episodes: int
    seconds: float
    parent: str
    policies: tuple[str, ...]


@router.get("/datasets")
def datasets(request: Request, here: Here, who: Viewer, version: Ref = "", against: Ref = "") -> HTMLResponse:
    """Show the versions; of one of them mixture, difference and lineage."""
    wheel = here.wheel
    every = here.get("versions", _versions)
    chosen = wheel.store.catalog.get(version, DatasetVersion) if version else wheel.store.catalog.last(DatasetVersion)
    if chosen is None:
        return page(request, who, "datasets.html", every=every, chosen=None)
    if version or against:
        told = _told(wheel, chosen, against or chosen.parent or "")
    else:  # what most people look at
        told = here.get("newest version", _newest)
    return page(request, who, "datasets.html", every=every, **told)


def _newest(wheel: Flywheel) -> dict[str, Any]:
    chosen = wheel.store.catalog.all(DatasetVersion)[-1]
    return _told(wheel, chosen, chosen.parent or "")


def _told(wheel: Flywheel, chosen: DatasetVersion, before: str) -> dict[str, Any]:
    """Return what the page says of a version, and of what changed since an earlier one ("": there is none)."""
    change = wheel.data.diff(before, chosen.id) if before else None
    changed = [*change.added[:MOST_CHANGED], *change.removed[:MOST_CHANGED]] if change else []
    return {
        "chosen": _version(wheel, chosen),
        "hash": chosen.manifest_hash,
        "mixture": _mixture(wheel.data.diff(chosen.id, chosen.id)),
        "before": wheel.key_of(wheel.store.catalog.get(before, DatasetVersion).id) if before else "",
        "change": change,
        "keys": {one: wheel.key_of(one) for one in changed},
        "tree": branches_of(wheel, chosen.id, up=True, depth=DEPTH),
        "down": branches_of(wheel, chosen.id, up=False, depth=DEPTH),
    }


def _mixture(same: Difference) -> dict[str, list[Total]]:
    """Return what a version holds, by what it is grouped by; the largest share first."""
    groups: dict[str, list[Total]] = defaultdict(list)
    for one in same.totals:
        groups[one.by].append(one)
    return {by: sorted(ones, key=lambda one: -one.share[1]) for by, ones in groups.items()}


def _versions(wheel: Flywheel) -> list[Version]:
    rows, taught = News(wheel).page(DatasetVersion, limit=MOST_VERSIONS), _taught(wheel)
    return [_of(wheel, row.noun, row.created_ns, taught) for row in rows if isinstance(row.noun, DatasetVersion)]


def _version(wheel: Flywheel, one: DatasetVersion) -> Version:
    """Return any version, also one that is too old for the list."""
    return _of(wheel, one, News(wheel).stored_ns(one.id), _taught(wheel))


def _taught(wheel: Flywheel) -> Mapping[str, Sequence[str]]:
    """Return the keys of the policies that learned from each version."""
    found: dict[str, list[str]] = defaultdict(list)
    for policy in wheel.store.catalog.all(Policy):
        if policy.dataset:
            found[policy.dataset].append(wheel.key_of(policy.id))
    return found


def _of(wheel: Flywheel, one: DatasetVersion, created_ns: int, taught: Mapping[str, Sequence[str]]) -> Version:
    return Version(
        id=one.id,
        key=wheel.key_of(one.id),
        created_ns=created_ns,
        note=one.note,
        episodes=len({entry.episode for entry in one.entries}),
        seconds=sum(entry.end_ns - entry.start_ns for entry in one.entries) / 1e9,
        parent=wheel.key_of(one.parent) if one.parent else "",
        policies=tuple(taught.get(one.id, ())),
    )
