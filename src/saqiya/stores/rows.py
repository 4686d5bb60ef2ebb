"""A noun as a row of the catalog and back, and what is checked on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from saqiya.domain.nouns import NOUNS, Noun
from saqiya.errors import Corrupt, UnknownId, UsageError
from saqiya.stores.codec import SCHEME, canonical, decode, seal
from saqiya.stores.references import Reference
from saqiya.stores.schema import nouns

__all__ = ["check", "check_targets", "chunks", "kinds_of", "noun_of", "row_of"]

# Asked for every noun that is stored: to write it anew takes longer than to answer it.
_KINDS: Final = sa.select(nouns.c.id, nouns.c.kind).where(nouns.c.id.in_(sa.bindparam("ids", expanding=True)))
_CHUNK: Final = 500  # below every database's limit of parameters in one statement


def check(noun: Noun, key: str) -> None:
    """Refuse what is no noun, and names that name nothing.

    Raises:
        UsageError: either is the case.
    """
    if NOUNS.get(noun.kind) is not type(noun):
        raise UsageError(f"{type(noun).__name__} is not a kind of noun", remedy="Declare it in domain/nouns.py")
    if not key or "\0" in key or not noun.id or "\0" in noun.id:
        raise UsageError(
            "a noun needs an id and a key without NUL", subject=noun.kind, remedy="Name what it was made from"
        )


def row_of(noun: Noun, key: str, created_ns: int) -> dict[str, Any]:
    """Return a noun as a row of the table `nouns`."""
    _, payload = canonical(noun)
    return {
        "id": noun.id,
        "kind": noun.kind,
        "key": key,
        "created_ns": created_ns,
        "scheme": SCHEME,
        "payload": payload,
        "seal": seal(kind=noun.kind, key=key, scheme=SCHEME, created_ns=created_ns, payload=payload),
    }


def noun_of(row: sa.Row[Any]) -> Noun:
    """Return the noun of a row of the table `nouns`, after its seal was checked.

    Raises:
        Corrupt: the row was changed after it was stored.
        WorkspaceTooNew: it is of a kind or scheme that this Saqiya does not know.
    """
    expected = seal(kind=row.kind, key=row.key, scheme=row.scheme, created_ns=row.created_ns, payload=row.payload)
    if expected != row.seal:
        raise Corrupt(
            f"this {row.kind} was changed after it was stored",
            subject=row.id,
            remedy="Run `saqiya verify` and restore the catalog from a backup",
        )
    return decode(row.kind, row.scheme, row.payload)


def chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield parts of a list that fit into one statement."""
    return (items[first : first + _CHUNK] for first in range(0, len(items), _CHUNK))


def kinds_of(connection: sa.Connection, ids: Iterable[str]) -> dict[str, str]:
    """Return the kind of every noun that is stored under one of these ids."""
    found: dict[str, str] = {}
    for part in chunks(sorted(ids)):
        found.update({row.id: row.kind for row in connection.execute(_KINDS, {"ids": part})})
    return found


def check_targets(links: Iterable[tuple[str, Reference]], kinds: Mapping[str, str]) -> None:
    """Refuse references to nouns that are not there, or of another kind.

    Raises:
        UnknownId: one is.
    """
    for source, link in links:
        if link.kind == "object":
            continue
        if link.target not in kinds:
            raise UnknownId(
                f"{source} refers to it in {link.field!r}, and it is not stored",
                subject=link.target,
                remedy="Store it first, or in the same batch",
            )
        if link.kind not in ("", kinds[link.target]):
            raise UnknownId(
                f"{source} refers to it in {link.field!r} as kind {link.kind}, and its kind is {kinds[link.target]}",
                subject=link.target,
                remedy=f"Give the id of a noun of kind {link.kind}",
            )
