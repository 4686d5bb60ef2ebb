from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.domain.nouns import CorrectionKind
from saqiya.domain.streams import Start
from saqiya.errors import UsageError
from saqiya.triage.priority import Candidate, plan_requests, priority

RANGES = {"x": (0.0, 1.0)}


def ranked(label="slip", failures_n=5, **kwargs):
    return priority(
        label, failures_n=failures_n, episodes_n=50, human_minutes=kwargs.pop("human_minutes", 1.0), **kwargs
    )


def mode(label, value, *places):
    failures = {f"{label}-{index}": Start(index, {"x": x}) for index, x in enumerate(places)}
    return Candidate(f"mode-{label}", label, value, failures)


def plan(*modes, covered=(0.5,), budget=25, restorable=True):
    starts = [Start(0, {"x": x}) for x in covered]
    return plan_requests(modes, covered=starts, ranges=RANGES, budget=budget, restorable=restorable)


def test_the_priority_is_the_product_of_the_factors_shown():
    found = ranked(corrected=(3, 4), regression=(1, 4), human_minutes=2.0)
    factors = dict(found.factors)
    product = 1.0 / factors.pop("human_minutes")
    for value in factors.values():
        product *= value
    assert found.value == pytest.approx(product)


def test_a_frequent_costly_or_open_mode_comes_first():
    assert ranked(failures_n=9).value > ranked(failures_n=5).value
    assert ranked("collision").value > ranked("slip").value
    assert ranked().value > ranked(regression=(9, 10)).value
    assert ranked().value > ranked(human_minutes=2.0).value
    assert ranked(corrected=(9, 10)).value > ranked(corrected=(1, 10)).value


def test_a_mode_seen_in_few_episodes_is_not_written_off():
    rare = priority("slip", failures_n=1, episodes_n=10, human_minutes=1.0)
    assert rare.factors["frequency"] > 0.1


def test_more_failures_than_episodes_cannot_be():
    with pytest.raises(UsageError, match="cannot be"):
        priority("slip", failures_n=3, episodes_n=2, human_minutes=1.0)


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
    unknown = Candidate("mode-slip", "slip", 1.0, {"a": None})
    assert plan(unknown) == ()


@given(st.lists(st.lists(st.floats(0, 1), max_size=6, unique=True), max_size=4), st.integers(0, 12))
def test_the_budget_is_kept_and_used(places, budget):
    modes = [
        mode(label, 1.0, *xs) for label, xs in zip(("slip", "no_grasp", "stall", "rotation"), places, strict=False)
    ]
    requests = plan(*modes, budget=budget)
    assert sum(request.count for request in requests) == min(budget, sum(len(xs) for xs in places))
    assert all(request.count == len(request.starts) == len(request.failures) for request in requests)
