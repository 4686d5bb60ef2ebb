"""The two commands on real failures: on small files made here, and on the published sets where they lie beside."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from saqiya import plugins
from saqiya.errors import UnreadableLog
from saqiya.models.copies import group_copies
from saqiya.models.recipes import LINEAR
from saqiya.models.windows import describe
from saqiya.testing import make_episode
from saqiya.triage.naming import judge_names

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SAQIYA_SHARED_DATA", ROOT.parent / "shared" / "data"))
HIRO = (DATA / "hiro-snap-success", DATA / "hiro-snap-error")
UCI = DATA / "uci-robot-execution-failures"
NAME = ROOT / "examples" / "uci" / "name.py"
DETECT = ROOT / "examples" / "hiro" / "detect.py"

needs_hiro = pytest.mark.skipif(not all(path.is_dir() for path in HIRO), reason=f"no HIRO data in {DATA}")
needs_uci = pytest.mark.skipif(not UCI.is_dir(), reason=f"no UCI data in {DATA}")


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run(script: Path, *words: str, code: int = 0) -> tuple[str, str]:
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def blocks(path: Path, kinds: dict[str, int]) -> Path:
    """Write windows of made-up classes in the published layout; each class pushes another way."""
    rng = np.random.default_rng(0)
    lines = []
    for number, (name, n) in enumerate(kinds.items()):
        for _ in range(n):
            window = rng.normal(0.0, 2.0, (15, 6))
            window[:5, number % 6] += 60.0
            lines += [name, *("\t" + "\t".join(str(round(value)) for value in row) for row in window), "", ""]
    path.write_text("\n".join(lines))
    return path


def table(folder: Path, kind: str, n: int, length_s: float, push: float) -> Path:
    """Write tries in the published layout: a wrench and phase times, some of them with an empty or missing file."""
    rng = np.random.default_rng(int(push))
    for number in range(1, n + 1):
        home = folder / f"20300101-HIRO{kind}-{number:02d}"
        home.mkdir(parents=True)
        t_s = np.arange(0.0, length_s + 0.1 * number, 0.02)
        wrench = rng.normal(0.0, 1.0, (t_s.size, 6))
        wrench[60:90, 2] += push
        np.savetxt(home / "R_Torques.dat", np.column_stack([t_s, wrench]), fmt="%.4f")
        (home / "R_State.dat").write_text("" if number == 2 else "0.0\n1.0\n")
        (home / "R_Angles.dat").write_text("")
    return folder


def test_failures_of_classes_that_nobody_foresaw_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("saqiya.models.recipes.TREES_N", 5)  # so few trees are quick, and enough here
    file = blocks(tmp_path / "lp9.data", {"ok": 6, "moved_left": 5, "Lost part": 1})
    monkeypatch.setattr(sys, "argv", ["name.py", str(file), "--seeds", "1", "--json"])
    assert loaded(NAME).main() == 0
    found = json.loads(capsys.readouterr().out)[str(file)]["naming"]
    assert dict(found["names"]) == {"ok": 6, "moved_left": 5, "Lost part": 1}
    assert found["own"]["accuracy"]["value"] > 0.7
    assert found["thin"] == ["Lost part"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no block in it"),
        ("\t1\t2\t3\t4\t5\t6\n", "line 1: no class name stands before it"),
        ("ok\n\t1\t2\t3\n", "line 2: not 6 numbers"),
        ("ok\n\t1\t2\t3\t4\t5\t6\n", "line 1: 'ok' is followed by 1 rows"),
        ("ok\n" + "\t1\t2\t3\t4\tnan\t6\n" * 15, "line 2: not 6 numbers"),
    ],
)
def test_a_file_that_is_no_such_file_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.data"
    path.write_text(text)
    with pytest.raises(UnreadableLog, match=said):
        loaded(NAME).read(path)


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    file = blocks(tmp_path / "one.data", {"ok": 6})
    _, errors = run(NAME, str(tmp_path / "missing.data"), str(file), code=1)
    assert "missing.data" in errors
    assert "cannot be judged" in errors


def test_failures_are_detected_from_force_and_the_leaks_stand_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = table(tmp_path / "s", "SA-S", 8, 4.0, 0.0), table(tmp_path / "e", "_ERROR", 6, 3.0, 30.0)
    monkeypatch.setattr(
        sys, "argv", ["detect.py", str(good), str(bad), "--seeds", "1", "--permutations", "1", "--json"]
    )
    assert loaded(DETECT).main() == 0
    windows = json.loads(capsys.readouterr().out)["windows"]
    start = windows["from the start"]
    assert start["area"]["value"] > 0.9
    assert {"duration of the whole try", "the year alone"} <= {probe["name"] for probe in start["probes"]}
    assert [key for key, _ in windows["from phase/alignment on"]["dropped"]] == [
        "20300101-HIROSA-S-02",
        "20300101-HIRO_ERROR-02",
    ]


def test_folders_without_a_try_are_told(tmp_path: Path) -> None:
    _, errors = run(DETECT, str(tmp_path), code=2)
    assert "no try was found" in errors


@needs_uci
@pytest.mark.parametrize(("name", "least"), [("lp1", 0.85), ("lp4", 0.8)])
def test_real_failures_are_named_far_above_chance_by_even_the_simplest_learner(name: str, least: float) -> None:
    example = loaded(NAME)
    problem = example.read(UCI / f"{name}.data")
    rows = describe(problem.windows, example.WRENCH, triads=example.TRIADS).values
    report = judge_names(rows, problem.names, group_copies(problem.windows), seeds=(0,), recipes=LINEAR[:1])
    assert report.own.accuracy.value > least
    assert report.distinct_n < report.failures_n


@needs_hiro
def test_hiro_is_separated_and_called_confounded() -> None:
    out, _ = run(DETECT, *map(str, HIRO), "--seeds", "1", "--permutations", "0", "--since", "", "--json")
    start = json.loads(out)["windows"]["from the start"]
    assert start["area"]["value"] > 0.9
    assert any("easy or confounded" in note for note in start["notes"])
    assert all("wrench" in column for column in start["columns"])


def test_logs_of_another_robot_take_their_outcome_from_their_folder(tmp_path: Path) -> None:
    for number in range(10):
        home = tmp_path / ("good" if number < 5 else "bad")
        home.mkdir(exist_ok=True)
        episode = make_episode(seed=number)
        log = replace(episode, key=f"try-{number}", metadata={})
        plugins.load("saqiya.formats", "mcap")().write(log, home / f"{number}.mcap")
    example = loaded(DETECT)
    tries, left_out = example.read([tmp_path / "good", tmp_path / "bad"], DETECT.with_name("mapping.toml"))
    assert sum(item.success for item in tries) == 5
    assert len(tries) == 10
    assert left_out == []
