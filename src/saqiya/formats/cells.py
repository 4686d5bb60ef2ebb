"""Rows of numbers out of small files: whitespace, CSV, npy, and Parquet where pyarrow is there."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import UnreadableLog

__all__ = ["Cells", "read_cells", "read_words"]

MOST_BYTES = 1 << 30
"""A larger table is refused: text of a gigabyte would need several in memory."""
DELIMITERS = {"whitespace": None, "comma": ",", "semicolon": ";", "tab": "\t"}


@dataclass(frozen=True)
class Cells:
    """Numbers (T, C), the names of their columns where the file has them, and what was wrong on the way."""

    values: NDArray[Any]
    names: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def index(self, column: int | str) -> int:
        """Give the number of a column from its number or name.

        Raises:
            UnreadableLog: there is no such column.
        """
        width = self.values.shape[1]
        if isinstance(column, int):
            if column >= width:
                raise UnreadableLog(f"has {width} columns, the mapping asks for column {column} (counted from 0)")
            return column
        if column not in self.names:
            raise UnreadableLog(f"has no column {column!r}; it has: {', '.join(self.names[:20]) or 'no names'}")
        return self.names.index(column)


def read_cells(path: Path, *, separator: str, header: bool) -> Cells:
    """Read a table of numbers; the suffix tells npy and Parquet, all else is text.

    A text row that is no row of numbers of the usual width is left out and counted in `problems`.

    Raises:
        UnreadableLog: the file is empty, too large, has no row of numbers, or needs a library that is not there.
    """
    size = path.stat().st_size
    if size == 0:
        raise UnreadableLog("is empty (0 bytes)")
    if size > MOST_BYTES:
        raise UnreadableLog(f"has {size} bytes, more than the {MOST_BYTES} that a table may have")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _npy(path)
    if suffix == ".parquet":
        return _parquet(path)
    rows, names = _lines(path, separator=separator, header=header)
    return _numbers(rows, names, DELIMITERS[separator])


def read_words(path: Path, *, separator: str, header: bool) -> tuple[list[list[str]], tuple[str, ...]]:
    """Read a small table of texts (events): its rows, and its column names where it has them."""
    rows, names = _lines(path, separator=separator, header=header)
    return [_split(row, DELIMITERS[separator]) for row in rows], names


def _lines(path: Path, *, separator: str, header: bool) -> tuple[list[str], tuple[str, ...]]:
    data = path.read_bytes()
    if b"\0" in data[:4096]:
        raise UnreadableLog("holds bytes that are no text")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    rows = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not rows:
        raise UnreadableLog("has no rows")
    if not header:
        return rows, ()
    return rows[1:], tuple(name.strip() for name in _split(rows[0], DELIMITERS[separator]))


def _split(row: str, delimiter: str | None) -> list[str]:
    return row.split() if delimiter is None else next(csv.reader([row], delimiter=delimiter))


def _numbers(rows: list[str], names: tuple[str, ...], delimiter: str | None) -> Cells:
    try:
        values = np.loadtxt(rows, delimiter=delimiter, ndmin=2, comments=None) if rows else np.empty((0, 0))
        if values.size:
            return Cells(values, names, _gaps(values))
    except ValueError:
        values = np.empty((0, 0))
    parsed = [_row(_split(row, delimiter)) for row in rows]
    widths = [len(row) for row in parsed if row]
    if not widths:
        raise UnreadableLog("has no row of numbers")
    usual = len(names) or max(set(widths), key=widths.count)
    good = [row for row in parsed if len(row) == usual]
    if not good:
        raise UnreadableLog(f"has no row of {usual} numbers")
    lost = len(rows) - len(good)
    values = np.array(good, dtype=np.float64)
    problems = (f"{lost} of {len(rows)} rows are no rows of {usual} numbers and were left out",) if lost else ()
    return Cells(values, names, (*problems, *_gaps(values)))


def _row(cells: list[str]) -> list[float]:
    """Give the numbers of one row, NaN for an empty cell, and no number at all where a cell is a word."""
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    try:
        return [float(cell) if cell.strip() else float("nan") for cell in cells]
    except ValueError:
        return []


def _gaps(values: NDArray[Any]) -> tuple[str, ...]:
    count = int(values.size - np.isfinite(values).sum())
    return (f"{count} cells are empty, NaN or infinite",) if count else ()


def _npy(path: Path) -> Cells:
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError, SyntaxError) as error:
        raise UnreadableLog(f"is no readable npy array: {error}") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
        raise UnreadableLog("is no numeric npy array")
    if values.ndim == 0 or values.size == 0:
        raise UnreadableLog("is an npy array without rows")
    flat = values.reshape(values.shape[0], -1)
    return Cells(flat, (), _gaps(flat))


def _parquet(path: Path) -> Cells:
    try:
        import pyarrow
        import pyarrow.parquet as pq
    except ModuleNotFoundError as missing:
        raise UnreadableLog("is Parquet, and pyarrow is not installed", remedy="pip install pyarrow.") from missing
    try:
        table = pq.read_table(path)
        columns = [np.asarray(table.column(name).to_numpy(), dtype=np.float64) for name in table.column_names]
    except (pyarrow.ArrowInvalid, OSError, ValueError, TypeError) as error:
        raise UnreadableLog(f"is no readable Parquet table of numbers: {error}") from error
    if not columns or not columns[0].size:
        raise UnreadableLog("is a Parquet table without rows")
    values = np.column_stack(columns)
    return Cells(values, tuple(table.column_names), _gaps(values))
