"""Raw pictures and point clouds: arrays through a spool, one stream for each shape, so that memory stays bounded."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.formats.messages.batch import Decoder
from saqiya.formats.messages.camera import sensor_stamp
from saqiya.formats.messages.found import NO_STAMP, Found, Stamps, stamps_of
from saqiya.formats.messages.types import Undecodable
from saqiya.formats.pictures.spool import Spool

__all__ = ["Cloud", "RawImage"]

MOST_KINDS = 8
MOST_WASTE = 4
_COLOURS = {
    "rgb8": ("u1", "r g b"),
    "bgr8": ("u1", "b g r"),
    "rgba8": ("u1", "r g b a"),
    "bgra8": ("u1", "b g r a"),
    "rgb16": ("u2", "r g b"),
    "bgr16": ("u2", "b g r"),
    "rgba16": ("u2", "r g b a"),
    "bgra16": ("u2", "b g r a"),
    "mono8": ("u1", ""),
    "8uc1": ("u1", ""),
    "mono16": ("u2", ""),
    "yuv422": ("u1", "uv y"),
    "uyvy": ("u1", "uv y"),
    "yuv422_yuy2": ("u1", "y uv"),
    "yuyv": ("u1", "y uv"),
}
_MATRIX = re.compile(r"^(8|16|32|64)([usf])c([1-4])?$")
_BAYER = re.compile(r"^bayer_[rgb]{4}(8|16)$")
_POINT_KINDS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_FOXGLOVE_KINDS = {1: "u1", 2: "i1", 3: "u2", 4: "i2", 5: "u4", 6: "i4", 7: "f4", 8: "f8"}
_MOST_FIELDS = 64


@dataclass
class _Rows:
    """Arrays of one kind on their way to a stream: stamps, sizes, and bytes in a spool."""

    receive_ns: array[int] = field(default_factory=lambda: array("q"))
    sensor_ns: array[int] = field(default_factory=lambda: array("q"))
    counts: array[int] = field(default_factory=lambda: array("q"))
    spool: Spool = field(default_factory=Spool)

    def stamps(self) -> Stamps:
        sensor = np.array(self.sensor_ns, np.int64)
        return stamps_of(np.array(self.receive_ns, np.int64), sensor if (sensor != NO_STAMP).any() else None)


class RawImage:
    """One topic of raw pictures (sensor_msgs/Image, foxglove.RawImage): streams (T, H, W) or (T, H, W, C)."""

    def __init__(self, topic: str, decoder: Decoder) -> None:
        """Begin without pictures."""
        self._topic, self._decoder = topic, decoder
        self._kinds: dict[tuple[str, tuple[int, ...], str], _Rows] = {}
        self._lost: dict[str, int] = {}
        self._count = 0

    def add(self, receive_ns: int, payload: bytes, _: int) -> None:
        """Take in a message."""
        self._count += 1
        try:
            message = self._decoder.message(payload)
            encoding = str(message.get("encoding", "")).lower()
            picture, fields = _picture(message, encoding)
            key = (picture.dtype.str, picture.shape, fields)
            if key not in self._kinds and len(self._kinds) >= MOST_KINDS:
                raise Undecodable(f"it has more than {MOST_KINDS} shapes and kinds")
            rows = self._kinds.setdefault(key, _Rows())
            rows.receive_ns.append(receive_ns)
            rows.sensor_ns.append(sensor_stamp(message))
            rows.spool.add(picture.tobytes())
        except Undecodable as bad:
            self._lost[str(bad)] = self._lost.get(str(bad), 0) + 1

    def finish(self, found: Found) -> None:
        """Give the streams; the kind with most pictures has the topic's name."""
        _say_lost(self._topic, self._lost, self._count, found)
        ranked = sorted(self._kinds.items(), key=lambda item: -len(item[1].receive_ns))
        for number, ((dtype, shape, fields), rows) in enumerate(ranked):
            size = "x".join(map(str, shape))
            name = self._topic if number == 0 else f"{self._topic}/{np.dtype(dtype).name}-{size}-{number}"
            stamps = rows.stamps()
            values = np.frombuffer(rows.spool.data(), dtype).reshape(len(rows.receive_ns), *shape)
            metres = {"f4": "m", "f8": "m", "u2": "mm"}.get(dtype[1:], "") if "depth" in self._topic.lower() else ""
            found.receive(name, stamps)
            found.stream(name, stamps, None, values, unit=metres, fields=tuple(fields.split()))
        if len(ranked) > 1:
            found.note(self._topic, f"changes size or kind: {len(ranked)} streams")


def _picture(message: Mapping[str, Any], encoding: str) -> tuple[NDArray[Any], str]:
    """Return one picture (H, W) or (H, W, C), native byte order, and the names of its channels.

    Raises:
        Undecodable: the encoding is not known, or the bytes do not make such a picture.
    """
    kind, channels, fields = _encoded(encoding)
    height, width, data = message.get("height"), message.get("width"), message.get("data")
    if not isinstance(height, int) or not isinstance(width, int) or not isinstance(data, (bytes, memoryview)):
        raise Undecodable("a picture lacks its size or its bytes")
    order = ">" if message.get("is_bigendian") else "<"
    line = width * channels * np.dtype(kind).itemsize
    step = message.get("step")
    step = step if isinstance(step, int) and step else line
    if not 0 < line <= step or height <= 0 or len(data) < step * (height - 1) + line:
        raise Undecodable("a picture's bytes do not make its size")
    # The last line may lack the filling that the others have.
    whole = np.frombuffer(data, np.uint8, count=min(len(data), step * height))
    lines = np.ndarray((height, line), np.uint8, whole, strides=(step, 1))
    shape = (height, width, channels) if channels > 1 else (height, width)
    picture = np.ascontiguousarray(lines).view(order + kind).reshape(shape)
    return picture.astype("<" + kind, copy=False), fields


def _encoded(encoding: str) -> tuple[str, int, str]:
    """Return numpy code, channels and their names of an encoding (sensor_msgs/image_encodings.h)."""
    if encoding in _COLOURS:
        kind, fields = _COLOURS[encoding]
        return kind, max(1, len(fields.split())), fields
    if (found := _MATRIX.match(encoding)) is not None:
        kind = {"u": "u", "s": "i", "f": "f"}[found[2]] + str(int(found[1]) // 8)
        if kind not in {"f1"}:
            return kind, int(found[3] or 1), ""
    if (bayer := _BAYER.match(encoding)) is not None:
        return f"u{int(bayer[1]) // 8}", 1, ""
    raise Undecodable(f"raw pictures of encoding {encoding[:40]!r}")


class Cloud:
    """One topic of point clouds: each kind of number a stream (T, N, F).

    Clouds of varying size are filled up to the longest, floats with NaN and whole numbers with zero, and a stream
    `<topic>/count` says how many points are real. Where that would be mostly filling, the topic is skipped.
    """

    def __init__(self, topic: str, decoder: Decoder) -> None:
        """Begin without points."""
        self._topic, self._decoder = topic, decoder
        self._kinds: dict[tuple[tuple[str, str, int], ...], _Rows] = {}
        self._lost: dict[str, int] = {}
        self._count = 0

    def add(self, receive_ns: int, payload: bytes, _: int) -> None:
        """Take in a message."""
        self._count += 1
        try:
            message = self._decoder.message(payload)
            layout, points = _points(message)
            if layout not in self._kinds and len(self._kinds) >= MOST_KINDS:
                raise Undecodable(f"it has more than {MOST_KINDS} layouts of points")
            rows = self._kinds.setdefault(layout, _Rows())
            rows.receive_ns.append(receive_ns)
            rows.sensor_ns.append(sensor_stamp(message))
            rows.counts.append(len(points))
            rows.spool.add(points.tobytes())
        except Undecodable as bad:
            self._lost[str(bad)] = self._lost.get(str(bad), 0) + 1

    def finish(self, found: Found) -> None:
        """Give the streams; the layout with most clouds has the topic's name."""
        _say_lost(self._topic, self._lost, self._count, found)
        ranked = sorted(self._kinds.items(), key=lambda item: -len(item[1].receive_ns))
        for number, (layout, rows) in enumerate(ranked):
            self._streams(self._topic if number == 0 else f"{self._topic}/{number}", layout, rows, found)
        if len(ranked) > 1:
            found.note(self._topic, f"changes the layout of its points: {len(ranked)} groups of streams")

    def _streams(self, name: str, layout: Sequence[tuple[str, str, int]], rows: _Rows, found: Found) -> None:
        stamps, counts = rows.stamps(), np.array(rows.counts, np.int64)
        longest = int(counts.max())
        ragged = bool((counts != longest).any())
        found.receive(name, stamps)
        if not longest:
            found.skipped[name] = "its clouds hold no points"
            return
        if len(counts) * longest > MOST_WASTE * int(counts.sum()):
            found.skipped[name] = f"its clouds vary too much in size ({counts.min()} to {longest} points)"
            return
        points = np.frombuffer(rows.spool.data(), _packed(layout))
        if ragged:
            found.note(name, f"clouds of {counts.min()} to {longest} points, filled up; their size is {name}/count")
            found.stream(f"{name}/count", stamps, None, counts.reshape(-1, 1))
        for kind, group in _groups(layout).items():
            names = tuple(f"{one}.{i}" if many > 1 else one for one, _, many in group for i in range(many))
            own = "points" if {"x", "y", "z"} <= set(names) else "+".join(names)[:60]
            values = _cube(points, counts, longest, kind, group)
            found.stream(
                f"{name}/{own}", stamps, None, values, unit="m" if names == ("x", "y", "z") else "", fields=names
            )


def _say_lost(topic: str, lost: Mapping[str, int], count: int, found: Found) -> None:
    for why, many in lost.items():
        found.skipped[topic if many == count else f"{topic} ({many} of {count} messages)"] = why


def _points(message: Mapping[str, Any]) -> tuple[tuple[tuple[str, str, int], ...], NDArray[Any]]:
    """Return the layout (name, numpy code, how many) and the points of one cloud, packed and in native order.

    Raises:
        Undecodable: the fields or bytes make no cloud.
    """
    data, fields = message.get("data"), message.get("fields")
    fields = list(fields.values()) if isinstance(fields, dict) else fields
    stride = message.get("point_step", message.get("point_stride"))
    if not isinstance(data, (bytes, memoryview)) or not isinstance(fields, list) or not isinstance(stride, int):
        raise Undecodable("a cloud lacks its fields or its bytes")
    if not 0 < stride <= 1 << 16 or not 0 < len(fields) <= _MOST_FIELDS:
        raise Undecodable("a cloud's points have no size or no fields")
    order = ">" if message.get("is_bigendian") else "<"
    layout, offsets = [], []
    for one in fields:
        kinds = _POINT_KINDS if "datatype" in one else _FOXGLOVE_KINDS
        code = kinds.get(one.get("datatype", one.get("type")))
        many = max(1, int(one.get("count", 1)))
        if code is None or not 0 <= one["offset"] <= stride - int(code[1]) * many:
            raise Undecodable(f"a cloud's field {str(one.get('name'))[:40]!r} lies outside its points")
        layout.append((str(one.get("name")), code, many))
        offsets.append(int(one["offset"]))
    if len({name for name, _, _ in layout}) < len(layout):
        raise Undecodable("a cloud names a field twice")
    rows = _lines(message, data, stride)
    formats = [(order + code, (many,)) if many > 1 else order + code for _, code, many in layout]
    view = np.dtype({"names": [n for n, _, _ in layout], "formats": formats, "offsets": offsets, "itemsize": stride})
    return tuple(layout), np.frombuffer(rows, view).astype(_packed(layout))


def _lines(message: Mapping[str, Any], data: bytes | memoryview, stride: int) -> bytes | memoryview:
    """Return a cloud's points without what fills its lines up."""
    width, height, step = message.get("width"), message.get("height"), message.get("row_step")
    if not isinstance(width, int) or not isinstance(height, int) or not isinstance(step, int):
        return data[: len(data) // stride * stride]
    line = width * stride
    if height > 1 and step > line:
        if len(data) < step * (height - 1) + line:
            raise Undecodable("a cloud's bytes do not make its size")
        return b"".join(bytes(data[row * step : row * step + line]) for row in range(height))
    if len(data) < line * height:
        raise Undecodable("a cloud's bytes do not make its size")
    return data[: line * height]


def _packed(layout: Iterable[tuple[str, str, int]]) -> np.dtype[Any]:
    return np.dtype([(name, "<" + code, (many,)) if many > 1 else (name, "<" + code) for name, code, many in layout])


def _groups(layout: Iterable[tuple[str, str, int]]) -> dict[str, list[tuple[str, str, int]]]:
    groups: dict[str, list[tuple[str, str, int]]] = {}
    for one in layout:
        groups.setdefault(one[1], []).append(one)
    return groups


def _cube(
    points: NDArray[Any],
    counts: NDArray[np.int64],
    longest: int,
    kind: str,
    group: Sequence[tuple[str, str, int]],
) -> NDArray[Any]:
    """Return the fields of one kind as (T, N, F); large ones lie in a file, not in memory."""
    spool, fill = Spool(), np.nan if kind[0] == "f" else 0
    width = sum(many for _, _, many in group)
    at = 0
    for count in counts.tolist():
        cloud = points[at : at + count]
        cube = np.full((longest, width), fill, kind)
        column = 0
        for name, _, many in group:
            cube[:count, column : column + many] = cloud[name].reshape(count, many)
            column += many
        spool.add(cube.tobytes())
        at += count
    return np.frombuffer(spool.data(), kind).reshape(len(counts), longest, width)
