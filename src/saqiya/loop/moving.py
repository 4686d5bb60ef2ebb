"""The catalog moves to another database: from the workspace's own file to PostgreSQL when a lab grows, and back.

A kill at any moment leaves the old catalog in force until the one line of `saqiya.toml` that names it is replaced, and
the new one from then on. Either way the same command goes on: a copy that is whole is taken as it is.
"""

from __future__ import annotations

import json
import re
import secrets
import tomllib
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from saqiya.domain.contracts import Progress
from saqiya.domain.ids import Clock
from saqiya.errors import UsageError
from saqiya.loop.config import FILE_NAME, StoreConfig, read_store
from saqiya.stores.database import Database
from saqiya.stores.disk import disk_errors, replace_file
from saqiya.stores.facts import CATALOG, Facts, hold_to, named, presence, read_facts, write_facts
from saqiya.stores.move import Census, census, copied, kept, unmark

__all__ = ["OWN", "Census", "Moved", "kept", "move", "with_catalog"]

OWN: Final = "sqlite"
"""What the workspace's own file is called as a place to move to."""
_SCHEME: Final = re.compile(r"^postgres(ql)?://")
_LINE: Final = re.compile(r"^(\s*)(#\s*)?catalog\s*=\s*(\"[^\"]*\"|'[^']*')(.*)$", re.DOTALL)


@dataclass(frozen=True)
class Moved:
    """What became of a move.

    Attributes:
        catalog: what saqiya.toml names now, without a password; "" for the workspace's own file.
        held: what both catalogs hold.
        line: what to write under [store] by hand, "" where it is written: until then the old catalog is in force.
        old: where the old catalog's file lies now, "" where it was no file.
    """

    catalog: str
    held: Census
    line: str
    old: str


def move(root: Path, to: str, *, clock: Clock, progress: Progress) -> Moved:
    """Move a workspace's catalog to a PostgreSQL URL or, for `sqlite`, to its own file; nobody may have it open.

    Raises:
        WorkspaceBusy: somebody has it open.
        UsageError: the target holds a catalog already, or it is the one in force.
        ConfigError: it is no such URL, or holds a password.
        Corrupt: the copy is not the same, or cannot be; the old catalog stays in force.
    """
    path = (root / FILE_NAME).resolve()
    store = read_store(path)
    target = replace(store, catalog="" if to == OWN else _SCHEME.sub("postgresql+psycopg://", to))
    facts = read_facts(root)
    with presence(root, alone=True):
        hold_to(root, facts, store.database())
        facts = read_facts(root)
        if facts.catalog == named(target.database()):
            return _settled(root, target, clock)
        mark = facts.moving or secrets.token_hex(16)
        facts = msgspec.structs.replace(facts, moving=mark)
        write_facts(root, facts)
        with closing(_opened(root, store)) as old, closing(_opened(root, target)) as new:
            held = copied(old, new, mark=mark, progress=progress)
        write_facts(root, msgspec.structs.replace(facts, arrived=named(target.database())))
        text = path.read_bytes().decode() if path.exists() else ""
        edited = with_catalog(text, named(target.database()))
        if edited is None:
            return Moved(named(target.database()), held, _line(named(target.database())), "")
        _put(path, edited)
        hold_to(root, read_facts(root), target.database())
        return replace(_settled(root, target, clock), held=held)


def with_catalog(text: str, catalog: str) -> str | None:
    """Return the text of a saqiya.toml that names a catalog, all else as it was; None where it must be done by hand."""
    lines = text.splitlines(keepends=True)
    start = next((at for at, one in enumerate(lines) if re.match(r"\s*\[\s*store\s*\]", one)), None)
    if start is None:
        made = f"{text.rstrip()}\n\n[store]\n{_line(catalog)}\n".lstrip()
    else:
        end = next((at for at in range(start + 1, len(lines)) if re.match(r"\s*\[", lines[at])), len(lines))
        known = [(found[2] is not None, at) for at in range(start + 1, end) if (found := _LINE.match(lines[at]))]
        if known:
            at = min(known)[1]  # the line that counts, else the comment that shows it
            lines[at] = _LINE.sub(lambda found: f"{found[1]}{_line(catalog)}{found[4]}", lines[at])
        else:
            lines[start] = f"{lines[start].rstrip()}\n"
            lines.insert(start + 1, f"{_line(catalog)}\n")
        made = "".join(lines)
    wanted = tomllib.loads(text)
    try:
        wanted.setdefault("store", {})["catalog"] = catalog
        return made if tomllib.loads(made) == wanted else None
    except tomllib.TOMLDecodeError:
        return None


def _line(catalog: str) -> str:
    return f"catalog = {json.dumps(catalog)}"


def _put(path: Path, text: str) -> None:
    mode = path.stat().st_mode if path.exists() else None
    replace_file(path, text.encode())
    if mode is not None:
        path.chmod(mode)


def _opened(root: Path, store: StoreConfig) -> Database:
    url: sa.URL | None = store.database()
    return Database(root / CATALOG if url is None else url)


def _settled(root: Path, target: StoreConfig, clock: Clock) -> Moved:
    """Clear away what a move leaves behind once it counts; there is nothing to clear where none was."""
    facts = read_facts(root)
    with closing(_opened(root, target)) as new:
        unmark(new)
        with new.reading() as connection:
            held = census(connection)
    write_facts(root, Facts(facts.format, facts.site, facts.catalog))
    return Moved(facts.catalog, held, "", _aside(root, clock) if facts.catalog else "")


def _aside(root: Path, clock: Clock) -> str:
    """Give the file of a catalog that counts no more another name and return it, "" where there is no file."""
    if not (root / CATALOG).exists():
        return ""
    now = datetime.fromtimestamp(clock() / 1e9, UTC).strftime("%Y%m%dT%H%M%S")
    kept = root / f"catalog-until-{now}.sqlite"
    if kept.exists():
        raise UsageError("is there already", subject=str(kept), remedy="Move it away, then repeat the command.")
    Database(root / CATALOG).close()  # what a killed process left in the log beside it comes into the file
    with disk_errors(root):
        (root / CATALOG).rename(kept)
    return str(kept)
