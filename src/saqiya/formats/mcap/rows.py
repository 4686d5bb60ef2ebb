"""Numeric rows as protobuf messages at memcpy speed: any dtype and shape goes in, the same bits come out.

A row is one message `saqiya.<Wire>Row { repeated <type> values = 1 [packed] }` whose elements have a fixed width, so
that the payload is a tag, a length and the raw little-endian row: Foxglove and any protobuf reader can plot it, and we
write it without looking at a single value. Narrow integers travel widened to 32 bits; half and extended floats, which
protobuf does not have, travel as bytes. Rows that are pictures travel as `foxglove.RawImage`, which ends in the raw row
too, so that they can be looked at. The channel's metadata keeps what the wire forgets: dtype and shape.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import Stamp, Stream
from saqiya.errors import InvalidEpisode, UnreadableLog

__all__ = ["MARK", "RowLayout", "layout_of", "layout_read", "schema_of", "stream_read"]

MARK = "saqiya"
"""The channel metadata key that marks a channel as ours; its value says what the channel holds."""

_WIRES = {"f8": "Float64", "f4": "Float32", "i8": "Int64", "u8": "UInt64", "i4": "Int32", "u4": "UInt32"}
_WIDENED = {"b1": "u4", "u1": "u4", "u2": "u4", "i1": "i4", "i2": "i4", "c16": "f8", "c8": "f4"}
_PROTO_TYPES = {
    "Float64": "TYPE_DOUBLE",
    "Float32": "TYPE_FLOAT",
    "Int64": "TYPE_SFIXED64",
    "UInt64": "TYPE_FIXED64",
    "Int32": "TYPE_SFIXED32",
    "UInt32": "TYPE_FIXED32",
    "Raw": "TYPE_BYTES",
}
_PICTURE = "RawImage"
_ENCODINGS = {("u1", 1): "mono8", ("u1", 3): "rgb8", ("u1", 4): "rgba8", ("u2", 1): "mono16"}
_LEAST_SIDE = 16  # of a block without colours that is taken for a picture
_TAG = b"\x0a"  # field 1, length-delimited: the same for packed numbers and for bytes


@dataclass(frozen=True)
class RowLayout:
    """How the rows of one channel are laid out.

    Attributes:
        dtype: of the stream, byte order included.
        shape: of one row; () for a scalar.
        wire: name of the message: one of the keys of `_PROTO_TYPES`, or "RawImage".
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    wire: str

    @cached_property
    def prefix(self) -> bytes:
        """What precedes every row: tag and length, and the head of a picture."""
        if self.wire == _PICTURE:
            return _picture_head(self.dtype, self.shape) + b"\x32" + _varint(self.row_bytes)
        return _TAG + _varint(self.row_bytes)

    @cached_property
    def row_bytes(self) -> int:
        """The bytes of one row on the wire."""
        count = math.prod(self.shape)
        code = self.dtype.str[1:]
        if self.wire in {"Raw", _PICTURE}:
            return count * self.dtype.itemsize
        pairs = 2 if self.dtype.kind == "c" else 1
        return count * pairs * int(_WIDENED.get(code, code)[1:])

    @property
    def width(self) -> int:
        """The bytes of one payload: prefix and row."""
        return len(self.prefix) + self.row_bytes

    @cached_property
    def _wire_dtype(self) -> np.dtype[Any]:
        if self.wire == "Raw":
            return self.dtype
        if self.wire == _PICTURE:
            return self.dtype.newbyteorder("<")
        code = self.dtype.str[1:]
        if self.dtype.kind == "c":
            return np.dtype("<" + code)
        return np.dtype("<" + _WIDENED.get(code, code))

    def encode(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Turn values (T, ...) of `dtype` into wire rows, uint8 (T, row_bytes)."""
        rows = np.ascontiguousarray(values).astype(self._wire_dtype, copy=False)
        flat: NDArray[np.uint8] = np.frombuffer(rows.tobytes(), np.uint8)
        return flat.reshape(len(values), self.row_bytes)

    def decode(self, payloads: NDArray[np.uint8] | None, subject: str) -> NDArray[Any]:
        """Turn protobuf payloads, uint8 (T, width), back into values (T, *shape) of `dtype`.

        Raises:
            UnreadableLog: they are not rows of this layout; None stands for payloads of other widths.
        """
        if payloads is None:
            raise UnreadableLog(f"rows are not {self.width} bytes long", subject=subject, remedy="The file is damaged.")
        count, head = len(payloads), len(self.prefix)
        if bool((payloads[:, :head] != np.frombuffer(self.prefix, np.uint8)).any()):
            raise UnreadableLog("rows lack their tag and length", subject=subject, remedy="The file is damaged.")
        body = payloads[:, head:].tobytes()
        values = np.ndarray((count, *self.shape), self._wire_dtype, buffer=body or bytes(1))
        return values.astype(self.dtype, copy=False)

    def metadata(self, *, stream: Stream) -> dict[str, str]:
        """Return the channel metadata from which `layout_read` and the reader rebuild the stream."""
        return {
            MARK: "stream",
            "dtype": self.dtype.str,
            "shape": _json(self.shape),
            "unit": stream.unit,
            "clock": stream.clock,
            "stamp": stream.stamp.value,
            "fields": _json(stream.fields),
        } | ({"wire": self.wire} if self.wire == _PICTURE else {})


def layout_of(dtype: np.dtype[Any], shape: tuple[int, ...], subject: str) -> RowLayout:
    """Choose the layout for rows of `dtype` and `shape`.

    Raises:
        InvalidEpisode: the dtype is not numeric.
    """
    if dtype.kind not in "biufc":
        raise InvalidEpisode(f"values of dtype {dtype} are not numbers", subject=subject, remedy="Log it as events.")
    return _layout(dtype.str, shape, picture=_is_picture(dtype, shape))


@lru_cache(maxsize=1024)
def _layout(dtype: str, shape: tuple[int, ...], *, picture: bool) -> RowLayout:
    wire = _PICTURE if picture else _WIRES.get(_WIDENED.get(dtype[1:], dtype[1:]), "Raw")
    return RowLayout(np.dtype(dtype), shape, wire)


def _is_picture(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
    colours = shape[2] if len(shape) == 3 else 1
    if len(shape) not in {2, 3} or (dtype.str[1:], colours) not in _ENCODINGS or not math.prod(shape):
        return False
    return colours > 1 or min(shape[:2]) >= _LEAST_SIDE


def _picture_head(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Return the fields of a RawImage before its data: width, height, encoding and step."""
    height, width, *colours = shape
    count = colours[0] if colours else 1
    encoding = _ENCODINGS[dtype.str[1:], count].encode()
    step = width * count * dtype.itemsize
    return (
        struct.pack("<BIBI", 0x15, width, 0x1D, height)
        + b"\x22"
        + _varint(len(encoding))
        + encoding
        + struct.pack("<BI", 0x2D, step)
    )


@lru_cache(maxsize=1024)
def _json(items: tuple[object, ...]) -> str:
    return json.dumps(items)


def layout_read(metadata: Mapping[str, str], subject: str) -> RowLayout:
    """Rebuild the layout from channel metadata.

    Raises:
        UnreadableLog: the metadata is incomplete or makes no sense.
    """
    try:
        shape = tuple(int(n) for n in json.loads(metadata["shape"]))
        dtype = np.dtype(metadata["dtype"])
        picture = metadata.get("wire") == _PICTURE  # logs of before have pictures as rows
        found = layout_of(dtype, shape, subject) if picture else _layout(dtype.str, shape, picture=False)
        if dtype.kind not in "biufc" or (picture and found.wire != _PICTURE):
            raise InvalidEpisode("it is no picture, or no numbers")
        return found
    except (KeyError, TypeError, ValueError, InvalidEpisode) as bad:
        raise UnreadableLog(f"channel metadata is damaged ({bad})", subject=subject, remedy="Copy it again.") from bad


def stream_read(metadata: Mapping[str, str], t_ns: NDArray[np.int64], values: NDArray[Any], subject: str) -> Stream:
    """Rebuild a stream from its samples and its channel's metadata.

    Raises:
        UnreadableLog: the metadata is damaged, or the stamps break the rules of a stream.
    """
    try:
        return Stream(
            t_ns=t_ns,
            values=values,
            clock=metadata["clock"],
            stamp=Stamp(metadata["stamp"]),
            unit=metadata["unit"],
            fields=tuple(json.loads(metadata["fields"])),
        )
    except (KeyError, TypeError, ValueError, InvalidEpisode) as bad:
        raise UnreadableLog(f"the stream cannot be rebuilt ({bad})", subject=subject, remedy="Copy it again.") from bad


@cache
def schema_of(wire: str) -> tuple[str, bytes]:
    """Return a row message's full name and its serialised FileDescriptorSet."""
    from google.protobuf import descriptor_pb2

    if wire == _PICTURE:
        return _picture_schema()
    files = descriptor_pb2.FileDescriptorSet()
    file = files.file.add(name=f"saqiya/{wire.lower()}_row.proto", package="saqiya", syntax="proto3")
    message = file.message_type.add(name=f"{wire}Row")
    field = message.field.add(name="values", number=1)
    field.type = getattr(descriptor_pb2.FieldDescriptorProto, _PROTO_TYPES[wire])
    repeated = wire != "Raw"
    field.label = getattr(descriptor_pb2.FieldDescriptorProto, "LABEL_REPEATED" if repeated else "LABEL_OPTIONAL")
    return f"saqiya.{wire}Row", bytes(files.SerializeToString(deterministic=True))


def _picture_schema() -> tuple[str, bytes]:
    from google.protobuf import descriptor_pb2, timestamp_pb2

    kinds = descriptor_pb2.FieldDescriptorProto
    files = descriptor_pb2.FileDescriptorSet()
    timestamp_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    file = files.file.add(name="foxglove/RawImage.proto", package="foxglove", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    message = file.message_type.add(name=_PICTURE)
    fields = {
        "timestamp": (1, kinds.TYPE_MESSAGE), "width": (2, kinds.TYPE_FIXED32), "height": (3, kinds.TYPE_FIXED32),
        "encoding": (4, kinds.TYPE_STRING), "step": (5, kinds.TYPE_FIXED32), "data": (6, kinds.TYPE_BYTES),
        "frame_id": (7, kinds.TYPE_STRING),
    }  # fmt: skip
    for name, (number, kind) in fields.items():
        field = message.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL, type=kind)
        if name == "timestamp":
            field.type_name = ".google.protobuf.Timestamp"
    return f"foxglove.{_PICTURE}", bytes(files.SerializeToString(deterministic=True))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
