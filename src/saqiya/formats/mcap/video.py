"""A camera as MCAP messages that Foxglove plays, and back again bit for bit. Loaded late.

Packets travel as `foxglove.CompressedVideo` (H.264 and HEVC with start codes, AV1, VP9), pictures as
`foxglove.CompressedImage` (JPEG, PNG): https://docs.foxglove.dev/docs/visualization/message-schemas. A message's log
time is in decoding order, its `timestamp` is when the picture was taken. The channel's metadata keeps the rest.
"""

from __future__ import annotations

import base64
import mmap
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Bytes, Track, Video
from saqiya.domain.streams import Stamp
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.formats.mcap.container import pack_payloads
from saqiya.formats.mcap.rows import MARK
from saqiya.formats.pictures.annexb import Wrap, wrap_of
from saqiya.formats.pictures.spool import Spool

if TYPE_CHECKING:
    from saqiya.formats.mcap.container import Block, ContainerWriter

__all__ = ["VIDEO", "Pieces", "VideoChannel", "video_read", "write_beside"]

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


@dataclass
class Pieces:
    """The packets of one camera as the file is walked: where they lie, and those that lie packed in a spool.

    Attributes:
        sequence: the number of each packet in decoding order.
        stamp_ns: when its picture was taken.
        place, size: of the packet, in the file, or in the spool where it lies packed in the file.
        in_file: whether it lies in the file as it is.
    """

    sequence: list[int] = field(default_factory=list)
    stamp_ns: list[int] = field(default_factory=list)
    place: list[int] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    in_file: list[bool] = field(default_factory=list)
    spool: Spool = field(default_factory=Spool)

    def add(self, sequence: int, payload: bytes, place: int) -> None:
        """Take in a message that lies at `place` in the file, -1 where it lies packed there.

        Raises:
            ValueError: it is none of ours.
            StorageFull: the disk of temporary files has no room.
        """
        stamp_ns, begin, size = _message(payload)
        self.sequence.append(sequence)
        self.stamp_ns.append(stamp_ns)
        self.place.append(place + begin if place >= 0 else self.spool.add(payload[begin : begin + size]))
        self.size.append(size)
        self.in_file.append(place >= 0)


def video_read(metadata: Mapping[str, str], pieces: Pieces, path: Path, subject: str) -> tuple[Video, str]:
    """Rebuild a camera from its packets and its channel's metadata, and say what of it is lost ("" for nothing).

    Packets that lie in the file as they were stay there. In a log that was cut short or recovered packets may be
    missing; those behind a gap cannot be decoded and are left out up to the next key packet.

    Raises:
        UnreadableLog: the metadata or a message is damaged.
        StorageFull: the disk of temporary files has no room.
    """
    try:
        count = int(metadata["packets"])
        pre, post = int(metadata["pre"]), int(metadata["post"])
        if min(pre, post) < 0 or pre + post > count:
            raise ValueError("pictures lie both before and after the episode")
        wrap = Wrap(base64.b64decode(metadata["prefix"]), int(metadata["length_bytes"]))
        found, places = np.unique(np.asarray(pieces.sequence, np.int64), return_index=True)
        if not 0 <= count <= max(_ALWAYS_N, _LOST_OF_ONE * len(found)) or bool((found >= count).any()):
            raise ValueError(f"{len(found)} packets of {count}")
        key = np.unpackbits(_unpacked(metadata["key"], (count + 7) // 8), count=count).astype(bool)
        rank = _unpacked(metadata["rank"], count * 8).view("<i8") + np.arange(count)
        numbers = _decodable(found, key)
        where = places[np.isin(found, numbers)]
        order = np.argsort(rank[numbers], kind="stable")
        data, offset, size, file = _packets(pieces, where, key[numbers], wrap, path)
        track = Track(
            t_ns=np.asarray(pieces.stamp_ns, np.int64)[where][order],
            offset=offset,
            size=size,
            key=key[numbers],
            rank=np.argsort(order, kind="stable"),
            pre=int((rank[numbers] < pre).sum()),
            post=int((rank[numbers] >= count - post).sum()),
            **_said(metadata),
        )
        video = Video(track, data, file)
    except (KeyError, ValueError, TypeError, OverflowError, zlib.error, InvalidEpisode, OSError) as bad:
        raise UnreadableLog(f"the camera cannot be rebuilt ({bad})", subject=subject, remedy="Copy it again.") from bad
    lost = count - len(numbers)
    return video, f"{lost} of {count} packets are lost" if lost else ""


def _packets(
    pieces: Pieces, where: NDArray[np.int64], key: NDArray[np.bool_], wrap: Wrap, path: Path
) -> tuple[Bytes, NDArray[np.int64], NDArray[np.int64], Path | None]:
    """Return bytes, and where in them each packet lies without its wrapping; the file, where they are its bytes."""
    place, size = (np.asarray(one, np.int64)[where] for one in (pieces.place, pieces.size))
    in_file = np.asarray(pieces.in_file, bool)[where]
    spooled = pieces.spool.data()
    if not len(where):
        return b"", place, size, None
    whole = _mapped(path) if in_file.any() else b""
    if not wrap.length_bytes and in_file.all():
        head = np.where(key, len(wrap.prefix), 0)
        for at in place[key].tolist():
            if whole[at : at + len(wrap.prefix)] != wrap.prefix:
                raise ValueError("a key packet lacks the parameter sets")
        return whole, place + head, size - head, path
    out, sizes = Spool(), []
    for at, length, inside, is_key in zip(place.tolist(), size.tolist(), in_file.tolist(), key.tolist(), strict=True):
        packet = wrap.unwrap(bytes((whole if inside else spooled)[at : at + length]), key=is_key)
        out.add(packet)
        sizes.append(len(packet))
    made = np.asarray(sizes, np.int64)
    return out.data(), np.cumsum(made) - made, made, None


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


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


def _message(payload: bytes) -> tuple[int, int, int]:
    """Return the stamp of a message that `VideoChannel` made, and where in it the packet begins and how long it is.

    Raises:
        ValueError: it is none.
    """
    fields = {number: (value, begin) for number, value, begin in _read_fields(payload)}
    stamp, data = fields.get(1, (None, 0))[0], fields.get(3, (None, 0))
    if not isinstance(stamp, memoryview) or not isinstance(data[0], memoryview):
        raise ValueError("a message lacks its timestamp or data")
    parts = {number: value for number, value, _ in _read_fields(stamp)}
    seconds, nanos = parts.get(1, 0), parts.get(2, 0)
    if not isinstance(seconds, int) or not isinstance(nanos, int):
        raise ValueError("a timestamp is none")
    seconds -= 2**64 if seconds >= 2**63 else 0
    t_ns = seconds * _NS_A_SECOND + nanos
    if not -(2**63) <= t_ns < 2**63:
        raise ValueError("a timestamp is no time")
    return t_ns, data[1], len(data[0])


def _read_fields(data: bytes | memoryview) -> Iterator[tuple[int, int | memoryview, int]]:
    """Yield number, value and place of each field."""
    at, whole = 0, memoryview(data)
    while at < len(whole):
        tag, at = _read_varint(whole, at)
        if tag & 7 == 0:
            value, at = _read_varint(whole, at)
            yield tag >> 3, value, at
        elif tag & 7 == 2:
            size, at = _read_varint(whole, at)
            if at + size > len(whole):
                raise ValueError("a message is cut off")
            yield tag >> 3, whole[at : at + size], at
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


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
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
    for named, number in _FIELDS:
        added = message.field.add(name=named, number=number, label=kinds.LABEL_OPTIONAL)
        added.type = kinds.TYPE_BYTES if named == "data" else kinds.TYPE_STRING
        if named == "timestamp":
            added.type, added.type_name = kinds.TYPE_MESSAGE, ".google.protobuf.Timestamp"
    return f"foxglove.{name}", bytes(files.SerializeToString(deterministic=True))
