import numpy as np
import pytest

from saqiya.models.normaliser import fit_normaliser

RNG = np.random.default_rng(0)


def test_values_come_to_no_mean_and_unit_spread() -> None:
    values = RNG.normal([3.0, -1.0], [2.0, 0.5], (5000, 2))
    scaled = fit_normaliser(values, np.ones(5000), widths=[2]).apply(values)
    assert np.abs(scaled.mean(axis=0)).max() < 1e-9
    assert scaled.std(axis=0) == pytest.approx([1.0, 1.0])


def test_undo_takes_back_apply() -> None:
    values = RNG.normal(size=(10, 3))
    fitted = fit_normaliser(values, np.ones(10), widths=[3])
    assert fitted.undo(fitted.apply(values)) == pytest.approx(values)


def test_a_channel_that_stood_still_is_not_blown_up() -> None:
    values = np.column_stack([RNG.normal(0.0, 0.2, 500), np.full(500, 0.3)])
    fitted = fit_normaliser(values, np.ones(500), widths=[2])
    assert fitted.apply(np.array([0.0, 0.301]))[1] < 0.01


def test_a_stream_that_never_changed_keeps_its_unit() -> None:
    fitted = fit_normaliser(np.full((50, 1), 0.3), np.ones(50), widths=[1])
    assert fitted.scale == pytest.approx([1.0])


def test_a_scale_is_never_below_the_resolution() -> None:
    values = RNG.normal(0.0, 1e-5, (50, 1))
    assert fit_normaliser(values, np.ones(50), widths=[1], resolution=1e-3).scale == pytest.approx([1e-3])


def test_weights_count_like_copies() -> None:
    values = RNG.normal(size=(4, 2))
    weighed = fit_normaliser(values, np.array([1.0, 3.0, 0.0, 1.0]), widths=[2])
    copied = fit_normaliser(values[[0, 1, 1, 1, 3]], np.ones(5), widths=[2])
    assert weighed.mean == pytest.approx(copied.mean)
    assert weighed.scale == pytest.approx(copied.scale)
