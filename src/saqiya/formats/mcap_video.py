"""A camera as MCAP messages that Foxglove plays, and back again bit for bit. Loaded late.

Packets travel as `foxglove.CompressedVideo` (H.264 and HEVC with start codes, AV1, VP9), pictures as
`foxglove.CompressedImage` (JPEG, PNG): https://docs.foxglove.dev/docs/visualization/message-schemas. A message's log
time is in decoding order, its `timestamp` is when the picture was taken. The channel's metadata keeps the rest.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Track, Video
from saqiya.domain.streams import Stamp
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.formats.annexb import Wrap, wrap_of
from saqiya.formats.mcap_container import pack_payloads
from saqiya.formats.mcap_rows import MARK

if TYPE_CHECKING:
    from saqiya.formats.mcap_container import Block, ContainerWriter
    from saqiya.formats.mcap_scan import Messages

__all__ = ["VIDEO", "VideoChannel", "video_read", "write_beside"]

VIDEO = "video"
"""The value of the mark in the metadata of a channel that holds a camera of ours."""

_FORMATS = {"h264": "h264", "hevc": "h265", "av1": "av1", "vp9": "vp9", "jpeg": "jpeg", "png": "png"}
_IMAGES = ("jpeg", "png")
STRETCH_BYTES = 4 << 20
_NS_A_SECOND = 1_000_000_000
_ALWAYS_N, _LOST_OF_ONE = 1 << 20, 64  # a channel that declares many more packets than it holds is damaged
_FIELDS = (("timestamp", 1), ("frame_id", 2), ("data", 3), ("format", 4))


class VideoChannel:
    """A declared channel, and the messages that go into it."""

    def __init__(self, writer: ContainerWriter, name: str, video: Video) -> None:
        """Declare the channel of `video`, which may be empty."""
        track = video.track
        wrap = wrap_of(video)
        self._wrap = wrap or Wrap()
        self._video = video
        self._tail = _field(2, name.encode()) + _field(4, _FORMATS[track.codec].encode())
        message, schema = _schema("CompressedImage" if track.codec in _IMAGES else "CompressedVideo")
        self.id = writer.channel(
            name,
            encoding="protobuf",
            schema=writer.schema(message, "protobuf", schema),
            metadata=_metadata(track, self._wrap),
        )

    @property
    def t_ns(self) -> NDArray[np.int64]:
        """The log time of each packet, int64 (P,): the pictures' stamps, not decreasing."""
        return self._video.track.t_ns

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The bytes of each packet, int64 (P,), its wrapping left out."""
        return self._video.track.size

    def payloads(self, first: int, last: int) -> list[bytes]:
        """Return the messages of packets `first` to `last`, the last left out, in decoding order."""
        track, out = self._video.track, []
        for number in range(first, last):
            data = self._wrap.wrap(self._video.packet(number), key=bool(track.key[number]))
            stamp = _timestamp(int(track.t_ns[track.rank[number]]))
            out.append(_field(1, stamp) + self._tail + _field(3, data))
        return out


def write_beside(writer: ContainerWriter, cameras: Sequence[VideoChannel], blocks: Sequence[Block]) -> None:
    """Write cameras and other blocks side by side, a stretch of time after the other, with few packets in memory."""
    ends = sorted(_stretches(cameras))
    taken, places = [0] * len(blocks), [0] * len(cameras)
    rows = [block.in_time_order() for block in blocks]
    for end_ns in (*ends, None):
        upto = [len(row.records) if end_ns is None else int(np.searchsorted(row.t_ns, end_ns)) for row in rows]
        writer.write([row.part(a, b) for row, a, b in zip(rows, taken, upto, strict=True)])
        shown = [len(one.t_ns) if end_ns is None else int(np.searchsorted(one.t_ns, end_ns)) for one in cameras]
        packets = []
        for camera, first, last in zip(cameras, places, shown, strict=True):
            stamps = camera.t_ns[first:last].tolist()
            packets.append(pack_payloads(camera.id, stamps, camera.payloads(first, last), sequence=first))
        writer.write(packets, packed=True)
        taken, places = upto, shown


def _stretches(cameras: Sequence[VideoChannel]) -> set[int]:
    """Return the stamps at which a camera has given another `STRETCH_BYTES`."""
    cuts: set[int] = set()
    for camera in cameras:
        filled = np.cumsum(camera.sizes) // STRETCH_BYTES
        cuts |= set(camera.t_ns[1:][np.diff(filled) > 0].tolist())
    return cuts


def video_read(metadata: Mapping[str, str], messages: Messages, subject: str) -> tuple[Video, str]:
    """Rebuild a camera from its messages and its channel's metadata, and say what of it is lost ("" for nothing).

    In a log that was cut short or recovered packets may be missing; those behind a gap cannot be decoded and are left
    out up to the next key packet.

    Raises:
        UnreadableLog: the metadata or a message is damaged.
    """
    try:
        count = int(metadata["packets"])
        pre, post = int(metadata["pre"]), int(metadata["post"])
        if min(pre, post) < 0 or pre + post > count:
            raise ValueError("pictures lie both before and after the episode")
        wrap = Wrap(base64.b64decode(metadata["prefix"]), int(metadata["length_bytes"]))
        found = {number: payload for _, number, payload in sorted(messages.each(), key=itemgetter(1))}
        if not 0 <= count <= max(_ALWAYS_N, _LOST_OF_ONE * len(found)) or any(number >= count for number in found):
            raise ValueError(f"{len(found)} packets of {count}")
        key = np.unpackbits(_unpacked(metadata["key"], (count + 7) // 8), count=count).astype(bool)
        rank = _unpacked(metadata["rank"], count * 8).view("<i8") + np.arange(count)
        numbers = _decodable(np.fromiter(found, np.int64, len(found)), key)
        data, sizes, stamps = bytearray(), [], []
        for number in numbers.tolist():
            stamp_ns, packet = _message(found[number])
            packet = wrap.unwrap(packet, key=bool(key[number]))
            data += packet
            sizes.append(len(packet))
            stamps.append(stamp_ns)
        order = np.argsort(rank[numbers], kind="stable")
        track = Track(
            t_ns=np.asarray(stamps, np.int64)[order],
            offset=np.cumsum([0, *sizes[:-1]], dtype=np.int64)[: len(sizes)],
            size=np.asarray(sizes, np.int64),
            key=key[numbers],
            rank=np.argsort(order, kind="stable"),
            pre=int((rank[numbers] < pre).sum()),
            post=int((rank[numbers] >= count - post).sum()),
            **_said(metadata),
        )
    except (KeyError, ValueError, TypeError, OverflowError, zlib.error, InvalidEpisode) as bad:
        raise UnreadableLog(f"the camera cannot be rebuilt ({bad})", subject=subject, remedy="Copy it again.") from bad
    lost = count - len(numbers)
    return Video(track, bytes(data)), f"{lost} of {count} packets are lost" if lost else ""


def _metadata(track: Track, wrap: Wrap) -> dict[str, str]:
    shift = (track.rank - np.arange(len(track.rank))).astype("<i8")
    return {
        MARK: VIDEO,
        "codec": track.codec,
        "form": track.form,
        "width": str(track.width),
        "height": str(track.height),
        "setup": base64.b64encode(track.setup).decode(),
        "pre": str(track.pre),
        "post": str(track.post),
        "clock": track.clock,
        "stamp": track.stamp.value,
        "unit": track.unit,
        "packets": str(len(track.size)),
        "key": _packed(np.packbits(track.key)),
        "rank": _packed(shift),
        "prefix": base64.b64encode(wrap.prefix).decode(),
        "length_bytes": str(wrap.length_bytes),
    }


def _said(metadata: Mapping[str, str]) -> dict[str, Any]:
    return {
        "codec": metadata["codec"],
        "form": metadata["form"],
        "width": int(metadata["width"]),
        "height": int(metadata["height"]),
        "setup": base64.b64decode(metadata["setup"]),
        "clock": metadata["clock"],
        "stamp": Stamp(metadata["stamp"]),
        "unit": metadata["unit"],
    }


def _decodable(numbers: NDArray[np.int64], key: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Leave out what lies between a gap and the next key packet."""
    after_gap = np.diff(numbers, prepend=-1) != 1
    # Each packet belongs to the run that its last gap or key began; a run lives when a key began it.
    begins = after_gap | key[numbers]
    run = np.cumsum(begins) - 1
    alive = key[numbers][np.flatnonzero(begins)]
    return numbers[alive[run]] if len(numbers) else numbers


def _packed(values: NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode()


def _unpacked(text: str, size: int) -> NDArray[np.uint8]:
    """Undo `_packed`; what would unpack to anything but `size` bytes is refused before it takes memory."""
    engine = zlib.decompressobj()
    data = engine.decompress(base64.b64decode(text), size + 1)
    if len(data) != size:
        raise ValueError(f"{size} bytes were packed, and they are not there")
    return np.frombuffer(data, np.uint8)


def _timestamp(t_ns: int) -> bytes:
    """Return a google.protobuf.Timestamp."""
    seconds, nanos = divmod(t_ns, _NS_A_SECOND)
    return b"\x08" + _varint(seconds % 2**64) + b"\x10" + _varint(nanos)


def _message(payload: bytes) -> tuple[int, bytes]:
    """Return stamp and data of a message that `VideoChannel` made.

    Raises:
        ValueError: it is none.
    """
    fields = dict(_read_fields(payload))
    stamp, data = fields.get(1), fields.get(3)
    if not isinstance(stamp, bytes) or not isinstance(data, bytes):
        raise ValueError("a message lacks its timestamp or data")
    parts = dict(_read_fields(stamp))
    seconds, nanos = parts.get(1, 0), parts.get(2, 0)
    if not isinstance(seconds, int) or not isinstance(nanos, int):
        raise ValueError("a timestamp is none")
    seconds -= 2**64 if seconds >= 2**63 else 0
    t_ns = seconds * _NS_A_SECOND + nanos
    if not -(2**63) <= t_ns < 2**63:
        raise ValueError("a timestamp is no time")
    return t_ns, data


def _read_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        if tag & 7 == 0:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
        elif tag & 7 == 2:
            size, at = _read_varint(data, at)
            if at + size > len(data):
                raise ValueError("a message is cut off")
            yield tag >> 3, data[at : at + size]
            at += size
        else:
            raise ValueError("a message has a field of a kind that we do not write")


def _field(number: int, data: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("a message holds a number without an end")


@cache
def _schema(name: str) -> tuple[str, bytes]:
    """Return a Foxglove message's full name and its serialised FileDescriptorSet."""
    from google.protobuf import descriptor_pb2, timestamp_pb2

    kinds = descriptor_pb2.FieldDescriptorProto
    files = descriptor_pb2.FileDescriptorSet()
    timestamp_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    file = files.file.add(name=f"foxglove/{name}.proto", package="foxglove", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    message = file.message_type.add(name=name)
    for field, number in _FIELDS:
        added = message.field.add(name=field, number=number, label=kinds.LABEL_OPTIONAL)
        added.type = kinds.TYPE_BYTES if field == "data" else kinds.TYPE_STRING
        if field == "timestamp":
            added.type, added.type_name = kinds.TYPE_MESSAGE, ".google.protobuf.Timestamp"
    return f"foxglove.{name}", bytes(files.SerializeToString(deterministic=True))
