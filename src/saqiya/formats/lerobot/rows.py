"""Rows of a Parquet file, an episode at a time, and columns as arrays of the very type and shape they have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import UnreadableLog
from saqiya.formats.far.call import Far

__all__ = ["array_of", "episodes_of", "pictures_of", "table_rows", "texts_of"]

_LFS = b"version https://git-lfs"
_FLOOR_BYTES, _MOST_RATIO = 256 << 20, 1000
"""A file that unpacks to more than this many times its size, and more than the floor, is no data set."""
_AGAIN = "Copy the data set again."
_NEST = 8


class _Parquet:
    """A Parquet file that a child process has open: damage there ends the child, not us. Use it as a context."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise UnreadableLog("is not there", subject=str(path), remedy="Copy the whole folder, data/ included.")
        with path.open("rb") as file:
            head = file.read(len(_LFS))
        if head == _LFS:
            raise UnreadableLog("is a Git LFS pointer, not the data", subject=str(path), remedy="Run git lfs pull.")
        self._left_bytes = max(_FLOOR_BYTES, _MOST_RATIO * path.stat().st_size)
        self._far = Far("rows", path)

    def __enter__(self) -> _Parquet:
        self._far.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._far.__exit__(kind, error, trace)

    def about(self) -> tuple[list[str], int]:
        """Return the columns' names, and how many row groups there are."""
        with self._subject():
            told = self._far.ask("about")
        return [str(name) for name in told["names"]], int(told["groups"])

    def group(self, number: int, names: list[str] | None = None) -> Any:  # noqa: ANN401 - pyarrow
        """Return a row group as a table."""
        import pyarrow

        with self._subject():
            told = self._far.ask("rows_of", group=number, names=names, most_bytes=self._left_bytes)
            size = int(told["size"])
            self._left_bytes -= size
            data = self._far.array(np.dtype(np.uint8), (size,))
        return pyarrow.ipc.open_stream(pyarrow.py_buffer(data)).read_all()

    @contextmanager
    def _subject(self) -> Iterator[None]:
        try:
            yield
        except UnreadableLog as error:
            what = f"cannot be read as Parquet: {error.what}"
            raise UnreadableLog(what, subject=str(self.path), remedy=error.remedy or _AGAIN) from error


def table_rows(path: Path, wanted: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
    """Yield rows as dicts of the columns that are wanted.

    Raises:
        UnreadableLog: the file is missing, empty, a Git LFS pointer, damaged, or claims more than it can hold.
    """
    with _Parquet(path) as file:
        names, groups = file.about()
        kept = [name for name in names if wanted(name)]
        for number in range(groups):
            for batch in file.group(number, kept).to_batches(max_chunksize=1024):
                yield from batch.to_pylist()


def episodes_of(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (episode index, its rows as a table) in the order of the file; index -1 where no column says it.

    Memory holds one row group and one episode.

    Raises:
        UnreadableLog: as `table_rows`; what came before stays good.
    """
    import pyarrow

    held: list[Any] = []
    current = -1
    with _Parquet(path) as file:
        for number in range(file.about()[1]):
            group = file.group(number)
            indices = _indices(group, path)
            cuts = np.flatnonzero(np.diff(indices)) + 1
            for low, high in pairwise([0, *cuts.tolist(), group.num_rows]):
                if low == high:
                    continue
                index = int(indices[low])
                if held and index != current:
                    yield current, pyarrow.concat_tables(held)
                    held = []
                current = index
                held.append(group.slice(low, high - low))
    if held:
        yield current, pyarrow.concat_tables(held)


def _indices(group: Any, path: Path) -> NDArray[np.int64]:  # noqa: ANN401 - pyarrow
    """Return each row's episode, -1 where no column says it."""
    if "episode_index" not in group.schema.names:
        return np.full(group.num_rows, -1, dtype=np.int64)
    try:
        values = array_of(group["episode_index"], group.num_rows)
    except (ValueError, KeyError) as error:
        raise UnreadableLog(f"its episode_index: {error}", subject=str(path), remedy=_AGAIN) from error
    if values.dtype.kind not in "iu" or values.size != group.num_rows:
        raise UnreadableLog("its episode_index holds no whole numbers", subject=str(path), remedy=_AGAIN)
    return values.reshape(-1).astype(np.int64)


def array_of(column: Any, rows: int) -> NDArray[Any]:  # noqa: ANN401
    """Return a column as (rows, ...) with its own dtype, a view of Arrow's memory where that can be.

    Raises:
        ValueError: with the reason: gaps, rows of different lengths, or no numbers.
    """
    import pyarrow.types as kinds

    values = column.combine_chunks()
    if values.null_count:
        raise ValueError(f"{values.null_count} of its rows are empty")
    shape: list[int] = []
    while kinds.is_list(values.type) or kinds.is_large_list(values.type) or kinds.is_fixed_size_list(values.type):
        lengths = np.unique(values.value_lengths().to_numpy(zero_copy_only=False))
        if len(lengths) > 1 or len(shape) == _NEST:
            raise ValueError("its rows are not of one length")
        shape.append(int(lengths[0]) if len(lengths) else 0)
        values = values.flatten()
        if values.null_count:
            raise ValueError(f"{values.null_count} of its values are empty")
    if not (kinds.is_integer(values.type) or kinds.is_floating(values.type) or kinds.is_boolean(values.type)):
        raise ValueError(f"its values are no numbers ({values.type})")
    flat: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return flat.reshape(rows, *(shape or [1]))


def texts_of(column: Any) -> list[str] | None:  # noqa: ANN401
    """Return a column of texts, None where it holds something else."""
    import pyarrow.types as kinds

    kind = column.type.value_type if kinds.is_dictionary(column.type) else column.type
    if not (kinds.is_string(kind) or kinds.is_large_string(kind)):
        return None
    return [text or "" for text in column.to_pylist()]


def pictures_of(column: Any) -> tuple[memoryview, NDArray[np.int64], NDArray[np.int64]]:  # noqa: ANN401
    """Return the bytes of a column of embedded pictures, and where each one lies: nothing is copied where one chunk is.

    Raises:
        ValueError: with the reason: the pictures lie outside, or there are none.
    """
    import pyarrow.compute
    import pyarrow.types as kinds

    values = column.combine_chunks()
    if isinstance(values, pyarrow.ChunkedArray):
        raise ValueError("its pictures are more than 2 GiB")
    if kinds.is_struct(values.type) and values.type.get_field_index("bytes") >= 0:
        values = pyarrow.compute.struct_field(values, "bytes")
    if not (kinds.is_binary(values.type) or kinds.is_large_binary(values.type)):
        raise ValueError(f"its pictures are not embedded ({values.type})")
    if values.null_count:
        raise ValueError(f"{values.null_count} of its {len(values)} pictures are not embedded")
    wide = np.int64 if kinds.is_large_binary(values.type) else np.int32
    ends = np.frombuffer(values.buffers()[1], dtype=wide)[values.offset : values.offset + len(values) + 1]
    places = ends.astype(np.int64)
    body = values.buffers()[2]
    own = memoryview(body if body is not None else b"")[int(places[0]) : int(places[-1])]
    return own, places[:-1] - places[0], np.diff(places)
