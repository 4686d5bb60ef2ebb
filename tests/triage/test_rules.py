from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.errors import UsageError
from saqiya.triage.rules import Facts, label
from saqiya.triage.vocabulary import built_in, parse

PHASES = ("reach", "grasp", "carry", "place")
USUAL = {
    "closed_to": (0.4, 0.6),
    "closed_reach_m": (0.01, 0.04),
    "goal_last_m": (0.0, 0.02),
    "angle_rad": (0.0, 0.1),
    "phase_s/reach": (0.5, 0.8),
    "phase_s/grasp": (1.0, 2.0),
}


def named(phase="", *, phases=PHASES, words=None, said=(), **rest):
    keep = {key: rest.pop(key) for key in ("coverage", "spacing", "usual", "objects") if key in rest}
    evidence = {key.replace("__", "/"): value for key, value in rest.items()}
    return label(Facts(phase, phases, evidence, said=frozenset(said), **keep), words or built_in())


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


def test_what_left_the_hand_without_a_command_has_slipped():
    assert named("carry", let_go=0.02, dropped_s=1.0, holds_n=1.0).label == "slip"
    assert named("carry", let_go=0.02, dropped_s=1.0, holds_n=2.0).label == "failed_retry"
    assert named("carry", let_go=0.9, dropped_s=1.0, holds_n=1.0).label == "translation"


def test_carried_past_the_goal_is_a_pose_error():
    assert named("place").label == "translation"


@pytest.mark.parametrize("name", ["collision", "force_limit"])
def test_what_the_log_names_itself_comes_first(name):
    assert named("carry", lost_n=1.0, **{name: 1.0}).label == name
    assert named("carry", lost_n=1.0, said=["timeout", name]).label == name


def test_a_time_out_in_the_log_names_nothing_by_itself():
    assert named("reach", said=["timeout"], timeout=1.0).label == "no_grasp"


def test_a_workspaces_own_word_is_heard_and_a_retired_one_gives_way():
    text = """
    [words.lid_not_found]
    parent = "grasp_failure"
    meaning = "the lid was never found"
    [retired]
    weak_grasp = "no_grasp"
    """
    words = parse(text, Path("vocabulary.toml"))
    assert named("carry", said=["lid_not_found"], words=words).parent == "grasp_failure"
    assert named("carry", said=["lid_not_found"]).label == "translation"
    assert named("grasp", words=words).label == "no_grasp"


def test_a_gripper_that_closed_where_the_log_saw_the_object_was_deceived():
    closing = {"closed_to": 0.05, "closed_reach_m": 0.03, "held": 0.0, "usual": USUAL}
    verdict = named("reach", **closing)
    assert (verdict.label, verdict.evidence["closed_reach_m"]) == ("perception", 0.03)
    assert "0.03 m away" in verdict.rule
    assert named("reach", **{**closing, "closed_reach_m": 0.2}).label == "no_grasp"
    assert named("reach", **{**closing, "closed_to": 0.9}).label == "no_grasp"
    assert named("reach", **{**closing, "held": 1.0}).label == "no_grasp"
    assert named("reach", **{**closing, "usual": {}}).label == "no_grasp"


def test_without_a_witness_of_holding_the_opening_says_whether_something_was_there():
    closing = {"closed_reach_m": 0.03, "usual": USUAL}
    assert named("reach", closed_to=0.05, **closing).label == "perception"
    assert named("reach", closed_to=0.45, **closing).label == "no_grasp"


def test_the_right_place_at_the_wrong_angle_is_a_rotation():
    turned = {"angle_rad": 0.5, "goal_first_m": 0.3, "goal_last_m": 0.01}
    assert named("place", usual=USUAL, **turned).label == "rotation"
    assert named("place", usual=USUAL, **{**turned, "goal_last_m": 0.2}).label == "translation"
    assert named("place", usual=USUAL, **{**turned, "angle_rad": 0.05}).label == "translation"
    assert named("place", usual=USUAL, angle_rad=0.5).label == "rotation"
    assert named("place", **turned).label == "translation"


def test_taken_away_from_the_goal_is_another_action():
    assert named("carry", goal_first_m=0.3, goal_last_m=0.5).label == "wrong_action"
    assert named("carry", goal_first_m=0.3, goal_last_m=0.3).label == "translation"


def test_another_object_held_is_the_wrong_object():
    verdict = named("carry", objects=("red cup", "blue cup"))
    assert (verdict.label, "blue cup" in verdict.rule) == ("wrong_object", True)
    assert named("carry", objects=("red cup", "red cup")).label == "translation"
    assert named("carry", objects=("red cup", "")).label == "translation"


def test_commands_that_nothing_follows_are_actuation():
    verdict = named(phases=(), over__blocked=1.5)
    assert (verdict.label, "2.5 times" in verdict.rule) == ("actuation", True)
    assert named(phases=(), over__blocked=0.5).label == "unnamed"


def test_an_arm_that_presses_on_something_failed_for_another_reason():
    assert named("carry", over__blocked=1.5).label == "translation"


def test_a_force_or_a_silence_names_what_nothing_else_names():
    assert named(phases=(), over__force=1.2, length_s=9.0, timeout=1.0).label == "collision"
    assert named(phases=(), over__dropout=4.0, length_s=9.0, timeout=1.0).label == "dropout"
    assert named("reach", over__force=1.2, over__dropout=4.0).label == "no_grasp"


def test_what_a_person_ended_early_is_not_blamed_on_a_phase_that_was_not_due():
    verdict = named("reach", person_s=1.5, person_n=1.0, length_s=9.0, stalled_s=0.9, usual=USUAL)
    assert verdict.label == "unnamed"
    assert "by 2 s" in verdict.rule
    assert named("reach", person_s=3.0, length_s=9.0, usual=USUAL).label == "no_grasp"
    assert named("reach", person_s=1.5, length_s=9.0, usual=USUAL, lost_n=1.0).label == "slip"


def test_a_task_without_a_grasp_stalls_or_times_out():
    push = ("reach", "push")
    assert named("reach", phases=push, length_s=10.0, stalled_s=8.0).label == "stall"
    assert named("reach", phases=push, length_s=10.0, stalled_s=2.0, timeout=1.0).label == "timeout"


def test_a_log_without_phases_says_what_it_can_and_no_more():
    assert named(phases=(), length_s=10.0, stalled_s=10.0).label == "unnamed"
    assert named(phases=(), length_s=10.0, stalled_s=10.0, timeout=1.0).label == "timeout"
    assert named(phases=(), length_s=10.0, still_s=6.0, timeout=1.0).label == "stall"
    assert named(phases=(), length_s=10.0, person_s=6.0, timeout=1.0).label == "unnamed"
    assert named(phases=(), goal_first_m=0.1, goal_last_m=0.9, closed_to=0.0, usual=USUAL).label == "unnamed"


def test_a_foreign_phase_is_refused():
    with pytest.raises(UsageError, match="not a phase"):
        named("dance")


KEYS = ["lost_n", "regained_n", "held", "closed_to", "closed_reach_m", "angle_rad", "goal_first_m", "goal_last_m",
        "person_s", "length_s", "stalled_s", "still_s", "over/blocked", "over/force", "timeout", "collision", "weather",
        "peak/x"]  # fmt: skip


@given(
    st.sampled_from(["", *PHASES]),
    st.dictionaries(st.sampled_from(KEYS), st.floats(0, 3)),
    st.sampled_from([{}, USUAL]),
)
def test_every_verdict_is_a_word_with_its_rule_and_numbers(phase, evidence, usual):
    verdict = label(Facts(phase, PHASES, evidence, usual=usual), built_in())
    assert built_in().words[verdict.label].parent == verdict.parent
    assert verdict.rule
    assert all(isinstance(value, float | int) for value in verdict.evidence.values())
