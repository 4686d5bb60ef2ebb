"""Where every packet of an MP4 lies, read from its own tables: nothing is decoded, and no packet is read to find it.

ISO/IEC 14496-12 (boxes, sample tables, edit lists, movie fragments) and 14496-15 (how H.264 and HEVC lie in them).
Every count that a table claims is held against the bytes that the file has before memory is taken for it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Track, Video, closed_keys
from saqiya.domain.streams import Stamp
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.formats.pictures.mp4_fragments import Fragment, fragments

__all__ = ["Mp4", "mapped", "open_mp4"]

_ENTRIES = {
    b"avc1": ("h264", "avcc", b"avcC"), b"avc3": ("h264", "avcc", b"avcC"),
    b"hvc1": ("hevc", "avcc", b"hvcC"), b"hev1": ("hevc", "avcc", b"hvcC"),
    b"av01": ("av1", "obu", b"av1C"), b"vp09": ("vp9", "", b"vpcC"),
    b"jpeg": ("jpeg", "", b""), b"png ": ("png", "", b""),
}  # fmt: skip
_LFS = b"version https://git-lfs"
_NS = 1_000_000_000
_MOST_SECONDS = 9_000_000_000  # int64 nanoseconds hold no more
_NEVER = 1 << 62
_MOST_EDITS_N = 1000
_AGAIN = "Copy or record the file again."

Box = tuple[bytes, int, int]
"""A box's type and where its content begins and ends."""


@dataclass(frozen=True)
class Mp4:
    """A file's video track, mapped into memory.

    Attributes:
        track: every picture of the file; stamps count from the start of the presentation.
        closed: int64, ascending, the packets that `closed_keys` finds.
        data: the whole file.
        file: its path.
    """

    track: Track
    closed: NDArray[np.int64]
    data: memoryview
    file: Path

    def pictures(self, low: int, high: int) -> Track:
        """Return pictures `low` to `high` (in order of time, `high` left out) with those that decoding them needs.

        Raises:
            UnreadableLog: some of their packets lie beyond the file's end, or are no packets.
        """
        track, closed = self.track, self.closed
        before, after = int(np.searchsorted(closed, low, side="right")) - 1, int(np.searchsorted(closed, high))
        first = int(closed[before]) if before >= 0 else 0
        last = int(closed[after]) if after < len(closed) else len(track.rank)
        part = replace(  # so that the cost does not grow with the file
            track,
            t_ns=track.t_ns[first:last],
            offset=track.offset[first:last],
            size=track.size[first:last],
            key=track.key[first:last],
            rank=track.rank[first:last] - first,
            pre=max(0, track.pre - first),
            post=max(0, track.post - (len(track.t_ns) - last)),
        )
        cut = part.between(int(track.t_ns[low]), int(track.t_ns[high - 1]) + 1) if low < high else part.between(0, 0)
        _check_packets(cut, self.data, self.file)
        return cut

    def video(self, track: Track) -> Video:
        """Return `track`, a part of this file's, with its bytes where they lie."""
        return Video(track, self.data, self.file)


def mapped(path: Path) -> memoryview:
    """Map a file into memory; the mapping lives as long as the view, and holds no file descriptor.

    Raises:
        UnreadableLog: the file is empty.
    """
    if path.stat().st_size == 0:
        raise UnreadableLog("is empty (0 bytes)", subject=str(path), remedy=_AGAIN)
    import pyarrow

    with pyarrow.memory_map(str(path)) as file:  # Python's own mmap would keep a descriptor for each of many files
        return memoryview(file.read_buffer())


def open_mp4(path: Path) -> Mp4:
    """Read the tables of a file's first video track.

    Raises:
        UnreadableLog: the file is no MP4, is cut off before its tables, or they contradict themselves.
    """
    data = mapped(path)
    if bytes(data[: len(_LFS)]) == _LFS:
        raise UnreadableLog(
            "is a Git LFS pointer, not the video itself",
            subject=str(path),
            remedy="Run git lfs pull in the data set's folder.",
        )
    try:
        track = _track(data)
        return Mp4(track, np.flatnonzero(closed_keys(track.key, track.rank)), data, path)
    except (struct.error, ValueError, IndexError, OverflowError, InvalidEpisode) as error:
        what = error.what if isinstance(error, InvalidEpisode | UnreadableLog) else str(error)
        raise UnreadableLog(f"is no usable MP4: {what}", subject=str(path), remedy=_AGAIN) from error


def _boxes(data: memoryview, start: int, end: int, *, cut: bool = False) -> Iterator[Box]:
    """Yield the boxes that lie in `[start, end)`; with `cut` the last one may reach over the end."""
    at = start
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        size = end - at if size == 0 else size
        if size < head or (at + size > end and not cut):
            if at == start or not cut:
                raise ValueError(f"the box at byte {at} claims {size} bytes")
            return
        yield kind, at + head, min(at + size, end)
        at += size


def _child(data: memoryview, box: Box, *path: bytes) -> Box | None:
    for kind in path:
        found = next((one for one in _boxes(data, box[1], box[2]) if one[0] == kind), None)
        if found is None:
            return None
        box = found
    return box


def _need(data: memoryview, box: Box, *path: bytes) -> Box:
    found = _child(data, box, *path)
    if found is None:
        raise ValueError(f"it has no {b'/'.join(path).decode('latin1')} box")
    return found


def _track(data: memoryview) -> Track:
    top = list(_boxes(data, 0, len(data), cut=True))
    if not any(kind in {b"ftyp", b"moov", b"mdat", b"moof", b"styp"} for kind, _, _ in top):
        raise ValueError("it does not begin as one")
    moov = next((box for box in top if box[0] == b"moov"), None)
    if moov is None:
        raise ValueError("it has no table of its packets (moov): it was cut off, or never closed")
    for trak in (box for box in _boxes(data, moov[1], moov[2]) if box[0] == b"trak"):
        (handler,) = struct.unpack_from("8x4s", data, _need(data, trak, b"mdia", b"hdlr")[1])
        if handler == b"vide":
            return _video_track(data, top, moov, trak)
    raise ValueError("it has no video track")


def _video_track(data: memoryview, top: list[Box], moov: Box, trak: Box) -> Track:
    mdhd = _need(data, trak, b"mdia", b"mdhd")[1]
    (scale,) = struct.unpack_from(">I", data, mdhd + (20 if data[mdhd] else 12))
    if scale == 0:
        raise ValueError("its clock has no rate")
    stbl = _need(data, trak, b"mdia", b"minf", b"stbl")
    codec, form, width, height, setup = _entry(data, _need(data, stbl, b"stsd"))
    tables = _samples(data, stbl)
    if _child(data, moov, b"mvex") is not None:
        number = _track_number(data, trak)
        last_tick = int(tables.dts[-1]) + 1 if len(tables.dts) else 0
        more = fragments(data, [box for box in top if box[0] == b"moof"], moov, number, last_tick)
        tables = Fragment.joined([tables, *more])
    if len(tables.size) == 0:
        raise ValueError("it has no pictures")
    shown, (origin, begin, end) = tables.dts + tables.shift, _edit(data, moov, trak, scale)
    if max(abs(int(shown.min())), abs(int(shown.max())), abs(origin)) // scale > _MOST_SECONDS:
        raise ValueError("its stamps reach beyond 285 years")
    order = np.argsort(shown, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    ticks = shown[order] - origin
    return Track(
        t_ns=_to_ns(ticks, scale),
        offset=tables.offset,
        size=tables.size,
        key=tables.key,
        rank=rank,
        codec=codec,
        width=width,
        height=height,
        form=form,
        setup=setup,
        pre=int(np.searchsorted(shown[order], begin)),
        post=len(order) - int(np.searchsorted(shown[order], end)),
        clock="mp4",
        stamp=Stamp.ASSUMED if len(np.unique(np.diff(ticks))) <= 1 else Stamp.RECEIVE,
    )


def _to_ns(ticks: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
    seconds, rest = np.divmod(ticks, scale)
    t_ns: NDArray[np.int64] = seconds * _NS + (rest * _NS + scale // 2) // scale
    return t_ns


def _track_number(data: memoryview, trak: Box) -> int:
    tkhd = _need(data, trak, b"tkhd")[1]
    return int(struct.unpack_from(">I", data, tkhd + (20 if data[tkhd] else 12))[0])


def _entry(data: memoryview, stsd: Box) -> tuple[str, str, int, int, bytes]:
    """Return codec, form, width, height and set-up of the first sample entry."""
    kind, start, end = next(_boxes(data, stsd[1] + 8, stsd[2]))
    if kind not in _ENTRIES:
        raise ValueError(f"its codec {kind.decode('latin1')!r} is not known here")
    codec, form, box = _ENTRIES[kind]
    width, height = struct.unpack_from(">HH", data, start + 24)
    found = _child(data, (kind, start + 78, end), box) if box else None
    if box and found is None and codec != "av1":
        raise ValueError(f"it has no {box.decode()} box")
    return codec, form, width, height, bytes(data[found[1] : found[2]]) if found else b""


def _numbers(data: memoryview, box: Box | None, dtype: str, skip: int = 4) -> NDArray[Any]:
    """Return a table whose length stands `skip` bytes into the box, () where there is no box; one row an entry."""
    kind = np.dtype(dtype)
    if box is None:
        return np.empty(0, dtype=kind)
    (count,) = struct.unpack_from(">I", data, box[1] + skip)
    if box[1] + skip + 4 + count * kind.itemsize > box[2]:
        raise ValueError(f"{box[0].decode('latin1')} claims {count} entries and is too short for them")
    table: NDArray[Any] = np.frombuffer(data, dtype=kind, count=count, offset=box[1] + skip + 4)
    return table


def _samples(data: memoryview, stbl: Box) -> Fragment:
    """Return the packets that the sample table names."""
    size = _sizes(data, _need(data, stbl, b"stsz"), len(data))
    count = len(size)
    durations = _numbers(data, _need(data, stbl, b"stts"), ">u4,>u4")
    steps = _runs(durations, count)
    ctts = _child(data, stbl, b"ctts")
    signed = ">u4,>i4"  # version 0 says unsigned, but what writers put there is a small number of either sign
    shift = _runs(_numbers(data, ctts, signed), count)
    stss = _child(data, stbl, b"stss")
    key = np.full(count, stss is None)
    if stss is not None:
        numbers = _numbers(data, stss, ">u4").astype(np.int64) - 1
        key[numbers[(numbers >= 0) & (numbers < count)]] = True
    offset = _offsets(data, stbl, size)
    dts = np.concatenate(([0], np.cumsum(steps)[:-1])).astype(np.int64) if count else steps
    return Fragment(offset, size, key, dts, shift)


def _sizes(data: memoryview, stsz: Box, file_bytes: int) -> NDArray[np.int64]:
    (same,) = struct.unpack_from(">I", data, stsz[1] + 4)
    if not same:
        return _numbers(data, stsz, ">u4", skip=8).astype(np.int64)
    (count,) = struct.unpack_from(">I", data, stsz[1] + 8)
    if count * same > file_bytes:
        raise ValueError(f"it claims {count} packets of {same} bytes")
    return np.full(count, same, dtype=np.int64)


def _runs(table: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Spread (times, value) rows over `count` packets; what the rows leave over is 0."""
    ends = np.minimum(np.cumsum(table["f0"].astype(np.uint64)), count).astype(np.int64)
    times = np.diff(ends, prepend=0)
    spread = np.zeros(count, dtype=np.int64)
    spread[: int(times.sum())] = np.repeat(table["f1"].astype(np.int64), times)
    return spread


def _offsets(data: memoryview, stbl: Box, size: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(size) == 0:
        return np.empty(0, dtype=np.int64)
    co64 = _child(data, stbl, b"co64")
    chunks = _numbers(data, co64 or _need(data, stbl, b"stco"), ">u8" if co64 else ">u4")
    rows = _numbers(data, _need(data, stbl, b"stsc"), ">u4,>u4,>u4")
    if (
        len(rows) == 0
        or len(chunks) == 0
        or rows["f0"][0] != 1
        or bool((np.diff(rows["f0"].astype(np.int64)) < 1).any())
    ):
        raise ValueError("its chunks are not told apart")
    if len(np.unique(rows["f2"])) > 1:
        raise ValueError("its pictures have more than one set-up")
    if int(chunks.max()) >= 1 << 62:
        raise ValueError("a chunk lies beyond any file")
    firsts = np.minimum(rows["f0"].astype(np.int64) - 1, len(chunks))
    held = np.repeat(rows["f1"].astype(np.int64), np.diff(firsts, append=len(chunks)))
    ends = np.minimum(np.cumsum(held), len(size))
    held = np.diff(ends, prepend=0)
    if int(ends[-1]) != len(size):
        raise ValueError(f"its chunks hold {int(ends[-1])} of {len(size)} packets")
    places = np.cumsum(size) - size
    begins = places[np.minimum(ends - held, len(size) - 1)]
    offset: NDArray[np.int64] = np.repeat(chunks.astype(np.int64) - begins, held) + places
    return offset


def _edit(data: memoryview, moov: Box, trak: Box, scale: int) -> tuple[int, int, int]:
    """Return the tick at which the presentation's clock is 0, and the range of ticks that it shows."""
    elst = _child(data, trak, b"edts", b"elst")
    if elst is None:
        return 0, -_NEVER, _NEVER
    rows = _numbers(data, elst, ">u8,>i8,>u4" if data[elst[1]] == 1 else ">u4,>i4,>u4")
    mvhd = _need(data, moov, b"mvhd")[1]
    (movie,) = struct.unpack_from(">I", data, mvhd + (20 if data[mvhd] else 12))
    if movie == 0:
        raise ValueError("its movie clock has no rate")
    wait, kept = 0, []
    for duration, begin, _ in rows[:_MOST_EDITS_N].tolist():
        if begin >= 0:
            kept.append((duration, begin))
        elif not kept:
            wait += (duration * scale + movie // 2) // movie
    if len(kept) > 1:
        raise ValueError("its edit list plays several parts")
    if not kept:
        return -wait, -_NEVER, _NEVER
    duration, begin = kept[0]
    # Durations are rounded to the movie's clock: a tick of it is granted.
    end = min(_NEVER, begin + (duration + 1) * scale // movie) if duration else _NEVER
    return begin - wait, begin, end


def _check_packets(track: Track, data: memoryview, path: Path) -> None:
    """Refuse packets that the file does not hold, or that cannot be what the tables say they are."""
    ends = track.offset + track.size
    if len(ends) == 0:
        return
    if int(ends.max()) > len(data) or int(track.offset.min()) < 0:
        missing = int((ends > len(data)).sum())
        raise UnreadableLog(
            f"is cut off: {missing} of {len(ends)} packets lie beyond its {len(data)} bytes",
            subject=str(path),
            remedy=_AGAIN,
        )
    if track.form == "avcc":
        where = 21 if track.codec == "hevc" else 4
        width = (track.setup[where] & 3) + 1 if len(track.setup) > where else 4
        bad = track.size <= width
        heads = np.frombuffer(data, dtype=np.uint8)[track.offset[~bad][:, None] + np.arange(width)]
        unit = heads.astype(np.int64) @ (256 ** np.arange(width - 1, -1, -1))
        bad[~bad] = (unit == 0) | (unit > track.size[~bad] - width)
    else:
        bad = track.size < 1
    if bool(bad.any()):
        raise UnreadableLog(
            f"is damaged: {int(bad.sum())} of {len(bad)} packets are none", subject=str(path), remedy=_AGAIN
        )
