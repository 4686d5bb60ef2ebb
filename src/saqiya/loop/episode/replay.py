"""What the episode page asks for: what there is, streams in few points, any picture, bands, and two tries side by side.

All times that go out count from the episode's beginning, so that a browser's numbers hold them exactly. Streams on
another clock are read through the recording's newest clock map, which is named; stored stamps are never changed.
"""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Renderable
from saqiya.domain.nouns import ClockMap, Episode, Failure
from saqiya.domain.streams import Event, Span, Start, Stream
from saqiya.errors import SaqiyaError, UsageError
from saqiya.loop.episode import moments, rehearsal
from saqiya.loop.episode.bands import Band, acted, contacts, control, live_alarms, phases, unsure
from saqiya.loop.episode.cameras import Camera, EncodedCamera, Picture, RawCamera, is_pictures, row_of, write_film
from saqiya.loop.episode.filming import Filming
from saqiya.loop.episode.pairs import Paired, paired
from saqiya.loop.episode.said import Said, like, said_of
from saqiya.loop.episode.view import Viewed
from saqiya.views.align import on_clock
from saqiya.views.decimate import Decimated, decimate

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["CameraInfo", "Overview", "Paired", "Replay", "Shooting", "Track"]

OPEN_N: Final = 12
MOST_COLUMNS: Final = 16
MOST_POINTS: Final = 5000
READY, FILMING, POSSIBLE = "ready", "filming", "possible"


@dataclass(frozen=True)
class Track:
    """A stream that can be drawn.

    Attributes:
        width: numbers a row; `columns` names the first of them where names are known.
        clock: its own; `note` says through which map it is read, or that none leads to the episode's clock.
    """

    name: str
    width: int
    rows: int
    rate_hz: float
    unit: str
    columns: tuple[str, ...]
    clock: str
    note: str = ""


@dataclass(frozen=True)
class CameraInfo:
    """A camera: its size, how many pictures, and at which rate its film counts them (0: it has none, show pictures).

    `film_first` is the number that the episode's first picture has in the film.
    """

    name: str
    width: int
    height: int
    pictures: int
    kind: str
    film_rate_hz: int = 0
    film_first: int = 0


@dataclass(frozen=True)
class Overview:
    """What there is of an episode; every `_ns` counts from `start_ns`.

    Attributes:
        rehearsal: of an episode without cameras: "ready", "filming", "possible", or why there is no film of it.
    """

    id: str
    key: str
    task: str
    site: str
    embodiment: str
    source: str
    operator: str
    policy: str
    start_ns: int
    duration_ns: int
    start: Start | None
    tracks: tuple[Track, ...]
    cameras: tuple[CameraInfo, ...]
    bands: tuple[Band, ...]
    events: tuple[Event, ...]
    said: Said
    rehearsal: str


@dataclass(frozen=True)
class Shooting:
    """How a failure's clip stands: "ready", "filming", "possible", or why there is none.

    `still` says that the picture of the moment can be had already.
    """

    state: str
    still: bool


@dataclass
class _Opened:
    """An episode that somebody looks at: streams without pictures, cameras, clock maps."""

    episode: Episode
    streams: dict[str, Stream]
    maps: Mapping[str, ClockMap]
    clock: str
    cameras: dict[str, Camera]
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def span(self) -> Span:
        """The episode's range."""
        return Span(self.episode.start_ns, max(self.episode.end_ns, self.episode.start_ns + 1))


class Replay:
    """Answers what a person who looks at an episode asks; keeps the last few episodes open."""

    def __init__(self, wheel: Flywheel) -> None:
        """Look at the workspace of `wheel`."""
        self.wheel, self.store = wheel, wheel.store
        self._films = self.store.derived / "films"
        self._rehearsals = self.store.derived / rehearsal.FOLDER
        self._moments = self.store.derived / moments.FOLDER
        self._kept: OrderedDict[str, _Opened] = OrderedDict()
        self._filming = Filming(self.store.root)
        self._lock, self._writing = Lock(), Lock()

    def overview(self, ref: str) -> Overview:
        """Say what there is of an episode: tracks, cameras, bands, events, and what was said of it."""
        opened = self._open(ref)
        episode, streams, span = opened.episode, opened.streams, opened.span
        said = said_of(self.wheel, episode)
        bands = [
            *acted(streams, episode.events, span, source=episode.source, operator=episode.operator),
            *control(streams, span),
            *phases(episode.events, span),
            *contacts(streams, episode.events, span),
            *said.alarms,
            *live_alarms(episode.events),
            *unsure(streams, span),
        ]
        zero = span.start_ns
        return Overview(
            id=episode.id,
            key=self.wheel.key_of(episode.id),
            task=episode.task,
            site=episode.site,
            embodiment=episode.embodiment,
            source=str(episode.source),
            operator=episode.operator,
            policy=episode.policy or episode.policy_name,
            start_ns=zero,
            duration_ns=span.end_ns - zero,
            start=episode.start,
            tracks=tuple(self._tracks(opened)),
            cameras=tuple(_camera_info(one) for one in opened.cameras.values()),
            bands=tuple(_since(one, zero) for one in bands),
            events=tuple(Event(one.t_ns - zero, one.name, one.detail) for one in episode.events),
            said=said.since(zero),
            rehearsal=self._rehearsal(opened),
        )

    def series(
        self, ref: str, stream: str, *, start_ns: int, end_ns: int, points: int, first_column: int = 0
    ) -> Decimated:
        """Return a stream in at most `points` points; all stamps count from the episode's beginning.

        Sixteen columns from `first_column` on are returned: more lines than that are no picture.

        Raises:
            UsageError: there is no such stream, or the range is empty.
        """
        opened = self._open(ref)
        known = opened.streams.get(stream)
        if known is None:
            raise UsageError("has no such stream", subject=stream[:80], remedy="Its overview names those there are.")
        zero, t_ns = opened.span.start_ns, known.t_ns
        clock_map = opened.maps.get(stream)
        if clock_map is not None:
            t_ns = on_clock(t_ns, clock_map)
        found = decimate(
            t_ns,
            known.values,
            start_ns=zero + start_ns,
            end_ns=zero + end_ns,
            points=min(points, MOST_POINTS),
            columns=slice(first_column, first_column + MOST_COLUMNS),
        )
        return Decimated(found.t_ns - zero, found.low, found.high, found.lost, found.rows, found.exact)

    def stamps(self, ref: str, camera: str) -> NDArray[np.int64]:
        """Return when each picture of a camera was taken, int64 ns from the episode's beginning."""
        opened = self._open(ref)
        t_ns = _named(opened, camera).t_ns
        clock_map = opened.maps.get(camera)
        return (t_ns if clock_map is None else on_clock(t_ns, clock_map)) - opened.span.start_ns

    def frame(self, ref: str, camera: str, index: int) -> Picture:
        """Return one picture of a camera.

        Raises:
            UsageError: there is no such camera or picture.
            Corrupt: its packets cannot be decoded.
        """
        return _named(self._open(ref), camera).picture(index)

    def frame_at(self, ref: str, camera: str, t_ns: int) -> tuple[int, int]:
        """Return which picture was the latest at a moment, and when it was taken; before the first, the first.

        Raises:
            UsageError: the camera has no picture.
        """
        stamps = self.stamps(ref, camera)
        if not len(stamps):
            raise UsageError("has no picture", subject=camera[:80], remedy="Look at another camera.")
        index = max(0, int(stamps.searchsorted(t_ns, "right")) - 1)
        return index, int(stamps[index])

    def film(self, ref: str, camera: str) -> Path:
        """Return a file in which a camera plays: its own packets, not encoded again, one picture after the other.

        Raises:
            UsageError: no browser plays such packets.
        """
        opened = self._open(ref)
        found = _named(opened, camera)
        if not isinstance(found, EncodedCamera) or not found.film_rate_hz:
            raise UsageError("does not play as a film", subject=camera[:80], remedy="Look at single pictures.")
        number = list(opened.cameras).index(camera)
        path = self._films / f"{opened.episode.id}-{number}.mp4"
        with self._writing:
            if not path.exists():
                write_film(found.video, found.film_rate_hz, path)
        return path

    def beside(self, ref: str, other: str) -> Paired:
        """Say how moments of one try read on another."""
        a, b = self._open(ref), self._open(other)
        return paired(a.episode, b.episode)

    def like(self, ref: str, *, limit: int = 20) -> tuple[Episode, ...]:
        """Return other episodes that began at the same start, and those that correct it or that it corrects."""
        return like(self.wheel, self._open(ref).episode, limit=limit)

    def rehearsal(self, ref: str) -> str:
        """Say how the film of a simulated try without cameras stands: see `Overview.rehearsal`."""
        return self._rehearsal(self._open(ref))

    def rehearse(self, ref: str) -> str:
        """Begin to film a simulated try that has no cameras, and return how that stands: see `Overview.rehearsal`."""
        opened = self._open(ref)
        state = self._rehearsal(opened)
        if state != POSSIBLE:
            return state
        self._filming.ask(rehearsal.__name__, opened.episode.id)
        return FILMING

    def moment(self, ref: str) -> Shooting:
        """Say how the clip of a failure's moment stands."""
        failure = self.store.catalog.get(ref, Failure)
        opened = self._open(failure.episode)
        doing = self._doing(moments.__name__, failure.id)
        found = moments.held(self._moments, failure.id)
        lacks = "" if opened.cameras else self._lacks(opened)
        state = READY if found.film is not None else found.why_not or doing or lacks or POSSIBLE
        return Shooting(state, still=state == READY or bool(opened.cameras))

    def film_moment(self, ref: str) -> Shooting:
        """Begin to make the clip of a failure's moment, and return how that stands."""
        known = self.moment(ref)
        if known.state != POSSIBLE:
            return known
        self._filming.ask(moments.__name__, self.store.catalog.get(ref, Failure).id)
        return replace(known, state=FILMING)

    def moment_film(self, ref: str) -> Path:
        """Return the clip of a failure's moment.

        Raises:
            UsageError: it was not made.
        """
        failure = self.store.catalog.get(ref, Failure)
        self._open(failure.episode)
        found = moments.held(self._moments, failure.id).film
        if found is None:
            raise UsageError("has no clip", subject=failure.id, remedy="Ask for it first, and wait until it is ready.")
        return found

    def moment_still(self, ref: str) -> Picture:
        """Return the picture of a failure's moment: at once where its own cameras saw it, else with the clip.

        Raises:
            UsageError: no picture shows it.
        """
        failure = self.store.catalog.get(ref, Failure)
        opened = self._open(failure.episode)
        found = moments.held(self._moments, failure.id).still
        if found is not None:
            return Picture(found.read_bytes(), "image/jpeg")
        camera = moments.best_camera([name for name, one in opened.cameras.items() if len(one.t_ns)])
        if not camera:
            raise UsageError("has no picture", subject=failure.id, remedy="Ask for its clip first.")
        index, _ = self.frame_at(failure.episode, camera, failure.moment_ns - opened.span.start_ns)
        return self.frame(failure.episode, camera, index)

    def opened_in(self, ref: str, *, at_s: float, viewer: str) -> Viewed:
        """Write an episode for Rerun or Foxglove at a moment, in a folder of its own; nothing is started or served.

        Whoever asks removes the folder. A moment at the very end is the last one there is.

        Raises:
            UsageError: there is no such viewer, or the moment lies outside the episode.
        """
        episode = self.wheel.episode(ref)
        suffix = {"rerun": ".rrd", "foxglove": ".mcap"}.get(viewer, "")
        (self.store.derived / "views").mkdir(exist_ok=True)
        folder = Path(mkdtemp(dir=self.store.derived / "views"))
        at_s = min(at_s, (episode.end_ns - episode.start_ns) / 1e9)
        try:
            return self.wheel.data.view(
                episode.id, at_s=at_s, viewer=viewer, out=folder / f"{episode.id}-{at_s:.3f}s{suffix}"
            )
        except SaqiyaError:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def close(self) -> None:
        """End the process that films."""
        self._filming.close()

    # -- small print ---------------------------------------------------------------------------------------------

    def _open(self, ref: str) -> _Opened:
        episode = self.wheel.episode(ref)
        self.store.catalog.present(episode.streams, episode.id)  # what was erased since is not shown any more
        with self._lock:
            held = self._kept.get(episode.id)
            if held is not None and (held.cameras or self._film(episode.id) is None):
                self._kept.move_to_end(episode.id)
                return held
        made = self._read(episode)
        with self._lock:
            self._kept[episode.id] = made
            while len(self._kept) > OPEN_N:
                self._kept.popitem(last=False)
        return made

    def _read(self, episode: Episode) -> _Opened:
        whole, packed = self.store.streams(episode), self.store.packed(episode)
        streams: dict[str, Stream] = {}
        cameras: dict[str, Camera] = {
            name: EncodedCamera(name, video) for name, video in sorted(self.store.videos(episode).items())
        }
        for name in sorted(whole):
            if name in packed:
                dtype, shape = row_of(packed[name])
                if is_pictures(name, dtype, shape):
                    cameras[name] = RawCamera(name, packed[name].track.shown_ns, packed[name])
                    continue
            stream = whole[name]
            if is_pictures(name, stream.values.dtype, stream.values.shape[1:]):
                cameras[name] = RawCamera(name, stream.t_ns, stream.values)
            elif stream.values.dtype.kind in "fiub":
                streams[name] = stream
        if not cameras and self._film(episode.id) is not None:
            cameras[rehearsal.NAME] = EncodedCamera(rehearsal.NAME, rehearsal.video_of(self._rehearsals, episode.id))
        clock, maps, notes = self._clocks(episode)
        return _Opened(episode, streams, maps, clock, cameras, notes)

    def _clocks(self, episode: Episode) -> tuple[str, dict[str, ClockMap], dict[str, str]]:
        """Return the clock that most of an episode is on, and how each stream on another one is read."""
        clocks = {one.name: one.clock for one in episode.infos} | {one.name: one.clock for one in episode.media}
        names = list(clocks.values())
        main = max(sorted(set(names)), key=names.count, default="")
        if len(set(names)) < 2:
            return main, {}, {}
        own = [one for ref in episode.recordings for one in self.store.catalog.referring(ref, ClockMap)]
        known = {one.source: one for one in own if one.target == main}
        maps = {name: known[clock] for name, clock in clocks.items() if clock in known}
        notes = {
            name: f"read through {maps[name].id}" if name in maps else f"on its own clock, {clock}"
            for name, clock in clocks.items()
            if clock != main
        }
        return main, maps, notes

    def _tracks(self, opened: _Opened) -> Iterator[Track]:
        infos = {one.name: one for one in opened.episode.infos}
        for name, stream in opened.streams.items():
            rate_hz = infos[name].rate_hz if name in infos else stream.rate_hz
            width = prod(stream.values.shape[1:])
            note = opened.notes.get(name, "")
            yield Track(name, width, len(stream.t_ns), rate_hz, stream.unit, stream.fields[:width], stream.clock, note)

    def _film(self, episode: str) -> Path | None:
        """Return the film that the site made of a try without cameras, where there is one."""
        return rehearsal.rehearsed(self._rehearsals, episode).film

    def _rehearsal(self, opened: _Opened) -> str:
        episode = opened.episode
        if any(name != rehearsal.NAME for name in opened.cameras):
            return ""
        doing = self._doing(rehearsal.__name__, episode.id)  # before what it left is looked for: it may end in between
        held = rehearsal.rehearsed(self._rehearsals, episode.id)
        return READY if held.film is not None else held.why_not or doing or self._lacks(opened) or POSSIBLE

    def _doing(self, module: str, ref: str) -> str:
        """Say that something is being filmed, or that its child ended without a word; "" where nobody asked for it."""
        if self._filming.under_way(module, ref):
            return FILMING
        code = self._filming.code(module, ref)
        return "" if code is None else f"the process that filmed it ended with code {code}"

    def _lacks(self, opened: _Opened) -> str:
        """Say what keeps an episode without cameras from being filmed; "" for nothing."""
        episode = opened.episode
        if not self.wheel.turning or self.wheel.site.spec.name != episode.site:
            return "it has no cameras, and the site where it took place is not set up here"
        if episode.start is None or rehearsal.EXECUTED not in opened.streams:
            return "it has no cameras, and its start or its actions were not logged"
        if not isinstance(self.wheel.site, Renderable):
            return f"it has no cameras, and the site {episode.site} cannot draw itself"
        return ""


def _named(opened: _Opened, camera: str) -> Camera:
    found = opened.cameras.get(camera)
    if found is None:
        raise UsageError("has no such camera", subject=camera[:80], remedy="Its overview names those there are.")
    return found


def _camera_info(camera: Camera) -> CameraInfo:
    pictures = len(camera.t_ns)
    if isinstance(camera, EncodedCamera):
        track = camera.video.track
        kind = f"depth, {track.unit}" if track.unit else track.codec
        return CameraInfo(camera.name, track.width, track.height, pictures, kind, camera.film_rate_hz, track.pre)
    dtype, shape = camera.form
    return CameraInfo(camera.name, shape[1], shape[0], pictures, f"raw {dtype}")


def _since(band: Band, zero_ns: int) -> Band:
    return Band(band.kind, band.label, band.start_ns - zero_ns, band.end_ns - zero_ns, band.level, band.detail)
