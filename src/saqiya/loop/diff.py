"""The shell of `saqiya diff`: two dataset versions by id, key or a part of an id, and what changed between them."""

from __future__ import annotations

from saqiya.domain.nouns import Correction, CorrectionRequest, DatasetVersion, Episode
from saqiya.mix.difference import Difference, difference
from saqiya.stores.workspace import Workspace

__all__ = ["diff"]


def diff(store: Workspace, before: str, after: str) -> Difference:
    """Compare two dataset versions; totals are by role, by task and by what a correction was for.

    Raises:
        UnknownId: a name fits no version, or several.
    """
    old, new = (store.catalog.get(ref, DatasetVersion) for ref in (before, after))
    episodes = sorted({entry.episode for version in (old, new) for entry in version.entries})
    tasks = {one.id: one.task for one in store.catalog.each(Episode, episodes)}
    return difference(old, new, labels={"task": tasks, "mode": _modes(store)})


def _modes(store: Workspace) -> dict[str, str]:
    """By episode: the failure mode that it was collected against, or "bootstrap"."""
    targets = {one.id: one.target for one in store.catalog.all(CorrectionRequest)}
    return {one.episode: targets[one.request] for one in store.catalog.all(Correction)}
