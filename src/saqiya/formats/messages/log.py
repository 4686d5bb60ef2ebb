"""One log's messages on their way to an episode, whatever file they come from: topics in, streams and videos out.

Numbers are gathered in memory and decoded a few megabytes at a time; pictures and clouds go through files.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from saqiya.domain.streams import EpisodeLog, Event, JsonValue
from saqiya.formats.messages.batch import Batch, Decoder
from saqiya.formats.messages.camera import Camera, LogFile
from saqiya.formats.messages.found import Found
from saqiya.formats.messages.meaning import place_table
from saqiya.formats.messages.raw import Cloud, RawImage
from saqiya.formats.messages.types import Undecodable
from saqiya.formats.pictures.spool import Spool

__all__ = ["Log", "Topic"]

FLUSH_BYTES = 8 << 20
FLUSH_N = 65_536
LONG_BYTES = 2048
"""Of a list in one message, from which on it waits in a file."""
MOST_TOPICS = 4096
_ENCODED = {
    "sensor_msgs/CompressedImage",
    "foxglove_msgs/CompressedImage",
    "foxglove_msgs/CompressedVideo",
    "ffmpeg_image_transport_msgs/FFMPEGPacket",
}
_RAW = {"sensor_msgs/Image", "foxglove_msgs/RawImage"}
_CLOUDS = {"sensor_msgs/PointCloud2", "foxglove_msgs/PointCloud"}
_SERVICE = "/_service_event"
_SERVICE_WORDS = ("request sent", "request received", "response sent", "response received")


@dataclass(frozen=True)
class _Spooled:
    """Where the values of a column lie in a topic's spool until all are there."""

    batch: Batch
    path: str
    at: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass
class _Table:
    """One topic of anything but pictures: messages wait as bytes and are decoded many at once."""

    topic: str
    decoder: Decoder
    receive_ns: array[int] = field(default_factory=lambda: array("q"))
    batches: list[Batch] = field(default_factory=list)
    lost: int = 0
    why: str = ""
    waiting: list[bytes] = field(default_factory=list)
    waiting_bytes: int = 0
    spool: Spool = field(default_factory=Spool)
    spooled: list[_Spooled] = field(default_factory=list)

    def add(self, receive_ns: int, payload: bytes, _: int) -> None:
        self.receive_ns.append(receive_ns)
        self.waiting.append(payload)
        self.waiting_bytes += len(payload)
        if self.waiting_bytes > FLUSH_BYTES or len(self.waiting) >= FLUSH_N:
            self._flush()

    def _flush(self) -> None:
        if not self.waiting:
            return
        decoded = self.decoder.batches(self.waiting, len(self.receive_ns) - len(self.waiting))
        self.batches += decoded.batches
        for batch in decoded.batches:
            self._set_down(batch)
        self.lost += decoded.lost
        self.why = self.why or decoded.why
        self.waiting, self.waiting_bytes = [], 0

    def _set_down(self, batch: Batch) -> None:
        """Put long lists (maps, scans, torques of a whole trajectory) into a file: a day of them fills any memory."""
        for path, values in batch.numbers.items():
            if values.ndim > 1 and values.nbytes >= LONG_BYTES * len(values):
                self.spooled.append(_Spooled(batch, path, self.spool.size_bytes, values.shape, values.dtype))
                self.spool.add(np.ascontiguousarray(values).data.cast("B"))
                batch.numbers[path] = np.empty(0)  # not a part of it, which would keep the whole alive

    def finish(self, found: Found) -> None:
        self._flush()
        data = self.spool.data()
        for one in self.spooled:
            count = math.prod(one.shape)
            one.batch.numbers[one.path] = np.frombuffer(data, one.dtype, count, one.at).reshape(one.shape)
        self.spooled = []
        count = len(self.receive_ns)
        if not count:
            found.skipped[self.topic] = "no messages"
        if self.lost:
            found.skipped[self.topic if self.lost == count else f"{self.topic} ({self.lost} of {count} messages)"] = (
                self.why
            )
        if self.batches:
            place_table(self.topic, self.decoder, self.batches, np.array(self.receive_ns, np.int64), found)


@dataclass
class _Calls:
    """Recorded calls of a service: an event each, and what they hold where it is defined."""

    topic: str
    held: _Table | None
    why: str = ""
    calls: list[tuple[int, str]] = field(default_factory=list)

    def add(self, receive_ns: int, payload: bytes, place: int) -> None:
        kind = payload[4] if len(payload) > 4 else len(_SERVICE_WORDS)  # the first field, defined or not
        if kind < len(_SERVICE_WORDS):
            self.calls.append((receive_ns, _SERVICE_WORDS[kind]))
        if self.held is not None:
            self.held.add(receive_ns, payload, place)

    def finish(self, found: Found) -> None:
        if self.held is not None:
            self.held.finish(found)
        else:
            found.skipped[self.topic] = f"{self.why}; what kind of call each was is kept as events"
        for receive_ns, word in self.calls:
            found.event(receive_ns, self.topic, word)


@dataclass
class _Unknown:
    """A topic that cannot be decoded, and why."""

    topic: str
    why: str
    count: int = 0

    def add(self, _receive_ns: int, _payload: bytes, _place: int) -> None:
        self.count += 1

    def finish(self, found: Found) -> None:
        found.skipped[self.topic] = self.why if self.count else f"no messages ({self.why})"


Topic = _Table | _Calls | _Unknown | Camera | RawImage | Cloud


class Log:
    """Gathers the messages of one log."""

    def __init__(self, source: str, file: Path | None) -> None:
        """Begin empty.

        Args:
            source: names the log's clock ("ros1", "ros2", "mcap").
            file: the one file that the log is, where packets may be left; None where it is several or packed.
        """
        self._found = Found(source)
        self._file = LogFile(file)
        self._topics: dict[str, Topic] = {}
        self._counts: dict[str, int] = {}
        self.types: dict[str, str] = {}

    def topic(self, name: str, type_name: str, decoder: Decoder | Undecodable) -> Topic:
        """Declare a topic and return what takes its messages; a decoder may be the reason why there is none.

        A topic that is declared again with the same type is the same; with another type it is a topic of its own.
        """
        if self.types.get(name, type_name) != type_name:
            name = f"{name} ({type_name})"
        if name in self._topics:
            return self._topics[name]
        if len(self._topics) >= MOST_TOPICS:
            raise Undecodable(f"it declares more than {MOST_TOPICS} topics")
        self.types[name] = type_name
        self._topics[name] = self._made(name, decoder)
        return self._topics[name]

    def _made(self, name: str, decoder: Decoder | Undecodable) -> Topic:
        if name.endswith(_SERVICE):
            if isinstance(decoder, Undecodable):
                return _Calls(name, None, str(decoder))
            return _Calls(name, _Table(name, decoder))
        if isinstance(decoder, Undecodable):
            return _Unknown(name, str(decoder))
        if decoder.type in _ENCODED:
            return Camera(name, decoder, self._file)
        if decoder.type in _RAW:
            return RawImage(name, decoder)
        return Cloud(name, decoder) if decoder.type in _CLOUDS else _Table(name, decoder)

    def skip(self, what: str, why: str) -> None:
        """Name something that is not read."""
        self._found.skipped[what] = why

    def finish(self, key: str, metadata: dict[str, JsonValue]) -> EpisodeLog:
        """Decode what waits and give the episode; `metadata` is what the file itself says."""
        found = self._found
        for topic in self._topics.values():
            topic.finish(found)
        types: dict[str, JsonValue] = {name: kind for name, kind in self.types.items() if kind}
        told = {"skipped": found.skipped, "notes": found.notes, "frames": found.frames, "types": types}
        said = metadata | {name: facts for name, facts in told.items() if facts}
        events = sorted(found.events, key=_event_time)
        return EpisodeLog(key, found.streams, tuple(events), said, found.videos)


def _event_time(event: Event) -> int:
    return event.t_ns
