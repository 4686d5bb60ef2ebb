"""Parts of a small set for cross-validation: every class spread evenly, copies never parted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["deal", "turns"]


def deal(labels: NDArray[np.int64], groups: NDArray[np.int64], *, folds_n: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each row, int64 (n,) in [0, folds_n).

    Groups go one after another, the larger first and else in an order drawn from `seed`, to the fold that has the
    fewest rows of their classes (then the fewest of all). A class of fewer groups than folds is absent from some folds.
    """
    rng = np.random.default_rng(seed)
    counts = np.zeros((folds_n, int(labels.max(initial=-1)) + 1))
    fold = np.zeros(len(labels), dtype=np.int64)
    members = {group: np.flatnonzero(groups == group) for group in rng.permutation(np.unique(groups))}
    for rows in sorted(members.values(), key=lambda rows: -len(rows)):
        own = np.bincount(labels[rows], minlength=counts.shape[1])
        crowd = counts[:, own > 0].sum(axis=1) + counts.sum(axis=1) / (len(labels) + 1.0)
        best = int(np.argmin(crowd))
        fold[rows] = best
        counts[best] += own
    return fold


def turns(fold: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (rows to learn from, rows to judge on), each fold in turn being judged."""
    for number in np.unique(fold):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)
