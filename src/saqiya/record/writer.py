"""The recorder's other process: drain the ring, write the log, outlive the control loop. Run by `Recorder` only."""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from saqiya.domain.streams import Stamp, Stream
from saqiya.formats.mcap.container import Block, ContainerWriter, pack_payloads, pack_rows
from saqiya.formats.mcap.log import begin_log, event_channel, event_payload, stream_channel
from saqiya.formats.mcap.rows import RowLayout, layout_of
from saqiya.record.ring import EVENT, Cell, Outlet, Signal, ring_bytes, ring_lanes

__all__ = ["LogWriter", "main"]

DRAIN_S = 0.05
FLUSH_S = 0.3
FLUSH_BYTES = 4 << 20
EVENTS = "events"
_NICE = 10
_REASONS = {Cell.OVERFLOW: "overflow", Cell.LATE: "late", Cell.MALFORMED: "malformed"}


class _Track:
    """One signal's way from the ring to its channel."""

    def __init__(self, outlet: Outlet, layout: RowLayout, channel: int) -> None:
        self.outlet, self.layout, self.channel = outlet, layout, channel
        self._stamps: list[Any] = []
        self._rows: list[Any] = []
        self._taken = 0
        self._noticed = 0

    def drain(self, *, final: bool) -> int:
        """Copy what is new out of the ring and return its bytes."""
        stamps, rows = self.outlet.take(final=final)
        if len(stamps):
            self._stamps.append(stamps)
            self._rows.append(rows)
        return int(rows.nbytes + stamps.nbytes)

    def drained(self) -> tuple[int, Any, Any]:
        """Hand over what was drained: the number of its first sample, stamps and rows."""
        if not self._stamps:
            return self._taken, np.empty(0, np.int64), np.empty((0, *self.layout.shape), self.layout.dtype)
        stamps, rows = np.concatenate(self._stamps), np.concatenate(self._rows)
        self._stamps, self._rows = [], []
        first, self._taken = self._taken, self._taken + len(stamps)
        return first, stamps, rows

    def losses(self) -> dict[str, int]:
        """Return what the control loop could not hand over, by reason."""
        counts = {reason: self.outlet.count(cell) for cell, reason in _REASONS.items()}
        return {reason: count for reason, count in counts.items() if count}

    def news(self) -> str:
        """Return the losses since the last call in words, "" without any."""
        losses = self.losses()
        total = sum(losses.values())
        fresh, self._noticed = total - self._noticed, total
        return f"{fresh} samples; so far {losses}" if fresh else ""


class LogWriter:
    """Turns what comes out of the ring into an MCAP log that is readable up to its last chunk at any moment."""

    def __init__(self, order: Mapping[str, Any], now_s: Callable[[], float]) -> None:
        """Map the ring, open the log and write its head.

        Raises:
            OSError: the log cannot be opened or written.
        """
        signals = {name: Signal(**_signal_args(args)) for name, args in order["signals"].items()}
        lanes = {**signals, EVENTS: EVENT}
        counts = [order["slots"]] * len(signals) + [order["event_slots"]]
        memory = mmap.mmap(order["ring"], ring_bytes(list(lanes.values()), counts))
        self._now_s = now_s
        self._out = Path(order["path"]).open("xb", buffering=0)  # noqa: SIM115 - open for as long as the control process lives
        self._container = ContainerWriter(self._out)
        begin_log(self._container, order["key"], order["metadata"])
        self._tracks: dict[str, _Track] = {}
        for (name, one), lane in zip(lanes.items(), ring_lanes(memory, list(lanes.values()), counts), strict=True):
            layout = layout_of(np.dtype(one.dtype), one.shape, name)
            channel = event_channel(self._container) if name == EVENTS else _channel(self._container, name, one)
            self._tracks[name] = _Track(Outlet(lane), layout, channel)
        self._events = 0
        self._waiting_bytes = 0
        self._flushed_s = now_s()
        self._handed: dict[int, int] = {track.channel: 0 for track in self._tracks.values()}
        self._fault = ""
        self._sync()

    def poll(self) -> None:
        """Drain the ring, and write a chunk when it is time."""
        self._drain(final=False)
        if self._now_s() - self._flushed_s >= FLUSH_S or self._waiting_bytes >= FLUSH_BYTES:
            self._flush()

    def finish(self, end: Mapping[str, Any] | None) -> dict[str, Any]:
        """Write all that is left, the facts of the end and the footer; `end` is None when the control process died."""
        self._drain(final=True)
        self._flush()
        losses = self._losses(end["unknown"] if end else 0)
        samples = {name: self._container.counts[track.channel] for name, track in self._tracks.items()}
        ended = "closed" if end else "the control process died"
        try:
            self._container.metadata("saqiya.losses", {name: json.dumps(lost) for name, lost in losses.items()})
            closing = dict(end["facts"]) if end else {}
            self._container.metadata("saqiya.end", closing | {"recorder": json.dumps({"ended": ended})})
            self._container.finish()
            self._sync()
        except OSError as bad:
            self._fault = f"the file has no end ({bad.strerror}). Run: saqiya record recover {self._out.name}"
        self._out.close()
        return {"samples": samples, "losses": losses, "fault": self._fault}

    def _drain(self, *, final: bool) -> None:
        self._waiting_bytes += sum(track.drain(final=final) for track in self._tracks.values())

    def _flush(self) -> None:
        blocks = []
        for name, track in self._tracks.items():
            first, stamps, rows = track.drained()
            if name == EVENTS:
                blocks.append(self._event_block(stamps, rows))
            elif len(stamps):
                encoded = track.layout.encode(rows)
                blocks.append(pack_rows(track.channel, stamps, encoded, prefix=track.layout.prefix, sequence=first))
        for block in blocks:
            self._handed[block.channel] += len(block.records)
        try:
            self._container.write(blocks)
            self._sync()
        except OSError as bad:
            self._fault = f"the log could not be written in full ({bad.strerror})"
        self._waiting_bytes, self._flushed_s = 0, self._now_s()

    def _event_block(self, stamps: Any, rows: Any) -> Block:  # noqa: ANN401 - arrays
        times = stamps.tolist()
        payloads = [bytes(row).rstrip() for row in rows]
        for name, track in self._tracks.items():
            news = track.news()
            if news:
                times.append(track.outlet.count(Cell.LAST_LOST_NS))
                payloads.append(event_payload("recorder/lost", f"{name}: {news}"))
        first, self._events = self._events, self._events + len(times)
        return pack_payloads(self._tracks[EVENTS].channel, times, payloads, sequence=first)

    def _losses(self, unknown: int) -> dict[str, dict[str, int]]:
        written = self._container.counts
        losses = {name: track.losses() for name, track in self._tracks.items()}
        for name, track in self._tracks.items():
            unwritten = self._handed[track.channel] - written[track.channel]
            if unwritten:
                losses[name]["unwritten"] = unwritten
        if unknown:
            losses["unknown"] = {"undeclared": unknown}
        return {name: lost for name, lost in losses.items() if lost}

    def _sync(self) -> None:
        os.fdatasync(self._out.fileno())


def _signal_args(args: Mapping[str, Any]) -> dict[str, Any]:
    return {**args, "shape": tuple(args["shape"]), "stamp": Stamp(args["stamp"]), "fields": tuple(args["fields"])}


def _channel(container: ContainerWriter, name: str, one: Signal) -> int:
    nothing = np.empty((0, *one.shape), np.dtype(one.dtype))
    empty = Stream(np.empty(0, np.int64), nothing, one.clock, one.stamp, one.unit, one.fields)
    return stream_channel(container, name, empty)


def main() -> None:
    """Follow the order on standard input until it says how to end, it closes, or the control process is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the end of the control process ends the log
    # A real-time control loop hands its class down. Batch work, when it wakes, never puts a running task aside.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.nice(_NICE)
    order = json.loads(_line())
    try:
        log = LogWriter(order, time.monotonic)
    except OSError as bad:
        _say(bad.strerror or str(bad))
        return
    _say("ready")
    last = b""
    while not last.endswith(b"\n"):
        if os.getppid() != order["control"]:
            break  # a forked child of the control process may hold our input open: its end is not enough
        if select.select([0], [], [], DRAIN_S)[0]:
            data = os.read(0, 1 << 16)
            if not data:
                break
            last += data
        log.poll()
    report = log.finish(json.loads(last) if last.endswith(b"\n") else None)
    _say(json.dumps(report))


def _line() -> bytes:
    """Read one line from standard input without reading on."""
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(0, 1 << 16)
        if not data:
            raise SystemExit(2)
        line += data
    return line


def _say(text: str) -> None:
    """Answer the control process, which may be gone by now."""
    try:
        os.write(1, text.encode() + b"\n")
    except BrokenPipeError:
        sys.exit(0)


if __name__ == "__main__":
    main()
