from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

SMALL = """
[train.settings]
members = 3
features = 128
[bootstrap]
demonstrations = 12
smoke = 4
region = 0.5
[deploy]
rollouts = 16
[correct]
per_turn = 5
[evaluate]
worked = 6
regression_per_mode = 3
[gate]
n_max = 15
[stop]
target = 1.0
turns_without_gain = 9
"""


@pytest.fixture(scope="session")
def in_memory(tmp_path_factory):
    """A folder in memory where there is one: what these tests show does not depend on the disk's speed."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path_factory.mktemp("memory")
        return
    made = Path(tempfile.mkdtemp(prefix="saqiya-tests-", dir=memory))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def new_wheel():
    """Make a small workspace on the tiny site (or another) and return its path."""
    from saqiya.loop.flywheel import Flywheel

    def make(path: Path, *, site: str = "tiny", seed: int = 0, workers: int = 0, settings: str = SMALL) -> Path:
        Flywheel.init(path, site=site, trainer="ridge", seed=seed, workers=workers).close()
        text = (path / "saqiya.toml").read_text().split("[bootstrap]")[0]
        (path / "saqiya.toml").write_text(text + settings)
        return path

    return make


@pytest.fixture(scope="session")
def turned_once(in_memory, new_wheel):
    """A workspace after its first two turns; look at it, but work on a copy of it: see `turned`."""
    from saqiya.loop.flywheel import Flywheel

    path = new_wheel(in_memory / "turned")
    with Flywheel(path) as wheel:
        wheel.turn()
        wheel.turn()
    with Flywheel(path) as wheel:  # opened anew: a launched workflow engine is one for the whole process
        yield wheel


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of these tests' own: `new()` is the URL of an empty database."""
    from benchmarks._postgres import binaries, postgres

    pytest.importorskip("psycopg", reason="PostgreSQL's driver is not installed: pip install 'saqiya[postgres]'")
    found = binaries()
    if found is None:
        pytest.skip("there is no PostgreSQL server on this machine: apt-get install postgresql")
    with postgres(found, durable=False) as server:
        yield server


@pytest.fixture
def fresh(in_memory):
    """A folder of this test's own, in memory."""
    made = Path(tempfile.mkdtemp(dir=in_memory))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def room(in_memory):
    """A folder of this file's own, in memory: a worker may come back to a file, and make what it shares again."""
    made = Path(tempfile.mkdtemp(dir=in_memory))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def turned(turned_once, fresh):
    """A copy of a workspace after two turns."""
    return Path(shutil.copytree(turned_once.store.root, fresh / "wheel"))
