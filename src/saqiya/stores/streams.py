"""An episode's streams as one safetensors object, and back without a copy.

Each stream is two arrays, `<stream>/t_ns` and `<stream>/values`; a camera is five, `<camera>/t_ns` and where its
packets lie (`offset`, `size`, `key`, `rank`) in the object that holds them, and so is a stream that lies packed. Clock,
stamp, unit and the like sit in one metadata entry as canonical JSON, because the order of several entries is not fixed.
Equal streams give equal bytes.
"""

from __future__ import annotations

import base64
import json
import math
import mmap
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import PACKED, Track, Video
from saqiya.domain.streams import Stamp, Stream
from saqiya.errors import Corrupt, InvalidEpisode
from saqiya.stores.disk import disk_errors
from saqiya.stores.packed import Layout, layout_of, stream_of

__all__ = ["Cropped", "Streams", "encode", "load"]

_METADATA: Final = "saqiya.streams"
_VERSION: Final = 3  # 1 knew no cameras, 2 no packed streams; what has none is still written so, byte for byte
_PLACES: Final = ("offset", "size", "key", "rank")
_DTYPES: Final = {
    "BOOL": "?", "I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "U8": "<u1", "U16": "<u2", "U32": "<u4",
    "U64": "<u8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
_KNOWN: Final = {np.dtype(code) for code in _DTYPES.values()}
_HEADER_BYTES: Final = 100_000_000  # the format's own limit
_MAPPED_BYTES: Final = 1 << 20  # below this a read is quicker than a mapping, and holds no file descriptor


class _About(msgspec.Struct):
    clock: str
    stamp: Stamp
    unit: str
    fields: tuple[str, ...]


class _Camera(msgspec.Struct):
    data: str
    codec: str
    form: str
    width: int
    height: int
    setup: str
    clock: str
    stamp: Stamp
    unit: str


class _Header(msgspec.Struct):
    version: int
    streams: dict[str, _About]
    cameras: dict[str, _Camera] = {}


class _Tensor(msgspec.Struct, forbid_unknown_fields=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


_RAW_READER: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_METADATA_READER: Final = msgspec.json.Decoder(dict[str, str])
_TENSOR_READER: Final = msgspec.json.Decoder(_Tensor)
_HEADER_READER: Final = msgspec.json.Decoder(_Header)


def encode(streams: Mapping[str, Stream], cameras: Mapping[str, tuple[Track, str]] | None = None) -> bytes:
    """Return `streams` as safetensors bytes, the same bytes for equal streams in any order.

    Args:
        streams: numeric streams by name.
        cameras: tracks by name, of packed streams too, each with the digest of the bytes that its packets lie in.

    Raises:
        InvalidEpisode: an array's dtype has no place in safetensors (text, objects, complex numbers, dates).
    """
    from safetensors.numpy import save

    arrays: dict[str, NDArray[Any]] = {}
    about: dict[str, object] = {}
    for name, stream in sorted(streams.items()):
        dtype = stream.values.dtype.newbyteorder("<")
        if dtype not in _KNOWN:
            raise InvalidEpisode(
                f"values of dtype {stream.values.dtype} cannot be stored",
                subject=name,
                remedy="Use booleans, integers or floats of at most 64 bits; text belongs into events",
            )
        arrays[f"{name}/t_ns"] = np.ascontiguousarray(stream.t_ns)
        arrays[f"{name}/values"] = np.ascontiguousarray(stream.values, dtype=dtype)
        about[name] = {
            "clock": stream.clock,
            "stamp": str(stream.stamp),
            "unit": stream.unit,
            "fields": list(stream.fields),
        }
    facts: dict[str, object] = {"version": 1, "streams": about}
    if cameras:
        facts["version"] = _VERSION if any(track.codec == PACKED for track, _ in cameras.values()) else 2
        facts["cameras"] = {name: _about_camera(track, digest) for name, (track, digest) in sorted(cameras.items())}
        for name, (track, _) in cameras.items():
            if name in about or track.pre or track.post:
                raise InvalidEpisode(
                    "a camera has the name of a stream, or was cut already", subject=name, remedy="Rename it"
                )
            arrays |= {f"{name}/{part}": np.ascontiguousarray(getattr(track, part)) for part in ("t_ns", *_PLACES)}
    header = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return bytes(save(arrays, metadata={_METADATA: header}))


def _about_camera(track: Track, digest: str) -> dict[str, object]:
    names = ("codec", "form", "width", "height", "clock", "unit")
    setup = base64.b64encode(track.setup).decode()
    return {"data": digest, "setup": setup, "stamp": str(track.stamp)} | {name: getattr(track, name) for name in names}


def load(path: Path) -> Streams:
    """Open a streams object; arrays are views of the file and cannot be written.

    Raises:
        Corrupt: the file is not a streams object, or its header lies about its bytes.
    """
    with disk_errors(path), path.open("rb") as file:
        size = path.stat().st_size
        mapped = size >= _MAPPED_BYTES
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if mapped else file.read())
    return Streams(data, str(path))


class Streams(Mapping[str, Stream]):
    """Streams by name; each is made when it is first asked for.

    Attributes:
        media: for each camera and packed stream the digest of the bytes that hold its packets.
        packed: for each packed stream what its rows are.
    """

    def __init__(self, data: memoryview, subject: str) -> None:
        """Read the header of `data` and check every claim in it; `subject` names the file in errors."""
        self._subject = subject
        start, tensors, header = self._header(data)
        self._start, self._body = start, data[start:]
        self._tensors = tensors
        self._about = header.streams
        self._cameras = header.cameras
        self.media = {name: camera.data for name, camera in header.cameras.items()}
        self.packed: dict[str, Layout] = {
            name: layout_of(one.form, subject=subject) for name, one in self._cameras.items() if one.codec == PACKED
        }
        self._made: dict[str, Stream] = {}
        wanted = [(name, part) for name in self._about for part in ("t_ns", "values")]
        wanted += [(name, part) for name in self._cameras for part in ("t_ns", *_PLACES)]
        for name, part in wanted:
            if f"{name}/{part}" not in tensors:
                raise self._lie(f"stream {name!r} has no {part}")
        for name, tensor in tensors.items():
            self._check(name, tensor)

    def __getitem__(self, name: str) -> Stream:
        stream = self._made.get(name)
        if stream is None:
            about = self._about[name]
            try:
                stream = Stream(
                    t_ns=self._array(f"{name}/t_ns"),
                    values=self._array(f"{name}/values"),
                    clock=about.clock,
                    stamp=about.stamp,
                    unit=about.unit,
                    fields=about.fields,
                )
            except InvalidEpisode as error:
                raise self._lie(f"stream {name!r}: {error.what}") from error
            self._made[name] = stream
        return stream

    def track(self, name: str) -> Track:
        """Return where a camera's packets lie.

        Raises:
            KeyError: no camera has this name.
            Corrupt: its stamps or packets break a rule.
        """
        about = self._cameras[name]
        t_ns, offset, size, key, rank = (self._array(f"{name}/{part}") for part in ("t_ns", *_PLACES))
        try:
            return Track(
                t_ns=t_ns,
                offset=offset,
                size=size,
                key=key,
                rank=rank,
                codec=about.codec,
                form=about.form,
                width=about.width,
                height=about.height,
                setup=base64.b64decode(about.setup),
                clock=about.clock,
                stamp=about.stamp,
                unit=about.unit,
            )
        except (InvalidEpisode, ValueError) as error:
            raise self._lie(f"camera {name!r}: {error}") from error

    def place(self, array: str) -> tuple[int, NDArray[Any]]:
        """Return where an array ("joint/values", "camera/front/t_ns") begins in the object's bytes, and the array.

        Raises:
            KeyError: no array has this name.
        """
        return self._start + self._tensors[array].data_offsets[0], self._array(array)

    def __iter__(self) -> Iterator[str]:
        return iter(self._about)

    def __len__(self) -> int:
        return len(self._about)

    def _lie(self, what: str) -> Corrupt:
        return Corrupt(what, subject=self._subject, remedy="Run `saqiya verify`, and bring the file back from a backup")

    def _header(self, data: memoryview) -> tuple[int, dict[str, _Tensor], _Header]:
        if len(data) < 8:
            raise self._lie("too short for a streams object")
        length = int.from_bytes(data[:8], "little")
        if length > min(_HEADER_BYTES, len(data) - 8):
            raise self._lie("the header is longer than the file")
        try:
            raw = _RAW_READER.decode(data[8 : 8 + length])
            metadata = _METADATA_READER.decode(raw.pop("__metadata__", b"{}"))
            tensors = {name: _TENSOR_READER.decode(value) for name, value in raw.items()}
            header = _HEADER_READER.decode(metadata.get(_METADATA, ""))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._lie(f"the header cannot be read ({error})") from error
        if header.version > _VERSION:
            raise self._lie(f"written in streams version {header.version}, this Saqiya knows {_VERSION}")
        return 8 + length, tensors, header

    def _check(self, name: str, tensor: _Tensor) -> None:
        start, end = tensor.data_offsets
        if tensor.dtype not in _DTYPES:
            raise self._lie(f"array {name!r} has the unknown dtype {tensor.dtype[:20]!r}")
        expected = math.prod(tensor.shape) * np.dtype(_DTYPES[tensor.dtype]).itemsize
        negative = any(side < 0 for side in tensor.shape)
        if negative or len(tensor.shape) > 32 or not 0 <= start <= end <= len(self._body) or end - start != expected:
            raise self._lie(f"array {name!r} does not fit its place in the file")

    def _array(self, name: str) -> NDArray[Any]:
        tensor = self._tensors[name]
        start, end = tensor.data_offsets
        return np.frombuffer(self._body[start:end], dtype=_DTYPES[tensor.dtype]).reshape(tensor.shape)


class Cropped(Mapping[str, Stream]):
    """The samples of some streams in `[start_ns, end_ns)`: how a try is read out of a long log.

    Arrays are views. What lies packed is unpacked when it is first asked for by its name, the rows in range alone.
    """

    def __init__(
        self,
        whole: Mapping[str, Stream],
        start_ns: int,
        end_ns: int,
        *,
        packed: Collection[str] = (),
        videos: Callable[[], Mapping[str, Video]] = dict,
    ) -> None:
        """Crop `whole`, and the streams named in `packed`, whose rows `videos` opens."""
        if isinstance(whole, Cropped):  # a try of a log: of what is packed only its own rows are unpacked
            start_ns, end_ns = max(start_ns, whole.bounds[0]), min(end_ns, whole.bounds[1])
            packed, videos, whole = whole.packed, whole.videos, whole.whole
        self.whole: Mapping[str, Stream] = whole
        self.bounds: tuple[int, int] = (start_ns, end_ns)
        self.packed: frozenset[str] = frozenset(packed)
        self.videos: Callable[[], Mapping[str, Video]] = videos
        self._made: dict[str, Stream] = {}

    def __getitem__(self, name: str) -> Stream:
        if name in self.packed:
            if name not in self._made:
                video = self.videos()[name]
                self._made[name] = stream_of(Video(video.track.between(*self.bounds), video.data), subject=name)
            return self._made[name]
        stream = self.whole[name]
        low, high = (int(place) for place in np.searchsorted(stream.t_ns, self.bounds))
        if low == 0 and high == len(stream.t_ns):
            return stream
        return replace(stream, t_ns=stream.t_ns[low:high], values=stream.values[low:high])

    def __contains__(self, name: object) -> bool:
        return name in self.packed or name in self.whole

    def __iter__(self) -> Iterator[str]:
        return iter(sorted([*self.whole, *self.packed]) if self.packed else self.whole)

    def __len__(self) -> int:
        return len(self.whole) + len(self.packed)
