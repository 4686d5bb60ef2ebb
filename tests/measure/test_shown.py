"""Which values, and which pairs of values, were shown, met, and never shown."""

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest

from saqiya.measure.shown import Tries, coverage, tabulate
from saqiya.models.conditions import By, Said

COLUMNS = {"shown": False, "met": False, "lost": False, "judged": False, "failed": False}


def the_tries(*rows):
    """Build a table and its tries from (factors, kind) of each: shown, lost, met, good or bad, and how often."""
    told, flags = [], []
    for factors, kind, *times in rows:
        one = {"shown": kind == "shown", "lost": kind == "lost", "met": kind in {"met", "good", "bad"}}
        one |= {"judged": kind in {"good", "bad"}, "failed": kind == "bad"}
        for _ in range(times[0] if times else 1):
            told.append(
                {name: value if isinstance(value, Said) else Said(value, By.LOG) for name, value in factors.items()}
            )
            flags.append(one)
    at_ns = np.arange(1, len(flags) + 1, dtype=np.int64)
    columns = {name: np.array([one[name] for one in flags], dtype=bool) for name in COLUMNS}
    return told, Tries(**columns, at_ns=at_ns)


def covered(*rows, declared=None, **asked):
    told, tries = the_tries(*rows)
    return coverage(tabulate(told, declared or {}), tries, **asked)


def missing(found):
    return [(one.factors, one.shown_n, one.met_n, one.failed_n) for one in found.gaps]


def test_what_deployment_meets_and_nobody_showed_comes_first_by_the_failures_to_expect():
    found = covered(
        ({"light": "day"}, "shown", 9),
        ({"light": "dark"}, "bad", 2),
        ({"light": "dark"}, "good", 1),
        ({"light": "dusk"}, "good", 30),
        ({"light": "fog"}, "met", 4),
        ({"light": "day"}, "good", 50),
        declared={"light": ("storm",)},
    )
    assert missing(found) == [
        ({"light": "fog"}, 0, 4, 0),
        ({"light": "dark"}, 0, 3, 2),
        ({"light": "dusk"}, 0, 30, 0),
        ({"light": "storm"}, 0, 0, 0),
    ]
    assert [one.why for one in found.gaps] == [
        "light fog was never shown; deployment met it 4 times, and nobody judged that",
        "light dark was never shown; deployment met it 3 times and failed 2 times",
        "light dusk was never shown; deployment met it 30 times and never failed",
        "light storm was never shown; deployment has not met it yet",
    ]


def test_values_have_exact_intervals_and_the_day_they_were_last_shown():
    found = covered(
        ({"light": "day"}, "shown", 3),
        ({"light": "day"}, "good", 7),
        ({"light": "day"}, "bad", 2),
        ({"light": "x"}, "met"),
    )
    day, unknown = found.values["light"]
    exact = binomtest(7, 9).proportion_ci(0.95, method="exact")
    assert (day.shown_n, day.met_n, day.judged_n, day.succeeded_n, day.shown_last_ns) == (3, 9, 9, 7, 3)
    assert (day.low, day.high) == pytest.approx((exact.low, exact.high))
    assert (unknown.low, unknown.high, unknown.shown_last_ns) == (0.0, 1.0, None)


def test_a_pair_is_missing_only_where_both_values_were_shown_alone():
    found = covered(
        ({"object": "mug", "light": "day"}, "shown", 6),
        ({"object": "mug", "light": "dim"}, "shown", 6),
        ({"object": "pan", "light": "day"}, "shown", 6),
        ({"object": "pan", "light": "dim"}, "bad", 1),
        ({"object": "jug", "light": "dim"}, "bad", 1),
    )
    assert missing(found) == [({"object": "jug"}, 0, 1, 1), ({"light": "dim", "object": "pan"}, 0, 1, 1)]
    assert found.pairs["light", "object"].shown.tolist() == [[0, 6, 6], [0, 6, 0]]


def test_what_cannot_be_is_not_missed():
    rows = [({"a": a, "b": b}, "shown", 6) for a, b in (("1", "x"), ("1", "y"), ("2", "x"))]
    assert missing(covered(*rows)) == [({"a": "2", "b": "y"}, 0, 0, 0)]
    assert missing(covered(*rows, impossible=[{"b": "Y", "a": "2"}])) == []


def test_what_was_hardly_shown_is_a_gap_where_deployment_meets_it():
    rows = [({"a": "1"}, "shown", 9), ({"a": "2"}, "shown", 4), ({"a": "3"}, "shown", 4), ({"a": "2"}, "good", 1)]
    assert missing(covered(*rows)) == [({"a": "2"}, 4, 1, 0)]
    assert missing(covered(*rows, thin_n=4)) == []


def test_factors_that_always_go_together_make_no_pairs():
    rows = [({"site": s, "operator": o}, "shown", 6) for s, o in (("lab", "ann"), ("plant", "bob"))]
    found = covered(*rows)
    assert (found.together, found.gaps) == ((("operator", "site"),), ())
    broken = covered(*rows, ({"site": "lab", "operator": "bob"}, "met"))
    assert broken.together == ()
    assert {"operator": "bob", "site": "lab"} in [one.factors for one in broken.gaps]


def test_of_two_factors_that_say_the_same_one_makes_pairs():
    kinds = [("lift", "A", "panda"), ("door", "B", "panda"), ("pour", "C", "two pandas")]
    found = covered(*[({"task": t, "environment": e, "robot": r}, "shown", 6) for t, e, r in kinds])
    assert (found.together, found.spare) == ((("environment", "task"),), {"environment"})
    assert {name for one in found.gaps for name in one.factors} == {"robot", "task"}


def test_where_training_is_silent_nobody_claims_that_it_was_never_shown():
    found = covered(({"task": "t"}, "shown", 9), ({"task": "t", "light": "dark"}, "bad", 3))
    assert (found.silent, found.gaps) == (("light",), ())
    some = covered(
        ({"task": "t"}, "shown", 9), ({"task": "t", "light": "day"}, "shown", 6), ({"light": "dark"}, "bad", 3)
    )
    assert some.gaps[0].why.endswith("failed 3 times; 9 of 15 training tries do not say")


def test_hints_and_failed_tries_are_told_and_count_as_shown_nowhere():
    hint = Said("push", By.SUGGESTED)
    found = covered(
        ({"strategy": "pinch"}, "shown", 6), ({"strategy": hint}, "shown", 2), ({"strategy": "scoop"}, "lost", 2)
    )
    told = {one.value: (one.shown_n, one.suggested_n, one.lost_n) for one in found.values["strategy"]}
    assert told == {"pinch": (6, 0, 0), "push": (0, 2, 0), "scoop": (0, 0, 2)}
    assert [one.factors["strategy"] for one in found.gaps] == ["scoop"]
    assert "; 2 times it was tried, and training cannot use that" in found.gaps[0].why


def test_spellings_that_differ_in_capitals_are_one_value():
    table = tabulate([{"o": Said("red Mug", By.LOG)}, {"o": Said("Red mug", By.PERSON)}, {}], {"o": ("RED MUG", "pan")})
    assert table.values == (("RED MUG", "pan"),)
    assert table.codes[:, 0].tolist() == [0, 0, -1]
    assert table.by == ({By.LOG: 1, By.PERSON: 1},)


def test_a_region_is_told_by_its_start_factors_and_all_else_as_it_is():
    kinds = [("near", "day"), ("far", "day"), ("near", "dim")]
    rows = [({"pose": pose, "light": light}, "shown", 9) for pose, light in kinds]
    found = covered(
        *rows,
        ({"pose": "far", "light": "dim"}, "bad"),
        region_of=lambda factor, value: {"x": {"near": "0..1", "far": "1..2"}[value]} if factor == "pose" else {},
    )
    assert found.gaps[0].factors == {"light": "dim", "pose": "far"}
    assert found.gaps[0].region == {"light": "dim", "x": "1..2"}


def test_a_name_for_single_tries_has_no_pairs():
    rows = [({"file": str(n), "light": "day" if n % 2 else "dim"}, "shown") for n in range(80)]
    found = covered(*rows)
    assert (found.crowded, found.pairs) == (("file",), {})


def test_nothing_at_all_is_covered_too():
    found = covered()
    assert (found.values, found.gaps, found.shown_n) == ({}, (), 0)


def test_counts_are_those_of_a_plain_loop():
    draw = np.random.default_rng(3)
    kinds = ("shown", "lost", "met", "good", "bad")
    rows = [
        ({name: str(draw.integers(3)) for name in "abc" if draw.random() < 0.8}, kinds[draw.integers(5)])
        for _ in range(400)
    ]
    found = covered(*rows)
    for (one, other), pair in found.pairs.items():
        for (row, first), (column, second) in itertools.product(*map(enumerate, pair.values)):
            inside = [kind for said, kind in rows if said.get(one) == first and said.get(other) == second]
            counted = [inside.count("shown"), inside.count("met") + inside.count("good") + inside.count("bad")]
            counted += [inside.count("good") + inside.count("bad"), inside.count("bad")]
            grids = (pair.shown, pair.met, pair.judged, pair.failed)
            assert [int(grid[row, column]) for grid in grids] == counted


def test_thirty_factors_make_their_435_pairs():
    draw = np.random.default_rng(0)
    told, _ = the_tries(*[({f"f{n}": str(n % 7) for n in range(30)}, "shown")])
    small = tabulate(told, {f"f{n}": tuple(map(str, range(7))) for n in range(30)})
    codes = draw.integers(0, 7, (5_000, 30))
    table = type(small)(small.factors, small.values, codes, np.full_like(codes, -1), small.by)
    flags = draw.random((5, 5_000)) < 0.5
    found = coverage(table, Tries(*flags, at_ns=np.zeros(5_000, dtype=np.int64)))
    assert len(found.pairs) == 435
    assert all(int(pair.shown.sum()) == found.shown_n for pair in found.pairs.values())
