"""The wheel's books: what was found, what was integrated, and what that says."""

import numpy as np
import pytest

from saqiya.triage.backlog import Balance, troubles, variety


def turn(number: int, found: int, integrated: int, *, episodes: int = 200, **modes: int) -> Balance:
    return Balance(number, episodes, found, integrated, 0, max(0, found - integrated), modes or {"slip": found})


def test_failures_that_outrun_corrections_are_a_stall() -> None:
    said = troubles([turn(0, 60, 0), turn(1, 62, 10), turn(2, 61, 10)])
    assert len(said) == 1
    assert said[0].startswith("The wheel stalls")


def test_a_failure_rate_that_falls_is_no_stall() -> None:
    assert troubles([turn(0, 90, 0), turn(1, 50, 25), turn(2, 26, 25)]) == ()


def test_one_bad_turn_is_no_stall() -> None:
    assert troubles([turn(0, 60, 0), turn(1, 60, 10)]) == ()


def test_a_mode_that_is_fixed_and_broken_again_is_named() -> None:
    said = troubles([turn(0, 40, 40, slip=40), turn(1, 2, 2, slip=2), turn(2, 38, 38, slip=38)])
    assert any("oscillates" in one and "slip" in one for one in said)


def test_chance_is_not_called_an_oscillation() -> None:
    rng = np.random.default_rng(5)
    alarmed = 0
    for _ in range(200):
        rates = [turn(n, k, k, slip=k) for n, k in enumerate(rng.binomial(200, 0.1, size=5).tolist())]
        alarmed += any("oscillates" in one for one in troubles(rates))
    assert alarmed <= 200 * 0.05 + 2 * (200 * 0.05 * 0.95) ** 0.5


def test_variety_is_counted_per_thousand_and_rarefied_to_the_smallest_deployment() -> None:
    rows = variety([turn(0, 30, 0, slip=20, stall=10), turn(1, 30, 0, episodes=1000, slip=20, stall=10)], seed=1)
    assert [row.per_thousand for row in rows] == [10.0, 2.0]
    assert rows[0].rarefied == pytest.approx(2.0)
    assert rows[1].rarefied < 2.0
    assert all(row.low <= row.rarefied <= row.high + 1e-9 for row in rows)


def test_rarefaction_is_what_drawing_would_show() -> None:
    one = turn(0, 12, 0, episodes=100, a=8, b=3, c=1)
    row = variety([one, turn(1, 0, 0, episodes=40, a=0)], seed=1)[0]
    rng = np.random.default_rng(3)
    tries = np.array([0] * 8 + [1] * 3 + [2] + [3] * 88)
    drawn = [len(set(rng.permutation(tries)[:40].tolist()) - {3}) for _ in range(4000)]
    assert row.rarefied == pytest.approx(np.mean(drawn), abs=0.04)


def test_nothing_deployed_is_nothing_said() -> None:
    assert variety([], seed=0) == ()
    assert troubles([]) == ()
