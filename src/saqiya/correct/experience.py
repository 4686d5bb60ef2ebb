"""What corrections of a mode may bring, learned from what they brought before; a stated prior where nothing is known.

A mode fails in a share r of all tries. After n corrections it fails in r (1 - a (1 - exp(-n / tau))): `a` is the share
of it that corrections can take away (below 0: they do harm), `tau` after how many about two thirds of that is taken.
`a` and `tau` differ from mode to mode and from turn to turn about a mean that all modes share: a hierarchical model
(Gelman et al. 2013, chapter 5), its posterior by importance weights over draws of the prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import UsageError

__all__ = ["DRAWS_N", "Lesson", "Yield", "expect"]

DRAWS_N = 2000
INNER_N = 48
LOW_SHARE = -0.4
"""Corrections can also make a mode worse."""
MEAN_LOGIT = (0.4, 1.3)
MODE_SD, TURN_SD = 0.8, 0.6
MEAN_LOG_TAU = (float(np.log(12.0)), 0.5)
TAU_SD = 0.4
"""The prior, chosen and not measured: in the middle 45 % of a mode can be taken away, two thirds of that by 12
corrections; 95 % of it lies between a third more of the mode and all but 4 % of it gone."""
LEVEL = 0.95

Draws = NDArray[np.float64]


@dataclass(frozen=True)
class Lesson:
    """What one turn's corrections of one mode did.

    Attributes:
        mode: its label.
        given: accepted corrections that the later policy learned from, more than the earlier one.
        before, after: (failures of this mode, tries) of the deployments on both sides.
    """

    mode: str
    given: int
    before: tuple[int, int]
    after: tuple[int, int]


@dataclass(frozen=True)
class Yield:
    """Draws of what corrections of a mode may bring: its rate, the share that can be taken away, and how soon.

    Attributes:
        rate, share, tau: float64 (DRAWS_N,), one posterior draw a row.
        lessons: how many earlier turns speak of modes at all, and how many of this one.
    """

    rate: Draws
    share: Draws
    tau: Draws
    lessons: tuple[int, int]

    def gain(self, count: int, *, after: int = 0) -> tuple[float, float, float]:
        """Return (mean, low, high) of the points of success that `count` corrections bring after `after` others.

        The interval holds 95 % of the draws. A try that does not fail in this way any more is counted as a success:
        where it then fails in another, that mode's own rate says so in the next turn.
        """
        points = self.rate * self.share * (np.exp(-after / self.tau) - np.exp(-(after + count) / self.tau))
        low, high = np.quantile(points, [0.5 - LEVEL / 2.0, 0.5 + LEVEL / 2.0])
        return float(points.mean()), float(low), float(high)


def expect(mode: str, failures: tuple[int, int], lessons: Sequence[Lesson], *, scale: float = 1.0, seed: int) -> Yield:
    """Return what corrections of `mode` may bring, given everything that was learned so far.

    Args:
        mode: its label; lessons of this label speak of it directly, others through the mean of all modes.
        failures: (failures of this mode, tries) of the deployment that is to be improved.
        lessons: of earlier turns.
        scale: share of these failures that can be taught at all, for example 1.0.
        seed: of the draws.

    Raises:
        UsageError: counts that cannot be.
    """
    for k, n in (failures, *(pair for one in lessons for pair in (one.before, one.after))):
        if not 0 <= k <= n:
            raise UsageError(f"{k} failures of {n} tries cannot be", subject=mode, remedy="Count the tries again.")
    rng = np.random.default_rng(seed)
    mean = rng.normal(*MEAN_LOGIT, DRAWS_N)
    log_tau = rng.normal(*MEAN_LOG_TAU, DRAWS_N)
    own = rng.normal(0.0, MODE_SD, DRAWS_N)
    told = [one for one in lessons if one.given > 0 and one.before[1] and one.after[1]]
    weight = np.zeros(DRAWS_N)
    for label in sorted({one.mode for one in told}):
        theirs = own[:, None] if label == mode else rng.normal(0.0, MODE_SD, (DRAWS_N, INNER_N))
        weight += _evidence([one for one in told if one.mode == label], mean[:, None] + theirs, log_tau, rng)
    weight = np.exp(weight - weight.max())
    kept = rng.choice(DRAWS_N, DRAWS_N, p=weight / weight.sum())
    share = _share(mean[kept] + own[kept] + rng.normal(0.0, TURN_SD, DRAWS_N))
    tau = np.exp(log_tau[kept] + rng.normal(0.0, TAU_SD, DRAWS_N))
    rate = rng.beta(failures[0] + 0.5, failures[1] - failures[0] + 0.5, DRAWS_N) * scale
    return Yield(rate, share, tau, (len(told), sum(one.mode == mode for one in told)))


def _share(logit: Draws) -> Draws:
    return LOW_SHARE + (1.0 - LOW_SHARE) / (1.0 + np.exp(-logit))


def _evidence(lessons: Sequence[Lesson], logit: Draws, log_tau: Draws, rng: np.random.Generator) -> Draws:
    """Return float64 (DRAWS_N,): the log likelihood of one mode's lessons under each draw of what modes share.

    What differs from mode to mode is drawn within, the same for every draw of what modes share. Lessons of one mode
    share it too, so it is averaged over them together.
    """
    total = np.zeros((DRAWS_N, logit.shape[1]))
    for one in lessons:
        share = _share(logit + rng.normal(0.0, TURN_SD, INNER_N))
        tau = np.exp(log_tau)[:, None] * np.exp(rng.normal(0.0, TAU_SD, INNER_N))
        (k0, n0), (k1, n1) = one.before, one.after
        rate = rng.beta(k0 + 0.5, n0 - k0 + 0.5, INNER_N)
        after = np.clip(rate * (1.0 - share * (1.0 - np.exp(-one.given / tau))), 1e-9, 1.0 - 1e-9)
        likely = k1 * np.log(after) + (n1 - k1) * np.log1p(-after)
        total = total + (_log_mean(likely)[:, None] if logit.shape[1] == 1 else likely)
    return _log_mean(total)


def _log_mean(values: Draws) -> Draws:
    top = values.max(axis=1, keepdims=True)
    mean: Draws = np.log(np.exp(values - top).mean(axis=1)) + top[:, 0]
    return mean
