"""Only what belongs together enters the test."""

import pytest

from saqiya.domain.nouns import Outcome
from saqiya.errors import UsageError
from saqiya.evaluate.paths import Arms
from saqiya.evaluate.trials import Arm, Results, Try, autonomous_success, gather


def pair(number, old, new, void=""):
    return [Try(Arm.CHAMPION, number, old), Try(Arm.CANDIDATE, number, new, void)]


@pytest.mark.parametrize("outcome", [Outcome.FAILURE, Outcome.ABORTED])
def test_failures_and_aborts_are_no_success(outcome):
    assert not autonomous_success(outcome, takeover=False)


def test_a_takeover_is_never_an_autonomous_success():
    assert autonomous_success(Outcome.SUCCESS, takeover=False)
    assert not autonomous_success(Outcome.SUCCESS, takeover=True)


def test_an_unknown_outcome_is_not_guessed():
    with pytest.raises(UsageError, match="unknown"):
        autonomous_success(Outcome.UNKNOWN, takeover=False)


def test_pairs_come_in_their_drawn_order():
    found = gather(Arms.PAIRED, pair(2, True, False) + pair(1, False, True))
    assert found == Results((False, True), (True, False))


def test_a_void_takes_its_whole_pair_out():
    found = gather(Arms.PAIRED, pair(1, True, True) + pair(2, True, False, void="camera was off"))
    assert found == Results((True,), (True,), voids=1)


def test_unpaired_trials_never_enter_a_paired_test():
    lone = [Try(Arm.CANDIDATE, 7, True), Try(Arm.CANDIDATE, None, True)]
    assert gather(Arms.PAIRED, pair(1, True, True) + lone) == Results((True,), (True,), unpaired=2)


def test_an_arm_twice_in_a_pair_is_refused():
    with pytest.raises(UsageError, match="pair 1"):
        gather(Arms.PAIRED, [*pair(1, True, True), Try(Arm.CANDIDATE, 1, False)])


def test_independent_arms_line_up_to_the_shorter():
    tries = [Try(Arm.CHAMPION, None, True), Try(Arm.CANDIDATE, None, False), Try(Arm.CANDIDATE, None, True)]
    assert gather(Arms.INDEPENDENT, tries) == Results((True,), (False,), unpaired=1)


def test_independent_voids_are_counted_one_by_one():
    tries = [*pair(1, True, True), Try(Arm.CHAMPION, 2, False, void="power cut")]
    assert gather(Arms.INDEPENDENT, tries) == Results((True,), (True,), voids=1)
