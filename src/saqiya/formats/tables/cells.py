"""Rows of numbers and words out of files that are tables: text, npy, npz and Parquet."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import UnreadableLog

__all__ = [
    "DELIMITERS",
    "ISO",
    "TIME_UNITS_NS",
    "Cells",
    "Reading",
    "numbers_of",
    "read_blocks",
    "read_cells",
    "split_row",
    "table_of",
    "text_of",
]

MOST_BYTES = 1 << 29
"""A larger text is refused: it would need several times that in memory."""
DELIMITERS = {"whitespace": None, "comma": ",", "semicolon": ";", "tab": "\t"}
ISO = "iso"
TIME_UNITS_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
LARGEST_NS = 2**62
_EXACT = 2.0**52  # up to here a float of nanoseconds is within one
_BOTH_NS = 10**9
_STAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9})\d*)?)? ?(Z|UTC|[+-]\d\d:?\d\d)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Reading:
    """How a file is read: what its mapping says beside the columns.

    Attributes:
        separator: a key of DELIMITERS (text).
        header: the first row that counts names the columns (text).
        skip_rows: rows before it that do not count (text).
        decimal: "." or "," (text).
        array: which array of an npz; "" for the only one.
    """

    separator: str = "whitespace"
    header: bool = False
    skip_rows: int = 0
    decimal: str = "."
    array: str = ""


@dataclass(frozen=True)
class Cells:
    """A table.

    Attributes:
        values: (T, C), NaN where a text holds a word; (T, 0) where all columns are `own`.
        names: of the columns, where the file has them.
        problems: what was wrong on the way.
        rows: the cells of each row as text, where the file is text.
        own: columns with a dtype of their own: numbers, or words as an array of str.
        stamped: columns in `own` that are nanoseconds since 1970.
        groups: names of several columns at once (a list column).
        shape: of one row, where it is more than a line of numbers.
    """

    values: NDArray[Any]
    names: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    rows: Sequence[Sequence[str]] | None = None
    own: Mapping[int, NDArray[Any]] = field(default_factory=dict)
    stamped: frozenset[int] = frozenset()
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    shape: tuple[int, ...] = ()

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.values)

    @property
    def width(self) -> int:
        """How many columns there are."""
        return max(int(self.values.shape[1]), len(self.names))

    def indexes(self, column: int | str) -> tuple[int, ...]:
        """Give the numbers of a column, or of a named group of columns.

        Raises:
            UnreadableLog: there is no such column.
        """
        return self.groups[column] if isinstance(column, str) and column in self.groups else (self.index(column),)

    def index(self, column: int | str) -> int:
        """Give the number of a column from its number or name.

        Raises:
            UnreadableLog: there is no such column.
        """
        if isinstance(column, int):
            if column >= self.width:
                raise UnreadableLog(f"has {self.width} columns, the mapping asks for column {column} (counted from 0)")
            return column
        if column not in self.names:
            raise UnreadableLog(f"has no column {column!r}; it has: {', '.join(self.names[:20]) or 'no names'}")
        return self.names.index(column)

    def numeric(self, number: int) -> bool:
        """Say whether a column holds numbers."""
        if number in self.own:
            return self.own[number].dtype.kind in "biuf"
        return self.rows is None or len(self) == 0 or not bool(np.isnan(self.values[:, number].astype(float)).all())

    def take(self, numbers: Sequence[int]) -> NDArray[Any]:
        """Return columns side by side, (T, k), in the narrowest dtype that holds them.

        Raises:
            UnreadableLog: one of them holds words.
        """
        wordy = next((number for number in numbers if not self.numeric(number)), None)
        if wordy is not None:
            name = self.names[wordy] if wordy < len(self.names) else wordy
            raise UnreadableLog(f"has words, not numbers, in column {name!r}")
        if any(number in self.own for number in numbers):
            parts = [self.own[number] if number in self.own else self.values[:, number] for number in numbers]
            return np.column_stack(parts)
        return np.ascontiguousarray(self.values[:, list(numbers)])

    def filled(self, numbers: Sequence[int]) -> NDArray[np.bool_]:
        """Say of each row, bool (T,), whether a text has anything in these columns; of other files every row has."""
        there = np.ones(len(self), dtype=bool)
        if self.rows is not None and all(number < self.values.shape[1] for number in numbers):
            for row in np.flatnonzero(np.isnan(self.values[:, list(numbers)]).all(axis=1)).tolist():
                there[row] = any(self.rows[row][number].strip() for number in numbers)
        return there

    def words(self, number: int) -> list[str]:
        """Return a column as text; a whole number is written without a point."""
        if self.rows is not None:
            return [row[number].strip() if number < len(row) else "" for row in self.rows]
        values = self.own[number] if number in self.own else self.values[:, number]
        if values.dtype.kind == "f":
            return [str(int(value)) if value == value // 1 else str(value) for value in values.tolist()]
        return [str(value) for value in values.tolist()]

    def stamps(self, numbers: Sequence[int], unit: str) -> NDArray[np.int64]:
        """Return stamps, int64 ns: one column in `unit`, or one of seconds and one of nanoseconds.

        Stamps are exact: those too large for a float of nanoseconds are read from the text itself.

        Raises:
            UnreadableLog: a cell is no time.
        """
        if len(numbers) == 2:
            whole = self.stamps(numbers[:1], "s") // _BOTH_NS * _BOTH_NS
            return whole + self.stamps(numbers[1:], "ns")
        (number,) = numbers
        if number in self.stamped:
            return self.own[number]
        if unit == ISO:
            return np.array([_iso_ns(word) for word in self.words(number)], dtype=np.int64)
        values = self.own[number] if number in self.own else self.values[:, number]
        if values.dtype.kind not in "iuf":
            raise UnreadableLog("has words where a time is expected")
        scale = TIME_UNITS_NS[unit]
        scaled = values.astype(np.float64) * scale
        if not bool(np.all(np.isfinite(scaled))) or bool(np.any(np.abs(scaled) > LARGEST_NS)):
            raise UnreadableLog("has stamps that are no times")
        if values.dtype.kind in "iu":
            return values.astype(np.int64) * scale
        if self.rows is None or not len(self) or float(np.abs(scaled).max()) < _EXACT:
            return np.rint(scaled).astype(np.int64)
        return np.array([_decimal_ns(word, scale) for word in self.words(number)], dtype=np.int64)

    def select(self, keep: NDArray[np.bool_]) -> Cells:
        """Return some of the rows."""
        rows = None if self.rows is None else [row for row, kept in zip(self.rows, keep.tolist(), strict=True) if kept]
        own = {number: values[keep] for number, values in self.own.items()}
        return replace(self, values=self.values[keep], rows=rows, own=own)


def read_cells(path: Path, how: Reading) -> Cells:
    """Read a table; the suffix tells npy, npz and Parquet, all else is text.

    A text row that has another width than most, or a word where the others have a number, is left out and counted in
    `problems`.

    Raises:
        UnreadableLog: the file is empty, too large, has no row of numbers, or needs a library that is not there.
    """
    if path.stat().st_size == 0:
        raise UnreadableLog("is empty (0 bytes)")
    suffix = path.suffix.lower()
    if suffix in {".npy", ".npz", ".parquet"}:
        from saqiya.formats.tables import cells_binary

        return cells_binary.read(path, how)
    lines, names = _lines(path, how)
    return table_of(lines, names, how)


def read_blocks(path: Path, how: Reading) -> list[tuple[str, Cells]]:
    """Read a text whose tables are parted by blank lines, each behind a line of words that labels it, or behind none.

    Raises:
        UnreadableLog: as for `read_cells`.
    """
    text = _text(path)
    found: list[tuple[str, Cells]] = []
    label, block = "", list[str]()
    for line in [*text.splitlines()[how.skip_rows :], ""]:
        if line.strip():
            wordy = not block and numbers_of(split_row(line, how)) is None
            label, block = (line.strip(), block) if wordy else (label, [*block, line])
        elif block:
            found.append((label, table_of(block, (), how)))
            label, block = "", []
    if not found:
        raise UnreadableLog("has no row of numbers")
    return found


def _lines(path: Path, how: Reading) -> tuple[list[str], tuple[str, ...]]:
    """Return the lines of a text that count, and its column names where it has them; `#` begins a comment.

    Raises:
        UnreadableLog: it is too large, no text, or has no rows.
    """
    lines = _text(path).splitlines()[how.skip_rows :]
    rows = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not rows:
        raise UnreadableLog("has no rows")
    if not how.header:
        return rows, ()
    return rows[1:], tuple(name.strip().strip("\"'") for name in _trimmed(split_row(rows[0], how)))


def _text(path: Path) -> str:
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise UnreadableLog(f"has {size} bytes, more than the {MOST_BYTES} that a text may have")
    data = path.read_bytes()
    return text_of(data)


def text_of(data: bytes) -> str:
    """Return bytes as text: UTF-8, UTF-16 where its mark is there (spreadsheets write it), else Latin-1.

    Raises:
        UnreadableLog: they are no text.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data[:4096]:
        raise UnreadableLog("holds bytes that are no text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def split_row(row: str, how: Reading) -> list[str]:
    """Return the cells of a text row.

    Raises:
        UnreadableLog: it is no row.
    """
    delimiter = DELIMITERS[how.separator]
    if delimiter is None:
        return row.split()
    try:
        return next(csv.reader([row], delimiter=delimiter))
    except csv.Error as error:
        raise UnreadableLog(f"has a row that is none ({error})") from error


def table_of(lines: list[str], names: tuple[str, ...], how: Reading) -> Cells:
    """Return the table that lines of text are.

    Raises:
        UnreadableLog: none of them is a row of numbers.
    """
    plain = [line.replace(",", ".") for line in lines] if how.decimal == "," and how.separator != "comma" else lines
    try:
        values = np.loadtxt(plain, delimiter=DELIMITERS[how.separator], ndmin=2, comments=None) if plain else None
    except ValueError:
        values = None
    if values is not None and values.size and len(names) not in {0, values.shape[1]}:
        raise UnreadableLog(f"has {len(names)} column names for {values.shape[1]} columns")
    if values is not None and values.size:
        return Cells(values, names, _gaps(values), rows=_Split(lines, how))
    rows = [split_row(line, how) for line in plain]
    filled = [row for row in rows if _trimmed(row)]
    if not filled:
        raise UnreadableLog("has no row of numbers")
    usual = len(names) or _usual_width([row for row in filled if numbers_of(row) is not None] or filled)
    kept = [row[:usual] for row in filled if len(_trimmed(row)) <= usual <= len(row)]
    wordy = {number for number in range(usual) if _is_wordy([row[number] for row in kept])}
    good, parsed = [], []
    for row in kept:
        numbers = numbers_of(["" if number in wordy else cell for number, cell in enumerate(row)])
        if numbers is not None:
            good.append(row)
            parsed.append(numbers)
    if not good or len(wordy) == usual:
        raise UnreadableLog(f"has no row of {usual} numbers")
    lost = len(rows) - len(good)
    values = np.array(parsed, dtype=np.float64)
    sure = values[:, [number for number in range(usual) if number not in wordy]]
    problems = (f"{lost} of {len(rows)} rows are no rows of {usual} numbers and were left out",) if lost else ()
    return Cells(values, names, (*problems, *_gaps(sure)), rows=good)


class _Split(Sequence[Sequence[str]]):
    """Rows that are split when somebody asks for them: most tables are never read as words."""

    def __init__(self, lines: list[str], how: Reading) -> None:
        self._lines, self._how = lines, how

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - an index or a slice
        if isinstance(index, slice):
            return [split_row(line, self._how) for line in self._lines[index]]
        return split_row(self._lines[index], self._how)


def _usual_width(rows: list[list[str]]) -> int:
    """Return how many columns most rows have; one that is empty in all of these is a separator at their end."""
    usual = Counter(map(len, rows)).most_common(1)[0][0]
    return max(len(_trimmed(row)) for row in rows if len(row) == usual)


def _trimmed(cells: list[str]) -> list[str]:
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def numbers_of(cells: Sequence[str]) -> list[float] | None:
    """Give the numbers of a row, NaN for an empty cell; None where a cell is a word."""
    try:
        return [float(cell) if cell.strip() else float("nan") for cell in cells]
    except ValueError:
        return None


def _is_wordy(cells: Sequence[str]) -> bool:
    """Say whether more than half of the cells that hold anything hold words."""
    filled = [cell for cell in cells if cell.strip()]
    return sum(numbers_of([cell]) is None for cell in filled) * 2 > len(filled)


def _gaps(values: NDArray[Any]) -> tuple[str, ...]:
    count = int(values.size - np.isfinite(values).sum())
    return (f"{count} cells are empty, NaN or infinite",) if count else ()


def _decimal_ns(word: str, scale: int) -> int:
    try:
        return int((Decimal(word.strip().replace(",", ".")) * scale).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise UnreadableLog(f"has {word[:40]!r} where a time is expected") from error


def _iso_ns(word: str) -> int:
    """Read an ISO 8601 date and time; without a zone it is taken as UTC."""
    found = _STAMP.fullmatch(word.strip().strip("\"'"))
    if found is None:
        raise UnreadableLog(f"has {word[:40]!r} where a date and time is expected")
    day, clock, fraction, zone = found.groups()
    try:
        whole = datetime.fromisoformat(f"{day}T{clock or '00:00'}").replace(tzinfo=_zone(zone))
    except ValueError as error:
        raise UnreadableLog(f"has {word[:40]!r} where a date and time is expected") from error
    seconds = (whole - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    total = seconds * _BOTH_NS + int((fraction or "").ljust(9, "0"))
    if abs(total) > LARGEST_NS:
        raise UnreadableLog(f"has {word[:40]!r}, which is too far away")
    return total


def _zone(text: str | None) -> timezone:
    if text is None or text.upper() in {"Z", "UTC"}:
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))
