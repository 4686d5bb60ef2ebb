"""Published logs, where they lie beside the checkout, value by value against the libraries that own the formats."""

import os
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest

from saqiya.domain.contracts import Shipped
from saqiya.domain.streams import EpisodeLog
from saqiya.formats.hdf5.read import Hdf5Format
from saqiya.formats.hdf5.robomimic_write import RobomimicWriter
from saqiya.formats.zarr.read import ZarrFormat

DATA = Path(os.environ.get("SAQIYA_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
PUSHT = DATA / "pusht-human-zarr" / "pusht_human_150.zarr"
ROBOSUITE = sorted((DATA / "robosuite-human-hdf5").rglob("*.hdf5"))
NAMES = {"actions": "action/executed", "states": "observation/states", "joint_torques": "observation/joint_torques"}


@pytest.mark.skipif(not PUSHT.is_dir(), reason=f"no Push-T demonstrations in {DATA}")
def test_push_t_is_what_zarr_reads() -> None:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(PUSHT, mode="r")
    ends = group["meta/episode_ends"][:]
    small = {name: group[f"data/{name}"][:] for name in ("action", "state", "keypoint", "n_contacts")}
    count, begin = 0, 0
    for log, end in zip(islice(ZarrFormat().read(PUSHT), 12), ends.tolist(), strict=False):
        assert isinstance(log, EpisodeLog)
        for name, whole in small.items():
            values = log.streams["action/executed" if name == "action" else f"observation/{name}"].values
            assert (values.dtype, values.tobytes()) == (whole.dtype, whole[begin:end].tobytes())
        if count % 5 == 0:
            assert np.array_equal(log.streams["camera/img"].values, group["data/img"][begin:end])
        begin, count = end, count + 1
    assert count == 12


@pytest.mark.skipif(not ROBOSUITE, reason=f"no robosuite demonstrations in {DATA}")
def test_robosuite_is_what_h5py_reads_and_comes_back_from_robomimic(tmp_path: Path) -> None:
    for number, path in enumerate(ROBOSUITE):
        logs = [item for item in Hdf5Format().read(path) if isinstance(item, EpisodeLog)]
        with h5py.File(path) as file:
            assert len(logs) == len(file["data"])
            for log in logs:
                for own in NAMES.keys() & file[f"data/{log.key}"].keys():
                    values, wanted = log.streams[NAMES[own]].values, file[f"data/{log.key}/{own}"][()]
                    assert (values.dtype, values.tobytes()) == (wanted.dtype, wanted.tobytes())
        shipped = [Shipped(log.key, log) for log in logs if "action/executed" in log.streams]
        out = tmp_path / f"{number}.hdf5"
        RobomimicWriter().write_all(shipped, out, settings={}, progress=lambda *_: None)
        for one, back in zip(shipped, Hdf5Format().read(out), strict=True):
            assert isinstance(back, EpisodeLog)
            assert back.metadata == one.log.metadata
            assert back.streams.keys() == one.log.streams.keys()
            for name, stream in one.log.streams.items():
                again = back.streams[name]
                assert (again.values.dtype, again.values.tobytes()) == (stream.values.dtype, stream.values.tobytes())
                assert (again.clock, again.stamp, again.t_ns.tobytes()) == (
                    stream.clock,
                    stream.stamp,
                    stream.t_ns.tobytes(),
                )
