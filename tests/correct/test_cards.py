"""Regions and reset cards."""

from saqiya.correct.cards import card, inside, region

STARTS = [{"x": 0.1, "object": "cup"}, {"x": 0.25, "object": "lid"}, {"x": 0.2, "object": "cup"}]


def test_a_region_is_the_smallest_box_about_the_starts():
    assert region(STARTS) == {"object": "cup or lid", "x": "0.1..0.25"}
    assert region([{"x": 1.0}, {"x": 1.0}]) == {"x": "1"}
    assert region([*STARTS, {"x": 0.1}]) == {"x": "0.1..0.25"}
    assert region([]) == {}


def test_a_start_lies_inside_or_not():
    assert inside({"x": 0.15, "object": "cup"}, STARTS)
    assert not inside({"x": 0.3, "object": "cup"}, STARTS)
    assert not inside({"x": 0.15, "object": "jar"}, STARTS)
    assert not inside({"x": 0.15}, [])


def test_a_card_says_what_to_put_where_and_what_was_seen():
    said = card({"x": 0.1234567, "object": "cup"}, {"arm": [0.1] * 9, "hand": []})
    assert said == "Put object cup, x 0.1235; first seen: arm 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 ..."
    assert card({}, {}) == ""
