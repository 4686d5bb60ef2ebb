"""How pages write what stages said: ranges, minus signs, reasons, ids."""

import pytest

from saqiya.server.speech import FILTERS


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("goal region x -0.2450..-0.1750, y 0.1667..0.2233", "goal region x −0.245 to −0.175, y 0.167 to 0.223"),
        ("0.2..4", "0.2 to 4"),
        ("gain -20% to +34%", "gain −20% to +34%"),
        ("released-within-40mm", "released-within-40mm"),
        ("wait...2 more", "wait...2 more"),
        ("version 1.2.3", "version 1.2.3"),
    ],
)
def test_ranges_and_signs_are_written_for_people(written, read):
    assert FILTERS["minus"](written) == read


def test_a_condition_is_written_as_words():
    assert FILTERS["words"]("goal_x=-0.2450..-0.1750,goal_y=0.1..0.2") == "goal x −0.245 to −0.175, goal y 0.1 to 0.2"


def test_a_reason_comes_apart_into_sentences():
    assert FILTERS["clauses"]("3 of 16 tries fail so; 5 more would bring -1.0 points; ask again!") == [
        "3 of 16 tries fail so.",
        "5 more would bring −1.0 points.",
        "Ask again!",
    ]
    assert FILTERS["clauses"]("") == []


def test_an_id_is_written_as_its_kind_and_its_end():
    assert FILTERS["named"]("gate_decision-local-01a1ff5d176e74b282564741076a7936") == "gate decision …076a7936"
    assert FILTERS["named"]("turn-1/policy") == "turn-1/policy"


def test_long_digests_and_ids_in_a_key_are_short():
    assert FILTERS["part"]("2b25b2a8f96066baa5426095862e79921fe2f222fca71d1fd76498e31703322f") == "2b25b2a8…"
    assert FILTERS["part"]("lease-local-01a1ff5d33847beca3c7a5582fb1af9d") == "lease …2fb1af9d"
    assert FILTERS["part"]("0015") == "0015"


def test_a_measured_number_is_named_with_its_unit():
    names = ("alarms_n", "goal_first_m", "over/blocked", "held", "grip_slow")
    assert [FILTERS["measured"](one) for one in names] == [
        "alarms", "goal first, m", "over: blocked", "held", "grip slow",
    ]  # fmt: skip
