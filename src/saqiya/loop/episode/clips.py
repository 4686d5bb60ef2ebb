"""Show the failure that stands for each mode: replay its start and its logged actions at the site, and film it.

A clip is made from what was logged, not from the policy; it is thrown away when the replay does not end where the log
ended. A red border marks everything from the failure's moment on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.person import clip_spans, touches
from saqiya.domain.contracts import Renderable, Site, Step, Vector
from saqiya.domain.nouns import Episode, Failure
from saqiya.domain.streams import Span, Stream
from saqiya.errors import SiteFault
from saqiya.loop.pages.wheel_facts import last_modes

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Clip", "Clips", "Shot", "film", "read_clips", "render_medoids"]

HEIGHT_PX, WIDTH_PX, BORDER_PX = 300, 400, 6
BORDER_RGB = (179, 64, 31)
MOST_FRAMES_N = 60
SLOWEST_HZ, FASTEST_HZ = 10.0, 30.0
LISTING = "clips.json"
EXECUTED, SEEN = "action/executed", "observation/"
Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Clip:
    """One filmed failure.

    Attributes:
        failure: its id.
        mode: label of the mode it stands for.
        video, still: file names in the clips' folder; the still shows the moment.
        speed: of the video beside the robot's own (0.5: half speed).
    """

    failure: str
    mode: str
    video: str
    still: str
    speed: float


@dataclass(frozen=True)
class Clips:
    """What was filmed, and one line for each thing that could not be."""

    clips: tuple[Clip, ...]
    notes: tuple[str, ...]


def render_medoids(wheel: Flywheel, out_dir: Path, limit: int = 4) -> Clips:
    """Film the medoids of the last named failure modes into `out_dir`, best priority first, and list them there.

    Where nothing can be drawn the notes say so in one line and nothing fails. A clip that is there is not made again.
    """
    site = wheel.site  # opened before the stopwatch starts: its start-up is booked apart
    with wheel.account.spent("rendering"):
        shots = []
        for mode in last_modes(wheel)[:limit]:
            failure = wheel.store.catalog.get(mode.medoid.failure, Failure)
            episode = wheel.store.catalog.get(failure.episode, Episode)
            name = mode.medoid.episode_key.replace("/", "-")
            shots.append(Shot(mode.label, name, failure, episode, wheel.store.streams(episode)))
        found = film(site, shots, out_dir)
        (out_dir / LISTING).write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    return found


def read_clips(out_dir: Path) -> Clips:
    """Return what `render_medoids` listed in `out_dir`; nothing when it was never run there."""
    path = out_dir / LISTING
    if not path.exists():
        return Clips((), ())
    raw = json.loads(path.read_text(encoding="utf-8"))
    return Clips(tuple(Clip(**one) for one in raw["clips"]), tuple(raw["notes"]))


def film(site: Site, shots: Sequence[Shot], out_dir: Path) -> Clips:
    """Film each shot into `out_dir` and say what was made and what was not."""
    out_dir.mkdir(parents=True, exist_ok=True)
    if not isinstance(site, Renderable):
        return Clips((), (f"No clips: the site {site.spec.name} cannot draw itself.",))
    if find_spec("av") is None:
        return Clips((), ("No clips: PyAV, which writes video, is not installed (pip install av).",))
    made, notes = [], []
    for shot in shots:
        if shot.episode.start is None or EXECUTED not in shot.streams:
            notes.append(f"No clip of {shot.mode}: its start or its actions were not logged.")
            continue
        clip = Clip(shot.failure.id, shot.mode, f"{shot.name}.mp4", f"{shot.name}.jpg", round(shot.speed(site), 3))
        if not ((out_dir / clip.video).exists() and (out_dir / clip.still).exists()):
            if not shot.repeats(site):
                notes.append(f"No clip of {shot.mode}: the replay did not end where the log ended.")
                continue
            try:
                _film(site, shot, out_dir, clip)
            except SiteFault as fault:
                notes.append(f"No clips: {fault.what}. {fault.remedy}".rstrip())
                break
        made.append(clip)
    return Clips(tuple(made), tuple(notes))


@dataclass(frozen=True)
class Shot:
    """What is filmed: a failed try with its streams, the mode it stands for, and a name for the files."""

    mode: str
    name: str
    failure: Failure
    episode: Episode
    streams: Mapping[str, Stream]

    @property
    def actions(self) -> Vector:
        """The logged actions, float64 (t, d)."""
        executed: Vector = self.streams[EXECUTED].values.astype(np.float64)
        return executed

    @property
    def spans(self) -> tuple[Span, ...]:
        """What is shown: ten seconds before and after the moment, and every hand of a person."""
        hands = touches(self.episode.events, self.streams)
        moments = [self.failure.moment_ns, *(hand.t_ns for hand in hands)]
        return clip_spans(moments, Span(self.episode.start_ns, self.episode.end_ns))

    @property
    def stride(self) -> int:
        """Control steps from one frame to the next."""
        return max(1, ceil(len(self.actions) / MOST_FRAMES_N))

    def rate_hz(self, site: Site) -> float:
        """Frames a second: half speed, where that is neither too slow nor too fast to watch."""
        return min(max(site.spec.rate_hz / self.stride / 2.0, SLOWEST_HZ), FASTEST_HZ)

    def speed(self, site: Site) -> float:
        """How fast the video runs beside the robot."""
        return self.rate_hz(site) * self.stride / site.spec.rate_hz

    def repeats(self, site: Site) -> bool:
        """Say whether the start and the logged actions lead to the logged end, bit for bit."""
        *_, last = self.replay(site)
        return all(
            np.array_equal(last.observation[name.removeprefix(SEEN)], stream.values[-1])
            for name, stream in self.streams.items()
            if name.startswith(SEEN)
        )

    def replay(self, site: Site) -> Iterator[Step]:
        """Yield the step that each action answers, and the one after the last."""
        assert self.episode.start is not None
        yield site.reset(self.episode.start)
        for action in self.actions:
            yield site.step(action)

    def frames(self, site: Any) -> Iterator[tuple[Frame, bool]]:  # noqa: ANN401 - a site that is renderable too
        """Yield each frame and whether it lies at or after the moment.

        Raises:
            SiteFault: no offscreen renderer works here.
        """
        shift_ns = 0
        for index, step in enumerate(self.replay(site)):
            shift_ns = self.episode.start_ns - step.t_ns if index == 0 else shift_ns
            at_ns = step.t_ns + shift_ns
            shown = any(span.start_ns <= at_ns < span.end_ns for span in self.spans)
            if shown and (index % self.stride == 0 or index == len(self.actions)):
                yield self._frame(site, late=at_ns >= self.failure.moment_ns)

    @staticmethod
    def _frame(site: Renderable, *, late: bool) -> tuple[Frame, bool]:
        frame = site.render(height=HEIGHT_PX, width=WIDTH_PX)
        if late:
            for edge in (np.s_[:BORDER_PX], np.s_[-BORDER_PX:], np.s_[:, :BORDER_PX], np.s_[:, -BORDER_PX:]):
                frame[edge] = BORDER_RGB
        return frame, late


def _film(site: Site, shot: Shot, out_dir: Path, clip: Clip) -> None:
    """Write the video, and the first marked frame as a still; a try without one is shown by its last frame."""
    from matplotlib.image import imsave

    from saqiya.sites.video import write_mp4

    stills: list[tuple[Frame, bool]] = []

    def film() -> Iterator[Frame]:
        for frame, late in shot.frames(site):
            if not stills or not stills[0][1]:
                stills[:] = [(frame, late)]
            yield frame

    write_mp4(film(), out_dir / clip.video, shot.rate_hz(site))
    imsave(out_dir / clip.still, stills[0][0], format="jpg")
