"""Looks for lies: rows that were changed, references that lead nowhere, bytes that are gone or are not what they were.

Every row is checked every time, which is cheap. An object is read again only when its file has changed since it was
last found good, or when a full check asks for it: only a full check sees a disk that lost bits without a write.
What was found good is kept in one derived file; deleting it costs time and nothing else.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from saqiya.domain.manifest import manifest_hash
from saqiya.domain.nouns import DatasetVersion, Episode, Noun, Recording
from saqiya.errors import Corrupt
from saqiya.stores import trail
from saqiya.stores.catalog import Catalog
from saqiya.stores.disk import disk_errors, replace_file
from saqiya.stores.objects import Objects
from saqiya.stores.references import Reference, references
from saqiya.stores.rows import noun_of
from saqiya.stores.schema import nouns, object_refs, refs
from saqiya.stores.sweep import GRACE_S, waste

__all__ = ["Lie", "Report", "verify"]

_CHUNK: Final = 500
_Good = dict[str, str]  # digest -> the stamp of the bytes that were found good


@dataclass(frozen=True)
class Lie:
    """Something stored that is not what it says: `subject` is an id, a digest or the database."""

    subject: str
    what: str


@dataclass(frozen=True)
class Report:
    """What was checked and what was found.

    Attributes:
        nouns, references, objects: how many of each were checked.
        read: objects whose bytes were hashed now; the others had not changed since they were found good.
        erased: objects that are gone on purpose, with a tombstone.
        lies: everything that is wrong.
        sweepable: unreferenced objects, and packs of such, past their grace; waste, not lies.
    """

    nouns: int
    references: int
    objects: int
    read: int
    erased: int
    lies: tuple[Lie, ...]
    sweepable: tuple[str, ...]


@dataclass
class _Search:
    """What a verification has seen so far."""

    kinds: dict[str, str]
    lies: list[Lie] = field(default_factory=list)
    references: int = 0
    digests: dict[str, str] = field(default_factory=dict)  # digest -> the first noun that needs it
    versions: list[DatasetVersion] = field(default_factory=list)
    tombstones: set[str] = field(default_factory=set)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)  # digest -> an original's place and size
    linked: dict[str, str] = field(default_factory=dict)  # digest of a linked original -> an episode that needs it

    def lie(self, subject: str, what: str) -> None:
        """Note a lie; text that was damaged is made printable."""
        clean = [text.encode(errors="backslashreplace").decode() for text in (subject, what)]
        self.lies.append(Lie(*clean))


def verify(
    catalog: Catalog, objects: Objects, *, full: bool, derived: Path, now_ns: int, grace_s: float = GRACE_S
) -> Report:
    """Check every row, every reference and every referenced object; `derived` is the workspace's derived folder.

    Raises:
        Corrupt: the database file itself cannot be read.
        WorkspaceTooNew: rows are of a newer Saqiya.
    """
    with catalog.database.reading() as connection:
        search = _Search(kinds={row.id: row.kind for row in connection.execute(sa.select(nouns.c.id, nouns.c.kind))})
        _check_database(connection, search, full=full, is_sqlite=catalog.database.is_sqlite)
        rows = connection.execution_options(yield_per=_CHUNK).execute(sa.select(nouns).order_by(nouns.c.id))
        for part in rows.partitions():
            _check_rows(connection, part, search)
        _check_strays(connection, search)
        _check_versions(connection, search)
        for subject, what in trail.lies(connection):
            search.lie(subject, what)
    memory = derived / "verified.json"
    good: _Good = {} if full else _remembered(memory)
    read, erased, good = _check_objects(objects, search, good)
    _check_linked(search, full=full)
    with disk_errors(derived):
        derived.mkdir(parents=True, exist_ok=True)
    replace_file(memory, msgspec.json.encode(good))
    return Report(
        nouns=len(search.kinds),
        references=search.references,
        objects=len(search.digests),
        read=read,
        erased=erased,
        lies=tuple(search.lies),
        sweepable=tuple(waste(objects, search.digests.keys(), now_ns=now_ns, grace_s=grace_s)),
    )


def _check_database(connection: sa.Connection, search: _Search, *, full: bool, is_sqlite: bool) -> None:
    if is_sqlite:
        pragma = "integrity_check" if full else "quick_check"
        for (word,) in connection.exec_driver_sql(f"PRAGMA {pragma}"):
            if word != "ok":
                search.lie("catalog", f"the database is damaged: {word}")
    twice = sa.select(nouns.c.kind, nouns.c.key, sa.func.count()).group_by(nouns.c.kind, nouns.c.key)
    for kind, key, number in connection.execute(twice.having(sa.func.count() > 1)):
        search.lie(str(key), f"{number} nouns of kind {kind} share this key")


def _check_rows(connection: sa.Connection, part: Sequence[sa.Row[Any]], search: _Search) -> None:
    stored = _stored_references(connection, [row.id for row in part if _is_text(row.id)])
    for row in part:
        try:
            noun = noun_of(row)
        except Corrupt as error:
            search.lie(str(row.id), error.what)
            continue
        if noun.id != row.id:
            search.lie(str(row.id), f"its payload says it is {noun.id}")
        _check_references(noun, stored.get(noun.id, set()), search)
        if noun.kind in {"tombstone", "redaction"}:
            search.tombstones.add(row.key)
        if isinstance(noun, DatasetVersion):
            search.versions.append(noun)
        elif isinstance(noun, Recording) and noun.object is None:
            search.places |= {digest: (place, size) for place, digest, size in noun.files()}
        elif isinstance(noun, Episode):
            search.linked |= {one.digest: noun.id for one in noun.media if one.object is None}


def _check_linked(search: _Search, *, full: bool) -> None:
    """Look whether linked originals are what they were: by size, or when `full` by every byte."""
    for digest, episode in sorted(search.linked.items()):
        place, size = search.places.get(digest, ("", 0))
        path = Path(place)
        if digest in search.tombstones or episode in search.tombstones:
            continue
        if not place or not path.is_file():
            search.lie(place or digest, f"the linked original is gone: the cameras of {episode} lie in it")
        elif path.stat().st_size != size or (full and _hash(path) != digest):
            search.lie(place, f"the linked original is not what it was: the cameras of {episode} lie in it")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_text(value: object) -> bool:
    """Say whether a column that should be text still is: damaged bytes come as surrogates, which SQL cannot bind."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)


def _check_references(noun: Noun, stored: set[tuple[str, str]], search: _Search) -> None:
    told = references(noun)
    search.references += len(told)
    for name, target in sorted({(link.field, link.target) for link in told} ^ stored):
        where = "the reference table lacks it" if (name, target) not in stored else "only the reference table says so"
        search.lie(noun.id, f"refers to {target} in {name!r}, but {where}")
    for link in told:
        _check_target(noun, link, search)


def _check_target(noun: Noun, link: Reference, search: _Search) -> None:
    if link.kind == "object":
        search.digests.setdefault(link.target, noun.id)
        return
    found = search.kinds.get(link.target)
    if found is None:
        search.lie(link.target, f"is missing: {noun.id} refers to it in {link.field!r}")
    elif link.kind not in ("", found):
        search.lie(link.target, f"is of kind {found}: {noun.id} refers to it in {link.field!r} as kind {link.kind}")


def _stored_references(connection: sa.Connection, ids: Sequence[str]) -> Mapping[str, set[tuple[str, str]]]:
    stored: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for table, target in ((refs, refs.c.target), (object_refs, object_refs.c.digest)):
        query = sa.select(table.c.source, table.c.field, target).where(table.c.source.in_(ids))
        for source, name, other in connection.execute(query):
            stored[source].add((name, other))
    return stored


def _check_strays(connection: sa.Connection, search: _Search) -> None:
    """Find references whose own noun is gone; the payloads cannot tell of them."""
    for table, target in ((refs, refs.c.target), (object_refs, object_refs.c.digest)):
        known = sa.exists().where(nouns.c.id == table.c.source)
        for source, name, other in connection.execute(sa.select(table.c.source, table.c.field, target).where(~known)):
            search.lie(str(source), f"is missing: the reference table says it refers to {other} in {name!r}")


def _check_versions(connection: sa.Connection, search: _Search) -> None:
    hashes = {version.id: version.manifest_hash for version in search.versions}
    for version in search.versions:
        try:
            episodes = _episodes(connection, {entry.episode for entry in version.entries})
            parent = hashes[version.parent] if version.parent else None
            told = manifest_hash(version.entries, episodes, parent)
        except (Corrupt, KeyError):
            continue  # a lie about the episode or the parent, and it is on the list already
        if told != version.manifest_hash:
            search.lie(version.id, f"its manifest hash is {version.manifest_hash}, its entries give {told}")


def _episodes(connection: sa.Connection, ids: Iterable[str]) -> dict[str, Episode]:
    found: dict[str, Episode] = {}
    for part in _chunks(sorted(ids)):
        for row in connection.execute(sa.select(nouns).where(nouns.c.id.in_(part))):
            noun = noun_of(row)
            if isinstance(noun, Episode):
                found[noun.id] = noun
    return found


def _check_objects(objects: Objects, search: _Search, good: _Good) -> tuple[int, int, _Good]:
    read = erased = 0
    found: _Good = {}
    for pack, what in objects.packs.refresh_damaged().items():
        search.lie(pack, what)
    for digest, stamp in objects.stamps(sorted(search.digests)).items():
        source = search.digests[digest]
        if digest in search.tombstones:
            erased += stamp is None
            if stamp is not None:
                search.lie(digest, f"has a tombstone, but its bytes are still here ({source} refers to it)")
            continue
        if stamp is None:
            search.lie(digest, f"its bytes are missing: {source} refers to it")
            continue
        if good.get(digest) != stamp:
            read += 1
            if objects.hash_again(digest) != digest:
                search.lie(digest, f"its bytes are not what they were: {source} refers to it")
                continue
        found[digest] = stamp
    return read, erased, found


def _remembered(memory: Path) -> _Good:
    if not memory.is_file():
        return {}
    try:
        with disk_errors(memory):
            return msgspec.json.decode(memory.read_bytes(), type=_Good)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}  # derived: whatever spoilt it, everything is read again, and the report says so


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[first : first + _CHUNK] for first in range(0, len(items), _CHUNK))
