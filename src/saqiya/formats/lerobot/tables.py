"""LeRobot v3.0's own files: data, episodes, tasks, statistics and info.json, as version 0.6.1 reads and writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.formats.lerobot.columns import Column, keep, staged
from saqiya.formats.lerobot.native import aside
from saqiya.formats.lerobot.rows import array_of
from saqiya.formats.lerobot.shards import CHUNK_FILES_N, MOVIE_BYTES
from saqiya.formats.lerobot.stats import Stats, Total, numeric_stats

__all__ = ["TableFile", "write_data", "write_info", "write_tasks"]

DATA_BYTES = 100 << 20
_MB = 1 << 20
_ROWS = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}


class TableFile:
    """A Parquet file to which rows are added; they are written some at a time, so that it has few row groups."""

    def __init__(self, path: Path, rows_n: int = 512) -> None:
        """Begin `path` at the first row; a row group has at least `rows_n` rows."""
        self._path, self._rows_n = path, rows_n
        self._held: list[Any] = []
        self._held_n = 0
        self._writer: Any = None

    @property
    def size_bytes(self) -> int:
        """What is in the file by now."""
        return self._path.stat().st_size if self._writer is not None else 0

    def add(self, table: Any) -> None:  # noqa: ANN401 - pyarrow
        """Add rows; all tables have one schema."""
        self._held.append(table)
        self._held_n += table.num_rows
        if self._held_n >= self._rows_n:
            self._flush()

    def close(self) -> None:
        """Write what is held, and the file's end; without rows there is no file."""
        if self._held:
            self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _flush(self) -> None:
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.concat_tables(self._held)
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pyarrow.parquet.ParquetWriter(str(self._path), table.schema, compression="snappy")
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._held, self._held_n = [], 0


class _Files:
    """Numbered Parquet files below a folder."""

    def __init__(self, folder: Path, rows_n: int) -> None:
        self._folder, self._rows_n, self.at = folder, rows_n, -1
        self._file: TableFile | None = None

    def add(self, table: Any, size_bytes: int) -> None:  # noqa: ANN401 - pyarrow
        """Add rows of about `size_bytes`, to another file where they would make this one too large."""
        if self._file is None or (self._file.size_bytes and self._file.size_bytes + size_bytes >= DATA_BYTES):
            self.close()
            self.at += 1
            name = f"chunk-{self.at // CHUNK_FILES_N:03d}/file-{self.at % CHUNK_FILES_N:03d}.parquet"
            self._file = TableFile(self._folder / name, self._rows_n)
        self._file.add(table)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def write_data(root: Path, stages: Sequence[Path], features: Mapping[str, Column], fps: Fraction) -> int:
    """Write the data files, the episodes table and the statistics, and return how many frames there are.

    Args:
        root: the data set's folder.
        stages: what `stage` kept of each episode; each is removed once it is written.
        features: the columns of all episodes.
        fps: the rate.
    """
    totals: dict[str, Total] = {}
    listed, files = _Files(root / "meta" / "episodes", 512), _Files(root / "data", 1)
    start = 0
    for index, path in enumerate(stages):
        table, about = staged(path)
        own, numbers = _rows(table, features, (index, start), fps)
        files.add(own, path.stat().st_size)
        stats = {name: numeric_stats(values) for name, values in numbers.items()}
        for name, found in about["stats"].items():
            if name in features:
                stats[name] = {key: np.array(value) for key, value in found.items()}
        for name, one in stats.items():
            totals.setdefault(name, Total()).add(one)
        if lacking := [name for name in about["needs"] if name not in features]:
            keep(aside(root, about["uid"]), table, lacking)
        listed.add(_listing(about, features, (index, start, own.num_rows, files.at, max(0, listed.at)), stats), 0)
        path.unlink()
        start += own.num_rows
    files.close()
    listed.close()
    plain = {name: {key: value.tolist() for key, value in one.stats().items()} for name, one in totals.items()}
    (root / "meta" / "stats.json").write_text(json.dumps(plain, indent=4), encoding="utf-8")
    return start


def _rows(
    table: Any,  # noqa: ANN401 - pyarrow
    features: Mapping[str, Column],
    at: tuple[int, int],
    fps: Fraction,
) -> tuple[Any, dict[str, NDArray[Any]]]:
    """Return an episode's rows as LeRobot has them, and those of its columns that are numbers."""
    count = table.num_rows
    frames = np.arange(count, dtype=np.int64)
    placed: dict[str, NDArray[Any]] = {
        "timestamp": (frames / float(fps)).astype(np.float32),
        "frame_index": frames,
        "episode_index": np.full(count, at[0], dtype=np.int64),
        "index": at[1] + frames,
        "task_index": table["task_index"].to_numpy(),
    }
    wanted = [name for name, one in features.items() if one.dtype != "video"]
    rows = table.select(wanted)
    for name, values in placed.items():
        rows = rows.append_column(name, [values])
    numbers = {name: array_of(table[name], count) for name in wanted if features[name].dtype != "image"}
    return rows.combine_chunks(), {**numbers, **{name: one.reshape(-1, 1) for name, one in placed.items()}}


def _listing(
    about: Mapping[str, Any],
    features: Mapping[str, Column],
    at: tuple[int, int, int, int, int],
    stats: Mapping[str, Stats],
) -> Any:  # noqa: ANN401 - pyarrow
    """Return an episode's row of the episodes table; `at` is its number, first row, length, data file and own file."""
    import pyarrow

    index, start, count, data_file, own_file = at
    found: dict[str, Any] = {
        "episode_index": index,
        "tasks": about["tasks"],
        "length": count,
        "data/chunk_index": data_file // CHUNK_FILES_N,
        "data/file_index": data_file % CHUNK_FILES_N,
        "dataset_from_index": start,
        "dataset_to_index": start + count,
    }
    for name, (chunk, file, begin_s, end_s) in sorted(about["places"].items()):
        if name in features:
            found |= {
                f"videos/{name}/chunk_index": chunk,
                f"videos/{name}/file_index": file,
                f"videos/{name}/from_timestamp": begin_s,
                f"videos/{name}/to_timestamp": end_s,
            }
    for name in [*features, *_ROWS]:
        found |= {f"stats/{name}/{key}": value.tolist() for key, value in stats[name].items()}
    found |= {
        "meta/episodes/chunk_index": own_file // CHUNK_FILES_N,
        "meta/episodes/file_index": own_file % CHUNK_FILES_N,
    }
    return pyarrow.table({name: [value] for name, value in found.items()})


def write_tasks(root: Path, tasks: Sequence[str]) -> None:
    """Write the tasks as pandas does: their texts are the index, which LeRobot looks at."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"task_index": np.arange(len(tasks), dtype=np.int64), "task": list(tasks)})
    text = {"field_name": "task", "name": "task", "numpy_type": "object", "pandas_type": "unicode", "metadata": None}
    number = {**text, "field_name": "task_index", "name": "task_index", "numpy_type": "int64", "pandas_type": "int64"}
    about = {"index_columns": ["task"], "column_indexes": [], "columns": [number, text], "pandas_version": "2.2.3"}
    table = table.replace_schema_metadata({"pandas": json.dumps(about)})
    pyarrow.parquet.write_table(table, str(root / "meta" / "tasks.parquet"))


def _said(column: Column) -> dict[str, Any]:
    """Return what info.json says of a feature."""
    said: dict[str, Any] = {"dtype": column.dtype, "shape": list(column.shape), "names": column.names}
    return {**said, "info": dict(column.about)} if column.about else said


def write_info(root: Path, features: Mapping[str, Column], facts: Mapping[str, Any]) -> None:
    """Write info.json; `facts` are its counts, the rate and the robot."""
    placed = {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in _ROWS.items()}
    info = {
        "codebase_version": "v3.0",
        "features": {**{name: _said(one) for name, one in features.items()}, **placed},
        "chunks_size": CHUNK_FILES_N,
        "data_files_size_in_mb": DATA_BYTES // _MB,
        "video_files_size_in_mb": MOVIE_BYTES // _MB,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "splits": {"train": f"0:{facts['total_episodes']}"},
        **facts,
    }
    (root / "meta" / "info.json").write_text(json.dumps(info, indent=4), encoding="utf-8")
