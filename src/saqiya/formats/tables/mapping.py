r"""A table mapping: which columns of which files are which streams, said once in TOML and checked to the line.

[episode]
layout = "folder"                     # "folder": the files of one try lie in one folder; "file": one file is one try;
                                      # "files": they lie beside those of other tries and share (?P<episode>...)
match = '(?P<date>\d{8})-.*-(?P<number>\d+)$'  # searched in the path; its groups go into the metadata
split = "episode"                     # a column: each of its values is a try of its own; or blocks = true
task = "snap-assembly"                # also: embodiment, site, policy, operator, source, date, criterion
policy = "{date}-controller"          # {group} is a named group of `match`

[episode.outcome]                     # a table instead of a text: the first pattern that fits the path wins
"*ERROR*" = "failure"

[defaults]                            # what holds for every section below that does not say otherwise
separator = "comma"
header = true

[streams."observation/wrench"]
file = "wrench.csv"                   # one file name or pattern in the folder; left out for layout "file"
time = "stamp"                        # column of the stamps (or [seconds, nanoseconds]); without it: rate_hz
time_unit = "ms"                      # s, ms, us, ns, or iso: dates as text
columns = [1, 2, "fz"]                # numbers from 0, or names with header = true
fields = ["fx", "fy", "fz"]
file_unit = "mN"                      # what the file has; converted to `unit`
unit = "N"

[events]
file = "phases.dat"                   # one time a row
time = 0
names = ["phase/approach", "phase/insert"]  # by row, or name_column = 1

[phases]                              # a column that names what the robot is about: an event at each change
column = "state"
time = "stamp"

[outcome]                             # a column that says how the try ended, or label = true with blocks
column = "done"
take = "last"                         # first, last, any
words = { "1" = "success", "*" = "failure" }
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from saqiya.domain.toml import Where, line_of, name_of
from saqiya.errors import InvalidMapping
from saqiya.formats.tables.cells import DELIMITERS, ISO, TIME_UNITS_NS, Reading
from saqiya.formats.tables.units import factor, known_units

__all__ = [
    "FILE_NAME",
    "Column",
    "EpisodeRule",
    "EventRule",
    "OutcomeRule",
    "PhaseRule",
    "StreamRule",
    "TableMapping",
    "parse_mapping",
    "read_mapping",
]

FILE_NAME = "saqiya-mapping.toml"
"""A folder with a mapping of this name is a log of its own: `TableFolder` reads it."""
LAYOUTS = ("folder", "file", "files")
TAKES = ("first", "last", "any")
OUTCOMES = ("success", "failure", "aborted", "unknown")
GROUP = "episode"
"""The group of `match` that the files of one try share in the layout "files"."""
_BINARY = (".npy", ".npz", ".parquet")

Column = int | str
Said = str | dict[str, str]


@dataclass(frozen=True)
class EpisodeRule:
    """What one try is, and what its path says of it.

    Attributes:
        layout: "folder", "file" or "files".
        match: regular expression searched in the path with "/" between folders; a path that it does not fit is no try.
        split: a column whose values part a table into tries.
        blocks: blank lines part a text into tries; a line of words before a try is its label ({label}).
        outcome, policy, operator, source, date, task, embodiment, site, criterion: a text with {group} of `match` in
            it, or a table of path patterns (`*` and `?`, first fit wins) to texts.
    """

    layout: str = "folder"
    match: str = ""
    split: Column | None = None
    blocks: bool = False
    outcome: Said = ""
    policy: Said = ""
    operator: Said = ""
    source: Said = ""
    date: Said = ""
    task: Said = ""
    embodiment: Said = ""
    site: Said = ""
    criterion: Said = ""


@dataclass(frozen=True, kw_only=True)
class _Table:
    """How one file is read: what every rule below has."""

    file: str = ""
    array: str = ""
    separator: str = "whitespace"
    header: bool = False
    skip_rows: int = 0
    decimal: str = "."

    @property
    def reading(self) -> Reading:
        """What `read_cells` needs to know."""
        return Reading(self.separator, self.header, self.skip_rows, self.decimal, self.array)


@dataclass(frozen=True, kw_only=True)
class StreamRule(_Table):
    """Where one stream comes from. `time` names a column of stamps; without it `rate_hz` makes assumed ones.

    The stamps may lie in a file (`time_file`) or npz array (`time_array`) of their own. `file_unit` is converted to
    `unit`; nothing else is ever converted.
    """

    columns: tuple[Column, ...] = ()
    time: Column | tuple[Column, ...] | None = None
    time_unit: str = "s"
    time_file: str = ""
    time_array: str = ""
    rate_hz: float | None = None
    fields: tuple[str, ...] = ()
    unit: str = ""
    file_unit: str = ""
    clock: str = "log"
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class EventRule(_Table):
    """Where the events come from: one time a row, named by row (`names`) or by a column (`name_column`)."""

    time: Column | tuple[Column, ...] = 0
    time_unit: str = "s"
    names: tuple[str, ...] = ()
    name_column: Column | None = None


@dataclass(frozen=True, kw_only=True)
class PhaseRule(_Table):
    """A column of words or numbers that changes when the robot goes about something else.

    Each change is an event "phase/<word>"; `words` says what the file's words mean, and an empty one is no phase.
    """

    column: Column
    time: Column | tuple[Column, ...] | None = None
    time_unit: str = "s"
    rate_hz: float | None = None
    words: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OutcomeRule(_Table):
    """A column (or a block's label) that says how a try ended; `words` says what its words mean, "*" all others."""

    column: Column | None = None
    label: bool = False
    take: str = "last"
    words: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Defaults(_Table):
    """What sections may leave out."""

    time: Column | tuple[Column, ...] | None = None
    time_unit: str = "s"
    rate_hz: float | None = None
    clock: str = "log"


@dataclass(frozen=True)
class TableMapping:
    """The whole mapping, checked."""

    path: Path
    episode: EpisodeRule
    streams: dict[str, StreamRule]
    events: EventRule | None = None
    phases: PhaseRule | None = None
    outcome: OutcomeRule | None = None


_SECTIONS = {"events": EventRule, "phases": PhaseRule, "outcome": OutcomeRule}


def read_mapping(path: Path) -> TableMapping:
    """Read and check a mapping.

    Raises:
        InvalidMapping: it cannot be read, or a key, type or value is wrong; the message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidMapping(
            f"cannot be read: {error.strerror}", subject=str(path), remedy="Give the path of a mapping file."
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidMapping(f"is not TOML: {error}", subject=str(path), remedy="Save it as UTF-8.") from error
    return parse_mapping(text, path)


def parse_mapping(text: str, path: Path) -> TableMapping:
    """Check a mapping's text; `path` is what messages name.

    Raises:
        InvalidMapping: a key, type or value is wrong; the message names file and line.
    """
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidMapping(f"is not TOML: {error}", subject=str(path), remedy="Correct that line.") from error
    return _Checker(path, text).mapping(raw)


@dataclass(frozen=True)
class _Checker:
    path: Path
    text: str

    def mapping(self, raw: Mapping[str, Any]) -> TableMapping:
        known = ("episode", "defaults", "streams", *_SECTIONS)
        for key in raw:
            if key not in known:
                raise self.fault((key,), f"unknown section; known: {', '.join(known)}")
        streams = raw.get("streams")
        if not isinstance(streams, dict) or not streams:
            raise self.fault(("streams",), 'no stream is mapped; add a section such as [streams."observation/wrench"]')
        episode: EpisodeRule = self.section(EpisodeRule, raw.get("episode", {}), ("episode",))
        defaults = raw.get("defaults", {})
        self.section(_Defaults, defaults, ("defaults",))
        self.check_episode(episode)
        rules = {
            name: self.section(StreamRule, self.filled(StreamRule, rule, defaults), ("streams", name))
            for name, rule in streams.items()
        }
        for name, rule in rules.items():
            self.check_stream(name, rule, episode.layout)
        others = {
            name: self.section(kind, self.filled(kind, raw[name], defaults), (name,))
            for name, kind in _SECTIONS.items()
            if name in raw
        }
        mapping = TableMapping(self.path, episode, rules, **others)
        self.check_others(mapping)
        return mapping

    def filled(self, cls: type[Any], raw: object, defaults: Mapping[str, Any]) -> object:
        """Put defaults where a section says nothing; a section with a rate has no use for a time, and the reverse."""
        if not isinstance(raw, dict):
            return raw
        names = {item.name for item in dataclasses.fields(cls)}
        other = {"time": "rate_hz", "rate_hz": "time"}
        given = {key: value for key, value in defaults.items() if key in names and other.get(key) not in raw}
        return {**given, **raw}

    def section(self, cls: type[Any], raw: object, where: Where) -> Any:  # noqa: ANN401
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
            bare = spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
            if name not in raw and bare:
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
            except (re.error, RecursionError, OverflowError) as error:
                raise self.fault((*where, "match"), f"is no regular expression: {error}") from error
        if rule.layout == "files" and GROUP not in groups:
            raise self.fault((*where, "match"), f'layout = "files" needs the group (?P<{GROUP}>...) in match')
        if rule.blocks and (rule.layout != "file" or rule.split is not None):
            raise self.fault((*where, "blocks"), 'goes with layout = "file", and without split')
        groups |= {"label"} if rule.blocks else set()
        for item in dataclasses.fields(rule):
            value = getattr(rule, item.name)
            if item.name in {"layout", "match", "split", "blocks"}:
                continue
            for text in value.values() if isinstance(value, dict) else (value,):
                for group in re.findall(r"\{(\w*)\}", text):
                    if group not in groups:
                        raise self.fault((*where, item.name), f"{{{group}}} is no named group of match")

    def check_stream(self, name: str, rule: StreamRule, layout: str) -> None:
        where = ("streams", name)
        self.check_file(where, rule, layout)
        if (rule.time is None) == (rule.rate_hz is None):
            raise self.fault(where, "say either time (a column) or rate_hz (the file has no stamps), and only one")
        self.check_rate(where, rule.rate_hz)
        if rule.fields and rule.columns and len(rule.fields) < len(rule.columns):
            raise self.fault((*where, "fields"), f"{len(rule.fields)} names for {len(rule.columns)} columns")
        if rule.time is None and (rule.time_file or rule.time_array):
            raise self.fault(where, "time_file and time_array need time, the column of the stamps in it")
        if rule.file_unit and factor(rule.file_unit, rule.unit) is None:
            why = f"{rule.file_unit!r} cannot become {rule.unit!r}; known: {', '.join(known_units())}"
            raise self.fault((*where, "file_unit"), why)
        self.check_inside((*where, "time_file"), rule.time_file)
        own = () if rule.time_file or rule.time_array else _listed(rule.time)
        self.check_columns(where, rule, (*rule.columns, *own))
        self.check_time(where, rule.time, rule.time_unit)

    def check_others(self, mapping: TableMapping) -> None:
        layout, blocks = mapping.episode.layout, mapping.episode.blocks
        for name in _SECTIONS:
            rule = getattr(mapping, name)
            if rule is not None:
                self.check_file((name,), rule, layout, label=name == "outcome" and rule.label)
        if (events := mapping.events) is not None:
            if bool(events.names) == (events.name_column is not None):
                raise self.fault(("events",), "say either names (by row) or name_column, and only one")
            self.check_columns(("events",), events, (*_listed(events.time), *_listed(events.name_column)))
            self.check_time(("events",), events.time, events.time_unit)
        if (phases := mapping.phases) is not None:
            if (phases.time is None) == (phases.rate_hz is None):
                raise self.fault(("phases",), "say either time (a column) or rate_hz, and only one")
            self.check_rate(("phases",), phases.rate_hz)
            self.check_columns(("phases",), phases, (phases.column, *_listed(phases.time)))
            self.check_time(("phases",), phases.time, phases.time_unit)
        if (outcome := mapping.outcome) is not None:
            if outcome.label == (outcome.column is not None) or (outcome.label and not blocks):
                raise self.fault(("outcome",), "say either column, or label = true with blocks = true in [episode]")
            if outcome.take not in TAKES:
                raise self.fault(("outcome", "take"), f"must be one of {', '.join(TAKES)}")
            for word in outcome.words.values():
                if word not in OUTCOMES:
                    raise self.fault(("outcome", "words"), f"{word!r} is no outcome; known: {', '.join(OUTCOMES)}")
            self.check_columns(("outcome",), outcome, _listed(outcome.column))

    def check_file(self, where: Where, rule: _Table, layout: str, *, label: bool = False) -> None:
        if layout != "file" and not rule.file and not label:
            raise self.fault(where, "the key 'file' is missing")
        if layout == "file" and rule.file:
            raise self.fault((*where, "file"), 'is not used with layout = "file": the file is the try itself')
        self.check_inside((*where, "file"), rule.file)
        if rule.separator not in DELIMITERS:
            raise self.fault((*where, "separator"), f"must be one of {', '.join(DELIMITERS)}")
        if rule.decimal not in {".", ","} or (rule.decimal == "," and rule.separator == "comma"):
            raise self.fault((*where, "decimal"), 'must be "." or ",", and the columns separated by something else')
        if rule.skip_rows < 0:
            raise self.fault((*where, "skip_rows"), "must not be below 0")

    def check_inside(self, where: Where, file: str) -> None:
        outside = ".." in Path(file).parts or Path(file).is_absolute() or "\0" in file
        if file and (outside or "**" in file):
            raise self.fault(where, "must lie inside the folder of the try")

    def check_rate(self, where: Where, rate_hz: float | None) -> None:
        if rate_hz is not None and not 1e-6 <= rate_hz <= 1e6:
            raise self.fault((*where, "rate_hz"), f"must be at least 0.000001 and at most 1000000, not {rate_hz}")

    def check_time(self, where: Where, time: object, unit: str) -> None:
        if unit not in (*TIME_UNITS_NS, ISO):
            raise self.fault((*where, "time_unit"), f"must be one of {', '.join((*TIME_UNITS_NS, ISO))}")
        if isinstance(time, tuple) and len(time) != 2:
            raise self.fault((*where, "time"), "is one column, or two: of seconds and of nanoseconds")

    def check_columns(self, where: Where, rule: _Table, used: tuple[Column, ...]) -> None:
        named = rule.header or not rule.file or Path(rule.file).suffix.lower() in _BINARY
        for column in used:
            if isinstance(column, int) and column < 0:
                raise self.fault((*where, "columns"), f"column {column} is below 0")
            if isinstance(column, str) and not named:
                raise self.fault(where, f"column {column!r} is a name: set header = true, or give its number")

    def fault(self, where: Where, what: str) -> InvalidMapping:
        subject = f"{self.path}:{line_of(self.text, where)}"
        return InvalidMapping(f"{name_of(where)}: {what}", subject=subject, remedy="Correct that line.")


def _listed(column: Column | tuple[Column, ...] | None) -> tuple[Column, ...]:
    return () if column is None else column if isinstance(column, tuple) else (column,)


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
