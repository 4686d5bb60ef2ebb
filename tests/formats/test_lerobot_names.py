"""Names of LeRobot's features become names of the house, and find their way back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.formats.lerobot.names import ROWS, fields_of, ours, theirs

words = st.text("abcdez_0", min_size=1, max_size=6)
features = st.lists(words, min_size=1, max_size=4).map(".".join).filter(lambda name: name not in ROWS)
observed = st.builds(lambda head, name: head + name, st.sampled_from(["observation.", "observation.images."]), features)


@pytest.mark.parametrize(
    ("feature", "picture", "stream"),
    [
        ("observation.state", False, "observation/state"),
        ("observation.environment_state", False, "observation/environment_state"),
        ("action", False, "action/executed"),
        ("next.reward", False, "reward"),
        ("annotation.human.validity", False, "annotation.human.validity"),
        ("observation.images.top", True, "camera/top"),
        ("observation.image", True, "camera/image"),
    ],
)
def test_what_a_feature_is_called_here(feature: str, picture: bool, stream: str) -> None:
    assert ours(feature, picture=picture) == stream
    assert theirs(stream, picture=picture) == feature


def test_a_depth_map_is_no_camera() -> None:
    assert ours("observation.images.wrist", picture=True, depth=True) == "depth/wrist"


@given(features | observed | st.sampled_from(["observation.image", "observation.images.image"]), st.booleans())
def test_every_feature_finds_its_way_back(feature: str, picture: bool) -> None:
    assert theirs(ours(feature, picture=picture), picture=picture) == feature


@given(st.lists(features | observed, unique=True, max_size=8), st.booleans())
def test_two_features_never_share_a_name(names: list[str], picture: bool) -> None:
    assert len({ours(name, picture=picture) for name in names}) == len(names)


@given(st.lists(st.text("ab/._", min_size=1, max_size=5), min_size=1, max_size=4).map("/".join))
def test_no_name_has_a_slash_or_is_one_of_lerobots_own(stream: str) -> None:
    for picture in (False, True):
        made = theirs(stream, picture=picture)
        assert made
        assert "/" not in made
        assert made not in ROWS


def test_other_actions_than_the_executed_ones_are_nothing_to_predict() -> None:
    assert theirs("action/intended", picture=False) == "logged.action.intended"
    assert theirs("policy/uncertainty", picture=False) == "logged.policy.uncertainty"


def test_sensors_are_observations() -> None:
    assert theirs("/joint_states/position", picture=False) == "observation.joint_states.position"


@pytest.mark.parametrize(
    ("names", "width", "fields"),
    [
        (["x", "y"], 2, ("x", "y")),
        ({"motors": ["x", "y"]}, 2, ("x", "y")),
        ({"left": ["x"], "right": ["y"]}, 2, ("x", "y")),
        ({"y": 1, "x": 0}, 2, ("x", "y")),
        (["x", "y"], 3, ()),
        (None, 1, ()),
        ([["x"], ["y"]], 2, ()),
        ("xy", 2, ()),
    ],
)
def test_columns_are_named_where_all_of_them_are(names: object, width: int, fields: tuple[str, ...]) -> None:
    assert fields_of(names, (width,)) == fields
