"""Leases: who works on which slot of which request until when. No row is an open slot; so is an expired lease.

Every change carries the number of its entry in the trail, so a reader that knows all up to one number asks only for
what came after it. A renewal moves the expiry alone and leaves no entry: a heartbeat is no act.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from saqiya.stores.desk_tables import leases

__all__ = ["LeaseRow", "LeaseState", "at", "changed", "held", "moved", "of", "store", "waiting"]

_NAMES: Final = tuple(leases.c.keys())
_PAGE: Final = 1000
# Written once: to write a statement anew takes longer than to answer it.
_HERE: Final = sa.and_(leases.c.request == sa.bindparam("a_request"), leases.c.slot == sa.bindparam("a_slot"))
_AT: Final = sa.select(leases).where(_HERE)
_OF: Final = sa.select(leases).where(leases.c.id == sa.bindparam("an_id"))
_CHANGED: Final = sa.select(leases).where(leases.c.seq > sa.bindparam("after")).order_by(leases.c.seq).limit(_PAGE)
_HELD: Final = (
    sa.select(leases)
    .where(leases.c.person == sa.bindparam("a_person"), leases.c.state == "leased")
    .where(leases.c.until_ns > sa.bindparam("now"))
    .order_by(leases.c.since_ns)
)
_LONGEST: Final = (leases.c.since_ns, leases.c.request, leases.c.slot)
_SUBMITTED: Final = sa.select(leases).where(leases.c.state == "submitted").limit(sa.bindparam("most"))
_WAITING: Final = _SUBMITTED.order_by(*_LONGEST)
_ME: Final = sa.bindparam("a_reviewer", type_=sa.Text)
_WAITING_FOR: Final = _SUBMITTED.where(
    leases.c.person != _ME,
    sa.or_(leases.c.reviewer == "", leases.c.reviewer == _ME, leases.c.reviewing_until_ns <= sa.bindparam("now")),
).order_by(sa.case((leases.c.reviewer == _ME, 0), else_=1), *_LONGEST)
_REST: Final = [name for name in _NAMES if name not in {"request", "slot"}]
_STORE: Final = sa.text(  # both databases say it alike, SQLAlchemy has a construct for each
    f"INSERT INTO leases ({', '.join(_NAMES)}) VALUES ({', '.join(':' + name for name in _NAMES)}) "  # noqa: S608
    f"ON CONFLICT (request, slot) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _REST)}"
)


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

    def lapsed(self, now_ns: int) -> bool:
        """Say whether somebody had the slot and its time is over."""
        return self.state in {LeaseState.LEASED, LeaseState.RETURNED} and self.until_ns <= now_ns

    def free(self, person: str, now_ns: int) -> bool:
        """Say whether a person could take the slot now."""
        theirs = self.state is LeaseState.RETURNED and self.person == person
        return self.state is LeaseState.OPEN or theirs or self.lapsed(now_ns)


def at(connection: sa.Connection, request: str, slot: int) -> LeaseRow | None:
    """Return the row of a slot, or None."""
    return _first(connection.execute(_AT, {"a_request": request, "a_slot": slot}))


def of(connection: sa.Connection, lease_id: str) -> LeaseRow | None:
    """Return the row of the lease with this id, or None once somebody else took the slot."""
    return _first(connection.execute(_OF, {"an_id": lease_id}))


def changed(connection: sa.Connection, after_seq: int) -> list[LeaseRow]:
    """Return every row that changed after an entry of the trail, in that order."""
    found: list[LeaseRow] = []
    while True:
        part = [_row(row) for row in connection.execute(_CHANGED, {"after": found[-1].seq if found else after_seq})]
        found += part
        if len(part) < _PAGE:
            return found


def moved(connection: sa.Connection, after_seq: int) -> tuple[int, int]:
    """Return how many slots changed hands after an entry of the trail, and the number of the last that did."""
    found = sa.select(sa.func.count(), sa.func.max(leases.c.seq)).where(leases.c.seq > after_seq)
    count, newest = connection.execute(found).one()
    return int(count), int(newest or after_seq)


def held(connection: sa.Connection, person: str, now_ns: int) -> list[LeaseRow]:
    """Return what a person holds now: leased and not expired, the oldest first."""
    return [_row(row) for row in connection.execute(_HELD, {"a_person": person, "now": now_ns})]


def waiting(connection: sa.Connection, limit: int, *, reviewer: str = "", now_ns: int = 0) -> list[LeaseRow]:
    """Return the slots whose submissions wait for a review, those that wait longest first.

    Args:
        connection: a transaction.
        limit: at most so many.
        reviewer: without their own and what others look at, and what they look at themselves first; "" for all.
        now_ns: when others' looks are over.
    """
    said = {"a_reviewer": reviewer, "now": now_ns, "most": limit}
    return [_row(row) for row in connection.execute(_WAITING_FOR if reviewer else _WAITING, said)]


def store(connection: sa.Connection, row: LeaseRow) -> None:
    """Write a slot's row, new or in place of its old one, inside a writing transaction."""
    values = asdict(row) | {"state": row.state.value}
    connection.execute(_STORE, values)


def _first(found: sa.CursorResult[Any]) -> LeaseRow | None:
    row = found.first()
    return None if row is None else _row(row)


def _row(row: sa.Row[Any]) -> LeaseRow:
    said = dict(zip(_NAMES, row, strict=True))
    return LeaseRow(**(said | {"state": LeaseState(row.state)}))
