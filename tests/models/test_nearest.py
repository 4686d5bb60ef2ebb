from __future__ import annotations

import numpy as np
import pytest

from saqiya.domain.streams import Stream
from saqiya.models.nearest import neighbours_of


def line(offset, n=20):
    values = np.stack([np.linspace(0.0, 1.0, n), np.full(n, offset)], axis=1)
    return {"observation/state": Stream(np.arange(n, dtype=np.int64), values)}


def test_a_training_row_lies_at_distance_zero():
    known = neighbours_of([line(0.0), line(1.0)], action=False)
    assert known.distances(line(1.0), k=1)[1] == pytest.approx(0.0, abs=1e-12)


def test_more_neighbours_than_rows_are_not_asked_for():
    known = neighbours_of([line(0.0, n=2), line(1.0, n=2)], action=False)
    assert np.isfinite(known.distances(line(0.5), k=50)[1]).all()


def test_spacing_is_between_episodes_not_within_one():
    known = neighbours_of([line(0.0), line(1.0), line(2.0)], action=False)
    between = 1.0 / (known.scale.spread[1] * np.sqrt(2))
    assert known.spacing() == pytest.approx(between)


def test_spacing_agrees_with_a_plain_search():
    rng = np.random.default_rng(3)
    episodes = [{"observation/x": Stream(np.arange(30, dtype=np.int64), rng.normal(size=(30, 3)))} for _ in range(5)]
    known = neighbours_of(episodes, action=False)
    gaps = np.linalg.norm(known.rows[:, None] - known.rows[None], axis=2)
    gaps[known.episode[:, None] == known.episode[None]] = np.inf
    assert known.spacing() == pytest.approx(np.median(gaps.min(axis=1)))


def test_one_episode_has_no_other_to_be_near_to():
    assert neighbours_of([line(0.0)], action=False).spacing() == np.inf


def wander(seed, n=400, wide=6):
    path = np.random.default_rng(seed).normal(size=(n, wide)).cumsum(axis=0)
    return {"observation/x": Stream(np.arange(n, dtype=np.int64), path)}


@pytest.mark.parametrize("k", [1, 5])
def test_the_search_finds_what_a_plain_one_finds(k):
    known, asked = neighbours_of([wander(0), wander(1)], action=False), wander(2)
    rows = known.scale.apply(asked["observation/x"].values)
    gaps = np.sort(np.linalg.norm(known.rows[:, None] - rows[None], axis=2), axis=0)[:k].mean(axis=0)
    assert known.distances(asked, k=k)[1] == pytest.approx(gaps, rel=1e-12)


def test_a_row_gets_the_same_distance_alone_as_among_others():
    known, asked = neighbours_of([wander(0)], action=False), wander(2)["observation/x"].values
    assert [known.of_rows(row[None], k=5)[0] for row in asked[:50]] == known.of_rows(asked, k=5)[:50].tolist()


def test_fewer_rows_keep_what_lies_apart():
    still = {"observation/x": Stream(np.arange(140, dtype=np.int64), np.zeros((140, 2)))}
    moves = wander(3, n=100, wide=2)
    known = neighbours_of([still, moves], action=False, most_n=60)
    assert len(known.rows) == 60
    assert (known.episode == 1).sum() >= 50
    assert known.distances(moves, k=1)[1].max() < 0.1 * np.ptp(known.rows)


def test_a_value_beyond_single_precision_is_far_away():
    known = neighbours_of([wander(0)], action=False)
    assert known.of_rows(np.full((1, 6), 1e60), k=5)[0] > 1e50
