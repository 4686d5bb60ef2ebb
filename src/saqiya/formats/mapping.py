r"""A table mapping: which columns of which files are which streams, said once in TOML and checked to the line.

[episode]
layout = "folder"                     # "folder": files of one try lie in one folder; "file": one file is one try
match = '(?P<date>\d{8})-.*-(?P<number>\d+)$'  # searched in the path; its groups go into the metadata
task = "snap-assembly"                # also: embodiment, site, policy, operator, date, criterion
policy = "{date}-controller"          # {group} is a named group of `match`

[episode.outcome]                     # a table instead of a text: the first pattern that fits the path wins
"*ERROR*" = "failure"

[streams."observation/wrench"]
file = "wrench.dat"                   # one file name or pattern in the folder; left out for layout "file"
time = 0                              # column of the stamps; without it: rate_hz
columns = [1, 2, 3]                   # numbers from 0, or names with header = true
fields = ["fx", "fy", "fz"]

[events]
file = "phases.dat"                   # one time a row
time = 0
names = ["phase/approach", "phase/insert"]  # by row, or name_column = 1
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from saqiya.errors import InvalidMapping

__all__ = ["EpisodeRule", "EventRule", "StreamRule", "TableMapping", "read_mapping"]

SEPARATORS = ("whitespace", "comma", "semicolon", "tab")
TIME_UNITS_NS = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}
LAYOUTS = ("folder", "file")


@dataclass(frozen=True)
class EpisodeRule:
    """What one try is, and what its path says of it.

    Attributes:
        layout: "folder" or "file".
        match: regular expression searched in the path with "/" between folders; a path that it does not fit is no try.
        outcome, policy, operator, date, task, embodiment, site, criterion: a text with {group} of `match` in it, or a
            table of path patterns (`*` and `?`, first fit wins) to texts.
    """

    layout: str = "folder"
    match: str = ""
    outcome: str | dict[str, str] = ""
    policy: str | dict[str, str] = ""
    operator: str | dict[str, str] = ""
    date: str | dict[str, str] = ""
    task: str | dict[str, str] = ""
    embodiment: str | dict[str, str] = ""
    site: str | dict[str, str] = ""
    criterion: str | dict[str, str] = ""


@dataclass(frozen=True)
class StreamRule:
    """Where one stream comes from. `time` names a column of stamps; without it `rate_hz` makes assumed ones."""

    file: str = ""
    columns: tuple[int | str, ...] = ()
    time: int | str | None = None
    time_unit: str = "s"
    rate_hz: float | None = None
    separator: str = "whitespace"
    header: bool = False
    fields: tuple[str, ...] = ()
    unit: str = ""
    clock: str = "log"
    required: bool = False


@dataclass(frozen=True)
class EventRule:
    """Where the events come from: one time a row, named by row (`names`) or by a column (`name_column`)."""

    file: str
    time: int | str = 0
    time_unit: str = "s"
    names: tuple[str, ...] = ()
    name_column: int | str | None = None
    separator: str = "whitespace"
    header: bool = False


@dataclass(frozen=True)
class TableMapping:
    """The whole mapping, checked."""

    path: Path
    episode: EpisodeRule
    streams: dict[str, StreamRule]
    events: EventRule | None


def read_mapping(path: Path) -> TableMapping:
    """Read and check a mapping.

    Raises:
        InvalidMapping: it cannot be read, or a key, type or value is wrong; the message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        raw = tomllib.loads(text)
    except OSError as error:
        raise InvalidMapping(
            f"cannot be read: {error.strerror}", subject=str(path), remedy="Give the path of a mapping file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidMapping(f"is not TOML: {error}", subject=str(path), remedy="Correct that line.") from error
    return _Checker(path, text).mapping(raw)


@dataclass(frozen=True)
class _Checker:
    path: Path
    text: str

    def mapping(self, raw: Mapping[str, Any]) -> TableMapping:
        for key in raw:
            if key not in {"episode", "streams", "events"}:
                raise self.fault((key,), "unknown section; known: episode, streams, events")
        streams = raw.get("streams")
        if not isinstance(streams, dict) or not streams:
            raise self.fault(("streams",), 'no stream is mapped; add a section such as [streams."observation/wrench"]')
        episode = self.section(EpisodeRule, raw.get("episode", {}), ("episode",))
        rules = {name: self.section(StreamRule, rule, ("streams", name)) for name, rule in streams.items()}
        events = self.section(EventRule, raw["events"], ("events",)) if "events" in raw else None
        self.check_episode(episode)
        for name, rule in rules.items():
            self.check_stream(name, rule, episode.layout)
        if events is not None:
            self.check_events(events)
        return TableMapping(self.path, episode, rules, events)

    def section(self, cls: type[Any], raw: object, where: tuple[str, ...]) -> Any:  # noqa: ANN401
        if not isinstance(raw, dict):
            raise self.fault(where, "must be a section")
        hints = get_type_hints(cls)
        specs = {item.name: item for item in dataclasses.fields(cls)}
        for key, value in raw.items():
            if key not in specs:
                raise self.fault((*where, key), f"unknown key; known here: {', '.join(specs)}")
            if not _fits(value, hints[key]):
                raise self.fault((*where, key), f"must be {_words(hints[key])}, not {type(value).__name__}")
        for name, spec in specs.items():
            if name not in raw and spec.default is dataclasses.MISSING:
                raise self.fault(where, f"the key {name!r} is missing")
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()})

    def check_episode(self, rule: EpisodeRule) -> None:
        where = ("episode",)
        if rule.layout not in LAYOUTS:
            raise self.fault((*where, "layout"), f"must be one of {', '.join(LAYOUTS)}")
        groups: frozenset[str] = frozenset()
        if rule.match:
            try:
                groups = frozenset(re.compile(rule.match).groupindex)
            except re.error as error:
                raise self.fault((*where, "match"), f"is no regular expression: {error}") from error
        for item in dataclasses.fields(rule):
            value = getattr(rule, item.name)
            if item.name in {"layout", "match"}:
                continue
            for text in value.values() if isinstance(value, dict) else (value,):
                for group in re.findall(r"\{(\w*)\}", text):
                    if group not in groups:
                        raise self.fault((*where, item.name), f"{{{group}}} is no named group of match")

    def check_stream(self, name: str, rule: StreamRule, layout: str) -> None:
        where = ("streams", name)
        if layout == "folder" and not rule.file:
            raise self.fault(where, "the key 'file' is missing")
        if layout == "file" and rule.file:
            raise self.fault((*where, "file"), 'is not used with layout = "file": the file is the try itself')
        if (rule.time is None) == (rule.rate_hz is None):
            raise self.fault(where, "say either time (a column) or rate_hz (the file has no stamps), and only one")
        if rule.rate_hz is not None and not 0.0 < rule.rate_hz <= 1e6:
            raise self.fault((*where, "rate_hz"), f"must be above 0 and at most 1000000, not {rule.rate_hz}")
        if rule.fields and rule.columns and len(rule.fields) != len(rule.columns):
            raise self.fault((*where, "fields"), f"{len(rule.fields)} names for {len(rule.columns)} columns")
        self.check_common(where, rule, (*rule.columns, *(() if rule.time is None else (rule.time,))))

    def check_events(self, rule: EventRule) -> None:
        if bool(rule.names) == (rule.name_column is not None):
            raise self.fault(("events",), "say either names (by row) or name_column, and only one")
        self.check_common(("events",), rule, (rule.time, *(() if rule.name_column is None else (rule.name_column,))))

    def check_common(self, where: tuple[str, ...], rule: StreamRule | EventRule, used: tuple[int | str, ...]) -> None:
        parts = Path(rule.file).parts
        if rule.file and (".." in parts or Path(rule.file).is_absolute()):
            raise self.fault((*where, "file"), "must lie inside the folder of the try")
        if rule.separator not in SEPARATORS:
            raise self.fault((*where, "separator"), f"must be one of {', '.join(SEPARATORS)}")
        if rule.time_unit not in TIME_UNITS_NS:
            raise self.fault((*where, "time_unit"), f"must be one of {', '.join(TIME_UNITS_NS)}")
        named = Path(rule.file).suffix.lower() == ".parquet"
        for column in used:
            if isinstance(column, int) and column < 0:
                raise self.fault((*where, "columns"), f"column {column} is below 0")
            if isinstance(column, str) and not rule.header and not named:
                raise self.fault(where, f"column {column!r} is a name: set header = true, or give its number")

    def fault(self, where: tuple[str, ...], what: str) -> InvalidMapping:
        subject = f"{self.path}:{self.line(where)}"
        return InvalidMapping(f"{'.'.join(where)}: {what}", subject=subject, remedy="Correct that line.")

    def line(self, where: tuple[str, ...]) -> int:
        """Find the line of a key: tomllib keeps none. A section that is not there gives line 1."""
        section: tuple[str, ...] = ()
        best = 1
        for number, line in enumerate(self.text.splitlines(), start=1):
            header = re.match(r"\s*\[+(.+?)\]+\s*(#.*)?$", line)
            if header:
                section = _keys(header[1])
                best = number if section and section == where[: len(section)] else best
                continue
            key = re.match(r"\s*((?:[\w.-]+|\"[^\"]*\"|'[^']*')+)\s*=", line)
            found = (*section, *_keys(key[1])) if key else ()
            if found and found == where[: len(found)]:
                return number
        return best


def _keys(text: str) -> tuple[str, ...]:
    parts = re.findall(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)", text)
    return tuple(double or single or bare for double, single, bare in parts)


def _fits(value: object, hint: Any) -> bool:  # noqa: ANN401 - a type hint has no better type
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint in {int, str, bool}:
        return type(value) is hint
    arguments = get_args(hint)
    if getattr(hint, "__origin__", None) is tuple:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if getattr(hint, "__origin__", None) is dict:
        return isinstance(value, dict) and all(type(item) is str for item in value.values())
    return any(_fits(value, part) for part in arguments if part is not type(None))


def _words(hint: Any) -> str:  # noqa: ANN401 - a type hint has no better type
    names = {int: "a whole number", str: "a text", bool: "true or false", float: "a number"}
    if hint in names:
        return names[hint]
    if getattr(hint, "__origin__", None) is tuple:
        return f"a list, each item {_words(get_args(hint)[0])}"
    if getattr(hint, "__origin__", None) is dict:
        return "a table of texts"
    return " or ".join(_words(part) for part in get_args(hint) if part is not type(None))
