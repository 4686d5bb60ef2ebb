"""A reset card: all that a person needs to put a real cell back to where a failure began, on one page to print."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Renderable
from saqiya.domain.nouns import Episode, Failure
from saqiya.errors import AlreadyThere, Corrupt, SiteFault
from saqiya.formats.lerobot.pictures import png_of
from saqiya.stores.disk import replace_file
from saqiya.views.frames import Clip, Decoder

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Card", "card_of", "write_card"]

HEIGHT_PX, WIDTH_PX = 480, 640
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Card:
    """What a reset card says.

    Attributes:
        start: the start's named factors, in the site's own units.
        pictures: by camera, uint8 (H, W, 3): the first picture of the try, to lay over the live one.
        state: by observation stream, the first row that was logged.
        missing: what the log does not hold, in sentences.
    """

    failure: str
    episode: str
    task: str
    label: str
    phase: str
    moment_s: float
    start: dict[str, float | str]
    pictures: dict[str, NDArray[np.uint8]]
    state: dict[str, tuple[float, ...]]
    missing: tuple[str, ...]


def card_of(wheel: Flywheel, failure: Failure, label: str) -> Card:
    """Gather the card of a failure: from its cameras, or drawn by the site where that can draw itself."""
    store = wheel.store
    episode = store.catalog.get(failure.episode, Episode)
    streams = store.streams(episode)
    pictures, missing = _pictures(wheel, episode)
    if episode.start is None or not episode.start.factors:
        missing.append("Its start has no named factors: place things by the picture.")
    state = {
        name: tuple(round(float(value), 4) for value in stream.values[0].reshape(-1)[:12])
        for name, stream in sorted(streams.items())
        if name.startswith("observation/") and len(stream.t_ns)
    }
    return Card(
        failure=store.catalog.key_of(failure.id),
        episode=store.catalog.key_of(episode.id),
        task=episode.task,
        label=label,
        phase=failure.phase,
        moment_s=(failure.moment_ns - episode.start_ns) / 1e9,
        start=dict(episode.start.factors) if episode.start else {},
        pictures=pictures,
        state=state,
        missing=tuple(missing),
    )


def write_card(card: Card, out: Path) -> Path:
    """Write the card as one page that needs no other file, and return its path.

    Raises:
        AlreadyThere: `out` exists.
    """
    from jinja2 import Environment, FileSystemLoader

    if out.exists():
        raise AlreadyThere("exists", subject=str(out), remedy="Choose another name with --out.")
    env = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    pictures = {name: b64encode(png_of(picture)).decode() for name, picture in card.pictures.items()}
    replace_file(out, env.get_template("card.html").render(card=card, pictures=pictures).encode())
    return out


def _pictures(wheel: Flywheel, episode: Episode) -> tuple[dict[str, NDArray[np.uint8]], list[str]]:
    """Return the first picture of each camera, or what the site draws at the start; and what is missing."""
    found, missing = {}, []
    for name, video in wheel.store.videos(episode).items():
        if video.track.unit:  # a depth picture is nothing to lay over a live one
            continue
        try:
            found[name] = Decoder().pictures(Clip.of(video, name), [0])[0]
        except Corrupt as error:
            missing.append(f"The first picture of {name} cannot be shown: {error.what}.")
    if not found and episode.start is not None and wheel.turning:
        found, more = _drawn(wheel, episode)
        missing += more
    if not found:
        missing.append("No camera was logged: there is no picture to lay over the live one.")
    return found, missing


def _drawn(wheel: Flywheel, episode: Episode) -> tuple[dict[str, NDArray[np.uint8]], list[str]]:
    site = wheel.site
    if not isinstance(site, Renderable) or episode.start is None:
        return {}, []
    try:
        site.reset(episode.start)
        return {"drawn by the site": site.render(height=HEIGHT_PX, width=WIDTH_PX)}, []
    except SiteFault as fault:
        return {}, [f"The site could not draw the start: {fault.what}."]
