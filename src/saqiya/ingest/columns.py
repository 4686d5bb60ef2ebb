"""Guess what a spreadsheet's columns mean, from their names and their values; every guess can be overruled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from saqiya.domain.nouns import Outcome
from saqiya.errors import InvalidMapping

__all__ = ["FIELDS", "ColumnGuess", "guess_columns", "outcome_of", "outcome_reader"]

FIELDS: dict[str, tuple[str, ...]] = {
    "log": ("log", "path", "file", "filename", "logfile", "bag", "recording", "folder", "mcap", "episode", "rosbag"),
    "id": ("id", "trial", "number", "trialid", "run", "runid", "nr", "no", "num", "index", "rollout", "attempt", "try"),
    "policy": ("policy", "model", "checkpoint", "ckpt", "controller", "version", "agent", "weights", "method"),
    "task": ("task", "skill", "job", "benchmark", "taskname"),
    "criterion": ("criterion", "criteria", "successcriterion", "rubric", "definition"),
    "outcome": ("outcome", "result", "success", "succeeded", "successful", "status", "label", "pass", "passed",
                "failed", "failure", "fail", "ok", "verdict", "score"),
    "operator": ("operator", "user", "person", "who", "tester", "evaluator", "name", "supervisor"),
    "date": ("date", "day", "when", "datetime", "timestamp", "time"),
    "site": ("site", "lab", "cell", "station", "location", "robot", "arm", "place"),
    "object": ("object", "item", "part", "sku", "target", "material"),
    "notes": ("notes", "note", "comment", "comments", "remark", "remarks", "description"),
}  # fmt: skip
"""What a column can be, and the names that say so, the surest first."""
SUCCESS = frozenset((
    "success", "succeeded", "successful", "succes", "ok", "1", "1.0", "yes", "y", "pass", "passed", "true", "t", "good",
    "done", "s", "✓", "✔", "completed", "complete", "io", "won",
))  # fmt: skip
FAILURE = frozenset((
    "failure", "fail", "failed", "fails", "0", "0.0", "no", "n", "false", "f", "bad", "error", "nok", "ng", "✗", "✘",
    "missed", "miss", "nio", "timeout", "timed out", "lost", "unsuccessful",
))  # fmt: skip
ABORTED = frozenset((
    "abort", "aborted", "stopped", "estop", "e-stop", "e stop", "cancelled", "canceled", "interrupted",
    "emergency stop", "safety stop",
))  # fmt: skip
UNKNOWN = frozenset(("", "unknown", "?", "n/a", "na", "nan", "none", "-", "--", "unclear", "unsure", "tbd", "maybe"))
REVERSED = ("fail", "error", "unsuccess")
DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}|\d{8}\b")


@dataclass(frozen=True)
class ColumnGuess:
    """What a field was taken from, how sure that is (0..1), and why. `column` is None where nothing fits."""

    field: str
    column: str | None
    confidence: float
    why: str


def outcome_of(word: str, *, reversed_meaning: bool = False) -> tuple[Outcome, bool]:
    """Return the outcome a word means and whether the word is known; `reversed_meaning` for a column named "failed"."""
    text = re.sub(r"\s+", " ", word.strip().strip("\"'.!").casefold())
    if text in ABORTED:
        return Outcome.ABORTED, True
    if text in UNKNOWN:
        return Outcome.UNKNOWN, True
    plain = {"1", "1.0", "yes", "y", "true", "t", "0", "0.0", "no", "n", "false"}
    if text in SUCCESS:
        flip = reversed_meaning and text in plain
        return (Outcome.FAILURE if flip else Outcome.SUCCESS), True
    if text in FAILURE:
        flip = reversed_meaning and text in plain
        return (Outcome.SUCCESS if flip else Outcome.FAILURE), True
    return Outcome.UNKNOWN, False


def outcome_reader(column: str) -> bool:
    """Say whether a column's name turns its yes and no around ("failed": 1 is a failure)."""
    return any(_plain(column).startswith(word) for word in REVERSED)


def guess_columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], chosen: Mapping[str, str], *, subject: str
) -> tuple[ColumnGuess, ...]:
    """Assign columns to fields: what `chosen` says first, then the surest guesses, each column at most once.

    Raises:
        InvalidMapping: `chosen` names a field or a column that does not exist.
    """
    taken: dict[str, ColumnGuess] = {}
    for field, column in chosen.items():
        if field not in FIELDS:
            raise InvalidMapping(
                f"{field!r} is no field of a trials table", subject=subject, remedy=f"Fields: {', '.join(FIELDS)}."
            )
        if column not in header:
            raise InvalidMapping(
                f"has no column {column!r} for {field}", subject=subject, remedy=f"Columns: {', '.join(header)}."
            )
        taken[field] = ColumnGuess(field, column, 1.0, "as told")
    offers = []
    for field in FIELDS:
        for number, column in enumerate(header):
            confidence, why = _confidence(field, column, [row[number] for row in rows])
            if confidence > 0.0:
                offers.append((confidence, field, number, why))
    used = {guess.column for guess in taken.values()}
    order = list(FIELDS)
    for confidence, field, number, why in sorted(
        offers, key=lambda offer: (-offer[0], order.index(offer[1]), offer[2])
    ):
        if field not in taken and header[number] not in used:
            taken[field] = ColumnGuess(field, header[number], round(confidence, 2), why)
            used.add(header[number])
    return tuple(taken.get(field, ColumnGuess(field, None, 0.0, "no column fits")) for field in FIELDS)


def _confidence(field: str, column: str, values: Sequence[str]) -> tuple[float, str]:
    by_name = _by_name(field, column)
    filled = [value for value in values if value.strip()]
    share = _by_values(field, filled)
    if share is None:
        return by_name, "by its name"
    if by_name:
        return by_name * (0.5 + 0.5 * share), f"by its name; {share:.0%} of its values fit"
    # Values alone speak only where they can hardly mean anything else, and never for bare 0 and 1.
    words = {value.strip().casefold() for value in filled}
    telling = share >= 0.95 and len(filled) >= 2 and not words <= {"0", "1", "yes", "no", "true", "false"}
    return (0.5 * share, f"by its values alone ({share:.0%} fit)") if telling else (0.0, "")


def _by_name(field: str, column: str) -> float:
    plain = _plain(column)
    names = FIELDS[field]
    if plain in names:
        return 0.95 - 0.02 * names.index(plain)
    parts = [part for part in re.split(r"[^a-z0-9]+", _snake(column)) if part]
    found = [names.index(part) for part in parts if part in names]
    return 0.7 - 0.02 * min(found) if found else 0.0


def _by_values(field: str, values: Sequence[str]) -> float | None:
    """Give the share of values that can be of this field; None where values say nothing."""
    if not values:
        return None
    if field == "outcome":
        return sum(outcome_of(value)[1] for value in values) / len(values)
    if field == "date":
        return sum(bool(DATE.match(value.strip())) for value in values) / len(values)
    if field == "log":
        # A log column names files: long words, hardly ever twice. A column of a few short numbers is an id.
        return sum(not value.strip().isdigit() for value in values) / len(values) if len(values) > 1 else None
    return None


def _snake(text: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).casefold()


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())
