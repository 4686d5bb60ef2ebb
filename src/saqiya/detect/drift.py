"""Does an older calibration still keep its budget? Its false alarms on successes that came later, with interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from saqiya.errors import UsageError

__all__ = ["Drift", "drift"]

LEVEL = 0.95


@dataclass(frozen=True)
class Drift:
    """False alarms of a calibration on later successes.

    Attributes:
        successes_n, alarms_n: how many later successes there are, and how many of them raised an alarm.
        rate: the share, None without a success; `low` and `high` are its exact binomial interval at 95 %.
        budget: what was promised.
        exceeded: even the low end lies above the budget: chance is no excuse.
    """

    successes_n: int
    alarms_n: int
    rate: float | None
    low: float
    high: float
    budget: float
    exceeded: bool


def drift(alarmed: Sequence[bool], *, budget: float) -> Drift:
    """Hold the false alarms of a calibration against its budget (Clopper and Pearson 1934).

    Args:
        alarmed: of each success since the calibration, none of which it saw: whether it raised an alarm before the
            success horizon.
        budget: the share that may.

    Raises:
        UsageError: the budget is not in (0, 1).
    """
    if not 0.0 < budget < 1.0:
        raise UsageError(f"the false-alarm budget {budget} is not in (0, 1)", remedy="Use for example 0.1.")
    n, alarms = len(alarmed), sum(alarmed)
    if not n:
        return Drift(0, 0, None, 0.0, 1.0, budget, exceeded=False)
    from scipy import stats

    found = stats.binomtest(alarms, n).proportion_ci(LEVEL, method="exact")
    low, high = float(found.low), float(found.high)
    return Drift(n, alarms, alarms / n, low, high, budget, exceeded=low > budget)
