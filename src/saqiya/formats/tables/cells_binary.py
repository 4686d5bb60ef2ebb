"""Tables that are not text: npy and npz (never pickled objects), and Parquet through a child process. Loaded late."""

from __future__ import annotations

import ast
import math
import re
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from saqiya.errors import UnreadableLog
from saqiya.formats.bounded import Allowance, Spoiled
from saqiya.formats.far.call import Far
from saqiya.formats.tables.cells import Cells, Reading

__all__ = ["array_names", "read"]

MOST_ARRAY_BYTES = 1 << 31
"""What one table may come to in memory."""
MOST_HEADER_BYTES = 1 << 16
MOST_WORDS_BYTES = 1 << 28
_BAD_NPY = (ValueError, OSError, EOFError, MemoryError, SyntaxError, TypeError, KeyError, RecursionError)


def read(path: Path, how: Reading) -> Cells:
    """Read an npy, npz or Parquet file.

    Raises:
        UnreadableLog: it is damaged, claims more than it can hold, is no table, or needs a library that is not there.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path)
    if suffix == ".npz":
        return _npz(path, how.array)
    with path.open("rb") as file:
        return _npy(file, path.stat().st_size)


def array_names(path: Path) -> tuple[str, ...]:
    """Return the names of an npz file's arrays.

    Raises:
        UnreadableLog: it is no npz file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [item.filename for item in archive.infolist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UnreadableLog(f"is no readable npz file: {error}") from error
    return tuple(name.removesuffix(".npy") for name in names if name.endswith(".npy"))


def _npz(path: Path, wanted: str) -> Cells:
    names = array_names(path)
    if not names:
        raise UnreadableLog("is an npz file without arrays")
    if not wanted and len(names) > 1:
        raise UnreadableLog(f"holds {len(names)} arrays: name one with `array`: {', '.join(names[:20])}")
    name = wanted or names[0]
    if name not in names:
        raise UnreadableLog(f"has no array {name!r}; it has: {', '.join(names[:20])}")
    try:
        with zipfile.ZipFile(path) as archive:
            item = archive.getinfo(f"{name}.npy")
            Allowance.of(path.stat().st_size).take(item.file_size)
            with archive.open(item) as file:
                return _npy(file, item.file_size)
    except (
        zipfile.BadZipFile,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        EOFError,
        zlib.error,
        Spoiled,
    ) as error:
        raise UnreadableLog(f"is no readable npz file: {error}") from error


def _npy(file: IO[bytes], size: int) -> Cells:
    try:
        shape, fortran, dtype = _header(file)
    except _BAD_NPY as error:
        raise UnreadableLog(f"is no readable npy array: {error}") from error
    if dtype.hasobject or (dtype.names is None and dtype.kind not in "fiub"):
        raise UnreadableLog("is no numeric npy array")
    count = math.prod(shape)
    if not shape or count <= 0 or dtype.itemsize == 0:
        raise UnreadableLog("is an npy array without rows")
    if count * dtype.itemsize > min(size, MOST_ARRAY_BYTES):
        raise UnreadableLog(f"is an npy array that claims {count} values, and has {size} bytes")
    try:
        data = file.read(count * dtype.itemsize)
    except _BAD_NPY as error:
        raise UnreadableLog(f"is no readable npy array: {error}") from error
    if len(data) != count * dtype.itemsize:
        raise UnreadableLog("is an npy array that was cut short")
    values: NDArray[Any] = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    if dtype.names is not None:
        return _fields(values)
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    return Cells(flat, (), _gaps(flat), shape=values.shape[1:] if values.ndim > 2 else ())


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read an npy header (NEP 1): numpy's own reader falls back to Python's tokenizer, which fails in ways of its own.

    Raises:
        ValueError, and what else literals can raise: it is none.
    """
    magic = file.read(8)
    if len(magic) < 8 or magic[:6] != b"\x93NUMPY":
        raise ValueError("it does not begin as npy does")
    wide = 2 if magic[6] == 1 else 4
    size = int.from_bytes(file.read(wide), "little")
    if size > MOST_HEADER_BYTES:
        raise ValueError("its header is too long")
    said = ast.literal_eval(re.sub(r"(\d)L\b", r"\1", file.read(size).decode("latin-1")).strip())
    shape, fortran = said["shape"], said["fortran_order"]
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("its shape is none")
    return shape, bool(fortran), npy.descr_to_dtype(said["descr"])


def _fields(values: NDArray[Any]) -> Cells:
    """Turn an array of records into columns; a field with several numbers becomes a group of columns."""
    own: dict[int, NDArray[Any]] = {}
    names: list[str] = []
    groups: dict[str, tuple[int, ...]] = {}
    if values.ndim != 1:
        raise UnreadableLog("is an npy array of records in more than one dimension")
    for name in values.dtype.names or ():
        column = values[name]
        if column.dtype.kind not in "fiub":
            continue
        columns = column.reshape(len(column), -1)
        _add(name, columns, own, names, groups)
    if not own:
        raise UnreadableLog("is no numeric npy array")
    return Cells(np.empty((len(values), 0)), tuple(names), _gaps_of(own), own=own, groups=groups)


def _add(
    name: str,
    columns: NDArray[Any],
    own: dict[int, NDArray[Any]],
    names: list[str],
    groups: dict[str, tuple[int, ...]],
) -> None:
    first, width = len(names), columns.shape[1]
    names += [name] if width == 1 else [f"{name}[{number}]" for number in range(width)]
    own |= {first + number: np.ascontiguousarray(columns[:, number]) for number in range(width)}
    groups[name] = tuple(range(first, first + width))


def _parquet(path: Path) -> Cells:
    if find_spec("pyarrow") is None:
        raise UnreadableLog("is Parquet, and pyarrow is not installed", remedy="pip install 'saqiya[data]'.")
    own: dict[int, NDArray[Any]] = {}
    names: list[str] = []
    groups: dict[str, tuple[int, ...]] = {}
    stamped: set[int] = set()
    problems: list[str] = []
    with Far("parquet", path) as far:
        told = far.ask("columns")
        rows = int(told["rows"])
        if rows <= 0:
            raise UnreadableLog("is a Parquet table without rows")
        for name, kind, dtype in told["columns"]:
            try:
                columns = _column(far, rows, name, kind, dtype)
            except UnreadableLog as error:
                problems.append(f"column {name!r} {error.what}")
                continue
            if kind == "stamp":
                stamped.add(len(names))
            _add(name, columns, own, names, groups)
    if not own:
        raise UnreadableLog(f"is no readable Parquet table ({'; '.join(problems[:3]) or 'it has no columns'})")
    problems += _gaps_of(own)
    empty = np.empty((rows, 0))
    return Cells(empty, tuple(names), tuple(problems), own=own, stamped=frozenset(stamped), groups=groups)


def _column(far: Far, rows: int, name: str, kind: str, dtype: str) -> NDArray[Any]:
    """Return a column's values, (rows, width)."""
    if kind == "other":
        raise UnreadableLog("holds neither numbers nor words nor lists of numbers")
    if kind == "word":
        lengths, joined = far.blobs(MOST_WORDS_BYTES, name=name)
        ends = np.cumsum(lengths)
        words = [joined[end - size : end].decode() for end, size in zip(ends.tolist(), lengths.tolist(), strict=True)]
        if len(words) != rows:
            raise UnreadableLog(f"has {len(words)} rows of {rows}")
        return np.array(words, dtype=object).reshape(rows, 1)
    width = int(far.ask("widths", name=name)["width"]) if kind == "list" else 1
    if width <= 0:
        raise UnreadableLog("holds lists of different lengths")
    made = np.dtype(dtype)
    if rows * width * max(made.itemsize, 8) > MOST_ARRAY_BYTES:
        raise UnreadableLog(f"claims {rows * width} values, too many for a table")
    try:
        return far.array(made, (rows, width), name=name, kind=kind, made=made.name)
    except UnreadableLog as error:
        if kind == "stamp" or made.kind == "f" or "gaps" not in error.what:
            raise
        return far.array(np.dtype("float64"), (rows, width), name=name, kind=kind, made="float64")


def _gaps(values: NDArray[Any]) -> tuple[str, ...]:
    count = int(values.size - np.isfinite(values).sum())
    return (f"{count} cells are empty, NaN or infinite",) if count else ()


def _gaps_of(own: dict[int, NDArray[Any]]) -> tuple[str, ...]:
    count = sum(int(one.size - np.isfinite(one).sum()) for one in own.values() if one.dtype.kind == "f")
    return (f"{count} cells are empty, NaN or infinite",) if count else ()
