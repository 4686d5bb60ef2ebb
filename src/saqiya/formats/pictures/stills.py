"""Pictures that are encoded one by one (JPEG, PNG): their size from their own heads, and a camera made of many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Bytes, Track, Video
from saqiya.domain.streams import Stamp
from saqiya.errors import UnreadableLog

__all__ = ["JPEG", "PNG", "codec_of", "ends_of", "size_of", "video_of"]

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
MOST_SIDE_PX = 32_768
MOST_HEAD_BYTES = 1 << 17


def codec_of(head: bytes) -> str:
    """Say which codec a picture's first bytes begin, "" for none of ours."""
    return "jpeg" if head.startswith(JPEG) else "png" if head.startswith(PNG) else ""


def size_of(picture: bytes) -> tuple[int, int]:
    """Return a picture's width and height in pixels.

    Raises:
        UnreadableLog: it is neither JPEG nor PNG, or its head is damaged.
    """
    codec = codec_of(picture)
    width, height = 0, 0
    if codec == "png" and len(picture) >= 24:
        width, height = int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")
    elif codec == "jpeg":
        width, height = _jpeg_size(picture)
    if not (0 < width <= MOST_SIDE_PX and 0 < height <= MOST_SIDE_PX):
        raise UnreadableLog("a picture is neither JPEG nor PNG, or its head is damaged", remedy="Record it again.")
    return width, height


def _jpeg_size(picture: bytes) -> tuple[int, int]:
    """Walk the segments to the frame header (ITU-T T.81, B.2.2)."""
    at = 2
    while at + 9 <= len(picture):
        if picture[at] != 0xFF:
            return 0, 0
        mark = picture[at + 1]
        if mark == 0xFF:
            at += 1
        elif 0xC0 <= mark <= 0xCF and mark not in {0xC4, 0xC8, 0xCC}:
            return int.from_bytes(picture[at + 7 : at + 9], "big"), int.from_bytes(picture[at + 5 : at + 7], "big")
        else:
            at += 2 + max(2, int.from_bytes(picture[at + 2 : at + 4], "big"))
    return 0, 0


def ends_of(rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return where each picture ends in rows that are filled up with zeros, (n, length): no codec ends in a zero."""
    ends = np.zeros(len(rows), dtype=np.int64)
    for number, row in enumerate(rows):  # row by row: a mapped array of all pictures need not be in memory at once
        filled = np.flatnonzero(row[::-1][: len(row)])
        ends[number] = len(row) - int(filled[0]) if filled.size else 0
    return ends


def video_of(
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    data: Bytes,
    t_ns: NDArray[np.int64],
    *,
    clock: str,
    stamp: Stamp,
    file: Path | None = None,
) -> tuple[Video, list[str]]:
    """Make a camera of pictures, and say what is odd about them; empty ones are left out.

    Args:
        places: offset and size of each picture in `data`, int64 (T,).
        data: the bytes.
        t_ns: int64 (T,), their stamps.
        clock: as for a `Stream`.
        stamp: as for a `Stream`.
        file: the file that `data` is the whole of, if it is one.

    Raises:
        UnreadableLog: a picture is neither JPEG nor PNG, they are of several codecs, or there is none.
    """
    offset, size = places
    view, odd = memoryview(data).cast("B"), []
    there = size > 0
    if not there.all():
        odd.append(f"{int((~there).sum())} of {len(size)} pictures are empty and left out")
        offset, size, t_ns = offset[there], size[there], t_ns[there]
    if not len(size):
        raise UnreadableLog("it holds no picture", remedy="Record it again.")
    codecs = {codec_of(bytes(view[at : at + 8])) for at in offset.tolist()}
    if len(codecs) != 1 or "" in codecs:
        raise UnreadableLog("its pictures are neither all JPEG nor all PNG", remedy="Encode them as JPEG or PNG.")
    sizes = [
        size_of(bytes(view[at : at + min(n, MOST_HEAD_BYTES)]))
        for at, n in zip(offset.tolist(), size.tolist(), strict=True)
    ]
    if len(set(sizes)) > 1:
        odd.append(f"its pictures are of {len(set(sizes))} sizes; {sizes[0][0]} x {sizes[0][1]} is the first's")
    track = Track(
        t_ns=np.ascontiguousarray(t_ns),
        offset=np.ascontiguousarray(offset),
        size=np.ascontiguousarray(size),
        key=np.ones(len(size), dtype=np.bool_),
        rank=np.arange(len(size), dtype=np.int64),
        codec=codecs.pop(),
        width=sizes[0][0],
        height=sizes[0][1],
        clock=clock,
        stamp=stamp,
    )
    return Video(track, data, file), odd
