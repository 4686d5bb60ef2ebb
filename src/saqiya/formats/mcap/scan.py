"""Walk an MCAP file record by record and gather its messages by channel, checking every CRC. Loaded late."""

from __future__ import annotations

import operator
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, Header, Metadata, Schema
from numpy.typing import NDArray

from saqiya.formats.bounded import Allowance, Spoiled, unpack
from saqiya.formats.mcap.container import MAGIC
from saqiya.formats.mcap.rows import MARK

if TYPE_CHECKING:
    from saqiya.formats.mcap.video import Pieces

__all__ = [
    "Contents",
    "Cut",
    "Damaged",
    "Foreign",
    "Messages",
    "chunk_data",
    "gather",
    "gather_into",
    "read_record",
    "runs",
    "split",
    "walk",
]

_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIqq")  # stamps are ours to read as signed: what we write before 1970 wraps around
_HEAD = _RECORD.size + _MESSAGE.size
_CHUNK_HEAD = 8 + 8 + 8 + 4 + 4 + 8  # two stamps, size, CRC, an empty compression, length
_STAMP, _STAMP_AT = struct.Struct("<q"), _RECORD.size + 6
_SAME_N = _RECORD.size + 2  # opcode, length and channel: what the records of a run share
_FEWEST_IN_RUN = 4
_CACHED_BYTES = 4096
_tobytes = operator.methodcaller("tobytes")


class Damaged(Exception):
    """A record or chunk whose bytes do not make sense; inner to the MCAP modules, never seen by callers."""


class Cut(Damaged):
    """The file stops being MCAP; `at` is the offset behind the last whole record."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(why)
        self.at = at


@dataclass(frozen=True)
class _Run:
    """Messages that lie side by side and are equally long: int64 (n,), uint32 (n,), and payloads uint8 (n, width)."""

    t_ns: NDArray[np.int64]
    sequence: NDArray[np.uint32]
    payloads: NDArray[np.uint8]

    def rows(self, width: int) -> NDArray[np.uint8] | None:
        return self.payloads if self.payloads.shape[1] == width else None

    def each(self) -> Iterator[tuple[int, int, bytes]]:
        return zip(self.t_ns.tolist(), self.sequence.tolist(), map(_tobytes, self.payloads), strict=True)


@dataclass(frozen=True)
class _Loose:
    """Messages of any length, one by one."""

    t_ns: list[int] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)

    def rows(self, width: int) -> NDArray[np.uint8] | None:
        joined = b"".join(self.payloads)
        if any(len(payload) != width for payload in self.payloads):
            return None
        return np.frombuffer(joined, np.uint8).reshape(len(self.payloads), width)

    def each(self) -> Iterator[tuple[int, int, bytes]]:
        return zip(self.t_ns, self.sequence, self.payloads, strict=True)


class Messages:
    """The messages of one channel in file order."""

    def __init__(self) -> None:
        self._parts: list[_Run | _Loose] = []

    def add(self, data: bytes, at: int, count: int) -> None:
        """Take in `count` equally long message records that begin at `at` in `data`."""
        width = int.from_bytes(data[at + 1 : at + _RECORD.size], "little") - _MESSAGE.size
        if count >= _FEWEST_IN_RUN:
            table = np.ndarray((count,), _row_dtype(width), data, at)
            self._parts.append(_Run(table["t"], table["sequence"], table["payload"]))
            return
        if not self._parts or isinstance(self._parts[-1], _Run):
            self._parts.append(_Loose())
        loose = self._parts[-1]
        if isinstance(loose, _Loose):
            for body in range(at + _RECORD.size, at + count * (_HEAD + width), _HEAD + width):
                _, sequence, t_ns, _ = _MESSAGE.unpack_from(data, body)
                loose.t_ns.append(t_ns)
                loose.sequence.append(sequence)
                loose.payloads.append(data[body + _MESSAGE.size : body + _MESSAGE.size + width])

    @property
    def t_ns(self) -> NDArray[np.int64]:
        """The log time of each, int64 (n,)."""
        return np.concatenate([np.empty(0, np.int64), *(np.asarray(part.t_ns, np.int64) for part in self._parts)])

    def each(self) -> list[tuple[int, int, bytes]]:
        """Log time, sequence number and payload of each."""
        return [message for part in self._parts for message in part.each()]

    def rows(self, width: int) -> NDArray[np.uint8] | None:
        """Return all payloads as uint8 (n, width), or None where one of them has another width."""
        tables = [part.rows(width) for part in self._parts]
        found = [table for table in tables if table is not None]
        if len(found) < len(tables):
            return None
        return found[0] if len(found) == 1 else np.concatenate([np.empty((0, width), np.uint8), *found])


class Foreign(Protocol):
    """Takes the messages of channels that are not ours while the file is walked, so that they need not be kept."""

    def add(self, contents: Contents, channel: int, t_ns: int, payload: bytes, place: int) -> None:
        """Take in one message; `place` is its payload's offset in the file, -1 where it is packed there."""


@dataclass
class Contents:
    """What a file holds. Ids are the file's own.

    Messages of channels that are not ours go to `foreign` where there is one, and are not kept here.
    """

    profile: str = ""
    library: str = ""
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    messages: dict[int, Messages] = field(default_factory=dict)
    cameras: dict[int, Pieces] = field(default_factory=dict)
    metadata: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)
    foreign: Foreign | None = None
    allowance: Allowance = field(default_factory=lambda: Allowance.of(0))
    _passed_on: dict[int, bool] = field(default_factory=dict)

    def take(self, opcode: int, body: bytes, begins: int = -1) -> None:
        """Take in one record whose body lies at `begins` in the file (-1: nobody asks).

        Raises:
            Damaged: its bytes do not make sense.
        """
        match opcode:
            case Opcode.MESSAGE:
                if len(body) < _MESSAGE.size:
                    raise Damaged("a message is too short")
                place = begins - _RECORD.size if begins >= 0 else -1
                self._add(_RECORD.pack(opcode, len(body)) + body, 0, 1, place)
            case Opcode.CHUNK:
                data, inside = _chunk(body, self.allowance)
                self._take_chunk(data, begins + inside if begins >= 0 and inside >= 0 else -1)
            case Opcode.SCHEMA | Opcode.CHANNEL | Opcode.HEADER | Opcode.METADATA | Opcode.ATTACHMENT:
                self._take_rare(read_record(opcode, body))

    def _take_chunk(self, data: bytes, place: int = -1) -> None:
        for opcode, at, count, end in runs(data):
            if opcode == Opcode.MESSAGE:
                self._add(data, at, count, place)
            elif opcode in {Opcode.SCHEMA, Opcode.CHANNEL}:
                self._take_rare(read_record(opcode, data[at + _RECORD.size : end]))

    def _add(self, data: bytes, at: int, count: int, place: int) -> None:
        """Take in `count` message records that begin at `at`; they belong to one channel and are equally long.

        `place` is where `data` lies in the file, -1 where it does not lie there as it is.
        """
        channel = int.from_bytes(data[at + _RECORD.size : at + _SAME_N], "little")
        if self.foreign is not None and self._goes_on(channel):
            step = _RECORD.size + int.from_bytes(data[at + 1 : at + _RECORD.size], "little")
            for begin in range(at, at + count * step, step):
                t_ns = _STAMP.unpack_from(data, begin + _STAMP_AT)[0]
                lies = place + begin + _HEAD if place >= 0 else -1
                self.foreign.add(self, channel, t_ns, data[begin + _HEAD : begin + step], lies)
            return
        kept = self.messages.get(channel)
        if kept is None:
            if channel not in self.channels:
                raise Damaged(f"a message names channel {channel}, which the file does not declare")
            if self.channels[channel].metadata.get(MARK) == "video":
                self._add_packets(channel, data, at, count, place)
                return
            kept = self.messages[channel] = Messages()
        kept.add(data, at, count)

    def _add_packets(self, channel: int, data: bytes, at: int, count: int, place: int) -> None:
        """Take in packets of a camera of ours: their places, not their bytes."""
        from saqiya.formats.mcap.video import Pieces

        pieces = self.cameras.setdefault(channel, Pieces())
        step = _RECORD.size + int.from_bytes(data[at + 1 : at + _RECORD.size], "little")
        for begin in range(at, at + count * step, step):
            _, sequence, _, _ = _MESSAGE.unpack_from(data, begin + _RECORD.size)
            try:
                pieces.add(sequence, data[begin + _HEAD : begin + step], place + begin + _HEAD if place >= 0 else -1)
            except ValueError as bad:
                raise Damaged(f"a packet of a camera does not parse ({bad})") from bad

    def _goes_on(self, channel: int) -> bool:
        """Say whether a channel's messages are passed on to `foreign`."""
        known = self._passed_on.get(channel)
        if known is None:
            if channel not in self.channels:
                raise Damaged(f"a message names channel {channel}, which the file does not declare")
            known = self._passed_on[channel] = MARK not in self.channels[channel].metadata
        return known

    def _take_rare(self, record: Any) -> None:  # noqa: ANN401 - the library's records are untyped to us
        match record:
            case Schema():
                self.schemas[record.id] = record
            case Channel():
                self.channels[record.id] = record
            case Header():
                self.profile, self.library = record.profile, record.library
            case Metadata():
                self.metadata.append((record.name, record.metadata))
            case Attachment():
                self.attachments.append(record.name)


def gather(stream: IO[bytes], size: int, foreign: Foreign | None = None) -> Contents:
    """Read a whole file of `size` bytes; the summary only repeats the data section, and has a checksum of its own.

    Raises:
        Cut: it ends too early.
        Damaged: it is whole, but a record in it is not.
    """
    contents = Contents(foreign=foreign, allowance=Allowance.of(size))
    gather_into(contents, stream, size)
    return contents


def gather_into(contents: Contents, stream: IO[bytes], size: int) -> None:
    """Do as `gather` does, and leave in `contents` what came before the damage, if there is any."""
    in_data = True
    for opcode, at, body in walk(stream, size):
        in_data = in_data and opcode != Opcode.DATA_END
        if in_data:
            contents.take(opcode, body, at + _RECORD.size)


def walk(stream: IO[bytes], size: int, *, check: bool = True) -> Iterator[tuple[int, int, bytes]]:
    """Yield (opcode, offset, body) of every top-level record up to the footer; `check` the data section's CRC.

    Raises:
        Cut: the file ends, or a length is impossible, before the footer and the closing magic.
        Damaged: the data section does not match its checksum.
    """
    crc, at = zlib.crc32(MAGIC), len(MAGIC)
    if stream.read(len(MAGIC)) != MAGIC:
        raise Cut(0, "the file does not begin as MCAP does")
    while True:
        head = stream.read(_RECORD.size)
        opcode, length = _RECORD.unpack(head) if len(head) == _RECORD.size else (0, 0)
        if not opcode or at + _RECORD.size + length > size:
            raise Cut(at, "the file ends in the middle of a record")
        body = stream.read(length)
        if check and opcode == Opcode.DATA_END and int.from_bytes(body[:4], "little") not in {0, crc}:
            raise Damaged("the data section does not match its checksum")
        crc = zlib.crc32(body, zlib.crc32(head, crc))
        yield opcode, at, body
        at += _RECORD.size + length
        if opcode == Opcode.FOOTER:
            if stream.read(len(MAGIC)) != MAGIC:
                raise Cut(at, "the closing magic is missing")
            return


def split(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (opcode, start, end) of the body of every record in a chunk's data.

    Raises:
        Damaged: a record reaches over the end, or a message is too short.
    """
    for opcode, at, count, end in runs(data):
        step = (end - at) // count
        for first in range(at, end, step):
            yield opcode, first + _RECORD.size, first + step


def runs(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield (opcode, start, count, end) of every run of records in a chunk's data.

    A run is as many messages in a row as have one channel and one length; any other record is a run of its own. Since
    a record's length says where the next one begins, equal heads at equal distances are the records that a walk from
    one to the next would find.

    Raises:
        Damaged: a record reaches over the end, or a message is too short.
    """
    at, size = 0, len(data)
    while at < size:
        if at + _RECORD.size > size:
            raise Damaged("a chunk ends in the middle of a record")
        opcode, length = _RECORD.unpack_from(data, at)
        step = _RECORD.size + length
        if at + step > size or (opcode == Opcode.MESSAGE and length < _MESSAGE.size):
            raise Damaged("a chunk holds a record of impossible length")
        count = _alike(data, at, step) if opcode == Opcode.MESSAGE else 1
        yield opcode, at, count, at + count * step
        at += count * step


def _alike(data: bytes, at: int, step: int) -> int:
    """Count the records from `at` on that begin as the first does, `step` bytes apart and whole."""
    head = data[at : at + _SAME_N]
    most = (len(data) - at) // step
    count, window = 1, 16
    while count < most and data[at + count * step : at + count * step + _SAME_N] == head:
        # Look ahead further each time: a long run costs a few looks, and none goes far beyond a short one.
        many = min(window, most - count)
        begins = np.ndarray((many, _SAME_N), np.uint8, data, at + count * step, (step, 1))
        equal = (begins == np.frombuffer(head, np.uint8)).all(axis=1)
        if not equal.all():
            return count + int(equal.argmin())
        count, window = count + many, window * 8
    return count


@lru_cache(maxsize=256)
def _row_dtype(width: int) -> np.dtype[Any]:
    """Return the dtype of a whole message record: of its head what a reader needs, and its payload."""
    fields = {"sequence": ("<u4", 11), "t": ("<i8", 15), "payload": (np.dtype((np.uint8, (width,))), _HEAD)}
    return np.dtype(
        {
            "names": list(fields),
            "formats": [kind for kind, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": _HEAD + width,
        }
    )


def chunk_data(body: bytes) -> bytes:
    """Return the checked, uncompressed data of a chunk record's body.

    Raises:
        Damaged: it does not decompress, or does not match its checksum.
    """
    return _chunk(body, Allowance.of(len(body)))[0]


def _chunk(body: bytes, allowance: Allowance) -> tuple[bytes, int]:
    """Return a chunk's data, and where in `body` it lies as it is (-1: nowhere)."""
    chunk = read_record(Opcode.CHUNK, body)
    try:
        data = unpack(chunk.compression, chunk.data, chunk.uncompressed_size, allowance)
    except Spoiled as bad:
        raise Damaged(f"a chunk does not match its checksum or does not decompress ({bad})") from bad
    if chunk.uncompressed_crc and zlib.crc32(data) != chunk.uncompressed_crc:
        raise Damaged("a chunk does not match its checksum or does not decompress (its CRC differs)")
    return data, -1 if chunk.compression else _CHUNK_HEAD


_KINDS: dict[int, Any] = {
    Opcode.HEADER: Header,
    Opcode.SCHEMA: Schema,
    Opcode.CHANNEL: Channel,
    Opcode.CHUNK: Chunk,
    Opcode.METADATA: Metadata,
    Opcode.ATTACHMENT: Attachment,
}


def read_record(opcode: int, body: bytes) -> Any:  # noqa: ANN401 - the library's records are untyped to us
    """Parse the body of a header, schema, channel, chunk, metadata or attachment record.

    Raises:
        Damaged: the bytes do not make sense.
    """
    if opcode in {Opcode.SCHEMA, Opcode.CHANNEL} and len(body) <= _CACHED_BYTES:
        return _read_again(opcode, body)
    return _read(opcode, body)


@lru_cache(maxsize=1024)
def _read_again(opcode: int, body: bytes) -> Any:  # noqa: ANN401
    """Parse a record that the next file is likely to repeat; nobody changes what is returned."""
    return _read(opcode, body)


def _read(opcode: int, body: bytes) -> Any:  # noqa: ANN401
    try:
        return _KINDS[opcode].read(ReadDataStream(BytesIO(body)))
    except (McapError, ValueError, struct.error, OverflowError, MemoryError) as bad:
        raise Damaged(f"a {Opcode(opcode).name.lower()} record does not parse ({bad})") from bad
