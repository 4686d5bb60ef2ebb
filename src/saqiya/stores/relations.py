"""The relations that SQL sees: stored tables as they are, and views that put several of them together."""

# ruff: noqa: S608 - all text in these statements is our own, or a quoted path

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from saqiya.stores.snapshot import Snapshot
from saqiya.stores.tables import EPISODES, TABLES, Column, Table

__all__ = ["RELATIONS", "Relation", "statements"]

_HIDDEN: Final = {"n", "stream_facts", "camera_facts"}
_INNER: Final = {"failed", "members", "slots", "tried", "phases", "authors"}
_STREAM: Final = (
    '[{"name": "VARCHAR", "dtype": "VARCHAR", "shape": ["BIGINT"], "rate_hz": "DOUBLE", "clock": "VARCHAR", '
    '"stamp": "VARCHAR", "unit": "VARCHAR"}]'
)
_CAMERA: Final = (
    '[{"name": "VARCHAR", "codec": "VARCHAR", "width": "BIGINT", "height": "BIGINT", "frames": "BIGINT", '
    '"rate_hz": "DOUBLE", "clock": "VARCHAR", "stamp": "VARCHAR", "digest": "VARCHAR"}]'
)


@dataclass(frozen=True)
class Relation:
    """Something to select from.

    Attributes:
        columns: what it has, as `SELECT *` gives them.
        sql: how it is made; "" for a stored table.
        needs: relations and stored tables that `sql` names.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    sql: str = ""
    needs: tuple[str, ...] = ()


def _columns(*rows: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(*row) for row in rows)


_EPISODE: Final = ("episode", "VARCHAR", "the episode's id")
_SPAN: Final = (
    ("start_ns", "BIGINT", "first instant, on the episode's clock"),
    ("end_ns", "BIGINT", "just after the last"),
)
_SPANS: Final = """
    SELECT episode, 'phase' AS kind, name, start_ns, end_ns, NULL::DOUBLE AS value, episode AS noun FROM phases
    UNION ALL SELECT episode, 'author', name, start_ns, end_ns, NULL, episode FROM authors
    UNION ALL SELECT episode, 'takeover', name, start_ns, end_ns, NULL, episode FROM authors WHERE takeover
    UNION ALL SELECT a.episode, 'alarm', c.detector, a.start_ns, a.end_ns, a.score, a.id
        FROM alarms a LEFT JOIN calibrations c ON c.id = a.calibration
    UNION ALL SELECT episode, 'cut', why, start_ns, end_ns, NULL, cut FROM cut_spans
    UNION ALL SELECT episode, 'entry', role, start_ns, end_ns, weight, version FROM entries"""

_VIEWS: Final = (
    Relation(
        "spans",
        "Ranges of time in episodes, of every kind.",
        _columns(
            _EPISODE,
            ("kind", "VARCHAR", "phase, author, takeover, alarm, cut, entry (of a dataset version)"),
            ("name", "VARCHAR", "the phase, who acted, the detector, the rule, the role"),
            *_SPAN,
            ("value", "DOUBLE", "an alarm's score, an entry's weight"),
            ("noun", "VARCHAR", "id of the alarm, cut, version or episode that says so"),
        ),
        _SPANS,
        ("phases", "authors", "alarms", "calibrations", "cut_spans", "entries"),
    ),
    Relation(
        "takeovers",
        "An operator acted after the policy did.",
        _columns(_EPISODE, *_SPAN),
        "SELECT episode, start_ns, end_ns FROM authors WHERE takeover",
        ("authors",),
    ),
    Relation(
        "failures",
        "Incidents: failed tries with the moment to look at first.",
        _columns(
            ("id", "VARCHAR", "the failure's id"),
            ("key", "VARCHAR", "the logical key it was stored under"),
            _EPISODE,
            ("mode", "VARCHAR", "id of the mode it was last put into"),
            ("label", "VARCHAR", "that mode's name"),
            ("moment_ns", "BIGINT", "when it first looked wrong"),
            ("phase", "VARCHAR", "the last that was reached"),
            ("evidence", "MAP(VARCHAR, DOUBLE)", "evidence['x']: what the label rests on"),
            ("alarms", "VARCHAR[]", "ids"),
            ("stored_ns", "BIGINT", "when it was stored, ns since 1970"),
        ),
        """SELECT f.id, f.key, f.episode, m.mode, m.label, f.moment_ns, f.phase, f.evidence, f.alarms, f.stored_ns
           FROM failed f LEFT JOIN (
               SELECT failure, arg_max(mode, d.stored_ns) AS mode, arg_max(m.label, d.stored_ns) AS label
               FROM members m JOIN modes d ON d.id = m.mode GROUP BY failure
           ) m ON m.failure = f.id""",
        ("failed", "members", "modes"),
    ),
    Relation(
        "trials",
        "What became of each slot of an evaluation.",
        _columns(
            ("id", "VARCHAR", "the trial's id"),
            ("key", "VARCHAR", "the logical key it was stored under"),
            ("plan", "VARCHAR", "its id"),
            ("slot", "BIGINT", "place in the order"),
            _EPISODE,
            ("policy", "VARCHAR", "the arm's id"),
            ("suite", "VARCHAR", "superiority, worked, regression"),
            ("stratum", "VARCHAR", "what is compared with like"),
            ("pair", "BIGINT", "with whom it is compared"),
            ("success", "BOOLEAN", "autonomous success"),
            ("void", "VARCHAR", "why it does not count"),
            ("stored_ns", "BIGINT", "when it was stored, ns since 1970"),
        ),
        """SELECT t.id, t.key, t.plan, t.slot, t.episode, s.arm AS policy, s.suite, s.stratum, s.pair, t.success,
               t.void, t.stored_ns
           FROM tried t LEFT JOIN slots s ON s.plan = t.plan AND s.slot = t.slot""",
        ("tried", "slots"),
    ),
    Relation(
        "streams",
        "The numeric streams of each episode; read one with signal('its name').",
        _columns(
            _EPISODE,
            ("name", "VARCHAR", "what signal() takes"),
            ("dtype", "VARCHAR", "of its values"),
            ("shape", "BIGINT[]", "samples first"),
            ("rate_hz", "DOUBLE", "median"),
            ("clock", "VARCHAR", "that made the stamps"),
            ("stamp", "VARCHAR", "sensor, publish, receive, assumed"),
            ("unit", "VARCHAR", "of its values"),
        ),
        f"SELECT id AS episode, unnest(from_json(stream_facts, '{_STREAM}'), max_depth := 2) FROM described",
        ("described",),
    ),
    Relation(
        "cameras",
        "The encoded cameras of each episode, and those of its streams that lie packed, row by row.",
        _columns(
            _EPISODE,
            ("name", "VARCHAR", "camera/front"),
            ("codec", "VARCHAR", "h264, hevc, av1, ...; zstd: a packed stream"),
            ("width", "BIGINT", "pixels"),
            ("height", "BIGINT", "pixels"),
            ("frames", "BIGINT", "pictures in the episode's range"),
            ("rate_hz", "DOUBLE", "median"),
            ("clock", "VARCHAR", "that made the stamps"),
            ("stamp", "VARCHAR", "sensor, publish, receive, assumed"),
            ("digest", "VARCHAR", "of the bytes that hold the packets"),
        ),
        f"SELECT id AS episode, unnest(from_json(camera_facts, '{_CAMERA}'), max_depth := 2) FROM described",
        ("described",),
    ),
)

_STORED: Final = {table.name: table for table in TABLES}
_TABLES_SHOWN: Final = tuple(
    Relation(table.name, table.meaning, tuple(one for one in table.schema if one.name not in _HIDDEN))
    for table in TABLES
    if table.name not in _INNER
)
_ABOUT: Final = Relation(
    "columns",
    "Every relation's columns: this list.",
    _columns(
        ("relation", "VARCHAR", "where"),
        ("name", "VARCHAR", "the column"),
        ("type", "VARCHAR", "in SQL"),
        ("meaning", "VARCHAR", "what it says"),
    ),
)

RELATIONS: Final[Mapping[str, Relation]] = {
    one.name: one for one in sorted((*_TABLES_SHOWN, *_VIEWS, _ABOUT), key=lambda one: one.name)
}
"""Everything documented, by name."""


def statements(snapshot: Snapshot, words: Iterable[str]) -> list[str]:
    """Return what makes the relations that a query may name: `words` are all words in it, in lower case.

    A view opens its files when it is made, so those that nobody names are not made.
    """
    wanted: dict[str, None] = {}
    for word in words:
        _need(word, wanted)
    return [_create(name, snapshot) for name in wanted]


def _need(name: str, wanted: dict[str, None]) -> None:
    relation = RELATIONS.get(name)
    if name in wanted or (relation is None and name not in _STORED and name != "described"):
        return
    for one in relation.needs if relation else ():
        _need(one, wanted)
    wanted[name] = None


def _create(name: str, snapshot: Snapshot) -> str:
    relation = RELATIONS.get(name)
    if name == _ABOUT.name:
        return f"CREATE VIEW columns AS {_about()}"
    if relation is not None and relation.sql:
        return f"CREATE VIEW {name} AS {relation.sql}"
    table = EPISODES if name == "described" else _STORED[name]
    hidden = _HIDDEN if name != "described" else set()
    columns = ", ".join(_select(column) for column in table.schema if column.name not in hidden)
    return f"CREATE VIEW {name} AS SELECT {columns} FROM {_source(table, snapshot)}"


def _select(column: Column) -> str:
    return f'"{column.name}"::JSON AS "{column.name}"' if column.type == "JSON" else f'"{column.name}"'


def _source(table: Table, snapshot: Snapshot) -> str:
    files = snapshot.files.get(table.name, ())
    if not files:
        nothing = ", ".join(f'NULL::{column.type} AS "{column.name}"' for column in table.schema)
        return f"(SELECT {nothing} WHERE false)"
    names = ", ".join(_quoted(str(path)) for path in files)
    source = f"read_parquet([{names}])"
    if table is EPISODES and snapshot.gone:
        gone = ", ".join(f"({n})" for n in snapshot.gone)
        source = f"(FROM {source} live ANTI JOIN (VALUES {gone}) gone(n) USING (n))"
    return source


def _about() -> str:
    rows = [
        f"({_quoted(relation.name)}, {_quoted(column.name)}, {_quoted(column.type)}, {_quoted(column.meaning)})"
        for relation in RELATIONS.values()
        for column in relation.columns
    ]
    return f"SELECT * FROM (VALUES {', '.join(rows)}) t(relation, name, type, meaning)"


def _quoted(text: str) -> str:
    return "'" + re.sub("'", "''", text) + "'"
