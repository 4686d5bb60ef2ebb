"""What a log's messages turn into while it is read: streams, videos, events, and what is said of each topic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Video
from saqiya.domain.streams import Event, JsonValue, Stamp, Stream

__all__ = ["NO_STAMP", "Found", "Stamps", "stamps_of"]

NO_STAMP = np.iinfo(np.int64).min
MOST_APART_NS = 10_000_000_000
"""A header stamp farther than this from the log's own is of another clock (simulation, uptime), or not set."""
FEW = 0.05
MOST_EVENTS = 20_000
MOST_EVENTS_OF_ALL = 200_000
MOST_DETAIL = 1 << 16


@dataclass(frozen=True)
class Stamps:
    """A topic's stamps in order.

    Attributes:
        t_ns: int64 (n,), not decreasing.
        receive_ns: int64 (n,), the log's own, in the same order.
        order: int64 (n,), which message each one is.
        kind: of `t_ns`.
        note: what was done to them, "" for nothing.
        header_ns: int64 (n,), the messages' own where those are not used, in the same order.
    """

    t_ns: NDArray[np.int64]
    receive_ns: NDArray[np.int64]
    order: NDArray[np.int64]
    kind: Stamp
    note: str
    header_ns: NDArray[np.int64] | None = None

    def of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the stamps of messages `rows` in order, and the positions in `rows` that they belong to."""
        place = np.empty(len(self.order), np.int64)
        place[self.order] = np.arange(len(self.order))
        there = place[rows]
        turn = np.argsort(there, kind="stable")
        return self.t_ns[there[turn]], turn


def stamps_of(receive_ns: NDArray[np.int64], sensor_ns: NDArray[np.int64] | None) -> Stamps:
    """Choose between the stamps in the messages and the log's own, and bring them into order.

    A topic's header stamps are its time when nearly all lie within ten seconds of the log's; the few that do not are
    replaced by the log's. Where more are off, the whole topic keeps the log's: mixed clocks cannot be aligned.
    """
    notes: list[str] = []
    header: NDArray[np.int64] | None = None
    kind, t_ns = Stamp.RECEIVE, receive_ns
    if sensor_ns is not None and len(receive_ns):
        given = sensor_ns != NO_STAMP
        # Distances are taken as floats: damaged stamps lie anywhere in 64 bits.
        apart = np.abs(sensor_ns.astype(np.float64) - receive_ns.astype(np.float64))
        good = given & (sensor_ns > 0) & (apart <= MOST_APART_NS)
        bad_n = int((~good).sum())
        if bad_n <= FEW * len(good) and good.any():
            kind, t_ns = Stamp.SENSOR, np.where(good, sensor_ns, receive_ns)
            if bad_n:
                notes.append(f"{bad_n} of {len(good)} header stamps are unset or far off: the log's stand in for them")
        elif bool((sensor_ns[given] != 0).any()):
            header = np.where(given, sensor_ns, 0)
            notes.append(
                f"{bad_n} of {len(good)} header stamps are unset or over {MOST_APART_NS // 10**9} s from the log's: "
                "the log's stamps are used"
            )
    order = np.arange(len(t_ns), dtype=np.int64)
    back_n = int((t_ns[1:] < t_ns[:-1]).sum())
    if back_n:
        order = np.argsort(t_ns, kind="stable").astype(np.int64)
        notes.append(f"{back_n} stamps go back in time: messages were sorted by stamp")
    held = None if header is None else header[order]
    return Stamps(t_ns[order], receive_ns[order], order, kind, "; ".join(notes), held)


@dataclass
class Found:
    """Gathers what a log holds.

    Attributes:
        source: the name of the log's clock ("ros1", "mcap").
        skipped: what could not be read, and why.
        notes: what was done to a topic that a reader of its streams should know.
    """

    source: str
    streams: dict[str, Stream] = field(default_factory=dict)
    videos: dict[str, Video] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    skipped: dict[str, JsonValue] = field(default_factory=dict)
    notes: dict[str, JsonValue] = field(default_factory=dict)
    frames: dict[str, JsonValue] = field(default_factory=dict)

    def clock(self, kind: Stamp) -> str:
        """Name the clock of stamps of this kind."""
        return f"{self.source}:header" if kind is Stamp.SENSOR else f"{self.source}:log_time"

    def note(self, topic: str, what: str) -> None:
        """Say something of a topic."""
        if what:
            said = self.notes.get(topic)
            self.notes[topic] = f"{said}; {what}" if isinstance(said, str) else what

    def stream(
        self,
        name: str,
        stamps: Stamps,
        rows: NDArray[np.int64] | None,
        values: NDArray[Any],
        *,
        unit: str = "",
        fields: tuple[str, ...] = (),
    ) -> None:
        """Add a stream whose values belong to messages `rows` (None: to all of them, in order of arrival).

        A name that is taken already is skipped with a reason.
        """
        if name in self.streams or name in self.videos:
            self.skipped[f"{name} (again)"] = "the log has this name twice"
            return
        if rows is None or (len(rows) == len(stamps.order) and bool((rows == np.arange(len(rows))).all())):
            t_ns, turn = stamps.t_ns, stamps.order
            still = turn is not None and bool((turn[1:] > turn[:-1]).all())
        else:
            t_ns, turn = stamps.of(rows)
            still = bool((turn[1:] > turn[:-1]).all())
        held = values if still else values[turn]
        self.streams[name] = Stream(
            t_ns, held, clock=self.clock(stamps.kind), stamp=stamps.kind, unit=unit, fields=fields
        )

    def receive(self, topic: str, stamps: Stamps) -> None:
        """Keep the stamps that a topic's streams do not have, the log's or the headers', and say what was done."""
        self.note(topic, stamps.note)
        if stamps.header_ns is not None:
            self.streams[f"{topic}/header_stamp"] = Stream(
                stamps.t_ns,
                stamps.header_ns.reshape(-1, 1),
                clock=self.clock(stamps.kind),
                stamp=stamps.kind,
                unit="ns",
            )
        if stamps.kind is Stamp.SENSOR and len(stamps.t_ns):
            name = f"clock/{topic.lstrip('/')}"
            if name not in self.streams:
                self.streams[name] = Stream(
                    stamps.t_ns,
                    stamps.receive_ns.reshape(-1, 1),
                    clock=self.clock(Stamp.SENSOR),
                    stamp=Stamp.SENSOR,
                    unit="ns",
                )

    def event(self, t_ns: int, name: str, detail: str) -> None:
        """Add an event; an overlong text is cut, and the cut is said."""
        if len(detail) > MOST_DETAIL:
            self.note(name, f"texts of more than {MOST_DETAIL:,} letters were cut")
            detail = detail[:MOST_DETAIL]
        self.events.append(Event(t_ns, name, detail))

    def changes(self, name: str, t_ns: NDArray[np.int64], code: NDArray[np.int64], words: tuple[str, ...]) -> None:
        """Add an event each time a text changes; `code` (n,) says which of `words` it was, in order of time."""
        turns = np.flatnonzero(np.concatenate([[True], code[1:] != code[:-1]])) if len(code) else np.empty(0, np.int64)
        if len(self.events) > MOST_EVENTS_OF_ALL:
            self.skipped[f"{name} (events)"] = f"the log has more than {MOST_EVENTS_OF_ALL:,} events"
            return
        if len(turns) > MOST_EVENTS:
            self.skipped[f"{name} (events)"] = (
                f"its text changes {len(turns):,} times: the first {MOST_EVENTS:,} are kept"
            )
            turns = turns[:MOST_EVENTS]
        for at in turns.tolist():
            self.event(int(t_ns[at]), name, words[int(code[at])])
