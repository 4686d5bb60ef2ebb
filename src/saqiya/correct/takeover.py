"""Where an operator takes over: shortly before the failure, while there is still something to save; and how often."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from saqiya.domain.asking import LAST_STEPS
from saqiya.errors import UsageError

__all__ = ["LAST_STEPS", "takeover_step", "takeovers_n"]


def takeover_step(*, moment_step: int, length: int, rate_hz: float, lead_s: float) -> int:
    """Return the control step at which the operator takes over: `lead_s` before the failure's moment.

    The step lies in `[0, length - LAST_STEPS)`, and is 0 when the try is not longer than that. Taking over late
    collects only states after the failure; measured on a toy task, that was worse than plain demonstrations.

    Args:
        moment_step: the step of the failure's moment, its first alarm or last progress.
        length: control steps of the failed try.
        rate_hz: control rate.
        lead_s: how long before the moment, in seconds.

    Raises:
        UsageError: a rate that is not positive or a negative lead.
    """
    if rate_hz <= 0.0 or lead_s < 0.0:
        raise UsageError(f"rate_hz={rate_hz} and lead_s={lead_s} cannot be", remedy="Use a positive rate and lead.")
    step = moment_step - round(lead_s * rate_hz)
    return max(0, min(step, length - LAST_STEPS - 1))


def takeovers_n(author: ArrayLike, *, led: bool) -> int:
    """Return how often a person began to act in a policy's place, as the log tells it: what was wound back counts not.

    Args:
        author: (t,), per step: above 0 a person, else the policy.
        led: a policy had control before the first step, so a person who acts in that one took over too.
    """
    acted = np.asarray(author).reshape(-1) > 0
    return int(np.count_nonzero(acted[1:] & ~acted[:-1])) + bool(led and acted.size and acted[0])
