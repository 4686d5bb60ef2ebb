"""Ship episodes as Rerun recordings: a folder with one `.rrd` an episode, which any Rerun viewer opens."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from saqiya.domain.contracts import Progress, Shipped
from saqiya.domain.streams import EpisodeLog, JsonValue
from saqiya.errors import AlreadyThere, UnknownPlugin, UsageError, WorkspaceError
from saqiya.formats.shipping import write_folder

__all__ = ["APPLICATION", "RerunWriter", "write_recording"]

APPLICATION = "saqiya"
_AROUND_NS = 1_000_000_000


class RerunWriter:
    """Writes `<key>.rrd` for each episode, and `episodes.json`."""

    name = "rerun"

    def write_all(
        self, episodes: Iterable[Shipped], path: Path, *, settings: Mapping[str, JsonValue], progress: Progress
    ) -> tuple[str, ...]:
        """Write the folder `path`, which must not exist, all or nothing; say what Rerun holds but does not show.

        Raises:
            AlreadyThere: `path` exists.
            InvalidEpisode: an episode has no sample at all.
            UnknownPlugin: rerun-sdk is not installed.
            UsageError: there are settings, of which this format has none; or Rerun is turned off.
            WorkspaceError: the file system refused.
        """
        return write_folder(episodes, path, _write, suffix=".rrd", settings=settings, progress=progress)


def _write(shipped: Shipped, path: Path) -> tuple[str, ...]:
    spans: JsonValue = [[start, end, weight, role] for start, end, weight, role in shipped.spans]
    return write_recording(shipped.log, path, recording_id=shipped.uid, facts={"uid": shipped.uid, "spans": spans})


def write_recording(
    log: EpisodeLog,
    path: Path,
    *,
    recording_id: str,
    facts: Mapping[str, JsonValue],
    moment_ns: int | None = None,
) -> tuple[str, ...]:
    """Write one recording with a layout for its streams; with `moment_ns` it opens there, on a timeline of its own.

    Nothing is served or sent: the recording goes to the file only.

    Raises:
        AlreadyThere: `path` exists.
        UnknownPlugin: rerun-sdk is not installed.
        UsageError: Rerun is turned off by its environment variable.
        WorkspaceError: the file system refused.
    """
    try:
        import rerun as rr
    except ModuleNotFoundError as missing:
        raise UnknownPlugin(
            "rerun-sdk is not installed", subject="rerun", remedy="Install it (pip install 'saqiya[rerun]')."
        ) from missing
    from saqiya.formats.rerun.chunks import chunks_of, notes_of

    if path.exists():
        raise AlreadyThere("exists already", subject=str(path), remedy="Choose another name.")
    _ = log.span  # an episode without a sample has no timeline
    stream = rr.RecordingStream(APPLICATION, recording_id=recording_id, send_properties=False)
    if not rr.is_enabled(recording=stream):
        raise UsageError("Rerun is turned off here", subject="RERUN", remedy="Unset the variable RERUN.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        # Without `strict` Rerun turns what it cannot convert into a warning and leaves it out.
        with rr.error_utils.catch_and_log_exceptions(strict=True):
            stream.save(partial, default_blueprint=_layout(log, moment_ns))
            stream.send_recording_name(log.key)
            stream.send_chunks(chunks_of(log, facts, moment_ns=moment_ns))
            stream.flush()
            stream.disconnect()
        partial.rename(path)
    except (OSError, RuntimeError) as bad:
        raise WorkspaceError(
            f"the recording could not be written ({bad})", subject=str(path), remedy="Check room and rights there."
        ) from bad
    finally:
        partial.unlink(missing_ok=True)
    return notes_of(log)


def _layout(log: EpisodeLog, moment_ns: int | None) -> Any:  # noqa: ANN401 - Rerun's own class
    """Lay out cameras above series, events and facts beside them."""
    import rerun.blueprint as rrb

    from saqiya.formats.rerun.chunks import EVENTS, FACTS, MOMENT, MOST_LINES, TIMELINE, entities, is_picture

    places = entities(log)
    pictures = [name for name, stream in log.streams.items() if is_picture(name, stream)]
    seen = [rrb.Spatial2DView(origin=places[name], name=name) for name in [*log.videos, *pictures]]
    drawn = [
        rrb.TimeSeriesView(origin=places[name], name=name)
        for name, stream in log.streams.items()
        if name not in pictures and stream.values[:1].size <= MOST_LINES and len(stream.t_ns)
    ]
    rows = [rrb.Grid(*one) for one in (seen, drawn) if one]
    beside = rrb.Vertical(
        rrb.TextDocumentView(origin=f"/{FACTS}", name=FACTS), rrb.TextLogView(origin=f"/{EVENTS}", name=EVENTS)
    )
    panel = rrb.TimePanel(timeline=TIMELINE)
    if moment_ns is not None:
        about = rrb.components.AbsoluteTimeRange(-_AROUND_NS, _AROUND_NS)
        panel = rrb.TimePanel(timeline=MOMENT, time_selection=about, play_state="playing", loop_mode="selection")
    return rrb.Blueprint(rrb.Horizontal(rrb.Vertical(*rows), beside, column_shares=[3, 1]), panel)
