"""How a budget of minutes is shared."""

import numpy as np
import pytest

from saqiya.correct.experience import expect
from saqiya.correct.plan import BLOCK_N, FEWEST_N, MOST_N, Option, Origin, kinds, persists, share
from saqiya.domain.words import CorrectionKind
from saqiya.errors import UsageError

LEAST = 0.002
TAKEOVER, DEMONSTRATION = CorrectionKind.TAKEOVER, CorrectionKind.DEMONSTRATION


def option(target, failures, *, available=100, minutes=1.0, tries=200):
    origins = (Origin(TAKEOVER, available, minutes),) if available else ()
    return Option(target, origins, expect(target, (failures, tries), [], seed=0))


def given(shares):
    return {one.option.target: sum(one.counts) for one in shares}


def test_a_large_budget_gives_every_mode_what_its_curve_can_use_and_no_more():
    shares, skipped = share([option("often", 60), option("seldom", 6)], minutes=1000, least=LEAST)
    assert skipped == []
    assert all(FEWEST_N <= count <= MOST_N for count in given(shares).values())
    assert [one.option.target for one in shares] == ["often", "seldom"]


def test_a_small_budget_goes_to_the_mode_that_costs_most_success():
    shares, skipped = share([option("seldom", 6), option("often", 60)], minutes=20, least=LEAST)
    assert given(shares) == {"often": 20}
    assert "too expensive" in skipped[0].reason


def test_the_same_mode_at_ten_times_the_price_comes_last():
    shares, _ = share([option("dear", 30, minutes=10.0), option("cheap", 30)], minutes=60, least=LEAST)
    assert given(shares)["cheap"] == MOST_N
    assert "dear" not in given(shares) or given(shares)["dear"] < BLOCK_N


def test_a_budget_is_never_overspent_and_minutes_are_those_of_the_counts():
    rng = np.random.default_rng(0)
    for _ in range(20):
        options = [
            option(str(n), int(rng.integers(1, 50)), available=int(rng.integers(1, 60)), minutes=rng.uniform(0.2, 5))
            for n in range(4)
        ]
        shares, skipped = share(options, minutes=(budget := float(rng.uniform(5, 200))), least=LEAST)
        assert sum(one.minutes for one in shares) <= budget + 1e-9
        assert len(shares) + len(skipped) == 4
        for one in shares:
            assert one.minutes == pytest.approx(sum(one.counts) * one.option.origins[0].minutes)
            assert one.gain.demonstrations == sum(one.counts) <= one.option.origins[0].available


def test_no_other_equal_share_brings_more_points():
    options = [option(str(k), k) for k in (50, 30, 10)]
    shares, _ = share(options, minutes=80, least=LEAST)
    counts = given(shares)
    total = sum(o.expected.gain(counts.get(o.target, 0))[0] for o in options)
    for a in range(0, 81, 5):
        for b in range(0, 81 - a, 5):
            rival = zip(options, (min(a, MOST_N), min(b, MOST_N), min(80 - a - b, MOST_N)), strict=True)
            assert sum(o.expected.gain(n)[0] if n else 0.0 for o, n in rival) <= total + 0.004


def test_what_has_no_start_or_cannot_bring_enough_is_skipped_with_the_reason():
    _, skipped = share([option("nowhere", 20, available=0), option("rare", 0, tries=20000)], minutes=100, least=LEAST)
    assert {one.target: one.reason.split(":")[0] for one in skipped} == {
        "nowhere": "no start known",
        "rare": "saturated",
    }


def test_corrections_are_dealt_along_the_origins():
    two = Option("m", (Origin(TAKEOVER, 7, 0.5), Origin(DEMONSTRATION, 40, 2.0)), expect("m", (60, 200), [], seed=0))
    shares, _ = share([two], minutes=200, least=LEAST)
    assert shares[0].counts[0] == 7
    assert shares[0].counts[1] == sum(shares[0].counts) - 7
    assert shares[0].minutes == pytest.approx(3.5 + 2.0 * shares[0].counts[1])


def test_no_minutes_are_refused():
    with pytest.raises(UsageError, match="cannot be shared"):
        share([option("a", 5)], minutes=0.0, least=LEAST)


@pytest.mark.parametrize(
    ("accepted", "after", "starts", "so"),
    [
        (30, (40, 200), (2, 20), True),
        (10, (40, 200), (2, 20), False),
        (30, (10, 200), (2, 20), False),
        (30, (40, 200), (15, 20), False),
        (30, (40, 200), (0, 0), False),
    ],
)
def test_a_mode_persists_when_it_is_as_frequent_and_its_starts_still_fail(accepted, after, starts, so):
    assert persists(accepted=accepted, before=(40, 200), after=after, starts=starts) is so


def test_the_kind_follows_the_failure_and_the_site():
    assert kinds("grasp_failure", restorable=True, persistent=False)[0] is TAKEOVER
    assert kinds("grasp_failure", restorable=False, persistent=False) == (DEMONSTRATION,)
    assert kinds("generalization_failure", restorable=True, persistent=False) == (DEMONSTRATION,)
    assert kinds("grasp_failure", restorable=True, persistent=True) == (CorrectionKind.STRATEGY,)
