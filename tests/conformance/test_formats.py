"""Every registered format keeps the contract; one that cannot write needs a sample here."""

from collections.abc import Callable
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


SAMPLES: dict[str, Callable[[Path], Path]] = {"table": table, "hdf5": robomimic}


@pytest.mark.parametrize("name", plugins.names("saqiya.formats"))
def test_format_keeps_the_contract(name: str, tmp_path: Path) -> None:
    samples = [SAMPLES[name](tmp_path)] if name in SAMPLES else []
    (tmp_path / "checked").mkdir()
    check_format(plugins.load("saqiya.formats", name)(), tmp_path / "checked", samples=samples)
