"""A dataset version as a loader sees it: spans of episodes, and each stream of all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import EpisodeLog, Span
from saqiya.errors import UsageError
from saqiya.views.plan import Ints
from saqiya.views.reel import Reel, reel_of
from saqiya.views.shelf import Shelf, shelf_of

__all__ = ["Source", "source_of"]


class Texts(Protocol):
    """A text for each episode."""

    def __getitem__(self, episode: int, /) -> str:
        """Return an episode's text."""


@dataclass(frozen=True, eq=False)
class Source:
    """What to train on.

    Attributes:
        name: of the version, for states and errors.
        episodes, tasks: id and task text of each of E episodes.
        episode: int64 (N,), the episode of each entry: an index into `episodes`.
        start_ns, end_ns: int64 (N,), the entry's span.
        weight: float64 (N,), of each of its samples.
        streams, cameras: the names there are.
        shelf, reel: open a stream or a camera of all episodes. They are pickled to worker processes.
        tally: passes batches on to whoever trains, and counts them; its second argument says how many samples one has.
            None: nobody counts.
    """

    name: str
    episodes: Sequence[str]
    tasks: Texts
    episode: Ints
    start_ns: Ints
    end_ns: Ints
    weight: NDArray[np.float64]
    streams: frozenset[str]
    cameras: frozenset[str]
    shelf: Callable[[str], Shelf]
    reel: Callable[[str], Reel]
    tally: Callable[[Iterator[Any], Callable[[Any], int]], Iterator[Any]] | None = None

    def find(self, name: str) -> Shelf | Reel:
        """Open a stream or a camera by its name.

        Raises:
            UsageError: there is none of this name.
        """
        if name in self.streams:
            return self.shelf(name)
        if name in self.cameras:
            return self.reel(name)
        raise UsageError(
            f"no episode has a stream or camera {name!r}",
            subject=self.name,
            remedy=f"There are: {', '.join(sorted(self.streams | self.cameras))}",
        )


def source_of(
    logs: Sequence[EpisodeLog],
    *,
    spans: Sequence[tuple[int, Span, float]] | None = None,
    name: str = "logs",
) -> Source:
    """Make a source of logs in memory.

    Args:
        logs: the episodes.
        spans: (episode, span, weight) of each entry; None: every episode whole, weight 1.
        name: for states and errors.
    """
    entries = [(number, log.span, 1.0) for number, log in enumerate(logs)] if spans is None else spans
    opened = _Logs(logs)

    def column(values: Sequence[int]) -> Ints:
        return np.array(values, dtype=np.int64)

    return Source(
        name=name,
        episodes=[log.key for log in logs],
        tasks=[str(log.metadata.get("task", "")) for log in logs],
        episode=column([number for number, _, _ in entries]),
        start_ns=column([span.start_ns for _, span, _ in entries]),
        end_ns=column([span.end_ns for _, span, _ in entries]),
        weight=np.array([weight for *_, weight in entries], dtype=np.float64),
        streams=frozenset(stream for log in logs for stream in log.streams),
        cameras=frozenset(camera for log in logs for camera in log.videos),
        shelf=opened.shelf,
        reel=opened.reel,
    )


class _Logs:
    """Logs in memory, opened stream by stream; bound methods travel to worker processes, closures do not."""

    def __init__(self, logs: Sequence[EpisodeLog]) -> None:
        self._logs = logs

    def shelf(self, name: str) -> Shelf:
        return shelf_of(name, [log.streams.get(name) for log in self._logs])

    def reel(self, name: str) -> Reel:
        return reel_of(name, [log.videos.get(name) for log in self._logs])
