"""Shared memory between a control loop and its log writer: one ring a signal, one producer, one consumer, no lock.

The producer copies a sample into its slot and then raises `head`; the consumer copies slots out and then raises `tail`.
Python has no memory barriers, and some processors (ARM) reorder stores, so each side trusts the other's counter one
poll (50 ms) late: by then every store before it has long arrived. Counters are aligned 8-byte cells.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import Stamp

__all__ = ["EVENT", "Cell", "Inlet", "Outlet", "Signal", "ring_bytes", "ring_lanes"]

_CELLS = 8
_ALIGN = 64  # a cache line: no two lanes share one


class Cell(IntEnum):
    """What the counters at the head of a lane are."""

    HEAD = 0
    TAIL = 1
    OVERFLOW = 2
    LATE = 3
    MALFORMED = 4
    LAST_LOST_NS = 5


@dataclass(frozen=True)
class Signal:
    """A signal to be recorded.

    Attributes:
        shape: of one sample; () for a number.
        dtype: any numeric numpy dtype.
        unit, clock, stamp, fields: as in `Stream`.
    """

    shape: tuple[int, ...]
    dtype: str = "<f8"
    unit: str = ""
    clock: str = "host"
    stamp: Stamp = Stamp.SENSOR
    fields: tuple[str, ...] = ()

    @property
    def slot_bytes(self) -> int:
        """Return the bytes that one sample and its stamp take in a ring."""
        return 8 + math.prod(self.shape) * np.dtype(self.dtype).itemsize


EVENT = Signal((512,), "|u1")
"""The lane of events: the JSON of one, padded with spaces."""


@dataclass(frozen=True)
class Lane:
    """The three views of one lane: counters, stamps int64 (slots,), rows (slots, *shape)."""

    cells: memoryview
    stamps: memoryview
    rows: NDArray[Any]


def ring_bytes(signals: Sequence[Signal], slots: Sequence[int]) -> int:
    """Return the bytes of shared memory that `slots[i]` slots for each signal need."""
    return sum(sum(_parts(signal, count)) for signal, count in zip(signals, slots, strict=True))


def ring_lanes(memory: mmap.mmap, signals: Sequence[Signal], slots: Sequence[int]) -> list[Lane]:
    """Lay the lanes out over `memory`; both processes call this with equal arguments."""
    lanes, at, whole = [], 0, memoryview(memory)
    for signal, count in zip(signals, slots, strict=True):
        head, stamps, rows = _parts(signal, count)
        dtype = np.dtype(signal.dtype)
        lanes.append(
            Lane(
                whole[at : at + head].cast("q"),
                whole[at + head : at + head + count * 8].cast("q"),
                np.ndarray((count, *signal.shape), dtype, buffer=memory, offset=at + head + stamps),
            )
        )
        at += head + stamps + rows
    return lanes


def _parts(signal: Signal, slots: int) -> tuple[int, int, int]:
    sizes = (_CELLS * 8, slots * 8, max(1, slots * (signal.slot_bytes - 8)))
    head, stamps, rows = (-(-size // _ALIGN) * _ALIGN for size in sizes)
    return head, stamps, rows


class Inlet:
    """The control loop's end of a lane. One thread at a time."""

    def __init__(self, lane: Lane, signal: Signal) -> None:
        self._cells, self._stamps, self._rows = lane.cells, lane.stamps, lane.rows
        self._slots = len(lane.stamps)
        self._shape, self._dtype = signal.shape, np.dtype(signal.dtype)
        self._head = self._tail = 0
        self._last_ns = -(2**63)

    def offer(self, t_ns: int, values: Any) -> Cell | None:  # noqa: ANN401 - whatever numpy can make an array of
        """Copy one sample in; return None, or the counter under which its loss was counted."""
        head = self._head
        if head - self._tail >= self._slots:
            self._tail = self._cells[Cell.TAIL]
            if head - self._tail >= self._slots:
                return self._lose(Cell.OVERFLOW, t_ns)
        try:
            array = values if type(values) is np.ndarray else np.asarray(values)
            if array.shape != self._shape or (
                array.dtype != self._dtype and not np.can_cast(array.dtype, self._dtype, "same_kind")
            ):
                return self._lose(Cell.MALFORMED, t_ns)
            if t_ns < self._last_ns:
                return self._lose(Cell.LATE, t_ns)
            slot = head % self._slots
            self._stamps[slot] = t_ns
            self._rows[slot] = array
        except (TypeError, ValueError, OverflowError, Warning):  # what numpy says of values that are no numbers
            return self._lose(Cell.MALFORMED, t_ns)
        self._last_ns = t_ns
        self._head = head + 1
        self._cells[Cell.HEAD] = head + 1
        return None

    def _lose(self, cell: Cell, t_ns: int) -> Cell:
        self._cells[cell] += 1
        if isinstance(t_ns, (int, np.integer)) and -(2**63) <= t_ns < 2**63:
            self._cells[Cell.LAST_LOST_NS] = t_ns
        return cell


class Outlet:
    """The writer's end of a lane."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._slots = len(lane.stamps)
        self._stamps: NDArray[np.int64] = np.frombuffer(lane.stamps, np.int64)
        self._taken = self._seen = 0

    def take(self, *, final: bool = False) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Copy out what the counter showed at the last poll; `final`, when the producer is gone, all there is."""
        self._lane.cells[Cell.TAIL] = self._taken
        head = self._lane.cells[Cell.HEAD]
        until = head if final else self._seen
        slots = np.arange(self._taken, until) % self._slots
        self._taken, self._seen = until, head
        return self._stamps[slots], self._lane.rows[slots]

    def count(self, cell: Cell) -> int:
        """Return a counter of the producer's."""
        return self._lane.cells[cell]
