"""`workspace.json`: what a workspace is and which database has its catalog; and who has the workspace open.

`saqiya.toml` names the catalog, and this file keeps the workspace to it: a workspace that is opened on another catalog
than last time is refused. A move of the catalog goes through both files, and the one line of `saqiya.toml` decides: as
long as it names the old catalog, that one is in force.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from saqiya.errors import Corrupt, NoWorkspace, UsageError, WorkspaceBusy, WorkspaceTooNew
from saqiya.stores.database import files_of
from saqiya.stores.disk import disk_errors, replace_file

__all__ = ["CATALOG", "FORMAT", "Facts", "hold_to", "named", "presence", "read_facts", "write_facts"]

CATALOG: Final = "catalog.sqlite"
FORMAT: Final = 1
_FILE: Final = "workspace.json"


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of `workspace.json`.

    Attributes:
        format: of the workspace.
        site: the name that every id made here carries.
        catalog: the database's URL without its password, "" for catalog.sqlite.
        moving: the mark on whatever a move under way has written elsewhere, "" where none is.
        arrived: where a whole copy of the catalog stands; it counts once saqiya.toml names it.
    """

    format: int = -1
    site: str = ""
    catalog: str = ""
    moving: str = ""
    arrived: str | None = None


def read_facts(root: Path) -> Facts:
    """Return what a folder says of itself.

    Raises:
        NoWorkspace: it is no workspace.
        WorkspaceTooNew: a newer Saqiya made it.
        Corrupt: the file cannot be read.
    """
    path = root / _FILE
    if not path.is_file():
        raise NoWorkspace(
            "there is no workspace here", subject=str(root), remedy="Name one with -w, or make one with `saqiya init`"
        )
    try:
        with disk_errors(path):
            facts = msgspec.json.decode(path.read_bytes(), type=Facts)
        if facts.format < 0:
            raise msgspec.ValidationError("no format")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Corrupt(
            f"cannot be read ({error})", subject=str(path), remedy='It should read {"format": 1, "site": "<name>"}'
        ) from error
    if facts.format > FORMAT:
        raise WorkspaceTooNew(
            f"the workspace has format {facts.format}, this Saqiya knows up to {FORMAT}",
            subject=str(root),
            remedy="Use the Saqiya that made it, or a newer one",
        )
    return facts


def write_facts(root: Path, facts: Facts) -> None:
    """Put the file in place, all at once."""
    replace_file(root / _FILE, msgspec.json.encode(facts))


def named(database: sa.URL | None) -> str:
    """Return the name of a catalog as the files have it: without a password, "" for the workspace's own file."""
    return database.set(password=None).render_as_string() if database is not None else ""


@contextmanager
def presence(root: Path, *, alone: bool = False) -> Iterator[None]:
    """Have a workspace open beside others, or `alone`; it ends with the block or the process, whatever ends it.

    Raises:
        WorkspaceBusy: others have it open, or somebody has it alone.
    """
    path = root / "locks" / "open.lock"
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, (os.O_RDWR if alone else os.O_RDONLY) | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            what = "others have it open: a server, a turn, a script" if alone else "its catalog is being moved"
            remedy = f"Stop them first: `fuser -v {path}` names them" if alone else "Wait for it, then repeat"
            raise WorkspaceBusy(what, subject=str(root), remedy=remedy) from error
        yield
    finally:
        os.close(handle)


def hold_to(root: Path, facts: Facts, database: sa.URL | None) -> None:
    """Refuse another catalog than that of last time: facts would seem lost, and new ones would go astray.

    Raises:
        UsageError: it is another one.
    """
    wanted, own = named(database), root / CATALOG
    if facts.catalog == wanted:
        if facts.arrived is not None:  # what is stored from now on the copy will lack
            write_facts(root, msgspec.structs.replace(facts, arrived=None))
    elif facts.arrived == wanted:  # the move was cut off behind the one line that counts
        write_facts(root, Facts(facts.format, facts.site, wanted))
    elif not facts.catalog and not (own.exists() and _in_use(own)):
        write_facts(root, Facts(facts.format, facts.site, wanted))
        for file in files_of(own):  # it is empty, and would only mislead
            file.unlink()
    else:
        raise UsageError(
            f"its catalog is {facts.catalog or CATALOG}, and saqiya.toml names {wanted or 'none, so its own file'}",
            subject=str(root),
            remedy="Put [store] catalog back; `saqiya catalog move` moves what is there",
        )


def _in_use(path: Path) -> bool:
    """Say whether a catalog's file holds anything that somebody would miss: a noun, a person, an entry of the trail."""
    with closing(sqlite3.connect(path)) as file:
        there = {name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return any(
            file.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None  # noqa: S608 - our own three words
            for table in ("nouns", "people", "trail")
            if table in there
        )
