"""Children that film run one after the other, the newest wish first."""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from saqiya.loop.episode.filming import NEVER_BEGAN, WAITING_N, Filming

NEVER = "no.such.module"


@pytest.fixture
def filming(tmp_path, monkeypatch):
    """Jobs are modules of a folder that the child finds."""
    for name, text in {
        "told": "import sys, pathlib, time\nroot, ref = sys.argv[1:]\n"
        "open(pathlib.Path(root) / 'said', 'a').write(f'+{ref} ')\ntime.sleep(.3)\n"
        "open(pathlib.Path(root) / 'said', 'a').write(f'-{ref} ')\n",
        "lasting": "import sys, pathlib, time\nroot, ref = sys.argv[1:]\n"
        "open(pathlib.Path(root) / 'said', 'a').write(f'+{ref} ')\ntime.sleep(600)\n",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made = Filming(tmp_path)
    yield made
    made.close()


def ended(filming: Filming, module: str, *refs: str) -> None:
    until = monotonic() + 30
    while any(filming.under_way(module, ref) for ref in refs) and monotonic() < until:
        sleep(0.02)


def begun(tmp_path: Path) -> None:
    until = monotonic() + 30
    while not (tmp_path / "said").exists() and monotonic() < until:
        sleep(0.01)


def said(tmp_path: Path) -> list[str]:
    return (tmp_path / "said").read_text().split()


def test_one_runs_at_a_time_and_the_newest_wish_is_next(filming, tmp_path):
    filming.ask("told", "a")
    begun(tmp_path)
    for ref in "bca":
        filming.ask("told", ref)
    ended(filming, "told", *"abc")
    assert said(tmp_path) == ["+a", "-a", "+c", "-c", "+b", "-b"]
    assert [filming.code("told", ref) for ref in "abcd"] == [0, 0, 0, None]


def test_what_waited_longest_is_dropped(filming, tmp_path):
    filming.ask("lasting", "first")
    begun(tmp_path)
    for number in range(WAITING_N + 2):
        filming.ask("lasting", str(number))
    assert filming.under_way("lasting", "first")
    assert [filming.under_way("lasting", str(number)) for number in range(4)] == [False, False, True, True]


def test_a_child_that_fails_is_told_by_its_code_and_may_be_asked_again(filming, tmp_path):
    filming.ask(NEVER, "x")
    ended(filming, NEVER, "x")
    assert filming.code(NEVER, "x") == 1
    filming.ask("told", "y")
    ended(filming, "told", "y")
    assert said(tmp_path) == ["+y", "-y"]


def test_a_machine_that_starts_no_child_for_a_while_films_again_afterwards(filming, tmp_path, monkeypatch):
    with monkeypatch.context() as poor:
        poor.setattr(sys, "executable", str(tmp_path / "nothing"))
        filming.ask("told", "x")
        ended(filming, "told", "x")
        assert filming.code("told", "x") == NEVER_BEGAN
    filming.ask("told", "y")
    ended(filming, "told", "y")
    assert said(tmp_path) == ["+y", "-y"]


def test_closing_ends_what_runs_and_forgets_what_waits(filming, tmp_path):
    filming.ask("lasting", "now")
    begun(tmp_path)
    filming.ask("lasting", "later")
    filming.close()
    assert not filming.under_way("lasting", "now")
    filming.ask("lasting", "too late")
    assert not filming.under_way("lasting", "too late")
