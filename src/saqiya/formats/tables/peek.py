"""Look at a file that nobody described: is it a table, how is it written, what do its columns hold?"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from saqiya.errors import UnreadableLog
from saqiya.formats.tables.cells import DELIMITERS, Cells, Reading, numbers_of, split_row, table_of, text_of

__all__ = ["Look", "peek"]

HEAD_BYTES = 1 << 18
WHOLE_BYTES = 1 << 24
"""A text up to here is looked through for blank lines and labels; of a larger one only its head."""
MOST_LINES = 400
_BINARY = {".npy", ".npz", ".parquet"}
_UNIT_CELL = re.compile(r"[(\[].*[)\]]|")


@dataclass(frozen=True)
class Look:
    """What a file looks like.

    Attributes:
        path: the file.
        how: how it is to be read.
        cells: its head.
        names: of its columns: from a header, or from a comment above the numbers.
        from_comment: the names come from a comment, so that columns go by number.
        labels: of the blocks that blank lines part it into; "" for a block without one; () for no blocks.
        arrays: of an npz file with several: its arrays' names.
    """

    path: Path
    how: Reading
    cells: Cells
    names: tuple[str, ...] = ()
    from_comment: bool = False
    labels: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()

    @property
    def signature(self) -> tuple[object, ...]:
        """What files of one make share."""
        return (self.path.suffix.lower(), self.cells.width, self.names, self.arrays, bool(self.labels))


def peek(path: Path, array: str = "") -> Look:
    """Look at the head of a file.

    Raises:
        UnreadableLog: it is no table of numbers.
    """
    if path.suffix.lower() in _BINARY:
        from saqiya.formats.tables import cells_binary

        arrays = cells_binary.array_names(path) if path.suffix.lower() == ".npz" else ()
        how = Reading(array=array or (arrays[0] if len(arrays) > 1 else ""))
        cells = cells_binary.read(path, how)
        return Look(path, how, cells, cells.names, arrays=arrays if len(arrays) > 1 else ())
    text, whole = _head(path)
    lines = text.splitlines()
    counted = [line for line in lines if line.strip() and not line.lstrip().startswith("#")][:MOST_LINES]
    if not counted:
        raise UnreadableLog("has no rows")
    how = _separation(counted)
    widths = Counter(len(_cells(line, how)) for line in counted)
    labels = _labels(lines, how) if whole else ()
    if labels:
        block = [line for line in counted if numbers_of(_cells(line, how)) is not None]
        return Look(path, how, table_of(block, (), how), labels=labels)
    usual = widths.most_common(1)[0][0]
    how, names = _beginning(lines, how, usual)
    rows = [line for line in lines[how.skip_rows :] if line.strip() and not line.lstrip().startswith("#")]
    cells = table_of(rows[1:] if how.header else rows, names if how.header else (), how)
    if 2 * len(cells) < len(rows):
        raise UnreadableLog(f"has numbers in {len(cells)} of its first {len(rows)} rows only")
    if not names:
        said = _comment_names(lines, how, cells.width)
        return Look(path, how, cells, said, from_comment=bool(said))
    return Look(path, how, cells, names)


def _head(path: Path) -> tuple[str, bool]:
    size = path.stat().st_size
    if size == 0:
        raise UnreadableLog("is empty (0 bytes)")
    whole = size <= WHOLE_BYTES
    with path.open("rb") as file:
        data = file.read(size if whole else HEAD_BYTES)
    if not whole:
        data = data[: data.rfind(b"\n") + 1]
    return text_of(data), whole


def _cells(line: str, how: Reading) -> list[str]:
    plain = line.replace(",", ".") if how.decimal == "," else line
    cells = split_row(plain, how)
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def _separation(lines: list[str]) -> Reading:
    """Choose what parts the columns: what makes most cells numbers, in rows of one width."""
    best, most = Reading(), (-1.0, 0.0, 0)
    for separator in DELIMITERS:
        for decimal in (".", ",") if separator != "comma" else (".",):
            how = Reading(separator, decimal=decimal)
            try:
                rows = [_cells(line, how) for line in lines]
            except UnreadableLog:
                continue
            width = Counter(map(len, rows)).most_common(1)[0][0]
            same = [row for row in rows if len(row) == width]
            numbers = sum(bool(cell.strip()) and numbers_of([cell]) is not None for row in same for cell in row)
            share = numbers / max(1, width * len(same)) * len(same) / len(rows)
            rank = (round(share, 2), round(len(same) / len(rows), 1), width)
            # What tabs part, white space parts too; names with spaces in them tell which it is.
            if width and (rank > most or (rank == most and how == Reading("tab") and width > 1)):
                best, most = how, rank
    return best


def _beginning(lines: list[str], how: Reading, usual: int) -> tuple[Reading, tuple[str, ...]]:
    """Find the row that names the columns, and how many lines before it do not count.

    Of several rows of words above the numbers it is the last, or where that holds units in brackets, the one before.
    """
    first, names = -1, tuple[str, ...]()
    for number, line in enumerate(lines):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        cells = [cell.strip() for cell in _cells(line, Reading(how.separator))]
        if len(cells) != usual:
            continue
        if any(cell.strip() and numbers_of([cell]) is not None for cell in _cells(line, how)):
            first = number if first < 0 else first
            break
        if names and all(_UNIT_CELL.fullmatch(cell) for cell in cells):
            break
        first, names = number, tuple(cell.strip("\"'") for cell in cells)
    before = any(other.strip() and not other.lstrip().startswith("#") for other in lines[: max(first, 0)])
    return Reading(how.separator, header=bool(names), skip_rows=first if before else 0, decimal=how.decimal), names


def _comment_names(lines: list[str], how: Reading, width: int) -> tuple[str, ...]:
    """Return the names in the last comment above the numbers, where it has one a column."""
    found: tuple[str, ...] = ()
    for line in lines[:50]:
        if not line.lstrip().startswith("#"):
            if line.strip():
                break
            continue
        body = line.lstrip("# \t%")
        for separator in (how.separator, "comma", "whitespace"):
            words = [word.strip() for word in split_row(body, Reading(separator))]
            if len(words) == width and not any(numbers_of([word]) is not None for word in words):
                found = tuple(words)
                break
    return found


def _labels(lines: list[str], how: Reading) -> tuple[str, ...]:
    """Return the labels of blocks of rows parted by blank lines; () where there are not at least two."""
    found: list[str] = []
    label, inside = "", False
    for line in [*lines, ""]:
        if not line.strip():
            if inside:
                found.append(label)
            label, inside = ("", False) if inside else (label, False)
        elif not inside and numbers_of(_cells(line, how)) is None:
            label = line.strip()
            if not re.fullmatch(r"[\w .:/-]{1,60}", label):
                return ()
        else:
            inside = True
    many = len(found) >= 2 and (any(found) or len(found) >= 3)
    return tuple(found) if many else ()
