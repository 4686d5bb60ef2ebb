"""Walk an MCAP file record by record and gather its messages by channel, checking every CRC. Loaded late."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Any

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, Header, Metadata, Schema
from mcap.stream_reader import get_chunk_data_stream

from saqiya.formats.mcap_container import MAGIC

__all__ = ["Contents", "Cut", "Damaged", "Messages", "chunk_data", "gather", "read_record", "split", "walk"]

_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")


class Damaged(Exception):
    """A record or chunk whose bytes do not make sense; inner to the MCAP modules, never seen by callers."""


class Cut(Damaged):
    """The file stops being MCAP; `at` is the offset behind the last whole record."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(why)
        self.at = at


@dataclass
class Messages:
    """The messages of one channel in file order: log time (ns), sequence and payload of each."""

    t_ns: list[int] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)


@dataclass
class Contents:
    """What a file holds. Ids are the file's own."""

    profile: str = ""
    library: str = ""
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    messages: dict[int, Messages] = field(default_factory=dict)
    metadata: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)

    def take(self, opcode: int, body: bytes) -> None:
        """Take in one record.

        Raises:
            Damaged: its bytes do not make sense.
        """
        match opcode:
            case Opcode.MESSAGE:
                channel, sequence, t_ns, _ = _MESSAGE.unpack_from(body)
                self._add(channel, sequence, t_ns, body[_MESSAGE.size :])
            case Opcode.CHUNK:
                self._take_chunk(chunk_data(body))
            case Opcode.SCHEMA | Opcode.CHANNEL | Opcode.HEADER | Opcode.METADATA | Opcode.ATTACHMENT:
                self._take_rare(read_record(opcode, body))

    def _take_chunk(self, data: bytes) -> None:
        for opcode, start, end in split(data):
            if opcode == Opcode.MESSAGE:
                channel, sequence, t_ns, _ = _MESSAGE.unpack_from(data, start)
                self._add(channel, sequence, t_ns, data[start + _MESSAGE.size : end])
            elif opcode in {Opcode.SCHEMA, Opcode.CHANNEL}:
                self._take_rare(read_record(opcode, data[start:end]))

    def _add(self, channel: int, sequence: int, t_ns: int, payload: bytes) -> None:
        kept = self.messages.get(channel)
        if kept is None:
            if channel not in self.channels:
                raise Damaged(f"a message names channel {channel}, which the file does not declare")
            kept = self.messages[channel] = Messages()
        kept.t_ns.append(t_ns)
        kept.sequence.append(sequence)
        kept.payloads.append(payload)

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


def gather(stream: IO[bytes], size: int) -> Contents:
    """Read a whole file of `size` bytes; the summary only repeats the data section, and has a checksum of its own.

    Raises:
        Cut: it ends too early.
        Damaged: it is whole, but a record in it is not.
    """
    contents, in_data = Contents(), True
    for opcode, _, body in walk(stream, size):
        in_data = in_data and opcode != Opcode.DATA_END
        if in_data:
            contents.take(opcode, body)
    return contents


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
    at, size = 0, len(data)
    while at < size:
        if at + _RECORD.size > size:
            raise Damaged("a chunk ends in the middle of a record")
        opcode, length = _RECORD.unpack_from(data, at)
        start = at + _RECORD.size
        at = start + length
        if at > size or (opcode == Opcode.MESSAGE and length < _MESSAGE.size):
            raise Damaged("a chunk holds a record of impossible length")
        yield opcode, start, at


def chunk_data(body: bytes) -> bytes:
    """Return the checked, uncompressed data of a chunk record's body.

    Raises:
        Damaged: it does not decompress, or does not match its checksum.
    """
    chunk = read_record(Opcode.CHUNK, body)
    try:
        stream, length = get_chunk_data_stream(chunk, validate_crc=True)
        return bytes(stream.read(length))
    except (McapError, ValueError, RuntimeError, EOFError, zstandard.ZstdError) as bad:
        raise Damaged(f"a chunk does not match its checksum or does not decompress ({bad})") from bad


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
    try:
        return _KINDS[opcode].read(ReadDataStream(BytesIO(body)))
    except (McapError, ValueError, struct.error, OverflowError, MemoryError) as bad:
        raise Damaged(f"a {Opcode(opcode).name.lower()} record does not parse ({bad})") from bad
