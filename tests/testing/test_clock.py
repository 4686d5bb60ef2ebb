import pytest

from saqiya.testing import ManualClock


def test_time_stands_still_until_told() -> None:
    clock = ManualClock(5)
    assert clock() == clock() == 5


def test_time_moves_by_what_it_is_told() -> None:
    clock = ManualClock(0)
    clock.advance(s=2, ns=3)
    assert clock() == 2_000_000_003


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        ManualClock().advance(ns=-1)
