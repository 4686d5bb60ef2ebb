"""Write the MCAP container in whole blocks: records through the `mcap` library, messages through numpy.

The library's writer costs about 10 microseconds a message. Here the messages of a channel are packed at once and lie
side by side in each chunk; every other record is the library's own. Loaded late: it imports `mcap`.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any

import numpy as np
import zstandard
from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Attachment,
    AttachmentIndex,
    Channel,
    Chunk,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)
from numpy.typing import NDArray

__all__ = ["MAGIC", "Block", "ContainerWriter", "pack_payloads", "pack_rows", "repack"]

MAGIC = b"\x89MCAP0\r\n"
LIBRARY = "saqiya"
CHUNK_BYTES = 768 * 1024

_MESSAGE = struct.Struct("<BQHIQQ")  # opcode, length, channel, sequence, log time, publish time
_MESSAGE_FIELDS = 22
_SEQUENCE, _STAMPS = slice(11, 15), slice(15, 31)
_INDEX = struct.Struct("<BQHI")  # opcode, length, channel, bytes of its rows
_kept = threading.local()
_INDEX_ROW = np.dtype([("t", "<u8"), ("offset", "<u8")])


@dataclass(frozen=True)
class Block:
    """Packed message records of one channel, in the order they are to keep.

    Attributes:
        channel: its id.
        t_ns: int64 (n,), the log time of each.
        records: n whole message records, uint8 (n, bytes) where all are equally long.
    """

    channel: int
    t_ns: NDArray[np.int64]
    records: NDArray[np.uint8] | Sequence[bytes]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The bytes of each record, int64 (n,)."""
        if isinstance(self.records, np.ndarray):
            return np.full(len(self.records), self.records.shape[1], np.int64)
        return np.fromiter(map(len, self.records), np.int64, len(self.records))

    @property
    def data(self) -> bytes:
        """All records, one behind the other."""
        return self.records.tobytes() if isinstance(self.records, np.ndarray) else b"".join(self.records)

    def part(self, first: int, last: int) -> Block:
        """Return the records `first` to `last`, the last left out."""
        return Block(self.channel, self.t_ns[first:last], self.records[first:last])

    def in_time_order(self) -> Block:
        """Return the block sorted by stamp; equal stamps keep their order."""
        if bool((self.t_ns[1:] >= self.t_ns[:-1]).all()):
            return self
        order = np.argsort(self.t_ns, kind="stable")
        many = self.records
        records = many[order] if isinstance(many, np.ndarray) else [many[i] for i in order.tolist()]
        return Block(self.channel, self.t_ns[order], records)


def pack_rows(
    channel: int, t_ns: NDArray[np.int64], rows: NDArray[np.uint8], *, prefix: bytes, sequence: int = 0
) -> Block:
    """Pack rows uint8 (n, width), each behind `prefix`, as messages numbered from `sequence`."""
    count, width = len(t_ns), len(prefix) + rows.shape[1]
    head = _MESSAGE.pack(Opcode.MESSAGE, _MESSAGE_FIELDS + width, channel, 0, 0, 0) + prefix
    packed = np.empty((count, len(head) + rows.shape[1]), np.uint8)
    packed[:, : len(head)] = np.frombuffer(head, np.uint8)
    packed[:, len(head) :] = rows
    packed[:, _SEQUENCE].view("<u4")[:, 0] = np.arange(sequence, sequence + count) & 0xFFFF_FFFF
    packed[:, _STAMPS].view("<i8")[:] = t_ns[:, None]
    return Block(channel, t_ns, packed)


def pack_payloads(channel: int, t_ns: Sequence[int], payloads: Sequence[bytes], *, sequence: int = 0) -> Block:
    """Pack payloads of any length as messages numbered from `sequence`."""
    records = [
        _MESSAGE.pack(Opcode.MESSAGE, _MESSAGE_FIELDS + len(payload), channel, sequence + i, t % 2**64, t % 2**64)
        + payload
        for i, (t, payload) in enumerate(zip(t_ns, payloads, strict=True))
    ]
    return Block(channel, np.asarray(t_ns, np.int64).reshape(len(records)), records)


def repack(channel: int, body: bytes) -> bytes:
    """Return the record of a message whose body is `body`, moved to another channel."""
    return struct.pack("<BQH", Opcode.MESSAGE, len(body), channel) + body[2:]


class ContainerWriter:
    """Writes one MCAP file. A record that could not be written whole is taken back, so what is there stays readable."""

    def __init__(self, out: IO[bytes], *, compress: bool = True) -> None:
        """Begin the file: magic and header."""
        self._out = out
        self._compress = _compressor().compress if compress else None
        self._at = 0
        self._crc = 0
        self._schemas: dict[tuple[str, str, bytes], int] = {}
        self._declared: dict[Opcode, list[bytes]] = {Opcode.SCHEMA: [], Opcode.CHANNEL: []}
        self._counts: dict[int, int] = {}
        self._chunk_indexes: list[ChunkIndex] = []
        self._metadata_indexes: list[MetadataIndex] = []
        self._attachment_indexes: list[AttachmentIndex] = []
        self._put(MAGIC + _bytes_of(Header(profile="", library=LIBRARY)))

    @property
    def counts(self) -> dict[int, int]:
        """Return how many messages of each channel were written."""
        return dict(self._counts)

    def schema(self, name: str, encoding: str, data: bytes) -> int:
        """Write a schema once and return its id."""
        key = (name, encoding, data)
        if key not in self._schemas:
            record = _schema_record(len(self._schemas) + 1, name, encoding, data)
            self._put(record)
            self._schemas[key] = len(self._schemas) + 1
            self._declared[Opcode.SCHEMA].append(record)
        return self._schemas[key]

    def channel(self, topic: str, *, encoding: str, schema: int, metadata: Mapping[str, str]) -> int:
        """Write a channel and return its id."""
        number = len(self._counts) + 1
        record = _channel_record(number, topic, encoding, schema, tuple(metadata.items()))
        self._put(record)
        self._declared[Opcode.CHANNEL].append(record)
        self._counts[number] = 0
        return number

    def metadata(self, name: str, entries: Mapping[str, str]) -> None:
        """Write a metadata record."""
        data = _bytes_of(Metadata(name=name, metadata=dict(entries)))
        at = self._put(data)
        self._metadata_indexes.append(MetadataIndex(offset=at, length=len(data), name=name))

    def attachment(self, attachment: Attachment) -> None:
        """Write an attachment."""
        data = _bytes_of(attachment)
        at = self._put(data)
        self._attachment_indexes.append(
            AttachmentIndex(
                offset=at,
                length=len(data),
                log_time=attachment.log_time,
                create_time=attachment.create_time,
                data_size=len(attachment.data),
                name=attachment.name,
                media_type=attachment.media_type,
            )
        )

    def write(self, blocks: Sequence[Block], *, packed: bool = False) -> None:
        """Write blocks, at most one a channel, as chunks that follow each other in time, each with its message indexes.

        Within a chunk the messages of a channel lie side by side, so that they are written, packed and read as one
        array; readers bring a chunk into time order by its indexes. Blocks that are `packed` already (encoded
        pictures) are not compressed again.
        """
        held = [block.in_time_order() for block in blocks if len(block.records)]
        for part in _cut(held):
            self._chunk(part, None if packed else self._compress)

    def finish(self) -> None:
        """Write the summary and the footer: from here on any reader accepts the file."""
        self._put(_bytes_of(DataEnd(self._crc)))
        start, body, offsets = self._at, b"", RecordBuilder()
        for opcode, group in self._summary():
            if group:
                SummaryOffset(opcode, start + len(body), len(group)).write(offsets)
            body += group
        tail = offsets.end()
        offset_start = start + len(body)
        head = struct.pack("<BQQQ", Opcode.FOOTER, 20, start, offset_start)
        crc = zlib.crc32(head, zlib.crc32(body + tail))
        self._put(body + tail + _bytes_of(Footer(start, offset_start, crc)) + MAGIC)

    def _summary(self) -> Iterator[tuple[Opcode, bytes]]:
        for opcode, records in self._declared.items():
            yield opcode, b"".join(records)
        statistics = Statistics(
            attachment_count=len(self._attachment_indexes),
            channel_count=len(self._counts),
            channel_message_counts={k: n for k, n in self._counts.items() if n},
            chunk_count=len(self._chunk_indexes),
            message_count=sum(self._counts.values()),
            message_end_time=max((index.message_end_time for index in self._chunk_indexes), default=0),
            message_start_time=min((index.message_start_time for index in self._chunk_indexes), default=0),
            metadata_count=len(self._metadata_indexes),
            schema_count=len(self._schemas),
        )
        yield Opcode.STATISTICS, _bytes_of(statistics)
        yield Opcode.CHUNK_INDEX, _bytes_of(*self._chunk_indexes)
        yield Opcode.ATTACHMENT_INDEX, _bytes_of(*self._attachment_indexes)
        yield Opcode.METADATA_INDEX, _bytes_of(*self._metadata_indexes)

    def _chunk(self, blocks: Sequence[Block], compress: Callable[[bytes], bytes] | None) -> None:
        data = b"".join([block.data for block in blocks])
        index = _index_of(blocks)
        start_ns, end_ns = int(index["t"].min()), int(index["t"].max())
        stored = compress(data) if compress else data
        compression = "zstd" if compress else ""
        chunk = _bytes_of(
            Chunk(
                compression=compression,
                data=stored,
                message_end_time=end_ns,
                message_start_time=start_ns,
                uncompressed_crc=zlib.crc32(data),
                uncompressed_size=len(data),
            )
        )
        rows, row_bytes = memoryview(index.tobytes()), index.itemsize
        indexes, offsets, at, first = [], {}, self._at + len(chunk), 0
        for block in blocks:
            size = len(block.records) * row_bytes
            record = _INDEX.pack(Opcode.MESSAGE_INDEX, 6 + size, block.channel, size) + rows[first : first + size]
            indexes.append(record)
            offsets[block.channel] = at
            at, first = at + len(record), first + size
        index_bytes = b"".join(indexes)
        begin = self._put(chunk + index_bytes)
        for block in blocks:
            self._counts[block.channel] += len(block.records)
        self._chunk_indexes.append(
            ChunkIndex(
                chunk_length=len(chunk),
                chunk_start_offset=begin,
                compression=compression,
                compressed_size=len(stored),
                message_end_time=end_ns,
                message_index_length=len(index_bytes),
                message_index_offsets=offsets,
                message_start_time=start_ns,
                uncompressed_size=len(data),
            )
        )

    def _put(self, data: bytes) -> int:
        """Write `data` whole and return where it begins; on failure cut the file back to where it was and raise."""
        at, left = self._at, memoryview(data)
        try:
            while left:
                left = left[self._out.write(left) :]
            self._out.flush()
        except OSError:
            self._out.seek(at)
            self._out.truncate(at)
            raise
        self._crc = zlib.crc32(data, self._crc)
        self._at += len(data)
        return at


def _cut(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Cut blocks, each in time order, into chunks of at most `CHUNK_BYTES` (or one message) that follow in time."""
    if not blocks:
        return
    sizes = [block.sizes for block in blocks]
    if sum(int(one.sum()) for one in sizes) <= CHUNK_BYTES:
        yield list(blocks)
        return
    order = np.argsort(np.concatenate([block.t_ns for block in blocks]), kind="stable")
    owners = np.repeat(np.arange(len(blocks)), [len(one) for one in sizes])[order]
    ends = np.cumsum(np.concatenate(sizes)[order])
    taken, first = np.zeros(len(blocks), np.int64), 0
    while first < len(order):
        base = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, base + CHUNK_BYTES, side="right")))
        upto = taken + np.bincount(owners[first:last], minlength=len(blocks))
        parts = zip(blocks, taken.tolist(), upto.tolist(), strict=True)
        yield [block.part(a, b) for block, a, b in parts if b > a]
        taken, first = upto, last


def _index_of(blocks: Sequence[Block]) -> NDArray[Any]:
    """Return log time and offset in the chunk of every message, channel by channel."""
    sizes = np.concatenate([block.sizes for block in blocks])
    index = np.empty(len(sizes), _INDEX_ROW)
    index["t"] = np.concatenate([block.t_ns for block in blocks]).view(np.uint64)
    index["offset"] = np.cumsum(sizes) - sizes
    return index


def _compressor() -> zstandard.ZstdCompressor:
    """Return this thread's compressor: a new one for every file costs more than a small file's compression."""
    if not hasattr(_kept, "compressor"):
        _kept.compressor = zstandard.ZstdCompressor(level=1)
    compressor: zstandard.ZstdCompressor = _kept.compressor
    return compressor


def _bytes_of(*records: Any) -> bytes:  # noqa: ANN401 - the library's records are untyped to us
    builder = RecordBuilder()
    for record in records:
        record.write(builder)
    return bytes(builder.end())


# The tries of one site declare the same schemas and channels, file after file.
@lru_cache(maxsize=64)
def _schema_record(number: int, name: str, encoding: str, data: bytes) -> bytes:
    return _bytes_of(Schema(id=number, data=data, encoding=encoding, name=name))


@lru_cache(maxsize=1024)
def _channel_record(
    number: int, topic: str, encoding: str, schema: int, metadata: tuple[tuple[str, str], ...]
) -> bytes:
    channel = Channel(id=number, topic=topic, message_encoding=encoding, schema_id=schema, metadata=dict(metadata))
    return _bytes_of(channel)
