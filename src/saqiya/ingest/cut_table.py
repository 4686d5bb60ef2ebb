"""A table of times that somebody wrote down: rows become ranges of a log."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from saqiya.domain.streams import Span
from saqiya.errors import InvalidMapping
from saqiya.ingest.columns import outcome_of
from saqiya.ingest.cut_rules import TableRow

__all__ = ["TableRange", "ranges_of", "read_rows"]

MOST_BYTES = 16 << 20
COLUMNS = {
    "start": ("start", "begin", "from", "starttime", "started", "t0", "tstart", "starts", "startns"),
    "end": ("end", "stop", "to", "until", "endtime", "ended", "t1", "tend", "stoptime", "endns"),
    "duration": ("duration", "length", "durations", "seconds"),
    "outcome": ("outcome", "result", "success", "label", "status"),
    "task": ("task", "skill", "instruction", "description"),
}
UNITS_NS = ((1e17, 1.0), (1e14, 1e3), (1e11, 1e6), (1e8, 1e9))
"""A Unix time is recognised by its size: ns, us, ms, s; below 1e8 it is seconds from the log's start."""

TableRange = tuple[int, int, TableRow, str]
"""start_ns, end_ns (0 where the row says none), the row, and its outcome."""


def read_rows(path: Path) -> tuple[TableRow, ...]:
    """Read a CSV with a header; separators `,`, `;` and tab; columns are known by their names.

    Raises:
        InvalidMapping: it cannot be read, has no start column, or a row without one.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InvalidMapping("is larger than 16 MiB", subject=str(path), remedy="Give a table of times alone.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidMapping(
            f"cannot be read: {error.strerror}", subject=str(path), remedy="Correct table.file in the rules."
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidMapping("is not UTF-8 text", subject=str(path), remedy="Save it as CSV in UTF-8.") from error
    head = text.splitlines()[0] if text.strip() else ""
    separator = max((",", ";", "\t"), key=head.count)
    try:
        lines = list(csv.reader(io.StringIO(text), delimiter=separator, strict=True))
    except csv.Error as error:
        raise InvalidMapping(f"is no CSV: {error}", subject=str(path), remedy="Save it as CSV again.") from error
    header = [re.sub(r"[^a-z0-9]|\(.*", "", name.casefold()) for name in (lines[0] if lines else [])]
    places = {field: next((header.index(n) for n in names if n in header), None) for field, names in COLUMNS.items()}
    if places["start"] is None:
        raise InvalidMapping(
            "has no column that says when a try starts", subject=str(path), remedy="Name a column start."
        )
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        said = {field: cells[at].strip() if at is not None and at < len(cells) else "" for field, at in places.items()}
        if not said["start"]:
            raise InvalidMapping("says no start", subject=f"{path}:{number}", remedy="Fill in the start, or delete it.")
        rows.append(TableRow(**said, line=number))
    return tuple(rows)


def ranges_of(rows: Sequence[TableRow], span: Span, *, utc_offset_h: float) -> tuple[list[TableRange], list[str]]:
    """Turn rows into ranges in order of time, and say which were left out or mended.

    A row without an end lasts until the next row's start, the last one until the log ends.

    Raises:
        InvalidMapping: a time cannot be read, or a try ends before it starts.
    """
    ranges: list[TableRange] = []
    notes: list[str] = []
    for row in rows:
        start = _time_ns(row.start, row, span, utc_offset_h)
        end = _time_ns(row.end, row, span, utc_offset_h) if row.end else 0
        if not row.end and row.duration:
            end = start + round(_number(row.duration, row) * 1e9)
        if end and end <= start:
            raise _bad(row, f"ends ({row.end or row.duration}) before it starts ({row.start})")
        outcome, known = outcome_of(row.outcome)
        if not known:
            notes.append(f"line {row.line}: {row.outcome!r} is no known outcome")
        if start >= span.end_ns or (end and end <= span.start_ns):
            notes.append(f"line {row.line}: {row.start} lies outside this log")
            continue
        ranges.append((start, end, row, outcome.value if known and row.outcome else ""))
    ranges.sort(key=lambda one: (one[0], one[1]))
    return ranges, notes


def _time_ns(text: str, row: TableRow, span: Span, utc_offset_h: float) -> int:
    if re.fullmatch(r"[+-]?\d+", text):
        return _unix_ns(int(text), span)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        return _unix_ns(_number(text, row), span)
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?", text)
    zone = timezone(timedelta(hours=utc_offset_h))
    if clock:  # a time of day: on the day on which the log starts, or the next where that is over
        day = datetime.fromtimestamp(span.start_ns / 1e9, zone).replace(hour=0, minute=0, second=0, microsecond=0)
        seconds = int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3] or 0)
        at = round(day.timestamp()) * 1_000_000_000 + round(seconds * 1e9)
        return at if at >= span.start_ns - 60_000_000_000 else at + 86_400_000_000_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _bad(
            row, f"{text!r} is no time: ISO date and time, Unix time, or seconds from the log's start"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def _unix_ns(value: float, span: Span) -> int:
    for least, unit in UNITS_NS:
        if abs(value) >= least:
            return value * int(unit) if isinstance(value, int) else round(value * unit)
    return span.start_ns + round(value * 1e9)


def _number(text: str, row: TableRow) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise _bad(row, f"{text!r} is no number") from error
    if not abs(value) < 1e19:
        raise _bad(row, f"{text!r} is no time")
    return value


def _bad(row: TableRow, what: str) -> InvalidMapping:
    where = f"the table of times, line {row.line}" if row.line else "the table of times"
    return InvalidMapping(what, subject=where, remedy="Correct that row.")
