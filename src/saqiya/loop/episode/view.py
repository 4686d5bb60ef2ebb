"""Open a moment of an episode in a viewer that the team has: write what it reads, and say how to open it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from saqiya.domain.media import Video
from saqiya.domain.streams import EpisodeLog, Event, Span, Stream
from saqiya.errors import UsageError
from saqiya.formats.mcap.log import McapFormat
from saqiya.formats.mcap.write import unplayable
from saqiya.formats.rerun.write import write_recording

__all__ = ["MOMENT", "Viewed", "view"]

MOMENT = "view/moment"
"""The event that marks the moment which was asked for."""
BEFORE_NS, AFTER_NS = 3_000_000_000, 7_000_000_000
"""What a Foxglove file holds about a moment: its player has no cursor in a link to a local file, and begins here."""


@dataclass(frozen=True)
class Viewed:
    """What was written, how to open it, and what the viewer will not show."""

    path: Path
    command: str
    notes: tuple[str, ...] = ()


def view(log: EpisodeLog, out: Path, *, at_s: float | None, viewer: str, span: Span | None = None) -> Viewed:
    """Write `log` to the file `out` for a viewer and return the command that opens it; nothing is started or served.

    In Rerun the whole episode opens on a timeline "moment", which counts from there and repeats the two seconds about
    it; the timeline "time" has the episode's own stamps. For Foxglove the file is cut to the ten seconds about the
    moment. An event "view/moment" marks it. Stamps stay as they are.

    Args:
        log: the episode.
        out: the file to write (`.rrd` for Rerun, `.mcap` for Foxglove), which must not exist.
        at_s: the moment, in seconds from the episode's beginning; None shows the episode from its start.
        viewer: "rerun" or "foxglove".
        span: the episode's range, which may begin before its first sample; that of its samples when left out.

    Raises:
        AlreadyThere: `out` exists.
        InvalidEpisode: the episode has no sample.
        UnknownPlugin: rerun-sdk is not installed.
        UsageError: the moment lies outside the episode, or there is no such viewer.
        WorkspaceError: the file system refused.
    """
    moment_ns = None if at_s is None else _moment(log.key, span or log.span, at_s)
    if moment_ns is not None:
        marked = (*log.events, Event(moment_ns, MOMENT, f"{at_s:g} s"))
        log = replace(log, events=tuple(sorted(marked, key=lambda event: event.t_ns)))
    if viewer == "rerun":
        notes = write_recording(log, out, recording_id=log.key, facts={}, moment_ns=moment_ns)
        return Viewed(out, f"rerun {shlex.quote(str(out))}", notes)
    if viewer == "foxglove":
        shown = log if moment_ns is None else _about(log, moment_ns)
        McapFormat().write(shown, out)
        return Viewed(out, f"foxglove-studio {shlex.quote(str(out.absolute()))}", unplayable(shown))
    raise UsageError("is no viewer", subject=str(viewer), remedy="Choose rerun or foxglove.")


def _moment(subject: str, span: Span, at_s: float) -> int:
    lasts_s = (span.end_ns - span.start_ns) / 1e9
    if not 0.0 <= at_s <= lasts_s:
        raise UsageError(
            f"{at_s:g} s lies outside the episode",
            subject=subject,
            remedy=f"Give a moment between 0 and {lasts_s:.2f} s, counted from its beginning.",
        )
    return min(span.start_ns + round(at_s * 1e9), span.end_ns - 1)


def _about(log: EpisodeLog, moment_ns: int) -> EpisodeLog:
    """Cut an episode to the time about a moment; pictures that others need for decoding stay."""
    start_ns, end_ns = moment_ns - BEFORE_NS, moment_ns + AFTER_NS
    return replace(
        log,
        streams={name: _part(stream, start_ns, end_ns) for name, stream in log.streams.items()},
        events=tuple(event for event in log.events if start_ns <= event.t_ns < end_ns),
        videos={
            name: Video(video.track.between(start_ns, end_ns), video.data, video.file)
            for name, video in log.videos.items()
        },
    )


def _part(stream: Stream, start_ns: int, end_ns: int) -> Stream:
    first, last = stream.t_ns.searchsorted((start_ns, end_ns)).tolist()
    return replace(stream, t_ns=stream.t_ns[first:last], values=stream.values[first:last])
