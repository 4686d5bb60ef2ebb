"""Learnable bits: what a short fit on one half of an episode teaches about the other half."""

from __future__ import annotations

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.measure.known import kernel, thinned

__all__ = ["learnable_bits"]

BLOCK_STEPS = 5
FEWEST_STEPS = 4 * BLOCK_STEPS
MOST_BLOCKS = 100
MOST_STEPS_N = 400
"""Steps that a half is learned from."""
PENALTY = 0.1


def learnable_bits(states: Vector, missed: Vector, noise: Vector) -> float | None:
    """Return the bits by which half of an episode shortens the description of the other half's actions.

    Blocks of five steps are dealt in turn to two halves. A kernel ridge regression, in closed form, learns from one
    half what the reference misses (action less prediction); the gain is the drop in code length of the other half, and
    both ways are added: prequential coding (Dawid 1984), or usable information (Xu et al. 2020), beyond what the
    reference knows. Code lengths have their variance fitted, `noise` being the least: half log2 of the ratio of mean
    squares. Noise is learned by nobody, so it has no learnable bits however much it surprises.

    Args:
        states: float64 (t, D), scaled so that 1.0 is a typical spread over all channels.
        missed: float64 (t, d), action less the reference's prediction.
        noise: float64 (d,), the reference's usual error.

    Returns:
        Bits, not negative; None for fewer than twenty steps.
    """
    steps = len(states)
    if steps < FEWEST_STEPS:
        return None
    half = np.arange(steps) // max(BLOCK_STEPS, steps // MOST_BLOCKS) % 2
    bits = 0.0
    for asked in (0, 1):
        own, other = half == asked, half != asked
        left = missed[own] - _fitted(states[other], missed[other], states[own])
        before = noise**2 + (missed[own] ** 2).mean(axis=0)
        after = noise**2 + (left**2).mean(axis=0)
        bits += 0.5 * float(np.log2(before / after).sum()) * int(own.sum())
    return max(0.0, bits)


def _fitted(states: Vector, targets: Vector, asked: Vector) -> Vector:
    taken = thinned(np.arange(len(states)), MOST_STEPS_N)
    states, targets = states[taken], targets[taken]
    gram = kernel(states, states)
    gram[np.diag_indices(len(states))] += PENALTY
    found: Vector = kernel(asked, states) @ np.linalg.solve(gram, targets)
    return found
