from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from saqiya.detect.smoothing import WINDOW_N, smooth

SCORES = st.lists(st.floats(0, 100), min_size=1, max_size=30)


@given(SCORES)
def test_a_running_mean_stays_within_its_window(values):
    smoothed = smooth(np.array(values))
    for index, value in enumerate(smoothed):
        window = values[max(0, index - WINDOW_N + 1) : index + 1]
        assert min(window) - 1e-9 <= value <= max(window) + 1e-9


@given(SCORES, st.integers(1, 30))
def test_a_prefix_has_the_same_scores(values, n):
    assert smooth(np.array(values))[:n].tolist() == smooth(np.array(values[:n])).tolist()
