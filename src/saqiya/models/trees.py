"""Gradient boosted trees as flat arrays: learned with scikit-learn, carried and evaluated without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector

__all__ = ["Trees", "grow"]

ROUNDS_N = 100
RATE = 0.1
COLUMNS_SHARE = 0.25
LEAVES_N = 8
LEAF_ROWS_N = 5
RIDGE = 1.0
BLOCK_N = 4096
"""Rows that are evaluated together: enough to hide numpy's overhead, few enough to stay in the cache."""


@dataclass(frozen=True)
class Trees:
    """A sum of small decision trees over a row's columns: the log-odds that its label is true.

    Nodes of all trees lie in one list. At a node the row goes left where its value is at most the threshold, or where
    it is missing (NaN) and the node says so. A leaf is its own child, so every row can be led down equally far.

    Attributes:
        feature: int64 (n,), the column a node looks at.
        threshold: float64 (n,).
        left, right: int64 (n,), the children.
        missing_left: bool (n,).
        value: float64 (n,), what a leaf adds; at an inner node the mean of what the training rows below it got.
        root: int64 (k,), the first node of each tree.
        start: float64 (1,), the log-odds before any tree.
        depth: int64 (1,), of the deepest tree.
    """

    feature: NDArray[np.int64]
    threshold: Vector
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    missing_left: NDArray[np.bool_]
    value: Vector
    root: NDArray[np.int64]
    start: Vector
    depth: NDArray[np.int64]

    def log_odds(self, rows: Vector) -> Vector:
        """Return float64 (t,) for rows float64 (t, D); NaN is a missing value."""
        parts = [self._sum(rows[first : first + BLOCK_N]) for first in range(0, len(rows), BLOCK_N)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def shares(self, row: Vector) -> Vector:
        """Return what each column of one row (D,) adds to its log-odds, float64 (D,).

        A step down a tree changes the mean of the training rows that went the same way; the change belongs to the
        column that was looked at (Saabas 2014). With `start` and the roots' values the shares add up to the log-odds.
        """
        found, node = np.zeros(len(row)), self.root
        for _ in range(int(self.depth[0])):
            below = self._next(node, row[self.feature[node]])
            np.add.at(found, self.feature[node], self.value[below] - self.value[node])
            node = below
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what makes them again with `of_arrays`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Trees:
        """Make the trees again from `arrays`."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    def _sum(self, rows: Vector) -> Vector:
        node = np.broadcast_to(self.root, (len(rows), len(self.root)))
        at = np.arange(len(rows))[:, None]
        for _ in range(int(self.depth[0])):
            node = self._next(node, rows[at, self.feature[node]])
        total: Vector = self.start[0] + self.value[node].sum(axis=1)
        return total

    def _next(self, node: NDArray[np.int64], values: Vector) -> NDArray[np.int64]:
        goes_left = (values <= self.threshold[node]) | (np.isnan(values) & self.missing_left[node])
        return np.where(goes_left, self.left[node], self.right[node])


def grow(rows: Vector, labels: NDArray[np.bool_]) -> Trees:
    """Learn log-odds of `labels` from rows by gradient boosting on histograms (Ke et al. 2017).

    The learner is scikit-learn's `HistGradientBoostingClassifier`; its probabilities are those of the trees returned.
    Equal arguments give equal trees.

    Args:
        rows: float64 (n, D); NaN is a missing value.
        labels: bool (n,), both values present.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    learner = HistGradientBoostingClassifier(
        max_iter=ROUNDS_N,
        learning_rate=RATE,
        max_features=COLUMNS_SHARE,
        max_leaf_nodes=LEAVES_N,
        min_samples_leaf=LEAF_ROWS_N,
        l2_regularization=RIDGE,
        early_stopping=False,
        random_state=0,
    )
    with threadpool_limits(1):  # small histograms: a second thread costs more than it brings
        learner.fit(rows, labels)
    return _flat([stage[0].nodes for stage in learner._predictors], float(learner._baseline_prediction[0, 0]))  # noqa: SLF001 - scikit-learn offers no other way to its trees


def _flat(trees: list[NDArray[Any]], start: float) -> Trees:
    sizes = np.array([len(nodes) for nodes in trees])
    root = np.cumsum(sizes) - sizes
    nodes = np.concatenate(trees)
    own, offset = np.arange(len(nodes)), np.repeat(root, sizes)
    leaf = nodes["is_leaf"].astype(bool)
    left = np.where(leaf, own, offset + nodes["left"])
    right = np.where(leaf, own, offset + nodes["right"])
    value, count = nodes["value"].copy(), nodes["count"].astype(np.float64)
    for node in own[~leaf][::-1]:  # children come after their parent
        below = [left[node], right[node]]
        value[node] = np.average(value[below], weights=count[below])
    return Trees(
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=np.where(leaf, 0.0, nodes["num_threshold"]),
        left=left,
        right=right,
        missing_left=nodes["missing_go_to_left"].astype(bool),
        value=value,
        root=root,
        start=np.array([start]),
        depth=np.array([int(nodes["depth"].max())]),
    )
