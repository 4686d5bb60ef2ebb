"""How much more data of a kind would still bring: a learning curve from counts, its forecast, and its breaks.

The curve is err(N) = E_inf + (E_0 - E_inf) / (1 + (N / c)^alpha): once N is well above c the power law
E_inf + A N^-alpha (Hestness et al. 2017), and E_0, not infinity, where nothing was shown yet. Small c is a plateau,
large alpha a late and sudden rise. Success never falls with more data. Where we differ from fits by least squares:
counts are beta-binomial, since two policies from equal data differ, and what the points leave open stays open, as a
posterior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.domain.worth import Gain
from saqiya.errors import TooLittle, UsageError

__all__ = [
    "Break",
    "Curve",
    "Fit",
    "Needed",
    "Point",
    "breaks",
    "enough",
    "fit",
    "gain",
    "in_words",
    "needed",
    "points",
    "rivals",
    "since",
]

DRAWS_N = 1500
MOVES_N = 6
"""Steps of every draw at each temperature."""
KEPT = 0.5
"""Share of draws that must still count when the temperature falls."""
UNTAUGHT = 3.0
"""A policy that was shown nothing mostly fails its task: its success is a flat draw to this power."""
TRUST = 0.5
"""How much the likelihood of earlier points counts: no real curve is of this family (Gruenwald and van Ommen 2017)."""
FLAT = 0.05
"""Prior share of curves on which data changes nothing at all."""
ALPHA = (0.4, 5.0)
HALF_WAY = (0.03, 5.0)
"""Range of c, in shares of the largest number of demonstrations that was tried."""
FEWEST_SCALE_N = 10
NOISE = 0.2
"""Most that policies of equal data differ at one half: standard deviation of success, over that of a single try."""
WITHIN = (0.01, 0.99)
"""Quantiles of the draws that make a 95 % interval: measured on curves of many shapes, the 2.5 % ones held 90 %."""
STOP_N = 10
"""Demonstrations that the stop rule's threshold is about."""


@dataclass(frozen=True)
class Point:
    """What one policy showed: `good` of `tries` after so many demonstrations.

    Attributes:
        good, tries: counts; where an error was measured and not counted, the counts that carry the same standard error.
        cost: human cost until then, in steps; `rollouts`: of the robot, until then.
        recipe: (name, value) of what it was trained with beside the data; a name that is missing is not known.
        name: of the policy.
    """

    demonstrations: int
    good: float
    tries: float
    cost: int = 0
    rollouts: int = 0
    recipe: tuple[tuple[str, str], ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse counts that cannot be."""
        if not 0 <= self.good <= self.tries or self.demonstrations < 0:
            raise UsageError(
                f"{self.good:g} of {self.tries:g} tries after {self.demonstrations} demonstrations cannot be",
                subject=self.name,
                remedy="Count again.",
            )


@dataclass(frozen=True)
class Curve:
    """Success against demonstrations, in the order in which policies were made.

    Attributes:
        name: of the task, mode or condition.
        kind: "task", "mode" (a try is good that did not fail so) or "condition" (tries under it alone).
        basis: where the points come from: "deployments", "retrained" or "held-out error".
    """

    name: str
    points: tuple[Point, ...]
    kind: str = "task"
    basis: str = "deployments"


@dataclass(frozen=True)
class Break:
    """Two policies that differ by more than data.

    Attributes:
        why: what changed, in words.
        change: of success, with a 95 % interval; its `demonstrations` came in between.
        data: what the curve before promised for these demonstrations: the rest is not the data's.
    """

    before: Point
    after: Point
    why: str
    change: Gain
    data: Gain


@dataclass(frozen=True)
class Needed:
    """Demonstrations still needed for a rate; None is without end. `never`: share of curves on which none suffice."""

    value: int | None
    low: int | None
    high: int | None
    never: float


@dataclass(frozen=True, eq=False)
class Fit:
    """Draws of the curve given its points: e_0, e_inf, c, alpha, and what chance adds, rho; float64 (draws,) each."""

    e_0: Vector
    e_inf: Vector
    c: Vector
    alpha: Vector
    rho: Vector

    def success(self, demonstrations: float) -> Vector:
        """Return the success of policies of so many demonstrations on average, float64 (draws,)."""
        fallen = 1.0 + (demonstrations / self.c) ** self.alpha
        return np.asarray(1.0 - self.e_inf - (self.e_0 - self.e_inf) / fallen)

    def rates(self, demonstrations: float) -> tuple[Vector, Vector]:
        """Return what the rates of policies of so many demonstrations are like: a Beta's a and b, float64 (draws,).

        Their logarithms of odds spread alike wherever the mean is: near 0 and 1 policies differ less.
        """
        mean = np.clip(self.success(demonstrations), 1e-6, 1.0 - 1e-6)
        total = 1.0 / (4.0 * mean * (1.0 - mean) * self.rho) - 1.0
        return mean * total, (1.0 - mean) * total

    def tested(self, demonstrations: float, tries: int, seed: int) -> Vector:
        """Draw what one more policy of so many demonstrations would show in so many tries, as a share."""
        rng = np.random.default_rng(seed)
        return np.asarray(rng.binomial(tries, rng.beta(*self.rates(demonstrations))) / tries)

    def more(self, now: int, rate: float) -> Vector:
        """Return the demonstrations after `now` at which each draw reaches `rate`, infinite where it never does."""
        wanted = 1.0 - rate - self.e_inf
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            at = self.c * np.maximum((self.e_0 - self.e_inf) / wanted - 1.0, 0.0) ** (1.0 / self.alpha)
        reached = self.success(now) >= rate
        return np.where(reached, 0.0, np.where(wanted > 0.0, np.maximum(at - now, 0.0), np.inf))


def since(curve: Curve) -> Curve:
    """Return the curve after its last break: earlier points say nothing of what data does now."""
    first = 0
    for index, (before, after) in enumerate(pairwise(curve.points), start=1):
        if _differs(before, after):
            first = index
    return Curve(curve.name, curve.points[first:], curve.kind, curve.basis)


def breaks(curve: Curve, *, seed: int) -> tuple[Break, ...]:
    """Find where something else than data changed, and part what the data was good for from what the change was."""
    found = []
    for index, (before, after) in enumerate(pairwise(curve.points), start=1):
        if why := _differs(before, after):
            n = after.demonstrations - before.demonstrations
            change = _rate(after, seed) - _rate(before, seed + 1)
            earlier = since(Curve(curve.name, curve.points[:index]))
            found.append(Break(before, after, why, _told(change, n), gain(earlier, max(n, 0), seed=seed)))
    return tuple(found)


def _differs(before: Point, after: Point) -> str:
    old, new = dict(before.recipe), dict(after.recipe)
    return "; ".join(f"{name}: {old[name]} -> {new[name]}" for name in old if new.get(name, old[name]) != old[name])


def gain(curve: Curve, demonstrations: int, *, seed: int) -> Gain:
    """Say how many points of success so many more demonstrations of this kind bring, from the points since the break.

    It is the gain of the data: the mean over policies that could be trained, not the luck of one. The interval held
    the truth in 95 % of simulated curves of many shapes; docs/saturation.md says for which it does not.

    Raises:
        TooLittle: the curve has no point.
        UsageError: `demonstrations` is negative.
    """
    if demonstrations < 0:
        raise UsageError(
            f"{demonstrations} more demonstrations cannot be", subject=curve.name, remedy="Name 0 or more."
        )
    recent = since(curve)
    fitted = fit(recent, seed=seed)
    now = _now(recent)
    return _told(fitted.success(now + demonstrations) - fitted.success(now), demonstrations)


def enough(curve: Curve, threshold: float, *, seed: int, label: str = "") -> str:
    """Say in a sentence why no more should be collected, or "" where more may help.

    The upper end of the 95 % interval of what 10 more demonstrations bring is below `threshold` (0.01 is one point).

    Raises:
        TooLittle: the curve has no point.
    """
    told = gain(curve, STOP_N, seed=seed)
    if told.high >= threshold:
        return ""
    recent = since(curve)
    last, policies = recent.points[-1], len(recent.points)
    return (
        f"Collect no more for {label or curve.name}: {STOP_N} more demonstrations bring {points(told)}, and the "
        f"threshold is {100 * threshold:.1f} ({_counts(recent, last)} after {last.demonstrations} demonstrations, "
        f"{policies} {'policy' if policies == 1 else 'policies'})."
    )


def needed(curve: Curve, rate: float, *, seed: int) -> Needed:
    """Say how many more demonstrations bring success to `rate`, with a 95 % interval.

    Raises:
        TooLittle: the curve has no point.
    """
    recent = since(curve)
    more = fit(recent, seed=seed).more(_now(recent), rate)
    low, middle, high = np.quantile(more, [WITHIN[0], 0.5, WITHIN[1]], method="inverted_cdf")
    value, least, most = (int(np.ceil(one)) if np.isfinite(one) else None for one in (middle, low, high))
    return Needed(value, least, most, float(np.mean(~np.isfinite(more))))


def points(told: Gain) -> str:
    """Write a gain: "+1.2 points, 0.0 to 3.1"."""
    return f"{100 * told.value:+.1f} points, {100 * told.low:.1f} to {100 * told.high:.1f}"


def in_words(told: Gain) -> str:
    """Write a forecast: "50 more of these: +1.2 points, 0.0 to 3.1"."""
    return f"{told.demonstrations} more of these: {points(told)}"


@lru_cache(maxsize=256)
def fit(curve: Curve, *, seed: int) -> Fit:
    """Draw curves that could have given these points, whatever their recipes: see `since`.

    Sequential Monte Carlo from a flat prior over the unit cube (Del Moral, Doucet and Jasra 2006): draws are weighted
    with a growing share of the likelihood, drawn again, and moved by Metropolis steps of their own spread.

    Raises:
        TooLittle: the curve has no point.
    """
    if not curve.points:
        raise TooLittle("has no point yet", subject=curve.name, remedy="Roll a policy out and say how its tries ended.")
    rng = np.random.default_rng(seed)
    scale = float(max(FEWEST_SCALE_N, *(one.demonstrations for one in curve.points)))
    last = _now(curve)
    rows = np.array(
        [
            [one.demonstrations, one.good, one.tries, 1.0 if one.demonstrations == last else TRUST]
            for one in curve.points
        ]
    )
    cube = rng.random((DRAWS_N, 5))
    read = partial(_curves, scale=scale, unlikely=UNTAUGHT if curve.kind == "task" else 1.0)
    likely, heat = _likelihood(read(cube), rows), 0.0
    while heat < 1.0:
        step = _step(likely, 1.0 - heat)
        heat = 1.0 if step >= 1.0 - heat else heat + step
        weights = np.exp(step * (likely - likely.max()))
        chosen = rng.choice(DRAWS_N, DRAWS_N, p=weights / weights.sum())
        cube, likely = cube[chosen], likely[chosen]
        shape = np.linalg.cholesky(np.cov(cube.T) + 1e-9 * np.eye(5))
        for move in range(MOVES_N):
            reach = (2.38 / np.sqrt(5.0)) * (1.0, 0.4)[move % 2]
            moved = np.abs(cube + reach * rng.standard_normal(cube.shape) @ shape.T) % 2.0
            moved = np.where(moved > 1.0, 2.0 - moved, moved)
            there = _likelihood(read(moved), rows)
            taken = np.log(rng.random(DRAWS_N)) < heat * (there - likely)
            cube[taken], likely[taken] = moved[taken], there[taken]
    return read(cube)


def _curves(cube: Vector, *, scale: float, unlikely: float) -> Fit:
    """Read places in the unit cube as curves; `unlikely` is the power that keeps success at no demonstration low."""
    e_0, low, high = 1.0 - cube[:, 0] ** unlikely, *np.log(HALF_WAY)
    return Fit(
        e_0=e_0,
        e_inf=e_0 * np.minimum(1.0, cube[:, 1] / (1.0 - FLAT)) ** 2,
        c=scale * np.exp(low + (high - low) * cube[:, 2]),
        alpha=ALPHA[0] * (ALPHA[1] / ALPHA[0]) ** cube[:, 3],
        rho=np.maximum((NOISE * cube[:, 4]) ** 2, 1e-6),
    )


def _likelihood(drawn: Fit, rows: Vector) -> Vector:
    """Return the beta-binomial log-likelihood of each draw, float64 (draws,)."""
    from scipy.special import betaln

    total = np.zeros(len(drawn.c))
    for demonstrations, good, tries, share in rows:
        a, b = drawn.rates(demonstrations)
        total += share * (betaln(good + a, tries - good + b) - betaln(a, b))
    return total


def _step(likely: Vector, left: float) -> float:
    """Return how much of the likelihood can be added before fewer than half of the draws count."""

    def counting(step: float) -> float:
        weights = np.exp(step * (likely - likely.max()))
        return float(weights.sum() ** 2 / (weights**2).sum())

    if counting(left) >= KEPT * len(likely):
        return left
    low, high = 0.0, left
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (middle, high) if counting(middle) >= KEPT * len(likely) else (low, middle)
    return max(low, 1e-6)


def _rate(point: Point, seed: int) -> Vector:
    """Draw what the rate of one policy may be (Jeffreys)."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.beta(point.good + 0.5, point.tries - point.good + 0.5, DRAWS_N))


def _told(draws: Vector, demonstrations: int) -> Gain:
    low, high = np.quantile(draws, WITHIN)
    return Gain(demonstrations, float(draws.mean()), float(low), float(high))


def _now(curve: Curve) -> int:
    return curve.points[-1].demonstrations


def _counts(curve: Curve, last: Point) -> str:
    if curve.kind == "mode":
        return f"{last.tries - last.good:.0f} of {last.tries:.0f} tries failed so"
    return f"{last.good:.0f} of {last.tries:.0f}"


def rivals(curve: Curve, demonstrations: int) -> dict[str, float]:
    """Forecast success by two dumb rules: no change since the last point, and the last slope goes on, within [0, 1]."""
    recent: Sequence[Point] = since(curve).points
    last = recent[-1].good / recent[-1].tries
    before = [one for one in recent if one.demonstrations < recent[-1].demonstrations]
    if not before:
        return {"no change": last, "last slope": last}
    slope = (last - before[-1].good / before[-1].tries) / (recent[-1].demonstrations - before[-1].demonstrations)
    return {"no change": last, "last slope": float(np.clip(last + slope * demonstrations, 0.0, 1.0))}
