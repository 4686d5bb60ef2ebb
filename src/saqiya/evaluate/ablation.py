"""Did choosing by a score make better policies than its rivals? Pure statistics of retrained policies.

A value is how well one retrained policy does, higher is better: a success rate, or minus an action error. Every arm has
one value for each seed; random choice has two for each seed, because every seed draws a choice of its own and trains it
twice: how far two trainings of one choice differ is noise, how far choices differ beyond that is luck in choosing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.errors import UsageError

__all__ = ["FEWEST_SEEDS", "Ceiling", "Difference", "Verdict", "ceiling", "sign_flip", "verdict", "visible"]

FEWEST_SEEDS = 4
LEVEL = 0.95
POWER = 0.8
EXACT_N = 16
FLIPS_N = 20_000
LEAST_SHARE = 1 / 8
"""Of the variance between random choices, at least this much is taken to be luck in choosing. So few choices cannot
show that there is none, and without it a score of random numbers was called better up to 5.4 times in a hundred."""


@dataclass(frozen=True)
class Difference:
    """Chosen by the score less a rival, over seeds: mean, 95 % interval, and the p of flipping the signs of seeds."""

    rival: str
    value: float
    low: float
    high: float
    p: float

    @property
    def better(self) -> bool:
        """The whole interval lies above nothing."""
        return self.low > 0.0


@dataclass(frozen=True)
class Ceiling:
    """How well measured values of one choice agree between two halves of the seeds.

    Attributes:
        agreement: correlation over choices between the two halves.
        ceiling: no score can correlate better than this with the mean of both halves; 0 where they do not agree.
        low, high: 95 % bootstrap interval of the ceiling over choices.
        choices: how many choices it rests on.
    """

    agreement: float
    ceiling: float
    low: float
    high: float
    choices: int


@dataclass(frozen=True)
class Verdict:
    """The answer: yes only where the score beats every rival, each with its whole interval.

    `scatter` is the standard deviation between two trainings of one choice.
    """

    gained: bool
    differences: tuple[Difference, ...]
    scatter: float


def verdict(
    chosen: Sequence[float], draws: Sequence[tuple[float, float]], rivals: Mapping[str, Sequence[float]]
) -> Verdict:
    """Compare the arm that the score chose with random choice and with every other rival.

    Rivals that choose one fixed set are compared seed by seed. Random choice is not: the set that the score chose is
    itself one draw, and by luck alone a better one than most. So the variance between random choices is added to that
    of the mean difference. Without it, over 8 seeds, a score of random numbers was called better in up to 22 of 100
    simulated ablations; with it in at most 4 (`tests/calibration/test_ablation.py`).

    Args:
        chosen: one value for each seed.
        draws: for each seed, two trainings of the choice that it drew at random.
        rivals: one value for each seed, by the rival's name.

    Raises:
        UsageError: fewer than 4 seeds, or arms that differ in seeds.
    """
    arm, pairs = np.asarray(chosen, dtype=np.float64), np.asarray(draws, dtype=np.float64)
    seeds = len(arm)
    others = {name: np.asarray(values, dtype=np.float64) for name, values in rivals.items()}
    if seeds < FEWEST_SEEDS or pairs.shape != (seeds, 2) or any(len(one) != seeds for one in others.values()):
        raise UsageError(
            f"{seeds} seeds, or arms with other seeds, cannot be judged", remedy=f"Give {FEWEST_SEEDS} or more to each."
        )
    noise = _noise(arm, pairs)
    between = float(pairs.mean(axis=1).var(ddof=1))
    luck = max(between - noise / 2.0, between * LEAST_SHARE)
    found = [_difference("random", arm - pairs.mean(axis=1), luck)]
    found += [_difference(name, arm - values, 0.0) for name, values in others.items()]
    scatter = float(np.sqrt(noise))
    return Verdict(all(one.better for one in found), tuple(found), scatter)


def _noise(arm: Vector, pairs: Vector) -> float:
    """Return the variance between trainings of one and the same choice."""
    within = float(arm.var(ddof=1)) * (len(arm) - 1) + float((np.diff(pairs) ** 2).sum() / 2.0)
    return within / (2 * len(arm) - 1)


def _difference(rival: str, apart: Vector, luck: float) -> Difference:
    from scipy import stats

    n, value = len(apart), float(apart.mean())
    half = float(stats.t.ppf((1.0 + LEVEL) / 2.0, n - 1) * np.sqrt(apart.var(ddof=1) / n + luck))
    return Difference(rival, value, value - half, value + half, sign_flip(apart))


def sign_flip(apart: Sequence[float] | Vector) -> float:
    """Return the two-sided p of the mean paired difference: how often flipping signs at random gives as large a one.

    Exact up to 16 pairs (Fisher 1935), else from 20,000 flips; it says nothing of luck in choosing.
    """
    values = np.asarray(apart, dtype=np.float64)
    n = len(values)
    if n <= EXACT_N:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = np.random.default_rng(n).choice([-1.0, 1.0], size=(FLIPS_N, n))
    means = np.abs(signs @ values)
    reached = int((means >= abs(values.sum()) - 1e-12).sum())
    return reached / len(signs) if n <= EXACT_N else (reached + 1) / (len(signs) + 1)


def ceiling(halves: Sequence[tuple[float, float]], *, seed: int = 0, resamples: int = 2000) -> Ceiling:
    """Say how well values agree with themselves: each choice is measured in two halves, and those are correlated.

    By Spearman (1904) no score's expected correlation with the mean of both halves is above the root of that mean's
    reliability, 2 r / (1 + r) (Spearman 1910, Brown 1910).

    Raises:
        UsageError: fewer than three choices.
    """
    values = np.asarray(halves, dtype=np.float64)
    if values.ndim != 2 or len(values) < 3:
        raise UsageError("fewer than three choices have no ceiling", remedy="Use more seeds.")
    drawn = np.random.default_rng(seed).integers(0, len(values), size=(resamples, len(values)))
    tops = [_top(_agreement(values[index])) for index in drawn]
    agreement = _agreement(values)
    low, high = np.quantile(tops, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return Ceiling(agreement, _top(agreement), float(low), float(high), len(values))


def _agreement(values: Vector) -> float:
    if (np.ptp(values, axis=0) == 0.0).any():
        return 0.0
    return float(np.corrcoef(values[:, 0], values[:, 1])[0, 1])


def _top(agreement: float) -> float:
    return float(np.sqrt(2.0 * agreement / (1.0 + agreement))) if agreement > 0.0 else 0.0


def visible(seeds: int, scatter: float, *, simulations: int = 2000) -> float:
    """Return the smallest gain over random choice that is seen with 80 % power, where choices are equally good.

    By simulation, because the width of the interval depends on the luck that the draws happen to show.

    Args:
        seeds: how many.
        scatter: standard deviation between two trainings of one choice, taken to be normal.
        simulations: how many ablations are simulated.
    """
    from scipy import stats

    rng = np.random.default_rng(seeds)
    arm, pairs = rng.normal(size=(simulations, seeds)), rng.normal(size=(simulations, seeds, 2))
    within = arm.var(axis=1, ddof=1) * (seeds - 1) + (np.diff(pairs)[..., 0] ** 2).sum(axis=1) / 2.0
    mean = pairs.mean(axis=2)
    between = mean.var(axis=1, ddof=1)
    luck = np.maximum(between - within / (2 * seeds - 1) / 2.0, between * LEAST_SHARE)
    apart = arm - mean
    half = stats.t.ppf((1.0 + LEVEL) / 2.0, seeds - 1) * np.sqrt(apart.var(axis=1, ddof=1) / seeds + luck)
    needed: float = np.quantile(half - apart.mean(axis=1), POWER)
    return scatter * float(needed)
