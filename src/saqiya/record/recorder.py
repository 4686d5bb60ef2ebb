"""Record a robot's control loop without disturbing it: one copy into shared memory a sample, all else elsewhere.

A writer process of lower priority drains the memory every 50 ms, writes an MCAP chunk every 0.3 s and finishes the file
even when the control process is killed. So `kill -9` of the control process loses nothing that `record` accepted, and
of both processes at most the last second; then `recover` mends the file. A power cut loses about as much: each chunk is
synced. While a log is being written it has no footer, and every reader says that it is truncated.

The writer leaves a real-time class and takes a lower priority by itself; it inherits the processors that the control
process may use, so open the recorder before you pin the loop to one.
"""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from saqiya.domain.streams import JsonValue
from saqiya.errors import AlreadyThere, RecorderFault, UsageError, WorkspaceError
from saqiya.formats.mcap.log import event_payload, facts
from saqiya.formats.mcap.rows import layout_of
from saqiya.record.ring import EVENT, Cell, Inlet, Signal, ring_bytes, ring_lanes

__all__ = ["Recorded", "Recorder", "Signal"]

EVENTS = "events"
_EVENT_SLOTS = 1024
_LOST = {
    Cell.OVERFLOW: "the ring is full: the writer does not keep up",
    Cell.LATE: "its stamp lies before the last one",
    Cell.MALFORMED: "its shape, dtype or stamp is not what was declared",
}


@dataclass(frozen=True)
class Recorded:
    """What became of a recording.

    Attributes:
        path: the log.
        samples: written samples by signal, and written "events".
        losses: by signal, then by reason ("overflow", "late", "malformed", "unwritten"); "unknown" signals by name.
        fault: "" when the file is whole, else what happened and what to do.
    """

    path: Path
    samples: Mapping[str, int]
    losses: Mapping[str, Mapping[str, int]]
    fault: str = ""


class Recorder:
    """A black box beside a control loop; see the module for what survives which death.

    `record` never blocks, never allocates shared memory, and never raises unless `strict`: what it cannot take is
    counted by signal and reason, and the counts stand in the log (`metadata["losses"]` and `recorder/lost` events).
    Stamps are the caller's. Each signal belongs to one thread; signals of one recorder may belong to different ones.
    """

    def __init__(
        self,
        path: Path,
        signals: Mapping[str, Signal],
        *,
        metadata: Mapping[str, JsonValue] | None = None,
        capacity_bytes: int = 8 << 20,
        strict: bool = False,
    ) -> None:
        """Start the writer and wait until the log is open.

        Args:
            path: of the new log.
            signals: what will be recorded, by stream name.
            metadata: facts known at the start (task, policy, start, ...).
            capacity_bytes: of shared memory, shared out in equal numbers of samples; events have 0.5 MB more.
            strict: raise `RecorderFault` from `record` and `close` where the default counts: for tests.

        Raises:
            AlreadyThere: `path` exists.
            UsageError: the capacity is too small, or "events" was declared as a signal.
            InvalidEpisode: a signal is not numeric, or a fact is not JSON.
            WorkspaceError: the log cannot be opened, or the writer does not start.
        """
        if path.exists():
            raise AlreadyThere("the log exists already", subject=str(path), remedy="Choose another name.")
        if EVENTS in signals:
            raise UsageError(
                "the name is taken by the log's events", subject=EVENTS, remedy="Name the signal otherwise."
            )
        for name, signal in signals.items():
            layout_of(np.dtype(signal.dtype), signal.shape, name)
        facts(metadata or {}, path.stem)  # refuse here what the writer could not write
        slots = capacity_bytes // (sum(signal.slot_bytes for signal in signals.values()) or 1)
        if slots < 2:
            raise UsageError(f"{capacity_bytes} bytes hold no two samples", subject=str(path), remedy="Give it more.")
        self.path, self.strict = path, strict
        self._recorded: Recorded | None = None
        self._unknown = 0
        lanes = {**signals, EVENTS: EVENT}
        counts = [slots] * len(signals) + [_EVENT_SLOTS]
        size = ring_bytes(list(lanes.values()), counts)
        handle = os.memfd_create("saqiya-ring")
        try:
            os.ftruncate(handle, size)
            memory = mmap.mmap(handle, size)
            memory.write(bytes(size))  # touch every page now, so that the loop never waits for one
            self._inlets = {
                name: Inlet(lane, signal)
                for (name, signal), lane in zip(
                    lanes.items(), ring_lanes(memory, list(lanes.values()), counts), strict=True
                )
            }
            order = {
                "ring": handle,
                "control": os.getpid(),
                "path": str(path),
                "key": path.stem,
                "metadata": dict(metadata or {}),
                "signals": {name: asdict(signal) for name, signal in signals.items()},
                "slots": slots,
                "event_slots": _EVENT_SLOTS,
            }
            self._writer = _start_writer(handle, order)
        finally:
            os.close(handle)

    @property
    def writer_pid(self) -> int:
        """Return the process id of the writer."""
        return self._writer.pid

    def record(self, name: str, t_ns: int, values: Any) -> bool:  # noqa: ANN401 - whatever numpy can make an array of
        """Take one sample of `name`, stamped `t_ns`; return whether it was taken.

        Fastest with an array of the declared shape and dtype; any values of that shape that cast to the dtype without
        changing kind will do.

        Raises:
            RecorderFault: strict only: the sample was lost.
        """
        inlet = self._inlets.get(name)
        if inlet is None:
            self._unknown += 1
            return self._lost("no such signal was declared", name)
        lost = inlet.offer(t_ns, values)
        return lost is None or self._lost(_LOST[lost], name)

    def event(self, t_ns: int, name: str, detail: str = "") -> bool:
        """Take one event; return whether it was taken (its JSON may have 512 bytes).

        Raises:
            RecorderFault: strict only: the event was lost.
        """
        inlet = self._inlets.get(EVENTS)
        if inlet is None:
            return self._lost("the recorder is closed", name)
        padded = event_payload(str(name), str(detail)).ljust(EVENT.shape[0])
        lost = inlet.offer(t_ns, np.frombuffer(padded, np.uint8))
        return lost is None or self._lost(_LOST[lost], name)

    def close(
        self, *, outcome: str = "unknown", metadata: Mapping[str, JsonValue] | None = None, timeout_s: float = 30.0
    ) -> Recorded:
        """Have the file finished with what is known at the end, and say what became of it. A second call repeats that.

        Raises:
            InvalidEpisode: a fact is not JSON.
            RecorderFault: strict only: the file is not whole, or samples were lost.
        """
        if self._recorded is None:
            end = facts({**(metadata or {}), "outcome": outcome}, self.path.stem)
            self._inlets = {}
            self._recorded = self._finish({"facts": end, "unknown": self._unknown}, timeout_s)
        if self.strict and (self._recorded.fault or self._recorded.losses):
            raise RecorderFault(
                self._recorded.fault or f"samples were lost: {dict(self._recorded.losses)}", subject=str(self.path)
            )
        return self._recorded

    def _finish(self, order: Mapping[str, Any], timeout_s: float) -> Recorded:
        try:
            out, _ = self._writer.communicate(json.dumps(order).encode() + b"\n", timeout_s)
        except subprocess.TimeoutExpired:
            return Recorded(self.path, {}, {}, f"the writer is not done after {timeout_s} s; it goes on by itself")
        if not out.strip():
            fault = f"the writer died (exit {self._writer.returncode}). Run: saqiya record recover {self.path}"
            return Recorded(self.path, {}, {}, fault)
        report = json.loads(out)
        return Recorded(self.path, report["samples"], report["losses"], report["fault"])

    def _lost(self, why: str, name: str) -> bool:
        if self.strict:
            raise RecorderFault(f"a sample was lost: {why}", subject=name, remedy="Record without strict to count it.")
        return False

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; the outcome stays unknown unless `close` was called inside."""
        if self._recorded is None:
            self.close()


def _start_writer(handle: int, order: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    """Start the writer in a session of its own, so that a terminal's Ctrl-C reaches only the control loop."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "saqiya.record.writer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=(handle,),
        start_new_session=True,
    )
    if writer.stdin is None or writer.stdout is None:
        raise WorkspaceError("the log writer has no pipes", subject=order["path"])
    try:
        writer.stdin.write(json.dumps(order).encode() + b"\n")
        writer.stdin.flush()
        answer = writer.stdout.readline()
    except BrokenPipeError:
        answer = b""
    if answer.strip() == b"ready":
        return writer
    writer.communicate()
    raise WorkspaceError(
        f"the log cannot be opened ({answer.decode().strip() or 'the writer did not start'})",
        subject=order["path"],
        remedy="Check room and rights in its folder.",
    )
