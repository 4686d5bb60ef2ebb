"""The known mistakes of a first collection, found in its figures: many hands, mixed ways, round counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from saqiya.domain.contracts import Vector

__all__ = ["many_operators", "mixed_strategies", "round_count", "two_ways"]

SHARE = 0.1
"""Of the demonstrations: what fewer show is a stray, not a habit."""
MANY_OPERATORS_N = 3
FEWEST_N = 16
"""Demonstrations below which nothing is said of two ways."""
APART = 3.0
"""Two groups are this many of their standard deviations apart or more (Ashman, Bird and Zepf 1994 ask for 2)."""
LEVEL = 0.01
NULLS_N = 999
COMPONENTS_N = 3
EM_STEPS_N = 60
ROUND_N = 50
FALLS, FLAT = 0.1, 0.05
"""Of the held-out error, for twice the demonstrations: a tenth is still falling, less than a twentieth is flat."""


def many_operators(counts: Mapping[str, int]) -> str:
    """Say that three or more people each gave a tenth of the demonstrations or more; "" where they did not."""
    total = sum(counts.values())
    shares = sorted(((n / total, name) for name, n in counts.items() if n >= SHARE * total), reverse=True)
    if len(shares) < MANY_OPERATORS_N:
        return ""
    said = ", ".join(f"{name} {share:.0%}" for share, name in shares)
    return f"{len(shares)} operators share {total} demonstrations ({said}): one or two who do it alike teach faster"


def mixed_strategies(counts: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    """Say for each side of the strategy (arms, grip ...) that several ways of doing it are mixed."""
    found = []
    for side, words in sorted(counts.items()):
        total = sum(words.values())
        often = sorted(((n, word) for word, n in words.items() if n >= SHARE * total), reverse=True)
        if len(often) > 1:
            said = ", ".join(f"{word} {n} of {total}" for n, word in often)
            found.append(f"{side} is mixed ({said}): a first policy averages between ways; show one")
    return tuple(found)


def two_ways(tries: Vector, starts: Vector, *, seed: int) -> str:
    """Say that demonstrations from like starts go two ways; "" where one way explains them.

    What the start explains (a quadratic fit) is taken out. Along each of the three directions in which the rest varies
    most, two normal distributions of equal width are laid beside one; it counts when the two are three of their widths
    apart, each holds a tenth, and fewer than 1 % of parametric bootstrap samples of one distribution gain as much
    (McLachlan 1987), divided among the directions (Bonferroni).

    Args:
        tries: float64 (n, steps x columns), each resampled to the same number of steps, each column of like scale.
        starts: float64 (n, factors), or what was seen first; (n, 0) where nobody knows: then nothing is said.
        seed: of the bootstrap.
    """
    n = len(tries)
    if n < FEWEST_N or not starts.shape[1]:
        return ""  # without starts nobody knows which demonstrations are alike
    main = np.linalg.svd(starts - starts.mean(axis=0), full_matrices=False)[0][:, : n // 8]
    known = np.column_stack([np.ones(n), main, main**2])
    rest = tries - known @ np.linalg.lstsq(known, tries, rcond=None)[0]
    left, size, _ = np.linalg.svd(rest, full_matrices=False)
    rng = np.random.default_rng(seed)
    for column in range(min(COMPONENTS_N, int((size > 1e-9 * max(size[0], 1e-300)).sum()))):
        values = left[:, column] / left[:, column].std()
        gained, apart, share = (float(one[0]) for one in _two(values[None]))
        if apart < APART or not SHARE <= share <= 1.0 - SHARE:
            continue
        nulls = rng.normal(size=(NULLS_N, n))
        p = (1 + int((_two(nulls)[0] >= gained).sum())) / (NULLS_N + 1)
        if p * COMPONENTS_N < LEVEL:
            few = min(share, 1.0 - share)
            return (
                f"demonstrations from like starts go two ways, {1.0 - few:.0%} and {few:.0%} of {n} "
                f"({apart:.1f} standard deviations apart): a policy averages between them; show one"
            )
    return ""


def _two(rows: Vector) -> tuple[Vector, Vector, Vector]:
    """Fit two normal distributions of equal width to each row by expectation maximisation, float64 (m, n).

    Returns:
        gain in log likelihood over one distribution, distance in widths, share of the upper one; float64 (m,) each.
    """
    one = rows.std(axis=1)
    low, high = np.quantile(rows, 0.25, axis=1), np.quantile(rows, 0.75, axis=1)
    width, share = one / 2.0, np.full(len(rows), 0.5)
    for _ in range(EM_STEPS_N):
        logs = _logs(rows, low, high, width, share)
        upper = np.exp(logs[1] - np.logaddexp(*logs))
        mass = np.clip(upper.sum(axis=1), 1e-9, rows.shape[1] - 1e-9)
        high = (upper * rows).sum(axis=1) / mass
        low = ((1.0 - upper) * rows).sum(axis=1) / (rows.shape[1] - mass)
        spread = upper * (rows - high[:, None]) ** 2 + (1.0 - upper) * (rows - low[:, None]) ** 2
        width, share = np.sqrt(np.maximum(spread.mean(axis=1), (0.01 * one) ** 2)), mass / rows.shape[1]
    logs = _logs(rows, low, high, width, share)
    single = -0.5 * ((rows - rows.mean(axis=1, keepdims=True)) / one[:, None]) ** 2 - np.log(one)[:, None]
    return (np.logaddexp(*logs) - single).sum(axis=1), (high - low) / width, share


def _logs(rows: Vector, low: Vector, high: Vector, width: Vector, share: Vector) -> tuple[Vector, Vector]:
    scale = np.log(width)[:, None]
    lower = np.log1p(-share)[:, None] - 0.5 * ((rows - low[:, None]) / width[:, None]) ** 2 - scale
    upper = np.log(share)[:, None] - 0.5 * ((rows - high[:, None]) / width[:, None]) ** 2 - scale
    return lower, upper


def round_count(count: int, sizes: Sequence[int], errors: Vector) -> str:
    """Say that a round number of demonstrations stopped too early or went on too long; "" where neither shows.

    Args:
        count: demonstrations: looked at when it is a multiple of 50.
        sizes: demonstrations learned from, growing, each about twice the one before; three or more.
        errors: float64 (len(sizes), repeats), the held-out error after so many.
    """
    if count % ROUND_N or count == 0 or len(sizes) < 3:
        return ""
    low, high = _fall(errors[-2], errors[-1])
    if low > FALLS:
        return (
            f"{count} is a round number and no plateau: from {sizes[-2]} to {sizes[-1]} demonstrations the held-out "
            f"error still fell by {low:.0%} to {high:.0%}; collect on until it is flat"
        )
    before, after = _fall(errors[-3], errors[-2]), (low, high)
    if max(before[1], after[1]) < FLAT:
        return (
            f"{count} is a round number past the plateau: the held-out error is flat since {sizes[-3]} demonstrations "
            f"({before[0]:.0%} to {before[1]:.0%}, then {low:.0%} to {high:.0%}); stop there the next time"
        )
    return ""


def _fall(before: Vector, after: Vector) -> tuple[float, float]:
    """Return the 95 % interval (Student) of the share by which an error fell, paired by repeat."""
    from scipy import stats

    fall = 1.0 - after / np.maximum(before, 1e-300)
    half = float(stats.t.ppf(0.975, len(fall) - 1)) * float(fall.std(ddof=1)) / np.sqrt(len(fall))
    return float(fall.mean()) - half, float(fall.mean()) + half
