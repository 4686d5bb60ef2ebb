r"""The rules by which a long log is cut into tries: said in TOML, checked to the key, kept as JSON with the cut.

[[start]]                       # what begins a try; any of several
event = "/task/status/*"        # an event's name, with * and ?; calls of services are events too
detail = "running"              # and what it says, where that matters

[[start]]
stream = "/gripper/width"       # or a stream that crosses a value
column = 0                      # number or name
above = 0.04                    # or: below
hold_s = 0.2                    # and stays there so long

[[end]]                         # what ends it
event = "estop*"
outcome = "aborted"             # what the end says of the try, where it does

[home]                          # leaving home begins a try, coming back to stay ends it
stream = "/joint_states/position"
pose = [0.0, -1.2, 1.5]         # left out: the place where the robot rests most often
radius = 0.05                   # in the stream's unit; left out: a twentieth of the range
dwell_s = 1.0

[idle]                          # motion begins a try, a pause ends it
longer_s = 5.0
streams = ["/joint_states/*"]   # left out: all that show where the robot is
floor = 0.01                    # units a second that count as rest; left out: each column's own

[table]                         # or: somebody wrote the times down; then nothing else counts
file = "tries.csv"              # columns start, end (or duration), outcome, task; beside the rules file

[limits]
min_s = 1.0                     # shorter ones are left out
max_s = 600.0                   # longer ones are trimmed, or dropped
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from saqiya.domain.streams import JsonValue
from saqiya.domain.words import Outcome
from saqiya.errors import InvalidMapping
from saqiya.ingest.columns import outcome_of

__all__ = ["CutRules", "HomeRule", "IdleRule", "Limits", "MarkRule", "TableRow", "read_rules", "rules_from"]


@dataclass(frozen=True)
class MarkRule:
    """An event, or a stream crossing a value, that begins or ends a try."""

    event: str = ""
    detail: str = "*"
    stream: str = ""
    column: int | str = 0
    above: float | None = None
    below: float | None = None
    hold_s: float = 0.0
    outcome: str = ""


@dataclass(frozen=True)
class HomeRule:
    """A pose that the robot leaves to try, and comes back to."""

    stream: str
    pose: tuple[float, ...] = ()
    radius: float | None = None
    dwell_s: float = 1.0


@dataclass(frozen=True)
class IdleRule:
    """A pause of the whole robot that separates tries."""

    longer_s: float
    streams: tuple[str, ...] = ()
    floor: float | None = None


@dataclass(frozen=True)
class TableRow:
    """One row of a table of times: ISO date and time, Unix time, or seconds from the log's start; "" where unknown."""

    start: str
    end: str = ""
    duration: str = ""
    outcome: str = ""
    task: str = ""
    line: int = 0


@dataclass(frozen=True)
class Limits:
    """What a try may last, its margins, and what becomes of the rest.

    Attributes:
        too_long: "trim" to `max_s`, or "drop".
        pre_s, post_s: added before and after, as far as neighbours and the log leave room.
        unfinished: a try whose end was not seen: "keep" it up to where the robot came to rest, or "drop" it.
        leftovers: what lies between tries: "drop" (it is listed), or "keep" as spans without an outcome.
        utc_offset_h: of times in a table that name no zone.
    """

    min_s: float = 0.0
    max_s: float | None = None
    too_long: str = "trim"
    pre_s: float = 0.0
    post_s: float = 0.0
    unfinished: str = "keep"
    leftovers: str = "drop"
    utc_offset_h: float = 0.0


@dataclass(frozen=True)
class CutRules:
    """All rules of one cut."""

    start: tuple[MarkRule, ...] = ()
    end: tuple[MarkRule, ...] = ()
    home: HomeRule | None = None
    idle: IdleRule | None = None
    table: tuple[TableRow, ...] = ()
    limits: Limits = Limits()

    def as_json(self) -> dict[str, JsonValue]:
        """Return the rules as `rules_from` takes them, defaults left out: what a `Cut` keeps."""
        out: dict[str, JsonValue] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, tuple):
                if value:
                    out[one.name] = [_said(item) for item in value]
            elif value is not None and (said := _said(value)):
                out[one.name] = said
        return out


def _said(rule: MarkRule | HomeRule | IdleRule | TableRow | Limits) -> dict[str, JsonValue]:
    defaults = {one.name: one.default for one in fields(rule)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(rule).items()
        if value != defaults[name]
    }


def read_rules(path: Path) -> CutRules:
    """Read rules from TOML, and the table of times that they name beside them.

    Raises:
        InvalidMapping: the file, or the table, cannot be read, or a key or value is wrong.
    """
    from saqiya.ingest.cut_table import read_rows

    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InvalidMapping(
            f"cannot be read: {error.strerror}", subject=str(path), remedy="Give the path of a rules file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidMapping(f"is not TOML: {error}", subject=str(path), remedy="Correct that line.") from error
    named = raw.get("table")
    if isinstance(named, dict):
        file = named.get("file")
        if set(named) != {"file"} or not isinstance(file, str):
            raise _fault(str(path), "table", 'must name one file: file = "tries.csv"')
        raw["table"] = [asdict(row) for row in read_rows(path.parent / file)]
    return rules_from(raw, subject=str(path))


def rules_from(raw: Mapping[str, Any], *, subject: str = "the rules") -> CutRules:
    """Check rules and return them.

    Raises:
        InvalidMapping: a key is unknown, a value of a wrong type or out of range, or nothing says where a try begins or
            ends.
    """
    known = [one.name for one in fields(CutRules)]
    for key in raw:
        if key not in known:
            raise _fault(subject, key, f"unknown section; known: {', '.join(known)}")
    rules = CutRules(
        start=tuple(_mark(one, f"start[{n}]", subject) for n, one in enumerate(_list(raw, "start", subject))),
        end=tuple(_mark(one, f"end[{n}]", subject) for n, one in enumerate(_list(raw, "end", subject))),
        home=_section(HomeRule, raw["home"], "home", subject) if "home" in raw else None,
        idle=_section(IdleRule, raw["idle"], "idle", subject) if "idle" in raw else None,
        table=tuple(
            _section(TableRow, one, f"table[{n}]", subject) for n, one in enumerate(_list(raw, "table", subject))
        ),
        limits=_section(Limits, raw.get("limits", {}), "limits", subject),
    )
    marks = bool(rules.start or rules.end or rules.home or rules.idle)
    if "table" in raw and marks:
        raise _fault(subject, "table", "somebody's times stand alone: leave out start, end, home and idle")
    if not marks and "table" not in raw:
        raise _fault(subject, "", "nothing says where a try begins or ends: give start, end, home, idle or table")
    _check(rules, subject)
    return rules


def _list(raw: Mapping[str, Any], key: str, subject: str) -> list[Any]:
    value = raw.get(key, [])
    if not isinstance(value, list | tuple):
        raise _fault(subject, key, f"must be a list: write [[{key}]]")
    return list(value)


def _mark(raw: object, where: str, subject: str) -> MarkRule:
    rule: MarkRule = _section(MarkRule, raw, where, subject)
    if bool(rule.event) == bool(rule.stream):
        raise _fault(subject, where, "say either event or stream, and only one")
    if rule.stream and (rule.above is None) == (rule.below is None):
        raise _fault(subject, where, "say either above or below, and only one")
    if rule.event and (rule.above is not None or rule.below is not None or rule.hold_s):
        raise _fault(subject, where, "an event has no value: above, below and hold_s are for streams")
    if rule.outcome and outcome_of(rule.outcome) == (Outcome.UNKNOWN, False):
        raise _fault(subject, f"{where}.outcome", f"{rule.outcome!r} is no outcome; say {', '.join(Outcome)}")
    return rule


def _check(rules: CutRules, subject: str) -> None:
    limits = rules.limits
    for name, words in (
        ("too_long", ("trim", "drop")),
        ("unfinished", ("keep", "drop")),
        ("leftovers", ("drop", "keep")),
    ):
        if getattr(limits, name) not in words:
            raise _fault(subject, f"limits.{name}", f"must be {' or '.join(words)}")
    for name in ("min_s", "pre_s", "post_s"):
        if not 0.0 <= getattr(limits, name) < 1e7:
            raise _fault(subject, f"limits.{name}", "must not be below 0")
    if limits.max_s is not None and not limits.min_s < limits.max_s:
        raise _fault(subject, "limits.max_s", "must be above min_s")
    if not abs(limits.utc_offset_h) <= 14.0:
        raise _fault(subject, "limits.utc_offset_h", "must lie between -14 and 14")
    if rules.idle is not None and not 0.0 < rules.idle.longer_s < 1e6:
        raise _fault(subject, "idle.longer_s", "must be above 0")
    if rules.idle is not None and rules.idle.floor is not None and not rules.idle.floor > 0.0:
        raise _fault(subject, "idle.floor", "must be above 0")
    if rules.home is not None and not 0.0 < rules.home.dwell_s < 1e6:
        raise _fault(subject, "home.dwell_s", "must be above 0")
    if rules.home is not None and rules.home.radius is not None and not rules.home.radius > 0.0:
        raise _fault(subject, "home.radius", "must be above 0")


def _section(kind: Any, raw: object, where: str, subject: str) -> Any:  # noqa: ANN401 - one of the classes above
    if not isinstance(raw, Mapping):
        raise _fault(subject, where, "must be a table of keys and values")
    hints = get_type_hints(kind)
    values = {}
    for key, value in raw.items():
        if key not in hints:
            raise _fault(subject, f"{where}.{key}", f"unknown key; known: {', '.join(hints)}")
        values[key] = _value(value, hints[key], f"{where}.{key}", subject)
    missing = [one.name for one in fields(kind) if one.name not in values and repr(one.default).startswith("<")]
    if missing:
        raise _fault(subject, where, f"must say {missing[0]}")
    return kind(**values)


def _value(value: object, hint: Any, where: str, subject: str) -> object:  # noqa: ANN401 - hints have no type
    kinds = get_args(hint) or (hint,)
    if getattr(hint, "__origin__", None) is tuple:
        if isinstance(value, list | tuple):
            return tuple(_value(one, kinds[0], where, subject) for one in value)
    elif isinstance(value, bool):
        pass
    elif float in kinds and isinstance(value, int | float):
        if abs(float(value)) < float("inf"):
            return float(value)
    elif type(value) in kinds:
        return value
    words = {int: "a whole number", str: "a text", float: "a number", type(None): "nothing"}
    said = " or ".join(words.get(one, "a list") for one in kinds if one is not type(None))
    raise _fault(subject, where, f"must be {said}, not {value!r}")


def _fault(subject: str, where: str, what: str) -> InvalidMapping:
    return InvalidMapping(f"{where}: {what}" if where else what, subject=subject, remedy="Correct that line.")
