"""Whether a policy's own rollouts still teach: failures of a new kind, and bits beyond those of its training data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from saqiya.domain.contracts import Vector

__all__ = ["Teaching", "teaching"]

DRAWS_N = 2000
ENOUGH = 1.1
"""Bits a step of rollouts over those of training episodes, below which they are alike."""
RARE = 0.01
"""Share of tries that fail in a new way, below which more rollouts hardly find another."""


@dataclass(frozen=True)
class Teaching:
    """What rollouts of a named policy still hold.

    Attributes:
        policy: its key; every number is relative to it.
        tries: rollouts that were judged; `failures` of them failed.
        fresh: failures of a mode that no earlier deployment showed; `fresh_low`, `fresh_high` the exact 95 % interval
            of their share of the tries.
        bits, floor: mean bits a step of rollouts, and of the training episodes under the same policy; None where the
            policy has no members to ask.
        ratio: bits over floor, with a 95 % bootstrap interval over episodes.
        verdict: "teach", "stopped" or "cannot tell"; `said` gives the reasons.
    """

    policy: str
    tries: int
    failures: int
    fresh: int
    fresh_low: float
    fresh_high: float
    bits: float | None
    floor: float | None
    ratio: tuple[float, float, float] | None
    verdict: str
    said: str


def teaching(
    policy: str,
    modes: Sequence[str],
    earlier: Collection[str],
    *,
    bits: tuple[Sequence[float], Sequence[float]] | None,
    seed: int,
) -> Teaching:
    """Judge rollouts of a policy.

    They have stopped teaching when both signs are surely small: less than 1 new failure in 100 tries, and no more than
    1.1 times the bits a step that the policy's own training episodes still hold under it.

    Args:
        policy: its key.
        modes: of each judged rollout: "" for a success, else the mode of its failure.
        earlier: modes that deployments before this one showed.
        bits: bits a step of some rollouts, and of some training episodes; None where they cannot be measured.
        seed: of the bootstrap.
    """
    from scipy.stats import beta

    n, fresh = len(modes), sum(one not in earlier for one in modes if one)
    low = float(beta.ppf(0.025, fresh, n - fresh + 1)) if fresh else 0.0
    high = float(beta.ppf(0.975, fresh + 1, n - fresh)) if fresh < n else 1.0
    ratio = _ratio(np.asarray(bits[0]), np.asarray(bits[1]), seed) if bits else None
    less_new, more_new = high < RARE, low > RARE
    less_bits, more_bits = ratio is None or ratio[2] <= ENOUGH, ratio is not None and ratio[1] > ENOUGH
    verdict = "teach" if more_new or more_bits else "stopped" if less_new and less_bits else "cannot tell"
    said = f"{fresh} of {n} tries failed in a new way ({100 * low:.1f} to {100 * high:.1f} in 100)"
    if ratio is not None:
        said += f"; bits a step are {ratio[0]:.2f} times those of its training data ({ratio[1]:.2f} to {ratio[2]:.2f})"
    words = {
        "teach": f"Rollouts of {policy} still teach",
        "stopped": f"Rollouts of {policy} have stopped teaching",
        "cannot tell": f"Whether rollouts of {policy} still teach cannot be told",
    }
    return Teaching(
        policy=policy,
        tries=n,
        failures=sum(bool(one) for one in modes),
        fresh=fresh,
        fresh_low=low,
        fresh_high=high,
        bits=float(np.mean(bits[0])) if bits else None,
        floor=float(np.mean(bits[1])) if bits else None,
        ratio=ratio,
        verdict=verdict,
        said=f"{words[verdict]}: {said}.",
    )


def _ratio(rolled: Vector, taught: Vector, seed: int) -> tuple[float, float, float]:
    """Return the ratio of means, and its interval by drawing episodes again on both sides."""
    rng, least = np.random.default_rng(seed), 1e-9
    above = rng.choice(rolled, (DRAWS_N, len(rolled))).mean(axis=1)
    below = rng.choice(taught, (DRAWS_N, len(taught))).mean(axis=1)
    low, high = np.quantile((above + least) / (below + least), [0.025, 0.975])
    return float((rolled.mean() + least) / (taught.mean() + least)), float(low), float(high)
