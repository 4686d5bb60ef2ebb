"""Tables as logs: folders or files of plain numbers become tries through a mapping that the team writes once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog, Event, JsonValue, Stamp, Stream
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.formats.cells import Cells, read_cells, read_words
from saqiya.formats.mapping import TIME_UNITS_NS, EventRule, StreamRule, TableMapping, read_mapping

__all__ = ["TableFormat"]

LARGEST_NS = 2.0**62


@dataclass(frozen=True)
class TableFormat:
    """Reads tries from tables by a mapping. `sniff` says yes to one try, `read` takes one try or a tree of them.

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
        """Say whether `path` is one try of this mapping."""
        rule = self.mapping.episode
        if path.is_dir() != (rule.layout == "folder"):
            return False
        if rule.match and not re.search(rule.match, _posix(path)):
            return False
        if rule.layout == "file":
            return bool(rule.match) or path.suffix.lower() in {".dat", ".txt", ".csv", ".tsv", ".npy", ".parquet"}
        return bool(rule.match) or any(_find(path, stream.file) for stream in self.mapping.streams.values())

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Yield the try at `path`, or every try below it, sorted by path.

        Raises:
            UnreadableLog: nothing at `path` fits the mapping.
        """
        found = [path] if self.sniff(path) else sorted(child for child in path.rglob("*") if self.sniff(child))
        if not found:
            raise UnreadableLog(
                "nothing here fits the mapping", subject=str(path), remedy=f"Look at [episode] in {self.mapping.path}."
            )
        for item in found:
            yield self._episode(item)

    def _episode(self, path: Path) -> EpisodeLog | Unread:
        problems: list[str] = []
        streams: dict[str, Stream] = {}
        for name, rule in self.mapping.streams.items():
            try:
                source = path if self.mapping.episode.layout == "file" else _need(path, rule.file)
                cells = read_cells(source, separator=rule.separator, header=rule.header)
                streams[name] = _stream(cells, rule)
                problems += [f"{name}: {source.name}: {text}" for text in cells.problems]
            except (UnreadableLog, InvalidEpisode, OSError) as error:
                problems.append(f"{name}: missing: {rule.file or path.name} {_cause(error)}")
        required = [name for name, rule in self.mapping.streams.items() if rule.required] or list(self.mapping.streams)
        if not any(name in streams for name in required):
            return Unread(
                path.name,
                f"none of the required streams can be read ({'; '.join(problems)})",
                "Look at the files, or change `required` in the mapping.",
            )
        events = self._events(path, streams, problems)
        problems += _uneven(streams)
        metadata: dict[str, JsonValue] = {**self._said_by(path), "format": self.name, "problems": list(problems)}
        left_out = self._left_out(path)
        if left_out:
            metadata["left_out"] = list(left_out)
        return EpisodeLog(path.stem if path.is_file() else path.name, streams, events, metadata)

    def _events(self, path: Path, streams: dict[str, Stream], problems: list[str]) -> tuple[Event, ...]:
        rule = self.mapping.events
        if rule is None:
            return ()
        try:
            folder = path if path.is_dir() else path.parent
            events = _events(_need(folder, rule.file), rule)
        except (UnreadableLog, OSError) as error:
            problems.append(f"events: missing: {rule.file} {_cause(error)}")
            return ()
        if len(events) < len(rule.names):
            problems.append(f"events: {len(events)} of {len(rule.names)} in {rule.file}")
        late = max(stream.t_ns[-1] for stream in streams.values())
        if any(event.t_ns > late for event in events):
            problems.append("events: some are later than the last sample")
        return events

    def _said_by(self, path: Path) -> dict[str, JsonValue]:
        """Give what the path says: the named groups of `match`, then every field of the episode rule."""
        rule = self.mapping.episode
        text = _posix(path)
        found = re.search(rule.match, text) if rule.match else None
        groups = {name: value for name, value in (found.groupdict() if found else {}).items() if value is not None}
        said: dict[str, JsonValue] = dict(groups)
        for item in fields(rule):
            if item.name in {"layout", "match"}:
                continue
            value = getattr(rule, item.name)
            if isinstance(value, dict):
                value = next((word for pattern, word in value.items() if fnmatch(text, pattern)), "")
            for group, word in groups.items():
                value = value.replace(f"{{{group}}}", word)
            if value:
                said[item.name] = value
        return said

    def _left_out(self, path: Path) -> tuple[str, ...]:
        if path.is_file():
            return ()
        patterns = [rule.file for rule in self.mapping.streams.values()]
        patterns += [self.mapping.events.file] if self.mapping.events else []
        here = [child for child in sorted(path.iterdir()) if child.is_file() and not child.name.startswith(".")]
        return tuple(child.name for child in here if not any(fnmatch(child.name, pattern) for pattern in patterns))


def _posix(path: Path) -> str:
    return path.absolute().as_posix()


def _find(folder: Path, pattern: str) -> list[Path]:
    return sorted(child for child in folder.glob(pattern) if child.is_file())


def _need(folder: Path, pattern: str) -> Path:
    found = _find(folder, pattern)
    if not found:
        raise UnreadableLog("is not there")
    if len(found) > 1:
        raise UnreadableLog(
            f"fits {len(found)} files, and only one may be the stream: {found[0].name}, {found[1].name}"
        )
    return found[0]


def _cause(error: Exception) -> str:
    if isinstance(error, UnreadableLog):
        return f"{error.what}. {error.remedy}" if error.remedy else error.what
    return str(error)


def _stamps(times: NDArray[np.float64], unit: str) -> NDArray[np.int64]:
    scaled = np.asarray(times, dtype=np.float64) * TIME_UNITS_NS[unit]
    if not bool(np.all(np.isfinite(scaled))) or bool(np.any(np.abs(scaled) > LARGEST_NS)):
        raise UnreadableLog("has stamps that are no times")
    return np.rint(scaled).astype(np.int64)


def _stream(cells: Cells, rule: StreamRule) -> Stream:
    times = None if rule.time is None else cells.index(rule.time)
    wanted = [cells.index(column) for column in rule.columns]
    columns = wanted or [number for number in range(cells.values.shape[1]) if number != times]
    if not columns:
        raise UnreadableLog("has no column beside the time")
    names = rule.fields or tuple(cells.names[number] for number in columns if number < len(cells.names))
    values = np.ascontiguousarray(cells.values[:, columns])
    if times is None:
        rate_hz = rule.rate_hz or 0.0
        t_ns = np.rint(np.arange(values.shape[0]) * (1e9 / rate_hz)).astype(np.int64)
        return Stream(t_ns, values, f"assumed:{rate_hz:g}Hz", Stamp.ASSUMED, rule.unit, names)
    t_ns = _stamps(cells.values[:, times], rule.time_unit)
    return Stream(t_ns, values, rule.clock, Stamp.SENSOR, rule.unit, names)


def _events(path: Path, rule: EventRule) -> tuple[Event, ...]:
    rows, names = read_words(path, separator=rule.separator, header=rule.header)

    def cell(row: list[str], column: int | str) -> str:
        number = column if isinstance(column, int) else names.index(column) if column in names else len(row)
        if number >= len(row):
            raise UnreadableLog(f"has no column {column!r} in the row {' '.join(row)[:60]!r}")
        return row[number].strip()

    events = []
    for number, row in enumerate(rows):
        word = cell(row, rule.time)
        try:
            t_ns = int(_stamps(np.array([float(word)]), rule.time_unit)[0])
        except ValueError as error:
            raise UnreadableLog(f"has {word[:40]!r} where a time is expected") from error
        if rule.name_column is not None:
            events.append(Event(t_ns, cell(row, rule.name_column)))
        elif number < len(rule.names):
            events.append(Event(t_ns, rule.names[number]))
        else:
            raise UnreadableLog(f"has {len(rows)} rows for {len(rule.names)} event names")
    return tuple(sorted(events, key=lambda event: event.t_ns))


def _uneven(streams: dict[str, Stream]) -> list[str]:
    """Say which streams end more than a tenth of the try before the longest one."""
    ends = {name: int(stream.t_ns[-1]) for name, stream in streams.items()}
    last = max(ends.values())
    first = min(int(stream.t_ns[0]) for stream in streams.values())
    return [
        f"{name}: ends {(last - end) / 1e9:.2f} s before the longest stream"
        for name, end in ends.items()
        if last - end > 0.1 * (last - first)
    ]
