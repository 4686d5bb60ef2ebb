"""Every registered site keeps the contract: a new one is tested as soon as it is registered."""

from importlib.util import find_spec

import pytest

from saqiya import plugins
from saqiya.testing import check_site


def marks(name: str) -> list[pytest.MarkDecorator]:
    if name == "pusht":
        return [pytest.mark.skipif(find_spec("gym_pusht") is None, reason="needs saqiya[pusht]")]
    if not name.startswith("metaworld"):
        return []
    missing = find_spec("metaworld") is None
    return [pytest.mark.metaworld, pytest.mark.skipif(missing, reason="needs saqiya[sim]")]


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in plugins.names("saqiya.sites")])
def test_site_keeps_the_contract(name: str) -> None:
    check_site(plugins.load("saqiya.sites", name))
