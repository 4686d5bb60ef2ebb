from __future__ import annotations

import numpy as np
import pytest

from saqiya.models.lifted import fit_lifted, read_lifted

INPUTS = np.random.default_rng(0).normal(size=(400, 3))
TARGET = np.abs(INPUTS) @ np.array([[1.0, 0.0], [0.5, 1.0], [0.0, -1.0]])


def fitted(weight):
    rng = np.random.default_rng(1)
    return fit_lifted(INPUTS, TARGET, weight, features_n=128, penalty=1e-5, rng=rng)


def test_a_bent_relation_is_learned():
    assert np.abs(fitted(np.ones(400)).apply(INPUTS) - TARGET).mean() < 0.05


def test_rows_of_no_weight_change_nothing():
    weight = np.ones(400)
    weight[100:] = 0.0
    rng = np.random.default_rng(1)
    alone = fit_lifted(INPUTS[:100], TARGET[:100], np.ones(100), features_n=128, penalty=1e-5, rng=rng)
    assert np.array_equal(fitted(weight).apply(INPUTS), alone.apply(INPUTS))


def test_one_row_alone_is_answered_as_among_others():
    model = fitted(np.ones(400))
    assert model.apply(INPUTS[7:8])[0] == pytest.approx(model.apply(INPUTS)[7], rel=1e-12)


def test_it_is_the_same_from_its_arrays():
    model = fitted(np.ones(400))
    assert np.array_equal(read_lifted(model.arrays("net"), "net").apply(INPUTS), model.apply(INPUTS))
