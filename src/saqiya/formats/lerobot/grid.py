"""One rate out of many: the moments of a LeRobot episode's frames, and each stream's latest sample at each of them.

Where the stream that gives the rate is steady, its own stamps are the moments, so that none of its samples is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.errors import InvalidEpisode

__all__ = ["Grid", "at_rate", "grid_of", "is_signal", "latest", "rate_of", "reference_of"]

_NS = 1_000_000_000
_SAME = 0.02
_STEADY_PERIODS = 1.75
"""A gap of more periods than this is a lost sample; less is jitter."""
_NO_SIGNAL = ("author", "action/operator")
"""Who acted becomes a column of its own; what an operator did while nobody asked him is no signal at one rate."""


@dataclass(frozen=True)
class Grid:
    """The frames of an episode.

    Attributes:
        t_ns: int64 (N,), the moment at which each frame looks at every stream.
        fps: frames a second, exactly.
        off_ms: how far a moment is from the time that LeRobot gives the frame, at most.
    """

    t_ns: NDArray[np.int64]
    fps: Fraction
    off_ms: float


def is_signal(name: str, stream: Stream) -> bool:
    """Say whether a stream can be a column: clock readings and what is there only at times cannot."""
    return len(stream.t_ns) > 0 and name not in _NO_SIGNAL and not name.startswith("clock/")


def reference_of(log: EpisodeLog) -> tuple[str, NDArray[np.int64]]:
    """Return name and stamps of what gives an episode its rate: the actions, else a camera, else the densest stream.

    Raises:
        InvalidEpisode: the episode has neither a signal nor a picture.
    """
    action = log.streams.get("action/executed")
    if action is not None and len(action.t_ns):
        return "action/executed", action.t_ns
    for name, video in sorted(log.videos.items()):
        if len(video.track):
            return name, video.track.shown_ns
    signals = [(len(one.t_ns), name) for name, one in log.streams.items() if is_signal(name, one)]
    if not signals:
        raise InvalidEpisode(
            "has neither a signal nor a picture", subject=log.key, remedy="Leave this episode out of the data set."
        )
    name = max(signals, key=lambda pair: (pair[0], pair[1].startswith(("camera/", "depth/"))))[1]
    return name, log.streams[name].t_ns


def rate_of(t_ns: NDArray[np.int64]) -> Fraction:
    """Return the rate of stamps as LeRobot wants it: a whole number where it is one but for jitter.

    Raises:
        InvalidEpisode: fewer than two stamps have no rate.
    """
    gaps = np.diff(t_ns)
    period_ns = float(np.median(gaps)) if len(gaps) else 0.0
    if period_ns <= 0:
        raise InvalidEpisode("has no rate", remedy="Name one with the setting fps.")
    rate = _NS / period_ns
    whole = max(1, round(rate))
    return Fraction(whole) if abs(whole - rate) <= _SAME * rate else Fraction(rate).limit_denominator(1000)


def grid_of(log: EpisodeLog, fps: Fraction) -> Grid:
    """Lay the frames of an episode: over the reference, where every camera has a fresh picture.

    Raises:
        InvalidEpisode: there is no moment at which all cameras have a picture.
    """
    name, t_ns = reference_of(log)
    period_ns = float(_NS / fps)
    moments = t_ns if _steady(t_ns, period_ns) else at_rate(int(t_ns[0]), int(t_ns[-1]), fps)
    low, high = int(moments[0]), int(moments[-1]) + 1
    for camera, shown in _shown(log).items():
        if camera != name and len(shown):
            low = max(low, int(shown[0] - period_ns / 2))
            high = min(high, int(shown[-1] + period_ns))
    kept = moments[(moments >= low) & (moments < high)]
    if not len(kept):
        raise InvalidEpisode(
            f"its cameras and {name} have no moment in common",
            subject=log.key,
            remedy="Audit the clocks of this episode, or leave it out.",
        )
    frames = np.arange(len(kept)) * period_ns
    off_ms = float(np.abs(kept - kept[0] - frames).max()) / 1e6
    return Grid(kept, fps, off_ms)


def _shown(log: EpisodeLog) -> Mapping[str, NDArray[np.int64]]:
    pictures = {name: one.t_ns for name, one in log.streams.items() if name.startswith(("camera/", "depth/"))}
    return {**pictures, **{name: video.track.shown_ns for name, video in log.videos.items()}}


def _steady(t_ns: NDArray[np.int64], period_ns: float) -> bool:
    gaps = np.diff(t_ns)
    if not len(gaps):
        return True
    own = float(np.median(gaps))
    return abs(own - period_ns) <= _SAME * period_ns and int(gaps.min()) > 0 and int(gaps.max()) < _STEADY_PERIODS * own


def at_rate(start_ns: int, end_ns: int, fps: Fraction) -> NDArray[np.int64]:
    """Return the moments `fps` a second from `start_ns` on, up to `end_ns`, int64."""
    count = int((end_ns - start_ns) * fps // _NS) + 1
    t_ns: NDArray[np.int64] = start_ns + np.rint(np.arange(count) * float(_NS / fps)).astype(np.int64)
    return t_ns


def latest(t_ns: NDArray[np.int64], at_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which sample is the latest at each moment, int64 (N,); before the first one it is the first."""
    found: NDArray[np.int64] = np.maximum(np.searchsorted(t_ns, at_ns, side="right") - 1, 0)
    return found
