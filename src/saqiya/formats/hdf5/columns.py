"""The data sets of an HDF5 group as columns: checked against what the file can really hold, read when they are needed.

Large rows that lie in the file as they are (no filter) are mapped, not copied; all else comes from the child process.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Bytes
from saqiya.errors import UnreadableLog
from saqiya.formats.arrays.episode import Column, Packets
from saqiya.formats.arrays.room import Room
from saqiya.formats.far.call import Far
from saqiya.formats.pictures import stills

__all__ = ["Hdf5Columns"]

MAPPED_BYTES = 1 << 23
MOST_BLOBS_BYTES = 1 << 30
LEAST_PICTURE_BYTES = 64
NUMBER_KINDS = "fiub"


@dataclass
class Hdf5Columns:
    """Makes columns of what `far.hdf5` lists of one file."""

    far: Far
    file: Path
    _mapped: list[mmap.mmap] = field(default_factory=list)

    def of(self, group: str) -> list[Column]:
        """List every data set below `group`, by its path in it.

        Raises:
            UnreadableLog: the group cannot be listed.
        """
        room = Room()
        sets = self.far.ask("tree", name=group)["sets"]
        return [self._column(group, entry, room) for entry in sorted(sets, key=lambda entry: str(entry["name"]))]

    def _column(self, group: str, entry: Mapping[str, Any], room: Room) -> Column:
        path = str(entry["name"])
        shape = tuple(int(side) for side in entry.get("shape", ()))
        name = f"{group}/{entry.get('set', path)}"
        dtype, why = _dtype(entry)
        why = why or room.refuses(_size(shape, dtype), max(0, int(entry.get("stored", 0))))
        kind = {"numbers": "numbers", "texts": "texts", "blobs": "packets"}.get(str(entry.get("kind", "")), "")
        how = {"name": name} | ({"field": entry["field"]} if "field" in entry else {})
        if why or not kind:
            return Column(path, "", shape, dtype, tuple, why or "its values are no numbers")
        if kind == "texts":
            return Column(path, kind, shape, dtype, lambda: self.far.ask("texts", **how)["texts"])
        if kind == "packets":
            return Column(path, kind, shape, dtype, lambda: self._blobs(shape, how))
        if _may_be_pictures(shape, dtype):
            try:
                packets = self._padded(name, shape)
            except UnreadableLog as error:
                return Column(path, "", shape, dtype, tuple, error.what)
            if packets is not None:
                return Column(path, "packets", shape, dtype, lambda: packets)
        at = int(entry.get("at", -1))
        return Column(path, kind, shape, dtype, lambda: self._numbers(dtype, shape, how, at))

    def _numbers(self, dtype: np.dtype[Any], shape: tuple[int, ...], how: Mapping[str, str], at: int) -> NDArray[Any]:
        """Read an array: from its place in the file where it lies there in one piece, else through the library."""
        size = _size(shape, dtype)
        if at >= 0 and size > 0 and at + size <= self.file.stat().st_size:
            whole: NDArray[Any] = np.ndarray(shape, dtype, self._map(), at)
            return whole if size >= MAPPED_BYTES else whole.copy()
        values: NDArray[Any] | None = None
        if len(shape) > 1 and "field" not in how and _size(shape, dtype) >= MAPPED_BYTES:
            values = self._in_place(how["name"], dtype, shape)
        if values is None:
            values = self.far.array(dtype, shape, **how)
        return values

    def bytes_of(self, name: str, column: Column) -> tuple[Bytes, int, Path | None]:
        """Return bytes that hold a data set of bytes, where it begins in them, and the file that they are, if one."""
        if column.why or column.dtype != np.uint8 or len(column.shape) != 1:
            raise UnreadableLog(
                f"{column.path}: {column.why or 'it is no row of bytes'}", remedy="Copy the file again."
            )
        if not column.rows:
            return b"", 0, None
        found = self.far.ask("places", name=name)
        offsets = [int(offset) for offset in found["offsets"]]
        if len(offsets) == 1 and 0 <= offsets[0] <= self.file.stat().st_size - column.rows:
            return self._map(), offsets[0], self.file
        return np.asarray(column.read()).data.cast("B"), 0, None

    def _blobs(self, shape: tuple[int, ...], how: Mapping[str, str]) -> Packets:
        size, data = self.far.blobs(MOST_BLOBS_BYTES, **how)
        if len(size) != shape[0]:
            raise UnreadableLog(f"{len(size)} of its {shape[0]} values were read", remedy="Copy the file again.")
        return Packets(np.cumsum(size) - size, size, data)

    def _padded(self, name: str, shape: tuple[int, ...]) -> Packets | None:
        """Find JPEG or PNG in rows of bytes that are filled up with zeros (ACT); None when they are something else."""
        dtype = np.dtype(np.uint8)
        first = self.far.array(dtype, (1, shape[1]), name=name, rows=1)
        if not stills.codec_of(first[0, :8].tobytes()):
            return None
        offsets = self._rows_at(name, shape[0], shape[1])
        if offsets is None:
            values = self.far.array(dtype, shape, name=name)
            return Packets(
                np.arange(shape[0], dtype=np.int64) * shape[1], stills.ends_of(values), values.data.cast("B")
            )
        whole = self._map()
        views = (np.frombuffer(whole, np.uint8, shape[1], at) for at in offsets.tolist())
        size = np.array([int(stills.ends_of(view[None])[0]) for view in views], dtype=np.int64)
        return Packets(offsets, size, whole, self.file)

    def _in_place(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
        """Map rows that lie in the file one after the other, or at equal distances; None when they do not."""
        row = _size(shape[1:], dtype)
        offsets = self._rows_at(name, shape[0], row)
        if offsets is None:
            return None
        steps = np.diff(offsets)
        if len(steps) and (not bool((steps == steps[0]).all()) or steps[0] < row):
            return None
        inner = np.empty((1, *shape[1:]), dtype).strides[1:]
        step = int(steps[0]) if len(steps) else row
        return np.ndarray(shape, dtype, self._map(), int(offsets[0]), (step, *inner))

    def _rows_at(self, name: str, count: int, row: int) -> NDArray[np.int64] | None:
        """Return where each row begins, int64 (T,), None when rows do not lie in the file as they are."""
        found = self.far.ask("places", name=name)
        rows, offsets = int(found["rows"]), np.array(found["offsets"], dtype=np.int64)
        if not rows or not row or len(offsets) != -(-count // rows):
            return None
        number = np.arange(count, dtype=np.int64)
        starts: NDArray[np.int64] = offsets[number // rows] + number % rows * row
        size = self.file.stat().st_size
        inside = bool((starts >= 0).all()) and bool((starts <= size - row).all())
        return starts if inside else None

    def _map(self) -> mmap.mmap:
        if not self._mapped:
            with self.file.open("rb") as file:
                self._mapped.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return self._mapped[0]


def _size(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    return int(np.prod(shape, dtype=object)) * dtype.itemsize


def _may_be_pictures(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    return dtype == np.uint8 and len(shape) == 2 and shape[1] >= LEAST_PICTURE_BYTES and shape[0] > 0


def _dtype(entry: Mapping[str, Any]) -> tuple[np.dtype[Any], str]:
    """Return the dtype of an entry, and why it cannot be read ("" when it can)."""
    nothing = np.dtype(np.uint8)
    if entry.get("why"):
        return nothing, str(entry["why"])
    if entry["kind"] in {"texts", "blobs"}:
        return nothing, ""
    if entry["kind"] != "numbers":
        return nothing, f"its values are no numbers ({entry.get('dtype') or entry['kind']})"
    try:
        dtype = np.dtype(str(entry["dtype"]))
    except TypeError:
        return nothing, f"its values are of an unknown kind ({entry['dtype']})"
    if dtype.kind not in NUMBER_KINDS or dtype.itemsize not in {1, 2, 4, 8}:
        return nothing, f"its values are no numbers of a usual size ({dtype})"
    return dtype, ""
