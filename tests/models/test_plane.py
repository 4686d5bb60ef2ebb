"""A plane to look at rows on: alike rows lie together, whatever the order, and nothing wild pushes the rest away."""

import numpy as np
import pytest

from saqiya.models.plane import plane


@pytest.fixture
def groups():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(0.0, 0.1, (40, 6)), rng.normal(1.0, 0.1, (40, 6))])


def test_groups_lie_apart(groups):
    placed = plane(groups)
    within = np.linalg.norm(placed[:40] - placed[:40].mean(axis=0), axis=1).max()
    assert np.linalg.norm(placed[:40].mean(axis=0) - placed[40:].mean(axis=0)) > within


def test_all_lie_within_the_square(groups):
    placed = plane(groups)
    assert placed.min() >= 0.0
    assert placed.max() <= 1.0


def test_equal_rows_give_equal_places(groups):
    assert np.array_equal(plane(groups), plane(groups.copy()))


def test_the_order_of_rows_changes_nothing(groups):
    order = np.random.default_rng(1).permutation(len(groups))
    assert plane(groups)[order] == pytest.approx(plane(groups[order]), abs=1e-9)


def test_a_number_that_a_row_lacks_counts_as_usual(groups):
    lacking = groups.copy()
    lacking[3, 2] = np.nan
    placed = plane(lacking)
    own, other = (placed[part].mean(axis=0) for part in (slice(0, 40), slice(40, 80)))
    assert np.linalg.norm(placed[3] - own) < np.linalg.norm(placed[3] - other)


def test_one_wild_value_leaves_the_others_apart(groups):
    wild = groups.copy()
    wild[0, 0] = 1e9
    placed = plane(wild)
    assert np.linalg.norm(placed[1:40].mean(axis=0) - placed[40:].mean(axis=0)) > 0.3


@pytest.mark.parametrize("rows", [np.zeros((0, 3)), np.zeros((1, 3)), np.ones((5, 3)), np.zeros((4, 0))])
def test_rows_that_do_not_differ_lie_in_the_middle(rows):
    assert np.array_equal(plane(rows), np.full((len(rows), 2), 0.5))


def test_one_number_spreads_rows_along_one_axis():
    placed = plane(np.arange(5.0)[:, None])
    assert sorted(placed[:, 0]) == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])
    assert np.array_equal(placed[:, 1], np.full(5, 0.5))
