"""The sign e-process may be watched at every pair."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from saqiya.errors import UsageError
from saqiya.evaluate.eprocess import anytime_p, boundary, log_e_value
from saqiya.evaluate.sequential import operating_characteristics, shared_seeds


@given(losses=st.integers(0, 40), wins=st.integers(0, 40))
def test_the_closed_form_is_the_integral(losses, wins):
    expected, _ = integrate.quad(lambda t: 2 * (2 * t) ** wins * (2 - 2 * t) ** losses, 0.5, 1.0)
    assert log_e_value(losses, wins) == pytest.approx(log(expected), abs=1e-6)


@given(losses=st.integers(0, 60), wins=st.integers(0, 60))
def test_a_fair_coin_gains_nothing_on_average(losses, wins):
    now = log_e_value(losses, wins)
    after = 0.5 * exp(log_e_value(losses + 1, wins) - now) + 0.5 * exp(log_e_value(losses, wins + 1) - now)
    assert after == pytest.approx(1.0)


@given(losses=st.integers(0, 60), wins=st.integers(0, 60))
def test_a_win_never_lowers_the_evidence(losses, wins):
    assert log_e_value(losses, wins + 1) > log_e_value(losses, wins) > log_e_value(losses + 1, wins)


def test_nothing_seen_is_evidence_of_nothing():
    assert log_e_value(0, 0) == pytest.approx(0.0)
    assert anytime_p([]) == 1.0


def test_the_p_value_keeps_the_best_moment():
    assert anytime_p([0.0, log(40.0), log(10.0)]) == pytest.approx(1 / 40)


def test_hopeless_counts_do_not_overflow():
    assert log_e_value(20_000, 0) < -1000


def test_negative_counts_are_refused():
    with pytest.raises(UsageError):
        log_e_value(-1, 3)


def test_its_size_stays_below_alpha():
    test = boundary(0.05, 120)
    assert 0.01 < test.size <= 0.05
    worst = max(operating_characteristics(test, (d / 2, d / 2)).superior for d in np.linspace(0.05, 1.0, 7))
    assert worst <= test.size


def test_it_sees_a_clear_gain():
    assert operating_characteristics(boundary(0.05, 120), shared_seeds(0.5, 0.8, 0.5)).superior > 0.99
