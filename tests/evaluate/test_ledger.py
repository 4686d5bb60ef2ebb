"""Trying again and again never spends more than the scope's alpha."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.errors import UsageError
from saqiya.evaluate.ledger import Entry, alpha_for, next_round, spent


@given(rounds=st.integers(1, 5000), alpha=st.floats(0.001, 0.5))
def test_all_rounds_together_stay_within_alpha(rounds, alpha):
    assert spent(Entry(r, alpha_for(r, alpha)) for r in range(1, rounds + 1)) <= alpha


def test_ten_rounds_use_most_of_alpha():
    assert spent(Entry(r, alpha_for(r, 0.05)) for r in range(1, 11)) == pytest.approx(0.0471, abs=1e-4)


@given(r=st.integers(1, 1000))
def test_later_rounds_get_less(r):
    assert alpha_for(r + 1, 0.05) < alpha_for(r, 0.05)


def test_the_same_round_counts_once():
    assert spent([Entry(1, 0.03), Entry(1, 0.03), Entry(2, 0.01)]) == pytest.approx(0.04)


def test_a_changed_alpha_is_refused():
    with pytest.raises(UsageError, match="round 1"):
        spent([Entry(1, 0.03), Entry(1, 0.05)])


def test_rounds_go_on_from_the_last():
    assert next_round([]) == 1
    assert next_round([Entry(1, 0.03), Entry(4, 0.001)]) == 5


@pytest.mark.parametrize(("number", "alpha"), [(0, 0.05), (1, 0.0), (1, 1.0)])
def test_rounds_and_alphas_out_of_range_are_refused(number, alpha):
    with pytest.raises(UsageError):
        alpha_for(number, alpha)
