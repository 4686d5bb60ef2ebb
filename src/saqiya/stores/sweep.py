"""Takes away what nobody needs: bytes that no row came to name, and those that a tombstone stands for."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from saqiya.stores.catalog import Catalog
from saqiya.stores.disk import disk_errors
from saqiya.stores.objects import Objects
from saqiya.stores.schema import object_refs

__all__ = ["GRACE_S", "Swept", "sweep", "waste"]

GRACE_S: Final = 24 * 3600.0
"""How long an object may lie unreferenced: longer than any step takes between writing bytes and committing the row."""

_DIGEST_LETTERS: Final = 64
_CHUNK: Final = 200  # objects looked at under one write lock


@dataclass(frozen=True)
class Swept:
    """What a sweep took away: objects and packs, files of dead writers, and erased objects that had come back."""

    objects: int
    leftovers: int
    size_bytes: int
    erased: int = 0


def waste(objects: Objects, needed: Container[str], *, now_ns: int, grace_s: float = GRACE_S) -> Iterator[str]:
    """Yield the digests of objects and packs that are older than the grace and not needed."""
    before_ns = now_ns - int(grace_s * 1e9)
    for digest, state in objects.alone():
        if state.written_ns < before_ns and digest not in needed:
            yield digest
    for pack, contents in objects.packs.refresh().items():
        found = objects.pack_stat(pack)
        if found is not None and found.written_ns < before_ns and not any(one in needed for one in contents.members()):
            yield pack


def sweep(catalog: Catalog, objects: Objects, *, now_ns: int, grace_s: float = GRACE_S) -> Swept:
    """Delete unreferenced objects, packs of such, and leftovers of dead writers, all older than the grace.

    The catalog's write lock is held while some are looked at and deleted: no row can come to need one in between. A
    writer that finds an old object makes it young, and the sweep looks at its age last, so what it deletes nobody has
    just asked for. Erased bytes that are still here (a crash in an erasure, a pack made meanwhile) go too, old or not.
    """
    before_ns = now_ns - int(grace_s * 1e9)
    swept = size_bytes = 0
    old = [digest for digest, state in objects.alone() if state.written_ns < before_ns]
    for part in _chunks(old):
        with catalog.database.writing() as connection:
            needed = _needed(connection, part)
            for digest in part:
                if digest not in needed or objects.packs.find(digest) is not None:
                    freed = objects.retire(digest, before_ns=before_ns)
                    size_bytes, swept = size_bytes + freed, swept + (freed > 0)
    for pack, contents in list(objects.packs.refresh().items()):
        members = contents.members()
        with catalog.database.writing() as connection:
            if not any(_needed(connection, part) for part in _chunks(members)):
                freed = objects.retire_pack(pack, before_ns=before_ns)
                size_bytes, swept = size_bytes + freed, swept + (freed > 0)
    erased = _erased(catalog, objects)
    size_bytes += objects.expunge(erased) if erased else 0
    leftovers = [path for path in objects.leftovers() if _is_old(path, before_ns)]
    with disk_errors(objects.incoming):
        for path in leftovers:
            size_bytes += path.stat().st_size
            path.unlink(missing_ok=True)
    return Swept(objects=swept, leftovers=len(leftovers), size_bytes=size_bytes, erased=len(erased))


def _needed(connection: sa.Connection, digests: Sequence[str]) -> set[str]:
    query = sa.select(object_refs.c.digest).where(object_refs.c.digest.in_(digests))
    return set(connection.execute(query).scalars())


def _erased(catalog: Catalog, objects: Objects) -> list[str]:
    digests = sorted(key for key in catalog.erased() if len(key) == _DIGEST_LETTERS)
    return [digest for digest, stamp in objects.stamps(digests).items() if stamp is not None]


def _is_old(path: Path, before_ns: int) -> bool:
    try:
        return path.stat().st_mtime_ns < before_ns
    except FileNotFoundError:  # its writer has just finished with it
        return False


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[first : first + _CHUNK] for first in range(0, len(items), _CHUNK))
