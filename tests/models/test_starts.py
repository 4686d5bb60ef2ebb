from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.domain.streams import Start
from saqiya.errors import UsageError
from saqiya.models.starts import encode, farthest_first, nearest_distance, spacing

PLACES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12)


def test_numbers_are_shares_of_their_range():
    starts = [Start(0, {"x": 1.0}), Start(0, {"x": 3.0})]
    assert encode(starts, {"x": (1.0, 5.0)}).tolist() == [[0.0], [0.5]]


def test_different_words_lie_one_apart():
    places = encode([Start(0, {"object": word}) for word in ("cup", "can", "cup")], {})
    assert np.linalg.norm(places[0] - places[1]) == pytest.approx(1.0)
    assert np.linalg.norm(places[0] - places[2]) == 0.0


def test_starts_with_other_factors_are_refused():
    with pytest.raises(UsageError, match="different factors"):
        encode([Start(0, {"x": 1.0}), Start(0, {"y": 1.0})], {})


def test_starts_without_factors_are_refused():
    with pytest.raises(UsageError, match="none"):
        encode([Start(3)], {})


def test_the_farthest_from_what_is_covered_comes_first():
    candidates = np.array([[0.1], [0.9], [0.5]])
    assert farthest_first(candidates, np.array([[0.0]]), 2) == (1, 2)


def test_with_nothing_covered_the_middle_comes_first():
    assert farthest_first(np.array([[0.0], [0.45], [1.0]]), np.zeros((0, 1)), 2) == (1, 2)


@given(PLACES, PLACES, st.integers(0, 15))
def test_choices_are_distinct_and_as_many_as_there_are(candidates, covered, n):
    chosen = farthest_first(np.array(candidates), np.array(covered), n)
    assert len(chosen) == len(set(chosen)) == min(n, len(candidates))


@given(PLACES, PLACES)
def test_each_choice_lies_no_farther_out_than_the_one_before(candidates, covered):
    places, known = np.array(candidates), np.array(covered)
    distances = []
    for index in farthest_first(places, known, len(places)):
        distances.append(nearest_distance(places[[index]], known)[0])
        known = np.concatenate([known, places[[index]]])
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(distances))


def test_a_single_covered_start_has_no_spacing():
    assert spacing(np.zeros((1, 2))) == np.inf
