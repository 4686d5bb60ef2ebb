"""Whether an older calibration keeps its budget."""

from __future__ import annotations

import pytest

from saqiya.detect.drift import drift
from saqiya.errors import UsageError


def test_a_few_more_alarms_than_promised_may_be_chance_and_many_are_not() -> None:
    chance, drifted = drift([True] * 4 + [False] * 26, budget=0.1), drift([True] * 12 + [False] * 18, budget=0.1)
    assert not chance.exceeded
    assert chance.low < 0.1 < (chance.rate or 0.0) < chance.high
    assert drifted.exceeded
    assert drifted.low > 0.1


def test_without_a_success_nothing_is_known() -> None:
    found = drift([], budget=0.1)
    assert (found.rate, found.low, found.high, found.exceeded) == (None, 0.0, 1.0, False)


def test_a_budget_is_a_share() -> None:
    with pytest.raises(UsageError):
        drift([True], budget=1.0)
