"""Ship episodes as MCAP: a folder with one of our logs an episode, which Foxglove plays and we read back whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from saqiya.domain.contracts import Progress, Shipped
from saqiya.domain.streams import EpisodeLog, JsonValue
from saqiya.formats.mcap.log import McapFormat
from saqiya.formats.pictures.annexb import obstacle, wrap_of
from saqiya.formats.shipping import write_folder

__all__ = ["McapWriter", "unplayable"]


class McapWriter:
    """Writes `<key>.mcap` for each episode, and `episodes.json`. Nothing is resampled or dropped."""

    name = "mcap"

    def write_all(
        self, episodes: Iterable[Shipped], path: Path, *, settings: Mapping[str, JsonValue], progress: Progress
    ) -> tuple[str, ...]:
        """Write the folder `path`, which must not exist, all or nothing; say which cameras Foxglove cannot play.

        Raises:
            AlreadyThere: `path` exists.
            InvalidEpisode: a stream is not numeric, or a fact is not JSON.
            UsageError: there are settings; this format has none.
            WorkspaceError: the file system refused.
        """
        return write_folder(episodes, path, _write, suffix=".mcap", settings=settings, progress=progress)


def unplayable(log: EpisodeLog) -> tuple[str, ...]:
    """Say which cameras players of single packets will not show, though every packet is kept."""
    notes = []
    for name, video in sorted(log.videos.items()):
        reason = obstacle(video.track)
        if wrap_of(video) is None:
            reason = "its packets cannot be given start codes without loss, so they stay as they are"
        if reason:
            notes.append(f"{name} is kept but will not play: {reason}")
    return tuple(notes)


def _write(shipped: Shipped, path: Path) -> tuple[str, ...]:
    McapFormat().write(shipped.log, path)
    return unplayable(shipped.log)
