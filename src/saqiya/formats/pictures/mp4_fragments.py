"""The packets of movie fragments (`moof`), as recorders write them that must survive a cut: ISO/IEC 14496-12, 8.8."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fragment", "fragments"]

_NOT_KEY = 0x10000
_FIELDS = (0x100, 0x200, 0x400, 0x800)  # duration, size, flags and shift of each packet, where a run brings its own


@dataclass(frozen=True)
class Fragment:
    """Packets in decoding order: where they lie, int64 (P,), if decoding can begin, when, how much later shown."""

    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    key: NDArray[np.bool_]
    dts: NDArray[np.int64]
    shift: NDArray[np.int64]

    @staticmethod
    def joined(parts: Sequence[Fragment]) -> Fragment:
        """Put fragments one after the other."""
        return Fragment(
            np.concatenate([one.offset for one in parts]),
            np.concatenate([one.size for one in parts]),
            np.concatenate([one.key for one in parts]),
            np.concatenate([one.dts for one in parts]),
            np.concatenate([one.shift for one in parts]),
        )


@dataclass(frozen=True)
class _Defaults:
    duration: int
    size: int
    flags: int


def fragments(
    data: memoryview, moofs: Sequence[tuple[bytes, int, int]], moov: tuple[bytes, int, int], number: int, tick: int
) -> list[Fragment]:
    """Return the packets of track `number` in every fragment.

    Args:
        data: the whole file.
        moofs: the fragments' boxes.
        moov: the box that holds the tracks' defaults.
        number: the track's id.
        tick: the decoding time at which a fragment begins that does not say it.
    """
    defaults = _trex(data, moov, number)
    found: list[Fragment] = []
    for _, start, end in moofs:
        for kind, low, high in _boxes(data, start, end):
            if kind != b"traf":
                continue
            part = _traf(data, (low, high), start - 8, number, defaults, tick)
            if part is not None and len(part.size):
                found.append(part)
                tick = int(part.dts[-1]) + (int(part.dts[-1] - part.dts[-2]) if len(part.dts) > 1 else 1)
    return found


def _boxes(data: memoryview, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    at = start
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > end:
            raise ValueError(f"the box at byte {at} claims {size} bytes")
        yield kind, at + 8, at + size
        at += size


def _trex(data: memoryview, moov: tuple[bytes, int, int], number: int) -> _Defaults:
    for kind, start, end in _boxes(data, moov[1], moov[2]):
        if kind == b"mvex":
            for inner, low, _ in _boxes(data, start, end):
                if inner == b"trex" and struct.unpack_from(">I", data, low + 4)[0] == number:
                    return _Defaults(*struct.unpack_from(">III", data, low + 12))
    return _Defaults(0, 0, 0)


def _traf(
    data: memoryview, span: tuple[int, int], base: int, number: int, defaults: _Defaults, tick: int
) -> Fragment | None:
    runs: list[Fragment] = []
    place = base
    for kind, start, end in _boxes(data, *span):
        if kind == b"tfhd":
            flags, own = struct.unpack_from(">II", data, start)
            if own != number:
                return None
            place, defaults = _tfhd(data, start + 8, flags, base, defaults)
        elif kind == b"tfdt":
            (tick,) = struct.unpack_from(">Q" if data[start] else ">I", data, start + 4)
            if tick >= 1 << 62:
                raise ValueError("a fragment begins beyond any time")
        elif kind == b"trun":
            run, tick, place = _trun(data, (start, end), base, place, tick, defaults)
            runs.append(run)
    return Fragment.joined(runs) if runs else None


def _tfhd(data: memoryview, at: int, flags: int, base: int, defaults: _Defaults) -> tuple[int, _Defaults]:
    place = base
    if flags & 0x1:
        (place,) = struct.unpack_from(">Q", data, at)
        at += 8
    at += 4 if flags & 0x2 else 0
    values = [defaults.duration, defaults.size, defaults.flags]
    for index, bit in enumerate((0x8, 0x10, 0x20)):
        if flags & bit:
            (values[index],) = struct.unpack_from(">I", data, at)
            at += 4
    return place, _Defaults(*values)


def _trun(
    data: memoryview, span: tuple[int, int], base: int, place: int, tick: int, defaults: _Defaults
) -> tuple[Fragment, int, int]:
    """Return a run's packets, the tick after it, and the byte after it."""
    at, end = span
    word, count = struct.unpack_from(">II", data, at)
    at += 8
    if word & 0x1:
        (shift,) = struct.unpack_from(">i", data, at)
        place, at = base + shift, at + 4
    first_flags = None
    if word & 0x4:
        (first_flags,) = struct.unpack_from(">I", data, at)
        at += 4
    own = [bit for bit in _FIELDS if word & bit]
    if at + count * 4 * len(own) > end or (not own and count * max(defaults.size, 1) > len(data)):
        raise ValueError(f"a run claims {count} packets and is too short for them")
    table = (
        np.frombuffer(data, dtype=">u4", count=count * len(own), offset=at).reshape(count, len(own)).astype(np.int64)
    )

    def column(bit: int, default: int) -> NDArray[np.int64]:
        return table[:, own.index(bit)] if bit in own else np.full(count, default, dtype=np.int64)

    size, flags = column(0x200, defaults.size), column(0x400, defaults.flags).copy()
    if first_flags is not None and count:
        flags[0] = first_flags
    later = column(0x800, 0).astype(np.uint32).astype(np.int32).astype(np.int64)
    steps = column(0x100, defaults.duration)
    offset = place + np.cumsum(size) - size
    dts = tick + np.cumsum(steps) - steps
    return (
        Fragment(offset, size, flags & _NOT_KEY == 0, dts, later),
        tick + int(steps.sum()),
        place + int(size.sum()),
    )
