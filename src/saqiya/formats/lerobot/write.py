"""Writes LeRobot v3.0 data sets that LeRobot 0.6.1 itself opens: one rate, one table, cameras in shared video files.

What one rate cannot hold is kept under `meta/saqiya`, so that reading the folder with `LeRobotFormat` gives every
sample, stamp and packet back. No card, licence or push is made: those are the user's to decide.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Progress, Shipped
from saqiya.domain.media import CODECS, Video
from saqiya.domain.streams import EpisodeLog, JsonValue, Stream
from saqiya.errors import AlreadyThere, ConfigError, InvalidEpisode, WorkspaceError
from saqiya.formats.lerobot.columns import Column, flags_of, is_raw, stage
from saqiya.formats.lerobot.grid import Grid, grid_of, is_signal, latest, rate_of, reference_of
from saqiya.formats.lerobot.names import ROWS, theirs
from saqiya.formats.lerobot.native import FOLDER
from saqiya.formats.lerobot.pictures import ENCODER, depths_of, encode, is_deep, png_of, samples_of
from saqiya.formats.lerobot.record import Record, Records
from saqiya.formats.lerobot.shards import Piece, Shards, consecutive, copied, starts_anew
from saqiya.formats.lerobot.stats import picture_stats
from saqiya.formats.lerobot.tables import write_data, write_info, write_tasks
from saqiya.formats.lerobot.told import Told

__all__ = ["LeRobotWriter"]

_SAMPLES_N = 4
"""Pictures an episode that are decoded for the statistics of a camera."""
_STILLS = ("jpeg", "png")
_SPOKEN = ("takeover", "handback", "success", "done", "task")


@dataclass(frozen=True)
class LeRobotWriter:
    """Writes episodes as one LeRobot v3.0 data set.

    Settings: `fps`, the one rate (default: that of the first episode's actions, else of its camera); `names`, a table
    from streams to features where others are wanted than `theirs` gives.
    """

    name = "lerobot"

    def write_all(
        self, episodes: Iterable[Shipped], path: Path, *, settings: Mapping[str, JsonValue], progress: Progress
    ) -> tuple[str, ...]:
        """Write `path`, all or nothing; return what was resampled, replaced or has no column, in words.

        Raises:
            AlreadyThere: `path` exists.
            ConfigError: a setting is unknown or out of range.
            InvalidEpisode: an episode has no sample or no rate, a camera cannot be decoded, or there is no episode.
            WorkspaceError: the file system refused.
        """
        fps, names = _settings(settings)
        if path.exists():
            raise AlreadyThere("exists already", subject=str(path), remedy="Choose another name.")
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        total = len(episodes) if isinstance(episodes, Sized) else 0
        try:
            partial.mkdir(parents=True)
            book = _Book(partial, fps, names)
            try:
                for number, shipped in enumerate(episodes):
                    book.take(shipped)
                    progress("write", number + 1, max(total, number + 1))
                notes = book.close()
            finally:
                book.abandon()
            partial.rename(path)
        except OSError as bad:
            raise WorkspaceError(
                f"the data set could not be written ({bad.strerror or bad})",
                subject=str(path),
                remedy="Check room and rights in its folder, then write it again.",
            ) from bad
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return notes


def _settings(settings: Mapping[str, JsonValue]) -> tuple[Fraction | None, dict[str, str]]:
    unknown = sorted(set(settings) - {"fps", "names"})
    if unknown:
        raise ConfigError(f"unknown settings: {', '.join(unknown)}", remedy="Known: fps, names.")
    fps, names = settings.get("fps"), settings.get("names", {})
    if fps is not None and (isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps <= 1000):
        raise ConfigError(f"fps is {fps!r}", remedy="Give frames a second, up to 1000.")
    given = names if isinstance(names, dict) else {}
    if given is not names or not all(isinstance(one, str) and one and "/" not in one for one in given.values()):
        raise ConfigError("names is no table from streams to features", remedy="LeRobot's names have no '/'.")
    if set(given.values()) & set(ROWS) or len(set(given.values())) < len(given):
        raise ConfigError("names gives a name twice, or one that LeRobot keeps for itself", remedy="Choose others.")
    rate = None if fps is None else Fraction(fps).limit_denominator(1001)
    return rate, {stream: str(feature) for stream, feature in given.items()}


@dataclass
class _Book:
    """The data set in the making; memory holds one episode and a line for each of the others."""

    root: Path
    fps: Fraction | None
    names: dict[str, str]
    stages: list[Path] = field(default_factory=list)
    tasks: dict[str, int] = field(default_factory=dict)
    robots: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, dict[tuple[str, tuple[int, ...], bool], int]] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)
    shards: dict[str, Shards] = field(default_factory=dict)
    copied: set[str] = field(default_factory=set)
    told: Told = field(default_factory=Told)

    def __post_init__(self) -> None:
        self.records = Records(self.root)
        (self.root / "stage").mkdir()

    def take(self, shipped: Shipped) -> None:
        """Write an episode's cameras and records, and keep its columns."""
        log = shipped.log
        try:
            if self.fps is None:
                self.fps = rate_of(reference_of(log)[1])
            grid = grid_of(log, self.fps)
            page = _Page(self, shipped, grid)
            page.fill()
        except InvalidEpisode as error:
            subject = error.subject or log.key
            raise InvalidEpisode(error.what, subject=subject, remedy=error.remedy) from error
        for name, column in page.columns.items():
            alike = self.kinds.setdefault(name, {})
            alike[column.alike] = alike.get(column.alike, 0) + 1
            self.columns.setdefault(name, replace(column, values=None, picture=None))
        index = len(self.stages)
        self.records.put(index, shipped, page.record, grid.t_ns)
        self.stages.append(self.root / "stage" / f"{index}.arrow")
        robot = log.metadata.get("embodiment")
        self.robots[robot if isinstance(robot, str) else ""] = index
        tasks, task_index = self._tasks(log, grid.t_ns)
        columns = {**page.columns, "task_index": Column.of(task_index)}
        about = {"tasks": tasks, "places": page.places, "stats": page.stats}
        about |= {"uid": shipped.uid, "needs": page.record.needs}
        stage(self.stages[-1], columns, len(grid.t_ns), about)

    def close(self) -> tuple[str, ...]:
        """Write the tables, and return what is to be told."""
        if not self.stages or self.fps is None:
            raise InvalidEpisode("there is no episode to write", remedy="Choose at least one.")
        count = len(self.stages)
        for one in self.shards.values():
            one.close()
        features = {name: one for name, one in self.columns.items() if self.kinds[name].get(one.alike) == count}
        for name in sorted(set(self.columns) - set(features)):
            for _ in range(sum(self.kinds[name].values())):
                self.told.tell("lacking", name)
            if name in self.copied:  # no feature may name these files, and records do
                (self.root / FOLDER / "movies").mkdir(exist_ok=True)
                (self.root / "videos" / name).rename(self.root / FOLDER / "movies" / name)
            else:
                shutil.rmtree(self.root / "videos" / name, ignore_errors=True)
        frames = write_data(self.root, self.stages, features, self.fps)
        (self.root / "stage").rmdir()
        write_tasks(self.root, list(self.tasks))
        self.records.close()
        if len(self.robots) > 1:
            self.told.tell("robot")
        whole = self.fps.denominator == 1
        facts = {
            "fps": int(self.fps) if whole else float(self.fps),
            "robot_type": next(iter(self.robots)) or None if len(self.robots) == 1 else None,
            "total_episodes": count,
            "total_frames": frames,
            "total_tasks": len(self.tasks),
        }
        write_info(self.root, features, facts)
        return self.told.sentences(count)

    def abandon(self) -> None:
        """Let go of open files."""
        for one in self.shards.values():
            one.abandon()

    def feature(self, stream: str, *, picture: bool) -> str:
        """Return the feature of a stream, another for each."""
        known = self.names.get(stream)
        if known is None:
            wanted = theirs(stream, picture=picture)
            taken, known, number = set(self.names.values()), wanted, 2
            while known in taken or (known in {"intervention"} and stream != known):
                known, number = f"{wanted}_{number}", number + 1
            self.names[stream] = known
        return known

    def _tasks(self, log: EpisodeLog, t_ns: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
        """Return an episode's tasks, and each frame's task by number."""
        first = log.metadata.get("task")
        if not isinstance(first, str):
            self.told.tell("task")
        words = [first if isinstance(first, str) else ""]
        at = np.zeros(len(t_ns), dtype=np.int64)
        for event in log.events:
            if event.name == "task" and event.detail:
                words.append(event.detail)
                at[int(np.searchsorted(t_ns, event.t_ns)) :] = len(words) - 1
        used = np.unique(at)
        numbers = {place: self.tasks.setdefault(words[place], len(self.tasks)) for place in used.tolist()}
        own = list(dict.fromkeys(words[place] for place in used.tolist()))
        return own, np.array([numbers[place] for place in at.tolist()], dtype=np.int64)


@dataclass
class _Page:
    """One episode in the making."""

    book: _Book
    shipped: Shipped
    grid: Grid
    columns: dict[str, Column] = field(default_factory=dict)
    places: dict[str, tuple[int, int, float, float]] = field(default_factory=dict)
    stats: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log = self.shipped.log
        self.period_ns = float(1_000_000_000 / self.grid.fps)
        self.record = Record(self.book.root, self.shipped.uid, float(self.grid.fps))

    def fill(self) -> None:
        """Make every column, and write every camera."""
        tell, t_ns = self.book.told.tell, self.grid.t_ns
        author = self.log.streams.get("author")
        there = author is not None and len(author.t_ns) > 0
        self.columns |= flags_of(self.log, t_ns, latest(author.t_ns, t_ns) if author is not None and there else None)
        for name, stream in sorted(self.log.streams.items()):
            if is_raw(name, stream):
                self._raw(name, stream)
            else:
                self._signal(name, stream)
        for name, video in sorted(self.log.videos.items()):
            self._camera(name, video)
        if self.grid.off_ms > 1e-3:
            tell("stamps", figure=self.grid.off_ms)
        left_out = len(reference_of(self.log)[1]) - len(t_ns)
        if left_out > 0 and np.isin(t_ns, reference_of(self.log)[1]).all():
            tell("cut", figure=left_out)
        for kind in sorted({event.name for event in self.log.events} - set(_SPOKEN)):
            tell("events", kind)
        outcome = str(self.log.metadata.get("outcome") or "unknown")
        if outcome not in {"success", "failure"} and "next.success" not in self.log.streams:
            tell("outcome", outcome)

    def _signal(self, name: str, stream: Stream) -> None:
        tell, t_ns = self.book.told.tell, self.grid.t_ns
        if name == "author" and len(stream.t_ns):
            self.record.stream(name, stream, ("intervention", np.asarray(self.columns["intervention"].values)))
            return
        if not is_signal(name, stream) or not stream.values.size:
            tell("empty" if not stream.values.size else "clock" if name.startswith("clock/") else "partial", name)
            self.record.stream(name, stream, None)
            return
        chosen = latest(stream.t_ns, t_ns)
        feature = self.book.feature(name, picture=False)
        column = Column.of(stream.values[chosen], stream.fields)
        self.columns[feature] = column
        self.record.stream(name, stream, (feature, np.asarray(column.values)))
        if len(np.unique(chosen)) < len(stream.t_ns):
            tell("rate", name)
        elif len(stream.t_ns) < len(t_ns):
            tell("held", name)

    def _raw(self, name: str, stream: Stream) -> None:
        """Pack raw pictures, one a frame."""
        numbers, around = self._run(stream.t_ns)
        feature = self.book.feature(name, picture=True)
        values = stream.values
        height, width = values.shape[1:3]
        channels = values.shape[3] if values.ndim == 4 else 1
        depth = values.dtype == np.uint16
        size, about = (height, width, channels), _still(stream.unit, depth=depth)
        self.columns[feature] = Column.camera(size, "image", about, lambda k: png_of(values[numbers[k]]))
        some = values[numbers[np.linspace(0, len(numbers) - 1, _SAMPLES_N).astype(int)]]
        pictures = [one.reshape(height, width, channels) for one in some]
        self._note(feature, pictures, 1.0 if depth else 255.0)
        if around is None:
            self.record.stream(name, stream, None)
            self.book.told.tell("rate", name)
        else:
            outside = [png_of(values[k]) for k in around[0]], [png_of(values[k]) for k in around[1]]
            self.record.pictures(name, stream, (feature, depth), outside)
        self.book.told.tell("packed", name)

    def _run(self, t_ns: NDArray[np.int64]) -> tuple[NDArray[np.int64], tuple[range, range] | None]:
        """Return each frame's picture; where they are a run, also those before and after it."""
        found = consecutive(t_ns, self.grid.t_ns, self.period_ns)
        if found is None:
            return latest(t_ns, self.grid.t_ns), None
        end = found[0] + len(self.grid.t_ns)
        return np.arange(found[0], end), (range(found[0]), range(end, len(t_ns)))

    def _camera(self, name: str, video: Video) -> None:
        track = video.track
        if not len(track):
            self.book.told.tell("empty", name)
            self.record.media(name, video)
            return
        if track.codec not in CODECS:
            raise InvalidEpisode(f"{name} holds no pictures ({track.codec})", remedy="Give its rows as a stream.")
        feature = self.book.feature(name, picture=True)
        if track.codec in _STILLS:
            self._stills(name, feature, video)
            return
        found = consecutive(track.shown_ns, self.grid.t_ns, self.period_ns)
        copy = copied(video) if found is not None else None
        if found is not None and copy is not None:
            order = (copy.size, track.key, track.rank)
            piece = self._shards(feature).put(copy.shape, copy.pieces(), order, anew=starts_anew(video))
            self.record.movie(name, copy, feature, piece)
            self.book.copied.add(feature)
            self._place(feature, piece, track.pre + found[0])
            self.book.told.tell("copied", name, found[1] / 1e6)
        else:
            why = "not one picture a frame" if found is None else "its packets cannot lie in an MP4"
            self._encoded(name, feature, video, why)
        pictures, kind = samples_of(video, _SAMPLES_N)
        self._show(name, feature, video, kind, pictures)

    def _encoded(self, name: str, feature: str, video: Video, why: str) -> None:
        track = video.track
        numbers = track.pre + latest(track.shown_ns, self.grid.t_ns)
        first = self._shards(feature).first
        size = (first.width, first.height) if first is not None else (track.width, track.height)
        made = encode(video, numbers, self.grid.fps, size)
        order = (made.size, made.key, np.arange(len(made.size)))
        piece = self._shards(feature).put(made.shape, iter([memoryview(made.data)]), order, anew=True)
        self.record.media(name, video)
        self._place(feature, piece, 0)
        self.book.told.tell("encoded", f"{name} ({ENCODER}; {why})")

    def _stills(self, name: str, feature: str, video: Video) -> None:
        """Put pictures that are whole each into the table as they are."""
        track = video.track
        numbers, around = self._run(track.shown_ns)
        packets = np.argsort(track.rank)[track.pre :]
        pictures, kind = samples_of(video, _SAMPLES_N)
        depth = is_deep(kind)
        size, about = (track.height, track.width, pictures[0].shape[2]), _still(track.unit, depth=depth)
        self.columns[feature] = Column.camera(size, "image", about, lambda k: video.packet(int(packets[numbers[k]])))
        self._note(feature, pictures, 1.0 if depth else 255.0)
        if around is None or track.pre or track.post or not np.array_equal(track.rank, np.arange(len(track.rank))):
            self.record.media(name, video)
            self.book.told.tell("rate", name)
        else:
            outside = [video.packet(k) for k in around[0]], [video.packet(k) for k in around[1]]
            self.record.column(name, track, (feature, depth), outside)

    def _shards(self, feature: str) -> Shards:
        return self.book.shards.setdefault(feature, Shards(self.book.root, feature, self.grid.fps))

    def _place(self, feature: str, piece: Piece, before: int) -> None:
        first = piece.first + before
        bounds = (float(first / self.grid.fps), float((first + len(self.grid.t_ns)) / self.grid.fps))
        self.places[feature] = (piece.chunk, piece.file, *bounds)

    def _show(self, name: str, feature: str, video: Video, kind: str, pictures: list[NDArray[Any]]) -> None:
        """Say what a camera in files is."""
        first = self._shards(feature).first
        assert first is not None
        depth = name.startswith("depth/")
        about = {
            "video.height": first.height,
            "video.width": first.width,
            "video.codec": first.codec,
            "video.pix_fmt": kind if first.codec == video.track.codec else "yuv420p",
            "is_depth_map": depth,
            "video.fps": int(self.grid.fps) if self.grid.fps.denominator == 1 else float(self.grid.fps),
            "video.channels": 1 if depth else 3,
            "has_audio": False,
        }
        every = self.log.metadata.get("depth")
        known = every.get(name) if isinstance(every, dict) else None
        if depth and isinstance(known, dict):
            about |= known
            pictures = [depths_of(one, about) for one in pictures]
        self.columns[feature] = Column.camera((first.height, first.width, 1 if depth else 3), "video", about)
        self._note(feature, pictures, 1.0 if depth else 255.0)

    def _note(self, feature: str, pictures: list[NDArray[Any]], scale: float) -> None:
        found = picture_stats(pictures, scale=scale)
        self.stats[feature] = {key: value.tolist() for key, value in found.items()}


def _still(unit: str, *, depth: bool) -> dict[str, Any]:
    """Return what info.json says of pictures in a column."""
    return {"is_depth_map": depth, **({"depth_unit": unit} if unit in {"mm", "m"} else {})}
