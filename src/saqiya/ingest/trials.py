"""The team's spreadsheet of trials, read as it comes: any separator, any encoding, guessed columns."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from saqiya.domain.nouns import Outcome
from saqiya.errors import InvalidMapping
from saqiya.ingest.columns import ColumnGuess, guess_columns, outcome_of, outcome_reader

__all__ = ["TrialRow", "TrialTable", "read_trials"]

MOST_BYTES = 64 << 20
MOST_FACTOR_VALUES_N = 12
FACTOR_FIELDS = ("site", "object", "operator")
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


@dataclass(frozen=True)
class TrialRow:
    """One row: where it stands in the file, its fields by name, its outcome, and the conditions of the trial."""

    line: int
    fields: Mapping[str, str]
    outcome: Outcome
    factors: Mapping[str, str]


@dataclass(frozen=True)
class TrialTable:
    """A trials table and how it was understood.

    Attributes:
        guesses: one a field; `column` None where the table has no such column.
        unknown_words: outcome words that mean nothing known, with their counts; such trials have no outcome.
        notes: what was mended or left out while reading, in sentences.
    """

    path: Path
    guesses: tuple[ColumnGuess, ...]
    rows: tuple[TrialRow, ...]
    unknown_words: Mapping[str, int]
    notes: tuple[str, ...]

    def column(self, field: str) -> str | None:
        """Return the column that `field` was taken from."""
        return next((guess.column for guess in self.guesses if guess.field == field), None)


def read_trials(path: Path, columns: Mapping[str, str] | None = None) -> TrialTable:
    """Read a table of trials; `columns` overrules the guesses, field to column name.

    Raises:
        InvalidMapping: it is a spreadsheet program's own file, unreadable, empty, has a header that fits no reading,
            a row of a wrong width, or nothing in it that says how a trial ended; the message names the line.
    """
    lines, notes = _cells(path)
    header, header_line = lines[0][1], lines[0][0]
    header, renamed = _unique(header, f"{path}:{header_line}")
    notes += renamed
    body: list[tuple[int, list[str]]] = []
    for line, cells in lines[1:]:
        if [cell.strip() for cell in cells] == [name.strip() for name in lines[0][1]]:
            notes.append(f"line {line} repeats the header and was left out")
            continue
        body.append((line, _fit(cells, len(header), f"{path}:{line}")))
    if not body:
        raise InvalidMapping("has a header and no rows", subject=f"{path}:{header_line}", remedy="Add a row a trial.")
    guesses = guess_columns(header, [cells for _, cells in body], columns or {}, subject=f"{path}:{header_line}")
    chosen = {guess.field: guess.column for guess in guesses if guess.column is not None}
    if "outcome" not in chosen:
        raise InvalidMapping(
            "no column says how a trial ended",
            subject=f"{path}:{header_line}",
            remedy=f"Name it: --columns outcome=NAME. Columns: {', '.join(header)}.",
        )
    rows, unknown = _rows(header, body, chosen)
    return TrialTable(path, guesses, rows, unknown, tuple(notes))


def _rows(
    header: Sequence[str], body: Sequence[tuple[int, list[str]]], chosen: Mapping[str, str]
) -> tuple[tuple[TrialRow, ...], dict[str, int]]:
    turned = outcome_reader(chosen["outcome"])
    free = [name for name in header if name not in chosen.values()]
    factors = [name for name in free if _is_factor([cells[header.index(name)] for _, cells in body])]
    factors += [column for field, column in chosen.items() if field in FACTOR_FIELDS]
    unknown: Counter[str] = Counter()
    rows = []
    for line, cells in body:
        by_name = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        word = by_name[chosen["outcome"]]
        outcome, known = outcome_of(word, reversed_meaning=turned)
        if not known:
            unknown[word] += 1
        fields = {field: by_name[column] for field, column in chosen.items() if by_name[column]}
        rows.append(TrialRow(line, fields, outcome, {name: by_name[name] for name in factors if by_name[name]}))
    return tuple(rows), dict(unknown)


def _is_factor(values: Sequence[str]) -> bool:
    """A condition takes few values, and takes one of them more than once."""
    distinct = {value.strip() for value in values if value.strip()}
    return 2 <= len(distinct) <= min(MOST_FACTOR_VALUES_N, len(values) // 2)


def _cells(path: Path) -> tuple[list[tuple[int, list[str]]], list[str]]:
    """Return the rows that are not blank with their line numbers, the header first, and what was noticed."""
    if path.suffix.lower() in SPREADSHEETS:
        raise InvalidMapping(
            "is a spreadsheet program's own file", subject=str(path), remedy="Save it as CSV and give that file."
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidMapping(
            f"cannot be read: {error.strerror}", subject=str(path), remedy="Give the path of a CSV file."
        ) from error
    if not data.strip():
        raise InvalidMapping("is empty", subject=str(path), remedy="Give a CSV file with a header and a row a trial.")
    if len(data) > MOST_BYTES or data[:4] == b"PK\x03\x04":
        raise InvalidMapping("is no table of text", subject=str(path), remedy="Save it as CSV and give that file.")
    text, notes = _text(data, path)
    separator = _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines: list[tuple[int, list[str]]] = []
    start = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines.append((start, cells))
            start = reader.line_num + 1
    except csv.Error as error:
        raise InvalidMapping(
            f"a quote or a cell is broken: {error}", subject=f"{path}:{start}", remedy="Correct that line."
        ) from error
    if not lines:
        raise InvalidMapping("has no rows", subject=str(path), remedy="Give a CSV file with a header.")
    if separator in {";", "\t"}:
        notes.append(f"columns are separated by {'semicolons' if separator == ';' else 'tabs'}")
    return lines, notes


def _text(data: bytes, path: Path) -> tuple[str, list[str]]:
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        try:
            return data.decode("utf-16"), ["the file is UTF-16"]
        except UnicodeDecodeError as error:
            raise InvalidMapping("is no readable UTF-16", subject=str(path), remedy="Save it as UTF-8.") from error
    try:
        text, notes = data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        text, notes = data.decode("latin-1"), ["the file is not UTF-8; it was read as latin-1"]
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InvalidMapping("holds bytes that are no text", subject=f"{path}:{line}", remedy="Save it as CSV.")
    return text, notes


def _separator(text: str) -> str:
    """Take the separator that the first line with any has most of, outside quotes."""
    for line in text.splitlines():
        bare = "".join(part for number, part in enumerate(line.split('"')) if number % 2 == 0)
        counts = {separator: bare.count(separator) for separator in ("\t", ";", ",")}
        if any(counts.values()):
            return max(counts, key=lambda separator: counts[separator])
    return ","


def _unique(header: Sequence[str], subject: str) -> tuple[list[str], list[str]]:
    """Strip the header's names, name the nameless, and refuse two columns of one name."""
    names = [name.strip() for name in header]
    while names and not names[-1]:
        names.pop()
    twice = [name for name, count in Counter(name for name in names if name).items() if count > 1]
    if twice:
        raise InvalidMapping(
            f"the header has {twice[0]!r} {names.count(twice[0])} times", subject=subject, remedy="Rename one of them."
        )
    notes = [f"column {number + 1} has no name" for number, name in enumerate(names) if not name]
    return [name or f"column {number + 1}" for number, name in enumerate(names)], notes


def _fit(cells: list[str], width: int, subject: str) -> list[str]:
    extra = [cell for cell in cells[width:] if cell.strip()]
    if extra:
        raise InvalidMapping(
            f"has {len(cells)} cells and the header {width}",
            subject=subject,
            remedy="Quote the cell with a separator in it.",
        )
    return [*cells[:width], *[""] * (width - len(cells))]
