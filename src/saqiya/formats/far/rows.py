"""Parquet as `far` asks for it where types must stay as they are: a row group at a time, as an Arrow stream.

Reading damaged metadata was seen to end the whole process (pyarrow 26: an exception in C++ that nothing catches).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from saqiya.formats.far.child import Answer, serve

__all__ = ["main"]

MEMORY_BYTES = 8 << 30
SLAB_BYTES = 1 << 23
MOST_COLUMNS_N = 100_000


class _Open:
    """The file that is being asked about, and the rows that were read last."""

    def __init__(self) -> None:
        self.file: Any = None
        self.rows: Any = None

    def open(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        import pyarrow.parquet

        self.file = pyarrow.parquet.ParquetFile(question["path"])
        return iter(())

    def close(self, _question: Mapping[str, Any]) -> Iterator[Answer]:
        file, self.file, self.rows = self.file, None, None
        if file is not None:
            file.close()
        return iter(())

    def about(self, _question: Mapping[str, Any]) -> Iterator[Answer]:
        """Name the columns and count the row groups."""
        names = self.file.schema_arrow.names
        if len(names) > MOST_COLUMNS_N:
            raise ValueError(f"it claims {len(names)} columns")
        yield {"names": names, "groups": self.file.num_row_groups}, None

    def rows_of(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        """Read a row group, and say how many bytes it is as an Arrow stream; "array" gives them."""
        import pyarrow

        table = self.file.read_row_group(question["group"], columns=question["names"], use_threads=False)
        table.validate(full=True)
        if table.nbytes > question["most_bytes"]:
            raise ValueError(f"{table.num_rows} of its rows are {table.nbytes} bytes")
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        self.rows = sink.getvalue()
        yield {"size": self.rows.size}, None

    def array(self, _question: Mapping[str, Any]) -> Iterator[Answer]:
        """Give the row group that was read last."""
        whole, self.rows = memoryview(self.rows), None
        for at in range(0, whole.nbytes, SLAB_BYTES):
            yield {"more": 1}, whole[at : at + SLAB_BYTES]


def main() -> None:
    """Serve until standard input ends."""
    import pyarrow.parquet  # noqa: F401 - before the first question's time begins to run

    at = _Open()
    names = ("open", "close", "about", "rows_of", "array")
    serve({name: getattr(at, name) for name in names}, memory_bytes=MEMORY_BYTES)
