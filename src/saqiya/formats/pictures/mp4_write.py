"""Packets into an MP4 as they are: one video track at one rate, its tables written when the file is closed.

ISO/IEC 14496-12. Memory holds 17 bytes a packet, never the packets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import closed_keys
from saqiya.errors import InvalidEpisode

__all__ = ["Mp4Writer", "Shape"]

_ENTRIES = {
    "h264": (b"avc1", b"avcC"),
    "hevc": (b"hvc1", b"hvcC"),
    "av1": (b"av01", b"av1C"),
    "vp9": (b"vp09", b"vpcC"),
}
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_FINE = 512
"""Ticks of the clock a picture, as common players expect more than one."""


@dataclass(frozen=True)
class Shape:
    """What the packets of one file have in common."""

    codec: str
    width: int
    height: int
    setup: bytes

    @property
    def writable(self) -> bool:
        """Whether such packets can lie in an MP4 that others play."""
        return self.codec in _ENTRIES and bool(self.setup)


class Mp4Writer:
    """Writes one file; use it as a context."""

    def __init__(self, path: Path, shape: Shape, fps: Fraction) -> None:
        """Begin `path`, whose pictures come `fps` a second."""
        self.path, self.shape, self.fps = path, shape, fps
        self.pictures_n = 0
        self._sizes: list[NDArray[np.int64]] = []
        self._keys: list[NDArray[np.bool_]] = []
        self._shifts: list[NDArray[np.int64]] = []
        self._chunks: list[tuple[int, int]] = []  # where each append lies, and how many packets it has
        self._file = path.open("xb")
        head = _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso4", _ENTRIES[shape.codec][0])
        self._file.write(head + struct.pack(">I4sQ", 1, b"mdat", 0))
        self._mdat = len(head)
        self.size_bytes = self._file.tell()

    def append(
        self,
        pieces: Iterable[bytes | memoryview],
        size: NDArray[np.int64],
        key: NDArray[np.bool_],
        rank: NDArray[np.int64],
    ) -> int:
        """Write packets behind those that are there and return the number of their first picture.

        Args:
            pieces: the packets' bytes in decoding order, cut anywhere.
            size: int64 (P,), the bytes of each packet.
            key: bool (P,), packets at which decoding can begin. Only those after which no earlier picture comes are
                marked in the file: some players return a wrong picture after a jump to another.
            rank: int64 (P,), which of these pictures each packet becomes.
        """
        begin, first = self.size_bytes, self.pictures_n
        for piece in pieces:
            self._file.write(piece)
        self.size_bytes = self._file.tell()
        if self.size_bytes - begin != int(size.sum()):
            raise InvalidEpisode(f"{self.size_bytes - begin} bytes came for packets of {int(size.sum())}")
        if len(size):
            self._chunks.append((begin, len(size)))
            self._sizes.append(np.asarray(size, dtype=np.int64))
            self._keys.append(closed_keys(key, rank))
            self._shifts.append(np.asarray(rank - np.arange(len(rank)), dtype=np.int64))
        self.pictures_n += len(size)
        return first

    def close(self) -> None:
        """Write the tables; without pictures the file holds none."""
        if self._file.closed:
            return
        end = self.size_bytes
        self._file.write(self._moov())
        self._file.seek(self._mdat + 8)
        self._file.write(struct.pack(">Q", end - self._mdat))
        self._file.close()

    def __enter__(self) -> Mp4Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()

    @property
    def _clock(self) -> tuple[int, int]:
        """Ticks a second, and ticks a picture."""
        fine = _FINE if self.fps.numerator * _FINE < 1 << 31 else 1
        return self.fps.numerator * fine, self.fps.denominator * fine

    def _moov(self) -> bytes:
        scale, tick = self._clock
        lasts = self.pictures_n * tick
        if lasts >= 1 << 32:
            raise InvalidEpisode("the video is too long for one file", subject=self.path.name)
        mvhd = _full(
            b"mvhd", 0, 0, struct.pack(">5IH10x", 0, 0, scale, lasts, 0x10000, 0x100), _MATRIX, bytes(24),
            struct.pack(">I", 2),
        )  # fmt: skip
        tkhd = _full(
            b"tkhd", 0, 3, struct.pack(">5I8x4H", 0, 0, 1, 0, lasts, 0, 0, 0, 0), _MATRIX,
            struct.pack(">II", self.shape.width << 16, self.shape.height << 16),
        )  # fmt: skip
        mdhd = _full(b"mdhd", 0, 0, struct.pack(">4IHH", 0, 0, scale, lasts, 0x55C4, 0))
        hdlr = _full(b"hdlr", 0, 0, bytes(4), b"vide", bytes(12), b"video\0")
        vmhd = _full(b"vmhd", 0, 1, bytes(8))
        dinf = _box(b"dinf", _full(b"dref", 0, 0, struct.pack(">I", 1), _full(b"url ", 0, 1)))
        media = _box(b"mdia", mdhd, hdlr, _box(b"minf", vmhd, dinf, self._tables(tick)))
        return _box(b"moov", mvhd, _box(b"trak", tkhd, media))

    def _tables(self, tick: int) -> bytes:
        none = np.empty(0, dtype=np.int64)
        size = np.concatenate([none, *self._sizes])
        key = np.concatenate([none.astype(np.bool_), *self._keys])
        shift = np.concatenate([none, *self._shifts])
        chunks = np.array(self._chunks, dtype=np.int64).reshape(-1, 2)
        keys = np.flatnonzero(key) + 1
        begins = np.flatnonzero(np.diff(chunks[:, 1], prepend=-1))
        told = np.stack([begins + 1, chunks[begins, 1], np.ones_like(begins)], axis=1)
        parts = [
            _full(b"stsd", 0, 0, struct.pack(">I", 1), self._entry()),
            _table(b"stts", np.array([[len(size), tick]] if len(size) else [], dtype=np.int64)),
            _table(b"stsc", told),
            _full(b"stsz", 0, 0, struct.pack(">II", 0, len(size)), size.astype(">u4").tobytes()),
            _table(b"co64", chunks[:, 0], ">u8"),
        ]
        if not bool(key.all()):
            parts.insert(2, _table(b"stss", keys))
        if shift.any():
            changes = np.flatnonzero(np.diff(shift, prepend=shift[0] - 1))
            times = np.diff(changes, append=len(shift))
            parts.insert(2, _table(b"ctts", np.stack([times, shift[changes] * tick], axis=1), ">i4", version=1))
        return _box(b"stbl", *parts)

    def _entry(self) -> bytes:
        kind, box = _ENTRIES[self.shape.codec]
        head = struct.pack(
            ">6xH16xHHIIIH32sHh", 1, self.shape.width, self.shape.height, 0x480000, 0x480000, 0, 1, b"", 24, -1
        )
        return _box(kind, head, _box(box, self.shape.setup))


def _box(kind: bytes, *content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(len(one) for one in content), kind) + b"".join(content)


def _full(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *content)


def _table(kind: bytes, rows: NDArray[np.int64], dtype: str = ">u4", *, version: int = 0) -> bytes:
    return _full(kind, version, 0, struct.pack(">I", len(rows)), rows.astype(dtype).tobytes())
