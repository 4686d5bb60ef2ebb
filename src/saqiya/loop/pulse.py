"""How a workspace does, asked often by whatever watches the server: a few counts, and none that grows slow."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saqiya.stores import counts

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Pulse", "answers", "pulse"]


@dataclass(frozen=True)
class Pulse:
    """What there is now.

    Attributes:
        slots: that somebody took at least once, by where they stand.
        acts: entries of the trail, by what was done.
        catalog_bytes: what the catalog takes on its disk.
        free_bytes: what is left where the workspace lies.
    """

    slots: Mapping[str, int]
    acts: Mapping[str, int]
    catalog_bytes: int
    free_bytes: int


def answers(wheel: Flywheel) -> None:
    """Ask the catalog for one row.

    Raises:
        WorkspaceError: it does not answer.
    """
    counts.any_act(wheel.store.catalog.database)


def pulse(wheel: Flywheel) -> Pulse:
    """Count what there is now."""
    store = wheel.store
    slots, acts = counts.slots_and_acts(store.catalog.database)
    return Pulse(slots, acts, store.catalog.database.size_bytes(), shutil.disk_usage(store.root).free)
