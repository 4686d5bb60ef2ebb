import numpy as np
import pytest

from saqiya.errors import TooLittle
from saqiya.models.recipes import LINEAR, NEAREST, SMALL, choose, soften


def blobs(n: int = 15, *, apart: float = 4.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], n)
    rows = rng.normal(size=(3 * n, 8))
    rows[:, 0] += apart * (labels == 1)
    rows[:, 1] += apart * (labels == 2)
    return rows, labels


@pytest.mark.parametrize("recipe", [*SMALL, *LINEAR[1:3], *NEAREST], ids=lambda one: one.name)
def test_every_recipe_learns_what_is_there_and_gives_probabilities(recipe):
    rows, labels = blobs()
    fresh, truth = blobs(seed=1)
    chosen = choose([recipe], rows, labels, np.arange(len(labels)), seed=0)
    likely = chosen.probabilities(fresh)
    assert likely.sum(axis=1) == pytest.approx(1.0)
    assert (likely.argmax(axis=1) == truth).mean() > 0.75
    assert chosen.unseen.shape == (len(labels), 3)


def test_probabilities_of_noise_are_near_the_base_rate():
    rows, labels = blobs(30, apart=0.0)
    chosen = choose(LINEAR[:1], rows, labels, np.arange(len(labels)), seed=0)
    assert chosen.probabilities(rows).max(axis=1).mean() < 0.6


def test_the_first_recipe_stays_unless_another_is_clearly_better():
    rows, labels = blobs()
    chosen = choose((LINEAR[0], LINEAR[1]), rows, labels, np.arange(len(labels)), seed=0)
    assert chosen.name == LINEAR[0].name
    circle = np.random.default_rng(0).normal(size=(120, 2))
    inside = (np.linalg.norm(circle, axis=1) < 1.1).astype(np.int64)
    assert choose((LINEAR[0], SMALL[1]), circle, inside, np.arange(120), seed=0).name == "kernel machine"


def test_a_class_with_one_row_is_no_reason_to_stop():
    rows, labels = blobs(8)
    rows, labels = rows[:17], labels[:17]
    assert choose(SMALL[1:2], rows, labels, np.arange(17), seed=0).probabilities(rows).shape == (17, 3)


def test_too_few_is_said():
    with pytest.raises(TooLittle, match="too few"):
        choose(LINEAR, np.zeros((4, 2)), np.zeros(4, dtype=np.int64), np.arange(4), seed=0)
    with pytest.raises(TooLittle, match="too few"):
        choose(LINEAR, np.zeros((2, 2)), np.array([0, 1]), np.arange(2), seed=0)


def test_softened_features_have_no_unit_and_what_is_missing_says_nothing():
    rows = np.random.default_rng(0).normal(10.0, 2.0, (50, 3))
    assert soften(rows)(rows) == pytest.approx(soften(rows * 1000.0)(rows * 1000.0))
    gap = rows.copy()
    gap[:5, 1] = np.nan
    gap[:, 2] = np.nan
    soft = soften(gap)(gap)
    assert (soft[:5, 1] == 0.0).all()
    assert (soft[:, 2] == 0.0).all()
