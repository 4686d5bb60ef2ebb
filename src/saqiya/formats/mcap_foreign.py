"""Read what others logged: JSON channels, and protobuf channels through the schema in the file, flattened to streams.

A numeric field `a.b` of topic `/t` becomes the stream `/t/a/b`; a list of numbers becomes its columns. A text field
becomes an event each time it changes. What stays behind is named, with the reason, in `metadata["skipped"]`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import Event, JsonValue, Stamp, Stream
from saqiya.formats.mcap_rows import MARK

if TYPE_CHECKING:
    from mcap.records import Schema

    from saqiya.formats.mcap_scan import Contents, Messages

__all__ = ["decode_foreign"]

CLOCK = "mcap:log_time"
_LONGEST_LIST = 64  # of objects, each of which becomes streams of its own
_DEEPEST = 12


@dataclass
class _Column:
    """One flattened field: the stamps and values of the messages that had it."""

    t_ns: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)


def decode_foreign(contents: Contents) -> tuple[dict[str, Stream], list[Event], dict[str, JsonValue]]:
    """Decode the channels of a file that is not ours into streams, events and metadata; never raises for a channel."""
    streams: dict[str, Stream] = {}
    events: list[Event] = []
    skipped: dict[str, JsonValue] = {}
    for number, channel in contents.channels.items():
        if MARK in channel.metadata:
            continue  # one of ours, cut out of its file: the caller has read it
        messages = contents.messages.get(number)
        schema = contents.schemas.get(channel.schema_id)
        if messages is None:
            skipped[channel.topic] = "no messages"
            continue
        try:
            decode = _decoder(channel.message_encoding, schema)
            columns = _columns(channel.topic, messages, decode)
        except _Undecodable as why:
            skipped[channel.topic] = str(why)
            continue
        for name, column in columns.items():
            _place(name, column, streams=streams, events=events, skipped=skipped)
    metadata: dict[str, JsonValue] = {name: dict(entries) for name, entries in contents.metadata}
    metadata["mcap"] = {"profile": contents.profile, "library": contents.library}
    if contents.attachments:
        skipped |= {f"attachment {name}": "attachments are not read" for name in contents.attachments}
    if skipped:
        metadata["skipped"] = skipped
    return streams, events, metadata


class _Undecodable(Exception):
    """Why a channel cannot be decoded; inner to this module."""


def _decoder(encoding: str, schema: Schema | None) -> Callable[[bytes], Any]:
    if encoding == "json":
        return _decode_json
    if encoding == "protobuf" and schema is not None and schema.encoding == "protobuf":
        return _protobuf_decoder(schema)
    named = f"{encoding or 'no'} encoding"
    if schema is not None:
        named += f", schema {schema.name or 'unnamed'} ({schema.encoding or 'none'})"
    raise _Undecodable(f"{named}: this reader decodes JSON and protobuf only")


def _decode_json(payload: bytes) -> Any:  # noqa: ANN401 - JSON is whatever it is
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as bad:
        raise _Undecodable(f"a message is not JSON ({bad})") from bad


def _protobuf_decoder(schema: Schema) -> Callable[[bytes], Any]:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.message import DecodeError

    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(schema.data)
        pool = descriptor_pool.DescriptorPool()
        for file in _dependencies_first(files.file):
            pool.Add(file)
        make = message_factory.GetMessageClass(pool.FindMessageTypeByName(schema.name))
    except (DecodeError, KeyError, TypeError, ValueError) as bad:
        raise _Undecodable(f"the protobuf schema {schema.name} does not load ({bad})") from bad

    def decode(payload: bytes) -> Any:  # noqa: ANN401
        try:
            return _plain(make.FromString(payload))
        except (DecodeError, struct.error) as bad:
            raise _Undecodable(f"a message is not a {schema.name} ({bad})") from bad

    return decode


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


def _plain(message: Any) -> dict[str, Any]:  # noqa: ANN401 - a class made at run time
    """Turn a protobuf message into what JSON would have held; unset submessages are absent."""
    out: dict[str, Any] = {}
    for described in message.DESCRIPTOR.fields:
        is_message = described.message_type is not None
        value = getattr(message, described.name)
        if is_message and described.message_type.GetOptions().map_entry:
            inner = described.message_type.fields_by_name["value"].message_type
            out[described.name] = {str(k): _plain(v) if inner is not None else v for k, v in value.items()}
        elif isinstance(value, (str, bytes, bool, int, float)):
            out[described.name] = value
        elif not is_message:
            out[described.name] = list(value)
        elif hasattr(value, "DESCRIPTOR"):
            if message.HasField(described.name):
                out[described.name] = _plain(value)
        else:
            out[described.name] = [_plain(item) for item in value]
    return out


def _columns(topic: str, messages: Messages, decode: Callable[[bytes], Any]) -> dict[str, _Column]:
    columns: dict[str, _Column] = {}
    for t_ns, _, payload in sorted(messages.each(), key=itemgetter(0)):
        for name, value in _leaves(topic, decode(payload), 0):
            column = columns.setdefault(name, _Column())
            column.t_ns.append(t_ns)
            column.values.append(value)
    return columns


def _leaves(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield (path, number, text, bytes or list of numbers) of everything in a decoded message."""
    if depth > _DEEPEST:
        raise _Undecodable(f"{name} is nested deeper than {_DEEPEST} levels")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{name}/{key}", inner, depth + 1)
    elif isinstance(value, list) and not all(isinstance(item, (int, float)) for item in value):
        for i, inner in enumerate(value[:_LONGEST_LIST]):
            yield from _leaves(f"{name}/{i}", inner, depth + 1)
        if len(value) > _LONGEST_LIST:
            yield f"{name}/{_LONGEST_LIST}...", b""
    elif value is not None:
        yield name, value


def _place(
    name: str,
    column: _Column,
    *,
    streams: dict[str, Stream],
    events: list[Event],
    skipped: dict[str, JsonValue],
) -> None:
    first = column.values[0]
    if all(isinstance(value, str) for value in column.values):
        before = None
        for t_ns, value in zip(column.t_ns, column.values, strict=True):
            if value != before:
                events.append(Event(t_ns, name, value))
            before = value
        return
    if any(isinstance(value, bytes) for value in column.values):
        skipped[name] = "bytes, or a list too long to take apart"
        return
    if name in streams:
        skipped[f"{name} (again)"] = "two channels have this topic"
        return
    values = _numbers(column.values)
    if values is None:
        wide = isinstance(first, list) and all(isinstance(value, list) for value in column.values)
        skipped[name] = "the list's length varies" if wide else "neither always numbers nor always text"
        return
    streams[name] = Stream(np.array(column.t_ns, np.int64), values, clock=CLOCK, stamp=Stamp.RECEIVE)


def _numbers(values: list[Any]) -> NDArray[Any] | None:
    """Return (T,) or (T, n) of bool, of int64 where all are whole numbers that fit, else of float64; None if mixed."""
    rows = values if isinstance(values[0], list) else [[value] for value in values if not isinstance(value, list)]
    if len(rows) != len(values) or any(not isinstance(row, list) or len(row) != len(rows[0]) for row in rows):
        return None
    flat = [item for row in rows for item in row]
    if any(not isinstance(item, (int, float)) for item in flat):
        return None
    shape = (len(rows), len(rows[0])) if isinstance(values[0], list) else (len(rows),)
    if flat and all(isinstance(item, bool) for item in flat):
        return np.array(flat, np.bool_).reshape(shape)
    if flat and all(isinstance(item, int) and -(2**63) <= item < 2**63 for item in flat):
        return np.array(flat, np.int64).reshape(shape)
    return np.array([_as_float(item) for item in flat], np.float64).reshape(shape)


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
