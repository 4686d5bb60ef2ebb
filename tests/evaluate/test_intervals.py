"""Intervals cover what they promise and behave at the edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from saqiya.errors import UsageError
from saqiya.evaluate.intervals import (
    Interval,
    clopper_pearson,
    lower_bound,
    newcombe,
    posterior_worse,
    tango,
    upper_bound,
    wilson,
)


@given(n=st.integers(1, 120), rate=st.floats(0.01, 0.99), level=st.sampled_from([0.8, 0.9, 0.95]))
def test_clopper_pearson_covers_every_truth(n, rate, level):
    pmf = stats.binom.pmf(np.arange(n + 1), n, rate)
    covered = sum(pmf[k] for k in range(n + 1) if rate in clopper_pearson(k, n, level))
    assert covered >= level - 1e-9


@given(n=st.integers(1, 120), rate=st.floats(0.01, 0.99))
def test_one_sided_bounds_miss_at_most_their_share(n, rate):
    pmf = stats.binom.pmf(np.arange(n + 1), n, rate)
    assert sum(pmf[k] for k in range(n + 1) if lower_bound(k, n) > rate) <= 0.05 + 1e-9
    assert sum(pmf[k] for k in range(n + 1) if upper_bound(k, n) < rate) <= 0.05 + 1e-9


def test_clopper_pearson_agrees_with_scipy():
    expected = stats.binomtest(7, 20).proportion_ci(0.95, method="exact")
    found = clopper_pearson(7, 20)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_fifty_nine_clean_runs_show_less_than_five_percent_failures():
    assert lower_bound(59, 59) > 0.95
    assert lower_bound(58, 58) < 0.95


def test_wilson_agrees_with_scipy():
    expected = stats.binomtest(7, 20).proportion_ci(0.95, method="wilson")
    found = wilson(7, 20)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_no_trials_say_nothing():
    assert clopper_pearson(0, 0) == Interval(0.0, 1.0)
    assert wilson(0, 0) == Interval(0.0, 1.0)
    assert newcombe((0, 0), (3, 4)) == Interval(-1.0, 1.0)
    assert tango(0, 0, 0) == Interval(-1.0, 1.0)


def test_newcombe_gives_the_published_example():
    # Newcombe 1998, table II, method 10: 56/70 less 48/80 is .0524 to .3339.
    found = newcombe((48, 80), (56, 70))
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_tango_ends_where_the_score_test_does():
    losses, wins, pairs = 3, 11, 44
    for gain in (found := tango(losses, wins, pairs)).low, found.high:

        def log_likelihood(loss_rate, gain=gain):
            win_rate = loss_rate + gain
            rest = pairs - losses - wins
            return -(losses * np.log(loss_rate) + wins * np.log(win_rate) + rest * np.log(1 - loss_rate - win_rate))

        low, high = max(0.0, -gain), (1 - gain) / 2
        fitted = optimize.minimize_scalar(log_likelihood, bounds=(low + 1e-9, high - 1e-9), method="bounded").x
        spread = np.sqrt(pairs * (2 * fitted + gain - gain**2))
        assert abs(wins - losses - pairs * gain) / spread == pytest.approx(1.96, abs=1e-3)


def test_tango_has_width_without_discordant_pairs():
    found = tango(0, 0, 50)
    assert found.low == pytest.approx(-found.high)
    assert 0.05 < found.high < 0.09


@given(losses=st.integers(0, 20), wins=st.integers(0, 20), rest=st.integers(0, 40))
def test_swapping_the_arms_mirrors_the_paired_interval(losses, wins, rest):
    pairs = losses + wins + rest
    one, other = tango(losses, wins, pairs), tango(wins, losses, pairs)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-7)


@given(a=st.integers(0, 30), b=st.integers(0, 30))
def test_swapping_the_arms_mirrors_the_independent_interval(a, b):
    one, other = newcombe((a, 30), (b, 30)), newcombe((b, 30), (a, 30))
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_difference_intervals_cover_near_their_level():
    rng = np.random.default_rng(11)
    old, new = rng.binomial(60, 0.7, 2000), rng.binomial(60, 0.8, 2000)
    independent = np.mean([0.1 in newcombe((a, 60), (b, 60)) for a, b in zip(old, new, strict=True)])
    kinds = rng.multinomial(60, [0.1, 0.2, 0.7], 2000)
    paired = np.mean([0.1 in tango(losses, wins, 60) for losses, wins, _ in kinds])
    assert independent > 0.93
    assert paired > 0.93


def test_posterior_of_equal_arms_is_even():
    assert posterior_worse((8, 10), (8, 10)) == pytest.approx(0.5, abs=1e-3)


def test_posterior_agrees_with_sampling():
    rng = np.random.default_rng(5)
    old, new = rng.beta(17.5, 3.5, 400_000), rng.beta(12.5, 8.5, 400_000)
    expected = np.mean(new < old - 0.1)
    assert posterior_worse((17, 20), (12, 20), margin=0.1) == pytest.approx(expected, abs=3e-3)


@pytest.mark.parametrize("counts", [(3, 2), (-1, 2), (0, -1)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(UsageError, match="cannot be"):
        clopper_pearson(*counts)


def test_an_impossible_level_is_refused():
    with pytest.raises(UsageError, match="level"):
        clopper_pearson(1, 2, 1.0)
