"""What a partner sees of a failure: pictures, a film, a reset card, tables; plain files without names of people."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.nouns import Episode, Failure
from saqiya.domain.streams import Span
from saqiya.errors import Corrupt, UsageError
from saqiya.loop.episode.clips import Shot, film
from saqiya.loop.pages.card import card_of, write_card

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["PRIVATE", "Piece", "media_of"]

PRIVATE = frozenset({"operator", "person", "author", "name", "email", "user", "host", "site"})
"""Factors that name somebody, or our own places."""
AROUND_NS = 10_000_000_000
MOST_HZ = 15.0
MOST_COLUMNS = 64
Nameless = Callable[[str], str]


@dataclass(frozen=True)
class Piece:
    """One file of a pack: where it lies, what it is ("still", "film", "card", "table"), and in words what it shows."""

    file: str
    kind: str
    says: str


def media_of(
    wheel: Flywheel, episode: Episode, failure: Failure | None, out: Path, nameless: Nameless
) -> tuple[list[Piece], list[str]]:
    """Write what shows a try, ten seconds around the failure's moment, into `out`.

    Pictures are encoded anew: what a camera wrote into its files beside the pixels stays here.

    Args:
        wheel: the workspace.
        episode: the try that failed.
        failure: its failure, None where it only nearly failed.
        out: a folder of the pack.
        nameless: takes the names of people out of a text.

    Returns:
        The files, and in sentences what could not be shown.
    """
    moment_ns = failure.moment_ns if failure else episode.end_ns
    span = Span(max(episode.start_ns, moment_ns - AROUND_NS), min(episode.end_ns, moment_ns + AROUND_NS))
    out.mkdir(parents=True, exist_ok=True)
    pieces, notes = list[Piece](), list[str]()
    for camera in [one.name for one in wheel.replay.overview(episode.id).cameras if not one.name.startswith("depth/")]:
        try:
            pieces += _seen(wheel, episode, camera, span, moment_ns, out)
        except (Corrupt, UsageError) as error:
            notes.append(nameless(f"{camera} cannot be shown: {error.what}"))
    if failure is not None:
        if not pieces and wheel.turning:
            drawn = film(wheel.site, [Shot("", "film", failure, episode, wheel.store.streams(episode))], out)
            notes += [nameless(one) for one in drawn.notes]
            for clip in drawn.clips:
                pieces.append(Piece(clip.still, "still", "the moment, drawn by the simulator"))
                pieces.append(Piece(clip.video, "film", "around the moment, drawn; red from the moment on"))
        pieces.append(_card(wheel, failure, out, nameless))
    pieces += _tables(wheel, episode, span, out)
    return pieces, notes


def _seen(wheel: Flywheel, episode: Episode, camera: str, span: Span, moment_ns: int, out: Path) -> Iterator[Piece]:
    """Write a camera's first picture, the one of the moment, and the film around it."""
    from PIL import Image

    from saqiya.sites.video import write_mp4

    def picture(index: int) -> NDArray[np.uint8]:
        seen = Image.open(BytesIO(wheel.replay.frame(episode.id, camera, index).data)).convert("RGB")
        found: NDArray[np.uint8] = np.asarray(seen)
        return found

    t_ns = wheel.replay.stamps(episode.id, camera) + episode.start_ns
    if not len(t_ns):
        return
    name = _file(camera)
    at = max(0, int(np.searchsorted(t_ns, moment_ns, side="right")) - 1)
    for suffix, index, says in (("start", 0, "the start"), ("moment", at, "the moment")):
        Image.fromarray(picture(index)).save(out / f"{name}-{suffix}.png")
        yield Piece(f"{name}-{suffix}.png", "still", f"{says}, {camera}")
    shown = np.flatnonzero((t_ns >= span.start_ns) & (t_ns < span.end_ns))
    if len(shown) > 1:
        rate_hz = 1e9 * (len(shown) - 1) / max(1, int(t_ns[shown[-1]] - t_ns[shown[0]]))
        stride = max(1, int(np.ceil(rate_hz / MOST_HZ)))
        frames = (picture(int(index)) for index in shown[::stride])
        even = (one[: one.shape[0] // 2 * 2, : one.shape[1] // 2 * 2] for one in frames)
        write_mp4(even, out / f"{name}.mp4", max(1.0, rate_hz / stride))
        yield Piece(f"{name}.mp4", "film", f"around the moment, {camera}")


def _card(wheel: Flywheel, failure: Failure, out: Path, nameless: Nameless) -> Piece:
    """Write the reset card without the names of people, and without the keys by which we find things."""
    made = card_of(wheel, failure, wheel.failures.lives().labels.get(failure.id, ""))
    start = {
        name: nameless(value) if isinstance(value, str) else value
        for name, value in made.start.items()
        if name not in PRIVATE
    }
    said = [nameless(one) for one in (made.task, made.label, made.phase)]
    card = replace(made, failure="in this pack", episode="in this pack", start=start, missing=())
    write_card(replace(card, task=said[0], label=said[1], phase=said[2]), out / "reset-card.html")
    return Piece("reset-card.html", "card", "how to put the cell back to where it began, to print")


def _tables(wheel: Flywheel, episode: Episode, span: Span, out: Path) -> Iterator[Piece]:
    """Write every stream of numbers as a table of seconds and columns."""
    for name, stream in sorted(wheel.store.streams(episode).items()):
        values = stream.values.reshape(len(stream.t_ns), -1)
        chosen = (stream.t_ns >= span.start_ns) & (stream.t_ns < span.end_ns)
        if values.dtype.kind not in "biuf" or not 0 < values.shape[1] <= MOST_COLUMNS or not chosen.any():
            continue
        fields = stream.fields if len(stream.fields) == values.shape[1] else range(values.shape[1])
        unit = f", {stream.unit}" if stream.unit else ""
        file = f"{_file(name)}.csv"
        with (out / file).open("w", newline="", encoding="utf-8") as table:
            rows = csv.writer(table)
            rows.writerow(["t_s", *map(str, fields)])
            seconds = (stream.t_ns[chosen] - episode.start_ns) / 1e9
            for t_s, row in zip(seconds.tolist(), values[chosen].tolist(), strict=True):
                rows.writerow([f"{t_s:.6f}", *row])
        yield Piece(file, "table", f"{name}{unit}")


def _file(name: str) -> str:
    return "".join(one if one.isascii() and (one.isalnum() or one in "-_") else "_" for one in name)[:80]
