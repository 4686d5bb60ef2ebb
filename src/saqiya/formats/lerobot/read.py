"""LeRobot data sets, v2.0 to v3.0: rows in Parquet, cameras in MP4 or in columns, tasks and episodes in `meta/`.

Numbers keep their type, pictures are not decoded. Where Saqiya wrote the data set, what one rate could not hold comes
back from `meta/saqiya`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Unread
from saqiya.domain.media import Video
from saqiya.domain.streams import EpisodeLog, Event, JsonValue, Stamp, Stream
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.formats.lerobot.meta import INFO, Dataset, Entry, Feature, open_dataset
from saqiya.formats.lerobot.names import ROWS, ours, tells_author
from saqiya.formats.lerobot.native import Sidecar
from saqiya.formats.lerobot.rows import array_of, episodes_of, texts_of
from saqiya.formats.lerobot.video import CLOCK, Movies, column_video, grid_ns

__all__ = ["LeRobotFormat"]

_HEAD_BYTES = 1 << 16
_DEPTH_FACTS = ("depth_unit", "video.depth_min", "video.depth_max", "video.shift", "video.use_log")
_TEXT_COLUMNS = ("language_instruction", "task")
_NOT_FRAMES_S = 1e-3
_MOST_S = 9e9
_AGAIN = "Record or copy it again."


@dataclass(frozen=True)
class LeRobotFormat:
    """Reads LeRobot data sets.

    Attributes:
        videos: whether cameras that lie in files are asked for; without them an episode whose video is missing is good.
    """

    name = "lerobot"
    videos: bool = True

    def sniff(self, path: Path) -> bool:
        """Say whether `path` is a folder whose meta/info.json names a codebase version, or lies beside data/."""
        info = path / INFO
        if not path.is_dir() or not info.is_file():
            return False
        with info.open("rb") as file:
            told = b'"codebase_version"' in file.read(_HEAD_BYTES)
        return told or (path / "data").is_dir()  # a damaged info.json is told once, not each file of the data set

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Yield every episode, in the order of its files, after what is wrong with the data set as a whole.

        Raises:
            UnreadableLog: meta/ is missing, damaged or of an unknown version.
        """
        if not path.is_dir():
            raise UnreadableLog("is no folder", subject=str(path), remedy="Give the folder that holds meta/ and data/.")
        data = open_dataset(path)
        yield from data.problems
        movies = Movies.of(data)
        if self.videos:
            for camera in sorted(movies.without):
                yield Unread(
                    camera, "is declared as a camera and has no file", "Copy videos/, or correct meta/info.json."
                )
        sidecar = Sidecar.beside(path)
        if sidecar.damage:
            yield Unread("meta/saqiya", sidecar.damage, "Copy the folder again; LeRobot's own part is read.")
        for entry, rows in _rows(data):
            yield rows if isinstance(rows, Unread) else self._episode(_Reading(data, movies, entry, rows), sidecar)

    def _episode(self, reading: _Reading, sidecar: Sidecar) -> EpisodeLog | Unread:
        try:
            reading.signals()
            if self.videos:
                reading.cameras()
            log = reading.log()
            return sidecar.restore(reading.entry, log, reading.columns, reading.movies if self.videos else None)
        except (UnreadableLog, InvalidEpisode) as error:
            subject = error.subject.removeprefix(f"{reading.data.root}/")
            what = f"{subject}: {error.what}" if subject else error.what
            return Unread(reading.entry.key, what, error.remedy or _AGAIN)


def _rows(data: Dataset) -> Iterator[tuple[Entry, Any | Unread]]:
    """Yield every listed episode with its rows, file by file; what cannot be found says why."""
    files: dict[Path, dict[int, Entry]] = {}
    for entry in data.entries:
        try:
            files.setdefault(data.data_file(entry), {})[entry.index] = entry
        except UnreadableLog as error:
            yield entry, Unread(entry.key, error.what, error.remedy)
    for path, wanted in files.items():
        name = path.relative_to(data.root).as_posix()
        why = Unread("", f"its rows are not in {name}", "Correct meta/episodes, or copy the folder again.")
        strays = 0
        try:
            for index, rows in episodes_of(path):
                own = next(iter(wanted), index) if not data.shared else index
                if own in wanted:
                    yield wanted.pop(own), rows
                else:
                    strays += 1
        except UnreadableLog as error:
            why = Unread("", f"{name}: {error.what}", error.remedy)
        if strays:
            what = f"holds {strays} runs of rows that meta/episodes does not list there"
            yield Entry(0), Unread(name, what, "Correct meta/episodes, or copy the folder again.")
        yield from ((entry, Unread(entry.key, why.reason, why.remedy)) for entry in wanted.values())


@dataclass
class _Reading:
    """One episode on its way in."""

    data: Dataset
    movies: Movies
    entry: Entry
    rows: Any
    streams: dict[str, Stream] = field(default_factory=dict)
    videos: dict[str, Video] = field(default_factory=dict)
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    faults: list[JsonValue] = field(default_factory=list)
    depths: dict[str, JsonValue] = field(default_factory=dict)
    problems: list[JsonValue] = field(default_factory=list)
    skipped: dict[str, JsonValue] = field(default_factory=dict)
    facts: dict[str, JsonValue] = field(default_factory=dict)

    def fault(self, check: str, stream: str, what: str) -> None:
        self.faults.append({"check": f"lerobot/{check}", "stream": stream, "what": what})

    def signals(self) -> None:
        """Turn every column into a stream, a camera or events."""
        self.t_ns, self.stamp = self._stamps()
        if self.entry.length is not None and self.entry.length != len(self.t_ns):
            self.fault("length", "", f"has {len(self.t_ns)} rows, meta/episodes says {self.entry.length}")
        for name in self.rows.schema.names:
            if name not in ROWS:
                self._column(name, self.data.features.get(name) or Feature(name, "", (), (), {}))
        there = {*self.rows.schema.names, *ROWS}
        for name, feature in self.data.features.items():
            if feature.dtype != "video" and name not in there:
                self.fault(
                    "missing-column", ours(name, picture=feature.picture), f"{name} is declared and has no column"
                )
        self._tasks()
        self._authors()
        self._outcome()

    def cameras(self) -> None:
        """Find the packets of every camera that lies in files."""
        for name, feature in self.data.features.items():
            if feature.dtype != "video" or name in self.videos:
                continue
            own = ours(name, picture=True, depth=feature.depth)
            if name in self.movies.without:
                self.fault("missing-camera", own, f"{name} is declared as a camera and has no file")
                continue
            video, odd = self.movies.part(self.entry, feature)
            if not len(video.track):
                raise UnreadableLog(f"holds no picture of {self.entry.key}", subject=str(video.file), remedy=_AGAIN)
            self.videos[own] = video
            self._odd(name, own, video, odd)
            if feature.depth:
                known = {key: feature.about.get(key) for key in _DEPTH_FACTS}
                self.depths[own] = {key: one for key, one in known.items() if isinstance(one, int | float | str)}

    def _odd(self, name: str, own: str, video: Video, odd: list[str]) -> None:
        """Tell what is odd about a camera; pictures that are not one a row are a fault."""
        if len(video.track) != len(self.t_ns):
            self.fault("camera", own, f"{name} has {len(video.track)} pictures for {len(self.t_ns)} rows")
        self.problems += [f"{name}: {what}" for what in odd]
        shown, half_ns = video.track.shown_ns, 0.5e9 / self.data.fps
        if len(shown) and len(self.t_ns) and abs(int(shown[0]) - int(self.t_ns[0])) > half_ns:
            begins = f"rows begin at {self.t_ns[0] / 1e9:.4g} s, its pictures at {shown[0] / 1e9:.4g} s"
            self.problems.append(f"{name}: {begins}; LeRobot shows the picture of the row's time")

    def log(self) -> EpisodeLog:
        """Return what was found."""
        if not any(len(stream.t_ns) for stream in self.streams.values()) and not self.videos:
            raise UnreadableLog("has neither numbers nor pictures", subject=self.entry.key, remedy=_AGAIN)
        facts: dict[str, JsonValue] = {"fps": self.data.fps, "format": f"lerobot {self.data.version}", **self.facts}
        if self.data.robot:
            facts["embodiment"] = self.data.robot
        found: dict[str, JsonValue] = {"faults": self.faults, "problems": self.problems, "skipped": self.skipped}
        facts |= {name: one for name, one in {**found, "depth": self.depths}.items() if one}
        events = tuple(sorted(self.events, key=lambda event: event.t_ns))
        return EpisodeLog(self.entry.key, self.streams, events, facts, self.videos)

    def _stamps(self) -> tuple[NDArray[np.int64], Stamp]:
        """Return each row's stamp, and whether it is more than its number divided by the rate."""
        count, fps = self.rows.num_rows, self.data.fps
        frames = self._place("frame_index", count)
        if frames is None or not np.array_equal(frames, np.arange(count) + frames[0]):
            if frames is not None:
                self.fault("order", "", "frame_index does not count its rows")
            frames = np.arange(count, dtype=np.int64)
        own = self._place("timestamp", count)
        assumed = grid_ns(frames.astype(np.int64), fps)
        if own is None:
            return assumed, Stamp.ASSUMED
        seconds = own.astype(np.float64)
        if not bool(np.isfinite(seconds).all()) or float(np.abs(seconds).max(initial=0)) > _MOST_S:
            raise UnreadableLog("its timestamps are no times", subject=self.entry.key, remedy=_AGAIN)
        grain_s = 2 * float(np.spacing(np.abs(own).max(initial=1))) if own.dtype == np.float32 else 1e-9
        if float(np.abs(seconds - frames / fps).max(initial=0)) <= grain_s:
            return assumed, Stamp.ASSUMED
        t_ns = np.rint(seconds * 1e9).astype(np.int64)
        if bool((np.diff(t_ns) < 0).any()):
            raise UnreadableLog("its timestamps go back", subject=self.entry.key, remedy=_AGAIN)
        drift_s = seconds - seconds[0] - (frames - frames[0]) / fps
        steady = float(np.abs(drift_s).max(initial=0)) <= _NOT_FRAMES_S
        return t_ns, Stamp.ASSUMED if steady else Stamp.RECEIVE

    def _place(self, name: str, count: int) -> NDArray[Any] | None:
        """Return one of the columns that place a row, None where it is not there or holds no numbers."""
        if name not in self.rows.schema.names:
            return None
        try:
            values = array_of(self.rows[name], count)
        except ValueError as error:
            self.fault("column", name, f"{name}: {error}")
            return None
        return values.reshape(-1) if values.size == count else None

    def _column(self, name: str, feature: Feature) -> None:
        column, own = self.rows[name], ours(name, picture=feature.picture, depth=feature.depth)
        if own in self.streams or own in self.videos:
            self.skipped[name] = f"another column is {own} already"
            return
        try:
            if feature.dtype == "image":
                self.videos[own], odd = column_video(column, feature, self.t_ns, self.stamp)
                self._odd(name, own, self.videos[own], odd)
                return
            texts = texts_of(column)
            if texts is not None:
                self._texts(name, texts)
                return
            values = array_of(column, len(self.t_ns))
        except (ValueError, UnreadableLog) as error:
            self.skipped[name] = str(error)
            if name in self.data.features:
                self.fault("column", own, f"{name}: {error}")
            return
        self.columns[name] = values
        if tells_author(name):
            return
        width = feature.fields if values.ndim == 2 and values.shape[1] == len(feature.fields) else ()
        self.streams[own] = Stream(self.t_ns, values, CLOCK, self.stamp, fields=width)

    def _texts(self, name: str, texts: list[str]) -> None:
        """Tell a column of texts as events, one at each change."""
        before = None
        for t_ns, text in zip(self.t_ns.tolist(), texts, strict=True):
            if text != before and text:
                self.events.append(Event(t_ns, name, text))
            before = text
        if name in _TEXT_COLUMNS and texts and texts[0]:
            self.facts.setdefault("task", texts[0])

    def _tasks(self) -> None:
        """Name the task, and tell where another begins."""
        indices = self._place("task_index", len(self.t_ns))
        if indices is None or indices.dtype.kind not in "iu" or not len(indices):
            if self.entry.tasks:
                self.facts["task"] = self.entry.tasks[0]
            return
        starts = np.concatenate(([0], np.flatnonzero(np.diff(indices.astype(np.int64))) + 1))
        words = [self.data.tasks.get(int(indices[start])) for start in starts.tolist()]
        if None in words:
            self.fault("task", "", f"task {int(indices[starts[words.index(None)]])} has no text in meta/tasks")
        first = words[0] if words[0] is not None else next(iter(self.entry.tasks), None)
        if first is not None:
            self.facts["task"] = first
        if len(starts) > 1:
            self.facts["tasks"] = list(dict.fromkeys(word for word in words if word is not None))
            pairs = zip(starts.tolist(), words, strict=True)
            self.events += [Event(int(self.t_ns[at]), "task", word or "") for at, word in pairs]

    def _authors(self) -> None:
        """Tell who acted, and the hand-overs, where columns say that a person intervened; one that does is enough."""
        told = {name: flags for name in self.columns if tells_author(name) and (flags := self._flags(name)) is not None}
        if not told or "author" in self.streams:
            return
        acted = np.any(list(told.values()), axis=0)
        for name, flags in told.items():
            if not np.array_equal(flags, acted):
                n = int((acted & ~flags).sum())
                self.problems.append(
                    f"{name} says nothing of {n} rows in which another column says that a person acted"
                )
        author = acted.astype(np.uint8).reshape(-1, 1)
        self.streams["author"] = Stream(self.t_ns, author, CLOCK, self.stamp)
        turns = np.flatnonzero(np.diff(author[:, 0].astype(np.int8))) + 1
        self.events += [Event(int(self.t_ns[at]), "takeover" if author[at] else "handback") for at in turns.tolist()]
        self.facts["source"] = "demonstration" if bool(author.all()) else "rollout"

    def _outcome(self) -> None:
        """Say how the try ended where next.success says it: False on every row of a try that ended is a failure."""
        success, done = (self._flags(f"next.{word}") for word in ("success", "done"))
        for flags, name in ((success, "success"), (done, "done")):
            if flags is not None and flags.any():
                self.events.append(Event(int(self.t_ns[int(flags.argmax())]), name))
        if success is not None and success.any():
            self.facts["outcome"] = "success"
        elif success is not None and len(success) and (done is None or bool(done[-1])):
            self.facts["outcome"] = "failure"

    def _flags(self, name: str) -> NDArray[np.bool_] | None:
        values = self.columns.get(name)
        if values is None or not len(values):
            return None
        flags: NDArray[np.bool_] = (values.reshape(len(values), -1) != 0).any(axis=1)
        return flags
