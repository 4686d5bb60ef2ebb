"""Tables as logs: folders or files of plain numbers become tries through a mapping that the team writes once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog, Event, JsonValue, Stamp, Stream
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.formats.open import DOCUMENTS
from saqiya.formats.tables.cells import Cells, Reading, read_blocks, read_cells
from saqiya.formats.tables.mapping import (
    FILE_NAME,
    GROUP,
    Column,
    EventRule,
    OutcomeRule,
    PhaseRule,
    StreamRule,
    TableMapping,
    read_mapping,
)
from saqiya.formats.tables.units import factor

__all__ = ["TableFolder", "TableFormat"]

SUFFIXES = frozenset({".dat", ".data", ".txt", ".csv", ".tsv", ".npy", ".npz", ".parquet", ".log", ".asc"})
OTHER_LOGS = frozenset({".mcap", ".bag", ".db3", ".hdf5", ".h5", ".tfrecord", ".mp4", ".rrd"})
_NO_SAID = {"layout", "match", "split", "blocks"}


class TableFolder:
    """Reads a folder that holds a mapping of its own, `saqiya-mapping.toml`."""

    name = "table"

    def sniff(self, path: Path) -> bool:
        """Say whether `path` is a folder with a mapping in it."""
        return path.is_dir() and (path / FILE_NAME).is_file()

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Yield every try below `path` that fits its mapping, then each file that looks like a log and is of no try.

        Raises:
            InvalidMapping: the mapping is wrong; file and line are named.
            UnreadableLog: there is no mapping, or nothing fits it.
        """
        if not self.sniff(path):
            raise UnreadableLog(
                f"holds no {FILE_NAME}",
                subject=str(path),
                remedy=f"Draft one: saqiya ingest --suggest {path if path.is_dir() else path.parent}",
            )
        form = TableFormat.from_mapping(path / FILE_NAME)
        sources = form.sources(path)
        yield from form.tries(path, sources)
        taken = {file for one in sources for file in one.files}
        for child in sorted(path.rglob("*")):
            if child not in taken and child.is_file() and _is_log(child.relative_to(path)):
                yield Unread(
                    child.relative_to(path).as_posix(),
                    f"lies below {FILE_NAME} and is of no try there",
                    "Change [episode] in the mapping, or move the file to another folder.",
                )


@dataclass(frozen=True)
class TableFormat:
    """Reads tries from tables by a mapping. `sniff` says yes to what holds a try, `read` takes it or a tree of them.

    A try comes in while at least one required stream is there (any stream, where none is required); what is missing
    or odd is listed in `metadata["problems"]`.
    """

    mapping: TableMapping
    name = "table"

    @classmethod
    def from_mapping(cls, path: Path) -> TableFormat:
        """Make the format from a mapping file.

        Raises:
            InvalidMapping: a key, type or value is wrong; file and line are named.
        """
        return cls(read_mapping(path))

    def sniff(self, path: Path) -> bool:
        """Say whether `path` is one try of this mapping, or a file or folder that holds several side by side."""
        rule = self.mapping.episode
        if rule.layout == "files":
            return path.is_dir() and any(self._group(child) for child in path.iterdir())
        if path.is_dir() != (rule.layout == "folder") or not path.exists():
            return False
        if rule.match and not re.search(rule.match, _posix(path)):
            return False
        if rule.layout == "file":
            return path.name != FILE_NAME and (bool(rule.match) or path.suffix.lower() in SUFFIXES)
        return bool(rule.match) or any(_find(path, stream.file) for stream in self.mapping.streams.values())

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Yield the try at `path`, or every try below it, sorted by path.

        Raises:
            UnreadableLog: nothing at `path` fits the mapping.
        """
        yield from self.tries(path, self.sources(path))

    def sources(self, path: Path) -> list[_Source]:
        """Find what holds tries, at `path` or below it.

        Raises:
            UnreadableLog: nothing does.
        """
        found = [path] if self.sniff(path) else sorted(child for child in path.rglob("*") if self.sniff(child))
        if not found:
            raise UnreadableLog(
                "nothing here fits the mapping", subject=str(path), remedy=f"Look at [episode] in {self.mapping.path}."
            )
        return [one for item in found for one in self._sources(item)]

    def tries(self, root: Path, sources: Sequence[_Source]) -> Iterator[EpisodeLog | Unread]:
        """Yield the tries of sources below `root`."""
        named = Counter(one.key for one in sources)
        for one in sources:
            key = one.key if named[one.key] == 1 else _key(root, one)
            yield from _Reader(self.mapping, one, key).tries()

    def _sources(self, path: Path) -> list[_Source]:
        rule = self.mapping.episode
        if rule.layout == "file":
            return [_Source(path.stem, path, (path,), _posix(path))]
        if rule.layout == "folder":
            files = tuple(sorted(child for child in path.iterdir() if child.is_file()))
            return [_Source(path.name, path, files, _posix(path))]
        groups: dict[str, list[Path]] = {}
        for child in sorted(path.iterdir()):
            if child.is_file() and (group := self._group(child)):
                groups.setdefault(group, []).append(child)
        return [_Source(name, path, tuple(files), _posix(files[0])) for name, files in groups.items()]

    def _group(self, path: Path) -> str:
        found = re.search(self.mapping.episode.match, _posix(path))
        return (found[GROUP] or "") if found else ""


@dataclass(frozen=True)
class _Source:
    """The files of a try, or of several that lie in the same files; names and patterns are searched in `said_by`."""

    key: str
    path: Path
    files: tuple[Path, ...]
    said_by: str


@dataclass(frozen=True)
class _Reader:
    """Reads the tries of one source; a file is read once."""

    mapping: TableMapping
    source: _Source
    key: str
    cells: dict[tuple[Path, Reading], Cells | UnreadableLog] = field(default_factory=dict)

    def tries(self) -> Iterator[EpisodeLog | Unread]:
        """Yield them: one, or as many as a column or blank lines part the tables into."""
        rule = self.mapping.episode
        if rule.blocks:
            yield from self._blocks()
        elif rule.split is not None:
            yield from self._parts(rule.split)
        else:
            yield self._episode(self.key, "", lambda cells: cells)

    def _blocks(self) -> Iterator[EpisodeLog | Unread]:
        how = next(iter(self.mapping.streams.values())).reading
        try:
            blocks = read_blocks(self.source.path, how)
        except (UnreadableLog, OSError) as error:
            yield Unread(self.key, _cause(error), "Look at the file, or change the mapping.")
            return
        for number, (label, cells) in enumerate(blocks):
            yield self._episode(f"{self.key}/{number:04d}", label, lambda _, cells=cells: cells)  # type: ignore[misc]

    def _parts(self, split: Column) -> Iterator[EpisodeLog | Unread]:
        names: dict[str, None] = {}
        why = ""
        for rule in self.mapping.streams.values():
            try:
                cells = self._read(rule.file, rule.reading)
                names |= dict.fromkeys(cells.words(cells.index(split)))
            except (UnreadableLog, OSError) as error:
                why = why or _cause(error)
        if not names:
            yield Unread(self.key, f"it cannot be parted into tries: {why}", "Look at `split` in the mapping.")
        for name in names:

            def part(cells: Cells, name: str = name) -> Cells:
                return cells.select(np.array([word == name for word in cells.words(cells.index(split))]))

            yield self._episode(f"{self.key}/{name}", "", part)

    def _episode(self, key: str, label: str, part: Callable[[Cells], Cells]) -> EpisodeLog | Unread:
        problems: list[str] = []
        streams: dict[str, Stream] = {}
        for name, rule in self.mapping.streams.items():
            try:
                cells = part(self._read(rule.file, rule.reading))
                streams[name] = self._stream(rule, cells, part)
                problems += [f"{name}: {self._name(rule.file)}: {text}" for text in cells.problems]
            except (UnreadableLog, InvalidEpisode, OSError) as error:
                problems.append(f"{name}: missing: {rule.file or self.source.path.name} {_cause(error)}")
        required = [name for name, rule in self.mapping.streams.items() if rule.required] or list(self.mapping.streams)
        if not any(name in streams for name in required):
            return Unread(
                key,
                f"none of the required streams can be read ({'; '.join(problems)[:2000]})",
                "Look at the files, or change `required` in the mapping.",
            )
        said = self._said(label)
        events: list[Event] = []
        self._told("events", problems, lambda: events.extend(self._events(streams, problems, part)))
        self._told("phases", problems, lambda: events.extend(self._phases(part)))
        self._told("outcome", problems, lambda: said.update(self._outcome(label, problems, part)))
        problems += _uneven(streams)
        metadata: dict[str, JsonValue] = {**said, "format": TableFormat.name, "problems": list(problems)}
        if left_out := self._left_out():
            metadata["left_out"] = list(left_out)
        return EpisodeLog(key, streams, tuple(sorted(events, key=lambda event: event.t_ns)), metadata)

    def _told(self, what: str, problems: list[str], work: Callable[[], object]) -> None:
        """Do what one section asks for; a try without it is still a try, and the gap is told."""
        rule = getattr(self.mapping, what)
        if rule is None:
            return
        try:
            work()
        except (UnreadableLog, OSError) as error:
            problems.append(f"{what}: missing: {rule.file or self.source.path.name} {_cause(error)}")

    def _path(self, pattern: str) -> Path:
        if not pattern:
            return self.source.path
        if self.mapping.episode.layout == "files":
            found = [path for path in self.source.files if fnmatch(path.name, pattern)]
        else:
            found = _find(self.source.path, pattern)
        if not found:
            raise UnreadableLog("is not there")
        if len(found) > 1:
            raise UnreadableLog(
                f"fits {len(found)} files, and only one may be the stream: {found[0].name}, {found[1].name}"
            )
        return found[0]

    def _name(self, pattern: str) -> str:
        return self._path(pattern).name

    def _read(self, pattern: str, how: Reading) -> Cells:
        place = (self._path(pattern), how)
        if place not in self.cells:
            try:
                self.cells[place] = read_cells(*place)
            except UnreadableLog as error:
                self.cells[place] = error
        found = self.cells[place]
        if isinstance(found, UnreadableLog):
            raise UnreadableLog(found.what, remedy=found.remedy)
        return found

    def _stream(self, rule: StreamRule, cells: Cells, part: Callable[[Cells], Cells]) -> Stream:
        clock = cells
        if rule.time_file or rule.time_array:
            how = Reading(rule.separator, rule.header, rule.skip_rows, rule.decimal, rule.time_array)
            clock = part(self._read(rule.time_file or rule.file, how))
            if len(clock) != len(cells):
                raise UnreadableLog(f"has {len(cells)} rows, and {rule.time_file or rule.time_array} {len(clock)}")
        times = [] if rule.time is None else [clock.index(column) for column in _listed(rule.time)]
        taken = set(times) if clock is cells else set()
        if self.mapping.episode.split is not None and cells.names.count(str(self.mapping.episode.split)):
            taken.add(cells.index(self.mapping.episode.split))
        wanted = [number for column in rule.columns for number in cells.indexes(column)]
        rest = [number for number in range(cells.width) if number not in taken and cells.numeric(number)]
        columns = wanted or rest
        if not columns:
            raise UnreadableLog("has no column of numbers beside the time")
        names = rule.fields or tuple(cells.names[number] for number in columns if number < len(cells.names))
        if rule.fields and len(rule.fields) != len(columns):
            raise UnreadableLog(f"has {len(columns)} such columns, and the mapping names {len(rule.fields)} fields")
        values = cells.take(columns)
        if cells.shape and len(columns) == cells.width and not taken:
            values = values.reshape(len(values), *cells.shape)
        if rule.file_unit and rule.file_unit != rule.unit:
            values = values * np.float64(factor(rule.file_unit, rule.unit) or 1.0)
        if rule.time is None:
            t_ns, stamped = _assumed(len(values), rule.rate_hz)
            return Stream(t_ns, values, stamped, Stamp.ASSUMED, rule.unit, names)
        t_ns, there = clock.stamps(times, rule.time_unit), cells.filled(columns)
        if not there.all():  # signals of several rates in one table: a row without them is no sample of theirs
            t_ns, values = t_ns[there], values[there]
        return Stream(t_ns, values, rule.clock, Stamp.SENSOR, rule.unit, names)

    def _events(
        self, streams: dict[str, Stream], problems: list[str], part: Callable[[Cells], Cells]
    ) -> tuple[Event, ...]:
        rule = self.mapping.events
        if rule is None:
            return ()
        events = _events(part(self._read(rule.file, rule.reading)), rule)
        if len(events) < len(rule.names):
            problems.append(f"events: {len(events)} of {len(rule.names)} in {rule.file}")
        late = max(stream.t_ns[-1] for stream in streams.values())
        if any(event.t_ns > late for event in events):
            problems.append("events: some are later than the last sample")
        return events

    def _phases(self, part: Callable[[Cells], Cells]) -> list[Event]:
        rule: PhaseRule | None = self.mapping.phases
        if rule is None:
            return []
        cells = part(self._read(rule.file, rule.reading))
        words = cells.words(cells.index(rule.column))
        if rule.time is None:
            t_ns, _ = _assumed(len(cells), rule.rate_hz)
        else:
            t_ns = cells.stamps([cells.index(column) for column in _listed(rule.time)], rule.time_unit)
        found, before = [], ""
        for stamp, word in zip(t_ns.tolist(), words, strict=True):
            meant = rule.words.get(word, word)
            if meant and meant != before:
                found.append(Event(stamp, f"phase/{meant}"))
            before = meant
        return found

    def _outcome(self, label: str, problems: list[str], part: Callable[[Cells], Cells]) -> dict[str, JsonValue]:
        rule: OutcomeRule | None = self.mapping.outcome
        if rule is None:
            return {}
        words = [label]
        if rule.column is not None:
            cells = part(self._read(rule.file, rule.reading))
            words = [word for word in cells.words(cells.index(rule.column)) if word]
        meant = [rule.words.get(word, rule.words.get("*", "" if rule.words else word)) for word in words]
        if not words:
            return {}
        if rule.take == "any" and "success" in meant:
            return {"outcome": "success"}
        place = 0 if rule.take == "first" else -1
        if not meant[place]:
            problems.append(f"outcome: the mapping does not say what {words[place][:40]!r} means")
            return {}
        return {"outcome": meant[place]}

    def _said(self, label: str) -> dict[str, JsonValue]:
        """Give what the path says: the named groups of `match`, then every field of the episode rule."""
        rule = self.mapping.episode
        text = self.source.said_by
        found = re.search(rule.match, text) if rule.match else None
        groups = {name: value for name, value in (found.groupdict() if found else {}).items() if value is not None}
        groups |= {"label": label} if label else {}
        said: dict[str, JsonValue] = dict(groups)
        for item in fields(rule):
            if item.name in _NO_SAID:
                continue
            value = getattr(rule, item.name)
            if isinstance(value, dict):
                value = next((word for pattern, word in value.items() if fnmatch(text, pattern)), "")
            for group, word in groups.items():
                value = value.replace(f"{{{group}}}", word)
            if value:
                said[item.name] = value
        return said

    def _left_out(self) -> tuple[str, ...]:
        if self.mapping.episode.layout == "file":
            return ()
        others = (self.mapping.events, self.mapping.phases, self.mapping.outcome)
        patterns = {rule.file for rule in (*self.mapping.streams.values(), *others) if rule is not None}
        patterns |= {rule.time_file for rule in self.mapping.streams.values()} | {FILE_NAME}
        names = [path.name for path in self.source.files if not path.name.startswith(".")]
        return tuple(name for name in names if not any(fnmatch(name, pattern) for pattern in patterns))


def _is_log(path: Path) -> bool:
    """Say whether a file that no try took would be missed: a table or a log, no document, nothing hidden."""
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.suffix.lower() in SUFFIXES | OTHER_LOGS and path.stem.lower() not in DOCUMENTS


def _posix(path: Path) -> str:
    return path.absolute().as_posix()


def _key(root: Path, source: _Source) -> str:
    """Name a try whose name another one has too: by where it lies below the root."""
    return (source.path.parent / source.key).relative_to(root).as_posix()


def _find(folder: Path, pattern: str) -> list[Path]:
    return sorted(child for child in folder.glob(pattern) if child.is_file())


def _listed(column: Column | tuple[Column, ...]) -> tuple[Column, ...]:
    return column if isinstance(column, tuple) else (column,)


def _cause(error: Exception) -> str:
    if isinstance(error, UnreadableLog):
        return f"{error.what}. {error.remedy}" if error.remedy else error.what
    return str(error)


def _assumed(count: int, rate_hz: float | None) -> tuple[NDArray[np.int64], str]:
    rate_hz = rate_hz or 1.0
    return np.rint(np.arange(count) * (1e9 / rate_hz)).astype(np.int64), f"assumed:{rate_hz:g}Hz"


def _events(cells: Cells, rule: EventRule) -> tuple[Event, ...]:
    t_ns = cells.stamps([cells.index(column) for column in _listed(rule.time)], rule.time_unit).tolist()
    names: Sequence[str] = rule.names
    if rule.name_column is not None:
        names = cells.words(cells.index(rule.name_column))
    elif len(t_ns) > len(names):
        raise UnreadableLog(f"has {len(t_ns)} rows for {len(names)} event names")
    return tuple(sorted((Event(t, name) for t, name in zip(t_ns, names, strict=False)), key=lambda event: event.t_ns))


def _uneven(streams: dict[str, Stream]) -> list[str]:
    """Say which streams end more than a tenth of the try before the longest one."""
    ends = {name: int(stream.t_ns[-1]) for name, stream in streams.items() if len(stream.t_ns)}
    if not ends:
        return []
    last = max(ends.values())
    first = min(int(stream.t_ns[0]) for stream in streams.values() if len(stream.t_ns))
    return [
        f"{name}: ends {(last - end) / 1e9:.2f} s before the longest stream"
        for name, end in ends.items()
        if last - end > 0.1 * (last - first)
    ]
