"""SQL over the catalog and its signals: DuckDB over a snapshot, read-only, and with no way out.

Three doors are shut one behind the other: only one SELECT over known relations and a few harmless table functions is
let in; DuckDB may open the snapshot's own files, nothing else, no network, no extension; and its settings are locked.
"""

# ruff: noqa: S608 - names and texts are quoted here, and what users write is one parsed SELECT

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self, TypeVar

from saqiya.domain.nouns import Subset
from saqiya.errors import SaqiyaError, StorageFull, UnknownId, UsageError
from saqiya.stores.relations import RELATIONS, statements
from saqiya.stores.signals import TAKEN, read_signal
from saqiya.stores.snapshot import Snapshot, damaged, refresh
from saqiya.stores.syntax import Call, Node, Syntax, near, needed_episodes, plain
from saqiya.stores.workspace import Workspace

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["MEMORY_BYTES", "Questions", "subset_named"]

T = TypeVar("T")
MEMORY_BYTES: Final = 2 << 30
"""What DuckDB may hold; beyond it spills to disk, under derived/."""
_BATCH: Final = 100_000
_LISTEN_S: Final = 0.1


def _quiet(_name: str, _read: int, _of: int) -> None:
    """Show nothing."""


class Questions:
    """Answers questions about one state of a workspace. Use it as a context manager, from one thread.

    Attributes:
        snapshot: what is read.
        notes: what the last answer leaves out or cost, in words.
    """

    def __init__(
        self,
        store: Workspace,
        *,
        memory_bytes: int = MEMORY_BYTES,
        progress: Callable[[str, int, int], None] = _quiet,
    ) -> None:
        """Bring the snapshot up to date and open it.

        Raises:
            UsageError: DuckDB is not installed.
            Corrupt, StorageFull: see `refresh`.
        """
        self._store, self._progress, self._memory_bytes = store, progress, memory_bytes
        self._tree: dict[str, Node] = {}
        self._open(refresh(store))

    def _open(self, snapshot: Snapshot) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise UsageError("DuckDB is not installed", remedy='pip install "saqiya[data]"') from error
        self.snapshot, self.notes = snapshot, list[str]()
        self._made: set[str] = set()
        self._passing: list[str] = []  # views and tables of the question under way
        self._held: list[str] = []
        self._spill = self._store.derived / f"spill-{os.getpid()}-{os.urandom(4).hex()}"
        self._connection = duckdb.connect(":memory:")
        files = ", ".join(_text(str(path)) for paths in snapshot.files.values() for path in paths)
        for setting in (
            "autoinstall_known_extensions = false",
            "autoload_known_extensions = false",
            "allow_community_extensions = false",
            "allow_persistent_secrets = false",
            "python_enable_replacements = false",
            "parquet_metadata_cache = true",
            "enable_progress_bar = false",
            f"temp_directory = {_text(str(self._spill))}",
            f"memory_limit = '{self._memory_bytes // 1024} KiB'",
            f"allowed_paths = [{files}]",
            "enable_external_access = false",
        ):
            self._connection.execute(f"SET {setting}")
        self._connection.execute("CREATE MACRO ns(seconds) AS CAST(round(seconds * 1e9) AS BIGINT)")
        self._connection.execute("SET lock_configuration = true")
        query = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
        self._volatile = frozenset(row[0] for row in self._connection.execute(query).fetchall())

    def __enter__(self) -> Self:
        """Return the session itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let files and memory go."""
        self._connection.close()
        shutil.rmtree(self._spill, ignore_errors=True)

    @contextmanager
    def batches(self, sql: str) -> Iterator[_Answers]:
        """Answer one SELECT as a stream of Arrow batches; memory does not grow with the answer.

        Raises:
            UsageError: the SQL is wrong or asks for what a query may not do; near names are named.
            UnknownId: a subset that there is not.
            Corrupt: a stream's bytes are damaged.
            StorageFull: no room to spill.
        """
        self.notes = []
        try:
            with self._errors(sql):
                prepared = self._prepared(sql, ())
                yield _Answers(self._connection, lambda: self._connection.sql(prepared).to_arrow_reader(_BATCH))
        finally:
            self._drop()

    def table(self, sql: str, *, most_rows: int | None = None, most_bytes: int = 1 << 30) -> pa.Table:
        """Answer one SELECT as an Arrow table, of its first `most_rows` rows where that is given.

        Raises:
            UsageError, UnknownId, Corrupt, StorageFull: as `batches`; also when the answer is over `most_bytes`.
        """
        return self.retried(lambda: self._table(sql, most_rows, most_bytes))

    def members(self, sql: str, name: str) -> list[str]:
        """Return the episodes that a subset called `name` holds by this query, in the order of their ids.

        Raises:
            UsageError: as `batches`; also when the query has no column of ids, or they are no episodes'.
            UnknownId, Corrupt, StorageFull: as `batches`.
        """
        return self.retried(lambda: self._members(sql, name))

    def retried(self, work: Callable[[], T]) -> T:
        """Do what asks questions; when the snapshot turns out to be damaged, make it anew and do it again."""
        try:
            return work()
        except _Spoilt:
            self.close()
            self._open(refresh(self._store, anew=True))
            return work()

    def _table(self, sql: str, most_rows: int | None, most_bytes: int) -> pa.Table:
        import pyarrow as pa

        with self.batches(sql) as reader:
            found, size, count = [], 0, 0
            for batch in reader:
                size, count = size + batch.nbytes, count + batch.num_rows
                found.append(batch)
                if size > most_bytes:
                    raise UsageError(
                        f"the answer is larger than {most_bytes >> 20} MiB",
                        remedy="Ask for less, or write it to a Parquet file.",
                    )
                if most_rows is not None and count >= most_rows:
                    break
            return pa.Table.from_batches(found, reader.schema).slice(0, most_rows)

    def _members(self, sql: str, name: str) -> list[str]:
        try:
            with self._errors(sql):
                self._make("episodes")
                ids = self._ids(self._prepared(sql, (name,)))
                query = f"SELECT s.id, e.id FROM ({ids}) s LEFT JOIN episodes e ON e.id = s.id ORDER BY s.id"
                found = self._connection.execute(query).fetchall()
        finally:
            self._drop()
        strange = [one for one, known in found if known is None]
        if strange:
            raise UsageError(
                f"{len(strange)} of its values are no episodes, for example {str(strange[0])[:80]!r}",
                remedy="Select the ids of episodes.",
            )
        return [str(one) for one, _ in found]

    def _ids(self, sql: str) -> str:
        """Return a query for the ids that a subset's query gives."""
        inner = f"(\n{sql.strip().rstrip(';')}\n)"
        names = [str(column[0]) for column in self._connection.execute(f"SELECT * FROM {inner} LIMIT 0").description]
        wanted = next((one for one in ("episode", "id") if one in names), None)
        if wanted is None:
            raise UsageError("a subset needs a column `id` or `episode`", remedy="SELECT id FROM episodes WHERE ...")
        return f"SELECT DISTINCT {_name(wanted)} AS id FROM {inner}"

    # -- from SQL to an answer ---------------------------------------------------------------------------------------

    def _drop(self) -> None:
        """Let go of what was made for one question; relations of the catalog stay."""
        for view in reversed(self._passing):
            self._connection.execute(f"DROP VIEW IF EXISTS {_name(view)}")
        for table in self._held:
            self._connection.unregister(table)
        self._made -= set(self._passing)
        self._passing, self._held = [], []

    def _prepared(self, sql: str, asking: tuple[str, ...]) -> str:
        """Return `sql` with subsets and signals put in place; `asking` are the subsets that lead here."""
        syntax = self._parsed(sql)
        subsets = {call: self._subset(call.arguments[0], asking) for call in syntax.calls("subset")}
        if subsets:
            sql = syntax.replaced(subsets)
            syntax = self._parsed(sql)
        self._make(sql)
        return syntax.replaced({call: self._signal(syntax, call, asking) for call in syntax.calls("signal")})

    def _parse(self, sql: str) -> Node:
        row = self._connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()[0]
        tree: Node = json.loads(row[0])
        return tree

    def _parsed(self, sql: str) -> Syntax:
        return Syntax(sql, self._parse(sql))

    def _make(self, sql: str) -> None:
        """Make the relations that a query may name."""
        for statement in statements(self.snapshot, set(re.findall(r"\w+", sql.lower())) - self._made):
            name = statement.split(maxsplit=3)[2]
            if name not in self._made:
                self._made.add(name)
                self._connection.execute(statement)

    def _subset(self, name: str, asking: tuple[str, ...]) -> str:
        if name in asking:
            raise UsageError(f"subset {name!r} asks for itself", remedy="Save it anew without that.")
        view = f"~subset {name}"
        if view not in self._made:
            sql = self._prepared(subset_named(self._store, name).sql, (*asking, name))
            self._connection.execute(f"CREATE VIEW {_name(view)} AS {self._ids(sql)}")
            self._passing.append(view)
            self._made.add(view)
        return view

    def _signal(self, syntax: Syntax, call: Call, asking: tuple[str, ...]) -> str:
        name = call.arguments[0]
        chosen = self._chosen(syntax, call, asking)
        signal = read_signal(
            self._store, name, chosen, report=lambda done: self._progress(f"read {name}", done, len(chosen))
        )
        self.notes.append(f"{name}: read of {signal.episodes} episodes")
        if signal.erased:
            self.notes.append(f"{name}: {signal.erased} more episodes were erased on purpose")
        tables = signal.tables or self._without_rows(name)
        view = f"~signal {len(self._passing)}"
        parts = []
        for place, table in enumerate(tables):
            self._held.append(f"{view} {place}")
            self._connection.register(self._held[-1], table)
            parts.append(f"SELECT * FROM {_name(self._held[-1])}")
        self._connection.execute(f"CREATE VIEW {_name(view)} AS {' UNION ALL BY NAME '.join(parts)}")
        self._passing.append(view)
        return view

    def _without_rows(self, name: str) -> list[pa.Table]:
        """Return an empty table with the columns that the signal has where there is any of it."""
        query = f"SELECT id FROM episodes WHERE list_contains(streams, {_text(name)}) AND NOT erased LIMIT 8"
        some = [row[0] for row in self._connection.execute(query).fetchall()]
        found = read_signal(self._store, name, some, report=lambda _: None).tables
        if not found:
            raise UsageError(
                "no episode has a sample of it", subject=name, remedy="SELECT * FROM streams shows shapes."
            )
        return [table.slice(0, 0) for table in found]

    def _chosen(self, syntax: Syntax, call: Call, asking: tuple[str, ...]) -> list[str]:
        """Return the episodes that a signal is read of."""
        import duckdb

        self._make("episodes")
        name, having = _text(call.arguments[0]), "SELECT id FROM episodes WHERE list_contains(streams, {})"
        every = having.format(name)
        if not self._connection.execute(f"SELECT count(*) FROM (FROM ({every}) LIMIT 1)").fetchall()[0][0]:
            rows = self._connection.execute("SELECT DISTINCT unnest(streams) FROM episodes").fetchall()
            raise UsageError(
                f"no episode has a stream {call.arguments[0]!r}",
                remedy=near(call.arguments[0], [row[0] for row in rows]),
            )
        if call.arguments[1:]:
            every += f" AND id IN (FROM {_name(self._subset(call.arguments[1], asking))})"
        try:
            tree = needed_episodes(syntax.tree, call, parse=self._parse, columns=self._columns, volatile=self._volatile)
            if tree is not None:
                (needed,) = self._connection.execute("SELECT json_deserialize_sql(?::JSON)", [plain(tree)]).fetchall()[
                    0
                ]
                found = self._connection.execute(f"{every} AND id IN ({needed})").fetchall()
                return [row[0] for row in found]
        except duckdb.Error:  # what the analysis made is no SQL: then nothing is left out
            self.notes.append(f"{call.arguments[0]}: read of every episode that has it; join it with = to read less")
        return [row[0] for row in self._connection.execute(every).fetchall()]

    def _columns(self, node: Node, withs: Sequence[Node]) -> frozenset[str] | None:
        """Return the columns of a relation, in lower case; None where it cannot be asked alone."""
        import duckdb

        tree = self._parse("SELECT * FROM nothing LIMIT 0")
        tree["statements"][0]["node"] |= {"from_table": node, "cte_map": {"map": list(withs)}}
        try:
            (sql,) = self._connection.execute("SELECT json_deserialize_sql(?::JSON)", [plain(tree)]).fetchall()[0]
            return frozenset(str(column[0]).lower() for column in self._connection.execute(sql).description)
        except duckdb.Error:
            return None

    # -- errors ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _errors(self, sql: str) -> Iterator[None]:
        import duckdb

        try:
            yield
        except SaqiyaError:
            raise
        except duckdb.Error as error:
            raise self._translated(error, sql) from error
        except RuntimeError as error:
            if "interrupted" in str(error).lower():
                raise KeyboardInterrupt from error
            raise
        except OSError as error:  # an Arrow stream passes on what DuckDB says as one of these
            raise self._translated(error, sql) from error

    def _translated(self, error: Exception, sql: str) -> SaqiyaError:
        import duckdb

        said = re.split(r"\n\n?(?:LINE|Candidate|Did you)|Candidate bindings", str(error).strip())[0].strip()
        what = re.sub(r"^\w[\w ]* Error: ", "", said).rstrip(".!")
        if "No space left" in said or "max_temp_directory_size" in said:
            return StorageFull("no room to spill", subject=str(self._store.derived), remedy="Free some space.")
        if isinstance(error, duckdb.OutOfMemoryException):
            return UsageError(
                f"needs more than {self._memory_bytes >> 20} MiB of memory", remedy="Ask for fewer rows or columns."
            )
        if isinstance(error, duckdb.PermissionException):
            return UsageError("a query reads no files and no network", remedy="SELECT from the relations in columns.")
        missing = re.search(r'olumn (?:named )?"([^"]+)"', said)
        if missing:
            return UsageError(what, remedy=near(missing[1], self._known_columns(sql)))
        broken = damaged(self.snapshot)
        if broken:
            return _Spoilt("the snapshot is damaged", subject=str(broken[0]), remedy="Ask again: it is made anew.")
        return UsageError(what, remedy="See docs/query.md; SELECT * FROM columns lists what there is.")

    def _known_columns(self, sql: str) -> set[str]:
        words = set(re.findall(r"\w+", sql.lower()))
        known = {column.name for name in words & RELATIONS.keys() for column in RELATIONS[name].columns}
        return known | set(TAKEN if "signal" in words else ())


class _Spoilt(SaqiyaError):
    """The snapshot's files are not what was written; they are made anew once, and nobody outside sees this."""


def subset_named(store: Workspace, name: str) -> Subset:
    """Return what a subset's name means now: the last that was saved under it.

    Raises:
        UnknownId: there is none.
    """
    every = {one.name: one for one in store.catalog.all(Subset)}
    if name not in every:
        raise UnknownId(f"there is no subset {name!r}", remedy=near(name, every))
    return every[name]


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


class _Answers:
    """Batches of an answer. DuckDB works in a thread of its own: in this one it would not hear an interruption."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, ask: Callable[[], pa.RecordBatchReader]) -> None:
        self._connection = connection
        self._pool = ThreadPoolExecutor(1)
        self._reader = self._wait(ask)
        self.schema = self._reader.schema

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while True:
            try:
                yield self._wait(self._reader.read_next_batch)
            except StopIteration:
                return

    def _wait(self, work: Callable[[], T]) -> T:
        asked = self._pool.submit(work)
        try:
            while not wait([asked], _LISTEN_S).done:
                continue
        except KeyboardInterrupt:
            self._connection.interrupt()
            wait([asked])
            raise
        return asked.result()
