"""Counts of what changes, for whoever asks often: slots by state, entries of the trail by act."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from saqiya.stores.database import Database
from saqiya.stores.desk_tables import leases, trail
from saqiya.stores.leases import LeaseState

__all__ = ["any_act", "slots_and_acts"]

_STATES: Final = sa.select(leases.c.state, sa.func.count()).group_by(leases.c.state)
_ACTS: Final = sa.select(trail.c.what, sa.func.count()).group_by(trail.c.what)
_ANY: Final = sa.select(trail.c.seq).limit(1)


def any_act(database: Database) -> bool:
    """Say whether anybody ever did anything: the cheapest question that only a catalog answers."""
    with database.reading() as connection:
        return connection.execute(_ANY).first() is not None


def slots_and_acts(database: Database) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many slots are in each state, and how many entries the trail has of each act."""
    with database.reading() as connection:
        states = {str(state): int(n) for state, n in connection.execute(_STATES)}
        acts = {str(what): int(n) for what, n in connection.execute(_ACTS)}
    return {one.value: states.get(one.value, 0) for one in LeaseState}, acts
