"""Every code block of README.md and docs/ runs, in order, page by page, and prints what the page says it prints."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = ("bash", "console", "python")
SHOWN = ("toml", "text")  # toml blocks are read by test_reference.py
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
LONGEST_S = 120


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line it begins on."""

    language: str
    text: str
    line: int


def blocks_of(page: str) -> list[Block]:
    return [Block(found[1], found[2], page.count("\n", 0, found.start()) + 1) for found in FENCE.finditer(page)]


def commands_of(block: Block) -> list[tuple[str, str]]:
    """Split a block into commands and what each is said to print ("" says nothing)."""
    if block.language == "bash":
        lines = [line for line in block.text.splitlines() if not line.startswith("make ")]
        return [("\n".join(lines), "")]
    if block.language == "python":
        return [(f"python - <<'END'\n{block.text}END", "")]
    pieces = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    commands = []
    for piece in pieces:
        command, _, printed = re.sub(r"\\\n(> )?", "", piece).partition("\n")
        if not command.startswith("make "):
            commands.append((command, printed))
    return commands


def make_targets(block: Block) -> list[str]:
    return re.findall(r"^(?:\$ )?make +([a-z]+)", block.text, re.MULTILINE)


def matches(said: str, printed: str) -> bool:
    """Compare what a page says with what came out; `...` stands for anything, runs of blanks are one."""
    said, printed = (
        "\n".join(" ".join(line.split()) for line in text.strip().splitlines()) for text in (said, printed)
    )
    return not said or re.fullmatch(re.escape(said).replace(r"\.\.\.", ".*"), printed, re.DOTALL) is not None


@pytest.fixture
def elsewhere(tmp_path):
    """An empty folder with the examples and the environment in it, as a fresh checkout has them."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    return tmp_path


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {
        "PATH": path,
        "HOME": str(folder),
        "COLUMNS": "120",
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
        "MPLBACKEND": "Agg",
    }
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=LONGEST_S,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_does_what_it_says(page, elsewhere):
    for block in blocks_of(page.read_text()):
        if block.language not in RUN:
            continue
        for command, said in commands_of(block):
            done = run(command, elsewhere)
            where = f"{page.name}:{block.line}: {command}"
            assert done.returncode == 0, f"{where}\n{done.stdout}\n{done.stderr}"
            assert matches(said, done.stdout), f"{where}\nsaid:\n{said}\nprinted:\n{done.stdout}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_has_no_block_that_nobody_checks(page):
    blocks = blocks_of(page.read_text())
    assert [block for block in blocks if block.language not in (*RUN, *SHOWN)] == []
    assert page.read_text().count("\n```") + page.read_text().startswith("```") == 2 * len(blocks)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_make_targets_on_a_page_exist(page):
    named = {target for block in blocks_of(page.read_text()) for target in make_targets(block)}
    inline = set(re.findall(r"`make +([a-z]+)", page.read_text()))
    assert named | inline <= TARGETS


def test_a_console_block_splits_into_commands_and_what_they_print():
    block = Block("console", "$ echo a \\\n>   b\na b\n$ make demo\n...\n$ true\n", 1)
    assert commands_of(block) == [("echo a   b", "a b\n"), ("true", "")]
    assert make_targets(block) == ["demo"]


@pytest.mark.parametrize(
    ("said", "printed", "same"),
    [("a ... c", "a b c", True), ("a\n...\nd", "a\nb\nc\nd", True), ("x  y", "x y \n", True), ("a", "a b", False)],
)
def test_what_a_page_says_is_compared_with_what_comes_out(said, printed, same):
    assert matches(said, printed) is same


def test_a_failing_command_is_seen(elsewhere):
    assert run("saqiya status", elsewhere).returncode == 2
    assert run("false | true", elsewhere).returncode == 1
