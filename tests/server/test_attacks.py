"""Attacks on the server, each tried; the table of SECURITY.md is this one."""

from pathlib import Path

import pytest
from tests.server import attacks_door, attacks_inside  # noqa: F401 - importing them fills the table
from tests.server.attacks import ATTACKS, table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("one", ATTACKS, ids=lambda one: one.run.__name__)
def test_the_attack_is_refused(house, one):
    one.run(house)


def test_the_page_on_security_shows_every_attack_that_is_tried():
    assert table() in (ROOT / "SECURITY.md").read_text()
