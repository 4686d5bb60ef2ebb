from __future__ import annotations

import numpy as np
import pytest

from saqiya.errors import TooLittle, UsageError
from saqiya.models.recipes import LINEAR
from saqiya.triage.namer import UNKNOWN, learn_names

QUICK = LINEAR[:1]


def failures(n: int = 20, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    names = ["slip"] * n + ["collision"] * n
    rows = rng.normal(size=(2 * n, 6))
    rows[n:, 0] += 6.0
    return rows, names


def test_new_failures_get_the_names_that_people_gave_to_such():
    namer = learn_names(*failures(), recipes=QUICK)
    fresh, truth = failures(10, seed=1)
    said = namer.name(fresh)
    named = [one for one in said if not one.why_not]
    assert len(named) >= 14
    assert all(one.label == name for one, name in zip(said, truth, strict=True) if not one.why_not)
    assert all(0.5 <= one.confidence <= 1.0 for one in named)


def test_a_failure_unlike_all_known_ones_is_refused_as_new():
    namer = learn_names(*failures(), recipes=QUICK)
    far = np.full((3, 6), -25.0)
    assert {one.label for one in namer.name(far)} == {UNKNOWN}
    assert {one.why_not for one in namer.name(far)} == {"new"}


def test_known_failures_are_refused_about_as_often_as_the_budget_says():
    rows, names = failures(40)
    namer = learn_names(rows, names, budget=0.2, recipes=QUICK)
    fresh, _ = failures(400, seed=2)
    assert np.mean([one.why_not == "new" for one in namer.name(fresh)]) < 0.3


def test_with_a_handful_of_examples_nothing_can_be_called_new():
    namer = learn_names(*failures(4), recipes=QUICK)
    assert namer.name(np.full(6, 1e6))[0].newness > namer.budget


def test_names_that_cannot_be_told_apart_are_not_given():
    rng = np.random.default_rng(0)
    namer = learn_names(rng.normal(size=(60, 5)), ["a", "b", "c"] * 20, recipes=QUICK)
    said = namer.name(rng.normal(size=(50, 5)))
    assert np.mean([one.label == UNKNOWN for one in said]) > 0.8


def test_a_name_with_one_example_is_told():
    rows, names = failures(6)
    namer = learn_names(np.vstack([rows, np.full((1, 6), 3.0)]), [*names, "dropped"], recipes=QUICK)
    assert namer.thin == ("dropped",)


def test_too_little_and_what_does_not_fit_is_said():
    with pytest.raises(TooLittle, match="only one name, 'slip'"):
        learn_names(np.zeros((3, 2)), ["slip"] * 3)
    with pytest.raises(TooLittle, match="no failure has a name"):
        learn_names(np.zeros((0, 2)), [])
    with pytest.raises(UsageError, match="do not go with"):
        learn_names(np.zeros((3, 2)), ["slip"])
