"""Who may import whom, and what may not be loaded at all."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    "alembic", "av", "dbos", "fastapi", "gymnasium", "h5py", "jinja2", "matplotlib", "mcap", "metaworld", "mujoco",
    "pandas", "rich", "scipy", "sklearn", "sqlalchemy", "torch", "typer",
}  # fmt: skip
LIGHT = ["saqiya", "saqiya.domain", "saqiya.domain.nouns", "saqiya.domain.contracts", "saqiya.plugins", "saqiya.record"]


def heavy_loaded_by(module: str) -> set[str]:
    """Import `module` in a fresh process and say which heavy libraries came with it."""
    code = f"import {module}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("module", LIGHT)
def test_import_is_light(module):
    assert heavy_loaded_by(module) == set()


def test_the_probe_sees_a_heavy_import():
    assert heavy_loaded_by("h5py") == {"h5py"}


def test_the_recorder_loads_no_database_and_no_learning():
    assert heavy_loaded_by("saqiya.record.recorder") <= {"mcap"}


def test_the_import_contracts_are_kept():
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_the_import_contracts_see_a_broken_rule(tmp_path):
    package = tmp_path / "saqiya"
    for folder in ("loop", "cli", "stores", "domain"):
        (package / folder).mkdir(parents=True)
        (package / folder / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "domain" / "__init__.py").write_text("def late():\n    import saqiya.stores\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_package = "saqiya"\n[[tool.importlinter.contracts]]\nname = "stack"\n'
        'type = "layers"\ncontainers = ["saqiya"]\nlayers = ["cli", "loop", "stores", "domain"]\n'
    )
    linter = Path(sys.executable).with_name("lint-imports")
    env = {"PYTHONPATH": str(tmp_path), "PATH": ""}
    done = subprocess.run([linter, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 1
    assert "saqiya.domain is not allowed to import saqiya.stores" in done.stdout
