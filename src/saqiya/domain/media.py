"""A camera's encoded pictures: packets as they came, each picture with its stamp, never re-encoded on the way in."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import Stamp
from saqiya.errors import InvalidEpisode

__all__ = ["CODECS", "PACKED", "Bytes", "Track", "Video", "closed_keys"]

Bytes = bytes | bytearray | memoryview | mmap.mmap

CODECS = ("h264", "hevc", "av1", "vp9", "jpeg", "png")
"""What packets may be. Pictures that come unencoded (raw depth, raw RGB) are numeric streams, (T, H, W, ...)."""

PACKED: Final = "zstd"
"""No codec of pictures, and so not one of CODECS: a packet is one row of a numeric stream, as the store packs it."""


@dataclass(frozen=True)
class Track:
    """What is known of a camera's pictures without their bytes.

    Packets are in decoding order, pictures (`t_ns`) in the order they were taken; with no B-frames the two agree.

    Attributes:
        t_ns: int64 (T,), not decreasing: when each picture was taken.
        offset, size: int64 (P,), where each packet lies in the video's bytes; P == T.
        key: bool (P,), packets at which decoding can begin.
        rank: int64 (P,), which picture each packet becomes: an index into `t_ns`.
        codec: one of CODECS, or PACKED.
        form: how a packet is wrapped: "annexb" or "avcc" (h264, hevc), "obu" (av1), "" (one whole picture); for PACKED
            the dtype and shape of a row, "<f4:96,96,3".
        width, height: in pixels.
        setup: the codec's out-of-band set-up (avcC, hvcC, av1C bytes), b"" where it travels in the packets.
        pre, post: leading and trailing pictures that only serve to decode others: they lie outside the episode's range.
        clock, stamp: as for a `Stream`.
        unit: "" for colour; "mm" or "m" for depth.
    """

    t_ns: NDArray[np.int64]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    key: NDArray[np.bool_]
    rank: NDArray[np.int64]
    codec: str
    width: int
    height: int
    form: str = ""
    setup: bytes = b""
    pre: int = 0
    post: int = 0
    clock: str = "host"
    stamp: Stamp = Stamp.SENSOR
    unit: str = ""

    def __post_init__(self) -> None:
        """Check shapes, stamps and packet order once, at birth."""
        count = self.t_ns.shape
        if self.t_ns.dtype != np.int64 or self.t_ns.ndim != 1:
            raise InvalidEpisode(f"t_ns must be int64 (T,), not {self.t_ns.dtype} {self.t_ns.shape}")
        if any(one.shape != count for one in (self.offset, self.size, self.key, self.rank)):
            raise InvalidEpisode(f"{self.offset.shape[0]} packets for {count[0]} pictures")
        if self.codec not in CODECS and self.codec != PACKED:
            raise InvalidEpisode(f"unknown codec {self.codec!r}", remedy=f"Known: {', '.join(CODECS)}.")
        if count[0] and (self.t_ns[1:] < self.t_ns[:-1]).any():
            raise InvalidEpisode("a camera's stamps decrease")
        if count[0] and (not self.key[0] or not np.array_equal(np.sort(self.rank), np.arange(count[0]))):
            raise InvalidEpisode("a camera's packets do not begin at a key picture, or do not make its pictures")
        for one in (self.t_ns, self.offset, self.size, self.key, self.rank):
            one.setflags(write=False)

    def __len__(self) -> int:
        """How many pictures lie in the episode's range."""
        return len(self.t_ns) - self.pre - self.post

    @property
    def shown_ns(self) -> NDArray[np.int64]:
        """The stamps of the pictures in the episode's range."""
        return self.t_ns[self.pre : len(self.t_ns) - self.post]

    def between(self, start_ns: int, end_ns: int) -> Track:
        """Return the pictures taken in `[start_ns, end_ns)` and those before them that decoding them needs.

        The bytes stay where they are. With B-frames the range begins at the last key packet all of whose followers
        are pictures at or after it (a closed group).
        """
        low, high = (int(np.searchsorted(self.t_ns, bound)) for bound in (start_ns, end_ns))
        low, high = max(low, self.pre), min(high, len(self.t_ns) - self.post)
        if low >= high:
            empty = np.empty(0, dtype=np.int64)
            return replace(
                self, t_ns=empty, offset=empty, size=empty, key=empty.astype(bool), rank=empty, pre=0, post=0
            )
        packet_of = np.empty_like(self.rank)
        packet_of[self.rank] = np.arange(len(self.rank))
        last = int(packet_of[low:high].max()) + 1
        # Before the first key of a closed group there is nothing to begin at but packet 0.
        closed = np.flatnonzero(closed_keys(self.key, self.rank))
        before = int(np.searchsorted(closed, low, side="right"))
        first = int(closed[before - 1]) if before else 0
        # Packets that others refer to may become pictures after the range; those without a packet are left out.
        kept = np.sort(self.rank[first:last])
        return replace(
            self,
            t_ns=self.t_ns[kept],
            offset=self.offset[first:last],
            size=self.size[first:last],
            key=self.key[first:last],
            rank=np.searchsorted(kept, self.rank[first:last]),
            pre=int(np.searchsorted(kept, low)),
            post=len(kept) - int(np.searchsorted(kept, high)),
        )


def closed_keys(key: NDArray[np.bool_], rank: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return, bool (P,), the key packets that split the pictures as they split the packets.

    All packets before such a key become earlier pictures, all after it later ones (its group is closed), so that it and
    what follows can be decoded and shown without what came before. Its number is also its picture's.
    """
    latest = np.maximum.accumulate(np.concatenate(([-1], rank[:-1])))
    closed: NDArray[np.bool_] = key & (latest < rank) & (rank == np.arange(len(rank)))
    return closed


@dataclass(frozen=True)
class Video:
    """A track and its bytes.

    Attributes:
        track: stamps, places and codec.
        data: what `track.offset` points into: joined packets, or a memory-mapped file.
        file: the file that `data` is the whole of, where there is one: it can be stored or linked as it is.
    """

    track: Track
    data: Bytes
    file: Path | None = None

    def __post_init__(self) -> None:
        """Refuse packets that lie outside the bytes."""
        ends = self.track.offset + self.track.size
        if len(ends) and (self.track.offset.min() < 0 or self.track.size.min() < 0 or ends.max() > self.size_bytes):
            raise InvalidEpisode("a camera's packets lie outside its bytes")

    @property
    def size_bytes(self) -> int:
        """The length of `data`."""
        return memoryview(self.data).nbytes

    def packet(self, number: int) -> bytes:
        """Return packet `number`, counted in decoding order."""
        start = int(self.track.offset[number])
        return bytes(memoryview(self.data)[start : start + int(self.track.size[number])])
