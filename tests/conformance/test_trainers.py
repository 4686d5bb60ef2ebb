"""Every registered trainer keeps the contract."""

from importlib.util import find_spec

import pytest

from saqiya import plugins
from saqiya.testing import check_trainer

BRIEF = {"steps": 250, "width": 64, "layers": 2, "rate": 3e-3}
SHORT = {"dropout": BRIEF, "ensemble": BRIEF}


def marks(name: str) -> list[pytest.MarkDecorator]:
    missing = name in SHORT and find_spec("torch") is None
    return [pytest.mark.skipif(missing, reason="needs saqiya[train]")]


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in plugins.names("saqiya.trainers")])
def test_trainer_keeps_the_contract(name: str) -> None:
    check_trainer(plugins.load("saqiya.trainers", name)(), settings=SHORT.get(name))
