import tomllib

import numpy as np
import pytest

from saqiya.domain.streams import EpisodeLog, Event, Stream
from saqiya.errors import InvalidMapping
from saqiya.ingest import remap as module
from saqiya.ingest.remap import remap, renaming_from

T = np.arange(3, dtype=np.int64)


def log(*names, **given):
    return EpisodeLog("x", {name: Stream(T, np.ones((3, 1))) for name in names}, **given)


def renamed(raw, *names, **given):
    made, notes = remap(log(*names, **given), renaming_from(raw))
    return made, notes


def test_stars_stand_for_parts_and_numbers_put_them_back():
    made, notes = renamed(
        {"topics": {"/*/joint_states/*": "observation/joints_{1}_{2}", "/cmd/**": "action/{1}"}},
        "/left/joint_states/position", "/cmd/arm/x", "/left/other/joint_states/position",
    )  # fmt: skip
    assert set(made.streams) == {
        "observation/joints_left_position",
        "action/arm/x",
        "/left/other/joint_states/position",
    }
    assert notes == ()


def test_the_first_pattern_that_fits_decides():
    made, _ = renamed({"topics": {"/a": "one", "/*": "other/{1}"}}, "/a", "/b")
    assert set(made.streams) == {"one", "other/b"}


def test_receive_stamps_go_with_their_stream_and_events_are_renamed_too():
    made, _ = renamed(
        {"topics": {"/j": "observation/joints", "/task": "phase"}}, "/j", "clock//j", events=(Event(0, "/task", "go"),)
    )
    assert set(made.streams) == {"observation/joints", "clock/observation/joints"}
    assert made.events == (Event(0, "phase", "go"),)


def test_what_is_left_out_is_named():
    made, _ = renamed({"topics": {"/debug/**": ""}}, "/debug/a/b", "/j", metadata={"skipped": {"/tf": "no schema"}})
    assert set(made.streams) == {"/j"}
    assert made.metadata["skipped"] == {"/tf": "no schema", "/debug/a/b": "left out by the renaming"}


def test_units_are_declared_by_the_new_name_and_values_stay():
    made, notes = renamed(
        {"topics": {"/j": "observation/joints"}, "units": {"observation/*": "deg", "none": "N"}}, "/j"
    )
    assert made.streams["observation/joints"].unit == "deg"
    assert (made.streams["observation/joints"].values == 1.0).all()
    assert notes == ("no stream is called 'none', so nothing is in 'N' by that line",)


def test_a_pattern_that_fits_nothing_is_told():
    assert renamed({"topics": {"/x": "y"}}, "/j")[1] == ("no stream, camera or event is called '/x'",)


def test_two_streams_of_one_name_are_refused():
    with pytest.raises(InvalidMapping, match="would both be called 'same'"):
        renamed({"topics": {"/*": "same"}}, "/a", "/b")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"topic": {}}, "unknown section"),
        ({"topics": {"/a": 3}}, "table of texts"),
        ({"topics": {"/a/*": "{2}"}}, r"the pattern has 1 \*"),
        ({"topics": {"/a": "../b"}}, "no name for a stream"),
        ({"topics": {"*" * 60: "b"}}, "too long"),
    ],
)
def test_what_is_wrong_is_named(raw, said):
    with pytest.raises(InvalidMapping, match=said):
        renaming_from(raw)


def test_the_module_shows_a_good_renaming():
    shown = tomllib.loads(module.__doc__.split("\n", 2)[2])
    made, _ = remap(log("/left/joint_states/position", "/cmd_vel/linear/x"), renaming_from(shown))
    assert {name: one.unit for name, one in made.streams.items()} == {
        "observation/joints_left": "rad", "action/executed/linear/x": ""
    }  # fmt: skip
