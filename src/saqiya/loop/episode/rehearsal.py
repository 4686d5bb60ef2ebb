"""A film of a simulated try that has no cameras: its start and its logged actions, carried out again at the site.

This module run as a script is the child process that films: a simulator that crashes or draws slowly harms nobody else.
The film is made from what was logged, not from the policy, and is thrown away when it does not end where the log ended.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from saqiya import plugins
from saqiya.domain.contracts import Renderable, Site, Step
from saqiya.domain.nouns import Episode
from saqiya.domain.streams import Stream
from saqiya.errors import SaqiyaError, SiteFault
from saqiya.stores.disk import replace_file

if TYPE_CHECKING:
    from saqiya.domain.media import Video
    from saqiya.loop.flywheel import Flywheel

__all__ = ["FOLDER", "NAME", "Rehearsal", "rehearse", "rehearse_in", "rehearsed", "video_of"]

NAME: Final = "camera/replayed at the site"
FOLDER: Final = "replays"
HEIGHT_PX, WIDTH_PX = 300, 400
MOST_FRAMES_N: Final = 1200
EXECUTED, SEEN = "action/executed", "observation/"
PICTURES_HZ: Final = 30.0
NICE: Final = 5


@dataclass(frozen=True)
class Rehearsal:
    """What is known of an episode's film: whole, or why there is none; neither while nobody asked for it."""

    film: Path | None = None
    why_not: str = ""


def rehearsed(folder: Path, episode: str) -> Rehearsal:
    """Return what lies in `folder` of an episode's film."""
    note, film = folder / f"{episode}.json", folder / f"{episode}.mp4"
    if not note.exists():
        return Rehearsal()
    why_not = str(json.loads(note.read_text(encoding="utf-8")).get("why_not", ""))
    return Rehearsal(None, why_not) if why_not or not film.exists() else Rehearsal(film)


def video_of(folder: Path, episode: str) -> Video:
    """Open an episode's film with the stamps of its pictures, on the episode's clock."""
    from saqiya.formats.pictures.mp4 import open_mp4

    stamps = json.loads((folder / f"{episode}.json").read_text(encoding="utf-8"))["t_ns"]
    opened = open_mp4(folder / f"{episode}.mp4")
    return opened.video(replace(opened.track, t_ns=np.array(stamps, dtype=np.int64), clock="site"))


def rehearse(site: Site, episode: Episode, streams: Mapping[str, Stream], folder: Path) -> Rehearsal:
    """Film an episode into `folder`, or write down why that cannot be.

    Args:
        site: where the try took place.
        episode: the try.
        streams: its streams; "action/executed" is carried out, "observation/..." must be met again at the end.
        folder: holds `<episode>.mp4`, and `<episode>.json` with each picture's stamp.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        stamps = _film(site, episode, streams, folder / f"{episode.id}.mp4")
    except SaqiyaError as fault:
        why_not = f"{fault.what}. {fault.remedy}".strip()
        replace_file(folder / f"{episode.id}.json", json.dumps({"why_not": why_not}).encode())
        return Rehearsal(why_not=why_not)
    replace_file(folder / f"{episode.id}.json", json.dumps({"t_ns": stamps}).encode())
    return Rehearsal(folder / f"{episode.id}.mp4")


def _film(site: Site, episode: Episode, streams: Mapping[str, Stream], path: Path) -> list[int]:
    from saqiya.sites.video import write_mp4

    if episode.start is None or EXECUTED not in streams:
        raise SiteFault("its start or its actions were not logged", subject=episode.id)
    if not isinstance(site, Renderable):
        raise SiteFault(f"the site {site.spec.name} cannot draw itself", subject=episode.id)
    actions = streams[EXECUTED].values.astype(np.float64)
    stride = max(1, ceil(len(actions) / MOST_FRAMES_N), int(site.spec.rate_hz / PICTURES_HZ))
    stamps: list[int] = []
    last: list[Step] = []

    def frames() -> Iterator[NDArray[np.uint8]]:
        shift_ns = 0
        for index, step in enumerate(_steps(site, episode, actions)):
            shift_ns = episode.start_ns - step.t_ns if index == 0 else shift_ns
            last[:] = [step]
            if index % stride == 0 or index == len(actions):
                stamps.append(step.t_ns + shift_ns)
                yield site.render(height=HEIGHT_PX, width=WIDTH_PX)

    write_mp4(frames(), path, max(1.0, round(site.spec.rate_hz / stride)))
    for name, stream in streams.items():
        known = last[0].observation.get(name.removeprefix(SEEN)) if name.startswith(SEEN) else None
        if known is not None and not np.array_equal(known, stream.values[-1].reshape(-1)):
            path.unlink()
            raise SiteFault(
                f"the replay did not end where the log ended ({name} differs)",
                subject=episode.id,
                remedy="It began elsewhere, was taken back on the way, or this site does not repeat itself.",
            )
    return stamps


def _steps(site: Site, episode: Episode, actions: NDArray[np.float64]) -> Iterator[Step]:
    assert episode.start is not None
    yield site.reset(episode.start)
    for action in actions:
        yield site.step(action)


def rehearse_in(wheel: Flywheel, ref: str) -> Rehearsal:
    """Film an episode of a workspace at a site of its own kind, opened for this."""
    episode = wheel.episode(ref)
    site: Any = plugins.load("saqiya.sites", wheel.config.site.name)()
    try:
        return rehearse(site, episode, wheel.store.streams(episode), wheel.store.derived / FOLDER)
    finally:
        site.close()


def main(root: str, ref: str) -> None:
    """Film one episode of a workspace."""
    from saqiya.loop.flywheel import Flywheel

    os.nice(NICE)
    with Flywheel(root) as wheel:
        rehearse_in(wheel, ref)


if __name__ == "__main__":
    main(*sys.argv[1:])
