"""Whether an episode's actions follow from what was seen: random and trembling hands teach nothing, however new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.measure.scales import resolved
from saqiya.measure.taught import Taught
from saqiya.models.normaliser import RESOLUTION
from saqiya.models.scaling import Scale

__all__ = ["Gate", "gate_of"]

BLOCK_S = 0.15
BLOCK_STEPS = 3
NEIGHBOURS_N = 3
FEWEST_BLOCKS = 6
FEW_BLOCKS = 10
USUAL_BLOCKS = 8
ALLOWED = 1.5
"""How far above the worst trusted episode an episode may lie."""
SURELY_GOOD = 0.35
"""Below this nothing is called junk: noise that nothing predicts has 0.9 and more, also in short episodes."""
SHORT = 0.65
"""The same for 18 to 30 steps, of which sure hands have up to 0.65 and noise has 0.7 and more (tiny site)."""
SURELY_JUNK = 0.9
"""From here on the actions follow from nothing, even where trusted episodes are no better."""


@dataclass(frozen=True)
class Gate:
    """How well actions of trusted episodes follow from their states, and so what is too bad.

    Attributes:
        scale: makes states comparable.
        spread: float64 (d,), standard deviation of the trusted actions.
        threshold: an error above it is junk.
        trusted_n: how many episodes it rests on.
    """

    scale: Scale
    spread: Vector
    threshold: float
    trusted_n: int

    def error(self, taught: Taught) -> float | None:
        """Return the error of predicting actions from other steps of the same episode, in variances of its actions.

        Blocks of steps (0.15 s, an eighth of the episode at most, three steps at least) are dealt in turn to two
        halves; each action is predicted by the mean of the three nearest states of the other half. 0 is somebody who
        does the same in the same place. The variance is the larger of the episode's own and that of trusted ones: who
        hardly moves is no trembler.
        None where there are too few steps to say.
        """
        return _error(taught, self.scale, self.spread)

    def reason(self, one: Taught) -> str:
        """Say why an episode is junk; "" where it is not, or where there are too few steps to say."""
        error = self.error(one)
        limit = self.threshold if len(one.action) >= FEW_BLOCKS * BLOCK_STEPS else max(self.threshold, SHORT)
        if error is None or error <= limit:
            return ""
        return (
            f"actions do not follow from states: error {error:.2f} of their variance, "
            f"above {limit:.2f} ({self.trusted_n} trusted episodes)"
        )


def gate_of(trusted: Sequence[Taught]) -> Gate | None:
    """Learn from trusted episodes what self-consistency to ask for; None where there is no trusted episode.

    The threshold is 1.5 times the worst of them, but never below 0.35 nor above 0.9, so that few trusted episodes
    that are alike refuse no good one, and trembling trusted ones do not let noise through.
    """
    if not trusted:
        return None
    states, actions = (np.concatenate(part) for part in zip(*((one.state, one.action) for one in trusted), strict=True))
    scale = resolved(states, trusted[0].widths)
    spread = np.maximum(actions.std(axis=0), RESOLUTION)
    errors = [error for one in trusted if (error := _error(one, scale, spread)) is not None]
    worst = ALLOWED * max(errors, default=0.0)
    return Gate(scale, spread, float(np.clip(worst, SURELY_GOOD, SURELY_JUNK)), len(errors))


def _error(taught: Taught, scale: Scale, spread: Vector) -> float | None:
    from scipy.spatial import cKDTree

    steps = len(taught.action)
    block = max(BLOCK_STEPS, min(round(BLOCK_S * taught.rate_hz), steps // USUAL_BLOCKS))
    if steps < FEWEST_BLOCKS * block:
        return None
    half = np.arange(steps) // block % 2
    rows, variance = scale.apply(taught.state), np.maximum(taught.action.var(axis=0), spread**2)
    missed = np.empty_like(taught.action)
    for asked in (0, 1):
        known, own = half != asked, half == asked
        _, near = cKDTree(rows[known]).query(rows[own], k=NEIGHBOURS_N)
        missed[own] = taught.action[known][near].mean(axis=1) - taught.action[own]
    return float((missed**2 / variance).mean())
