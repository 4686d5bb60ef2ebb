"""One camera in all episodes of a dataset: clips are opened when a sample needs them, and the last ones are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.logged import ClockMap
from saqiya.domain.media import Video
from saqiya.errors import InvalidEpisode
from saqiya.views.align import on_clock
from saqiya.views.frames import Clip, dtype_of, shape_of
from saqiya.views.plan import Ints

__all__ = ["Reel", "reel_of"]

_KEPT: Final = 128  # clips whose bytes may be in memory: a megabyte each at most, or a file descriptor


@dataclass(frozen=True, eq=False)
class Reel:
    """A camera over E episodes; its rows are the pictures in each episode's range.

    Attributes:
        name: of the camera.
        shape, dtype: of one picture.
        count: int64 (E,), pictures of each episode; 0 where it has no such camera.
        first_ns, last_ns: int64 (E,), stamps of the first and last; 0 where there is none.
        open: gives an episode's video; asked again when it was not used for long.
        clock_maps: by episode, where stamps are read through a map to another clock.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    count: Ints
    first_ns: Ints
    last_ns: Ints
    open: Callable[[int], Video]
    clock_maps: Mapping[int, ClockMap] = field(default_factory=dict)
    _kept: OrderedDict[int, tuple[Clip, Ints]] = field(default_factory=OrderedDict, init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open clips behind when a worker process is started: it opens its own."""
        return {**self.__dict__, "_kept": OrderedDict()}

    def clip(self, episode: int) -> Clip:
        """Return an episode's clip.

        Raises:
            InvalidEpisode: its pictures are not of the camera's shape.
        """
        return self._opened(episode)[0]

    def stamps(self, episode: int) -> Ints:
        """Return the stamps of an episode's pictures, (T,), through its clock map where it has one."""
        return self._opened(episode)[1] if self.count[episode] else np.empty(0, dtype=np.int64)

    def bounds(self) -> tuple[Ints, Ints]:
        """Return the first and last stamp of every episode, (E,) each, through the clock maps."""
        first, last = self.first_ns, self.last_ns
        if self.clock_maps:
            first, last = first.copy(), last.copy()
            for episode, clock_map in self.clock_maps.items():
                first[episode], last[episode] = on_clock(np.array([first[episode], last[episode]]), clock_map)
        return first, last

    def search(self, episode: Ints, query_ns: Ints, side: str) -> Ints:
        """Return `searchsorted(side)` of each query among its episode's stamps; shapes as for `Shelf.search`."""
        found = np.empty(query_ns.shape, dtype=np.int64)
        for place, number in enumerate(episode.tolist()):
            stamps: Any = self.stamps(number)
            found[place] = stamps.searchsorted(query_ns[place], side)
        return found

    def stamps_of(self, episode: Ints, row: Ints) -> Ints:
        """Return the stamps of pictures, (B,), one an episode."""
        pairs = zip(episode.tolist(), row.tolist(), strict=True)
        return np.array([self.stamps(number)[place] for number, place in pairs], dtype=np.int64)

    def _opened(self, episode: int) -> tuple[Clip, Ints]:
        found = self._kept.get(episode)
        if found is not None:
            self._kept.move_to_end(episode)
            return found
        clip = Clip.of(self.open(episode), self.name)
        if shape_of(clip.track) != self.shape:
            raise InvalidEpisode(
                f"pictures are {shape_of(clip.track)} here and {self.shape} elsewhere",
                subject=self.name,
                remedy="Train on one camera set-up at a time",
            )
        stamps = clip.track.shown_ns
        clock_map = self.clock_maps.get(episode)
        if clock_map is not None:
            stamps = on_clock(stamps, clock_map)
        if len(self._kept) >= _KEPT:
            self._kept.popitem(last=False)
        self._kept[episode] = clip, stamps
        return clip, stamps


class _InMemory:
    """Videos that are open already."""

    def __init__(self, videos: Sequence[Video | None]) -> None:
        self._videos = videos

    def __call__(self, episode: int) -> Video:
        video = self._videos[episode]
        if video is None:
            raise InvalidEpisode("the episode has no such camera", remedy="Ask for episodes that have it")
        return video


def reel_of(name: str, videos: Sequence[Video | None], clock_maps: Mapping[int, ClockMap] | None = None) -> Reel:
    """Put one camera of many episodes, None where an episode lacks it, onto a reel.

    Raises:
        InvalidEpisode: no episode has the camera.
    """
    tracks = [None if video is None else video.track for video in videos]
    there = [track for track in tracks if track is not None]
    if not there:
        raise InvalidEpisode("no episode has this camera", subject=name, remedy="Name one that is there")
    shown: list[NDArray[np.int64]] = [
        np.empty(0, dtype=np.int64) if track is None else track.shown_ns for track in tracks
    ]
    count = np.array([len(stamps) for stamps in shown], dtype=np.int64)
    first, last = np.array([(s[0], s[-1]) if len(s) else (0, 0) for s in shown], dtype=np.int64).T
    shape, dtype = shape_of(there[0]), dtype_of(there[0])
    return Reel(name, shape, dtype, count, first, last, _InMemory(videos), clock_maps or {})
