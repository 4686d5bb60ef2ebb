"""How each operator's work turned out, beside that of others who worked on the same requests.

Requests differ more than people do: whoever takes the hard ones is sent back more often. So nobody is ranked by a bare
share; the difference is taken within each request and then pooled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

__all__ = ["Against", "OperatorFigures", "Piece", "Rate", "figures_of", "wilson"]

Z = 1.959963984540054
FEWEST_N = 5
"""Fewer pieces than this on either side of a comparison compare nobody."""
DRAWS_N = 400


@dataclass(frozen=True)
class Piece:
    """One slot that an operator worked on.

    Attributes:
        accepted: what a reviewer decided; None while nobody has.
        redone: it was sent back, or tries were thrown away before it was handed in.
        hesitation: share of the operator's steps in which the hand stood still; None where it is not known.
    """

    operator: str
    request: str
    accepted: bool | None
    redone: bool
    hesitation: float | None


@dataclass(frozen=True)
class Rate:
    """`k` of `n`, with Wilson's 95 % interval."""

    k: int
    n: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Against:
    """An operator's figure less that of the others on the same requests, with a 95 % interval."""

    value: float
    low: float
    high: float
    requests: int


@dataclass(frozen=True)
class OperatorFigures:
    """One operator's book.

    Attributes:
        pieces: slots that they handed in; `waiting` of them are not decided.
        accepted: of those that were decided.
        redone: of all, how many were sent back or begun anew.
        hesitation: mean over their pieces with its 95 % interval; None while fewer than two are known.
        accepted_against, redone_against, hesitation_against: within the same requests; None while there is too little.
        said: what these figures are, and are not, in one sentence.
    """

    operator: str
    pieces: int
    waiting: int
    accepted: Rate | None
    redone: Rate | None
    hesitation: tuple[float, float, float] | None
    accepted_against: Against | None
    redone_against: Against | None
    hesitation_against: Against | None
    said: str


def wilson(share: float, n: float) -> tuple[float, float]:
    """Return Wilson's (1927) 95 % interval of a share of `n`; `n` may be an effective sample size."""
    if n <= 0.0:
        return 0.0, 1.0
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def figures_of(operator: str, pieces: Sequence[Piece]) -> OperatorFigures:
    """Sum up an operator's pieces, and compare them with everybody else's on the same requests."""
    own = [one for one in pieces if one.operator == operator]
    decided = [one for one in own if one.accepted is not None]
    still = [one.hesitation for one in own if one.hesitation is not None]
    accepted = _within(pieces, operator, lambda one: None if one.accepted is None else float(one.accepted))
    known = accepted is not None
    return OperatorFigures(
        operator=operator,
        pieces=len(own),
        waiting=len(own) - len(decided),
        accepted=_rate([bool(one.accepted) for one in decided]),
        redone=_rate([one.redone for one in own]),
        hesitation=_mean(still),
        accepted_against=accepted,
        redone_against=_within(pieces, operator, lambda one: float(one.redone)),
        hesitation_against=_means(pieces, operator),
        said="Compared with others on the same requests."
        if known
        else "Too few pieces on requests that others worked on too: these figures say as much of the requests as of "
        "the operator.",
    )


def _rate(said: Sequence[bool]) -> Rate | None:
    if not said:
        return None
    share = sum(said) / len(said)
    return Rate(sum(said), len(said), share, *wilson(share, len(said)))


def _mean(values: Sequence[float]) -> tuple[float, float, float] | None:
    if len(values) < 2:
        return None
    from scipy.stats import t

    middle = float(np.mean(values))
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / sqrt(len(values)))
    return middle, middle - half, middle + half


def _split(
    pieces: Sequence[Piece], operator: str, value: Callable[[Piece], float | None]
) -> list[tuple[list[float], list[float]]]:
    """Return, for every request that the operator shares with others, their values and the others'."""
    sides: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for one in pieces:
        number = value(one)
        if number is not None:
            sides[one.request][one.operator != operator].append(number)
    shared = [side for side in sides.values() if side[0] and side[1]]
    enough = min(sum(map(len, side)) for side in zip(*shared, strict=True)) >= FEWEST_N if shared else False
    return shared if enough else []


def _within(pieces: Sequence[Piece], operator: str, value: Callable[[Piece], float | None]) -> Against | None:
    """Pool the difference of two shares over requests with Mantel and Haenszel's (1959) weights.

    The interval is Newcombe's (1998) square-and-add of two Wilson intervals, after Yan and Su (2010) for strata, with
    the effective sample sizes of the weights in place of their solved quantile: it stays sensible where all was
    accepted, which the usual normal interval does not.
    """
    shared = _split(pieces, operator, value)
    if not shared:
        return None
    sizes = np.array([[len(own), len(others)] for own, others in shared], dtype=np.float64)
    shares = np.array([[np.mean(own), np.mean(others)] for own, others in shared])
    weights = sizes.prod(axis=1) / sizes.sum(axis=1)
    weights /= weights.sum()
    (mine, theirs), (own_n, others_n) = weights @ shares, 1.0 / (weights**2 @ (1.0 / sizes))
    (low_1, high_1), (low_2, high_2) = wilson(mine, own_n), wilson(theirs, others_n)
    value_ = mine - theirs
    low = value_ - sqrt((mine - low_1) ** 2 + (high_2 - theirs) ** 2)
    high = value_ + sqrt((high_1 - mine) ** 2 + (theirs - low_2) ** 2)
    return Against(float(value_), float(low), float(high), len(shared))


def _means(pieces: Sequence[Piece], operator: str) -> Against | None:
    """Pool the difference of two means over requests; the interval is a bootstrap over requests."""
    shared = _split(pieces, operator, lambda one: one.hesitation)
    if len(shared) < FEWEST_N:
        return None
    gaps = np.array([np.mean(own) - np.mean(others) for own, others in shared])
    weights = np.array([len(own) * len(others) / (len(own) + len(others)) for own, others in shared])
    drawn = np.random.default_rng(0).integers(len(gaps), size=(DRAWS_N, len(gaps)))
    means = (gaps * weights)[drawn].sum(axis=1) / weights[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Against(float(gaps @ weights / weights.sum()), float(low), float(high), len(shared))
