"""Two policies in a table are told apart, or the report says what it would take."""

import pytest
from scipy import stats

from saqiya.errors import UsageError
from saqiya.evaluate.power import Standing, compare, fixed_test, trials_to_tell
from saqiya.evaluate.sequential import operating_characteristics

NAMES = ("v12", "v14")


def test_a_clear_gain_is_better():
    found = compare((5, 20), (18, 20), names=NAMES)
    assert found.standing is Standing.BETTER
    assert "v14 (18 of 20) against v12 (5 of 20): better" in found.sentence


def test_a_clear_loss_is_worse():
    assert compare((18, 20), (5, 20)).standing is Standing.WORSE


def test_an_open_question_says_how_many_trials_would_tell():
    found = compare((10, 20), (14, 20), names=NAMES)
    assert found.standing is Standing.UNDECIDED
    assert f"about {-(-found.more_n // 5) * 5} more trials an arm would tell" in found.sentence


def test_equal_rates_are_never_told_apart():
    found = compare((10, 20), (10, 20), names=NAMES)
    assert found.more_n is None
    assert "no number of trials tells equal rates apart" in found.sentence
    assert 0.8 < found.visible < 1.0


def test_two_perfect_policies_are_compared_downwards():
    assert "tell 100% only from 74% or less" in compare((20, 20), (20, 20)).sentence


def test_a_tiny_difference_takes_too_many():
    found = compare((300, 500), (301, 500))
    assert found.more_n is None
    assert "more than 1000" in found.sentence


def test_a_guess_from_few_trials_says_so():
    assert "a guess from fewer than 10 trials" in compare((1, 3), (3, 4)).sentence


def test_an_empty_arm_is_undecided():
    assert compare((0, 0), (3, 4), names=NAMES).sentence == "v12 has no trials: undecided."


def test_very_many_trials_name_the_quicker_test():
    assert compare((500, 1000), (560, 1000)).test == "Fisher"


def test_the_number_to_tell_has_the_power():
    n = trials_to_tell(0.5, 0.7)
    assert operating_characteristics(fixed_test(n, 0.025), (0.5, 0.7)).superior >= 0.8
    assert operating_characteristics(fixed_test(int(0.9 * n), 0.025), (0.5, 0.7)).superior < 0.8


def test_the_number_to_tell_knows_no_order():
    assert trials_to_tell(0.5, 0.8) == trials_to_tell(0.8, 0.5)


@pytest.mark.parametrize(("rates", "n"), [((0.5, 0.9), 20), ((0.5, 0.7), 80), ((0.8, 0.9), 155)])
def test_one_sided_numbers_are_those_of_the_tables(rates, n):
    assert trials_to_tell(*rates, alpha=0.1) == pytest.approx(n, rel=0.16)


def test_the_fixed_test_is_no_weaker_than_fishers():
    test = fixed_test(25, 0.025)
    for a in range(26):
        for b in range(a, 26):
            if stats.fisher_exact([[b, a], [25 - b, 25 - a]], alternative="greater").pvalue <= 0.02:
                assert test.superior(25, a, b)


def test_impossible_counts_are_refused():
    with pytest.raises(UsageError):
        compare((5, 4), (1, 2))
