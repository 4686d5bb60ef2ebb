from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.correct.takeover import LAST_STEPS, takeover_step, takeovers_n
from saqiya.errors import UsageError


def test_it_begins_shortly_before_the_moment():
    assert takeover_step(moment_step=50, length=120, rate_hz=20.0, lead_s=0.25) == 45


def test_never_before_the_beginning():
    assert takeover_step(moment_step=2, length=120, rate_hz=20.0, lead_s=1.0) == 0


@given(st.integers(0, 300), st.integers(0, 300), st.floats(1, 200), st.floats(0, 5))
def test_never_in_the_last_steps(moment, length, rate_hz, lead_s):
    step = takeover_step(moment_step=moment, length=length, rate_hz=rate_hz, lead_s=lead_s)
    assert step == 0 or length - step > LAST_STEPS


@pytest.mark.parametrize(("rate_hz", "lead_s"), [(0.0, 1.0), (20.0, -1.0)])
def test_what_cannot_be_is_refused(rate_hz, lead_s):
    with pytest.raises(UsageError, match="cannot be"):
        takeover_step(moment_step=5, length=50, rate_hz=rate_hz, lead_s=lead_s)


@pytest.mark.parametrize(
    ("author", "led", "count"),
    [
        ([0, 0, 1, 1, 0, 1], True, 2),
        ([1, 1, 0, 1], True, 2),  # a takeover before the policy's first step
        ([1, 1, 1], False, 0),  # a person alone takes nothing over
        ([0, 0], True, 0),
        ([], True, 0),
    ],
)
def test_takeovers_are_counted_as_the_log_tells_them(author, led, count):
    assert takeovers_n(author, led=led) == count
