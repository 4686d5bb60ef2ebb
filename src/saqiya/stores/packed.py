"""Streams of wide rows (raw pictures, depth, clouds) packed row by row: bit for bit, with any row at hand.

A packed stream is a `Track` of the codec PACKED and the bytes that its packets lie in: each packet is one row, one zstd
frame with its size and a check sum, all by themselves. `form` says what a row is: "<f4:96,96,3", with ":planes" behind
it where the first bytes of all cells come first, then the second ones, and so on (the byte shuffle of HDF5 and Blosc).
`setup` holds the stream's fields. Equal streams give equal bytes, as long as the zstd library stays the same.
"""

from __future__ import annotations

import json
import mmap
import re
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.ids import digest_of
from saqiya.domain.media import PACKED, Track, Video
from saqiya.domain.streams import Stream
from saqiya.errors import Corrupt
from saqiya.stores.disk import disk_errors

if TYPE_CHECKING:
    from zstandard import ZstdCompressor, ZstdDecompressor

__all__ = ["Layout", "Split", "layout_of", "pack", "split", "stream_of", "unpack"]

_ROW_BYTES: Final = 4096  # below this a row is read faster than it is found
_ROWS: Final = 8
_SAMPLE: Final = 8
_LEAST: Final = 2  # what packing must shrink a sample by, else a stream stays as it is
_PLAIN: Final = 16  # from here on rows repeat themselves: level 6 costs little more, halves them, and unpacks faster
_SAVED: Final = 20  # planes must save a twentieth of the raw bytes: putting them back costs time at each reading
_RATIO: Final = 1 << 15  # zstd cannot shrink further: a block of 128 KiB takes 4 bytes at least
_MEMORY_BYTES: Final = 512 << 20
_MOST_BYTES: Final = 1 << 31
_FORM: Final = re.compile(r"([<|][a-z][1-8]):([0-9]{1,12}(?:,[0-9]{1,12}){0,30})(:planes)?")
_DTYPES: Final = frozenset({
    "|b1", "|i1", "|u1", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8",
})  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """What a packed row is: its dtype and shape, and whether its bytes lie in planes."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    planes: bool = False

    @property
    def row_bytes(self) -> int:
        """The size of one row once it is unpacked."""
        size = self.dtype.itemsize
        for side in self.shape:
            size *= side  # Python's integers: a lie about a side overflows nothing
        return size

    @property
    def form(self) -> str:
        """The layout as a track's `form`."""
        return f"{self.dtype.str}:{','.join(map(str, self.shape))}{':planes' if self.planes else ''}"


@dataclass(frozen=True)
class Split:
    """Streams of an episode: those that stay arrays; the others' tracks, each with the digest of `data`; and `data`."""

    plain: dict[str, Stream]
    tracks: dict[str, tuple[Track, str]]
    data: bytes


def layout_of(form: str, *, subject: str) -> Layout:
    """Read a packed track's `form`.

    Raises:
        Corrupt: it says no layout; `subject` is whose.
    """
    found = _FORM.fullmatch(form)
    if found is None or found[1] not in _DTYPES:
        raise _lie(subject, f"rows of the unknown form {form[:60]!r}")
    layout = Layout(np.dtype(found[1]), tuple(int(side) for side in found[2].split(",")), bool(found[3]))
    if not 0 < layout.row_bytes < _MOST_BYTES:
        raise _lie(subject, f"packed rows do not hold {layout.row_bytes} bytes")
    return layout


def pack(stream: Stream) -> Video | None:
    """Pack a stream, or return None where that does not pay: small or few rows, or rows that do not shrink by half.

    Eight rows, evenly spread, decide; a stream without a stored form (text, complex numbers) is left to others.
    """
    dtype = stream.values.dtype.newbyteorder("<")
    shape = stream.values.shape[1:]
    row_bytes = Layout(dtype, shape).row_bytes
    if dtype.str not in _DTYPES or not shape or row_bytes < _ROW_BYTES or len(stream.t_ns) < _ROWS:
        return None
    chosen = _choose(stream.values, Layout(dtype, shape))
    if chosen is None:
        return None
    layout, level = chosen
    compressor = _compressor(level)
    packets = [compressor.compress(_flat(row, layout)) for row in stream.values]
    size = np.array([len(packet) for packet in packets], dtype=np.int64)
    count = len(packets)
    track = Track(
        t_ns=stream.t_ns,
        offset=np.cumsum(size) - size,
        size=size,
        key=np.ones(count, dtype=bool),
        rank=np.arange(count),
        codec=PACKED,
        form=layout.form,
        height=shape[0] if len(shape) > 1 else 1,
        width=shape[1] if len(shape) > 1 else shape[0],
        setup=json.dumps(stream.fields).encode() if stream.fields else b"",
        clock=stream.clock,
        stamp=stream.stamp,
        unit=stream.unit,
    )
    return Video(track, b"".join(packets))


def split(streams: Mapping[str, Stream], *, leave: Collection[str], refused: Callable[[str], bool]) -> Split:
    """Pack the streams for which that pays, their bytes one after the other in the order of names.

    Args:
        streams: of one episode.
        leave: names that stay as they are.
        refused: says of a digest that its bytes must not be stored: they were erased on purpose, and may be equal by
            chance (black pictures). Then all streams stay as they are.
    """
    videos = {name: video for name in sorted(streams) if name not in leave and (video := pack(streams[name]))}
    data = b"".join(bytes(video.data) for video in videos.values())
    digest = digest_of(data)
    if not videos or refused(digest):
        return Split(dict(streams), {}, b"")
    tracks, base = {}, 0
    for name, video in videos.items():
        tracks[name] = replace(video.track, offset=video.track.offset + base), digest
        base += video.size_bytes
    return Split({name: stream for name, stream in streams.items() if name not in videos}, tracks, data)


def unpack(video: Video, rows: Iterable[int], *, subject: str = "stream") -> Iterator[NDArray[Any]]:
    """Yield rows of a packed stream, each unpacked from its own packet; one that is asked twice in a row, once.

    Memory is asked for only where a packet declares a row's size and is long enough to hold one.

    Args:
        video: a track of the codec PACKED, and its bytes.
        rows: indices into `video.track.t_ns`.
        subject: what errors call it.

    Raises:
        Corrupt: a packet is damaged, or is no row of the declared form.
    """
    from zstandard import ZstdError, frame_content_size

    layout = layout_of(video.track.form, subject=subject)
    size, width = layout.row_bytes, layout.dtype.itemsize
    data, offset, sizes = memoryview(video.data), video.track.offset, video.track.size
    decompressor = _decompressor()
    last, found = -1, np.empty(0, dtype=layout.dtype)
    for row in rows:
        if row != last:
            at, length = int(offset[row]), int(sizes[row])
            packet = data[at : at + length]
            try:
                if frame_content_size(packet[:18]) != size or size > length * _RATIO:  # a header takes 18 at most
                    raise _lie(subject, f"row {row} does not hold {size} bytes")
                raw = decompressor.decompress(packet, max_output_size=size, allow_extra_data=False)
            except ZstdError as error:
                raise _lie(subject, f"row {row} cannot be unpacked ({error})") from error
            cells = np.frombuffer(raw, dtype=np.uint8)
            if layout.planes:
                planes, cells = cells.reshape(width, -1), np.empty(size, dtype=np.uint8)
                for byte, plane in enumerate(planes):
                    cells[byte::width] = plane
            found, last = cells.view(layout.dtype).reshape(layout.shape), row
        yield found


def stream_of(video: Video, *, subject: str = "stream") -> Stream:
    """Unpack all rows of a track as the stream that was packed.

    Raises:
        Corrupt: as `unpack`.
        StorageFull: many rows, and no room for them where temporary files lie.
    """
    track = video.track
    try:
        fields = json.loads(track.setup) if track.setup else []
    except (ValueError, RecursionError) as error:
        raise _lie(subject, f"its fields cannot be read ({error})") from error
    if not isinstance(fields, list) or not all(isinstance(one, str) for one in fields):
        raise _lie(subject, "its fields are no names")
    layout, count = layout_of(track.form, subject=subject), len(track.t_ns)
    if count and layout.row_bytes > _RATIO * int(track.size.min()):
        raise _lie(subject, f"its packets do not hold rows of {layout.row_bytes} bytes")
    rows = unpack(video, range(count), subject=subject)
    return Stream(
        t_ns=track.t_ns,
        values=_filled(rows, (count, *layout.shape), layout),
        clock=track.clock,
        stamp=track.stamp,
        unit=track.unit,
        fields=tuple(fields),
    )


def _filled(rows: Iterator[NDArray[Any]], shape: tuple[int, ...], layout: Layout) -> NDArray[Any]:
    """Return rows as one array: in memory, or when they are many as a map of a file that has no name any more."""
    if shape[0] * layout.row_bytes <= _MEMORY_BYTES:
        values = np.empty(shape, dtype=layout.dtype)
        for place, row in enumerate(rows):
            values[place] = row
        return values
    with disk_errors(tempfile.gettempdir()), tempfile.TemporaryFile() as file:
        for row in rows:
            file.write(row.data)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, dtype=layout.dtype).reshape(shape)


def _choose(values: NDArray[Any], layout: Layout) -> tuple[Layout, int] | None:
    """Return how to pack, and the level, by what a sample of rows shrinks to; None where it is not worth it."""
    sample = np.linspace(0, len(values) - 1, _SAMPLE).astype(np.int64).tolist()
    compressor, raw = _compressor(1), layout.row_bytes * len(sample)

    def size(tried: Layout) -> int:
        return sum(len(compressor.compress(_flat(values[row], tried))) for row in sample)

    plain = size(layout)
    if plain * _PLAIN <= raw:
        return layout, 6
    planes = replace(layout, planes=True)
    shuffled = size(planes) if layout.dtype.itemsize > 1 else plain
    best, least = (planes, shuffled) if (plain - shuffled) * _SAVED >= raw else (layout, plain)
    return (best, 1) if least * _LEAST <= raw else None


def _flat(row: NDArray[Any], layout: Layout) -> memoryview:
    """Return a row's bytes in the order of its layout."""
    cells = np.ascontiguousarray(row, dtype=layout.dtype).reshape(-1).view(np.uint8)
    return np.ascontiguousarray(cells.reshape(-1, layout.dtype.itemsize).T if layout.planes else cells).data


def _compressor(level: int) -> ZstdCompressor:
    from zstandard import ZstdCompressor

    return ZstdCompressor(level=level, write_checksum=True, write_content_size=True)


_mine: Final = threading.local()  # a decompressor serves one thread, and making one costs more than a small row


def _decompressor() -> ZstdDecompressor:
    from zstandard import ZstdDecompressor

    made: ZstdDecompressor | None = getattr(_mine, "decompressor", None)
    if made is None:
        made = _mine.decompressor = ZstdDecompressor()
    return made


def _lie(subject: str, what: str) -> Corrupt:
    return Corrupt(what, subject=subject, remedy="Run `saqiya verify`, and bring the file back from a backup")
