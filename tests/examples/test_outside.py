"""A site and a format that the code has never heard of turn the wheel, installed from outside by pip."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin"
OFFLINE = ("--no-deps", "--no-build-isolation", "--no-index")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    target = tmp_path_factory.mktemp("outside")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *OFFLINE, "--target", str(target), str(PLUGIN)], check=True
    )
    return {**os.environ, "PYTHONPATH": str(target)}


def saqiya(outside: dict[str, str], *words: str, code: int = 0) -> object:
    command = [sys.executable, "-m", "saqiya", *words, "--json"]
    done = subprocess.run(command, env=outside, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def workspace(outside: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cart") / "wheel"
    saqiya(outside, "init", str(folder), "--site", "cart", "--trainer", "ridge", "--workers", "0")
    config = folder / "saqiya.toml"
    small = {"rollouts": 60, "per_turn": 15}
    text = config.read_text()
    for name, value in small.items():
        text = re.sub(rf"# {name} = \d+", f"{name} = {value}", text)
    config.write_text(text)
    return folder


def test_an_outside_site_turns_the_wheel(outside: dict[str, str], workspace: Path) -> None:
    turns = saqiya(outside, "turn", "--until-rest", "-w", str(workspace))
    assert turns[0]["decision"] == "INITIAL"
    assert turns[-1]["stopped_because"]
    assert turns[-1]["success"]["k"] > turns[0]["success"]["k"]
    assert saqiya(outside, "verify", "-w", str(workspace))["lies"] == []


def test_an_outside_format_comes_in(outside: dict[str, str], workspace: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from saqiya import plugins; from saqiya.testing import make_episode;"
        "plugins.load('saqiya.formats', 'cart-jsonl')().write(make_episode(seed=3), Path(sys.argv[1]))"
    )
    log = tmp_path / "try.cart.jsonl"
    subprocess.run([sys.executable, "-c", script, str(log)], env=outside, check=True)
    admitted = saqiya(outside, "ingest", str(log), "-w", str(workspace))
    assert len(admitted["episodes"]) == 1
    assert admitted["rejections"] == []
