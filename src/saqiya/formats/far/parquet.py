"""Parquet as `far` asks for it: its flat columns, and the values of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from saqiya.formats.far.child import Answer, serve

__all__ = ["main"]

MEMORY_BYTES = 6 << 30
MOST_COLUMNS_N = 10_000
BATCH_ROWS_N = 1 << 16


class _Open:
    """The file that is being asked about."""

    def __init__(self) -> None:
        self.file: Any = None

    def open(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        import pyarrow.parquet as pq

        self.file = pq.ParquetFile(question["path"])
        return iter(())

    def close(self, _question: Mapping[str, Any]) -> Iterator[Answer]:
        file, self.file = self.file, None
        if file is not None:
            file.close()
        return iter(())

    def columns(self, _question: Mapping[str, Any]) -> Iterator[Answer]:
        """List the columns: name, kind ("number", "list", "stamp", "word", "other") and numpy dtype."""
        schema = self.file.schema_arrow
        if len(schema) > MOST_COLUMNS_N:
            raise ValueError(f"it claims {len(schema)} columns")
        found = [[field.name, *_kind(field.type)] for field in schema]
        yield {"rows": self.file.metadata.num_rows, "columns": found}, None

    def array(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        """Give a column's numbers: stamps as int64 ns, whole numbers with gaps and halves as float64."""
        import numpy as np

        for rows in self._batches(question["name"]):
            values = _numbers(rows, question["kind"], np.dtype(question["made"]))
            yield {"more": 1}, np.ascontiguousarray(values).reshape(-1).view(np.uint8)

    def widths(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        """Say how many numbers each row of a list column has, where all have the same; else -1."""
        import pyarrow.compute as pc

        found: set[int | None] = set()
        for rows in self._batches(question["name"]):
            found |= set(pc.unique(pc.list_value_length(rows)).to_pylist())
        (width,) = found if len(found) == 1 else (None,)
        yield {"width": -1 if width is None else width}, None

    def blobs(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        """Give a column's values as texts; nothing is an empty one."""
        for rows in self._batches(question["name"]):
            parts = ["" if value is None else str(value) for value in rows.to_pylist()]
            encoded = [part.encode("utf-8", "replace") for part in parts]
            yield {"more": 1, "lengths": [len(part) for part in encoded]}, b"".join(encoded)

    def _batches(self, name: str) -> Iterator[Any]:
        where = self.file.schema_arrow.names.index(name)
        for batch in self.file.iter_batches(batch_size=BATCH_ROWS_N, columns=[name]):
            if batch.num_columns != 1:
                raise ValueError(f"column {where} is there more than once")
            yield batch.column(0)


def _kind(dtype: Any) -> tuple[str, str]:  # noqa: ANN401 - an Arrow type
    from pyarrow import types

    if types.is_dictionary(dtype):
        return _kind(dtype.value_type)
    if types.is_list(dtype) or types.is_large_list(dtype) or types.is_fixed_size_list(dtype):
        kind, inner = _kind(dtype.value_type)
        return ("list", inner) if kind == "number" else ("other", "")
    if types.is_timestamp(dtype) or types.is_date(dtype):
        return "stamp", "int64"
    if types.is_boolean(dtype) or types.is_integer(dtype) or types.is_floating(dtype):
        return "number", "bool" if types.is_boolean(dtype) else str(dtype.to_pandas_dtype()().dtype)
    if types.is_decimal(dtype):
        return "number", "float64"
    return ("word", "") if types.is_string(dtype) or types.is_large_string(dtype) else ("other", "")


def _numbers(rows: Any, kind: str, dtype: Any) -> Any:  # noqa: ANN401 - Arrow and numpy
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(rows.type):
        rows = rows.dictionary_decode()
    if kind == "stamp":
        if rows.null_count:
            raise ValueError("a stamp is missing")
        whole = rows.cast(pa.timestamp("ns", tz=getattr(rows.type, "tz", None)))
        return whole.cast(pa.int64()).to_numpy(zero_copy_only=False)
    if kind == "list":
        rows = rows.flatten()
    if pa.types.is_decimal(rows.type):
        rows = rows.cast(pa.float64())
    if rows.null_count and dtype.kind != "f":
        if dtype != np.dtype("float64"):
            raise ValueError("gaps in a column of whole numbers")
        rows = pc.cast(rows, pa.float64())
    return rows.to_numpy(zero_copy_only=False).astype(dtype, copy=False)


def main() -> None:
    """Serve until standard input ends."""
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401 - before the first question's time begins to run

    at = _Open()
    names = ("open", "close", "columns", "array", "widths", "blobs")
    serve({name: getattr(at, name) for name in names}, memory_bytes=MEMORY_BYTES)
