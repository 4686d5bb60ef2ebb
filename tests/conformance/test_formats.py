"""Every registered format keeps the contract; one that cannot write needs a sample here."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from saqiya import plugins
from saqiya.testing import check_format


def robomimic(folder: Path) -> Path:
    import h5py

    rng = np.random.default_rng(0)
    path = folder / "demos.hdf5"
    with h5py.File(path, "w") as file:
        for name in ("demo_0", "demo_1"):
            file.create_dataset(f"data/{name}/actions", data=rng.normal(size=(20, 3)))
            file.create_dataset(f"data/{name}/obs/state", data=rng.normal(size=(20, 5)))
    return path


def table(folder: Path) -> Path:
    path = folder / "tables"
    for name in ("run-1", "run-2"):
        (path / name).mkdir(parents=True)
        (path / name / "force.dat").write_text("0.0 1 2\n0.1 3 4\n")
    (path / "saqiya-mapping.toml").write_text("[episode]\nmatch = 'run-'\n[streams.force]\nfile = '*.dat'\ntime = 0\n")
    return path


def replay_buffer(folder: Path) -> Path:
    zarr = pytest.importorskip("zarr")
    rng = np.random.default_rng(1)
    group = zarr.group(store=str(folder / "buffer.zarr"), zarr_format=2)
    for name, values in (("data/action", rng.normal(size=(9, 2))), ("meta/episode_ends", np.array([4, 9]))):
        group.create_array(name, data=values, chunks=(4, *values.shape[1:]))
    return folder / "buffer.zarr"


def tfrecord(folder: Path) -> Path:
    google_crc32c = pytest.importorskip("google_crc32c")
    numbers = np.arange(6, dtype="<f4").tobytes()

    def field(number: int, data: bytes) -> bytes:
        return bytes((number << 3 | 2, len(data))) + data

    def masked(data: bytes) -> bytes:
        crc = google_crc32c.value(data)
        return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")

    action = field(1, b"steps/action") + field(2, field(2, field(1, numbers)))
    first = field(1, b"steps/is_first") + field(2, field(3, field(1, b"\1\0")))
    record = field(1, field(1, action) + field(1, first))
    head = len(record).to_bytes(8, "little")
    path = folder / "toy-train.tfrecord-00000-of-00001"
    path.write_bytes((head + masked(head) + record + masked(record)) * 2)
    return path


def bag(version: int, folder: Path) -> Path:
    pytest.importorskip("rosbags")
    from tests.formats.bags import Maker, robot, write1, write2

    make = Maker(version)
    if version == 1:
        return write1(folder / "run.bag", make, robot(make, 5))
    return next(write2(folder / "run", make, robot(make, 5)).glob("*.db3"))


def lerobot(folder: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    root, features = folder / "lerobot", {"action": {"dtype": "float64", "shape": [1]}}
    (root / "meta").mkdir(parents=True)
    (root / "data" / "chunk-000").mkdir(parents=True)
    info = {"codebase_version": "v2.1", "fps": 10, "features": features}
    (root / "meta" / "info.json").write_text(json.dumps(info))
    listed = [{"episode_index": number, "tasks": ["push"], "length": 5} for number in range(2)]
    (root / "meta" / "episodes.jsonl").write_text("\n".join(map(json.dumps, listed)))
    (root / "meta" / "tasks.jsonl").write_text('{"task_index": 0, "task": "push"}')
    for number in range(2):
        rows = pyarrow.table({"action": np.arange(5.0) + number, "task_index": [0] * 5})
        write_table(rows, root / "data" / "chunk-000" / f"episode_{number:06d}.parquet")
    return root


SAMPLES: dict[str, Callable[[Path], Path]] = {
    "table": table,
    "hdf5": robomimic,
    "zarr": replay_buffer,
    "rlds": tfrecord,
    "lerobot": lerobot,
    "rosbag1": partial(bag, 1),
    "rosbag2": partial(bag, 2),
}


@pytest.mark.parametrize("name", plugins.names("saqiya.formats"))
def test_format_keeps_the_contract(name: str, tmp_path: Path) -> None:
    samples = [SAMPLES[name](tmp_path)] if name in SAMPLES else []
    (tmp_path / "checked").mkdir()
    check_format(plugins.load("saqiya.formats", name)(), tmp_path / "checked", samples=samples)
