"""A camera's part of an episode: packets in an MP4 that episodes may share, or pictures in a Parquet column."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Track, Video
from saqiya.domain.streams import Stamp
from saqiya.errors import UnreadableLog
from saqiya.formats.lerobot.meta import Dataset, Entry, Feature, Place
from saqiya.formats.lerobot.rows import pictures_of
from saqiya.formats.pictures.mp4 import Mp4, open_mp4
from saqiya.formats.pictures.stills import video_of

__all__ = ["CLOCK", "Movies", "column_video", "grid_ns", "on_grid"]

CLOCK = "lerobot"
_NS = 1_000_000_000
_NEAR_NS = 2
_OPEN_N = 16


def grid_ns(frames: NDArray[np.int64], fps: float) -> NDArray[np.int64]:
    """Return frame / fps in nanoseconds, int64, rounded to the nearest."""
    t_ns: NDArray[np.int64] = np.floor(frames * (_NS / fps) + 0.5).astype(np.int64)
    return t_ns


def on_grid(t_ns: NDArray[np.int64], fps: float) -> NDArray[np.int64]:
    """Move stamps that miss a frame's time by rounding alone onto it, so that cameras and rows agree to the bit."""
    nearest = grid_ns(np.rint(t_ns * (fps / _NS)).astype(np.int64), fps)
    return np.where(np.abs(nearest - t_ns) <= _NEAR_NS, nearest, t_ns)


@dataclass
class Movies:
    """The MP4 files of a data set: which cameras have any, and the tables of those that were read last."""

    data: Dataset
    without: frozenset[str] = frozenset()
    _open: dict[Path, Mp4 | UnreadableLog] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Dataset) -> Movies:
        """Find out which declared cameras have no file at all."""
        cameras = [feature.name for feature in data.features.values() if feature.dtype == "video"]
        without = frozenset(camera for camera in cameras if not any(_has(data, one, camera) for one in data.entries))
        return cls(data, without)

    def open(self, path: Path) -> Mp4:
        """Return the tables of a file.

        Raises:
            UnreadableLog: it is missing, a Git LFS pointer, cut off or damaged.
        """
        found = self._open.pop(path, None)
        if found is None:
            try:
                found = open_mp4(path)
            except UnreadableLog as error:
                found = error
            except OSError as error:
                found = UnreadableLog(f"cannot be opened: {error.strerror}", subject=str(path), remedy="Copy it again.")
        self._open[path] = found  # the one that was asked for last stands last
        if len(self._open) > _OPEN_N:
            del self._open[next(iter(self._open))]
        if isinstance(found, UnreadableLog):
            raise found
        return found

    def part(self, entry: Entry, feature: Feature) -> tuple[Video, list[str]]:
        """Return a camera's pictures of an episode, stamped from the episode's start, and what is odd about them.

        Raises:
            UnreadableLog: there is no file, or not every packet is in it.
        """
        path = self.data.video_file(entry, feature.name)
        if not path.is_file():
            raise UnreadableLog("is not there", subject=str(path), remedy="Copy the whole folder, videos/ included.")
        movie = self.open(path)
        place = entry.videos.get(feature.name, Place(0, 0))
        track, half = movie.track, int(_NS / self.data.fps / 2)
        low, high = track.pre, len(track.t_ns) - track.post
        start_ns = 0
        if place.start_s is not None:
            start_ns = round(place.start_s * _NS)
            low = max(low, int(np.searchsorted(track.t_ns, start_ns - half)))
        if place.end_s is not None:
            high = min(high, int(np.searchsorted(track.t_ns, round(place.end_s * _NS) - half)))
        part = movie.pictures(low, max(low, high))
        stamped = replace(
            part,
            t_ns=on_grid(part.t_ns - start_ns, self.data.fps),
            clock=CLOCK,
            unit=_unit(feature),
        )
        return movie.video(stamped), _odd(feature, stamped)


def _has(data: Dataset, entry: Entry, camera: str) -> bool:
    if data.shared and camera not in entry.videos:
        return False
    try:
        return data.video_file(entry, camera).exists()
    except UnreadableLog:  # each episode tells why
        return True


def _unit(feature: Feature) -> str:
    """Depth maps in videos are quantised codes: their unit is a length only where whole pictures are kept."""
    unit = feature.about.get("depth_unit")
    return unit if feature.depth and feature.dtype == "image" and unit in {"mm", "m"} else ""


def _odd(feature: Feature, track: Track) -> list[str]:
    said = []
    if len(feature.shape) == 3 and {track.width, track.height} - set(feature.shape):
        sides = " x ".join(str(side) for side in feature.shape)
        said.append(f"is {track.height} x {track.width}, declared as {sides}")
    return said


def column_video(column: Any, feature: Feature, t_ns: NDArray[np.int64], stamp: Stamp) -> tuple[Video, list[str]]:  # noqa: ANN401
    """Return a camera whose pictures are embedded in a column, and what is odd about them.

    Raises:
        UnreadableLog: they are no PNG or JPEG.
        ValueError: they are not embedded.
    """
    data, offset, size = pictures_of(column)
    video, odd = video_of((offset, size), data, t_ns, clock=CLOCK, stamp=stamp)
    track = replace(video.track, unit=_unit(feature))
    return Video(track, video.data), odd + _odd(feature, track)
