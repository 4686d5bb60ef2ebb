"""TFRecord files and the `tf.train.Example` messages in them, without TensorFlow.

A record is its length (uint64, little), the length's masked CRC-32C, the data, and the data's masked CRC-32C
(https://www.tensorflow.org/tutorials/load_data/tfrecord).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import UnreadableLog

__all__ = ["Feature", "Torn", "begins_like", "example", "records"]

HEAD_BYTES, TAIL_BYTES = 12, 4
MOST_RECORD_BYTES = 1 << 31
"""What one protobuf message can be at most."""
_MASK, _WORD = 0xA282EAD8, 0xFFFFFFFF

Feature = NDArray[np.float32] | NDArray[np.int64] | list[bytes]
"""One feature's values: float32, int64, or bytes."""


@dataclass(frozen=True)
class Torn:
    """A place where a file could not be read: a spoiled record, or (`last`) all from there on."""

    number: int
    what: str
    last: bool


def masked(data: bytes | memoryview) -> int:
    """Return the masked CRC-32C of `data`."""
    import google_crc32c

    crc: int = google_crc32c.value(bytes(data))
    return ((crc >> 15 | crc << 17) + _MASK) & _WORD


def begins_like(head: bytes) -> bool:
    """Say whether a file begins with a record's length and the sum that belongs to it."""
    return len(head) >= HEAD_BYTES and masked(head[:8]) == int.from_bytes(head[8:12], "little")


def records(path: Path) -> Iterator[bytes | Torn]:
    """Yield each record; one whose sum is wrong, and what is left where lengths can no longer be trusted, as `Torn`."""
    size = path.stat().st_size
    if not size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        at, number = 0, 0
        while at < size:
            head = whole[at : at + HEAD_BYTES]
            if len(head) < HEAD_BYTES:
                yield Torn(number, f"ends inside the head of record {number}, at byte {at} of {size}", last=True)
                return
            if not begins_like(head):
                yield Torn(number, f"has a wrong sum over the length of record {number}, at byte {at}", last=True)
                return
            length = int.from_bytes(head[:8], "little")
            end = at + HEAD_BYTES + length + TAIL_BYTES
            if length > MOST_RECORD_BYTES or end > size:
                yield Torn(number, f"ends inside record {number} of {length} bytes, at byte {at} of {size}", last=True)
                return
            data = whole[at + HEAD_BYTES : end - TAIL_BYTES]
            if masked(data) != int.from_bytes(whole[end - TAIL_BYTES : end], "little"):
                yield Torn(number, f"has a wrong sum over record {number}, at byte {at}", last=False)
            else:
                yield data
            at, number = end, number + 1


@cache
def _message() -> Any:  # noqa: ANN401 - a class that protobuf makes
    """Make the class of `tf.train.Example` (tensorflow/core/example/{example,feature}.proto)."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="saqiya/example.proto", package="saqiya.tf", syntax="proto3")
    label, kind = descriptor_pb2.FieldDescriptorProto, descriptor_pb2.FieldDescriptorProto

    def message(name: str, *fields: tuple[str, int, int, str], many: bool = False) -> Any:  # noqa: ANN401
        made = file.message_type.add(name=name)
        for field, number, code, of in fields:
            made.field.add(
                name=field,
                number=number,
                type=code,
                type_name=f".saqiya.tf.{of}" if of else None,
                label=label.LABEL_REPEATED if many else label.LABEL_OPTIONAL,
            )
        return made

    message("BytesList", ("value", 1, kind.TYPE_BYTES, ""), many=True)
    message("FloatList", ("value", 1, kind.TYPE_FLOAT, ""), many=True)
    message("Int64List", ("value", 1, kind.TYPE_INT64, ""), many=True)
    lists = (("bytes_list", "BytesList"), ("float_list", "FloatList"), ("int64_list", "Int64List"))
    message("Feature", *((name, place, kind.TYPE_MESSAGE, of) for place, (name, of) in enumerate(lists, 1)))
    features = message("Features", ("feature", 1, kind.TYPE_MESSAGE, "Features.FeatureEntry"), many=True)
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kind.TYPE_STRING, label=label.LABEL_OPTIONAL)
    entry.field.add(
        name="value", number=2, type=kind.TYPE_MESSAGE, type_name=".saqiya.tf.Feature", label=label.LABEL_OPTIONAL
    )
    message("Example", ("features", 1, kind.TYPE_MESSAGE, "Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("saqiya.tf.Example"))


def example(data: bytes) -> dict[str, Feature]:
    """Parse a `tf.train.Example` into its features; those without values are left out.

    Raises:
        UnreadableLog: it is no such message.
    """
    from google.protobuf.message import DecodeError

    try:
        parsed = _message().FromString(data)
    except DecodeError as error:
        raise UnreadableLog(f"is no tf.train.Example ({error})", remedy="Write it again as RLDS does.") from error
    found: dict[str, Feature] = {}
    for name, feature in sorted(parsed.features.feature.items()):
        if len(feature.float_list.value):
            found[name] = np.array(feature.float_list.value, dtype=np.float32)
        elif len(feature.int64_list.value):
            found[name] = np.array(feature.int64_list.value, dtype=np.int64)
        elif len(feature.bytes_list.value):
            found[name] = list(feature.bytes_list.value)
    return found
