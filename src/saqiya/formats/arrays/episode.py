"""Arrays with names become a try: which are clocks, pictures, words or signals, and what cannot be used and why.

HDF5, Zarr and RLDS all hold tries as named arrays of as many rows as steps; what differs is how rows are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Bytes, Video
from saqiya.domain.streams import EpisodeLog, Event, JsonValue, Stamp, Stream
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.formats.arrays.clock import Clock, assumed, best_clock, is_time, stamps_of
from saqiya.formats.arrays.names import facts_of, house_name, is_picture, success_word
from saqiya.formats.far.child import plain
from saqiya.formats.pictures import stills

__all__ = ["Column", "Packets", "Rate", "episode_of"]

SMALL_N = 64
"""Numbers that are not one a step are kept as a fact when they are this few: a calibration, a pose to start from."""


@dataclass(frozen=True)
class Packets:
    """Encoded pictures: where each lies in `data`, and the file that `data` is the whole of, if it is one."""

    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    data: Bytes
    file: Path | None = None


@dataclass(frozen=True)
class Column:
    """One array of a try.

    Attributes:
        path: its place in the file, below the try ("obs/eef_pos").
        kind: "numbers", "texts", "packets" (bytes of a varying length), or "" with a `why`.
        shape: rows first; () for a scalar.
        dtype: of numbers; bytes for the others.
        read: gives an array, a list of texts, or Packets. It may raise UnreadableLog.
        why: why it cannot be read, "" when it can.
    """

    path: str
    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Any]
    why: str = ""

    @property
    def rows(self) -> int:
        """How many rows; 0 for a scalar."""
        return self.shape[0] if self.shape else 0


@dataclass(frozen=True)
class Rate:
    """How fast rows follow each other where no clock is stored, and who says so ("" for nobody: it is assumed)."""

    hz: float
    said_by: str = ""


@dataclass
class _Found:
    """What has been made of the columns so far."""

    streams: dict[str, Stream] = field(default_factory=dict)
    videos: dict[str, Video] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    facts: dict[str, JsonValue] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    skipped: dict[str, JsonValue] = field(default_factory=dict)
    faults: dict[str, JsonValue] = field(default_factory=dict)

    def lose(self, column: Column, why: str) -> None:
        """Note that something the file has rows of cannot be read: unlike an array that fits nowhere, it is missed."""
        self.skipped[column.path] = why
        picture = "camera" if column.kind == "packets" else is_picture(column.path, column.dtype.kind, column.shape)
        self.faults[house_name(column.path, picture=picture)] = f"{column.path} cannot be read: {why}"

    def free(self, name: str, path: str) -> str:
        """Return `name`, or where another column has it already, one that no other has."""
        taken = self.streams.keys() | self.videos.keys()
        return name if name not in taken else next(
            one for one in (path, *(f"{path}#{number}" for number in range(2, len(taken) + 3))) if one not in taken
        )  # fmt: skip


@dataclass(frozen=True)
class _Times:
    """The clocks of a try, the one of its steps, and what is assumed where there is none."""

    clocks: tuple[Clock, ...]
    main: Clock | None
    steps: int
    rate: Rate
    begin_ns: int

    def of(self, column: Column) -> tuple[NDArray[np.int64], str, Stamp]:
        clock = best_clock(column.path, column.rows, self.clocks)
        if clock is not None:
            return clock.t_ns, clock.name, Stamp.SENSOR
        if self.main is not None and column.rows == self.steps + 1:
            step = int(np.median(np.diff(self.main.t_ns))) if self.steps > 1 else round(1e9 / self.rate.hz)
            return np.append(self.main.t_ns, self.main.t_ns[-1] + step), self.main.name, Stamp.SENSOR
        t_ns, name, stamp = assumed(column.rows, self.rate.hz)
        return t_ns + self.begin_ns, name, stamp


def episode_of(key: str, columns: Sequence[Column], facts: Mapping[str, JsonValue], rate: Rate) -> EpisodeLog:
    """Make a try of columns.

    Every array with as many rows as steps (or one more: the state after the last step) becomes a stream or a camera,
    stamped by the clock among the columns that is nearest to it by name, else by `rate` from 0, marked assumed. Raw
    pictures stay numbers, (T, H, W, C); JPEG and PNG become cameras packet by packet. What is left out is named in
    `metadata["skipped"]`, oddities in `metadata["problems"]`, rows that are there and cannot be read in
    `metadata["faults"]` as well: the audit judges those.

    Raises:
        UnreadableLog: there is nothing in it that has rows.
    """
    found = _Found()
    for column in columns:
        if column.why:
            found.skipped[column.path] = column.why
    usable = [column for column in columns if not column.why]
    steps = steps_of(usable)
    if not steps:
        reasons = "; ".join(f"{path}: {why}" for path, why in list(found.skipped.items())[:5])
        raise UnreadableLog(f"holds no rows ({reasons or 'no arrays'})", remedy="Record or convert it again.")
    for column in columns:
        if column.why and column.rows == steps and _is_acted_or_seen(column):
            found.lose(column, column.why)
    times = _times(usable, steps, rate, found)
    for column in usable:
        if column.path in found.skipped:
            continue
        if misfit := _misfit(column, times):
            found.skipped[column.path] = misfit
            continue
        try:
            _take(column, times, found)
        except (UnreadableLog, InvalidEpisode) as error:
            found.lose(column, error.what)
    if not found.streams and not found.videos:
        reasons = "; ".join(f"{path}: {why}" for path, why in list(found.skipped.items())[:5])
        raise UnreadableLog(f"nothing in it can be read ({reasons})", remedy="Copy or record it again.")
    return EpisodeLog(
        key,
        found.streams,
        tuple(sorted(found.events, key=lambda event: event.t_ns)),
        _metadata(found, facts, times),
        found.videos,
    )


def steps_of(columns: Sequence[Column]) -> int:
    """Tell how many steps a try has: the rows of its actions, else the most usual number of rows."""
    for column in columns:
        if column.kind == "numbers" and house_name(column.path) == "action/executed" and column.rows:
            return column.rows
    below = Counter(column.rows for column in columns if column.path.lower().startswith("action") and column.rows)
    counts = below or Counter(column.rows for column in columns if column.rows)
    return max(counts, key=lambda rows: (counts[rows], rows)) if counts else 0


def _times(columns: Sequence[Column], steps: int, rate: Rate, found: _Found) -> _Times:
    """Find the clocks. Those that have no moment in common with the clock of the steps stay numbers."""
    clocks: list[Clock] = []
    for column in columns:
        if column.kind != "numbers" or not is_time(column.path, column.shape, column.dtype.kind):
            continue
        try:
            clock = stamps_of(column.path, np.asarray(column.read()))
        except UnreadableLog as error:
            found.skipped[column.path] = error.what
            continue
        if isinstance(clock, Clock):
            clocks.append(clock)
        else:
            found.problems.append(f"{column.path} is not used as a clock: {clock}")
    main = best_clock("action", steps, clocks)
    lead = main or (max(clocks, key=lambda clock: len(clock.t_ns)) if clocks else None)
    if lead is None:
        return _Times((), None, steps, rate, 0)
    shared = tuple(one for one in clocks if one.t_ns[0] <= lead.t_ns[-1] and lead.t_ns[0] <= one.t_ns[-1])
    if main is None:
        found.problems.append(f"what has no clock is assumed to begin with {lead.path}")
    return _Times(shared, main, steps, rate, int(lead.t_ns[0]) if main is None else 0)


def _misfit(column: Column, times: _Times) -> str:
    """Say why an array belongs to no step, "" where it does, or where it is small enough to be a fact."""
    if column.kind == "texts":
        return ""
    if not column.rows and column.shape:
        return "it has no rows"
    small = column.kind == "numbers" and int(np.prod(column.shape, dtype=object)) <= SMALL_N
    if small or _is_stepped(column, times):
        return ""
    return f"it has {column.rows} rows for {times.steps} steps, and no clock of its own"


def _is_acted_or_seen(column: Column) -> bool:
    """Say whether a try without this array is not the try that was recorded."""
    picture = is_picture(column.path, column.dtype.kind, column.shape)
    return column.dtype.kind in "fiub" and house_name(column.path, picture=picture).startswith(
        ("action/", "camera/", "depth/")
    )


def _is_stepped(column: Column, times: _Times) -> bool:
    return (
        column.rows in {times.steps, times.steps + 1} or best_clock(column.path, column.rows, times.clocks) is not None
    )


def _take(column: Column, times: _Times, found: _Found) -> None:
    if column.kind == "texts":
        _texts(column, times, found)
        return
    if not _is_stepped(column, times):
        found.facts[column.path] = plain(np.asarray(column.read()))
        return
    if any(one.path == column.path for one in times.clocks):
        _keep_clock(column.path, times, found)
        return
    stamps = times.of(column)
    if len(stamps[0]) == times.steps + 1 and times.main is not None and stamps[1] == times.main.name:
        found.problems.append(f"{column.path}: its last row has no stamp of its own; one usual step later is assumed")
    if column.kind == "packets":
        _camera(column, column.read(), stamps, found)
        return
    values = np.asarray(column.read())
    if values.dtype == np.uint8 and values.ndim == 2 and (packets := _filled_up(values)) is not None:
        _camera(column, packets, stamps, found)
        return
    picture = is_picture(column.path, values.dtype.kind, values.shape)
    if picture and values.ndim == 4 and values.shape[-1] not in {1, 3, 4}:
        values = np.moveaxis(values, 1, -1)
        found.problems.append(f"{column.path}: its colours came first and come last now")
    name = found.free(house_name(column.path, picture=picture), column.path)
    found.streams[name] = Stream(stamps[0], values if values.ndim > 1 else values.reshape(-1, 1), *stamps[1:])
    if name == "success" and values.size and set(np.unique(values).tolist()) <= {0, 1}:
        found.facts["outcome"] = success_word(int(values.max()))


def _keep_clock(path: str, times: _Times, found: _Found) -> None:
    """Keep the times of a clock that is not the steps' own, int64 ns, beside those of the steps."""
    clock, main = next(one for one in times.clocks if one.path == path), times.main
    if main is None or len(main.t_ns) != len(clock.t_ns) or np.array_equal(main.t_ns, clock.t_ns):
        return
    found.streams[f"times/{path}"] = Stream(main.t_ns, clock.t_ns.reshape(-1, 1), main.name, Stamp.SENSOR, "ns")


def _filled_up(values: NDArray[np.uint8]) -> Packets | None:
    """Take rows of bytes for pictures that are filled up with zeros, when they begin like pictures."""
    if values.shape[1] < 64 or not stills.codec_of(values[0, :8].tobytes()):
        return None
    offset = np.arange(len(values), dtype=np.int64) * values.shape[1]
    return Packets(offset, stills.ends_of(values), np.ascontiguousarray(values).data.cast("B"))


def _camera(column: Column, packets: Packets, stamps: tuple[NDArray[np.int64], str, Stamp], found: _Found) -> None:
    t_ns, clock, stamp = stamps
    if len(packets.size) != len(t_ns):
        raise UnreadableLog(f"it has {len(packets.size)} pictures for {len(t_ns)} stamps")
    video, odd = stills.video_of(
        (packets.offset, packets.size), packets.data, t_ns, clock=clock, stamp=stamp, file=packets.file
    )
    deep = "depth" in column.path.lower()
    name = found.free(house_name(column.path, picture="depth" if deep else "camera"), column.path)
    found.videos[name] = video
    found.problems += [f"{column.path}: {one}" for one in odd]


def _texts(column: Column, times: _Times, found: _Found) -> None:
    """One text for the whole try is a fact; a text that changes is a fact and an event at each change."""
    texts = [str(text) for text in column.read()]
    if not texts:
        return
    leaf = column.path.rsplit("/", 1)[-1]
    if len(set(texts)) == 1 or len(texts) != times.steps:
        found.facts[leaf] = texts[0] if len(set(texts)) == 1 else list(texts[:SMALL_N])
        return
    t_ns = times.of(column)[0]
    found.facts[leaf] = texts[0]
    turns = [row for row, text in enumerate(texts) if row == 0 or text != texts[row - 1]]
    found.events += [Event(int(t_ns[row]), f"text/{leaf}", texts[row]) for row in turns]


def _metadata(found: _Found, facts: Mapping[str, JsonValue], times: _Times) -> dict[str, JsonValue]:
    metadata = facts_of({**facts, **found.facts})
    names = {one.clock for one in found.streams.values()} | {one.track.clock for one in found.videos.values()}
    rate = times.rate
    if any(name.startswith("assumed:") for name in names):
        source = f"declared by {rate.said_by}" if rate.said_by else "the default of this format"
        metadata["clock"] = f"no stamps are stored; {rate.hz:g} Hz assumed ({source})"
    else:
        metadata["clock"] = f"stamps from {', '.join(f'{one.path} ({one.unit})' for one in times.clocks)}"
    metadata["problems"] = list(found.problems)
    if found.skipped:
        metadata["skipped"] = dict(found.skipped)
    if found.faults:
        metadata["faults"] = dict(found.faults)
    return metadata
