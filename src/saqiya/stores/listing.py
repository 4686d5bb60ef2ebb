"""Parts of the catalog for whoever looks through it: a page of one kind, and what is new, without reading the rest."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from saqiya.domain.nouns import Noun
from saqiya.stores.catalog import Catalog, noun_of
from saqiya.stores.schema import nouns

__all__ = ["Row", "Stamp", "newest_ns", "page", "stamps", "stored_ns"]


@dataclass(frozen=True)
class Row:
    """A noun with its key and when it was stored."""

    created_ns: int
    key: str
    noun: Noun


@dataclass(frozen=True)
class Stamp:
    """That a noun was stored, and when."""

    created_ns: int
    kind: str
    id: str
    key: str


def page(catalog: Catalog, kind: type[Noun], *, before_ns: int | None, limit: int) -> list[Row]:
    """Return nouns of a class, the newest first, that were stored before a moment (None: now)."""
    chosen = nouns.c.kind == kind.kind
    if before_ns is not None:
        chosen = sa.and_(chosen, nouns.c.created_ns < before_ns)
    query = sa.select(nouns).where(chosen).order_by(nouns.c.created_ns.desc()).limit(limit)
    with catalog.database.reading() as connection:
        return [Row(row.created_ns, row.key, noun_of(row)) for row in connection.execute(query)]


def stamps(catalog: Catalog, after_ns: int, *, limit: int) -> list[Stamp]:
    """Return what was stored after a moment, in that order, without its contents."""
    columns = (nouns.c.created_ns, nouns.c.kind, nouns.c.id, nouns.c.key)
    query = sa.select(*columns).where(nouns.c.created_ns > after_ns).order_by(nouns.c.created_ns).limit(limit)
    with catalog.database.reading() as connection:
        return [Stamp(*row) for row in connection.execute(query)]


def stored_ns(catalog: Catalog, noun_id: str) -> int:
    """Return when a noun was stored, 0 where there is none of this id."""
    with catalog.database.reading() as connection:
        found = connection.execute(sa.select(nouns.c.created_ns).where(nouns.c.id == noun_id)).scalar()
    return int(found or 0)


def newest_ns(catalog: Catalog) -> int:
    """Return when the newest noun was stored, 0 in an empty catalog."""
    with catalog.database.reading() as connection:
        return int(connection.execute(sa.select(sa.func.max(nouns.c.created_ns))).scalar() or 0)
