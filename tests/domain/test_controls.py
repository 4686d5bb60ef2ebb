from importlib.util import find_spec

import numpy as np
import pytest

from saqiya import plugins
from saqiya.domain.controls import RESERVED, Drivable, controls_for
from saqiya.sites.tiny import Tiny

SITES = [
    pytest.param(name, marks=pytest.mark.skipif(find_spec(needs) is None, reason=f"needs {needs}"))
    for name, needs in (("tiny", "numpy"), ("pusht", "gym_pusht"), ("metaworld-pick-place", "metaworld"))
]


def check(controls, spec):
    width = spec.action_low.size
    keys = [key for axis in controls.axes for key in axis.keys]
    assert len(keys) == len(set(keys))
    assert not RESERVED.intersection(keys)
    assert {len(axis.moves) for axis in controls.axes} == {width}
    assert len(controls.rest) == width
    assert len(controls.pointer) in {0, 2}
    assert np.linalg.matrix_rank(np.array([axis.moves for axis in controls.axes])) == width


@pytest.mark.parametrize("name", SITES)
def test_a_site_that_is_driven_says_how_and_leaves_the_keys_of_the_try_alone(name):
    site = plugins.load("saqiya.sites", name)()
    assert isinstance(site, Drivable)
    check(site.controls, site.spec)
    site.close()


def test_a_site_that_says_nothing_gets_a_pair_of_keys_for_each_dimension_of_its_action():
    made = controls_for(Tiny.spec)
    check(made, Tiny.spec)
    assert [axis.moves for axis in made.axes] == [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
