"""The sequential tests keep their error, and their exact figures are those of brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.errors import UsageError
from saqiya.evaluate.sequential import (
    Arms,
    design,
    operating_characteristics,
    power_curve,
    predictive_power,
    shared_seeds,
    smallest_visible,
)

both_arms = pytest.mark.parametrize("arms", list(Arms))


def brute_force(test, chances):
    """Walk through every sequence of pair results; `chances` by (champion, candidate) success."""
    power = pairs = 0.0
    for sequence in itertools.product(chances, repeat=test.n_max):
        chance = np.prod([chances[pair] for pair in sequence])
        state, n = [0, 0], 0
        for old, new in sequence:
            n += 1
            if test.arms is Arms.INDEPENDENT or old != new:
                state[0], state[1] = state[0] + old, state[1] + new
            if test.superior(n, *state):
                power += chance
                break
        pairs += chance * n
    return power, pairs


@both_arms
def test_power_and_mean_pairs_are_those_of_brute_force(arms):
    test = design(arms, alpha=0.2, n_max=6, look_every=2)
    chances = {(True, True): 0.4 * 0.8, (True, False): 0.4 * 0.2, (False, True): 0.6 * 0.8, (False, False): 0.6 * 0.2}
    truth = (0.4, 0.8) if arms is Arms.INDEPENDENT else shared_seeds(0.4, 0.8, 0.0)
    found = operating_characteristics(test, truth)
    assert (found.superior, found.mean_pairs) == pytest.approx(brute_force(test, chances))
    assert found.superior > 0.1


@both_arms
@pytest.mark.parametrize("alpha", [0.05, 0.0304, 0.0012])
def test_no_nuisance_rate_breaks_the_error(arms, alpha):
    test = design(arms, alpha=alpha, n_max=60, look_every=5)
    rates = np.sin(np.linspace(0.0, np.pi / 2, 401)) ** 2
    nulls = [(p, p) if arms is Arms.INDEPENDENT else (p / 2, p / 2) for p in rates]
    worst = max(found.superior for found in power_curve(test, nulls))
    assert worst <= test.size <= alpha
    assert test.size - worst < 1e-4


@both_arms
@settings(max_examples=30)
@given(first=st.floats(0.0, 0.5), second=st.floats(0.0, 0.5))
def test_a_worse_candidate_is_promoted_no_more_often_than_an_equal_one(arms, first, second):
    test = design(arms, alpha=0.05, n_max=40)
    worse, better = min(first, second), max(first, second)
    assert operating_characteristics(test, (better, worse)).superior <= test.size


@both_arms
def test_the_boundary_rises_with_the_champions_count(arms):
    test = design(arms, alpha=0.05, n_max=100)
    for row, n in zip(test.critical, test.looks, strict=True):
        assert np.all(np.diff(row[: n + 1]) >= 0)


@both_arms
def test_the_candidate_must_be_ahead_to_win(arms):
    test = design(arms, alpha=0.05, n_max=100)
    assert np.all(test.critical > np.arange(101))


@both_arms
def test_swapping_the_arms_swaps_the_answers(arms):
    test = design(arms, alpha=0.05, n_max=50)
    for a, b in itertools.product(range(26), repeat=2):
        assert test.superior(50, a, b) == test.inferior(50, b, a)


def test_swapping_success_and_failure_changes_nothing():
    test = design(Arms.INDEPENDENT, alpha=0.05, n_max=50)
    for a, b in itertools.product(range(51), repeat=2):
        assert test.superior(50, a, b) == test.superior(50, 50 - b, 50 - a)


@both_arms
def test_nothing_is_decided_between_looks(arms):
    test = design(arms, alpha=0.05, n_max=50, look_every=10)
    assert test.superior(20, 0, 20)
    assert not test.superior(19, 0, 19)
    assert not test.hopeless(19, 19, 0)


def test_the_last_look_is_at_the_end_even_off_the_step():
    assert design(Arms.PAIRED, alpha=0.05, n_max=23, look_every=10).looks == (10, 20, 23)


@both_arms
def test_one_look_is_a_fixed_test(arms):
    test = design(arms, alpha=0.05, n_max=30, look_every=30)
    assert operating_characteristics(test, (0.1, 0.6)).mean_pairs == 30
    assert 0.03 < test.size <= 0.05


def test_figures_of_the_independent_test_meet_the_bars():
    test = design(Arms.INDEPENDENT, alpha=0.05, n_max=200)
    found = power_curve(test, [(0.5, 0.7), (0.7, 0.85), (0.8, 0.95)])
    assert all(one.superior >= bar for one, bar in zip(found, (0.98, 0.95, 0.99), strict=True))
    assert all(one.mean_pairs <= bar for one, bar in zip(found, (78, 93, 67), strict=True))


@pytest.mark.parametrize("rates", [(0.5, 0.7), (0.7, 0.85), (0.8, 0.95)])
def test_sharing_seeds_helps_the_paired_test(rates):
    paired, independent = (design(arms, alpha=0.05, n_max=200) for arms in (Arms.PAIRED, Arms.INDEPENDENT))
    apart = operating_characteristics(independent, rates)
    shared = operating_characteristics(paired, shared_seeds(*rates, 0.5))
    assert shared.superior > apart.superior
    assert shared.mean_pairs < apart.mean_pairs


@both_arms
def test_futility_costs_little_power_and_saves_trials(arms):
    test = design(arms, alpha=0.05, n_max=200)
    truths = [(0.7, 0.85), (0.7, 0.7)]
    if arms is Arms.PAIRED:
        truths = [shared_seeds(*truth, 0.25) for truth in truths]
    free, stopped = power_curve(test, truths), power_curve(test, truths, stop_when_futile=True)
    assert free[0].superior - stopped[0].superior < 0.01
    assert stopped[1].mean_pairs < 0.6 * free[1].mean_pairs
    assert stopped[1].superior <= free[1].superior


def test_the_ends_add_up_to_one():
    test = design(Arms.PAIRED, alpha=0.03, n_max=60)
    found = power_curve(test, [(0.2, 0.25)], worse=design(Arms.PAIRED, alpha=0.05, n_max=60), stop_when_futile=True)[0]
    assert found.superior + found.inferior + found.futile + found.exhausted == pytest.approx(1.0)
    assert min(found.superior, found.inferior, found.futile) > 0.0


def test_predictive_power_grows_with_the_lead():
    test = design(Arms.INDEPENDENT, alpha=0.05, n_max=60)
    chances = [predictive_power(test, 30, 15, wins) for wins in range(10, 20)]
    assert chances == sorted(chances)
    assert 0.0 < chances[0] < 0.05
    assert chances[-1] > 0.2


@given(champion=st.floats(0.0, 1.0), candidate=st.floats(0.0, 1.0), share=st.floats(0.0, 1.0))
def test_shared_seeds_keep_the_rates(champion, candidate, share):
    losses, wins = shared_seeds(champion, candidate, share)
    assert wins - losses == pytest.approx(candidate - champion)
    assert min(losses, wins) >= -1e-12
    assert losses + wins <= 1.0 + 1e-12


@both_arms
def test_the_smallest_visible_rate_has_the_power(arms):
    test = design(arms, alpha=0.05, n_max=100)
    found = smallest_visible(test, 0.6)
    truths = [(0.6, rate) for rate in (found, found - 0.01)]
    if arms is Arms.PAIRED:
        truths = [shared_seeds(*truth, 0.0) for truth in truths]
    reached, missed = power_curve(test, truths)
    assert reached.superior >= 0.8 > missed.superior


def test_five_trials_from_a_good_champion_see_nothing():
    assert smallest_visible(design(Arms.INDEPENDENT, alpha=0.05, n_max=5), 0.9) is None


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0.0}, {"alpha": 0.6}, {"n_max": 0}, {"look_every": 0}, {"look_every": 99}, {"spending": 0.0}]
)
def test_designs_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError):
        design(Arms.PAIRED, **{"alpha": 0.05, "n_max": 20, "look_every": 5, **wrong})


def test_rates_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="cannot be"):
        operating_characteristics(design(Arms.PAIRED, alpha=0.05, n_max=20), (0.6, 0.6))


def test_two_boundaries_must_look_together():
    test, other = (design(Arms.PAIRED, alpha=0.05, n_max=20, look_every=step) for step in (5, 10))
    with pytest.raises(UsageError, match="look"):
        power_curve(test, [(0.1, 0.2)], worse=other)


def test_a_state_outside_the_design_has_no_forecast():
    with pytest.raises(UsageError):
        predictive_power(design(Arms.PAIRED, alpha=0.05, n_max=20), 21, 0, 0)
