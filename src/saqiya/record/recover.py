"""Mend a log whose end is missing or whose middle is damaged: keep every whole chunk, say what is gone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from saqiya.domain.streams import JsonValue
from saqiya.errors import UnreadableLog, UsageError
from saqiya.formats.mcap.log import facts, new_file

if TYPE_CHECKING:
    from saqiya.formats.mcap.container import ContainerWriter

__all__ = ["Recovered", "recover"]

_LOOSE = 4096


@dataclass(frozen=True)
class Recovered:
    """What was saved and what was not.

    Attributes:
        path: the mended log.
        messages: messages saved.
        lost_bytes: bytes of the original that could not be read: its torn end, and damaged records.
        damaged: records that were whole in length but not in content.
        why: where and how the original stops, "" when only its middle was damaged.
    """

    path: Path
    messages: int
    lost_bytes: int
    damaged: int
    why: str


def recover(path: Path, out: Path | None = None) -> Recovered:
    """Write what is whole in the MCAP file `path` to a finished file `out` (beside it by default).

    The original is never touched. The new file says in its metadata (`recovered`) that and what it lost.

    Raises:
        UsageError: the log is whole; there is nothing to recover.
        AlreadyThere: `out` exists.
        UnreadableLog: it is no MCAP file, or not one message survived.
        StorageFull: no room for `out`.
    """
    out = out or path.with_name(f"{path.stem}.recovered.mcap")
    from saqiya.formats.mcap.container import ContainerWriter

    with _source(path) as source, new_file(out, fsync=True) as stream:
        salvage = _Salvage(ContainerWriter(stream))
        salvage.read(source, path.stat().st_size)
        if not salvage.why and not salvage.damaged:
            raise UsageError("the log is whole", subject=str(path), remedy="There is nothing to recover: use it.")
        messages = salvage.messages
        if not messages:
            raise UnreadableLog(
                f"not one whole message survived ({salvage.why or 'all is damaged'})",
                subject=str(path),
                remedy="Keep it as evidence, or delete it.",
            )
        done = Recovered(out, messages, salvage.lost_bytes, salvage.damaged, salvage.why)
        salvage.finish(done, path.name)
    return done


def _source(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as bad:
        raise UnreadableLog(
            f"the file cannot be read ({bad.strerror})", subject=str(path), remedy="Check path and rights."
        ) from bad


class _Salvage:
    """Carries records from a broken file into a new one, giving schemas and channels new ids."""

    def __init__(self, writer: ContainerWriter) -> None:
        self._writer = writer
        self._schemas: dict[int, int] = {0: 0}
        self._channels: dict[int, int] = {}
        self._loose: list[tuple[int, bytes]] = []
        self.lost_bytes = 0
        self.damaged = 0
        self.why = ""

    @property
    def messages(self) -> int:
        return sum(self._writer.counts.values())

    def read(self, stream: IO[bytes], size: int) -> None:
        """Take over all that is whole in a file of `size` bytes."""
        from mcap.opcode import Opcode

        from saqiya.formats.mcap.scan import Cut, Damaged, walk

        in_data = True
        try:
            for opcode, _, body in walk(stream, size, check=False):
                in_data = in_data and opcode != Opcode.DATA_END
                if not in_data:
                    continue  # the summary repeats what was read, and may be damaged itself
                try:
                    self._take(opcode, body)
                except Damaged:
                    self.damaged += 1
                    self.lost_bytes += len(body)
        except Cut as cut:
            self.why = f"{cut}, after {cut.at:,} of {size:,} bytes"
            self.lost_bytes += size - cut.at
        self._write_loose()

    def finish(self, done: Recovered, source: str) -> None:
        """Say what was lost, and end the file."""
        said: dict[str, JsonValue] = {
            "source": source,
            "messages": done.messages,
            "lost_bytes": done.lost_bytes,
            "damaged": done.damaged,
            "why": done.why,
        }
        self._writer.metadata("saqiya.recovered", facts(said, source))
        self._writer.finish()

    def _take(self, opcode: int, body: bytes) -> None:
        from mcap.opcode import Opcode

        from saqiya.formats.mcap.scan import chunk_data, read_record, split

        match opcode:
            case Opcode.CHUNK:
                data = chunk_data(body)
                self._write_loose()
                self._take_messages([(op, data[start:end]) for op, start, end in split(data)])
            case Opcode.MESSAGE | Opcode.SCHEMA | Opcode.CHANNEL:
                self._loose.append((opcode, body))
                if len(self._loose) >= _LOOSE:
                    self._write_loose()
            case Opcode.METADATA:
                record = read_record(opcode, body)
                self._writer.metadata(record.name, record.metadata)
            case Opcode.ATTACHMENT:
                self._writer.attachment(read_record(opcode, body))

    def _write_loose(self) -> None:
        """Write the records that stood outside chunks as one chunk."""
        loose, self._loose = self._loose, []
        self._take_messages(loose)

    def _take_messages(self, records: list[tuple[int, bytes]]) -> None:
        from mcap.opcode import Opcode

        from saqiya.formats.mcap.container import Block, repack

        bodies: dict[int, list[bytes]] = defaultdict(list)
        for opcode, body in records:
            if opcode == Opcode.MESSAGE:
                channel = self._channels.get(int.from_bytes(body[:2], "little"))
                if channel is None:  # its declaration was lost with a damaged record
                    self.damaged += 1
                    self.lost_bytes += len(body)
                else:
                    bodies[channel].append(body)
            else:
                self._declare(opcode, body)
        blocks = []
        for channel, kept in bodies.items():
            stamps = np.array([int.from_bytes(body[6:14], "little") for body in kept], np.uint64).view(np.int64)
            blocks.append(Block(channel, stamps, [repack(channel, body) for body in kept]))
        self._writer.write(blocks)

    def _declare(self, opcode: int, body: bytes) -> None:
        from mcap.opcode import Opcode

        from saqiya.formats.mcap.scan import read_record

        record: Any = read_record(opcode, body) if opcode in {Opcode.SCHEMA, Opcode.CHANNEL} else None
        if opcode == Opcode.SCHEMA and record.id not in self._schemas:
            self._schemas[record.id] = self._writer.schema(record.name, record.encoding, record.data)
        elif opcode == Opcode.CHANNEL and record.id not in self._channels:
            self._channels[record.id] = self._writer.channel(
                record.topic,
                encoding=record.message_encoding,
                schema=self._schemas.get(record.schema_id, 0),
                metadata=record.metadata,
            )
