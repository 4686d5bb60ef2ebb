from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from saqiya.models import trees
from saqiya.models.trees import Trees, grow


def rows(seed, n):
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(n, 8))
    made[rng.random(made.shape) < 0.1] = np.nan
    return made


ROWS = rows(0, 300)
LABELS = np.nan_to_num(ROWS[:, 0] * ROWS[:, 1]) + np.nan_to_num(ROWS[:, 2], nan=2.0) > 0.3


@pytest.fixture(scope="module")
def grown():
    return grow(ROWS, LABELS)


def test_probabilities_are_those_of_the_library_that_grew_them(grown):
    learner = HistGradientBoostingClassifier(
        max_iter=trees.ROUNDS_N, learning_rate=trees.RATE, max_features=trees.COLUMNS_SHARE,
        max_leaf_nodes=trees.LEAVES_N, min_samples_leaf=trees.LEAF_ROWS_N, l2_regularization=trees.RIDGE,
        early_stopping=False, random_state=0,
    ).fit(ROWS, LABELS)  # fmt: skip
    fresh = rows(1, 5000)
    found = 1.0 / (1.0 + np.exp(-grown.log_odds(fresh)))
    assert np.abs(found - learner.predict_proba(fresh)[:, 1]).max() < 1e-9


def test_one_row_gives_what_it_gives_among_many(grown):
    fresh = rows(2, 20)
    assert np.array_equal([grown.log_odds(row[None])[0] for row in fresh], grown.log_odds(fresh))


def test_no_row_gives_no_number(grown):
    assert grown.log_odds(np.zeros((0, 8))).shape == (0,)


def test_shares_add_up(grown):
    row = rows(3, 1)[0]
    total = grown.start[0] + grown.value[grown.root].sum() + grown.shares(row).sum()
    assert total == pytest.approx(grown.log_odds(row[None])[0])


def test_arrays_make_the_same_trees_again(grown):
    fresh = rows(4, 50)
    assert np.array_equal(Trees.of_arrays(grown.arrays()).log_odds(fresh), grown.log_odds(fresh))


def test_growing_twice_gives_the_same_trees(grown):
    again = grow(ROWS, LABELS)
    assert all(np.array_equal(array, again.arrays()[name]) for name, array in grown.arrays().items())
