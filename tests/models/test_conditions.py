"""What a try was done with, where, by whom and how."""

import re
from dataclasses import replace

import pytest

from saqiya.domain.ids import Digest, EpisodeId, RecordingId
from saqiya.domain.nouns import Episode, FactorClaim, Source
from saqiya.domain.streams import Start
from saqiya.models.conditions import By, FactorRules, Grid, Rule, conditions_of, field_of, grids_of, said_of


def a_try(*, start=None, **said):
    extra = said.pop("extra", {})
    return Episode(
        id="episode-1", recordings=(RecordingId("recording-1"),), key_in_recording="demo_1", start_ns=0, end_ns=10,
        streams=Digest("0" * 64), infos=(), prints=(), source=Source.UNKNOWN, steps=3, extra=extra,
        start=None if start is None else Start(0, start),
        **{"task": "", "embodiment": "", "site": "", **said},
    )  # fmt: skip


def claim(value, author="ann", factor="object"):
    return FactorClaim(id="c", episode=EpisodeId("episode-1"), factor=factor, value=value, author=author)


def told(episode, *rules, claims=(), grids=None, file=""):
    said = said_of(episode, FactorRules(rules=rules), grids or {}, claims=claims, file=file)
    return {name: (one.value, one.by) for name, one in said.items()}


PEAR = Rule("object", "instruction", re.compile("pick the (.+?) from", re.IGNORECASE))


def test_a_log_speaks_for_itself_under_the_names_that_logs_use():
    one = a_try(task="stack", site="lab", extra={"light": " dark ", "env_name": "kitchen", "obj": 7, "noise": [1]})
    assert told(one) == {
        name: (value, By.LOG)
        for name, value in
        {"task": "stack", "site": "lab", "lighting": "dark", "environment": "kitchen", "object": "7"}.items()
    }  # fmt: skip


def test_a_person_counts_before_a_rule_and_a_rule_before_the_log():
    one = a_try(task="Pick the pear from the bowl", extra={"object": "fruit"})
    assert told(a_try(extra={"object": "fruit"}))["object"] == ("fruit", By.LOG)
    assert told(one, PEAR)["object"] == ("pear", By.RULE)
    assert told(one, PEAR, claims=[claim("quince"), claim("melon", "bob")])["object"] == ("melon", By.PERSON)


def test_what_a_person_takes_back_is_as_it_was_before():
    one = a_try(extra={"object": "fruit"})
    assert told(one, claims=[claim("quince"), claim("")])["object"] == ("fruit", By.LOG)


def test_a_hint_never_stands_before_what_is_said():
    hint = claim("pinch", "suggested: held", "strategy")
    assert told(a_try(), claims=[hint])["strategy"] == ("pinch", By.SUGGESTED)
    assert told(a_try(extra={"strategy": "scoop"}), claims=[hint])["strategy"] == ("scoop", By.LOG)
    assert told(a_try(), claims=[claim("push", factor="strategy"), hint])["strategy"] == ("push", By.PERSON)


def test_a_strategy_has_three_sides_and_a_closed_list_of_words():
    one = a_try(extra={"strategy": "Scoop, two_arms; regrasp"})
    assert {name: value for name, (value, _) in told(one).items()} == {
        "strategy": "scoop",
        "arms": "two arms",
        "regrasp": "regrasp",
    }
    assert told(a_try(extra={"strategy": "fling"}))["strategy"] == ("fling", By.UNREAD)


def test_fields_reach_into_what_is_nested_and_into_the_start():
    one = a_try(start={"object_x": 0.25}, extra={"info": {"kind": {"name": "wet"}}, "prompt": "go"}, task="t")
    assert field_of(one, "info.kind.name") == field_of(one, "extra.info.kind.name") == "wet"
    assert field_of(one, "start.object_x") == field_of(one, "object_x") == 0.25
    assert field_of(one, "instruction") == "t | go"
    assert field_of(one, "info.kind.name.more") is field_of(one, "nothing") is None
    assert told(one, Rule("night", "file", re.compile("night"), value="yes"), file="/logs/night-3.mcap")["night"][0]


def test_numbers_become_regions_that_are_half_open():
    dark = Rule("lighting", "lux", span=(0.0, 50.0), value="dark")
    bright = Rule("lighting", "lux", span=(50.0, float("inf")), value="bright")
    found = [told(a_try(extra={"lux": lux}), dark, bright).get("lighting") for lux in (0, "49.9", 50, -1, "much", None)]
    assert [one and one[0] for one in found] == ["dark", "dark", "bright", None, None, None]


def test_a_start_lies_in_a_region_of_its_range_or_outside():
    grid = Grid({"object_x": (0.0, 3.0), "object_y": (0.0, 0.3)})
    assert grid.value_of(Start(0, {"object_x": 0.0, "object_y": 0.3})) == "x 0.00..1.00, y 0.200..0.300"
    assert grid.value_of(Start(0, {"object_x": -0.1, "object_y": 0.4})) == "x under 0.00, y over 0.300"
    assert grid.value_of(Start(0, {"object_x": 1.0})) is None
    assert len(set(grid.values)) == 9
    assert grid.parts(grid.values[0]) == {"object_x": "0.00..1.00", "object_y": "0.000..0.100"}
    assert grid.parts("x under 0.00, y over 0.300") == {"object_x": "-inf..0.00", "object_y": "0.300..inf"}
    assert Grid({"lift": (0.0, 3.0)}).parts("1.00..2.00") == {"lift": "1.00..2.00"}


@pytest.mark.parametrize("place", [0.0, 0.0999999, 0.1, 0.15, 0.299999, 0.3])
def test_every_start_inside_the_range_lies_in_a_region_that_is_listed(place):
    grid = Grid({"x": (0.0, 0.3)})
    assert grid.value_of(Start(0, {"x": place})) in grid.values


def test_numeric_starts_make_regions_and_few_numbers_are_names():
    starts = [Start(0, {"puck_x": n / 10, "puck_y": n / 5, "lift": float(n), "station": n % 3}) for n in range(9)]
    grids = grids_of(FactorRules(), {"lift": (0.0, 20.0)}, starts)
    assert set(grids) == {"puck region", "lift"}
    assert (grids["lift"].declared, grids["puck region"].declared) == (True, False)
    assert grids["puck region"].ranges == {"puck_x": (0.0, 0.8), "puck_y": (0.0, 1.6)}
    said = told(a_try(start=starts[8].factors), grids=grids)
    assert said["station"] == ("2", By.LOG)
    assert said["lift"][0] == "6.67..13.33"


def test_a_region_of_the_file_stands_in_for_thirds_of_its_factors():
    nan = float("nan")
    rules = FactorRules(grids={"table": Grid({"puck_x": (0.0, 1.0), "puck_y": (nan, nan)}, 2)})
    starts = [Start(0, {"puck_x": n / 10, "puck_y": n / 5}) for n in range(9)]
    assert grids_of(rules, {}, starts) == {"table": Grid({"puck_x": (0.0, 1.0), "puck_y": (0.0, 1.6)}, 2)}
    assert grids_of(rules, {}, []) == {}


def test_conditions_keep_start_numbers_and_leave_out_how_it_was_done():
    one = replace(a_try(start={"puck_x": 0.1, "object": "mug"}, extra={"strategy": "push"}), policy_name="act")
    grids = {"puck region": Grid({"puck_x": (0.0, 1.0)})}
    said = said_of(one, FactorRules(), grids, claims=[claim("dark", factor="lighting")])
    assert conditions_of(one, said, grids) == {"puck_x": 0.1, "object": "mug", "lighting": "dark", "policy": "act"}
