"""Samples of one stream of many episodes as a table: read off the objects when a query names it, and not before."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from saqiya.domain.nouns import Episode
from saqiya.domain.streams import Stream
from saqiya.errors import Erased, UsageError
from saqiya.stores.disk import disk_errors
from saqiya.stores.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TAKEN", "Signal", "read_signal"]

TAKEN: Final = ("episode", "t_ns", "t_s")
"""Columns that every signal has, before those of its values."""
_MOST_COLUMNS: Final = 1024
_ROWS: Final = 1 << 18


class Signal:
    """A stream's samples, one table for each set of columns that episodes have.

    The tables are maps of temporary files that have no name any more: nothing is left behind, however this ends.

    Attributes:
        tables: Arrow tables with `episode`, `t_ns`, `t_s` and a column for each value.
        episodes: how many were read.
        erased: how many could not be, because their bytes were erased on purpose.
    """

    def __init__(self, tables: Sequence[pa.Table], episodes: int, erased: int) -> None:
        self.tables, self.episodes, self.erased = tuple(tables), episodes, erased


def read_signal(store: Workspace, name: str, ids: Sequence[str], *, report: Callable[[int], None]) -> Signal:
    """Read the stream `name` of these episodes, one after the other, into tables.

    Args:
        store: the workspace.
        name: a stream.
        ids: episodes that have it.
        report: called with the number of episodes that are done.

    Raises:
        UsageError: its samples are no numbers side by side (a picture, a point cloud of more than 1024 values).
        Corrupt: an episode's bytes are missing or damaged.
        StorageFull: no room for the temporary files, under derived/.
    """
    files: dict[tuple[tuple[str, ...], str], _File] = {}
    done = erased = 0
    for episode in store.catalog.each(Episode, sorted(ids)):
        try:
            stream = store.streams(episode).get(name)
        except Erased:
            erased += 1
            continue
        done += 1
        report(done)
        if stream is None or not len(stream.t_ns):
            continue
        columns = _columns(name, stream)
        key = (columns, stream.values.dtype.str)
        if key not in files:
            files[key] = _File(store.derived, columns, stream.values.dtype)
        files[key].add(episode, stream)
    return Signal([one.table() for one in files.values()], done, erased)


def _columns(name: str, stream: Stream) -> tuple[str, ...]:
    """Name the values: by the stream's fields where each is another word, else v0, v1, ..."""
    wide = int(np.prod(stream.values.shape[1:], dtype=np.int64))
    if wide > _MOST_COLUMNS:
        raise UsageError(
            f"a sample has {wide} values: it is a picture or a cloud, not a signal",
            subject=name,
            remedy="Look at it with saqiya view, or read it with saqiya.torch.Windows.",
        )
    words = [field.lower() for field in stream.fields]
    usable = len(words) == wide == len({*words, *TAKEN}) - len(TAKEN) and "" not in words
    return stream.fields if usable else tuple(f"v{i}" for i in range(wide))


class _File:
    """A temporary Arrow file."""

    def __init__(self, folder: Path, columns: Sequence[str], dtype: np.dtype[Any]) -> None:
        import pyarrow as pa

        values = pa.from_numpy_dtype(np.dtype(np.float32) if dtype == np.float16 else dtype)
        fields = [("episode", pa.string()), ("t_ns", pa.int64()), ("t_s", pa.float64())]
        self._schema = pa.schema([*fields, *((column, values) for column in columns)])
        self._type = values
        with disk_errors(folder):
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the map outlives the handle
        self._writer = pa.ipc.new_file(self._file, self._schema)

    def add(self, episode: Episode, stream: Stream) -> None:
        """Write an episode's samples."""
        import pyarrow as pa

        flat = stream.values.reshape(len(stream.t_ns), -1)
        for first in range(0, len(flat), _ROWS):
            t_ns, part = stream.t_ns[first : first + _ROWS], flat[first : first + _ROWS]
            values = [pa.array(np.ascontiguousarray(part[:, i])).cast(self._type) for i in range(part.shape[1])]
            told = pa.repeat(pa.scalar(episode.id), len(part))
            t_s = (t_ns - episode.start_ns) / 1e9
            with disk_errors("derived"):
                self._writer.write_batch(
                    pa.record_batch([told, pa.array(t_ns), pa.array(t_s), *values], schema=self._schema)
                )

    def table(self) -> pa.Table:
        """Return all that was written, as a map of the file."""
        import pyarrow as pa

        with disk_errors("derived"):
            self._writer.close()
            self._file.flush()
            mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._file.close()
        return pa.ipc.open_file(pa.py_buffer(mapped)).read_all()
