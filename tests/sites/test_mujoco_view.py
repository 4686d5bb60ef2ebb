import numpy as np
import pytest

from saqiya.errors import SiteFault
from saqiya.sites import mujoco_view

pytest.importorskip("metaworld")

from saqiya.sites.metaworld import PickPlace

pytestmark = pytest.mark.metaworld


@pytest.fixture(scope="module")
def site():
    site = PickPlace()
    site.reset(site.sample_start(1))
    try:
        site.render(height=96, width=128)
    except SiteFault as fault:
        pytest.skip(str(fault))
    yield site
    site.close()


def test_a_picture_has_the_asked_size_and_shows_something(site):
    picture = site.render(height=96, width=128)
    assert (picture.shape, picture.dtype) == ((96, 128, 3), np.uint8)
    assert picture.std() > 20


def test_a_picture_is_upright_and_not_mirrored(site):
    """The goal is a blue ball: a higher goal is drawn higher, one at larger x further to the left of this camera."""

    def blue(x, z):
        factors = {"object_x": 0.0, "object_y": 0.62, "goal_x": x, "goal_y": 0.85, "goal_z": z}
        site.reset(type(site.sample_start(0))(0, factors))
        red, green, ball = site.render(height=96, width=128).astype(int).transpose(2, 0, 1)
        return np.argwhere((ball > 60) & (red < ball / 3) & (green < ball / 3)).mean(axis=0)

    low, high, left, right = blue(0.0, 0.06), blue(0.0, 0.28), blue(0.09, 0.2), blue(-0.09, 0.2)
    assert high[0] < low[0] - 5
    assert left[1] < right[1] - 5


def test_drawing_does_not_disturb_the_simulation(site):
    def tail(*, drawn):
        site.reset(site.sample_start(2))
        for _ in range(10):
            site.step(np.array([0.3, 0.2, -0.5, 1.0]))
            if drawn:
                site.render(height=96, width=128)
        return site.snapshot()["physics"]

    np.testing.assert_array_equal(tail(drawn=True), tail(drawn=False))


def test_without_any_gl_one_clear_line_says_so(monkeypatch):
    monkeypatch.setattr(mujoco_view, "BACKENDS", ("no_such_gl",))
    with pytest.raises(SiteFault, match=r"no offscreen GL works here \(no_such_gl: .*\)\. Install one of them") as told:
        mujoco_view.View("missing.xml", height=8, width=8)
    assert "\n" not in str(told.value)
