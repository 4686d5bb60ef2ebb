"""A clip of a failure's moment: from the pictures of its own cameras, or from the film that its site made afterwards.

This module run as a script is the child process that makes one. A red border marks everything from the moment on.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.nouns import Failure
from saqiya.errors import SaqiyaError
from saqiya.loop.episode import rehearsal
from saqiya.stores.disk import replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from saqiya.loop.flywheel import Flywheel

__all__ = ["FOLDER", "Moment", "best_camera", "cut", "held", "ticks"]

FOLDER: Final = "moments"
BEFORE_NS, AFTER_NS = 3_000_000_000, 2_000_000_000
RATE_HZ: Final = 15
WIDEST_PX: Final = 480
BORDER_PX: Final = 6
BORDER_RGB: Final = (179, 64, 31)
KEPT_N: Final = 400
AT_HAND: Final = ("wrist", "hand", "gripper", "tool")
"""A camera so named looks at the fingers: another one shows more of what happened."""


@dataclass(frozen=True)
class Moment:
    """What is known of a failure's clip: the film and the picture of the moment, or why there is none."""

    film: Path | None = None
    still: Path | None = None
    why_not: str = ""


def held(folder: Path, failure: str) -> Moment:
    """Return what lies in `folder` of a failure's clip."""
    note, film, still = (folder / f"{failure}.{suffix}" for suffix in ("json", "mp4", "jpg"))
    if not note.exists():
        return Moment()
    why_not = str(json.loads(note.read_text(encoding="utf-8"))["why_not"])
    whole = not why_not and film.exists() and still.exists()
    return Moment(film, still) if whole else Moment(why_not=why_not)


def best_camera(names: Sequence[str]) -> str:
    """Return the camera that shows most of what happened: one with colours, not on the hand; "" where there is none."""
    ranked = sorted(names, key=lambda name: (name.startswith("depth"), any(word in name for word in AT_HAND), name))
    return ranked[0] if ranked else ""


def ticks(stamps_ns: NDArray[np.int64], moment_ns: int) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the times at which a clip about `moment_ns` shows a picture, and which one: the latest that was taken.

    Args:
        stamps_ns: when each picture was taken, int64 (T,), T at least one.
        moment_ns: on the same clock; where no picture was taken near it the clip ends or begins at the nearest one.
    """
    middle_ns = int(np.clip(moment_ns, stamps_ns[0], stamps_ns[-1]))
    start_ns, end_ns = max(middle_ns - BEFORE_NS, int(stamps_ns[0])), min(middle_ns + AFTER_NS, int(stamps_ns[-1]))
    shown_ns = np.arange(start_ns, end_ns + 1, 1_000_000_000 // RATE_HZ, dtype=np.int64)
    return shown_ns, np.maximum(stamps_ns.searchsorted(shown_ns, "right") - 1, 0)


def cut(wheel: Flywheel, failure: Failure, folder: Path) -> Moment:
    """Make the clip of a failure into `folder`, or write down why that cannot be.

    Args:
        wheel: the workspace; an episode without cameras is filmed at its site first.
        failure: whose moment is shown, with three seconds before it and two after.
        folder: holds `<failure>.mp4`, `.jpg` and `.json`; the oldest of more than 400 clips make room.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        why_not = _write(wheel, failure, folder)
    except SaqiyaError as fault:
        why_not = f"{fault.what}. {fault.remedy}".strip()
    replace_file(folder / f"{failure.id}.json", json.dumps({"why_not": why_not}).encode())
    for old in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)[KEPT_N:]:
        for suffix in (".json", ".mp4", ".jpg"):
            old.with_suffix(suffix).unlink(missing_ok=True)
    return held(folder, failure.id)


def _write(wheel: Flywheel, failure: Failure, folder: Path) -> str:
    """Write the clip and return "", or return why there is none."""
    from saqiya.sites.video import write_mp4

    seen = wheel.replay.overview(failure.episode)
    if not seen.cameras:
        if seen.rehearsal != "possible":
            return seen.rehearsal
        found = rehearsal.rehearse_in(wheel, failure.episode)
        if found.film is None:
            return found.why_not
        seen = wheel.replay.overview(failure.episode)
    camera = best_camera([one.name for one in seen.cameras if one.pictures])
    if not camera:
        return "its cameras took no picture"
    moment_ns = failure.moment_ns - seen.start_ns
    stamps_ns = wheel.replay.stamps(seen.id, camera)

    def picture(index: int, *, late: bool) -> NDArray[np.uint8]:
        return _framed(wheel.replay.frame(seen.id, camera, index).data, late=late)

    def frames() -> Iterator[NDArray[np.uint8]]:
        for t_ns, index in zip(*ticks(stamps_ns, moment_ns), strict=True):
            yield picture(int(index), late=bool(t_ns >= moment_ns))

    write_mp4(frames(), folder / f"{failure.id}.mp4", RATE_HZ)
    still = picture(wheel.replay.frame_at(seen.id, camera, moment_ns)[0], late=True)
    replace_file(folder / f"{failure.id}.jpg", _jpeg(still))
    return ""


def _framed(data: bytes, *, late: bool) -> NDArray[np.uint8]:
    """Return a picture, uint8 (height, width, 3), of even size and at most 480 px wide; with a border where `late`."""
    from PIL import Image

    seen = Image.open(BytesIO(data)).convert("RGB")
    scale = min(1.0, WIDEST_PX / seen.width)
    width, height = (max(2, int(side * scale) // 2 * 2) for side in seen.size)
    made = np.array(seen.resize((width, height), Image.Resampling.BILINEAR))
    if late:
        for edge in (np.s_[:BORDER_PX], np.s_[-BORDER_PX:], np.s_[:, :BORDER_PX], np.s_[:, -BORDER_PX:]):
            made[edge] = BORDER_RGB
    return made


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    made = BytesIO()
    Image.fromarray(pixels).save(made, "JPEG", quality=85)
    return made.getvalue()


def main(root: str, ref: str) -> None:
    """Make the clip of one failure of a workspace."""
    from saqiya.loop.flywheel import Flywheel

    os.nice(rehearsal.NICE)
    with Flywheel(root) as wheel:
        cut(wheel, wheel.store.catalog.get(ref, Failure), wheel.store.derived / FOLDER)


if __name__ == "__main__":
    main(*sys.argv[1:])
