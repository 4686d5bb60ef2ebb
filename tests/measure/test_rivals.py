from __future__ import annotations

import numpy as np
import pytest

from saqiya.errors import UsageError
from saqiya.measure.rivals import rank_correlation


def test_a_score_that_counts_steps_is_shown_up():
    found = rank_correlation([1.0, 4.0, 9.0, 16.0, 25.0], [1, 2, 3, 4, 5], seed=0, resamples=100)
    assert found.rho == pytest.approx(1.0)


def test_noise_has_an_interval_around_zero():
    rng = np.random.default_rng(0)
    found = rank_correlation(rng.normal(size=60), rng.normal(size=60), seed=0)
    assert found.low < 0.0 < found.high
    assert found.n == 60


def test_equal_lengths_have_no_rank():
    assert rank_correlation([1.0, 2.0, 3.0, 4.0], [5, 5, 5, 5], seed=0).rho is None


def test_three_episodes_are_too_few_to_say():
    assert rank_correlation([1, 2, 3], [1, 2, 3], seed=0).rho is None


def test_a_length_for_each_score_is_needed():
    with pytest.raises(UsageError, match="lengths"):
        rank_correlation([1.0], [1, 2], seed=0)
