"""The example plug-in keeps the contracts that it is an example of, and stays small."""

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from saqiya.testing import check_format, check_site

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PLUGIN / "src"))


def provided(group: str, name: str) -> type:
    points = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]["entry-points"]
    module, attribute = points[group][name].split(":")
    return getattr(import_module(module), attribute)


def test_the_site_keeps_the_contract() -> None:
    check_site(provided("saqiya.sites", "cart"), steps=80)


def test_the_format_keeps_the_contract(tmp_path: Path) -> None:
    check_format(provided("saqiya.formats", "cart-jsonl")(), tmp_path)


@pytest.mark.parametrize("name", ["site.py", "log.py"])
def test_each_part_is_under_a_hundred_lines(name: str) -> None:
    assert len((PLUGIN / "src" / "saqiya_cart" / name).read_text().splitlines()) < 100
