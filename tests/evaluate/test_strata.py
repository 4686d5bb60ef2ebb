"""Guards find what got worse, and nothing else too often."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from saqiya.errors import UsageError
from saqiya.evaluate.strata import Stratum, Worked, fewest_starts, holm, keeps, p_worse, regressions


def paired(losses, wins, both=4, neither=2, name="slip"):
    n = losses + wins + both + neither
    return Stratum(name=name, champion=(losses + both, n), candidate=(wins + both, n), discordant=(losses, wins))


def test_holm_gives_the_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


@given(p=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_lowers_nothing(p):
    adjusted = holm(p)
    assert all(after >= before for before, after in zip(p, adjusted, strict=True))
    by_p = [adjusted[index] for index in np.argsort(p, kind="stable")]
    assert all(first <= second for first, second in pairwise(by_p))


def test_no_strata_raise_no_alarm():
    assert regressions([], alpha=0.05, margin=0.1) == ()


def test_a_paired_stratum_uses_mcnemar():
    name, p = p_worse(paired(6, 1))
    assert name == "exact McNemar"
    assert p == pytest.approx(stats.binomtest(6, 7, 0.5, alternative="greater").pvalue)


def test_independent_arms_use_boschloo():
    name, p = p_worse(Stratum(name="slip", champion=(18, 20), candidate=(9, 20)))
    assert name == "Boschloo"
    assert 0.0005 < p < 0.01
    assert p_worse(Stratum(name="slip", champion=(9, 20), candidate=(18, 20)))[1] > 0.99


@pytest.mark.parametrize("rate", [0, 20])
def test_equal_extremes_are_not_worse(rate):
    assert p_worse(Stratum(name="slip", champion=(rate, 20), candidate=(rate, 20)))[1] == 1.0


def test_where_the_champion_failed_all_none_can_be_worse():
    name, p = p_worse(Stratum(name="slip", champion=(0, 0), candidate=(0, 9)))
    assert name.startswith("none")
    assert p == 1.0


def test_an_untried_candidate_is_not_called_worse():
    assert p_worse(Stratum(name="slip", champion=(3, 4), candidate=(0, 0)))[1] == 1.0


def test_one_bad_stratum_is_found_among_good_ones():
    found = regressions([paired(0, 5, name="slip"), paired(12, 0, name="miss"), paired(1, 1)], alpha=0.05, margin=0.1)
    assert [result.worse for result in found] == [False, True, False]
    assert found[1].risk > 0.9


def test_holm_asks_more_when_there_are_more_strata():
    one = regressions([paired(5, 0)], alpha=0.05, margin=0.1)
    three = regressions([paired(5, 0), paired(1, 1), paired(1, 1)], alpha=0.05, margin=0.1)
    assert one[0].worse
    assert not three[0].worse


def test_counts_that_do_not_fit_the_pairs_are_refused():
    with pytest.raises(UsageError, match="slip"):
        p_worse(Stratum(name="slip", champion=(5, 9), candidate=(6, 9), discordant=(2, 1)))


def test_keeping_is_shown_by_an_exact_binomial_test():
    assert keeps(Worked(54, 60, 100), margin=0.2, alpha=0.05).shown
    assert not keeps(Worked(53, 60, 100), margin=0.2, alpha=0.05).shown


@given(tried=st.integers(1, 150), margin=st.floats(0.05, 0.4))
def test_a_candidate_at_the_margin_is_passed_rarely(tried, margin):
    pmf = stats.binom.pmf(np.arange(tried + 1), tried, 1.0 - margin)
    passed = sum(pmf[k] for k in range(tried + 1) if keeps(Worked(k, tried, tried), margin=margin, alpha=0.05).shown)
    assert passed <= 0.05 + 1e-9


@given(kept=st.integers(0, 80), margin=st.floats(0.05, 0.4))
def test_shown_means_that_the_lower_bound_is_inside_the_margin(kept, margin):
    found = keeps(Worked(kept, 80, 80), margin=margin, alpha=0.05)
    assert found.shown == (found.lower >= 1.0 - margin)


def test_nothing_known_to_work_is_nothing_to_keep():
    assert keeps(Worked(0, 0, 0), margin=0.1, alpha=0.05).shown
    assert not keeps(Worked(0, 0, 5), margin=0.1, alpha=0.05).shown


@pytest.mark.parametrize(("margin", "fewest"), [(0.05, 59), (0.1, 29), (0.2, 14)])
def test_fewest_starts_is_where_a_perfect_candidate_just_passes(margin, fewest):
    assert fewest_starts(margin, 0.05) == fewest
    assert keeps(Worked(fewest, fewest, fewest), margin=margin, alpha=0.05).shown
    assert not keeps(Worked(fewest - 1, fewest - 1, fewest), margin=margin, alpha=0.05).shown


def test_more_tried_than_known_is_refused():
    with pytest.raises(UsageError):
        keeps(Worked(5, 6, 5), margin=0.1, alpha=0.05)
