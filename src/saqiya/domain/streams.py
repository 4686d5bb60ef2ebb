"""What a log holds: streams at their own rates, events, and one try's worth of both.

Time is int64 nanoseconds; ranges are half-open, `[start_ns, end_ns)`; raw stamps are never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.ids import digest_of
from saqiya.errors import InvalidEpisode

__all__ = ["Author", "EpisodeLog", "Event", "JsonValue", "Span", "Stamp", "Start", "Stream"]

if TYPE_CHECKING:
    from saqiya.domain.media import Video

    JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]
else:
    JsonValue = Any  # the catalog's codec reads annotations at run time and cannot follow a type that names itself


class Stamp(StrEnum):
    """What kind of time a stream's stamps are."""

    SENSOR = "sensor"
    PUBLISH = "publish"
    RECEIVE = "receive"
    ASSUMED = "assumed"  # the source stored no time: stamps were made from a declared rate


class Author(StrEnum):
    """Who acted in a span of an episode."""

    POLICY = "policy"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Span:
    """A half-open time range `[start_ns, end_ns)`."""

    start_ns: int
    end_ns: int

    def __post_init__(self) -> None:
        """Refuse a range that ends before it starts."""
        if self.end_ns < self.start_ns:
            raise InvalidEpisode(f"span ends before it starts: [{self.start_ns}, {self.end_ns})")


@dataclass(frozen=True)
class Event:
    """Something that happened at one instant: `name` is dotted or slashed ("phase/grasp", "takeover", "success")."""

    t_ns: int
    name: str
    detail: str = ""


@dataclass(frozen=True)
class Start:
    """Where a try begins: a seed for what is random, and the named factors that describe it (numbers or words).

    Two starts with equal seed and factors are the same start; `key` is what leakage checks compare.
    """

    seed: int
    factors: dict[str, float | str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A digest of the factors alone: the same place with another seed is still the same place."""
        text = ";".join(f"{name}={value!r}" for name, value in sorted(self.factors.items())) or f"seed={self.seed}"
        return digest_of(text.encode())[:32]


@dataclass(frozen=True)
class Stream:
    """One sensor or signal at its own rate.

    Attributes:
        t_ns: int64 (T,), not decreasing.
        values: any numeric dtype, (T, ...); one row a stamp.
        clock: the clock that made the stamps ("sim", "host", "assumed:20Hz").
        stamp: the kind of stamp.
        unit: unit of the values ("N", "rad", "m"), "" when unknown or mixed.
        fields: a name for each column where known.
    """

    t_ns: NDArray[np.int64]
    values: NDArray[Any]
    clock: str = "host"
    stamp: Stamp = Stamp.SENSOR
    unit: str = ""
    fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check shapes and stamps once, at birth; later code trusts them."""
        if self.t_ns.dtype != np.int64 or self.t_ns.ndim != 1:
            raise InvalidEpisode(f"t_ns must be int64 (T,), not {self.t_ns.dtype} {self.t_ns.shape}")
        if self.values.shape[:1] != self.t_ns.shape:
            raise InvalidEpisode(f"{self.values.shape[:1]} values for {self.t_ns.shape} stamps")
        if self.t_ns.size > 1 and bool((self.t_ns[1:] < self.t_ns[:-1]).any()):
            raise InvalidEpisode("stamps decrease")
        self.t_ns.setflags(write=False)
        self.values.setflags(write=False)

    @property
    def rate_hz(self) -> float:
        """Median sampling rate; 0.0 with fewer than two samples."""
        if self.t_ns.size < 2:
            return 0.0
        gaps = np.sort(np.diff(self.t_ns))  # np.median does this with ten times the ceremony
        period_ns = (float(gaps[(len(gaps) - 1) // 2]) + float(gaps[len(gaps) // 2])) / 2
        return 1e9 / period_ns if period_ns > 0 else 0.0


@dataclass(frozen=True)
class EpisodeLog:
    """One reset-to-reset try as a format reads or writes it: bytes turned into arrays, nothing in a catalog yet.

    Attributes:
        key: stable name within its file or folder ("demo_3", a file stem).
        streams: by name; `observation/*`, `action/executed`, `action/intended`, `action/operator`, `author`
            (uint8: 0 policy, 1 operator), `policy/uncertainty`, `contact/*` are the names the loop gives meaning to.
        events: in time order.
        metadata: facts of the try: task, embodiment, site, policy, operator, source, outcome, start (seed, factors).
        videos: encoded cameras by name ("camera/front"); no name is both a stream and a video.
    """

    key: str
    streams: Mapping[str, Stream]
    events: tuple[Event, ...] = ()
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    videos: Mapping[str, Video] = field(default_factory=dict)

    @property
    def span(self) -> Span:
        """The range that covers every stamp, its end just after the last one.

        Raises:
            InvalidEpisode: no stream has a sample.
        """
        stamps = [s.t_ns for s in self.streams.values() if s.t_ns.size]
        stamps += [shown for video in self.videos.values() if (shown := video.track.shown_ns).size]
        if not stamps:
            raise InvalidEpisode("no stream has a single sample", subject=self.key)
        return Span(int(min(t[0] for t in stamps)), int(max(t[-1] for t in stamps)) + 1)
