from __future__ import annotations

import numpy as np

from saqiya.models.scaling import robust_scale


def test_a_constant_channel_cannot_outweigh_the_others():
    rows = np.random.default_rng(0).normal(size=(500, 3))
    rows[:, 2] = 0.4
    scale = robust_scale(rows, [3])
    jitter = scale.apply(rows[:1] + np.array([0.0, 0.0, 0.003]))
    assert np.linalg.norm(jitter - scale.apply(rows[:1])) < 0.003


def test_a_channel_that_moves_a_tenth_of_the_time_has_a_spread():
    rows = np.random.default_rng(0).normal(size=(1000, 2))
    rows[:, 1] = np.arange(1000) % 10 == 0
    assert robust_scale(rows, [1, 1]).spread[1] > 0.2


def test_one_wild_outlier_does_not_change_the_spread():
    rows = np.random.default_rng(0).normal(size=(1000, 1))
    rows[0] = 1e6
    assert 0.9 < robust_scale(rows, [1]).spread[0] < 1.2


def test_a_declared_resolution_is_a_floor():
    rows = np.random.default_rng(0).normal(size=(100, 2))
    assert robust_scale(rows, [2], resolution=np.array([3.0, 0.0])).spread[0] == 3.0


def test_a_stream_that_never_changes_keeps_its_own_unit():
    rows = np.concatenate([np.random.default_rng(0).normal(size=(50, 1)) * 1e-3, np.ones((50, 2))], axis=1)
    scale = robust_scale(rows, [1, 2])
    assert scale.spread[1:].tolist() == [1.0, 1.0]
