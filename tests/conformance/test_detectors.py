"""Every registered detector keeps the contract."""

import pytest

from saqiya import plugins
from saqiya.testing import check_detector


@pytest.mark.parametrize("name", plugins.names("saqiya.detectors"))
def test_detector_keeps_the_contract(name: str) -> None:
    check_detector(plugins.load("saqiya.detectors", name)())
