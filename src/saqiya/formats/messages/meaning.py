"""What a topic's columns mean: joints by name, one stream a transform, vectors, texts as events, numbers as streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.formats.messages.batch import Batch, Decoder, Words
from saqiya.formats.messages.found import NO_STAMP, Found, Stamps, stamps_of
from saqiya.formats.messages.joints import joints, transforms
from saqiya.formats.messages.units import pattern
from saqiya.formats.pictures.spool import Spool

__all__ = ["place_table"]

_STAMP_PATHS = ("header/stamp", "timestamp")
_NUMBERED = "header/seq"  # ROS 1 counts a publisher's messages: no signal of the robot, but it tells what was lost
_FRAMES = {"header/frame_id", "frame_id", "child_frame_id"}
_VECTORS = (("x", "y", "z"), ("x", "y", "z", "w"), ("r", "g", "b", "a"), ("x", "y"))
_LOGS = {"rosgraph_msgs/Log", "rcl_interfaces/Log", "foxglove_msgs/Log"}
MOST_WASTE = 4
MOST_LOST_AT_ONCE = 100_000
MOST_IN_MEMORY_BYTES = 1 << 28
MOST_PADDED_BYTES = 1 << 28
MOST_STREAMS = 256
"""Of one topic: lists of objects (markers, paths) would make thousands."""


@dataclass
class _Part:
    rows: NDArray[np.int64]
    values: NDArray[Any]


def place_table(
    topic: str, decoder: Decoder, batches: list[Batch], receive_ns: NDArray[np.int64], found: Found
) -> None:
    """Turn the batches of one topic into streams and events."""
    stamps = stamps_of(receive_ns, _sensor(batches, len(receive_ns)))
    before = len(found.streams)
    _place(topic, decoder, batches, stamps, found)
    if len(found.streams) > before:
        found.receive(topic, stamps)


def _place(topic: str, decoder: Decoder, batches: list[Batch], stamps: Stamps, found: Found) -> None:
    for name, reason in {k: v for batch in batches for k, v in batch.skipped.items()}.items():
        found.skipped[f"{topic}/{name}"] = reason
    if decoder.type in _LOGS:
        _lines(topic, batches, stamps, found)
        return
    found.note(topic, _lost(batches))
    rest = joints(topic, decoder, transforms(topic, batches, stamps, found), stamps, found)
    _texts(topic, rest, stamps, found)
    columns = _columns(rest)
    _bare(topic, rest, stamps, found)
    merged = _merged(columns)
    if len(merged) > MOST_STREAMS:
        found.skipped[f"{topic}/..."] = f"it has {len(merged):,} fields; the first {MOST_STREAMS} are kept"
    for path, (parts, fields) in list(merged.items())[:MOST_STREAMS]:
        known = pattern(path)
        sided = f"{known}/{fields[0]}" if fields and known else "".join(fields[:1])
        unit = decoder.units.get(sided if fields else known, "")
        _stream(_named(topic, path), parts, (unit, fields or decoder.inner.get(known, ())), stamps, found)


def _sensor(batches: list[Batch], count: int) -> NDArray[np.int64] | None:
    """Return the messages' own stamps, `NO_STAMP` where a message has none; None where no message has one."""
    out: NDArray[np.int64] | None = None
    for batch in batches:
        for path in _STAMP_PATHS:
            column = batch.numbers.get(path)
            if column is not None and column.dtype == np.int64 and column.ndim == 1:
                out = np.full(count, NO_STAMP, np.int64) if out is None else out
                out[batch.rows] = column
                break
    return out


def _lost(batches: Sequence[Batch]) -> str:
    """Say how many messages never came, by the numbers that one publisher gave them; "" where none or nobody knows."""
    parts = [(batch.rows, batch.numbers[_NUMBERED]) for batch in batches if _NUMBERED in batch.numbers]
    if not parts:
        return ""
    rows, numbers = (np.concatenate(side) for side in zip(*parts, strict=True))
    steps = np.diff(numbers[np.argsort(rows, kind="stable")].astype(np.int64))
    lost = int((steps - 1).sum())
    if not len(steps) or steps.min() < 1 or not lost or steps.max() > MOST_LOST_AT_ONCE:
        return ""
    return f"{lost} messages were lost on the way to the recorder (header.seq)"


def _named(topic: str, path: str) -> str:
    return f"{topic}/{path}" if path else topic


def _columns(batches: Sequence[Batch]) -> dict[str, list[_Part]]:
    columns: dict[str, list[_Part]] = {}
    for batch in batches:
        for path, values in batch.numbers.items():
            if path not in _STAMP_PATHS and path != _NUMBERED:
                columns.setdefault(path, []).append(_Part(batch.rows, values))
    texts = {path for batch in batches for path in batch.texts}
    for path in texts & set(columns):
        columns[path] = [_Part(part.rows, np.empty((0, 0, 0, 0))) for part in columns[path][:1]]
    return columns


def _merged(columns: Mapping[str, list[_Part]]) -> dict[str, tuple[list[_Part], tuple[str, ...]]]:
    """Put x, y, z that lie side by side into one vector."""
    by_parent: dict[str, list[str]] = {}
    for path in columns:
        parent, _, name = path.rpartition("/")
        by_parent.setdefault(parent, []).append(name)
    out: dict[str, tuple[list[_Part], tuple[str, ...]]] = {}
    for path, parts in columns.items():
        parent, _, name = path.rpartition("/")
        names = tuple(by_parent[parent])
        if names not in _VECTORS:
            out[path] = (parts, ())
        elif name == names[0]:
            sides = [columns[f"{parent}/{one}" if parent else one] for one in names]
            whole = _side_by_side(sides)
            if whole is None:
                out |= {
                    f"{parent}/{one}" if parent else one: (side, ()) for one, side in zip(names, sides, strict=True)
                }
            else:
                out[parent] = (whole, names)
    return out


def _side_by_side(sides: list[list[_Part]]) -> list[_Part] | None:
    whole = []
    if any(len(side) != len(sides[0]) for side in sides):
        return None
    for parts in zip(*sides, strict=True):
        if any(part.values.ndim != 1 or part.rows is not parts[0].rows for part in parts):
            return None
        whole.append(_Part(parts[0].rows, np.stack([part.values for part in parts], axis=1)))
    return whole


def _stream(name: str, parts: list[_Part], said: tuple[str, tuple[str, ...]], stamps: Stamps, found: Found) -> None:
    unit, fields = said
    shapes = {part.values.shape[1:] for part in parts}
    if len({len(shape) for shape in shapes}) > 1 or any(len(shape) > 2 for shape in shapes):
        found.skipped[name] = "neither always numbers nor always text, nor always a list"
        return
    rows = np.concatenate([part.rows for part in parts])
    if len(shapes) == 1:
        values = _joined([part.values for part in parts])
        if not values.size:
            return  # always an empty list: there is nothing to keep
    else:
        counts = np.concatenate([np.full(len(part.rows), part.values.shape[1], np.int64) for part in parts])
        padded = _padded([part.values for part in parts], counts)
        if padded is None:
            found.skipped[name] = f"the list's length varies too much ({counts.min()} to {counts.max()})"
            return
        values = padded
        found.note(name, f"a list of {counts.min()} to {counts.max()} numbers, filled up; its length is {name}/count")
        found.stream(f"{name}/count", stamps, rows, counts.reshape(-1, 1))
    ordered = bool((rows[1:] > rows[:-1]).all())
    if not ordered:
        turn = np.argsort(rows, kind="stable")
        rows, values = rows[turn], values[turn]
    found.stream(name, stamps, rows, values, unit=unit, fields=fields if values.shape[-1] == len(fields) else ())


def _joined(tables: list[NDArray[Any]]) -> NDArray[Any]:
    """Put tables behind each other: in memory, or in a file where that would be much."""
    if len(tables) == 1:
        return tables[0]
    kind = np.result_type(*tables)
    if sum(table.nbytes for table in tables) <= MOST_IN_MEMORY_BYTES:
        return np.concatenate(tables)
    spool = Spool()
    for table in tables:
        spool.add(np.ascontiguousarray(table, kind).data.cast("B"))
    return np.frombuffer(spool.data(), kind).reshape(-1, *tables[0].shape[1:])


def _padded(tables: list[NDArray[Any]], counts: NDArray[np.int64]) -> NDArray[Any] | None:
    """Fill lists up to the longest, floats with NaN and all else with zero; None where that would be mostly filling."""
    longest, kind = int(counts.max()), np.result_type(*tables)
    tail = tables[0].shape[2:]
    each = int(np.prod(tail, dtype=np.int64)) * kind.itemsize
    if len(counts) * longest > MOST_WASTE * max(int(counts.sum()), 1) and len(counts) * longest * each > 1 << 20:
        return None
    if len(counts) * longest * each > MOST_PADDED_BYTES or any(one.shape[2:] != tail for one in tables):
        return None
    out = np.full((len(counts), longest, *tail), np.nan if kind.kind == "f" else 0, kind)
    at = 0
    for table in tables:
        out[at : at + len(table), : table.shape[1]] = table
        at += len(table)
    return out


def _texts(topic: str, batches: Sequence[Batch], stamps: Stamps, found: Found) -> None:
    """Make an event of each change of a text; frames that never change are facts instead."""
    paths = dict.fromkeys(path for batch in batches for path in batch.texts)
    numbers = {path for batch in batches for path in batch.numbers}
    for path in paths:
        if path in numbers:
            continue
        name = _named(topic, path)
        rows, words = joined_words([(batch.rows, batch.texts[path]) for batch in batches if path in batch.texts])
        t_ns, turn = stamps.of(rows)
        if path in _FRAMES and len(words.words) == 1:
            frames = found.frames.setdefault(topic, {})
            if isinstance(frames, dict) and words.words[0]:
                frames[path.removeprefix("header/")] = words.words[0]
            if not frames:
                del found.frames[topic]
        else:
            name = topic if path == "data" and len(paths) == 1 and not numbers - set(_STAMP_PATHS) else name
            found.changes(name, t_ns, words.code[turn], words.words)


def joined_words(parts: Sequence[tuple[NDArray[np.int64], Words]]) -> tuple[NDArray[np.int64], Words]:
    """Put columns of text behind each other, equal texts under one code."""
    seen: dict[str, int] = {}
    codes = []
    for _, words in parts:
        turned = np.array([seen.setdefault(text, len(seen)) for text in words.words], np.int64)
        codes.append(turned[words.code])
    return np.concatenate([rows for rows, _ in parts]), Words(tuple(seen), np.concatenate(codes))


def _bare(topic: str, batches: Sequence[Batch], stamps: Stamps, found: Found) -> None:
    """Make events of messages that hold nothing, and of a lone truth value that changes."""
    empty = [
        batch.rows for batch in batches if batch.bare and not batch.texts and not set(batch.numbers) - set(_STAMP_PATHS)
    ]
    if empty:
        t_ns, _ = stamps.of(np.sort(np.concatenate(empty)))
        found.changes(topic, t_ns, np.arange(len(t_ns), dtype=np.int64), ("",) * len(t_ns))
    lone = [batch for batch in batches if set(batch.numbers) == {"data"} and batch.numbers["data"].dtype == np.bool_]
    if lone and len(lone) == len(batches):
        rows = np.concatenate([batch.rows for batch in lone])
        values = np.concatenate([batch.numbers["data"] for batch in lone])
        if values.ndim == 1:
            t_ns, turn = stamps.of(rows)
            found.changes(topic, t_ns, values[turn].astype(np.int64), ("false", "true"))


def _lines(topic: str, batches: Sequence[Batch], stamps: Stamps, found: Found) -> None:
    """Make each line of a program's log one event."""
    lines: list[tuple[int, str]] = []
    for batch in batches:
        size = len(batch.rows)
        level = batch.numbers.get("level", np.zeros(size, np.int64)).tolist()
        texts = [
            batch.texts[path].each() if path in batch.texts else [""] * size for path in ("name", "msg", "message")
        ]
        for row, grade, name, said, other in zip(batch.rows.tolist(), level, *texts, strict=True):
            lines.append((row, f"[{grade}] {name}: {said or other}"))
    lines.sort()
    rows = np.array([row for row, _ in lines], np.int64)
    t_ns, turn = stamps.of(rows)
    found.changes(topic, t_ns, np.arange(len(rows), dtype=np.int64), tuple(lines[at][1] for at in turn.tolist()))
