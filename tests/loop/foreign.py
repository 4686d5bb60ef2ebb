"""Data sets as LeRobot's own programs write them: numbers only, and a flag a row for who acted."""

import json

import numpy as np
import pyarrow
import pyarrow.parquet

FPS = 10
V2 = {"data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"}


def lerobot(root, tasks, flags, *, column="intervention", version="v3.0", seed=0, **more):
    """Write a data set: a task and a row of flags an episode (None: no such column, as `lerobot-record` writes it)."""
    words = list(dict.fromkeys(tasks))
    rng, tables, first = np.random.default_rng(seed), [], 0
    for index, (task, acted) in enumerate(zip(tasks, flags, strict=True)):
        count = 20 if acted is None else len(acted)
        columns = {
            "observation.state": list(np.cumsum(rng.normal(size=(count, 3)), axis=0).astype(np.float32)),
            "action": list(np.cumsum(rng.normal(size=(count, 2)), axis=0)),
            "timestamp": (np.arange(count) / FPS).astype(np.float32),
            "frame_index": np.arange(count),
            "episode_index": np.full(count, index),
            "index": first + np.arange(count),
            "task_index": np.full(count, words.index(task)),
        } | {name: values[index] for name, values in more.items()}
        if acted is not None:
            columns[column] = np.asarray(acted, dtype=bool)
        tables.append(pyarrow.table(columns))
        first += count
    features = {name: {"dtype": "float32", "shape": [1], "names": None} for name in tables[0].column_names}
    features["observation.state"]["shape"], features["action"]["shape"] = [3], [2]
    info = {"codebase_version": version, "robot_type": "arm", "fps": FPS, "chunks_size": 1000, "features": features}
    (root / "meta").mkdir(parents=True)
    (root / "data" / "chunk-000").mkdir(parents=True)
    _list(root, words, tasks, tables, shared=version.startswith("v3"))
    (root / "meta" / "info.json").write_text(json.dumps(info | ({} if version.startswith("v3") else V2)))
    return root


def _list(root, words, tasks, tables, *, shared):
    named = [{"task_index": number, "task": word} for number, word in enumerate(words)]
    rows = [{"episode_index": n, "tasks": [task], "length": tables[n].num_rows} for n, task in enumerate(tasks)]
    if shared:
        folder = root / "meta" / "episodes" / "chunk-000"
        folder.mkdir(parents=True)
        place = {"data/chunk_index": 0, "data/file_index": 0}
        pyarrow.parquet.write_table(
            pyarrow.Table.from_pylist([row | place for row in rows]), folder / "file-000.parquet"
        )
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(named), root / "meta" / "tasks.parquet")
        with pyarrow.parquet.ParquetWriter(root / "data/chunk-000/file-000.parquet", tables[0].schema) as writer:
            for table in tables:
                writer.write_table(table)
        return
    for index, table in enumerate(tables):
        pyarrow.parquet.write_table(table, root / f"data/chunk-000/episode_{index:06d}.parquet")
    for name, lines in (("episodes", rows), ("tasks", named)):
        (root / "meta" / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
