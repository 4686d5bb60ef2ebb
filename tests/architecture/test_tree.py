"""What holds for every file that is in the repository."""

import ast
import re
import subprocess
import tomllib
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

from saqiya import plugins

ROOT = Path(__file__).parents[2]
MOST_LINES = 500
MACHINE = re.compile(r"(?<![\w./~-])/(?:work|root|home/\w+|Users/\w+)(?:/|\b)")
ALLOWED = {"tests/architecture/test_tree.py"}


def tracked(suffix: str = "") -> list[Path]:
    """List the files git knows; in a source archive, all that lie beside pyproject.toml and are not hidden."""
    if (ROOT / ".git").exists():
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
        names = [ROOT / name for name in done.stdout.split("\0") if name]
    else:
        names = [path for path in ROOT.rglob("*") if not path.relative_to(ROOT).parts[0].startswith(".")]
    return [path for path in names if path.is_file() and path.name.endswith(suffix) and "__pycache__" not in path.parts]


def test_no_file_is_longer_than_one_sits_down_to_read():
    long = {
        str(path.relative_to(ROOT)): n
        for path in tracked(".py")
        if (n := len(path.read_text().splitlines())) > MOST_LINES
    }
    assert long == {}


def test_every_package_and_module_says_what_it_is_for():
    mute = [
        str(path.relative_to(ROOT))
        for path in tracked(".py")
        if path.is_relative_to(ROOT / "src") and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert mute == []


def test_every_folder_of_code_is_a_package():
    bare = {path.parent for path in tracked(".py") if path.is_relative_to(ROOT / "src")}
    assert [str(folder) for folder in bare if not (folder / "__init__.py").exists()] == []


def machine_paths(text: str) -> list[str]:
    return [line for line in text.splitlines() if MACHINE.search(line)]


def test_no_file_names_a_machine():
    found = {}
    for path in tracked():
        name = str(path.relative_to(ROOT))
        if name not in ALLOWED and path.suffix not in {".png", ".mcap", ".hdf5"}:
            found |= {name: lines} if (lines := machine_paths(path.read_text(errors="replace"))) else {}
    assert found == {}


@pytest.mark.parametrize("text", ["open('/work/x')", "see /root", "/home/ann/logs", "/Users/ann/logs"])
def test_a_machine_path_is_seen(text):
    assert machine_paths(text) == [text]


@pytest.mark.parametrize("text", ["/workspace", "docs/work/x", "a/root", "https://x.org/work/"])
def test_other_paths_are_not_machine_paths(text):
    assert machine_paths(text) == []


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
POINTS = [(group, name, value) for group, rows in PROJECT["entry-points"].items() for name, value in rows.items()]
EXTRA_MODULES = {"data": "rosbags", "pusht": "gym_pusht", "rerun": "rerun", "sim": "metaworld", "train": "torch"}


@pytest.mark.parametrize(("group", "name", "value"), POINTS)
def test_entry_point_resolves(group, name, value):
    target, _, extra = value.partition(" ")
    if extra and find_spec(EXTRA_MODULES[extra.strip("[]")]) is None:
        pytest.skip(f"needs saqiya{extra}")
    loaded = plugins.load(group, name)
    assert loaded.__name__ == target.partition(":")[2]


def test_the_installed_entry_points_are_those_of_the_project():
    installed = {(group, name) for group, _, _ in POINTS for name in plugins.names(group)}
    assert {(group, name) for group, name, _ in POINTS} <= installed
    scripts = {point.name: point.value for point in entry_points(group="console_scripts") if point.name == "saqiya"}
    assert scripts == PROJECT["scripts"]
