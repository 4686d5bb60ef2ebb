from __future__ import annotations

import pytest

from saqiya.errors import UsageError
from saqiya.triage.rules import Facts, label
from saqiya.triage.vocabulary import WORDS

PHASES = ("reach", "grasp", "carry", "place")


def named(phase="", *, phases=PHASES, coverage=None, spacing=None, **evidence):
    return label(Facts(phase, phases, evidence, coverage, spacing))


def test_failing_early_from_an_unseen_start_is_a_generalization_failure():
    verdict = named("reach", coverage=0.5, spacing=0.1)
    assert (verdict.label, verdict.parent) == ("unseen_start", "generalization_failure")
    assert verdict.evidence["coverage"] == 0.5
    assert "0.1 apart" in verdict.rule


def test_an_unseen_start_does_not_explain_what_went_wrong_later():
    assert named("carry", coverage=0.5, spacing=0.1).parent == "pose_error"


def test_the_object_never_held_is_no_grasp():
    assert named("reach", coverage=0.05, spacing=0.1).label == "no_grasp"


def test_held_but_never_carried_is_a_weak_grasp():
    assert named("grasp").label == "weak_grasp"


def test_held_and_lost_is_a_slip():
    assert named("carry", lost_n=1.0).label == "slip"


def test_lost_taken_again_and_failed_is_a_recovery_failure():
    verdict = named("carry", lost_n=2.0, regained_n=1.0)
    assert (verdict.label, verdict.parent) == ("failed_retry", "recovery_failure")


def test_carried_past_the_goal_is_a_pose_error():
    assert named("place").label == "translation"


@pytest.mark.parametrize("name", ["collision", "force_limit"])
def test_what_the_log_names_itself_comes_first(name):
    assert named("carry", lost_n=1.0, **{name: 1.0}).label == name


def test_a_task_without_a_grasp_stalls_or_times_out():
    push = ("reach", "push")
    assert named("reach", phases=push, length_s=10.0, stalled_s=8.0).label == "stall"
    assert named("reach", phases=push, length_s=10.0, stalled_s=2.0, timeout=1.0).label == "timeout"


def test_a_log_without_phases_waits_for_a_person():
    assert named(phases=(), length_s=10.0, stalled_s=10.0).label == "unnamed"


def test_a_foreign_phase_is_refused():
    with pytest.raises(UsageError, match="not a phase"):
        named("dance")


@pytest.mark.parametrize("phase", ["", *PHASES])
@pytest.mark.parametrize("lost_n", [0.0, 1.0, 2.0])
def test_every_verdict_is_a_word_of_the_vocabulary(phase, lost_n):
    verdict = named(phase, lost_n=lost_n, regained_n=max(0.0, lost_n - 1.0))
    assert WORDS[verdict.label].parent == verdict.parent
