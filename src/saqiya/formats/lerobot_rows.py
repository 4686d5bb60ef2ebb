"""Rows of a Parquet file, an episode at a time, and columns as arrays of the very type and shape they have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import UnreadableLog

__all__ = ["array_of", "episodes_of", "open_table", "pictures_of", "table_rows", "texts_of"]

_LFS = b"version https://git-lfs"
_FLOOR_BYTES, _MOST_RATIO = 256 << 20, 1000
"""A file that claims to unpack to more than this many times its size, and more than the floor, is no data set."""
_AGAIN = "Copy the data set again."
_NEST = 8


@contextmanager
def _arrow_errors(path: Path) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, MemoryError, OverflowError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnreadableLog(f"cannot be read as Parquet: {first[:160]}", subject=str(path), remedy=_AGAIN) from error


def open_table(path: Path) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Open a Parquet file.

    Raises:
        UnreadableLog: it is missing, empty, a Git LFS pointer, damaged, or claims more than it can hold.
    """
    import pyarrow.parquet

    if not path.is_file():
        raise UnreadableLog(
            "is not there", subject=str(path), remedy="Copy the whole folder, or correct meta/info.json."
        )
    with path.open("rb") as file:
        head = file.read(len(_LFS))
    if head == _LFS:
        raise UnreadableLog("is a Git LFS pointer, not the data", subject=str(path), remedy="Run git lfs pull.")
    with _arrow_errors(path):
        table = pyarrow.parquet.ParquetFile(str(path))
        claimed = _claimed(table.metadata)
        if claimed > max(_FLOOR_BYTES, _MOST_RATIO * path.stat().st_size):
            raise ValueError(f"it claims {table.metadata.num_rows} rows and {claimed} bytes")
    return table


def _claimed(about: Any) -> int:  # noqa: ANN401 - pyarrow
    """Return how many bytes a file says that it unpacks to: runs of equal values take next to none in it."""
    total = 0
    for number in range(about.num_row_groups):
        group = about.row_group(number)
        values = sum(max(0, group.column(column).num_values) for column in range(group.num_columns))
        total += max(8 * values, group.total_byte_size, 0)
    return total


def table_rows(table: Any, wanted: Callable[[str], bool]) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Yield rows as dicts of the columns that are wanted.

    Raises:
        UnreadableLog: the file is damaged.
    """
    path = Path("Parquet")
    with _arrow_errors(path):
        columns = [name for name in table.schema_arrow.names if wanted(name)]
        for batch in table.iter_batches(batch_size=1024, columns=columns):
            batch.validate(full=True)
            yield from batch.to_pylist()


def episodes_of(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (episode index, its rows as a table) in the order of the file; index -1 where no column says it.

    Memory holds one row group and one episode.

    Raises:
        UnreadableLog: the file is damaged; what came before stays good.
    """
    import pyarrow

    file = open_table(path)
    held: list[Any] = []
    current = -1
    for number in range(file.num_row_groups):
        with _arrow_errors(path):
            group = file.read_row_group(number)
            group.validate(full=True)
            if "episode_index" in group.schema.names:
                indices = np.asarray(group["episode_index"].to_numpy(), dtype=np.int64).reshape(-1)
                cuts = np.flatnonzero(np.diff(indices)) + 1
            else:
                indices, cuts = None, np.empty(0, dtype=np.int64)
        bounds = [0, *cuts.tolist(), group.num_rows]
        for low, high in pairwise(bounds):
            if low == high:
                continue
            index = -1 if indices is None else int(indices[low])
            if held and index != current:
                yield current, pyarrow.concat_tables(held)
                held = []
            current = index
            held.append(group.slice(low, high - low))
    if held:
        yield current, pyarrow.concat_tables(held)


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
