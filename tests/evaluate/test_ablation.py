"""The statistics of an ablation: paired differences, luck in choosing, and the split-half ceiling."""

import numpy as np
import pytest

from saqiya.errors import UsageError
from saqiya.evaluate.ablation import ceiling, sign_flip, verdict, visible

FLAT = [(0.50, 0.52), (0.49, 0.50), (0.51, 0.49), (0.50, 0.51), (0.52, 0.50), (0.48, 0.50)]


def test_a_large_gain_over_all_rivals_is_a_yes():
    judged = verdict([0.80, 0.78, 0.81, 0.79, 0.80, 0.82], FLAT, {"longest": [0.6, 0.61, 0.59, 0.6, 0.6, 0.62]})
    assert judged.gained
    random, longest = judged.differences
    assert random.rival == "random"
    assert random.low < random.value < random.high
    assert longest.value == pytest.approx(0.1967, abs=1e-3)


def test_one_rival_that_does_as_well_makes_it_a_no():
    chosen = [0.80, 0.78, 0.81, 0.79, 0.80, 0.82]
    judged = verdict(chosen, FLAT, {"longest": [0.81, 0.77, 0.80, 0.80, 0.79, 0.83]})
    assert not judged.gained
    assert [one.better for one in judged.differences] == [True, False]


def test_luck_in_choosing_widens_the_interval_against_random_choice():
    chosen = [0.60, 0.61, 0.59, 0.60, 0.60, 0.61]
    lucky = [(0.3, 0.31), (0.7, 0.69), (0.5, 0.5), (0.4, 0.41), (0.6, 0.61), (0.45, 0.44)]
    wide, narrow = verdict(chosen, lucky, {}).differences[0], verdict(chosen, FLAT, {}).differences[0]
    assert narrow.better
    assert not wide.better
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_the_sign_flip_is_exact_and_two_sided():
    assert sign_flip([1.0, 2.0, 3.0, 4.0]) == 2 / 16
    assert sign_flip([1.0, -1.0]) == 1.0
    many = sign_flip(np.linspace(0.1, 1.0, 20))
    assert 0.0 < many < 0.001


def test_values_that_agree_with_themselves_leave_a_high_ceiling():
    truth = np.linspace(0.0, 1.0, 60)
    noise = np.random.default_rng(0).normal(size=(60, 2))
    sure = ceiling(list(zip(truth, truth + 0.01 * noise[:, 0], strict=True)))
    lost = ceiling(list(map(tuple, noise)))
    assert sure.ceiling > 0.99
    assert sure.choices == 60
    assert lost.ceiling < 0.7
    assert lost.low == 0.0


def test_no_noiseless_score_correlates_better_than_the_ceiling_says():
    rng = np.random.default_rng(1)
    reached, said = [], []
    for _ in range(100):
        truth = rng.normal(size=40)
        halves = truth[:, None] + rng.normal(size=(40, 2))
        reached.append(np.corrcoef(truth, halves.mean(axis=1))[0, 1])
        said.append(ceiling(list(map(tuple, halves)), resamples=2).ceiling)
    assert np.mean(reached) == pytest.approx(np.mean(said), abs=0.03)


def test_equal_values_have_no_ceiling_but_zero():
    assert ceiling([(0.5, 0.5)] * 5).ceiling == 0.0


def test_more_seeds_see_smaller_differences():
    assert visible(4, 0.05) > visible(8, 0.05) > visible(16, 0.05) > 0.0
    assert visible(8, 0.1) == pytest.approx(2 * visible(8, 0.05))


@pytest.mark.parametrize(
    ("chosen", "draws", "rivals"),
    [
        ([0.5] * 3, [(0.5, 0.5)] * 3, {}),
        ([0.5] * 4, [(0.5, 0.5)] * 5, {}),
        ([0.5] * 4, [(0.5, 0.5)] * 4, {"longest": [1.0]}),
    ],
)
def test_too_few_seeds_or_uneven_arms_are_refused(chosen, draws, rivals):
    with pytest.raises(UsageError, match="cannot be judged"):
        verdict(chosen, draws, rivals)


def test_fewer_than_three_choices_have_no_ceiling():
    with pytest.raises(UsageError, match="no ceiling"):
        ceiling([(0.1, 0.2)] * 2)
