"""Camera topics: encoded pictures become a video of packet places, raw ones a stream of arrays; memory stays bounded.

Packets that lie unpacked in the log stay there: the video points into the file. All others go through a spool.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Track, Video
from saqiya.domain.streams import Stamp
from saqiya.formats.messages.batch import Decoder
from saqiya.formats.messages.found import NO_STAMP, Found, stamps_of
from saqiya.formats.messages.types import Undecodable
from saqiya.formats.pictures.packets import NEEDED, still, unit
from saqiya.formats.pictures.spool import Spool

__all__ = ["Camera", "LogFile", "sensor_stamp"]

_CODECS = {"264": "h264", "avc": "h264", "265": "hevc", "hevc": "hevc", "av1": "av1", "vp9": "vp9"}
_FORMS = {"h264": "annexb", "hevc": "annexb", "av1": "obu", "vp9": ""}
_PNG_BEGINS_WITHIN = 64
MOST_KINDS = 8
MOST_REORDERED_N = 16


class LogFile:
    """The log that packets may lie in, mapped when the first video needs it. `path` is None for a log of many files."""

    def __init__(self, path: Path | None) -> None:
        """Note which file it is."""
        self.path = path
        self._data: mmap.mmap | None = None

    @property
    def data(self) -> mmap.mmap:
        """The whole file, mapped."""
        if self._data is None:
            if self.path is None:
                raise ValueError("this log is not one file")
            with self.path.open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._data


@dataclass
class _Shots:
    """The packets of one camera, one codec and one size."""

    codec: str
    width: int
    height: int
    unit: str = ""
    receive_ns: array[int] = field(default_factory=lambda: array("q"))
    sensor_ns: array[int] = field(default_factory=lambda: array("q"))
    at: array[int] = field(default_factory=lambda: array("q"))
    size: array[int] = field(default_factory=lambda: array("q"))
    spooled: array[int] = field(default_factory=lambda: array("b"))
    key: array[int] = field(default_factory=lambda: array("b"))
    spool: Spool = field(default_factory=Spool)
    setup: bytes = b""
    backward: bool = False


class Camera:
    """One topic of encoded pictures (CompressedImage, CompressedVideo, FFMPEGPacket)."""

    def __init__(self, topic: str, decoder: Decoder, file: LogFile) -> None:
        """Begin without pictures."""
        self._topic, self._decoder, self._file = topic, decoder, file
        self._shots: dict[tuple[str, int, int, str], _Shots] = {}
        self._sets: dict[str, dict[int, bytes]] = {}
        self._size: tuple[int, int] | None = None
        self._last: _Shots | None = None
        self._lost: dict[str, int] = {}
        self._count = 0

    def add(self, receive_ns: int, payload: bytes, place: int) -> None:
        """Take in a message; `place` is where it lies in the log file, -1 where it is packed there."""
        self._count += 1
        try:
            message = self._decoder.message(payload)
            data = message.get("data")
            if not isinstance(data, (bytes, memoryview)):
                raise Undecodable("it holds no bytes of a picture")
            at = self._decoder.data_at(payload) if place >= 0 and self._file.path is not None else -1
            lies = place + at if at >= 0 else -1
            said = str(message.get("format", message.get("encoding", ""))).lower()
            codec = next((codec for word, codec in _CODECS.items() if word in said), "")
            stamps = (receive_ns, sensor_stamp(message))
            if codec:
                self._packet(codec, data, stamps, lies)
            else:
                self._still(said, data, stamps, lies)
        except Undecodable as bad:
            self._lost[str(bad)] = self._lost.get(str(bad), 0) + 1

    def _still(self, said: str, data: bytes | memoryview, stamps: tuple[int, int], lies: int) -> None:
        depth = "compresseddepth" in said.replace(" ", "")
        if depth:
            begin = bytes(data[:_PNG_BEGINS_WITHIN]).find(b"\x89PNG")
            if begin < 0:
                raise Undecodable("compressed depth that is no PNG (RVL)" if "rvl" in said else "it is no PNG")
            data, lies = data[begin:], lies + begin if lies >= 0 else -1
        seen = still(data)
        if seen is None:
            raise Undecodable(
                f"a picture is neither JPEG nor PNG (format {said[:40]!r})" if len(data) else "it is empty"
            )
        unit_of = "mm" if seen.deep and "16uc1" in said and (depth or "depth" in self._topic.lower()) else ""
        if depth and "32fc1" in said:
            self._lost.setdefault("", 0)
        shots = self._kind(seen.codec, seen.width, seen.height, unit_of)
        self._keep(shots, stamps, data, lies, key=True)

    def _packet(self, codec: str, data: bytes | memoryview, stamps: tuple[int, int], lies: int) -> None:
        seen = unit(codec, data)
        if seen is None:
            raise Undecodable(f"a packet is no {codec}" + (" with start codes" if _FORMS[codec] == "annexb" else ""))
        self._size = seen.size or self._size
        known = self._sets.setdefault(codec, {})
        known |= seen.sets
        if not seen.picture:
            return  # settings on their own: they are kept, and stand before the pictures that need them
        begins = seen.key and set(known) >= NEEDED[codec]
        if begins and self._size is not None:
            self._last = self._kind(codec, *self._size, "")
        if self._last is None or self._last.codec != codec:
            raise Undecodable("it comes before the first picture that can be decoded alone")
        if begins and not set(seen.sets) >= NEEDED[codec]:
            settings = b"".join(known[kind] for kind in sorted(known))
            if _FORMS[codec] == "annexb" and self._last.setup in {b"", settings}:
                self._last.setup = settings
            else:
                data, lies = settings + bytes(data), -1
        self._last.backward |= seen.backward
        self._keep(self._last, stamps, data, lies, key=begins)

    def _kind(self, codec: str, width: int, height: int, unit_of: str) -> _Shots:
        key = (codec, width, height, unit_of)
        if key not in self._shots:
            if len(self._shots) >= MOST_KINDS:
                raise Undecodable(f"it has more than {MOST_KINDS} codecs and sizes")
            self._shots[key] = _Shots(codec, width, height, unit_of)
        return self._shots[key]

    def _keep(self, shots: _Shots, stamps: tuple[int, int], data: bytes | memoryview, lies: int, *, key: bool) -> None:
        shots.receive_ns.append(stamps[0])
        shots.sensor_ns.append(stamps[1])
        shots.spooled.append(lies < 0)
        shots.at.append(lies if lies >= 0 else shots.spool.add(data))
        shots.size.append(len(data))
        shots.key.append(key)

    def finish(self, found: Found) -> None:
        """Give the videos; the kind with most pictures has the topic's name."""
        for why, count in self._lost.items():
            if why and count == self._count:
                found.skipped[self._topic] = why
            elif why:
                found.skipped[f"{self._topic} ({count} of {self._count} messages)"] = why
            else:
                found.note(
                    self._topic, "holds inverse depth: metres = a / (sample - b), a and b as the driver set them"
                )
        ranked = sorted(self._shots.values(), key=lambda one: -len(one.at))
        for number, shots in enumerate(ranked):
            name = self._topic if number == 0 else f"{self._topic}/{shots.codec}-{shots.width}x{shots.height}"
            name = name if name not in found.videos and name not in found.streams else f"{name} ({number})"
            self._video(name, shots, found)
        if len(ranked) > 1:
            found.note(self._topic, f"changes codec or size: {len(ranked)} videos")

    def _video(self, name: str, shots: _Shots, found: Found) -> None:
        receive = np.array(shots.receive_ns, np.int64)
        sensor = np.array(shots.sensor_ns, np.int64)
        single = shots.codec in {"jpeg", "png"}
        stamps = stamps_of(receive, sensor if (sensor != NO_STAMP).any() else None)
        if not single and stamps.order.size and bool((np.diff(stamps.order) < 0).any()):
            if not (shots.backward or shots.codec == "hevc") or not _within_groups(stamps.order, shots.key):
                header = np.where(sensor == NO_STAMP, 0, sensor) if stamps.kind is Stamp.SENSOR else None
                stamps = replace(stamps_of(receive, None), header_ns=header)
                found.note(name, "header stamps do not follow the pictures: the log's are used")
            if bool((np.diff(stamps.order) < 0).any()) and stamps.kind is Stamp.RECEIVE:
                found.skipped[name] = "its packets' stamps go back in time: which picture is which cannot be told"
                return
        if shots.backward and stamps.kind is Stamp.RECEIVE:
            found.note(
                name, "has B-frames, and no stamps that say when each picture was taken: order and stamps are the log's"
            )
        found.receive(name, stamps)
        order = stamps.order if single else np.arange(len(receive))
        rank = np.arange(len(receive), dtype=np.int64)
        if not single:
            rank[stamps.order] = np.arange(len(receive))
        data, offset = self._bytes(shots)
        track = Track(
            t_ns=stamps.t_ns,
            offset=offset[order],
            size=np.array(shots.size, np.int64)[order],
            key=np.array(shots.key, np.bool_)[order],
            rank=rank,
            codec=shots.codec,
            width=shots.width,
            height=shots.height,
            form=_FORMS.get(shots.codec, ""),
            setup=shots.setup,
            clock=found.clock(stamps.kind),
            stamp=stamps.kind,
            unit=shots.unit,
        )
        inside = self._file.path if data is self._file_data() else None
        found.videos[name] = Video(track, data, inside)

    def _file_data(self) -> mmap.mmap | None:
        return self._file.data if self._file.path is not None else None

    def _bytes(self, shots: _Shots) -> tuple[bytes | mmap.mmap, NDArray[np.int64]]:
        """Return where the packets lie: all in the log, or all in the spool."""
        at, spooled = np.array(shots.at, np.int64), np.array(shots.spooled, np.bool_)
        if not spooled.any():
            return self._file.data, at
        if spooled.all():
            return shots.spool.data(), at
        mixed, held, joined = Spool(), memoryview(shots.spool.data()), np.empty_like(at)
        for number, (begin, size, here) in enumerate(zip(at.tolist(), shots.size, spooled.tolist(), strict=True)):
            source = held if here else memoryview(self._file.data)
            joined[number] = mixed.add(source[begin : begin + size])
        return mixed.data(), joined


def _within_groups(order: NDArray[np.int64], key: array[int]) -> bool:
    """Say whether putting pictures in order of stamp moves none far, as B-frames do, and none over a key picture."""
    near = bool((np.abs(order - np.arange(len(order))) <= MOST_REORDERED_N).all())
    return near and int(order[0]) == 0 and bool(key[0])


def sensor_stamp(message: Mapping[str, Any]) -> int:
    """Return a message's own stamp in ns, `NO_STAMP` where it has none."""
    header = message.get("header")
    stamp = header.get("stamp") if isinstance(header, Mapping) else message.get("timestamp")
    return stamp if isinstance(stamp, int) and abs(stamp) < 1 << 62 else NO_STAMP
