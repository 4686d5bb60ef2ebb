from __future__ import annotations

import numpy as np
import pytest

from saqiya.errors import TooLittle
from saqiya.models.recipes import LINEAR, NEAREST
from saqiya.triage.naming import Rival, judge_names, judge_new

QUICK = LINEAR[:1]


def failures(n: int = 12, seed: int = 0, *, apart: float = 5.0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    names = ["front"] * n + ["back"] * n + ["none"] * n
    rows = rng.normal(size=(3 * n, 6))
    rows[:n, 0] += apart
    rows[n : 2 * n, 1] += apart
    return rows, names


def test_what_can_be_told_is_told_and_beats_the_commonest_name():
    rows, names = failures()
    rivals = (Rival("noise", np.random.default_rng(1).normal(size=(len(names), 3)), NEAREST),)
    report = judge_names(rows, names, np.arange(len(names)), seeds=(0, 1), rivals=rivals, recipes=QUICK)
    assert report.own.accuracy.value > 0.9
    assert report.own.accuracy.low < report.own.accuracy.value <= report.own.accuracy.high
    assert {skill.name for skill in report.rivals} == {"noise", "the commonest name"}
    assert report.gain[1] > 0.2
    assert sum(n for _, _, n in report.confusion) == pytest.approx(len(names))
    assert {name for name, _ in report.recall} == set(names)


def test_names_dealt_at_random_are_not_learned():
    rows, names = failures()
    dealt = list(np.random.default_rng(2).permutation(names))
    report = judge_names(rows, dealt, np.arange(len(names)), seeds=(0,), recipes=QUICK)
    assert report.own.accuracy.value < 0.6


def test_copies_do_not_answer_for_each_other():
    """Ten pairs of equal failures with names of chance: parted, a copy would be remembered; together, nothing is."""
    rng = np.random.default_rng(3)
    rows = np.repeat(rng.normal(size=(30, 6)), 2, axis=0)
    names = np.repeat(rng.permutation(["a", "b", "c"] * 10), 2).tolist()
    together, parted = np.repeat(np.arange(30), 2), np.arange(60)
    honest, flattered = (
        judge_names(rows, names, groups, seeds=(0, 1), recipes=NEAREST[:1]).own.accuracy.value
        for groups in (together, parted)
    )
    assert flattered > 0.6 > honest


def test_a_kind_that_was_not_learned_is_mostly_not_named():
    rows, names = failures(20, apart=8.0)
    away = np.array([0, 0, 40, 40, 0, 0])
    rows = np.vstack([rows, np.random.default_rng(4).normal(away, 1.0, (10, 6))])
    found = judge_new(rows, [*names, *["strange"] * 10], np.arange(len(rows)), seeds=(0,), recipes=QUICK)
    strange = next(one for one in found if one.name == "strange")
    assert strange.refused_as_new.value > 0.8
    assert strange.not_named.value >= strange.refused_as_new.value


def test_a_name_with_one_failure_is_judged_as_never_right():
    rows, names = failures()
    report = judge_names(
        np.vstack([rows, rows[:1] + 1.0]), [*names, "once"], np.arange(len(names) + 1), seeds=(0,), recipes=QUICK
    )
    assert report.thin == ("once",)
    assert dict(report.recall)["once"].value == 0.0


def test_too_little_is_said():
    with pytest.raises(TooLittle, match="cannot be judged"):
        judge_names(np.zeros((3, 2)), ["a", "b", "c"], np.arange(3), seeds=(0,))
