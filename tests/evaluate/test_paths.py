"""Path counting agrees with brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from saqiya.evaluate import paths
from saqiya.evaluate.paths import Arms


@pytest.mark.parametrize("arms", list(Arms))
def test_without_stops_no_order_is_lost(arms):
    shares = paths.unstopped(arms, 2, 9)
    for n in range(3, 10):
        shares = paths.advance(arms, shares, n)
    assert shares == pytest.approx(paths.unstopped(arms, 9, 9))


def test_shares_count_the_orders_that_avoid_a_stopped_state():
    shares = paths.unstopped(Arms.PAIRED, 2, 4)
    shares[0, 2] = 0.0
    for n in (3, 4):
        shares = paths.advance(Arms.PAIRED, shares, n)
    orders = set(itertools.permutations("lwww"))
    kept = [order for order in orders if order[:2] != ("w", "w")]
    assert shares[1, 3] == pytest.approx(len(kept) / len(orders))


@pytest.mark.parametrize("arms", list(Arms))
def test_the_null_splits_each_total_completely(arms):
    shares, totals = paths.null_shares(arms, 12)
    sums = np.bincount(totals.ravel(), shares.ravel())
    assert sums[: paths.totals_n(arms, 12) + 1] == pytest.approx(1.0)


@given(p=st.floats(0.001, 0.999))
def test_states_follow_the_binomial(p):
    found = paths.state_probabilities(Arms.INDEPENDENT, 7, (p, 0.3))
    expected = np.outer(stats.binom.pmf(range(8), 7, p), stats.binom.pmf(range(8), 7, 0.3))
    assert found == pytest.approx(expected, abs=1e-12)


@given(losses=st.floats(0.001, 0.499), wins=st.floats(0.001, 0.499))
def test_paired_states_add_up(losses, wins):
    found = paths.state_probabilities(Arms.PAIRED, 9, (losses, wins))
    assert found.sum() == pytest.approx(1.0)
    assert found.sum(axis=1) == pytest.approx(stats.binom.pmf(range(10), 9, losses), abs=1e-12)


@pytest.mark.parametrize("arms", list(Arms))
@pytest.mark.parametrize("n", [1, 7, 40])
def test_z_rises_with_the_candidate_and_falls_with_the_champion(arms, n):
    z = paths.z_scores(arms, n)
    counts = np.arange(n + 1)
    reached = np.full((n + 1, n + 1), arms is Arms.INDEPENDENT) | (counts[:, None] + counts <= n)
    ahead = reached & (counts > counts[:, None])
    assert np.all(np.diff(z, axis=1)[ahead[:, 1:]] > 0)
    assert np.all(np.diff(z, axis=0)[ahead[1:] & reached[:-1]] < 0)


@pytest.mark.parametrize("arms", list(Arms))
def test_swapping_the_arms_turns_z_around(arms):
    z = paths.z_scores(arms, 15)
    assert np.array_equal(z, -z.T)


@given(coefficients=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=30))
def test_the_bernstein_bound_is_above_the_curve_and_close(coefficients):
    values = np.array(coefficients)
    grid = np.linspace(0.0, 1.0, 4001)
    curve = stats.binom.pmf(np.arange(len(values)), len(values) - 1, grid[:, None]) @ values
    bound = paths.bernstein_maximum(values, 1e-6)
    assert curve.max() <= bound <= curve.max() + 1e-4


@given(coefficients=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=10), x=st.floats(0.001, 0.999))
def test_elevating_changes_no_value(coefficients, x):
    def value(c):
        return float(stats.binom.pmf(np.arange(len(c)), len(c) - 1, x) @ c)

    values = np.array(coefficients)
    assert value(paths.elevate(values, 17)) == pytest.approx(value(values), abs=1e-9)


def test_the_forecast_is_the_urn():
    after_two = np.zeros((3, 3))
    after_two[1, 1] = 1.0
    found = paths.foresee(Arms.INDEPENDENT, after_two, 1)
    assert found[0, 0] == pytest.approx(0.25 * 0.25)
    assert found[1, 0] == pytest.approx(0.25 * 0.25)
    paired = paths.foresee(Arms.PAIRED, after_two, 1)
    assert paired[1, 0] == pytest.approx(0.5 / 2.5)
