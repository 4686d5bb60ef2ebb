"""Failures that went wrong in one way, found without names: new modes, and the modes of earlier turns met again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector

__all__ = ["Cluster", "Found", "KnownMode", "find_modes", "stability"]

FEWEST = 5
FEWEST_SHARE = 0.03
DIMENSIONS = 4
FORESTS, TREES = 10, 20
"""Forests, each against another shuffling: one shuffling alone moves the modes."""
LEAF = 20
FEATURES_SHARE = 0.5
DENSITY = 3
"""Neighbours that make a place dense: small, because a rare cause has few."""
NEAREST = 3
REACH = 0.95
"""A failure joins a mode when it lies no farther from its members than this share of them lie from one another."""
NEW_SHARE = 0.5
"""A dense place of which members of earlier modes are less than this share is a new mode's."""
ALONE = -1


@dataclass(frozen=True)
class KnownMode:
    """A mode of an earlier turn, by members whose features are given beside those of the new failures."""

    id: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Cluster:
    """Failures of one kind: the earlier mode that they belong to ("" for a new one), new members, and the medoid."""

    known: str
    members: tuple[str, ...]
    medoid: str


@dataclass(frozen=True)
class Found:
    """Modes, largest first, and the failures that are like no others yet, in the order given."""

    modes: tuple[Cluster, ...]
    alone: tuple[str, ...]


def find_modes(rows: Mapping[str, Vector], known: Sequence[KnownMode] = ()) -> Found:
    """Group failures by their features; those of an earlier mode join it, those rejected by all are clustered anew.

    Similarity: how often two failures end in the same leaf of a forest that tells them from rows whose columns were
    shuffled apart (Shi and Horvath 2006); it weighs features by how they hang together, and no scale or outlier rules
    it. New modes: the clusters of HDBSCAN (Campello et al. 2013) on its leading coordinates in which members of earlier
    modes are a minority. The rest joins the nearest mode by its nearest members, unless it lies farther from them than
    they lie from one another: the rejected are clustered once more. Ids and the order of rows change nothing.

    Args:
        rows: float64 (D,) by failure, from one `features.describe`: the new ones and the members of known modes.
        known: modes of earlier turns; members without a row are passed over.
    """
    old = {one: place for place, mode in enumerate(known) for one in mode.members if one in rows}
    ids = sorted(rows, key=lambda one: (one not in old, rows[one].tolist()))
    if not len(old) < len(ids):
        return Found((), ())
    places = _coordinates(np.array([rows[one] for one in ids]))
    labels = np.array([old.get(one, ALONE) for one in ids])
    new = np.arange(len(ids)) >= len(old)
    dense = _dense(places, one=False)
    fresh = len(known)
    for number in np.unique(dense[dense != ALONE]):
        inside = dense == number
        if (inside & ~new).sum() < NEW_SHARE * inside.sum() and (inside & new).sum() >= FEWEST:
            labels[inside & new] = fresh
            fresh += 1
    _join(labels, places)
    if old:
        rejected = np.flatnonzero(labels == ALONE)
        again = _dense(places[rejected], one=True)
        labels[rejected[again != ALONE]] = again[again != ALONE] + fresh
    given, place = ({one: index for index, one in enumerate(names)} for names in (rows, ids))
    modes = []
    for label in np.unique(labels[new & (labels != ALONE)]):
        at = np.flatnonzero(new & (labels == label))
        members = tuple(sorted((ids[index] for index in at), key=given.__getitem__))
        named = known[label].id if label < len(known) else ""
        modes.append(Cluster(named, members, ids[at[_medoid(places[at])]]))
    alone = tuple(one for one in rows if one not in old and labels[place[one]] == ALONE)
    return Found(tuple(sorted(modes, key=lambda mode: (-len(mode.members), given[mode.medoid]))), alone)


def stability(rows: Mapping[str, Vector], *, seed: int, draws: int = 5) -> float:
    """Return the mean adjusted Rand index between clusterings of pairs of bootstrap samples; 1 is the same modes.

    Each sample's modes are found without the rest, which then joins them or is rejected; both clusterings are compared
    on all failures, those left alone counting as one cluster.
    """
    from sklearn.metrics import adjusted_rand_score

    ids, rng = list(rows), np.random.default_rng(seed)
    scores = []
    for _ in range(draws):
        first, second = (_partition(rows, ids, np.unique(rng.integers(len(ids), size=len(ids)))) for _ in range(2))
        scores.append(float(adjusted_rand_score(first, second)))
    return float(np.mean(scores))


def _partition(rows: Mapping[str, Vector], ids: Sequence[str], drawn: NDArray[np.int64]) -> list[str]:
    sample = {ids[index]: rows[ids[index]] for index in drawn}
    modes = [KnownMode(one.medoid, one.members) for one in find_modes(sample).modes]
    held = {member: mode.id for mode in modes for member in mode.members}
    rest = {one: row for one, row in rows.items() if one in held or one not in sample}
    joined = {member: mode.known for mode in find_modes(rest, modes).modes for member in mode.members}
    return [held.get(one) or joined.get(one, "") for one in ids]


def _coordinates(table: Vector) -> Vector:
    """Return float64 (n, at most DIMENSIONS): places whose nearness is the forest's similarity."""
    from sklearn.ensemble import RandomForestClassifier

    moving = table[:, np.ptp(table, axis=0) > 0.0]
    if len(table) < 2 * FEWEST or not moving.shape[1]:
        return moving
    real = np.repeat([1, 0], len(moving))
    alike = np.zeros((len(moving), len(moving)))
    for seed in range(FORESTS):
        rng = np.random.default_rng(seed)
        apart = np.column_stack([rng.permutation(column) for column in moving.T])
        forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF, max_features=FEATURES_SHARE, random_state=seed)
        leaves = forest.fit(np.concatenate([moving, apart]), real).apply(moving)
        for leaf in leaves.T:
            alike += leaf[:, None] == leaf[None]
    alike /= FORESTS * TREES
    centred = alike - alike.mean(axis=0) - alike.mean(axis=1)[:, None] + alike.mean()
    size, direction = np.linalg.eigh(centred)
    lead = np.argsort(-size)[:DIMENSIONS]
    places: Vector = direction[:, lead] * np.sqrt(np.maximum(size[lead], 0.0))
    return places


def _dense(places: Vector, *, one: bool) -> NDArray[np.int64]:
    """Return a cluster number for each place, ALONE where it is not dense; `one`: all may be one cluster."""
    fewest = max(FEWEST, int(FEWEST_SHARE * len(places)))
    if len(places) < (fewest if one else 2 * fewest):
        return np.full(len(places), ALONE)
    from sklearn.cluster import HDBSCAN

    found = HDBSCAN(min_cluster_size=fewest, min_samples=DENSITY, allow_single_cluster=one, copy=True).fit_predict(
        places
    )
    return np.asarray(found, dtype=np.int64)


def _join(labels: NDArray[np.int64], places: Vector) -> None:
    """Let what has no label yet join the nearest mode that it lies in the reach of."""
    rest, members = np.flatnonzero(labels == ALONE), np.flatnonzero(labels != ALONE)
    if rest.size and members.size:
        labels[rest] = _joined(places[rest], places[members], labels[members])


def _joined(places: Vector, members: Vector, modes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the nearest mode of each place by its nearest members, ALONE where it lies outside that mode's reach."""
    numbers = np.unique(modes)
    away = np.empty((len(places), len(numbers)))
    reach = np.empty(len(numbers))
    for column, number in enumerate(numbers):
        own = members[modes == number]
        k = min(NEAREST, len(own))
        away[:, column] = np.sort(_distances(places, own), axis=1)[:, :k].mean(axis=1)
        among = np.sort(_distances(own, own), axis=1)[:, 1 : k + 1]
        reach[column] = np.quantile(among.mean(axis=1), REACH) if among.size else 0.0
    best = away.argmin(axis=1)
    inside = away[np.arange(len(places)), best] <= reach[best]
    return np.where(inside, numbers[best], ALONE)


def _distances(one: Vector, other: Vector) -> Vector:
    from scipy.spatial.distance import cdist

    apart: Vector = cdist(one, other)
    return apart


def _medoid(places: Vector) -> int:
    return int(np.argmin(_distances(places, places).sum(axis=1)))
