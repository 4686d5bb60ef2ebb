"""The second stage: which detectors deserve more say, learned from labelled tries and kept only if it earns its place.

Novelty alarms at what is new, harmless or not; labelled failures can say which detectors speak of failing. Weights are
a logistic regression of the outcome on the detectors' votes at some moments of each try, never negative: a detector may
be silenced, not turned round. They are kept when repeated cross-validation on the labelled tries alone says that they
order failures above successes better than equal weights do, by more than its own uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector

__all__ = ["LABELLED_N", "LEAST_N", "Votes", "earned_weights"]

LABELLED_N = 60
LEAST_N = 10
MOMENTS_N = 12
RIDGE = 0.01
FOLDS_N = 5
REPEATS_N = 4
SURE = 2.0
"""How many standard errors of its gain over the folds the second stage must gain."""


@dataclass(frozen=True)
class Votes:
    """What detectors said in one try up to the success horizon, float64 (t, detectors), and whether it failed."""

    votes: Vector
    failed: bool

    def peak(self, weights: Vector) -> float:
        """Return the highest weighted vote; minus infinity when there is none."""
        return float((self.votes @ weights).max()) if len(self.votes) else float("-inf")


def earned_weights(tries: Sequence[Votes], *, seed: int) -> Vector | None:
    """Return learned weights, float64 (detectors,), adding to 1; None where they are not better than equal ones.

    Fewer than `LABELLED_N` tries, or than `LEAST_N` of one kind, teach nothing.
    """
    failed = np.array([one.failed for one in tries], dtype=bool)
    if len(tries) < LABELLED_N or min(failed.sum(), (~failed).sum()) < LEAST_N or tries[0].votes.shape[1] < 2:
        return None
    rng, gains = np.random.default_rng(seed), []
    equal = np.full(tries[0].votes.shape[1], 1.0 / tries[0].votes.shape[1])
    for _ in range(REPEATS_N):
        fold = _folds(failed, rng)
        for held in range(FOLDS_N):
            learned = _learned([one for one, at in zip(tries, fold, strict=True) if at != held])
            out = [one for one, at in zip(tries, fold, strict=True) if at == held]
            gains.append(_area(out, learned) - _area(out, equal))
    error = float(np.std(gains, ddof=1)) / np.sqrt(FOLDS_N)  # repeats of the same tries are no more folds
    return _learned(tries) if float(np.mean(gains)) > SURE * error else None


def _folds(failed: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal failures and successes out evenly."""
    fold = np.zeros(len(failed), dtype=np.int64)
    for kind in (failed, ~failed):
        members = rng.permutation(np.flatnonzero(kind))
        fold[members] = np.arange(len(members)) % FOLDS_N
    return fold


def _learned(tries: Sequence[Votes]) -> Vector:
    from scipy.optimize import minimize

    moments = [np.unique(np.linspace(0, len(one.votes) - 1, MOMENTS_N).astype(np.int64)) for one in tries]
    rows = np.concatenate([one.votes[at] for one, at in zip(tries, moments, strict=True)])
    sign = np.concatenate(
        [np.full(len(at), 1.0 if one.failed else -1.0) for one, at in zip(tries, moments, strict=True)]
    )
    share = np.concatenate([np.full(len(at), 1.0 / len(at)) for at in moments])
    for kind in (1.0, -1.0):
        share[sign == kind] /= share[sign == kind].sum()

    def loss(found: Vector) -> tuple[float, Vector]:
        margin = sign * (rows @ found[:-1] + found[-1])
        pull = -share * sign / (1.0 + np.exp(np.clip(margin, -500.0, 500.0)))
        slope = np.append(rows.T @ pull + 2.0 * RIDGE * found[:-1], pull.sum())
        return float(share @ np.logaddexp(0.0, -margin) + RIDGE * found[:-1] @ found[:-1]), slope

    width = rows.shape[1]
    start = np.append(np.full(width, 1.0 / width), 0.0)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * width + [(None, None)]).x[:-1]
    total = float(found.sum())
    return np.asarray(found / total) if total > 0.0 else start[:-1]


def _area(tries: Sequence[Votes], weights: Vector) -> float:
    peaks = np.array([one.peak(weights) for one in tries])
    failed = np.array([one.failed for one in tries], dtype=bool)
    above, below = peaks[failed][:, None], peaks[~failed][None]
    return float(((above > below) + 0.5 * (above == below)).mean())
