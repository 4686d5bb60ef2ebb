"""A drive on disk while it runs: what a pen wrote since the last record, one record a step, so that nothing is lost.

A record is its length, its CRC-32 and MessagePack. A file that ends in the middle of one, because its process was
killed, is read up to there. A record reaches the operating system at once: a killed process loses nothing. A thread
syncs the file twice a second, so a power cut loses half a second and what the disk takes to sync; no step waits for it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

import msgspec
import numpy as np

from saqiya.domain.streams import EpisodeLog, Event
from saqiya.errors import AlreadyThere, InvalidEpisode, SaqiyaError
from saqiya.loop.tries.pen import Pen
from saqiya.stores.disk import disk_errors, sync_folder

__all__ = ["SYNC_S", "Drove", "Journal", "alive", "read"]

SYNC_S = 0.5

_HEAD = struct.Struct("<II")
_TABLES = ("acted", "members")


class Journal:
    """Writes one drive's records; `pen` is where they come from."""

    def __init__(self, path: Path, pen: Pen, head: Mapping[str, Any]) -> None:
        """Begin the file with `head`: its key, and the facts that go into the log's metadata.

        Raises:
            AlreadyThere: there is one.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = path.open("xb", buffering=0)
        except FileExistsError as error:
            raise AlreadyThere("is being driven, or waits to be taken in", subject=str(path)) from error
        fcntl.flock(self._file, fcntl.LOCK_EX)  # ends with the process, however it ends
        self.path, self._pen, self._counts = path, pen, _counts(pen)
        self._unsynced, self._fault, self._closing = False, list[SaqiyaError](), Flag()
        self._write({"head": dict(head)})
        self._syncer = Thread(target=self._keep_synced, name="sync", daemon=True)
        self._syncer.start()

    def note(self, facts: Mapping[str, Any]) -> None:
        """Write what the pen wrote since, and the facts that changed with it.

        Raises:
            StorageFull, WorkspaceError: the disk refused this, or what was written before.
        """
        counts = _counts(self._pen)
        self._write({"rows": _since(self._pen, self._counts), "facts": dict(facts)})
        self._counts = counts

    def back(self, t_ns: int, events_n: int) -> None:
        """Write that the pen was wound back to `t_ns`, when it held so many events."""
        self._write({"back": t_ns, "events": events_n})
        self._counts = _counts(self._pen)

    def close(self, end: Mapping[str, Any] | None = None) -> None:
        """Write how it ended, where it did, sync it and close the file."""
        if self._file.closed:
            return
        if end is not None:
            self._write({"end": dict(end)})
        self._closing.set()
        self._syncer.join()
        self._file.close()

    def _write(self, record: Mapping[str, Any]) -> None:
        if self._fault:
            raise self._fault[0]
        payload = msgspec.msgpack.encode(record, enc_hook=_plain)
        with disk_errors(self.path):
            self._file.write(_HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
        self._unsynced = True

    def _keep_synced(self) -> None:
        """Sync what was written, twice a second and at the end; the next step raises what the disk refused."""
        try:
            with disk_errors(self.path):
                sync_folder(self.path.parent)
                ended = False
                while not ended:
                    ended = self._closing.wait(SYNC_S)
                    if self._unsynced:
                        self._unsynced = False
                        os.fsync(self._file.fileno())
        except SaqiyaError as fault:
            self._fault.append(fault)


@dataclass
class Drove:
    """A drive as it was read back; `end` is None when its process did not live to say how it ended."""

    head: dict[str, Any]
    pen: Pen = field(default_factory=Pen)
    facts: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] | None = None

    @property
    def human_steps(self) -> int:
        """Steps that the person carried out, those that were done again included."""
        return int(self.facts.get("human_steps", 0))

    def log(self) -> EpisodeLog:
        """Return the episode; what has no end was aborted."""
        last_ns = max(table.t_ns[-1] for table in self.pen.seen)
        events, end = sorted(self.pen.events, key=lambda event: event.t_ns), self.end  # a monitor speaks later
        if end is None:
            end = {"outcome": "aborted"}
            events.append(Event(last_ns, "abort", "the drive was cut off"))
        return EpisodeLog(
            self.head["key"], self.pen.streams(), tuple(events), {**self.head["facts"], **self.facts, **end}
        )


def alive(path: Path) -> bool:
    """Say whether some process still writes a journal."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read(path: Path) -> Drove:
    """Read a drive back, as far as it was written.

    Raises:
        InvalidEpisode: not even its first record is whole.
    """
    drove: Drove | None = None
    for record in _records(path.read_bytes()):
        if drove is None:
            drove = Drove(record["head"])
        elif "back" in record:
            drove.pen.wind_back(record["back"])
            del drove.pen.events[record["events"] :]
        elif "end" in record:
            drove.end = record["end"]
        else:
            _put(drove.pen, record["rows"])
            drove.facts = record["facts"]
    if drove is None:
        raise InvalidEpisode(
            "this drive was cut off before its first step",
            subject=path.name,
            remedy="There is nothing in it: remove it.",
        )
    return drove


def _records(data: bytes) -> Iterator[dict[str, Any]]:
    at = 0
    while at + _HEAD.size <= len(data):
        size, check = _HEAD.unpack_from(data, at)
        payload = data[at + _HEAD.size : at + _HEAD.size + size]
        if len(payload) < size or zlib.crc32(payload) != check:
            return
        yield msgspec.msgpack.decode(payload)
        at += _HEAD.size + size


def _counts(pen: Pen) -> dict[str, Any]:
    """Say how much each list of a pen holds."""
    return {
        "seen": [len(table.t_ns) for table in pen.seen],
        **{name: {key: len(rows) for key, rows in getattr(pen, name).items()} for name in _TABLES},
        "chunks": len(pen.chunks),
        "events": len(pen.events),
    }


def _since(pen: Pen, counts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a pen holds beyond `counts`."""
    known = counts["seen"] + [0] * (len(pen.seen) - len(counts["seen"]))
    return {
        "seen": [
            (place, table.layout, table.t_ns[first:], table.rows[first:])
            for place, (table, first) in enumerate(zip(pen.seen, known, strict=True))
            if len(table.t_ns) > first
        ],
        **{
            name: {key: rows[counts[name].get(key, 0) :] for key, rows in getattr(pen, name).items()}
            for name in _TABLES
        },
        "chunks": pen.chunks[counts["chunks"] :],
        "events": [(event.t_ns, event.name, event.detail) for event in pen.events[counts["events"] :]],
    }


def _put(pen: Pen, rows: Mapping[str, Any]) -> None:
    """Give a pen what `_since` returned."""
    for place, layout, stamps, values in rows["seen"]:
        table = pen.table(place, tuple((name, width) for name, width in layout))
        table.t_ns += stamps
        table.rows += [np.array(one, np.float64) for one in values]
    for name in _TABLES:
        for key, new in rows[name].items():
            getattr(pen, name)[key] += [(t_ns, np.array(v) if isinstance(v, list) else v) for t_ns, v in new]
    pen.chunks += [(t_ns, np.array(v)) for t_ns, v in rows["chunks"]]
    pen.events += [Event(*one) for one in rows["events"]]


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise NotImplementedError(f"a {type(value).__name__} has no place in a journal")
