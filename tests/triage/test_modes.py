from __future__ import annotations

from saqiya.triage.modes import group
from saqiya.triage.rules import Verdict

SLIP, MISS = Verdict("slip", "grasp_failure", "", {}), Verdict("no_grasp", "grasp_failure", "", {})


def test_the_largest_mode_comes_first():
    verdicts = {"a": SLIP, "b": MISS, "c": MISS}
    modes = group(verdicts, {one: {"length_s": 1.0} for one in verdicts})
    assert [(mode.label, mode.members) for mode in modes] == [("no_grasp", ("b", "c")), ("slip", ("a",))]


def test_the_medoid_is_the_member_in_the_middle():
    evidence = {"a": {"lost_s": 1.0}, "b": {"lost_s": 2.0}, "c": {"lost_s": 9.0}}
    (mode,) = group(dict.fromkeys(evidence, SLIP), evidence)
    assert mode.medoid == "b"


def test_nothing_failed_makes_no_mode():
    assert group({}, {}) == ()
