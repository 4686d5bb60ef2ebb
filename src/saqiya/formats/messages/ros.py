"""ROS messages in bulk: one walk finds where a message's fields lie, and all messages laid out alike are cut at once.

Where the fields of a message lie depends on nothing but its lengths (of texts and lists). So messages that are equally
long and hold the same lengths at the same places have the same layout, and a field of all of them is one slice of a
matrix. Speaks ROS 1 (packed, little-endian) and CDR (aligned, either order; XCDR1).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.formats.messages.batch import LONGEST_LIST, Batch, Decoded, Words
from saqiya.formats.messages.types import Struct, Undecodable
from saqiya.formats.messages.units import static_facts

__all__ = ["RosDecoder"]

_SIZES = {f"{kind}{size}": size for kind in "fiub" for size in (1, 2, 4, 8)}
_MOST_LEAVES = 4096
_LONGEST_TREE = 256  # of transforms: a whole robot's come as one message
_MOST_FILLING = 7
_MOST_CUTS = 500_000  # of a few megabytes of messages: markers that differ one by one would take for ever
_MOST_OF_NOTHING = 8  # CDR's head, one byte, and filling up
_TIME_PARTS = {"time": ("u4", "u4"), "duration": ("i4", "i4")}


@dataclass(frozen=True)
class _Leaf:
    path: str
    kind: str
    at: int
    shape: tuple[int, ...]  # () one value

    @property
    def count(self) -> int:
        out = 1
        for side in self.shape:
            out *= side
        return out


@dataclass
class _Walk:
    """One message on its way through the types: where we are, and what was found."""

    payload: bytes
    at: int
    origin: int
    order: str
    leaves: list[_Leaf] = field(default_factory=list)
    controls: list[tuple[int, int]] = field(default_factory=list)  # place and value of every length
    skipped: dict[str, str] = field(default_factory=dict)
    steps_left: int = 0


class RosDecoder:
    """Decodes messages of one ROS type."""

    def __init__(self, root: Struct, *, ros1: bool) -> None:
        """Prepare for type `root`."""
        self.type = root.name
        self._root, self._ros1 = root, ros1
        facts = static_facts(root)
        self.units: Mapping[str, str] = facts.units
        self.inner: Mapping[str, tuple[str, ...]] = facts.inner

    def batches(self, payloads: Sequence[bytes], first: int) -> Decoded:
        """Decode messages in groups of equal layout; the first is row `first`."""
        decoded = Decoded()
        by_size: dict[int, list[int]] = {}
        for number, payload in enumerate(payloads):
            by_size.setdefault(len(payload), []).append(number)
        for size, numbers in by_size.items():
            table = np.frombuffer(b"".join([payloads[n] for n in numbers]), np.uint8).reshape(len(numbers), size)
            rows = np.array(numbers, np.int64)
            self._same_size(table, rows, first, decoded)
        return decoded

    def _same_size(self, table: NDArray[np.uint8], rows: NDArray[np.int64], first: int, decoded: Decoded) -> None:
        while len(rows):
            try:
                walk = self._walk(table[0].tobytes())
            except Undecodable as bad:
                decoded.lose(str(bad))
                table, rows = table[1:], rows[1:]
                continue
            if decoded.cuts > _MOST_CUTS:
                why = f"its messages differ one by one; after {_MOST_CUTS:,} fields the rest of a stretch is left out"
                decoded.lose(why, len(rows))
                return
            decoded.cuts += len(walk.leaves)
            alike = self._alike(table, walk)
            whole = bool(alike.all())
            part = table if whole else table[alike]
            decoded.batches.append(self._cut(part, rows[alike] + first, walk))
            if whole:
                return
            table, rows = table[~alike], rows[~alike]

    def _alike(self, table: NDArray[np.uint8], walk: _Walk) -> NDArray[np.bool_]:
        """Say which rows have the lengths that `walk` found, and the same byte order."""
        alike = np.ones(len(table), np.bool_)
        if len(table) == 1:
            return alike
        if not self._ros1:
            alike &= table[:, 1] == table[0, 1]
        for at, _ in walk.controls:
            alike &= (table[:, at : at + 4] == table[0, at : at + 4]).all(axis=1)
        return alike

    def _cut(self, table: NDArray[np.uint8], rows: NDArray[np.int64], walk: _Walk) -> Batch:
        batch = Batch(rows, {}, {}, walk.skipped)
        for leaf in walk.leaves:
            if leaf.kind == "string":
                batch.texts[leaf.path] = _words(table[:, leaf.at : leaf.at + leaf.count])
            elif leaf.kind in _TIME_PARTS:
                batch.numbers[leaf.path] = self._times(table, leaf, walk.order)
            else:
                size = _SIZES[leaf.kind] * leaf.count
                cut = np.ascontiguousarray(table[:, leaf.at : leaf.at + size])
                batch.numbers[leaf.path] = _numbers(cut, leaf, walk.order)
        return batch

    def _times(self, table: NDArray[np.uint8], leaf: _Leaf, order: str) -> NDArray[np.int64]:
        seconds, rest = self._time_parts(leaf.kind)
        cut = np.ascontiguousarray(table[:, leaf.at : leaf.at + 8 * leaf.count])
        parts = cut.view(np.dtype([("s", order + seconds), ("n", order + rest)]))
        stamps: NDArray[np.int64] = parts["s"].astype(np.int64) * 1_000_000_000 + parts["n"]
        return stamps.reshape(len(table), *leaf.shape)

    def _time_parts(self, kind: str) -> tuple[str, str]:
        return _TIME_PARTS[kind] if self._ros1 else ("i4", "u4")

    def message(self, payload: bytes) -> dict[str, Any]:
        """Decode one message; lists of bytes stay bytes."""
        walk = self._walk(payload)
        table = np.frombuffer(payload, np.uint8)[None]
        out: dict[str, Any] = {}
        for leaf in walk.leaves:
            value: Any
            if leaf.kind == "string":
                value = bytes(payload[leaf.at : leaf.at + leaf.count]).rstrip(b"\0").decode("utf-8", "replace")
            elif leaf.kind in _TIME_PARTS:
                value = self._times(table, leaf, walk.order)[0].tolist()
            elif leaf.kind == "u1" and leaf.shape:
                value = memoryview(payload)[leaf.at : leaf.at + leaf.count]
            else:
                cut = table[:, leaf.at : leaf.at + _SIZES[leaf.kind] * leaf.count]
                value = _numbers(np.ascontiguousarray(cut), leaf, walk.order)[0].tolist()
            inner = out
            *outer, last = leaf.path.split("/")
            for name in outer:
                inner = inner.setdefault(name, {})
            inner[last] = value
        return out

    def data_at(self, payload: bytes) -> int:
        """Return where the field `data` begins."""
        return next((leaf.at for leaf in self._walk(payload).leaves if leaf.path == "data"), -1)

    def fits(self, payload: bytes) -> bool:
        """Say whether the payload is a message of this type."""
        try:
            self._walk(payload)
        except Undecodable:
            return False
        return True

    def _walk(self, payload: bytes) -> _Walk:
        walk = _Walk(payload, 0, 0, "<", steps_left=1024 + 4 * len(payload))
        if not self._ros1:
            if len(payload) < 4 or payload[0] or payload[1] > 1:
                raise Undecodable(
                    f"its bytes begin with {bytes(payload[:4]).hex() or 'nothing'}, not as plain CDR does"
                )
            walk.at = walk.origin = 4
            walk.order = "<" if payload[1] else ">"
        if self._root.fields or self._ros1:
            self._struct(walk, self._root, "")
        elif len(payload) > _MOST_OF_NOTHING:
            raise Undecodable(f"the definition of {self.type} is empty, and its messages are not")
        # A writer may fill up to whole words. More than that, and the definition is not that of these messages.
        if len(payload) - walk.at > (0 if self._ros1 else _MOST_FILLING):
            raise Undecodable(f"the definition of {self.type} does not fit its messages: bytes are left over")
        return walk

    def _struct(self, walk: _Walk, which: Struct, prefix: str) -> None:
        if not which.fields and not self._ros1:
            _take(walk, 1)  # an empty struct holds one byte, so that it is not empty
        for one in which.fields:
            path = f"{prefix}/{one.name}" if prefix else one.name
            if one.count is None:
                self._one(walk, one.kind, path)
            else:
                count = self._length(walk) if one.count < 0 else one.count
                self._many(walk, one.kind, path, count)

    def _one(self, walk: _Walk, kind: str | Struct, path: str) -> None:
        walk.steps_left -= 1
        if walk.steps_left < 0:
            raise Undecodable("a list in it is longer than its bytes")
        if isinstance(kind, Struct):
            self._struct(walk, kind, path)
        elif kind == "string":
            size = self._length(walk)
            self._leaf(walk, _Leaf(path, "string", _take(walk, size), (size,)))
        else:
            self._numbers(walk, kind, path, ())

    def _many(self, walk: _Walk, kind: str | Struct, path: str, count: int) -> None:
        if isinstance(kind, Struct) and kind.flat:
            self._numbers(walk, kind.code, path, (count, len(kind.flat)))
        elif not isinstance(kind, Struct) and kind != "string":
            self._numbers(walk, kind, path, (count,))
        else:
            tree = isinstance(kind, Struct) and any(one.name == "child_frame_id" for one in kind.fields)
            most = _LONGEST_TREE if tree else LONGEST_LIST
            for number in range(count):
                if number == most:
                    walk.skipped[f"{path}/{most}..."] = f"a list of more than {most} objects"
                if number >= most:
                    held, walk.leaves = walk.leaves, []
                    self._one(walk, kind, path)
                    walk.leaves = held
                else:
                    self._one(walk, kind, f"{path}/{number}")

    def _numbers(self, walk: _Walk, kind: str, path: str, shape: tuple[int, ...]) -> None:
        leaf = _Leaf(path, kind, 0, shape)
        count = leaf.count
        parts = kind in _TIME_PARTS
        size = 8 if parts else _SIZES[kind]
        if not self._ros1 and count:
            align = 4 if parts else size
            walk.at += -(walk.at - walk.origin) % align
        self._leaf(walk, _Leaf(path, kind, _take(walk, size * count), shape))

    def _leaf(self, walk: _Walk, leaf: _Leaf) -> None:
        if len(walk.leaves) < _MOST_LEAVES:
            walk.leaves.append(leaf)
        else:
            walk.skipped["..."] = f"a message of more than {_MOST_LEAVES} fields"

    def _length(self, walk: _Walk) -> int:
        if not self._ros1:
            walk.at += -(walk.at - walk.origin) % 4
        at = _take(walk, 4)
        value: int = struct.unpack_from(walk.order + "I", walk.payload, at)[0]
        walk.controls.append((at, value))
        return value


def _take(walk: _Walk, size: int) -> int:
    """Go on by `size` bytes and return where they begin."""
    at = walk.at
    if size > len(walk.payload) - at:
        raise Undecodable("a message ends before its fields do")
    walk.at = at + size
    return at


def _numbers(cut: NDArray[np.uint8], leaf: _Leaf, order: str) -> NDArray[Any]:
    """See bytes (n, size) as numbers (n, ...), in the byte order of this machine."""
    if leaf.kind == "b1":
        flags: NDArray[Any] = cut != 0
        return flags.reshape(len(cut), *leaf.shape)
    if not leaf.count:
        return np.empty((len(cut), *leaf.shape), leaf.kind)
    numbers: NDArray[Any] = cut.view(order + leaf.kind).astype(leaf.kind, copy=False)
    shaped: NDArray[Any] = numbers.reshape(len(cut), *leaf.shape)
    return shaped


def _words(cut: NDArray[np.uint8]) -> Words:
    """Turn bytes (n, size) into texts; few differ, so each different one is decoded once."""
    count, size = cut.shape
    if not size or bool((cut == cut[:1]).all()):
        return Words((_text(cut[0].tobytes()),), np.zeros(count, np.int64))
    seen: dict[bytes, int] = {}
    data = cut.tobytes()
    code = [seen.setdefault(data[at : at + size], len(seen)) for at in range(0, count * size, size)]
    return Words(tuple(map(_text, seen)), np.array(code, np.int64))


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "replace")
