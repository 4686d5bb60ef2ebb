"""What is written under `meta/saqiya` (see `native`, which reads it): an episode's record and its arrays."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Shipped
from saqiya.domain.ids import digest_of
from saqiya.domain.media import Track, Video, closed_keys
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode
from saqiya.formats.lerobot.names import ours
from saqiya.formats.lerobot.native import FOLDER, file_name
from saqiya.formats.lerobot.shards import Copied, Piece
from saqiya.formats.lerobot.tables import TableFile
from saqiya.formats.lerobot.video import grid_ns

__all__ = ["Record", "Records"]

Around = tuple[list[bytes], list[bytes]]
_FACTS = ("task", "outcome", "source", "operator", "policy", "embodiment", "site")


@dataclass
class Record:
    """One episode's record in the making."""

    root: Path
    uid: str
    fps: float
    streams: list[Any] = field(default_factory=list)
    videos: list[Any] = field(default_factory=list)
    tensors: dict[str, NDArray[Any]] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    """Features whose columns in the table hold what is kept nowhere else."""
    _known: dict[str, str] = field(default_factory=dict)

    def stamps(self, t_ns: NDArray[np.int64]) -> str | list[Any]:
        """Say where stamps are: on the frame grid, or in an array that equal stamps share."""
        if len(t_ns) and np.array_equal(grid_ns(np.arange(len(t_ns)), self.fps) + t_ns[0], t_ns):
            return [int(t_ns[0]), self.fps]
        return self.tensor("t_ns", t_ns)

    def tensor(self, name: str, values: NDArray[Any]) -> str:
        """Keep an array and return its name; equal ones are kept once.

        Raises:
            InvalidEpisode: its dtype has no place in safetensors.
        """
        plain = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
        if plain.dtype.kind not in "biuf" or plain.dtype.itemsize > 8:
            raise InvalidEpisode(f"values of dtype {values.dtype} cannot be kept", subject=name, remedy="Use numbers.")
        about = f"{plain.dtype.str}{plain.shape}".encode()
        digest = digest_of(about + digest_of(plain.reshape(-1).view(np.uint8).data).encode())
        if digest not in self._known:
            self._known[digest] = f"{len(self._known)}/{name}"
            self.tensors[self._known[digest]] = plain
        return self._known[digest]

    def stream(self, name: str, stream: Stream, column: tuple[str, NDArray[Any]] | None) -> None:
        """Note a stream: its values are `column`'s where those are the same bits, else an array.

        Args:
            name: its name.
            stream: the stream.
            column: the feature that came of it, and the feature's values (N, ...).
        """
        about = self._about(stream.values, stream)
        if column is not None and _same(column[1], stream.values):
            about["column"] = column[0]
            self.needs.append(column[0])
        else:
            about["tensor"] = self.tensor("values", stream.values)
        self.streams.append([name, about])

    def pictures(self, name: str, stream: Stream, column: tuple[str, bool], around: Around) -> None:
        """Note a stream of raw pictures that lie as PNG in a column, those before and after the frames `around` it."""
        about = self._about(stream.values, stream)
        self.streams.append([name, {**about, **self._pictured(column, around)}])

    def column(self, name: str, track: Track, column: tuple[str, bool], around: Around) -> None:
        """Note a camera whose pictures lie in a column: the feature, and whether they are depth maps."""
        self.videos.append([name, {**self._camera(track), "where": "column", **self._pictured(column, around)}])

    def movie(self, name: str, copy: Copied, feature: str, piece: Piece) -> None:
        """Note a camera whose packets lie in one of LeRobot's files."""
        track = copy.video.track
        about = {**self._camera(track), "where": "movie", "feature": feature, "first": piece.first}
        about["file"] = f"chunk-{piece.chunk:03d}/file-{piece.file:03d}.mp4"
        if not np.array_equal(track.key, closed_keys(track.key, track.rank)):
            about["key"] = self.tensor("key", track.key)
        if copy.units is not None and copy.widths is not None:
            about["units"], about["widths"] = self.tensor("units", copy.units), self.tensor("widths", copy.widths)
        self.videos.append([name, about])

    def media(self, name: str, video: Video) -> None:
        """Keep a camera's packets in a file of its own."""
        track = video.track
        file = f"{file_name(self.uid)}-{len(self.videos)}.bin"
        path = self.root / FOLDER / "media" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as target:
            for number in range(len(track.size)):
                target.write(video.packet(number))
        parts = {part: self.tensor(part, getattr(track, part)) for part in ("size", "key", "rank")}
        self.videos.append([name, {**self._camera(track), "where": "file", "file": file, **parts}])

    def _about(self, values: NDArray[Any], stream: Stream) -> dict[str, Any]:
        return {
            "about": [stream.clock, stream.stamp.value, stream.unit, list(stream.fields)],
            "shape": list(values.shape),
            "dtype": values.dtype.str,
            "t_ns": self.stamps(stream.t_ns),
        }

    def _pictured(self, column: tuple[str, bool], around: Around) -> dict[str, Any]:
        feature, depth = column
        self.needs.append(feature)
        found: dict[str, Any] = {"feature": feature, "video": ours(feature, picture=True, depth=depth)}
        for where, pictures in zip(("before", "after"), around, strict=True):
            if pictures:
                sizes = self.tensor("sizes", np.array([len(one) for one in pictures], dtype=np.int64))
                found[where] = [sizes, self.tensor("pictures", np.frombuffer(b"".join(pictures), dtype=np.uint8))]
        return found

    def _camera(self, track: Track) -> dict[str, Any]:
        return {
            "about": [track.clock, track.stamp.value, track.unit],
            "count": len(track.t_ns),
            "t_ns": self.stamps(track.t_ns),
            "pre": track.pre,
            "post": track.post,
            "codec": track.codec,
            "form": track.form,
            "width": track.width,
            "height": track.height,
            "setup": base64.b64encode(track.setup).decode(),
        }


def _same(column: NDArray[Any], values: NDArray[Any]) -> bool:
    """Say whether a column, cast and shaped, gives the very bits of `values`."""
    if column.size != values.size or (column.dtype.kind == "b") < (values.dtype.kind == "b"):
        return False
    return column.astype(values.dtype).tobytes() == np.ascontiguousarray(values).tobytes()


class Records:
    """The files under `meta/saqiya`."""

    def __init__(self, root: Path) -> None:
        """Begin them below `root`."""
        self._folder = root / FOLDER
        self._folder.mkdir(parents=True)
        self._keys: set[str] = set()
        self._uids: set[str] = set()
        self._episodes = TableFile(self._folder / "episodes.parquet")
        self._weights = TableFile(self._folder / "weights.parquet", 1 << 16)

    def put(self, index: int, shipped: Shipped, record: Record, t_ns: NDArray[np.int64]) -> None:
        """Write an episode's record and arrays, and its frames' weights where it has any.

        Args:
            index: the episode's number.
            shipped: the episode.
            record: what was noted of it.
            t_ns: int64 (N,), its frames' moments.
        """
        import pyarrow
        from safetensors.numpy import save_file

        log = shipped.log
        if shipped.uid in self._uids:
            raise InvalidEpisode("comes twice", subject=shipped.uid, remedy="Name each episode once.")
        self._uids.add(shipped.uid)
        key = log.key if log.key not in self._keys else f"{log.key}#{shipped.uid}"
        self._keys.add(key)
        if record.tensors:
            folder = self._folder / "native"
            folder.mkdir(exist_ok=True)
            save_file(record.tensors, folder / f"{file_name(shipped.uid)}.safetensors")
        said = {
            "key": key,
            "streams": record.streams,
            "videos": record.videos,
            "events": [[event.t_ns, event.name, event.detail] for event in log.events],
            "metadata": dict(log.metadata),
            "spans": [list(span) for span in shipped.spans],
        }
        row = {name: [_word(log.metadata, name)] for name in _FACTS}
        row |= {"uid": [shipped.uid], "key": [key], "record": [json.dumps(said)]}
        table = pyarrow.table({"episode_index": pyarrow.array([index], pyarrow.int64()), **row})
        self._episodes.add(table)
        if shipped.spans:
            self._weights.add(_weights(index, shipped, t_ns))

    def close(self) -> None:
        """Finish the files."""
        self._episodes.close()
        self._weights.close()


def _word(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(name)
    return value if isinstance(value, str) else ""


def _weights(index: int, shipped: Shipped, t_ns: NDArray[np.int64]) -> Any:  # noqa: ANN401 - pyarrow
    """Return a weight a frame: the sum over the spans that hold it, as they would be drawn."""
    import pyarrow

    weight = np.zeros(len(t_ns))
    for start_ns, end_ns, one, _ in shipped.spans:
        weight[(t_ns >= start_ns) & (t_ns < end_ns)] += one
    frames = np.arange(len(t_ns), dtype=np.int64)
    columns: Mapping[str, Sequence[Any] | NDArray[Any]] = {
        "uid": [shipped.uid] * len(t_ns),
        "episode_index": np.full(len(t_ns), index, dtype=np.int64),
        "frame_index": frames,
        "weight": weight,
    }
    return pyarrow.table(dict(columns))
