"""Leases: who works on which slot of which request until when. No row is an open slot; so is an expired lease.

Every change carries the number of its entry in the trail, so a reader that knows all up to one number asks only for
what came after it. A renewal moves the expiry alone and leaves no entry: a heartbeat is no act.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from saqiya.stores.desk_tables import leases

__all__ = ["LeaseRow", "LeaseState", "at", "changed", "held", "of", "store", "waiting"]

_NAMES: Final = tuple(leases.c.keys())


class LeaseState(StrEnum):
    """Where a slot stands that somebody took at least once.

    OPEN: handed back. LEASED: somebody works on it, until it expires. RETURNED: sent back, kept for its operator until
    it expires. SUBMITTED: waits for a reviewer. DONE: decided.
    """

    OPEN = "open"
    LEASED = "leased"
    RETURNED = "returned"
    SUBMITTED = "submitted"
    DONE = "done"


@dataclass(frozen=True)
class LeaseRow:
    """One slot's row. `submission` is what was handed in last, `reviewer` who looks at it, "" where there is none."""

    request: str
    slot: int
    id: str
    person: str
    since_ns: int
    until_ns: int
    state: LeaseState
    submission: str = ""
    reviewer: str = ""
    reviewing_until_ns: int = 0
    seq: int = 0

    def free(self, person: str, now_ns: int) -> bool:
        """Say whether a person could take the slot now."""
        if self.state in {LeaseState.LEASED, LeaseState.RETURNED} and self.until_ns > now_ns:
            return self.state is LeaseState.RETURNED and self.person == person
        return self.state in {LeaseState.OPEN, LeaseState.LEASED, LeaseState.RETURNED}


def at(connection: sa.Connection, request: str, slot: int) -> LeaseRow | None:
    """Return the row of a slot, or None."""
    return _first(connection, leases.c.request == request, leases.c.slot == slot)


def of(connection: sa.Connection, lease_id: str) -> LeaseRow | None:
    """Return the row of the lease with this id, or None once somebody else took the slot."""
    return _first(connection, leases.c.id == lease_id)


def changed(connection: sa.Connection, after_seq: int) -> list[LeaseRow]:
    """Return every row that changed after an entry of the trail, in that order."""
    query = sa.select(leases).where(leases.c.seq > after_seq).order_by(leases.c.seq)
    return [_row(row) for row in connection.execute(query)]


def held(connection: sa.Connection, person: str, now_ns: int) -> list[LeaseRow]:
    """Return what a person holds now: leased and not expired, the oldest first."""
    query = sa.select(leases).where(
        leases.c.person == person, leases.c.state == LeaseState.LEASED.value, leases.c.until_ns > now_ns
    )
    return [_row(row) for row in connection.execute(query.order_by(leases.c.since_ns))]


def waiting(connection: sa.Connection, limit: int, *, reviewer: str = "", now_ns: int = 0) -> list[LeaseRow]:
    """Return the slots whose submissions wait for a review, those that wait longest first.

    Args:
        connection: a transaction.
        limit: at most so many.
        reviewer: without their own and what others look at, and what they look at themselves first; "" for all.
        now_ns: when others' looks are over.
    """
    query = sa.select(leases).where(leases.c.state == LeaseState.SUBMITTED.value)
    if reviewer:
        nobody = sa.or_(leases.c.reviewer.in_(("", reviewer)), leases.c.reviewing_until_ns <= now_ns)
        query = query.where(leases.c.person != reviewer, nobody)
        query = query.order_by(sa.case((leases.c.reviewer == reviewer, 0), else_=1))
    query = query.order_by(leases.c.since_ns, leases.c.request, leases.c.slot).limit(limit)
    return [_row(row) for row in connection.execute(query)]


def store(connection: sa.Connection, row: LeaseRow) -> None:
    """Write a slot's row, new or in place of its old one, inside a writing transaction."""
    values = asdict(row) | {"state": row.state.value}
    here = sa.and_(leases.c.request == row.request, leases.c.slot == row.slot)
    if not connection.execute(sa.update(leases).where(here).values(values)).rowcount:
        connection.execute(sa.insert(leases), values)


def _first(connection: sa.Connection, *tests: sa.ColumnElement[bool]) -> LeaseRow | None:
    rows: Sequence[sa.Row[Any]] = connection.execute(sa.select(leases).where(*tests)).all()
    return _row(rows[0]) if rows else None


def _row(row: sa.Row[Any]) -> LeaseRow:
    said = dict(zip(_NAMES, row, strict=True))
    return LeaseRow(**(said | {"state": LeaseState(row.state)}))
