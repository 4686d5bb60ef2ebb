"""JSON and protobuf messages as columns: flattened one by one, then put together with those that are built alike."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.formats.messages.batch import LONGEST_LIST, Batch, Decoded, Words
from saqiya.formats.messages.types import Undecodable, short
from saqiya.formats.messages.units import UNITS

__all__ = ["PlainDecoder", "json_decoder", "protobuf_decoder"]

_DEEPEST = 12
_MOST_LEAVES = 4096
_MOST_SCHEMA_BYTES = 4 << 20
_STAMPS = (("sec", "nanosec"), ("sec", "nsec"), ("secs", "nsecs"), ("seconds", "nanos"))
_STAMP_PATHS = {"header/stamp", "timestamp"}


class PlainDecoder:
    """Decodes messages that turn into nested dicts one by one."""

    def __init__(
        self,
        name: str,
        decode: Callable[[bytes], Any],
        *,
        units: Mapping[str, str] | None = None,
        data_at: Callable[[bytes], int] = lambda _: -1,
    ) -> None:
        """Decode type `name` with `decode`, which raises Undecodable."""
        self.type = short(name)
        self.units: Mapping[str, str] = units or {}
        self.inner: Mapping[str, tuple[str, ...]] = {}
        self._decode, self._data_at = decode, data_at

    def batches(self, payloads: Sequence[bytes], first: int) -> Decoded:
        """Decode messages and group them by what they hold; the first is row `first`."""
        decoded = Decoded()
        groups: dict[tuple[Any, ...], tuple[list[int], list[list[Any]]]] = {}
        for number, payload in enumerate(payloads):
            try:
                leaves = _leaves_of(self._decode(payload))
            except Undecodable as bad:
                decoded.lose(str(bad))
                continue
            key = tuple([(path, _form(value)) for path, value in leaves])
            rows, values = groups.setdefault(key, ([], []))
            rows.append(first + number)
            values.append([value for _, value in leaves])
        for key, (rows, values) in groups.items():
            decoded.batches.append(_batch(key, rows, values))
        return decoded

    def message(self, payload: bytes) -> dict[str, Any]:
        """Decode one message; stamps become int ns, base64 of the field `data` becomes bytes."""
        found = self._decode(payload)
        if not isinstance(found, dict):
            raise Undecodable("a message is no object")
        if isinstance(found.get("data"), str):
            try:
                found["data"] = base64.b64decode(found["data"], validate=True)
            except (binascii.Error, ValueError) as bad:
                raise Undecodable(f"the field data is no base64 ({bad})") from bad
        for holder, name in ((found, "timestamp"), (found.get("header"), "stamp")):
            if isinstance(holder, dict) and (stamp := _stamp(holder.get(name))) is not None:
                holder[name] = stamp
        return found

    def data_at(self, payload: bytes) -> int:
        """Return where the bytes of the field `data` lie, -1 where they do not."""
        return self._data_at(payload)


def json_decoder(name: str) -> PlainDecoder:
    """Return a decoder of JSON objects."""

    def decode(payload: bytes) -> Any:  # noqa: ANN401 - JSON is whatever it is
        try:
            return json.loads(payload)
        except (ValueError, RecursionError) as bad:
            raise Undecodable(f"a message is not JSON ({bad})") from bad

    return PlainDecoder(name, decode, units=UNITS.get(short(name), {}))


def protobuf_decoder(name: str, schema: bytes) -> PlainDecoder:
    """Return a decoder of protobuf messages of type `name`, described by a serialised FileDescriptorSet.

    Raises:
        Undecodable: the schema does not load.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.message import DecodeError

    if len(schema) > _MOST_SCHEMA_BYTES:
        raise Undecodable(f"the protobuf schema {name} has {len(schema):,} bytes")
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(schema)
        pool = descriptor_pool.DescriptorPool()
        for file in _dependencies_first(files.file):
            pool.Add(file)
        made = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    except (DecodeError, KeyError, TypeError, ValueError, RecursionError) as bad:
        raise Undecodable(f"the protobuf schema {name} does not load ({bad})") from bad
    fill = _filler(made.DESCRIPTOR, {})

    def decode(payload: bytes) -> Any:  # noqa: ANN401
        try:
            return fill(made.FromString(payload), 0)
        except (DecodeError, struct.error) as bad:
            raise Undecodable(f"a message is not a {name} ({bad})") from bad

    data = made.DESCRIPTOR.fields_by_name.get("data")
    number = data.number if data is not None and data.type == data.TYPE_BYTES else 0
    return PlainDecoder(
        name,
        decode,
        units=_units_of(made.DESCRIPTOR, "", "", 0),
        data_at=lambda payload: _bytes_at(payload, number) if number else -1,
    )


def _dependencies_first(files: Sequence[Any]) -> Iterator[Any]:
    named = {file.name: file for file in files}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> Iterator[Any]:
        if name in done or name not in named:
            return
        if name in trail:
            raise ValueError(f"{name} imports itself")
        for dependency in named[name].dependency:
            yield from visit(dependency, (*trail, name))
        done.add(name)
        yield named[name]

    for file in files:
        yield from visit(file.name, ())


def _filler(described: Any, made: dict[str, Any]) -> Callable[[Any, int], dict[str, Any]]:  # noqa: ANN401
    """Return a function that turns a message of this type into what JSON would have held; unset ones are absent."""
    if described.full_name in made:
        return made[described.full_name]  # type: ignore[no-any-return]

    def fill(message: Any, depth: int) -> dict[str, Any]:  # noqa: ANN401 - a class made at run time
        if depth > _DEEPEST:
            raise Undecodable(f"a message is nested deeper than {_DEEPEST} levels")
        out: dict[str, Any] = {}
        for name, kind, inner in plan:
            if kind == "one":
                out[name] = getattr(message, name)
            elif kind == "message":
                if message.HasField(name):
                    out[name] = inner(getattr(message, name), depth + 1)
            elif kind == "optional":
                if message.HasField(name):
                    out[name] = getattr(message, name)
            elif kind == "list":
                out[name] = list(getattr(message, name))
            elif kind == "messages":
                out[name] = [inner(item, depth + 1) for item in getattr(message, name)]
            else:
                values = getattr(message, name).items()
                out[name] = {str(k): inner(v, depth + 1) if inner else v for k, v in values}
        return out

    made[described.full_name] = fill
    plan = [(one.name, *_plan(one, made)) for one in described.fields]
    return fill


def _plan(one: Any, made: dict[str, Any]) -> tuple[str, Any]:  # noqa: ANN401
    inner = one.message_type
    if inner is not None and inner.GetOptions().map_entry:
        value = inner.fields_by_name["value"].message_type
        return "map", _filler(value, made) if value is not None else None
    if inner is not None:
        return ("messages" if _repeated(one) else "message"), _filler(inner, made)
    if _repeated(one):
        return "list", None
    return ("optional" if one.has_presence else "one"), None


def _repeated(one: Any) -> bool:  # noqa: ANN401
    said = getattr(one, "is_repeated", None)  # protobuf 6.31 and later; before that only the label says it
    return bool(one.label == one.LABEL_REPEATED if said is None else said)


def _units_of(described: Any, prefix: str, unit: str, depth: int) -> dict[str, str]:  # noqa: ANN401
    own = UNITS.get(short(described.full_name), {})
    units: dict[str, str] = {}
    if depth > _DEEPEST:
        return units
    for one in described.fields:
        path = f"{prefix}/{one.name}" if prefix else one.name
        said = own.get(one.name, unit)
        if one.message_type is not None:
            units |= _units_of(one.message_type, f"{path}/*" if _repeated(one) else path, said, depth + 4)
        elif said:
            units[path] = said
    return units


def _bytes_at(payload: bytes, number: int) -> int:
    """Return where the value of bytes field `number` begins in a protobuf message, -1 when it is not there."""
    at, found = 0, -1
    try:
        while at < len(payload):
            tag, at = _varint(payload, at)
            if tag & 7 == 0:
                _, at = _varint(payload, at)
            elif tag & 7 == 1:
                at += 8
            elif tag & 7 == 5:
                at += 4
            elif tag & 7 == 2:
                size, at = _varint(payload, at)
                found = at if tag >> 3 == number else found
                at += size
            else:
                return -1
    except IndexError:
        return -1
    return found


def _varint(payload: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = payload[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 63:
            return value, at
        shift += 7


def _leaves_of(message: Any) -> list[tuple[str, Any]]:  # noqa: ANN401
    leaves: list[tuple[str, Any]] = []
    _leaves("", message, 0, leaves)
    return leaves


def _leaves(path: str, value: Any, depth: int, out: list[tuple[str, Any]]) -> None:  # noqa: ANN401
    """List (path, number, text, bytes or list of numbers) of everything in a decoded message."""
    if depth > _DEEPEST:
        raise Undecodable(f"{path} is nested deeper than {_DEEPEST} levels")
    if len(out) > _MOST_LEAVES:
        raise Undecodable(f"a message has more than {_MOST_LEAVES} fields")
    if isinstance(value, Mapping):
        stamp = _stamp(value) if path in _STAMP_PATHS else None
        if stamp is not None:
            out.append((path, stamp))
            return
        for key, inner in value.items():
            _leaves(f"{path}/{key}" if path else str(key), inner, depth + 1, out)
    elif isinstance(value, list) and not all(isinstance(item, (int, float)) for item in value):
        for i, inner in enumerate(value[:LONGEST_LIST]):
            _leaves(f"{path}/{i}", inner, depth + 1, out)
        if len(value) > LONGEST_LIST:
            out.append((f"{path}/{LONGEST_LIST}...", None))
    elif value is not None:
        out.append((path, value))


def _stamp(value: Any) -> int | None:  # noqa: ANN401
    """Return a stamp of seconds and nanoseconds as ns, None where it is none."""
    if not isinstance(value, Mapping):
        return None
    for names in _STAMPS:
        if set(value) <= set(names) and value and all(type(part) is int for part in value.values()):
            stamp = int(value.get(names[0], 0)) * 1_000_000_000 + int(value.get(names[1], 0))
            return stamp if abs(stamp) < 1 << 62 else None
    return None


def _form(value: Any) -> Any:  # noqa: ANN401
    """Say what kind of column a value belongs to."""
    if isinstance(value, list):
        return len(value)
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, (int, float)) else "neither"


def _batch(key: tuple[tuple[str, Any], ...], rows: list[int], values: list[list[Any]]) -> Batch:
    batch = Batch(np.array(rows, np.int64), {})
    for column, (path, form) in enumerate(key):
        found = [row[column] for row in values]
        if form == "text":
            seen: dict[str, int] = {}
            code = [seen.setdefault(text, len(seen)) for text in found]
            batch.texts[path] = Words(tuple(seen), np.array(code, np.int64))
        elif form == "neither":
            batch.skipped[path] = "bytes, or a list too long to take apart"
        elif form == "number":
            batch.numbers[path] = _numbers(found)
        else:
            batch.numbers[path] = _numbers([item for row in found for item in row]).reshape(len(rows), form)
    return batch


def _numbers(flat: list[Any]) -> NDArray[Any]:
    """Return bool, int64 where all are whole numbers that fit, else float64."""
    kinds = set(map(type, flat))
    if kinds == {bool}:
        return np.array(flat, np.bool_)
    if kinds and kinds <= {bool, int} and min(flat) >= -(2**63) and max(flat) < 2**63:
        return np.array(flat, np.int64)
    try:
        return np.array(flat, np.float64)
    except OverflowError:
        return np.array([_as_float(item) for item in flat], np.float64)


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
