"""A catalog copied row by row into another database, in one transaction there, and compared before it counts.

Both sides are counted in full: rows of each table, the trail's head, and one hash over all contents. The hash is the
sum of the rows' SHA-256, modulo 2^256, so that neither side need sort (sums of hashes: Bellare and Micciancio 1997; we
look for accidents, not for somebody who makes rows to fit).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from saqiya.domain.contracts import Progress
from saqiya.errors import AlreadyThere, Corrupt, UsageError
from saqiya.stores.database import Database
from saqiya.stores.desk_tables import trail
from saqiya.stores.disk import disk_errors, sync_folder
from saqiya.stores.schema import metadata

__all__ = ["Census", "census", "copied", "kept", "unmark"]

_CHUNK: Final = 1000
_TABLES: Final = metadata.sorted_tables  # what others refer to comes first
_mark: Final = sa.Table("arriving", sa.MetaData(), sa.Column("mark", sa.Text, primary_key=True))
"""Only in a database that a move has written to and that does not count yet: whose rows these are."""


@dataclass(frozen=True)
class Census:
    """What a catalog holds: rows by table, number and hash of the trail's newest entry, one hash over all contents."""

    rows: Mapping[str, int]
    trail: tuple[int, str]
    content: str


def census(connection: sa.Connection) -> Census:
    """Count what a transaction sees."""
    rows, total = dict[str, int](), 0
    for table in _TABLES:
        rows[table.name] = 0
        found = connection.execution_options(yield_per=_CHUNK).execute(sa.select(table))
        for row in found:
            text = json.dumps([table.name, *row], separators=(",", ":"))
            total += int.from_bytes(hashlib.sha256(text.encode()).digest())
            rows[table.name] += 1
    last = connection.execute(sa.select(trail.c.seq, trail.c.hash).order_by(trail.c.seq.desc()).limit(1)).first()
    head = (int(last.seq), str(last.hash)) if last else (0, "")
    return Census(rows, head, f"{total % (1 << 256):064x}")


def copied(source: Database, target: Database, *, mark: str, progress: Progress) -> Census:
    """Copy a catalog into an empty one, compare both, and return what they hold; nobody may write to either meanwhile.

    What an earlier try left under the same `mark` is taken as it is where it is whole, and replaced where it is not.

    Raises:
        UsageError: the target holds a catalog already.
        Corrupt: the two differ, or the target takes no such text.
        StorageFull, WorkspaceBusy, WorkspaceError: see `Database`; the target is as it was.
    """
    with source.writing() as old:  # so that no other writer comes in between
        return _same(old, target, mark=mark, progress=progress)


def kept(source: Database, path: Path, *, progress: Progress) -> Census:
    """Copy a catalog as it is at one moment into a new SQLite file, while others work on; return what it holds.

    Raises:
        AlreadyThere: there is such a file.
        UsageError: there is no folder for it.
        Corrupt: the two differ.
        StorageFull: no room; there is no file then.
    """
    if path.exists():
        raise AlreadyThere("is there already", subject=str(path), remedy="Name another file")
    if not path.parent.is_dir():
        raise UsageError("is no folder", subject=str(path.parent), remedy="Make it, or name a file in another one")
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    with closing(Database(part)) as target, source.reading() as old:
        told = _same(old, target, mark=path.name, progress=progress)
        unmark(target)
    with disk_errors(path):
        part.rename(path)
        sync_folder(path.parent)
    return told


def _same(old: sa.Connection, target: Database, *, mark: str, progress: Progress) -> Census:
    told = census(old)
    if not _arrived(target, mark, told):
        try:
            with target.writing() as new:
                _copy(old, new, mark=mark, of=sum(told.rows.values()), progress=progress)
        except UsageError as error:
            raise Corrupt(
                "takes not all of the text that the catalog holds",
                subject=target.subject,
                remedy="`saqiya verify` says where it is damaged; a NUL in a name is none of PostgreSQL's",
            ) from error
    with target.reading() as new:
        found = census(new)
    if found != told:
        raise Corrupt(
            f"the copy is not the same: {_short(told)} here, {_short(found)} there",
            subject=target.subject,
            remedy="Nothing was changed here. Repeat the command; if it stays so, tell us",
        )
    return told


def unmark(target: Database) -> None:
    """Say that what stands in a database counts from now on."""
    with target.writing() as connection:
        _mark.drop(connection, checkfirst=True)


def _arrived(target: Database, mark: str, told: Census) -> bool:
    """Say whether the whole copy is there already.

    Raises:
        UsageError: something else is.
    """
    with target.reading() as connection:
        if all(connection.execute(sa.select(table).limit(1)).first() is None for table in _TABLES):
            return False
        left = sa.inspect(connection).has_table(_mark.name)
        if left and connection.execute(sa.select(_mark.c.mark)).scalar() == mark:
            return census(connection) == told
    raise UsageError(
        "holds a catalog already, and not what a move from here left",
        subject=target.subject,
        remedy="Name an empty database, or empty this one yourself if nobody needs it",
    )


def _copy(old: sa.Connection, new: sa.Connection, *, mark: str, of: int, progress: Progress) -> None:
    _mark.create(new, checkfirst=True)
    for table in (_mark, *reversed(_TABLES)):
        new.execute(sa.delete(table))
    new.execute(sa.insert(_mark), {"mark": mark})
    done = 0
    for table in _TABLES:
        rows = old.execution_options(yield_per=_CHUNK).execute(sa.select(table))
        for part in rows.mappings().partitions():
            new.execute(sa.insert(table), [dict(row) for row in part])
            done += len(part)
            progress("copying the catalog", done, of)


def _short(told: Census) -> str:
    return f"{sum(told.rows.values())} rows, trail {told.trail[0]} {told.trail[1][:8]}, content {told.content[:8]}"
