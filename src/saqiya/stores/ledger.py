"""What was spent on data, noted by whoever spends it: one line of JSON each, under derived/.

These are counters, not facts: the catalog knows what there is, and only this file knows how long it took and how many
bytes were written on the way. Deleting it forgets that, and the tax is then told from there on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from saqiya.domain.ids import Clock
from saqiya.stores.disk import disk_errors, write_all

__all__ = ["Delivered", "Entry", "Exported", "Ingested", "Ledger", "delivering"]

T = TypeVar("T")
_FILE: Final = "tax.jsonl"


class Ingested(msgspec.Struct, frozen=True, kw_only=True, tag="ingested"):
    """One run of ingest.

    Attributes:
        began_ns, ended_ns: when it ran.
        closed_ns: when the last of its logs was closed (the newest change of a file); None when that is not known.
        recordings: ids of the recordings whose tries came in.
        read_bytes: bytes of originals that were read.
        written_bytes: bytes that were written: objects, and what the catalog grew by.
    """

    began_ns: int
    ended_ns: int
    read_bytes: int
    written_bytes: int
    recordings: tuple[str, ...] = ()
    closed_ns: int | None = None


class Delivered(msgspec.Struct, frozen=True, kw_only=True, tag="delivered"):
    """One pass of a loader, or as much of it as was asked for.

    Attributes:
        opened_ns: when the version was opened for this pass.
        first_ns: when the first batch was there.
        dataset: id of the dataset version; "" when the windows are of loose episodes.
        samples: how many were delivered.
        seconds: from the opening to the end of the last step.
        waited_s: how much of that the training step stood waiting for a batch.
    """

    opened_ns: int
    first_ns: int
    dataset: str
    samples: int
    seconds: float
    waited_s: float


class Exported(msgspec.Struct, frozen=True, kw_only=True, tag="exported"):
    """Episodes written in another's format.

    Attributes:
        export: id of the export.
        began_ns, ended_ns: when it ran.
        written_bytes: how large it is.
        resampled: streams that had to take another's rate.
    """

    export: str
    began_ns: int
    ended_ns: int
    written_bytes: int
    resampled: tuple[str, ...] = ()


Entry = Ingested | Delivered | Exported
_DECODER: Final = msgspec.json.Decoder(Entry)


class Ledger:
    """The counters of a workspace. Any number of processes may add at once."""

    def __init__(self, derived: Path) -> None:
        """Keep the counters in a workspace's `derived` folder; nothing is opened before it is needed."""
        self._path = derived / _FILE

    def add(self, entry: Entry) -> None:
        """Note one expense.

        Raises:
            StorageFull: no room; the counters before stay as they are.
        """
        with disk_errors(self._path):
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                write_all(handle, b"\n" + msgspec.json.encode(entry) + b"\n")  # a torn line before it stays alone
            finally:
                os.close(handle)

    def read(self) -> tuple[list[Entry], int]:
        """Return every entry in order, and how many lines could not be read (a crash leaves at most one)."""
        if not self._path.is_file():
            return [], 0
        entries: list[Entry] = []
        unreadable = 0
        with disk_errors(self._path), self._path.open("rb") as file:
            for line in filter(bytes.strip, file):
                try:
                    entries.append(_DECODER.decode(line))
                except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
                    unreadable += 1
        return entries, unreadable


def delivering(
    batches: Iterable[T], ledger: Ledger, *, clock: Clock, dataset: str, samples: Callable[[T], int]
) -> Iterator[T]:
    """Pass batches on to a training step, and note how many samples it got and how long it stood waiting.

    The time between two requests is the step's own; the time within one is waiting. What was delivered is noted when
    the batches end, or when the step stops asking.

    Args:
        batches: what a loader gives; it is opened when the first batch is asked for.
        ledger: where to note it.
        clock: nanoseconds since 1970.
        dataset: id of the dataset version, "" for loose episodes.
        samples: how many there are in a batch.
    """
    opened_ns = clock()
    first_ns = count = waited_ns = 0
    try:
        source = iter(batches)
        while True:
            asked_ns = clock()
            try:
                batch = next(source)
            except StopIteration:
                return
            got_ns = clock()
            waited_ns += got_ns - asked_ns
            first_ns = first_ns or got_ns
            count += samples(batch)
            yield batch
    finally:
        if count:
            ledger.add(
                Delivered(
                    opened_ns=opened_ns,
                    first_ns=first_ns,
                    dataset=dataset,
                    samples=count,
                    seconds=(clock() - opened_ns) / 1e9,
                    waited_s=waited_ns / 1e9,
                )
            )
