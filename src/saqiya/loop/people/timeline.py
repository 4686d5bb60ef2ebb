"""A submission on one line, as its reviewer sees it: who acted, what to look at, and where a span can begin and end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saqiya.correct.quality import Doubt
from saqiya.domain.nouns import Episode, Submission
from saqiya.domain.streams import Span
from saqiya.loop.episode.bands import Band
from saqiya.loop.episode.replay import CameraInfo

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Timeline", "edges_of", "snapped", "timeline_of"]

LANES = ("who", "control", "alarm")
MOST_EDGES = 20_000
"""A page gets no more places to snap to; of longer tries it gets none, and what it sends is snapped all the same."""


@dataclass(frozen=True)
class Timeline:
    """What there is on the line of a submission; every `_ns` counts from the episode's beginning.

    Attributes:
        edges: where a span can begin and end: the stamps of its steps, and the end.
        bands: who acted, who had control, and what a monitor said.
        rehearsal: as in `Overview`: how a film of a simulated try without cameras stands.
    """

    id: str
    duration_ns: int
    edges: tuple[int, ...]
    bands: tuple[Band, ...]
    doubts: tuple[Doubt, ...]
    cameras: tuple[CameraInfo, ...]
    rehearsal: str


def timeline_of(wheel: Flywheel, submission: Submission) -> Timeline:
    """Return the line of a submission."""
    seen = wheel.replay.overview(submission.episode)
    zero = seen.start_ns
    edges = edges_of(wheel, wheel.store.catalog.get(submission.episode, Episode)) - zero
    return Timeline(
        id=seen.id,
        duration_ns=seen.duration_ns,
        edges=tuple(edges.tolist()) if len(edges) <= MOST_EDGES else (),
        bands=tuple(one for one in seen.bands if one.kind in LANES),
        doubts=tuple(
            replace(one, start_ns=one.start_ns - zero, end_ns=one.end_ns - zero)
            for one in wheel.desk.doubts(submission.id)
        ),
        cameras=seen.cameras,
        rehearsal=seen.rehearsal,
    )


def edges_of(wheel: Flywheel, episode: Episode) -> NDArray[np.int64]:
    """Return where a span of an episode can begin and end, int64 ns on its clock: its steps' stamps, and its end."""
    streams = wheel.store.streams(episode)
    steps = next((streams[one] for one in ("action/executed", "author") if one in streams), None)
    stamps = steps.t_ns if steps is not None else np.zeros(0, np.int64)
    inside = stamps[(stamps >= episode.start_ns) & (stamps < episode.end_ns)]
    return np.unique(np.concatenate([[episode.start_ns], inside, [episode.end_ns]])).astype(np.int64)


def snapped(edges: NDArray[np.int64], span: Span) -> Span:
    """Return a span with both ends at the nearest of two or more edges, and at least one step in it."""
    first = min(_nearest(edges, span.start_ns), len(edges) - 2)
    return Span(int(edges[first]), int(edges[max(first + 1, _nearest(edges, span.end_ns))]))


def _nearest(edges: NDArray[np.int64], t_ns: int) -> int:
    return int(np.abs(edges - t_ns).argmin())
