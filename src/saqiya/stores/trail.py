"""The trail: who did what to which thing, appended in the transaction of the act and chained by hashes.

Each entry's hash covers the entry and the hash before it, so that no entry can be changed, dropped or put in between
without every later hash betraying it (Haber and Stornetta 1991). A chain says nothing of entries cut off at its end:
`verify` therefore also asks for the entry of every submission and review, and `head` can be written down elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from saqiya.domain.streams import JsonValue
from saqiya.errors import Corrupt
from saqiya.stores.database import Database
from saqiya.stores.desk_tables import leases, trail
from saqiya.stores.schema import nouns

__all__ = ["Entry", "Trail", "append", "lies"]

_NAMES: Final = tuple(trail.c.keys())
_FIRST: Final = ""
_LAST: Final = sa.select(trail.c.seq, trail.c.hash).order_by(trail.c.seq.desc()).limit(1)
_INSERT: Final = sa.insert(trail)
_CHUNK: Final = 500
_ACTS: Final = ("submission", "review")


@dataclass(frozen=True)
class Entry:
    """One act: `who` did `what` to `subject`, with what else is worth keeping."""

    seq: int
    t_ns: int
    who: str
    what: str
    subject: str
    detail: Mapping[str, JsonValue]
    hash: str


def append(
    connection: sa.Connection,
    who: str,
    what: str,
    subject: str,
    detail: Mapping[str, JsonValue] | None = None,
    *,
    now_ns: int,
) -> int:
    """Add an entry inside a writing transaction, and return its number: acts that commit together are told together."""
    last = connection.execute(_LAST).first()
    seq, previous = (last.seq + 1, last.hash) if last else (1, _FIRST)
    row = {"seq": seq, "t_ns": now_ns, "who": who, "what": what, "subject": subject}
    row |= {"detail": json.dumps(dict(detail or {}), sort_keys=True, separators=(",", ":")), "previous": previous}
    connection.execute(_INSERT, row | {"hash": _hash(row)})
    return int(seq)


class Trail:
    """Reads the trail."""

    def __init__(self, database: Database) -> None:
        """Read that of `database`."""
        self.database = database

    def read(self, *, who: str = "", subject: str = "", before: int = 1 << 62, limit: int = 100) -> tuple[Entry, ...]:
        """Return the newest entries first.

        Args:
            who: only this person's; "" for everybody's.
            subject: only about this thing; "" for all.
            before: only entries with a smaller number: the next page.
            limit: at most so many.
        """
        query = sa.select(trail).where(trail.c.seq < before).order_by(trail.c.seq.desc()).limit(limit)
        for column, wanted in ((trail.c.who, who), (trail.c.subject, subject)):
            if wanted:
                query = query.where(column == wanted)
        with self.database.reading() as connection:
            return tuple(_entry(row) for row in connection.execute(query))

    def head(self) -> tuple[int, str]:
        """Return number and hash of the newest entry, (0, "") before the first: written down, they pin all before."""
        with self.database.reading() as connection:
            last = connection.execute(_LAST).first()
        return (last.seq, last.hash) if last else (0, "")


def lies(connection: sa.Connection) -> Iterator[tuple[str, str]]:
    """Yield (entry, what is wrong): a broken chain, an act that left no entry, a lease on what is not there."""
    expected, previous, told = 1, _FIRST, set[str]()
    rows = connection.execution_options(yield_per=_CHUNK).execute(sa.select(trail).order_by(trail.c.seq))
    for row in rows:
        name = f"trail/{row.seq}"
        if row.seq != expected:
            yield name, f"entries {expected} to {row.seq - 1} of the trail are gone"
        elif row.previous != previous:
            yield name, "the trail's chain breaks here: the entry before it is another one than it names"
        if _hash(dict(zip(_NAMES, row, strict=True))) != row.hash:
            yield name, "this entry of the trail was changed after it was written"
        expected, previous = row.seq + 1, row.hash
        told.add(row.subject)
    acts = connection.execute(sa.select(nouns.c.id, nouns.c.kind).where(nouns.c.kind.in_(_ACTS)))
    yield from ((row.id, f"the trail has no entry of this {row.kind}") for row in acts if row.id not in told)
    handed = sa.select(leases.c.id, leases.c.submission).where(leases.c.submission != "")
    known = sa.select(nouns.c.id).where(nouns.c.kind == "submission")
    for row in connection.execute(handed.where(leases.c.submission.not_in(known))):
        yield row.id, f"this lease names a submission that is not stored: {row.submission}"


def _hash(row: Mapping[str, Any]) -> str:
    said = [row[name] for name in ("seq", "t_ns", "who", "what", "subject", "detail", "previous")]
    return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()


def _entry(row: sa.Row[Any]) -> Entry:
    try:
        detail = json.loads(row.detail)
    except ValueError as error:
        raise Corrupt("an entry of the trail is damaged", subject=f"trail/{row.seq}", remedy="saqiya verify") from error
    return Entry(row.seq, row.t_ns, row.who, row.what, row.subject, detail, row.hash)
