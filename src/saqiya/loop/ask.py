"""The shell of `saqiya query`: an answer for people or machines, a Parquet file, or a named subset."""

from __future__ import annotations

import base64
import datetime
import decimal
import math
import os
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from saqiya.domain.contracts import Progress
from saqiya.domain.nouns import Subset
from saqiya.errors import AlreadyThere, UsageError
from saqiya.stores.disk import disk_errors
from saqiya.stores.query import Questions, subset_named
from saqiya.stores.workspace import Workspace

__all__ = ["Answer", "ask", "ask_to_file", "resolve", "save_subset"]

_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")


@dataclass(frozen=True)
class Answer:
    """What came of a query.

    Attributes:
        columns: names; a name that comes twice gets a number.
        types: of the columns, in SQL's words for Arrow's types.
        rows: values as JSON knows them: maps are objects; NaN and infinity, which JSON lacks, are null.
        more: rows were left out.
        notes: what it cost or left out, in words.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool
    notes: tuple[str, ...]

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as objects."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def _quiet(_what: str, _done: int, _of: int) -> None:
    """Show nothing."""


def ask(store: Workspace, sql: str, *, most_rows: int | None = None, progress: Progress = _quiet) -> Answer:
    """Answer one SELECT over the catalog and its signals.

    Args:
        store: the workspace.
        sql: one SELECT.
        most_rows: rows to return at most; None: all, up to 1 GiB.
        progress: told of streams that are read.

    Raises:
        UsageError: the SQL is wrong, or asks for what a query may not do.
        UnknownId: it names a subset that there is not.
        Corrupt, StorageFull: see `Questions.batches`.
    """
    with Questions(store, progress=progress) as questions:
        table = questions.table(sql, most_rows=None if most_rows is None else most_rows + 1)
        found = [[_plain(value) for value in column.to_pylist()] for column in table.columns]
        rows = list(zip(*found, strict=True)) if found else []
        return Answer(
            columns=_unlike(table.column_names),
            types=tuple(str(one.type) for one in table.schema),
            rows=tuple(rows[:most_rows]),
            more=most_rows is not None and len(rows) > most_rows,
            notes=tuple(questions.notes),
        )


def ask_to_file(store: Workspace, sql: str, path: Path, *, progress: Progress = _quiet) -> tuple[int, tuple[str, ...]]:
    """Write the answer to a Parquet file, in bounded memory; return its number of rows and the notes.

    Raises:
        AlreadyThere: there is such a file; it was not touched.
        UsageError, UnknownId, Corrupt, StorageFull: as `ask`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.exists():
        raise AlreadyThere("there is a file already", subject=str(path), remedy="Name another.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")

    def write() -> int:
        count = 0
        with questions.batches(sql) as reader, disk_errors(path):
            names = _unlike(reader.schema.names)
            schema = pa.schema([field.with_name(name) for field, name in zip(reader.schema, names, strict=True)])
            with pq.ParquetWriter(temporary, schema) as writer:
                for batch in reader:
                    writer.write_batch(pa.record_batch(batch.columns, schema=schema))
                    count += batch.num_rows
        return count

    try:
        with Questions(store, progress=progress) as questions:
            count = questions.retried(write)
            with disk_errors(path):
                temporary.rename(path)
            return count, tuple(questions.notes)
    finally:
        temporary.unlink(missing_ok=True)


def save_subset(store: Workspace, name: str, sql: str) -> Subset:
    """Keep a query under a name: a set of episodes that copies nothing, and is asked again whenever it is used.

    The name may be given anew; what it meant before stays in the catalog. `subset('name')` selects from it.

    Raises:
        UsageError: the name is none, or the query gives no episodes' ids.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name[:80]!r} cannot name a subset", remedy="Use at most 64 letters, digits, dots, dashes, underscores."
        )
    with Questions(store) as questions:
        questions.members(sql, name)
    while True:
        every = [one for one in store.catalog.all(Subset) if one.name == name]
        if every and every[-1].sql == sql:
            return every[-1]
        made = Subset(id=store.catalog.new_id("subset"), name=name, sql=sql)
        stored = store.catalog.put(made, key=f"subset/{name}/{len(every)}")
        if stored.id == made.id:  # else another process took this number: look again
            return stored


def resolve(store: Workspace, name: str, *, progress: Progress = _quiet) -> list[str]:
    """Return the ids of the episodes that a subset holds now, in order of their ids.

    Raises:
        UnknownId: there is no such subset.
        UsageError: what it asks cannot be answered any more.
    """
    with Questions(store, progress=progress) as questions:
        return questions.members(subset_named(store, name).sql, name)


def _unlike(names: list[str]) -> tuple[str, ...]:
    """Return the names with a number after each that was there already."""
    taken: set[str] = set()
    made = []
    for name in names:
        new, number = name, 0
        while new in taken:
            number += 1
            new = f"{name}_{number}"
        taken.add(new)
        made.append(new)
    return tuple(made)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a query may give
    if isinstance(value, list):
        pairs = bool(value) and all(isinstance(one, tuple) and len(one) == 2 for one in value)
        return {str(one[0]): _plain(one[1]) for one in value} if pairs else [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    return next((write(value) for kind, write in _WRITE.items() if isinstance(value, kind)), value)


_WRITE: Final[dict[type, Callable[[Any], Any]]] = {
    float: lambda value: value if math.isfinite(value) else None,
    datetime.date: lambda value: value.isoformat(),
    datetime.time: lambda value: value.isoformat(),
    datetime.timedelta: lambda value: value.total_seconds(),
    bytes: lambda value: base64.b64encode(value).decode(),
    decimal.Decimal: lambda value: int(value) if value == value.to_integral_value() else float(value),
    tuple: lambda value: {"months": value[0], "days": value[1], "nanoseconds": value[2]},  # an interval
    uuid.UUID: str,
}
