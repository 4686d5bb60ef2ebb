"""Ten thousand episodes of numbers: a workspace with a sealed version, and a LeRobot v3.0 dataset of equal values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from saqiya.domain.ids import digest_of
from saqiya.domain.manifest import manifest_hash
from saqiya.domain.nouns import DatasetEntry, DatasetVersion, Episode, Recording, Role, Source, StreamInfo
from saqiya.domain.streams import Stream
from saqiya.stores import streams as codec
from saqiya.stores.workspace import Workspace
from saqiya.views.align import at_rate

__all__ = ["FPS", "make_lerobot", "make_workspace"]

FPS = 30
WIDTHS = {"observation/state": 14, "observation/force": 6, "action/executed": 14}
THEIR_NAMES = {
    "observation/state": "observation.state",
    "observation/force": "observation.force",
    "action/executed": "action",
}
TASKS = 20
_AT_ONCE = 500  # episodes a transaction, and a row group


def _values(number: int, rows: int, seed: int) -> dict[str, NDArray[np.float32]]:
    draw = np.random.default_rng([seed, number])
    return {name: draw.normal(size=(rows, width)).astype(np.float32) for name, width in WIDTHS.items()}


def _task(number: int) -> str:
    return f"task {number % TASKS}"


def make_workspace(root: Path, *, episodes: int, rows: int, seed: int) -> None:
    """Fill a workspace through its own stores, and seal one version of all of it."""
    ticks = iter(range(1_800_000_000_000_000_000, 1_900_000_000_000_000_000, 1_000))
    store = Workspace.create(root, site="bench", clock=ticks.__next__, entropy=np.random.default_rng(seed).bytes)
    t_ns = at_rate(rows, FPS)
    known: dict[str, Episode] = {}
    for low in range(0, episodes, _AT_ONCE):
        numbers = range(low, min(low + _AT_ONCE, episodes))
        objects = [
            codec.encode({name: Stream(t_ns=t_ns, values=one) for name, one in _values(number, rows, seed).items()})
            for number in numbers
        ]
        batch: list[tuple[Recording | Episode, str]] = []
        for number, digest in zip(numbers, store.objects.put_many(objects), strict=True):
            recording = Recording(
                id=store.catalog.new_id("recording"),
                digest=digest_of(f"fleet {number}".encode()),
                format="lerobot",
                name=f"{number}.log",
                size_bytes=1,
            )
            episode = _episode(store.catalog.new_id("episode"), recording, number, digest, t_ns)
            known[episode.id] = episode
            batch += [(recording, f"recording/{number}"), (episode, f"episode/{number}")]
        store.catalog.put_all(batch)
    entries = tuple(
        DatasetEntry(episode=one.id, start_ns=one.start_ns, end_ns=one.end_ns, weight=1.0, role=Role.ANCHOR)
        for one in known.values()
    )
    version = DatasetVersion(
        id=store.catalog.new_id("dataset_version"),
        parent=None,
        entries=entries,
        manifest_hash=manifest_hash(entries, known, None),
    )
    store.catalog.put(version, key="dataset/fleet")
    store.seal(version.id)
    store.close()


def _episode(name: str, recording: Recording, number: int, digest: str, t_ns: NDArray[np.int64]) -> Episode:
    rows = len(t_ns)
    return Episode(
        id=name,
        recordings=(recording.id,),
        key_in_recording=str(number),
        start_ns=0,
        end_ns=int(t_ns[-1]) + 1,
        streams=digest,
        infos=tuple(StreamInfo(one, "<f4", (rows, width), FPS, "robot", "sensor") for one, width in WIDTHS.items()),
        prints=(digest[:32],),
        source=Source.DEMONSTRATION,
        task=_task(number),
        embodiment="arm",
        site="bench",
        steps=rows,
    )


def make_lerobot(root: Path, *, episodes: int, rows: int, seed: int) -> None:
    """Write the files of a v3.0 dataset as LeRobot lays them out."""
    names = [*THEIR_NAMES.values(), "timestamp", "frame_index", "episode_index", "index", "task_index"]
    floats = [pa.field(name, pa.list_(pa.float32())) for name in THEIR_NAMES.values()]
    schema = pa.schema(
        [*floats, pa.field("timestamp", pa.float32()), *(pa.field(one, pa.int64()) for one in names[4:])]
    )
    data = root / "data" / "chunk-000" / "file-000.parquet"
    data.parent.mkdir(parents=True)
    with pq.ParquetWriter(data, schema) as writer:
        for table in _tables(schema, episodes, rows, seed):
            writer.write_table(table)
    (root / "meta" / "episodes" / "chunk-000").mkdir(parents=True)
    every = np.arange(episodes)
    zeros = np.zeros(episodes, dtype=np.int64)
    pq.write_table(
        pa.table({
            "episode_index": every, "data/chunk_index": zeros, "data/file_index": zeros,
            "dataset_from_index": every * rows, "dataset_to_index": (every + 1) * rows,
            "tasks": [[_task(number)] for number in range(episodes)], "length": np.full(episodes, rows),
            "meta/episodes/chunk_index": zeros, "meta/episodes/file_index": zeros,
        }),
        root / "meta" / "episodes" / "chunk-000" / "file-000.parquet",
    )  # fmt: skip
    tasks = pa.table({"task_index": np.arange(TASKS), "task": [_task(number) for number in range(TASKS)]})
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": stored, "metadata": None}
        for name, kind, stored in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.3.3"}
    pq.write_table(tasks.replace_schema_metadata({"pandas": json.dumps(pandas)}), root / "meta" / "tasks.parquet")
    (root / "meta" / "info.json").write_text(json.dumps(_info(episodes, rows)))
    stats = {one: {"mean": [0.0] * width, "std": [1.0] * width} for one, width in _their_widths().items()}
    (root / "meta" / "stats.json").write_text(json.dumps(stats))


def _tables(schema: pa.Schema, episodes: int, rows: int, seed: int) -> Iterator[pa.Table]:
    for low in range(0, episodes, _AT_ONCE):
        numbers = np.arange(low, min(low + _AT_ONCE, episodes))
        values = [_values(int(number), rows, seed) for number in numbers]
        columns: list[Any] = []
        for name, width in WIDTHS.items():
            flat = np.concatenate([one[name] for one in values]).reshape(-1)
            edges = np.arange(0, len(flat) + 1, width, dtype=np.int32)
            columns.append(pa.ListArray.from_arrays(edges, pa.array(flat)))
        frame = np.tile(np.arange(rows), len(numbers))
        episode = np.repeat(numbers, rows)
        columns += [(frame / FPS).astype(np.float32), frame, episode, episode * rows + frame, episode % TASKS]
        yield pa.table(columns, schema=schema)


def _their_widths() -> dict[str, int]:
    return {THEIR_NAMES[name]: width for name, width in WIDTHS.items()}


def _info(episodes: int, rows: int) -> dict[str, Any]:
    features: dict[str, Any] = {
        name: {"dtype": "float32", "shape": [width], "names": [f"{name}.{k}" for k in range(width)]}
        for name, width in _their_widths().items()
    }
    features["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    for name in ("frame_index", "episode_index", "index", "task_index"):
        features[name] = {"dtype": "int64", "shape": [1], "names": None}
    return {
        "codebase_version": "v3.0",
        "robot_type": "arm",
        "total_episodes": episodes,
        "total_frames": episodes * rows,
        "total_tasks": TASKS,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": FPS,
        "splits": {"train": f"0:{episodes}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": features,
    }
