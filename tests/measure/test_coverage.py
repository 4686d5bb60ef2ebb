from __future__ import annotations

import pytest

from saqiya.domain.streams import Start
from saqiya.measure.coverage import start_coverage

RANGES = {"x": (0.0, 10.0)}


def at(*places):
    return [Start(0, {"x": float(x)}) for x in places]


def test_a_start_among_the_training_starts_is_covered():
    (inside,) = start_coverage(at(4.5), at(3, 4, 5, 6), RANGES)
    assert inside.covered
    assert inside.distance == pytest.approx(0.05)


def test_a_start_beyond_their_own_spacing_is_not():
    (outside,) = start_coverage(at(9), at(3, 4, 5, 6), RANGES)
    assert not outside.covered
    assert outside.distance > outside.spacing


def test_one_training_start_cannot_call_anything_uncovered():
    (alone,) = start_coverage(at(9), at(1), RANGES)
    assert alone.covered
