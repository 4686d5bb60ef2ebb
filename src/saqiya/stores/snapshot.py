"""Parquet snapshots of the catalog, for questions that read a column of everything: derived, and rebuilt when lost.

The catalog only ever grows, so a snapshot grows by what is new since. What later nouns say of an episode (an outcome,
an audit, a newer cut) makes a new row of that episode; the old row's number joins a list of those that are gone, until
files are merged. A reader sees whole snapshots only: files never change, and one small file names those that count.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import sqlalchemy as sa

from saqiya.domain.ids import digest_of
from saqiya.domain.nouns import Alias, Audit, Cut, Episode, Noun, OutcomeClaim, Policy, Recording, Tombstone
from saqiya.errors import Corrupt, Erased
from saqiya.stores.catalog import noun_of
from saqiya.stores.disk import disk_errors, replace_file
from saqiya.stores.schema import nouns, object_refs, refs
from saqiya.stores.tables import EPISODES, TABLES, Known, Table, author_rows, author_runs
from saqiya.stores.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Snapshot", "damaged", "refresh"]

_PAGE: Final = 4000  # nouns read at once
_CHUNK: Final = 500  # below every database's limit of parameters in one statement
_ROW_GROUP: Final = 65_536
_STEP: Final = 4  # a file is merged into the one before it until that is so many times larger
_GONE_MOST: Final = 20_000  # episodes' rows that may wait for a merge
_OLD_S: Final = 600.0  # how long a file that no longer counts stays for those who read it
_WORDS_MOST: Final = 100_000
_SCHEME: Final = digest_of(repr([(t.name, [(c.name, c.type) for c in t.schema]) for t in TABLES]).encode() + b"1")


class _Part(msgspec.Struct, frozen=True):
    """A Parquet file: its name, its rows, and what the disk says of it."""

    file: str
    rows: int
    size_bytes: int
    mtime_ns: int


class _Manifest(msgspec.Struct):
    """Which files make up the snapshot, and up to which row of the catalog."""

    scheme: str = _SCHEME
    upto_ns: int = -1
    seal: str = ""
    next_n: int = 0
    tables: dict[str, list[_Part]] = {}
    gone: list[int] = []


@dataclass(frozen=True)
class Snapshot:
    """Files to read.

    Attributes:
        files: Parquet files of each table; a table without rows has none.
        gone: numbers (`n`) of rows of `episodes` that newer rows replace.
        rebuilt: all of it was made anew.
    """

    files: Mapping[str, tuple[Path, ...]]
    gone: tuple[int, ...]
    rebuilt: bool = False


def refresh(store: Workspace, *, anew: bool = False) -> Snapshot:
    """Bring the snapshot up to the catalog's last row, and return it.

    One process writes at a time; others wait. Memory is bounded by a page of nouns and a row group of each table.

    Args:
        store: the workspace.
        anew: make all of it again, for files that turned out to be damaged.

    Raises:
        Corrupt: a row of the catalog was changed after it was stored.
        StorageFull: no room.
    """
    folder = store.derived / "snapshot"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder), store.catalog.database.reading() as connection:
        manifest = _Manifest() if anew else _remembered(folder, connection)
        newest = _newest(connection)
        rebuilt = manifest.upto_ns < 0 and newest is not None
        if newest is not None and newest[0] > manifest.upto_ns:
            manifest = _Refresh(store, connection, folder, manifest).run(newest)
            replace_file(folder / "manifest.json", msgspec.json.encode(manifest))
            _sweep(folder, manifest)
    files = {name: tuple(folder / part.file for part in parts) for name, parts in manifest.tables.items()}
    return Snapshot(files, tuple(manifest.gone), rebuilt)


def damaged(snapshot: Snapshot) -> list[Path]:
    """Read every page of a snapshot and return the files that are not what was written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = []
    for path in (path for files in snapshot.files.values() for path in files):
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                for _ in file.iter_batches():
                    pass
        except (OSError, ValueError, pa.ArrowException):
            found.append(path)
    return found


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with disk_errors(folder):
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _remembered(folder: Path, connection: sa.Connection) -> _Manifest:
    """Return what is there, if it is whole and of this very catalog; else an empty manifest."""
    try:
        found = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=_Manifest)
        whole = all(
            (state.st_size, state.st_mtime_ns) == (part.size_bytes, part.mtime_ns)
            for parts in found.tables.values()
            for part in parts
            for state in [(folder / part.file).stat()]
        )
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return _Manifest()  # derived: whatever spoilt it, it is made again
    last = connection.execute(sa.select(nouns.c.seal).where(nouns.c.created_ns == found.upto_ns)).scalar()
    return found if whole and found.scheme == _SCHEME and last == found.seal else _Manifest()


def _newest(connection: sa.Connection) -> tuple[int, str] | None:
    """Return when the last noun was stored, and its seal."""
    query = sa.select(nouns.c.created_ns, nouns.c.seal).order_by(nouns.c.created_ns.desc()).limit(1)
    row = connection.execute(query).first()
    return (row.created_ns, row.seal) if row else None


def _sweep(folder: Path, manifest: _Manifest) -> None:
    """Remove files that no longer count and are old enough that nobody reads them."""
    needed = {part.file for parts in manifest.tables.values() for part in parts} | {"manifest.json", "lock"}
    with disk_errors(folder):
        now = (folder / "manifest.json").stat().st_mtime
        for path in folder.iterdir():
            if path.name not in needed and now - path.stat().st_mtime > _OLD_S:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for cycles: among millions of rows that hold none it would spend half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Sink:
    """New rows of one table on their way into one file."""

    def __init__(self, table: Table, folder: Path, name: str) -> None:
        self.table, self.path = table, folder / name
        self.count = 0
        self._rows: list[tuple[object, ...]] = []
        self._batches: list[pa.RecordBatch] = []
        self._waiting = 0
        self._writer: Any = None
        self._schema = _schema(table)

    def add(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Take rows."""
        self._rows.extend(rows)
        if len(self._rows) >= _PAGE:
            self._pack()

    def _pack(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        columns = [
            pa.array(values, one.type) for values, one in zip(zip(*self._rows, strict=True), self._schema, strict=True)
        ]
        self._batches.append(pa.record_batch(columns, schema=self._schema))
        self._waiting += len(self._rows)
        self.count += len(self._rows)
        self._rows = []
        if self._waiting >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._writer is None:
            self._writer = _writer(self.path, self._schema)
        self._writer.write_table(pa.Table.from_batches(self._batches, self._schema), row_group_size=_ROW_GROUP)
        self._batches, self._waiting = [], 0

    def close(self) -> _Part | None:
        """Write what waits and return the file, if there is one."""
        self._pack()
        if self._waiting:
            self._flush()
        if self._writer is None:
            return None
        self._writer.close()
        return _settled(self.path, self.count)


class _Refresh:
    """One run: what is new becomes rows, and small files are merged."""

    def __init__(self, store: Workspace, connection: sa.Connection, folder: Path, manifest: _Manifest) -> None:
        self._store, self._connection, self._folder, self._old = store, connection, folder, manifest
        self._tag = os.urandom(6).hex()
        self._sinks = {table.name: _Sink(table, folder, f"{table.name}-{self._tag}.parquet") for table in TABLES}
        self._by_kind: dict[str, list[Table]] = {}
        for table in TABLES:
            if table is not EPISODES:
                self._by_kind.setdefault(table.kind.kind, []).append(table)
        self._next_n = manifest.next_n
        self._touched: dict[str, None] = {}
        self._words: dict[str, str] = {}
        self._superseded: set[str] | None = None

    def run(self, newest: tuple[int, str]) -> _Manifest:
        """Write the rows of every noun up to `newest` and return what the snapshot is then."""
        with disk_errors(self._folder):
            with _uncollected():
                for page in self._pages(newest[0]):
                    self._page([(noun_of(row), row.key, row.created_ns) for row in page])
                gone = self._again()
            parts = {name: part for name, sink in self._sinks.items() if (part := sink.close())}
            tables = {name: [*self._old.tables.get(name, []), *([parts[name]] if name in parts else [])]
                      for name in self._sinks}  # fmt: skip
            merged = {name: self._merged(name, found, gone) for name, found in tables.items() if found}
        if len(merged.get(EPISODES.name, [])) == 1:
            gone = []
        return _Manifest(upto_ns=newest[0], seal=newest[1], next_n=self._next_n, tables=merged, gone=sorted(gone))

    def _pages(self, upto_ns: int) -> Iterator[Sequence[sa.Row[Any]]]:
        after = self._old.upto_ns
        while after < upto_ns:
            query = sa.select(nouns).where(nouns.c.created_ns > after).order_by(nouns.c.created_ns).limit(_PAGE)
            page = self._connection.execute(query).all()
            yield page
            after = page[-1].created_ns

    def _page(self, page: Sequence[tuple[Noun, str, int]]) -> None:
        fresh = []
        for noun, key, created_ns in page:
            for table in self._by_kind.get(noun.kind, ()):
                self._sinks[table.name].add(table.rows(noun, key, created_ns))
            if isinstance(noun, Episode):
                fresh.append((noun, key, created_ns))
                self._sinks["authors"].add(self._authors(noun))
            else:
                self._touch(noun)
        for noun, _, _ in fresh:  # what is said of them comes with them, mostly: a list of all of it would be long
            self._touched.pop(noun.id, None)
        self._episodes(fresh)

    def _touch(self, noun: Noun) -> None:
        """Note whose rows a noun changes; episodes that are new themselves are described in full as they come."""
        if isinstance(noun, Recording | Policy):
            self._remember(noun)
        elif not self._old.next_n:
            return
        elif isinstance(noun, OutcomeClaim | Audit | Alias):
            self._touched[noun.episode] = None
        elif isinstance(noun, Cut):
            older = self._cut(noun.supersedes) if noun.supersedes else None
            self._touched |= dict.fromkeys((*noun.episodes, *(older.episodes if older else ())))
        elif isinstance(noun, Tombstone):
            query = sa.select(object_refs.c.source).where(object_refs.c.digest == noun.digest)
            self._touched |= dict.fromkeys(self._connection.execute(query).scalars())

    def _again(self) -> list[int]:
        """Write anew the rows of older episodes of which something new is known; return all rows that are gone."""
        gone = list(self._old.gone)
        if not self._old.next_n:
            return gone
        for part in _chunks(list(self._touched)):
            query = sa.select(nouns).where(
                nouns.c.id.in_(part), nouns.c.created_ns <= self._old.upto_ns, _unindexed_kind == Episode.kind
            )
            rows = [(noun_of(row), row.key, row.created_ns) for row in self._connection.execute(query)]
            self._episodes([(noun, key, when) for noun, key, when in rows if isinstance(noun, Episode)])
            gone += self._numbers([noun.id for noun, _, _ in rows])
        return sorted(set(gone))

    def _numbers(self, ids: Sequence[str]) -> list[int]:
        """Return the numbers of the rows that older files hold of these episodes."""
        import pyarrow as pa
        import pyarrow.dataset as ds

        files = [str(self._folder / part.file) for part in self._old.tables.get(EPISODES.name, [])]
        if not ids or not files:
            return []
        mine = ds.field("id").isin(pa.array(sorted(ids)))
        found = ds.dataset(files, format="parquet").to_table(columns=["n"], filter=mine)
        return [int(n) for n in found["n"].to_pylist()]

    def _episodes(self, fresh: Sequence[tuple[Episode, str, int]]) -> None:
        for part in _chunks(fresh):
            known = {noun.id: Known(noun, key, created_ns) for noun, key, created_ns in part}
            self._say(known)
            for one in known.values():
                self._sinks[EPISODES.name].add([(self._next_n, *EPISODES.row(one)[1:])])
                self._next_n += 1

    def _say(self, known: Mapping[str, Known]) -> None:
        """Fill in what other nouns say of these episodes."""
        for row in self._referring(known, [OutcomeClaim, Audit, Alias], nouns):
            one, noun = known[row.episode], noun_of(row)
            if isinstance(noun, OutcomeClaim):
                one.claims.append(noun)
            elif isinstance(noun, Audit):
                one.audit = noun
            else:
                one.aliases += 1
        for row in self._referring(known, [Cut], nouns.c.id):  # a cut is large, and its id says enough
            known[row.episode].cuts.append(row.id)
        erased = self._erased({one.noun.streams for one in known.values()} | set(known))
        self._look_up(known.values())
        for one in known.values():
            one.erased = not erased.isdisjoint((one.noun.id, one.noun.streams))
            alive = [cut for cut in one.cuts if cut not in self._replaced()] if one.cuts else []
            one.superseded = bool(one.cuts) and not alive
            one.cuts = alive or one.cuts
            one.policy_name = self._words.get(one.noun.policy or "", one.noun.policy_name)
            one.format = self._words.get(one.noun.recordings[0], "") if one.noun.recordings else ""

    def _look_up(self, known: Iterable[Known]) -> None:
        """Fetch policies and recordings that these episodes name and that were not met yet."""
        wanted = {one.noun.policy for one in known if one.noun.policy}
        wanted |= {one.noun.recordings[0] for one in known if one.noun.recordings}
        for part in _chunks(sorted(wanted - self._words.keys())):
            for row in self._connection.execute(sa.select(nouns).where(nouns.c.id.in_(part))):
                self._remember(noun_of(row))

    def _remember(self, noun: Noun) -> None:
        """Keep the one word of a policy or a recording that a row of an episode repeats."""
        if len(self._words) > _WORDS_MOST:
            self._words.clear()
        if isinstance(noun, Policy):
            self._words[noun.id] = noun.name
        elif isinstance(noun, Recording):
            self._words[noun.id] = noun.format

    def _referring(
        self,
        known: Iterable[str],
        kinds: Sequence[type[Noun]],
        what: Any,  # noqa: ANN401 - a table or a column
    ) -> Iterator[sa.Row[Any]]:
        """Yield rows of nouns of some kinds that refer to these episodes, each with `episode`, as they were stored."""
        joined = refs.join(nouns, nouns.c.id == refs.c.source)
        query = sa.select(refs.c.target.label("episode"), what).select_from(joined).order_by(nouns.c.created_ns)
        names = [one.kind for one in kinds]
        yield from self._connection.execute(query.where(refs.c.target.in_(list(known)), _unindexed_kind.in_(names)))

    def _erased(self, keys: Iterable[str]) -> set[str]:
        """Return those digests and ids of episodes that have a tombstone: a try of a long log has none but its own."""
        query = sa.select(nouns.c.key).where(nouns.c.kind == Tombstone.kind, nouns.c.key.in_(sorted(keys)))
        return set(self._connection.execute(query).scalars())

    def _replaced(self) -> set[str]:
        """Return the ids of all cuts that a newer one supersedes."""
        if self._superseded is None:
            cuts = sa.select(nouns.c.id).where(nouns.c.kind == Cut.kind)
            query = sa.select(refs.c.target).where(refs.c.source.in_(cuts), refs.c.field == "supersedes")
            self._superseded = set(self._connection.execute(query).scalars())
        return self._superseded

    def _cut(self, ref: str) -> Cut | None:
        row = self._connection.execute(sa.select(nouns).where(nouns.c.id == ref)).first()
        noun = noun_of(row) if row else None
        return noun if isinstance(noun, Cut) else None

    def _authors(self, episode: Episode) -> list[tuple[object, ...]]:
        """Read who acted when; bytes that cannot be read leave one row that says so."""
        if not any(info.name == "author" for info in episode.infos):
            return []
        try:
            author = self._store.streams(episode).get("author")
        except (Corrupt, Erased) as error:
            return [(episode.id, f"unread: {error.what}", episode.start_ns, episode.end_ns, False)]
        if author is None:
            return [(episode.id, "unread: there is no such stream", episode.start_ns, episode.end_ns, False)]
        return author_rows(episode.id, author_runs(author, episode.end_ns))

    def _merged(self, name: str, parts: list[_Part], gone: Sequence[int]) -> list[_Part]:
        """Merge the last files while they are not much smaller than the one before; all when much of it is gone."""
        many = name == EPISODES.name and len(gone) > _GONE_MOST
        first = 0 if many else len(parts) - 1
        rows = sum(part.rows for part in parts[first:])
        while first and parts[first - 1].rows < _STEP * rows:
            first -= 1
            rows += parts[first].rows
        if first == len(parts) - 1:
            return parts
        path = self._folder / f"{name}-{self._tag}-merged.parquet"
        return [*parts[:first], _merge([self._folder / part.file for part in parts[first:]], path, gone)]


def _merge(files: Sequence[Path], path: Path, gone: Sequence[int]) -> _Part:
    """Write the rows of several files into one, without those that are gone."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    dropped, rows, writer = pa.array(gone, pa.int64()), 0, None
    waiting: list[pa.Table] = []
    for file in files:
        with pq.ParquetFile(file) as source:
            writer = writer or _writer(path, source.schema_arrow)
            for group in range(source.num_row_groups):
                found = source.read_row_group(group)
                if "n" in found.column_names and len(dropped):
                    found = found.filter(pc.invert(pc.is_in(found["n"], dropped)))
                waiting.append(found)
                rows += found.num_rows
                if sum(one.num_rows for one in waiting) >= _ROW_GROUP:
                    writer.write_table(pa.concat_tables(waiting), row_group_size=_ROW_GROUP)
                    waiting = []
    if writer is None:
        raise Corrupt("nothing to merge", subject=str(path), remedy="Delete derived/snapshot and ask again")
    if waiting:
        writer.write_table(pa.concat_tables(waiting), row_group_size=_ROW_GROUP)
    writer.close()
    return _settled(path, rows)


def _schema(table: Table) -> pa.Schema:
    import pyarrow as pa

    text = pa.string()
    types = {
        "VARCHAR": text,
        "JSON": text,
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "VARCHAR[]": pa.list_(text),
        "MAP(VARCHAR, DOUBLE)": pa.map_(text, pa.float64()),
        "MAP(VARCHAR, VARCHAR)": pa.map_(text, text),
    }
    return pa.schema([(column.name, types[column.type]) for column in table.schema])


def _writer(path: Path, schema: pa.Schema) -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow.parquet as pq

    return pq.ParquetWriter(path, schema, compression="lz4", write_page_checksum=True)


def _settled(path: Path, rows: int) -> _Part:
    """Bring a finished file to the disk for good and describe it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    state = path.stat()
    return _Part(path.name, rows, state.st_size, state.st_mtime_ns)


_unindexed_kind: Final = nouns.c.kind + ""  # see catalog.py: the ids are the better index


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[first : first + _CHUNK] for first in range(0, len(items), _CHUNK))
