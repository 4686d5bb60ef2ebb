"""How long it takes from a failure to its accepted correction, those that still wait counted in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np

__all__ = ["LeadTime", "lead_time"]

Z = 1.959963984540054


@dataclass(frozen=True)
class LeadTime:
    """From failure to accepted correction.

    Attributes:
        n: failures that corrections were asked for; `open` of them have none yet.
        median_s, p90_s: None while fewer than so many were corrected.
        within: expected share that is corrected within `target_s`, with its 95 % interval; None before any was asked.
    """

    n: int
    open: int
    median_s: float | None
    p90_s: float | None
    target_s: float
    within: tuple[float, float, float] | None


def lead_time(waits: Sequence[tuple[float, bool]], *, target_s: float) -> LeadTime:
    """Estimate the lead time by Kaplan and Meier (1958).

    A failure that still waits has waited at least so long: left out, it would make the worst queue look the fastest.

    Args:
        waits: seconds since the failure was found, and whether it ended in an accepted correction.
        target_s: how long it should take at most.
    """
    times = np.array([wait for wait, _ in waits], dtype=np.float64)
    done = np.array([corrected for _, corrected in waits], dtype=np.bool_)
    left, spread, steps = 1.0, 0.0, list[tuple[float, float]]()
    within = (left, spread)
    for at in np.unique(times[done]):
        risk, ended = int((times >= at).sum()), int((times[done] == at).sum())
        left *= 1.0 - ended / risk
        spread += ended / (risk * (risk - ended)) if risk > ended else np.inf
        steps.append((float(at), left))
        if at <= target_s:
            within = (left, spread)
    return LeadTime(
        n=len(waits),
        open=int((~done).sum()),
        median_s=_quantile(steps, 0.5),
        p90_s=_quantile(steps, 0.9),
        target_s=target_s,
        within=_interval(*within, len(waits)) if waits else None,
    )


def _quantile(steps: Sequence[tuple[float, float]], share: float) -> float | None:
    return next((at for at, left in steps if 1.0 - left >= share - 1e-12), None)


def _interval(left: float, spread: float, n: int) -> tuple[float, float, float]:
    """Return the share that was corrected, with Greenwood's interval on the log-log scale (Kalbfleisch, Prentice 2002).

    Where nothing or all was corrected that scale has no width: then it is the rule of three.
    """
    if left >= 1.0:
        return 0.0, 0.0, min(1.0, 3.0 / n)
    if left <= 0.0 or not np.isfinite(spread):
        return 1.0, max(0.0, 1.0 - 3.0 / n), 1.0
    width = Z * sqrt(spread) / abs(log(left))
    return 1.0 - left, 1.0 - left ** exp(-width), 1.0 - left ** exp(width)
