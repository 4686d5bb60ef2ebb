from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.domain.nouns import CorrectionKind
from saqiya.domain.streams import Start
from saqiya.errors import UsageError
from saqiya.triage.conditions import tabulate
from saqiya.triage.priority import (
    Candidate,
    Effort,
    Standing,
    breadth,
    minutes_by_mode,
    plan_requests,
    priority,
)
from saqiya.triage.vocabulary import built_in, parse

RANGES = {"x": (0.0, 1.0)}
PARENTS = {name: word.parent for name, word in built_in().words.items()}
NOWHERE = tabulate([])


def ranked(label="slip", failures_n=5, episodes_n=50, *, minutes=1.0, deployed=NOWHERE, words=None, **known):
    standing = Standing((words or built_in()).word(label), failures_n, episodes_n, **known)
    return priority(standing, human_minutes=minutes, deployed=deployed)


def mode(label, value, *places):
    failures = {f"{label}-{index}": Start(index, {"x": x}) for index, x in enumerate(places)}
    return Candidate(f"mode-{label}", label, PARENTS[label], value, failures)


def plan(*modes, covered=(0.5,), budget=25, restorable=True):
    starts = [Start(0, {"x": x}) for x in covered]
    return plan_requests(modes, covered=starts, ranges=RANGES, budget=budget, restorable=restorable)


def tries(kept_n, tried_n, steps=100):
    return [Effort(steps, 0, accepted=index < kept_n) for index in range(tried_n)]


def test_the_priority_is_the_product_of_the_factors_shown():
    found = ranked(efforts=tries(3, 4), regression=(1, 4), taught=(2, 6), minutes=2.0)
    factors = dict(found.factors)
    product = 1.0 / factors.pop("human_minutes")
    for value in factors.values():
        product *= value
    assert found.value == pytest.approx(product)
    assert set(found.because) == set(found.factors)
    assert "3 of 4 corrections accepted; 2 of 6" in found.because["learnability"]


def test_a_frequent_costly_or_open_mode_comes_first():
    assert ranked(failures_n=9).value > ranked(failures_n=5).value
    assert ranked("collision").value > ranked("slip").value
    assert ranked().value > ranked(regression=(9, 10)).value
    assert ranked().value > ranked(minutes=2.0).value
    assert ranked(efforts=tries(9, 10)).value > ranked(efforts=tries(1, 10)).value


def test_a_workspaces_own_weight_counts():
    words = parse("[severity]\nslip = 10", Path("vocabulary.toml"))
    assert ranked("slip", words=words).value == pytest.approx(10 * ranked("slip").value)


def test_corrections_that_are_accepted_but_teach_nothing_count_as_hard_to_learn():
    assert ranked(efforts=tries(9, 10), taught=(0, 10)).value < ranked(efforts=tries(9, 10), taught=(8, 10)).value


def test_a_mode_that_was_tried_and_failed_is_as_open_as_one_that_nobody_tried():
    assert ranked(regression=(0, 5)).factors["still_failing"] == ranked().factors["still_failing"] == 1.0
    shares = [ranked(regression=(passed, 5)).factors["still_failing"] for passed in range(6)]
    assert shares == sorted(shares, reverse=True)


def test_a_mode_seen_in_few_episodes_is_not_written_off():
    assert ranked(failures_n=1, episodes_n=10).factors["frequency"] > 0.1


@pytest.mark.parametrize(
    "known", [{"failures_n": 3, "episodes_n": 2}, {"taught": (3, 2)}, {"regression": (-1, 2)}, {"minutes": 0.0}]
)
def test_counts_that_cannot_be_are_refused(known):
    with pytest.raises(UsageError, match=r"slip: .* cannot be"):
        ranked(**known)


def test_minutes_are_measured_and_drawn_to_the_mean_of_all():
    minutes = minutes_by_mode(
        {"slip": tries(9, 30, steps=1200), "no_grasp": tries(9, 30, steps=2400), "stall": tries(1, 1, steps=12000),
         "rotation": ()},
        rate_hz=20.0, switch_steps=20,
    )  # fmt: skip
    mean = (30 * 1.0 + 30 * 2.0 + 10.0) / 61
    assert minutes["slip"] == pytest.approx((30 * 1.0 + 5 * mean) / 35)
    assert minutes["slip"] < mean < minutes["no_grasp"]
    assert minutes["rotation"] == pytest.approx(mean)
    assert minutes["stall"] < 4.0, "one slow correction says little"


def test_a_takeover_costs_a_switch_of_attention():
    one, other = ([Effort(100, takeovers, accepted=True)] for takeovers in (0, 3))
    minutes = [minutes_by_mode({"slip": given}, rate_hz=20.0, switch_steps=20)["slip"] for given in (one, other)]
    assert minutes == pytest.approx([100 / 1200, 160 / 1200])


def test_while_nothing_was_timed_no_mode_gains():
    assert minutes_by_mode({"slip": (), "stall": ()}, rate_hz=20.0, switch_steps=20) == {"slip": 1.0, "stall": 1.0}
    with pytest.raises(UsageError, match="rate"):
        minutes_by_mode({}, rate_hz=0.0, switch_steps=20)


def deployed_tries(n=200):
    rng = np.random.default_rng(5)
    tries = [{"object": str(rng.choice(list("abcde"))), "x": float(rng.uniform())} for _ in range(n)]
    return tries, tabulate(tries)


def test_a_new_mode_that_touches_many_conditions_comes_before_a_rare_edge_case():
    tries, table = deployed_tries()
    edge = [row for row, one in enumerate(tries) if one["object"] == "b" and one["x"] < 0.25][:4]
    spread = [next(row for row, one in enumerate(tries) if one["object"] == word) for word in "acde"]
    assert len(edge) == len(spread) == 4
    new, rare = (ranked(failures_n=4, episodes_n=200, failed=rows, deployed=table) for rows in (spread, edge))
    assert new.value > rare.value
    assert rare.factors["breadth"] == 1.0
    assert "touches 2 conditions" in rare.because["breadth"]
    known_for_long = ranked(failures_n=4, episodes_n=200, failed=edge, deployed=table, regression=(5, 5))
    assert new.value > 2 * known_for_long.value


def test_breadth_never_outweighs_twice_the_frequency():
    tries, table = deployed_tries()
    narrow = [row for row, one in enumerate(tries) if one["object"] == "b" and one["x"] < 0.25]
    assert breadth(range(len(tries)), table)[0] < 2.0
    rare = ranked(failures_n=10, episodes_n=200, failed=range(10), deployed=table)
    often = ranked(failures_n=24, episodes_n=200, failed=narrow, deployed=table)
    assert often.factors["frequency"] >= 2 * rare.factors["frequency"]
    assert often.value > rare.value


def test_a_mode_is_not_broad_because_it_is_frequent():
    _, table = deployed_tries(400)
    rng = np.random.default_rng(6)
    few, many = (
        np.mean([breadth(rng.choice(400, n, replace=False), table)[1:] for _ in range(200)], axis=0) for n in (4, 60)
    )
    assert few[0] == pytest.approx(few[1], rel=0.03)
    assert many[0] == pytest.approx(many[1], rel=0.03)


def test_where_conditions_are_not_known_breadth_says_nothing():
    assert breadth([], NOWHERE) == (1.0, 0, 0.0)
    assert breadth([0], tabulate([{}, {"light": "dark"}, {"light": "dim"}]))[0] == 1.0


def test_starts_are_the_farthest_from_what_is_covered():
    (request,) = plan(mode("unseen_start", 1.0, 0.4, 0.9, 0.05), budget=2)
    assert [start.factors["x"] for start in request.starts] == [0.05, 0.9]
    assert request.failures == ("unseen_start-2", "unseen_start-1")


def test_a_takeover_needs_a_site_that_restores():
    kinds = {r.target: r.correction_kind for r in plan(mode("slip", 1.0, 0.1), mode("unseen_start", 1.0, 0.9))}
    assert kinds == {"slip": CorrectionKind.TAKEOVER, "unseen_start": CorrectionKind.DEMONSTRATION}
    (real,) = plan(mode("slip", 1.0, 0.1), restorable=False)
    assert real.correction_kind is CorrectionKind.DEMONSTRATION
    assert "cannot restore" in real.reason


def test_a_second_mode_gets_its_turn():
    many = [index / 40 for index in range(40)]
    counts = {r.target: r.count for r in plan(mode("slip", 1.0, *many), mode("no_grasp", 0.5, *many))}
    assert counts["slip"] > counts["no_grasp"] > 0
    assert sum(counts.values()) == 25


def test_a_start_that_one_mode_asked_for_counts_as_covered_for_the_next():
    first, second = plan(mode("slip", 2.0, 0.0), mode("no_grasp", 1.0, 0.01, 0.9), budget=2)
    assert first.starts[0].factors["x"] == 0.0
    assert second.starts[0].factors["x"] == 0.9


def test_the_same_place_is_asked_for_once():
    (request,) = plan(mode("slip", 1.0, 0.2, 0.2, 0.2))
    assert request.count == 1


def test_a_failure_from_an_unknown_start_cannot_be_asked_for():
    unknown = Candidate("mode-slip", "slip", "grasp_failure", 1.0, {"a": None})
    assert plan(unknown) == ()


@given(st.lists(st.lists(st.floats(0, 1), max_size=6, unique=True), max_size=4), st.integers(0, 12))
def test_the_budget_is_kept_and_used(places, budget):
    modes = [
        mode(label, 1.0, *xs) for label, xs in zip(("slip", "no_grasp", "stall", "rotation"), places, strict=False)
    ]
    requests = plan(*modes, budget=budget)
    assert sum(request.count for request in requests) == min(budget, sum(len(xs) for xs in places))
    assert all(request.count == len(request.starts) == len(request.failures) for request in requests)
