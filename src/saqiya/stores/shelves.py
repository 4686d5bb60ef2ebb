"""Nouns that were read, kept: the one cache of them. A kind that was asked for as a whole is read on, never again.

It is never wrong and never behind, because nouns are only ever added, each with a later birth than all before it, and
none changes: what is kept of a kind lacks only what is newer, and that is asked of the database each time.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

import sqlalchemy as sa

from saqiya.domain.nouns import Noun
from saqiya.stores.database import Database
from saqiya.stores.rows import noun_of
from saqiya.stores.schema import nouns

__all__ = ["Shelf", "Shelves"]

_HELD_AT_MOST: Final = 20_000
"""Nouns kept of those that were stored, or asked for one by one."""
_SHELVED_AT_MOST: Final = 200_000
"""Nouns kept of kinds that were asked for as a whole; most take 3 KB. What is beyond is read again each time."""
_LATER: Final = (
    sa.select(nouns)
    .where(nouns.c.kind == sa.bindparam("a_kind"), nouns.c.created_ns > sa.bindparam("after"))
    .order_by(nouns.c.created_ns, nouns.c.id)
)


@dataclass
class Shelf:
    """All nouns of a kind with their births, in order. Its lists are replaced and never changed."""

    created_ns: list[int] = field(default_factory=list)
    nouns: list[Noun] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)


class Shelves:
    """Decoded nouns by id and by kind; callers share the objects. Any thread may ask."""

    def __init__(self, database: Database) -> None:
        """Keep nothing yet of what is in a database."""
        self._database = database
        self._held: dict[str, tuple[Noun, str]] = {}
        self._shelved: dict[str, tuple[Noun, str]] = {}
        self._shelves: dict[str, Shelf] = defaultdict(Shelf)

    def whole(self, kind: type[Noun]) -> Shelf:
        """Return all of a class as it is now."""
        shelf = self._shelves[kind.kind]
        with shelf.lock:  # who else asks for this kind waits, and finds it read
            said = {"a_kind": kind.kind, "after": shelf.created_ns[-1] if shelf.created_ns else -1}
            with self._database.reading() as connection:
                rows = connection.execute(_LATER, said).all()
            if not rows:
                return Shelf(shelf.created_ns, shelf.nouns)
            fresh = [self._decoded(row) for row in rows]
            now = Shelf([*shelf.created_ns, *(row.created_ns for row in rows)], [*shelf.nouns, *fresh])
            if len(self._shelved) + len(rows) <= _SHELVED_AT_MOST:
                self._shelved.update((noun.id, (noun, row.key)) for noun, row in zip(fresh, rows, strict=True))
                shelf.created_ns, shelf.nouns = now.created_ns, now.nouns
            return now

    def read(self, row: sa.Row[Any]) -> Noun:
        """Return the noun of a row, and keep it."""
        noun = self._decoded(row)
        self.hold(noun, row.key)
        return noun

    def known(self, ref: str) -> tuple[Noun, str] | None:
        """Return a noun that is kept, by its id, with its key."""
        return self._shelved.get(ref) or self._held.get(ref)

    def hold(self, noun: Noun, key: str) -> None:
        """Keep a noun as it is stored."""
        if noun.id in self._shelved:
            return
        if len(self._held) >= _HELD_AT_MOST:
            self._held.clear()
        self._held[noun.id] = noun, key

    def _decoded(self, row: sa.Row[Any]) -> Noun:
        held = self.known(row.id)
        return noun_of(row) if held is None else held[0]
