"""What a user can type, set, catch or plug in is on a page, and every page's links lead somewhere."""

import dataclasses
import inspect
import re
import tomllib
from enum import StrEnum
from pathlib import Path

import pytest
import typer.main

from saqiya import errors, plugins, testing
from saqiya.cli.app import whole
from saqiya.loop.config import Config, SiteConfig, TaskConfig, read_config

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    page for where in ("*.md", "docs/*.md", "examples/**/*.md", "benchmarks/*.md") for page in ROOT.glob(where)
)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[\w-]*)?\)")
EVERYTHING = "\n".join(page.read_text() for page in [ROOT / "README.md", *DOCS.glob("*.md")])


def commands() -> list[str]:
    """Every command as it is typed."""
    found = []
    for name, command in typer.main.get_command(whole()).commands.items():
        found += [f"{name} {child}" for child in getattr(command, "commands", {})] or [name]
    return sorted(found)


@pytest.mark.parametrize("command", commands())
def test_command_is_on_a_page(command):
    assert re.search(rf"\bsaqiya {command}\b", EVERYTHING)


def test_all_commands_were_found():
    assert {"turn", "report", "record recover", "policy register", "verify"} <= set(commands())
    assert {f"correct {one}" for one in ("run", "import", "export", "say", "queue", "claim")} <= set(commands())


def test_every_module_of_the_command_line_is_among_those_that_register_commands():
    every = {one.stem for one in (ROOT / "src" / "saqiya" / "cli").glob("*.py")}
    machinery = {"__init__", "app", "show", "watch"}
    said = set(re.findall(r"^        (\w+),$", inspect.getsource(whole), re.MULTILINE))
    assert every - machinery == said


def toml_of(page: Path) -> str:
    return re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)[0]


def test_the_settings_page_shows_every_key_with_its_default():
    said = tomllib.loads(toml_of(DOCS / "turn.md"))
    real = dataclasses.asdict(Config(TaskConfig(**said["task"]), SiteConfig(**said["site"])))
    assert said == {section: {key: plain(value) for key, value in keys.items()} for section, keys in real.items()}


def plain(value: object) -> object:
    if isinstance(value, StrEnum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def test_the_settings_page_is_a_good_configuration(tmp_path):
    (tmp_path / "saqiya.toml").write_text(toml_of(DOCS / "turn.md"))
    assert read_config(tmp_path / "saqiya.toml").stop.target == 0.9


def test_every_error_is_on_its_page_and_no_other():
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "errors.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(errors.__all__)


def test_the_error_tree_is_drawn_whole():
    assert [name for name in errors.__all__ if not re.search(rf"\b{name}\b", errors.__doc__)] == []


@pytest.mark.parametrize("group", ["saqiya.formats", "saqiya.sites", "saqiya.detectors", "saqiya.trainers"])
def test_plug_in_group_and_its_built_in_names_are_on_their_page(group):
    page = (DOCS / "plugins.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [name for name in (group, *project["entry-points"][group]) if f"`{name}`" not in page] == []


def test_there_is_no_group_that_nobody_documented():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [group for group in project["entry-points"] if f"`{group}`" not in (DOCS / "plugins.md").read_text()] == []
    assert all(group in (plugins.__doc__ or "") for group in project["entry-points"])


def test_every_checker_is_on_the_plug_in_page():
    checkers = [name for name in testing.__all__ if name.startswith("check_")]
    assert [name for name in checkers if f"`{name}`" not in (DOCS / "plugins.md").read_text()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_page_is_reached_from_the_front_page():
    linked = set(LINK.findall((ROOT / "README.md").read_text()))
    assert [page.name for page in DOCS.glob("*.md") if f"docs/{page.name}" not in linked] == []


def test_make_says_what_it_can_do():
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z]+):", text, re.MULTILINE)
    assert targets == re.findall(r"^#   ([a-z]+)  ", text, re.MULTILINE)
