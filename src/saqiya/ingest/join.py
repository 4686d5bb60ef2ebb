"""Join the rows of a trials table to the tries that logs hold, and say what did not join."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from saqiya.domain.nouns import Outcome
from saqiya.ingest.trials import TrialRow, TrialTable

__all__ = ["Joined", "Match", "TryName", "join"]

TRUST = (Outcome.FAILURE, Outcome.ABORTED, Outcome.UNKNOWN, Outcome.SUCCESS)
"""Where rows disagree on one try, the outcome that comes first here wins: doubt must not raise a success rate."""


@dataclass(frozen=True)
class TryName:
    """What a try can be called by: where its files lie, its keys in them, and what the logs say of themselves."""

    paths: tuple[str, ...]
    keys: tuple[str, ...]
    number: str = ""
    date: str = ""


@dataclass(frozen=True)
class Match:
    """A try with all rows that name it; `row` is the one that wins.

    `conflict` says in a sentence what the rows disagree on, "" where they agree.
    """

    index: int
    row: TrialRow
    rows: tuple[TrialRow, ...]
    how: str
    conflict: str = ""


@dataclass(frozen=True)
class Joined:
    """The outcome of a join. Indices are into the sequence of tries."""

    matches: tuple[Match, ...]
    lost_rows: tuple[tuple[TrialRow, str], ...]
    ambiguous_rows: tuple[tuple[TrialRow, tuple[int, ...]], ...]
    unnamed: tuple[int, ...]
    repeated_rows: tuple[tuple[TrialRow, int], ...]


def join(table: TrialTable, tries: Sequence[TryName]) -> Joined:
    """Join rows to tries by path, id, file stem, number, or date, in that order, each only where it is unique.

    A row that names a log which is not there stays unmatched: it is not tried by its number or date next.
    """
    order = _date_order(table)
    index = _Index(tries)
    named: dict[int, list[tuple[TrialRow, str]]] = {}
    lost: list[tuple[TrialRow, str]] = []
    ambiguous: list[tuple[TrialRow, tuple[int, ...]]] = []
    for row in table.rows:
        found, how = index.find(row, order)
        if len(found) == 1:
            named.setdefault(found[0], []).append((row, how))
        elif found:
            ambiguous.append((row, found))
        else:
            lost.append((row, how))
    matches, repeated = [], []
    for number, rows in sorted(named.items()):
        matches.append(_match(number, rows))
        repeated += [(row, number) for row, _ in rows if row is not matches[-1].row]
    unnamed = tuple(number for number in range(len(tries)) if number not in named)
    return Joined(tuple(matches), tuple(lost), tuple(ambiguous), unnamed, tuple(repeated))


def _match(index: int, rows: Sequence[tuple[TrialRow, str]]) -> Match:
    ranked = sorted((row for row, _ in rows), key=lambda row: TRUST.index(row.outcome))
    winner = ranked[0]
    how = next(how for row, how in rows if row is winner)
    differ = []
    if len({row.outcome for row in ranked}) > 1:
        words = ", ".join(f"line {row.line} says {row.outcome}" for row in sorted(ranked, key=lambda row: row.line))
        differ.append(f"{words}; counted as {winner.outcome} (the worse word wins), all are kept as claims")
    for field in ("policy", "task", "criterion"):
        words_of = {row.fields.get(field, "") for row in ranked}
        if len(words_of) > 1:
            differ.append(f"two words for {field}: {', '.join(sorted(words_of))}; not counted for any of them")
    return Match(index, winner, tuple(row for row, _ in rows), how, "; ".join(differ))


class _Index:
    """Looks tries up by every name they have."""

    def __init__(self, tries: Sequence[TryName]) -> None:
        self._tries = tries
        self._paths: dict[str, set[int]] = {}
        self._words: dict[str, set[int]] = {}
        for number, item in enumerate(tries):
            for path in item.paths:
                parts = _parts(path)
                for start in range(len(parts)):
                    self._paths.setdefault("/".join(parts[start:]), set()).add(number)
                    for key in item.keys:
                        self._paths.setdefault("/".join((*parts[start:], key.casefold())), set()).add(number)
                # Every part but the topmost may be what the team calls the try, when only this try lies below it.
                for part in parts:
                    self._words.setdefault(PurePath(part).stem.casefold(), set()).add(number)
                    self._words.setdefault(part.casefold(), set()).add(number)
            for key in item.keys:
                self._words.setdefault(key.casefold(), set()).add(number)

    def find(self, row: TrialRow, order: str) -> tuple[tuple[int, ...], str]:
        """Return the tries a row can mean, and by which of its cells (or why there is none)."""
        date = _date(row.fields.get("date", ""), order)
        log, own = row.fields.get("log", ""), row.fields.get("id", "")
        if log:
            found = self._by_log(log)
            if not found and _digits(log) and log.strip().isdigit():
                found = self._by_number(_digits(log), date)
            found = self._narrow(found, own, date)
            return found, "log" if found else f"no log is called {log!r}"
        if own:
            found = self._by_log(own) or self._by_number(_digits(own), date)
            return self._narrow(found, "", date), "id" if found else f"no log has the id {own!r}"
        if date:
            found = tuple(number for number, item in enumerate(self._tries) if _own_date(item) == date)
            return found, "date" if found else f"no log is of the date {date}"
        return (), "it names no log, id or date"

    def _by_log(self, word: str) -> tuple[int, ...]:
        parts = _parts(word) or ("",)
        tries = (
            self._paths.get("/".join(parts)),
            self._words.get(word.strip().casefold()),
            self._words.get(PurePath(parts[-1]).stem),
            self._words.get(parts[-2]) if len(parts) > 1 else None,  # a file inside the folder that is the try
        )
        return next((tuple(sorted(found)) for found in tries if found), ())

    def _by_number(self, digits: str, date: str) -> tuple[int, ...]:
        if not digits:
            return ()
        found = [number for number, item in enumerate(self._tries) if _own_number(item) == int(digits)]
        return self._narrow(tuple(found), "", date)

    def _narrow(self, found: tuple[int, ...], own: str, date: str) -> tuple[int, ...]:
        """Let the id, then the date, decide between several; neither can add a try."""
        if len(found) > 1 and own:
            closer = set(self._words.get(own.casefold(), set())) & set(found)
            by_number = {n for n in found if _digits(own) and _own_number(self._tries[n]) == int(_digits(own))}
            found = tuple(sorted(closer or by_number)) or found
        if len(found) > 1 and date:
            found = tuple(number for number in found if _own_date(self._tries[number]) == date) or found
        return found


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.strip().replace("\\", "/").casefold().split("/") if part not in {"", "."})


def _digits(text: str) -> str:
    found = re.findall(r"\d+", text)
    return found[-1] if found else ""


def _own_number(item: TryName) -> int | None:
    if item.number:
        digits = _digits(item.number)
        return int(digits) if digits else None
    for name in (*item.keys, *(PurePath(path).stem for path in item.paths)):
        if digits := _digits(name):
            return int(digits)
    return None


def _own_date(item: TryName) -> str:
    said = _date(item.date, "ymd")
    if said:
        return said
    found = re.search(r"(?<!\d)(?:19|20)\d{6}(?!\d)", " ".join(item.paths))
    return found[0] if found else ""


def _date(text: str, order: str) -> str:
    """Return a date as YYYYMMDD, "" where the text is none or where day and month cannot be told apart."""
    word = text.strip()
    if found := re.match(r"(\d{4})[-./]?(\d{2})[-./]?(\d{2})(?!\d)", word):
        return "".join(found.groups())
    if found := re.match(r"(\d{1,2})[-./](\d{1,2})[-./](\d{4})(?!\d)", word):
        first, second, year = (int(part) for part in found.groups())
        if order == "ymd" and "." not in word[:3]:
            return ""
        day, month = (second, first) if order == "mdy" else (first, second)
        return f"{year:04d}{month:02d}{day:02d}" if 1 <= month <= 12 and 1 <= day <= 31 else ""
    return ""


def _date_order(table: TrialTable) -> str:
    """Tell from the whole column whether day or month comes first; "ymd" where no value gives it away."""
    pairs = [
        (int(found[1]), int(found[2]))
        for row in table.rows
        if (found := re.match(r"\s*(\d{1,2})[-./](\d{1,2})[-./]\d{4}", row.fields.get("date", "")))
    ]
    if any(first > 12 for first, _ in pairs):
        return "dmy"
    return "mdy" if any(second > 12 for _, second in pairs) else "ymd"
