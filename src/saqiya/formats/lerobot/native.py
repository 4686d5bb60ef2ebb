"""What a LeRobot data set of ours keeps under `meta/saqiya`: all that one rate and its columns could not hold.

`episodes.parquet` has a row an episode: its uid, facts as columns for others to join on, and a record in JSON. The
record says of each stream where its samples and stamps are: in a column, on the frame grid, or in
`native/<uid>.safetensors`. Cameras that were encoded again keep their packets in `media/`. A feature that not every
episode has in one shape and type is no feature of LeRobot's: those who have it keep its column in
`lacking/<uid>.safetensors`, its video files lie in `movies/`. `weights.parquet` has a sample weight a frame.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.ids import digest_of
from saqiya.domain.media import Track, Video
from saqiya.domain.streams import EpisodeLog, Event, Stamp, Stream
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.formats.lerobot.meta import Entry
from saqiya.formats.lerobot.pictures import pixels_of
from saqiya.formats.lerobot.rows import table_rows
from saqiya.formats.lerobot.video import CLOCK, Movies, grid_ns
from saqiya.formats.pictures.mp4 import mapped
from saqiya.formats.pictures.nal import to_starts
from saqiya.formats.pictures.spool import Spool
from saqiya.formats.pictures.stills import video_of

__all__ = ["FOLDER", "Sidecar", "aside", "file_name"]

FOLDER = "meta/saqiya"
_PLAIN_CHARS_N = 120
_MOST_BARE_N = 1 << 20
_LEAST_RATE_HZ, _MOST_RATE_HZ = 0.1, 100_000
_DAMAGED = "what LeRobot's columns could not hold is damaged"
_REMEDY = "Copy the folder again, or remove meta/saqiya to read what LeRobot reads."


def file_name(uid: str) -> str:
    """Return a file's stem for an episode's uid: readable where it can be, and one name whatever the uid."""
    plain = quote(uid, safe="")
    return plain if len(plain) <= _PLAIN_CHARS_N and not plain.startswith(".") else digest_of(uid.encode())[:40]


def aside(root: Path, uid: str) -> Path:
    """Return where an episode's columns are that not every episode of the data set in `root` has."""
    return root / FOLDER / "lacking" / f"{file_name(uid)}.safetensors"


@dataclass(frozen=True)
class Sidecar:
    """The records beside a data set, by episode index; none where the data set is not ours."""

    root: Path
    records: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    damage: str = ""

    @classmethod
    def beside(cls, root: Path) -> Sidecar:
        """Read the records of the data set in `root`; damage is told, not raised: LeRobot's part may be whole."""
        path = root / FOLDER / "episodes.parquet"
        if not path.is_file():
            return cls(root)
        found: dict[int, tuple[str, str]] = {}
        try:
            for row in table_rows(path, {"episode_index", "uid", "record"}.__contains__):
                index, uid, record = row.get("episode_index"), row.get("uid"), row.get("record")
                if not (isinstance(index, int) and isinstance(uid, str) and isinstance(record, str)):
                    raise UnreadableLog("a row lacks its index, uid or record", subject=str(path), remedy=_REMEDY)
                found[index] = (uid, record)
        except UnreadableLog as error:
            return cls(root, damage=f"{_DAMAGED}: {error.what}")
        return cls(root, found)

    def restore(
        self, entry: Entry, log: EpisodeLog, columns: Mapping[str, NDArray[Any]], movies: Movies | None
    ) -> EpisodeLog:
        """Return the try as it was before it was written at one rate; `log` itself where there is no record of it.

        Args:
            entry: the episode.
            log: what LeRobot's own part says.
            columns: LeRobot's columns by feature.
            movies: the data set's videos, None where cameras are not asked for.

        Raises:
            UnreadableLog: there is a record, and it or what it names is damaged.
        """
        if entry.index not in self.records:
            return log
        uid, text = self.records[entry.index]
        with _damage(entry.key):
            record = json.loads(text)
            tensors = _Tensors(self.root / FOLDER / "native" / f"{file_name(uid)}.safetensors")
            back = _Back(self.root, entry, record, tensors, _Tensors(aside(self.root, uid)), log)
            streams = {name: back.stream(about, columns) for name, about in record["streams"]}
            videos = {} if movies is None else {name: back.video(about, movies) for name, about in record["videos"]}
            events = tuple(Event(int(t_ns), str(name), str(detail)) for t_ns, name, detail in record["events"])
            facts = {**record["metadata"], "uid": uid}
            if record["spans"]:
                facts["spans"] = record["spans"]
            return EpisodeLog(str(record["key"]), streams, events, facts, videos)


@contextmanager
def _damage(key: str) -> Iterator[None]:
    try:
        yield
    except (
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        ArithmeticError,
        RecursionError,
        InvalidEpisode,
        OSError,
    ) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UnreadableLog(f"{_DAMAGED}: {first}", subject=key, remedy=_REMEDY) from error


@dataclass
class _Tensors:
    """The arrays of one episode, opened when the first is asked for."""

    path: Path
    _file: Any = None

    def __getitem__(self, name: str) -> NDArray[Any]:
        from safetensors import SafetensorError, safe_open

        try:
            if self._file is None:
                self._file = safe_open(str(self.path), framework="numpy")
            values: NDArray[Any] = self._file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{self.path.name}: {error}") from error
        return values


@dataclass(frozen=True)
class _Back:
    """One episode on its way back."""

    root: Path
    entry: Entry
    record: Mapping[str, Any]
    tensors: _Tensors
    lacking: _Tensors
    log: EpisodeLog

    def stream(self, about: Mapping[str, Any], columns: Mapping[str, NDArray[Any]]) -> Stream:
        shape, dtype = tuple(int(side) for side in about["shape"]), np.dtype(str(about["dtype"]))
        if dtype.hasobject:
            raise ValueError("a stream of objects is no stream")
        if "column" in about:
            name = about["column"]
            column = columns[name] if name in columns or not self.lacking.path.is_file() else self.lacking[name]
            with np.errstate(all="raise"):
                values = column.astype(dtype, copy=False).reshape(shape)
        elif "tensor" in about:
            values = self.tensors[about["tensor"]]
        else:
            values = pixels_of(self._column(about), shape, dtype)
        if len(values) != shape[0] or len(values) > max(_MOST_BARE_N, values.nbytes):
            raise ValueError("a stream is not as long as its record says")
        t_ns = self.stamps(about["t_ns"], shape[0])
        clock, stamp, unit, fields = about["about"]
        return Stream(t_ns, values, str(clock), Stamp(stamp), str(unit), tuple(str(one) for one in fields))

    def stamps(self, about: str | list[Any], count: int) -> NDArray[np.int64]:
        """Return stamps that are stored, or frames / fps from a start on."""
        if isinstance(about, str):
            return self.tensors[about]
        start_ns, fps = int(about[0]), float(about[1])
        if not (_LEAST_RATE_HZ <= fps <= _MOST_RATE_HZ and abs(start_ns) < 1 << 62):
            raise ValueError("its stamps are no frames")
        return grid_ns(np.arange(count, dtype=np.int64), fps) + start_ns

    def video(self, about: Mapping[str, Any], movies: Movies) -> Video:
        where, count = about["where"], int(about["count"])
        if where == "column":
            video = self._column(about)
        elif where == "movie":
            video = self._part(about, count, movies)
        else:
            data = mapped(self.root / FOLDER / "media" / Path(str(about["file"])).name) if count else memoryview(b"")
            video = Video(self._track(about), data)
        if len(video.track.t_ns) != count:
            raise ValueError("a camera has not as many pictures as its record says")
        clock, stamp, unit = about["about"]
        track = replace(
            video.track,
            t_ns=self.stamps(about["t_ns"], count),
            pre=int(about["pre"]),
            post=int(about["post"]),
            clock=str(clock),
            stamp=Stamp(stamp),
            unit=str(unit),
        )
        return Video(track, video.data, video.file)

    def _column(self, about: Mapping[str, Any]) -> Video:
        """Return the pictures of a column with those that came before and after its rows."""
        own = about["video"]
        apart = own not in self.log.videos and self.lacking.path.is_file()
        video = self._apart(about["feature"]) if apart else self.log.videos[own]
        if "before" not in about and "after" not in about:
            return video
        spool, sizes = Spool(), []
        for where in ("before", None, "after"):
            if where is None:
                sizes.append(video.track.size)
                for number in range(len(video.track.size)):
                    spool.add(video.packet(number))
            elif where in about:
                sizes.append(self.tensors[about[where][0]])
                spool.add(self.tensors[about[where][1]].tobytes())
        size = np.concatenate(sizes)
        none = np.zeros(len(size), dtype=np.int64)
        key, rank = np.ones(len(size), dtype=np.bool_), np.arange(len(size))
        whole = replace(video.track, t_ns=none, offset=np.cumsum(size) - size, size=size, key=key, rank=rank)
        return Video(whole, spool.data())

    def _apart(self, feature: str) -> Video:
        """Return the pictures of a column that LeRobot's table lacks."""
        size = self.lacking[f"{feature}/sizes"]
        places, none = (np.cumsum(size) - size, size), np.zeros(len(size), dtype=np.int64)
        data = self.lacking[f"{feature}/pictures"].data
        return video_of(places, data, none, clock=CLOCK, stamp=Stamp.ASSUMED)[0]

    def _track(self, about: Mapping[str, Any]) -> Track:
        size = self.tensors[about["size"]]
        return Track(
            t_ns=np.zeros(len(size), dtype=np.int64),
            offset=np.cumsum(size) - size,
            size=size,
            key=self.tensors[about["key"]],
            rank=self.tensors[about["rank"]],
            codec=str(about["codec"]),
            width=int(about["width"]),
            height=int(about["height"]),
            form=str(about["form"]),
            setup=base64.b64decode(about["setup"]),
        )

    def _part(self, about: Mapping[str, Any], count: int, movies: Movies) -> Video:
        """Return packets that lie in one of LeRobot's own files as they are, wrapped as they came."""
        apart = self.root / FOLDER / "movies" / _inner(f"{about['feature']}/{about.get('file', '')}")
        movie = movies.open(apart if apart.is_file() else movies.data.video_file(self.entry, about["feature"]))
        first = int(about["first"])
        whole = movie.track
        if first < 0 or first + count > len(whole.t_ns):
            raise ValueError("a camera's pictures are not in its file")
        cut = slice(first, first + count)
        track = replace(
            whole,
            t_ns=whole.t_ns[cut],
            offset=whole.offset[cut],
            size=whole.size[cut],
            key=self.tensors[about["key"]] if "key" in about else whole.key[cut],
            rank=whole.rank[cut] - first,
            pre=0,
            post=0,
        )
        video = movie.video(replace(track, form=str(about["form"]), setup=base64.b64decode(about["setup"])))
        return self._starts(video, about) if "units" in about else video

    def _starts(self, video: Video, about: Mapping[str, Any]) -> Video:
        """Put start codes back where lengths replaced them."""
        units, widths = self.tensors[about["units"]], self.tensors[about["widths"]].tobytes()
        spool, sizes, at = Spool(), [], 0
        for number, count in enumerate(units.tolist()):
            packet = to_starts(video.packet(number), widths[at : at + count])
            at += count
            spool.add(packet)
            sizes.append(len(packet))
        size = np.array(sizes, dtype=np.int64)
        return Video(replace(video.track, offset=np.cumsum(size) - size, size=size), spool.data())


def _inner(name: str) -> Path:
    """Return "feature/chunk-000/file-000.mp4" as a path below a folder, whatever the record says."""
    return Path(*[part for part in Path(name).parts if part not in {"/", "..", "."}])
