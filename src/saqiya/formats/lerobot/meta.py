"""What a LeRobot folder says of itself: info.json, tasks and episodes of v2.0, v2.1 and v3.0, read with distrust.

The layout is LeRobot's own (github.com/huggingface/lerobot, `lerobot/datasets`, 0.6.1 and, for v2, 0.3.2).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from saqiya.domain.contracts import Unread
from saqiya.errors import UnreadableLog
from saqiya.formats.lerobot.names import fields_of
from saqiya.formats.lerobot.rows import table_rows

__all__ = ["INFO", "Dataset", "Entry", "Feature", "Place", "open_dataset", "place_of"]

INFO = "meta/info.json"
_MOST_JSON_BYTES = 1 << 28
_MOST_RATE_HZ = 100_000
_FIELD = re.compile(r"\{(\w+)(?::0?(\d{1,2})d)?\}")
_V2_DATA = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
_V2_VIDEO = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
_V3_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_V3_VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_CORRECT = "Correct meta/info.json."


@dataclass(frozen=True)
class Feature:
    """One column or camera as info.json declares it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    fields: tuple[str, ...]
    about: Mapping[str, Any]

    @property
    def picture(self) -> bool:
        """Whether it holds pictures."""
        return self.dtype in {"image", "video"}

    @property
    def depth(self) -> bool:
        """Whether its pictures are depth maps."""
        return any(bool(self.about.get(key)) for key in ("is_depth_map", "video.is_depth_map"))


@dataclass(frozen=True)
class Place:
    """Where a camera's part of an episode lies: chunk and file, and from when to when (None: the whole file)."""

    chunk: int
    file: int
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Entry:
    """One episode as the episodes table lists it."""

    index: int
    length: int | None = None
    tasks: tuple[str, ...] = ()
    data: Place | None = None
    videos: Mapping[str, Place] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The episode's name."""
        return f"episode_{self.index:06d}"


@dataclass(frozen=True)
class Dataset:
    """A folder's own description."""

    root: Path
    version: str
    fps: float
    features: Mapping[str, Feature]
    robot: str
    chunks_size: int
    templates: tuple[str, str]
    tasks: Mapping[int, str]
    entries: tuple[Entry, ...]
    problems: tuple[Unread, ...]
    listed: dict[str, dict[str, Path]] = field(default_factory=dict)

    @property
    def shared(self) -> bool:
        """Whether files hold several episodes (v3)."""
        return self.version.startswith("v3")

    def data_file(self, entry: Entry) -> Path:
        """Return where an episode's rows lie; the file may be missing.

        Raises:
            UnreadableLog: the template leads out of the folder.
        """
        path = self._path(self.templates[0], entry, entry.data, "")
        if self.shared or path.exists():
            return path
        return self._elsewhere(path, _V2_DATA, entry, "", "data")

    def video_file(self, entry: Entry, camera: str) -> Path:
        """Return where a camera's packets of an episode lie; the file may be missing.

        Raises:
            UnreadableLog: the template leads out of the folder.
        """
        path = self._path(self.templates[1], entry, entry.videos.get(camera), camera)
        if self.shared or path.exists():
            return path
        return self._elsewhere(path, _V2_VIDEO, entry, camera, "videos")

    def _path(self, template: str, entry: Entry, place: Place | None, camera: str) -> Path:
        at = place or Place(0, 0)
        values: dict[str, int | str] = {
            "episode_chunk": entry.index // self.chunks_size,
            "episode_index": entry.index,
            "chunk_index": at.chunk,
            "file_index": at.file,
            "video_key": camera,
        }
        return place_of(self.root, template, values)

    def _elsewhere(self, path: Path, usual: str, entry: Entry, camera: str, folder: str) -> Path:
        """Look where LeRobot itself puts an episode's file, and then in every chunk: templates are often wrong."""
        found = self._path(usual, entry, None, camera)
        if found.exists():
            return found
        if camera not in self.listed:
            parts = (Path(f"{child}/{camera}") for child in sorted((self.root / folder).glob("*")))
            self.listed[camera] = {one.name: one for part in parts if part.is_dir() for one in part.iterdir()}
        return self.listed[camera].get(path.name, path)


def place_of(root: Path, template: str, values: Mapping[str, int | str]) -> Path:
    """Fill a path template; only whole numbers and names are put in, and the path stays below `root`.

    Raises:
        UnreadableLog: the template asks for something else, or leads out of the folder.
    """

    def fill(match: re.Match[str]) -> str:
        value = values.get(match[1])
        if value is None or (isinstance(value, str) and match[2]):
            raise UnreadableLog(f"its path template asks for {match[0]}", subject=INFO, remedy=_CORRECT)
        return value if isinstance(value, str) else f"{value:0{int(match[2] or 1)}d}"

    filled = _FIELD.sub(fill, template)
    path = PurePosixPath(filled)
    if re.search(r"[{}\0\\]", filled) or path.is_absolute() or ".." in path.parts or not path.parts:
        raise UnreadableLog(f"its path {filled[:80]!r} leads out of the folder", subject=INFO, remedy=_CORRECT)
    return root / path


def open_dataset(root: Path) -> Dataset:
    """Read everything in `meta/` but the statistics.

    Raises:
        UnreadableLog: info.json is missing, damaged or of an unknown version, or no episode is named anywhere.
    """
    info = _info(root)
    version = str(info.get("codebase_version", ""))
    if not re.match(r"v(2\.[01]|3\.\d+)$", version):
        raise UnreadableLog(
            f"is LeRobot {version[:20] or 'of no version'}",
            subject=str(root),
            remedy="Convert it to v3.0 with LeRobot's own script; v2.0, v2.1 and v3 are read here.",
        )
    fps = info.get("fps")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps <= _MOST_RATE_HZ:
        raise UnreadableLog(f"says {str(fps)[:20]} frames a second", subject=INFO, remedy=_CORRECT)
    features = _features(info.get("features"))
    problems: list[Unread] = []
    shared = version.startswith("v3")
    listed = _episodes_v3(root, features, problems) if shared else _episodes_v2(root, problems)
    entries = _sorted(listed, problems)
    own = _text(info, "data_path"), _text(info, "video_path")
    usual = (_V3_DATA, _V3_VIDEO) if shared else (_V2_DATA, _V2_VIDEO)
    robot = info.get("robot_type")
    chunks = info.get("chunks_size")
    dataset = Dataset(
        root=root,
        version=version,
        fps=float(fps),
        features=features,
        robot=robot if isinstance(robot, str) and robot != "unknown" else "",
        chunks_size=chunks if isinstance(chunks, int) and chunks > 0 else 1000,
        templates=(own[0] or usual[0], own[1] or usual[1]),
        tasks=_tasks(root, problems, shared=shared),
        entries=entries,
        problems=(),
    )
    problems += _splits(info.get("splits"), entries)
    return Dataset(**{**vars(dataset), "problems": tuple(problems)})


def _text(info: Mapping[str, Any], name: str) -> str:
    value = info.get(name)
    return value if isinstance(value, str) else ""


def _info(root: Path) -> dict[str, Any]:
    path = root / INFO
    try:
        value = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise UnreadableLog(
            f"is no JSON: {error}"[:200], subject=str(path), remedy="Copy the data set again."
        ) from error
    if not isinstance(value, dict):
        raise UnreadableLog("holds no table of facts", subject=str(path), remedy="Copy the data set again.")
    return value


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise UnreadableLog("is not there", subject=str(path), remedy="Copy the whole folder, meta/ included.")
    if path.stat().st_size > _MOST_JSON_BYTES:
        raise UnreadableLog("is too long for what it should say", subject=str(path), remedy="Copy the data set again.")
    return path.read_text(encoding="utf-8", errors="replace")


def _features(value: object) -> dict[str, Feature]:
    found: dict[str, Feature] = {}
    for name, said in value.items() if isinstance(value, dict) else ():
        if not isinstance(said, dict) or not name:
            continue
        sides = said.get("shape")
        shape = tuple(side for side in sides if isinstance(side, int)) if isinstance(sides, list) else ()
        parts = [said.get(part) for part in ("video_info", "info")]
        about = {key: one for part in parts if isinstance(part, dict) for key, one in part.items()}
        found[name] = Feature(name, str(said.get("dtype", "")), shape, fields_of(said.get("names"), shape), about)
    return found


def _lines(path: Path, problems: list[Unread]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON-lines file; lines that are none are told of once."""
    bad: list[int] = []
    for number, line in enumerate(_read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            yield value
        else:
            bad.append(number)
    if bad:
        first = f"line {bad[0]}" + (f" and {len(bad) - 1} more" if len(bad) > 1 else "")
        problems.append(Unread(f"meta/{path.name}", f"{first} is no JSON object", "Copy the file again."))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else None


def _episodes_v2(root: Path, problems: list[Unread]) -> list[Entry]:
    path = root / "meta" / "episodes.jsonl"
    if not path.is_file():
        what = "is not there; episodes are taken from the names of the data files"
        problems.append(Unread("meta/episodes.jsonl", what, "Copy the whole folder, meta/ included."))
        files = sorted(root.glob("data/*/*.parquet"))
        return [Entry(int(match[1])) for one in files if (match := re.fullmatch(r"episode_(\d{1,9})", one.stem))]
    entries = []
    for line in _lines(path, problems):
        index, tasks = _whole(line.get("episode_index")), line.get("tasks")
        if index is not None:
            named = tuple(str(task) for task in tasks) if isinstance(tasks, list) else ()
            entries.append(Entry(index, _whole(line.get("length")), named))
    return entries


def _episodes_v3(root: Path, features: Mapping[str, Feature], problems: list[Unread]) -> list[Entry]:
    files = sorted((root / "meta" / "episodes").glob("*/*.parquet"))
    entries: list[Entry] = []
    if not files:
        what = "is not there; episodes are taken from the rows of the data files, without their cameras"
        problems.append(
            Unread("meta/episodes", what, "Close the recording with LeRobot's finalize(), or copy it whole.")
        )
        for path in sorted((root / "data").glob("*/*.parquet")):
            entries += _from_rows(path, problems)
        return entries
    cameras = [name for name, feature in features.items() if feature.dtype == "video"]
    for path in files:
        try:
            for row in table_rows(path, lambda name: not name.startswith("stats/")):
                index = _whole(row.get("episode_index"))
                if index is not None:
                    entries.append(_entry_v3(index, row, cameras))
        except UnreadableLog as error:
            problems.append(Unread(str(path.relative_to(root)), error.what, error.remedy))
    return entries


def _from_rows(path: Path, problems: list[Unread]) -> list[Entry]:
    chunk, file = (re.search(r"(\d{1,9})$", part) for part in (path.parent.name, path.stem))
    try:
        rows = table_rows(path, lambda name: name == "episode_index")
        indices = dict.fromkeys(index for row in rows if (index := _whole(row["episode_index"])) is not None)
    except UnreadableLog as error:
        problems.append(Unread(f"data/{path.parent.name}/{path.name}", error.what, error.remedy))
        return []
    if chunk is None or file is None:
        return []
    return [Entry(index, data=Place(int(chunk[1]), int(file[1]))) for index in indices]


def _entry_v3(index: int, row: Mapping[str, Any], cameras: list[str]) -> Entry:
    data = _place(row, "data")
    videos = {camera: place for camera in cameras if (place := _place(row, f"videos/{camera}")) is not None}
    tasks = row.get("tasks")
    named = tuple(str(task) for task in tasks) if isinstance(tasks, list) else ()
    return Entry(index, _whole(row.get("length")), named, data, videos)


def _place(row: Mapping[str, Any], head: str) -> Place | None:
    chunk, file = _whole(row.get(f"{head}/chunk_index")), _whole(row.get(f"{head}/file_index"))
    start, end = row.get(f"{head}/from_timestamp"), row.get(f"{head}/to_timestamp")
    good = [float(one) if isinstance(one, int | float) and math.isfinite(one) else None for one in (start, end)]
    return None if chunk is None or file is None else Place(chunk, file, good[0], good[1])


def _sorted(entries: list[Entry], problems: list[Unread]) -> tuple[Entry, ...]:
    if not entries:
        raise UnreadableLog("names no episode", subject="meta", remedy="Copy the whole folder, data/ included.")
    ordered: dict[int, Entry] = {}
    twice = 0
    for entry in entries:
        twice += entry.index in ordered
        ordered.setdefault(entry.index, entry)
    if twice:
        problems.append(Unread("meta/episodes", f"lists {twice} episodes twice; the first word is taken", _CORRECT))
    return tuple(ordered[index] for index in sorted(ordered))


def _tasks(root: Path, problems: list[Unread], *, shared: bool) -> dict[int, str]:
    lines, table = root / "meta" / "tasks.jsonl", root / "meta" / "tasks.parquet"
    found: dict[int, str] = {}
    try:
        for row in table_rows(table, lambda _: True) if shared else _lines(lines, problems):
            index = _whole(row.get("task_index"))
            named = row.get("task", row.get("__index_level_0__"))
            words = next((one for one in (named, *row.values()) if isinstance(one, str)), None)
            if index is not None and words is not None:
                found[index] = words
    except UnreadableLog as error:
        problems.append(Unread(f"meta/tasks.{'parquet' if shared else 'jsonl'}", error.what, error.remedy))
    return found


def _splits(splits: object, entries: tuple[Entry, ...]) -> list[Unread]:
    """Tell of splits that name episodes which do not exist."""
    known = {entry.index for entry in entries}
    found = []
    for name, span in splits.items() if isinstance(splits, dict) else ():
        match = re.fullmatch(r"\s*(\d{1,12})\s*:\s*(\d{1,12})\s*", span) if isinstance(span, str) else None
        if match is None:
            found.append(Unread(f"split {name}", f"names no range of episodes: {str(span)[:40]!r}", _CORRECT))
            continue
        first, after = int(match[1]), int(match[2])
        missing = max(0, after - first) - sum(first <= index < after for index in known)
        if missing:
            what = f"names episodes {first} to {after - 1}; {missing} of them do not exist"
            found.append(Unread(f"split {name}", what, "Correct the splits in meta/info.json."))
    return found
