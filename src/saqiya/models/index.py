"""Nearest neighbours among many vectors: compared with all while they are few, through an inverted file beyond that.

An index is derived: it is made from vectors in seconds to minutes, and nothing rests on it alone. Whatever it proposes
is compared again exactly, in double precision, so that it can miss a neighbour but never misjudge a distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.errors import UsageError

__all__ = ["EXACT_UP_TO_N", "Index", "everything", "index_of"]

EXACT_UP_TO_N = 16_384
"""Up to here all are compared; it takes a second or two for each of them and needs no library."""
SPARE = 2
"""For one neighbour asked for, so many are proposed: eight bits a number, or single precision, confuse close ones."""
SPARE_N = 10
POINTS_PER_LIST_N = 64
TUNING_N = 400
TUNED_K = 10
ROUNDS_N = 10
BLOCK_BYTES = 1 << 26


class _Proposes(Protocol):
    def __call__(self, asked: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """Return the places of about the `k` nearest vectors, int64 (q, k); -1 where there are fewer."""


@dataclass(frozen=True)
class Index:
    """Finds the nearest of many vectors; see `index_of`.

    Attributes:
        vectors: float32 (n, D), as given; they are not copied.
        lists_n: parts that they are sorted into; 0 where all are compared.
        probed_n: parts that a search looks into.
        tuned: recall of the 10 nearest that tuning measured on vectors left out of it; 1.0 where all are compared.
    """

    vectors: NDArray[np.float32]
    lists_n: int
    probed_n: int
    tuned: float
    _propose: _Proposes

    def search(self, asked: NDArray[np.floating], k: int) -> tuple[NDArray[np.int64], Vector]:
        """Return the places and the distances of the nearest vectors, int64 and float64 (q, k), nearest first.

        Args:
            asked: (q, D); a vector that is in the index finds itself.
            k: how many; where there are fewer, the places that are left are -1 and their distances infinite.
        """
        wanted = min(SPARE * k + SPARE_N, len(self.vectors))
        places = np.full((len(asked), k), -1, dtype=np.int64)
        distances = np.full((len(asked), k), np.inf)
        step = max(1, BLOCK_BYTES // (16 * max(1, wanted * self.vectors.shape[1])))
        for at in range(0, len(asked) if wanted else 0, step):
            block = np.ascontiguousarray(asked[at : at + step], dtype=np.float32)
            proposed = self._propose(block, wanted)
            exact = _distances(self.vectors, block, proposed)
            order = np.argsort(exact, axis=1, kind="stable")[:, :k]
            distances[at : at + step, : order.shape[1]] = np.take_along_axis(exact, order, axis=1)
            places[at : at + step, : order.shape[1]] = np.take_along_axis(proposed, order, axis=1)
        return places, distances


def index_of(vectors: NDArray[np.floating], *, recall: float = 0.97, seed: int = 0) -> Index:
    """Make an index.

    Above `EXACT_UP_TO_N` it is an inverted file (Jegou, Douze, Schmid 2011; faiss): k-means parts the vectors into
    about sqrt(n) lists, eight bits a number; a search looks into the nearest few lists. How many is measured: vectors
    that took no part in k-means ask for their nearest others, and lists are added until the recall, less two standard
    errors, is what was asked for. So to build grows as n^1.5, and a search as n^.5 where comparing all grows as n.

    Args:
        vectors: finite (n, D).
        recall: share of the 10 nearest that a search has to find, for queries that are like the vectors.
        seed: draws what k-means and tuning look at.

    Raises:
        UsageError: there are more than `EXACT_UP_TO_N` and faiss is not installed.
    """
    held = np.ascontiguousarray(vectors, dtype=np.float32)
    if len(held) <= EXACT_UP_TO_N:
        return everything(held)
    faiss = _faiss(len(held))
    lists_n = int(np.sqrt(len(held)))
    drawn = np.random.default_rng(seed).permutation(len(held))[: TUNING_N + POINTS_PER_LIST_N * lists_n]
    tuning, learning = held[drawn[:TUNING_N]], held[np.sort(drawn[TUNING_N:])]
    width = held.shape[1]
    lists = faiss.IndexFlatL2(width)
    eight_bits = faiss.ScalarQuantizer.QT_8bit
    searched = faiss.IndexIVFScalarQuantizer(lists, width, lists_n, eight_bits, faiss.METRIC_L2)
    searched.cp.seed, searched.cp.niter = seed, ROUNDS_N
    searched.cp.max_points_per_centroid = POINTS_PER_LIST_N
    searched.train(learning)
    searched.add(held)

    def propose(asked: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        found: NDArray[np.int64] = searched.search(asked, k)[1]
        return found

    reach = everything(held).search(tuning, TUNED_K + 1)[1][:, -1:]
    searched.nprobe = 1
    while True:
        found = Index(held, lists_n, searched.nprobe, 1.0, propose).search(tuning, TUNED_K + 1)[1]
        share = ((found <= reach).sum(axis=1) - 1).clip(0) / TUNED_K  # each finds itself; by distance, for ties
        surely = share.mean() - 2.0 * share.std() / np.sqrt(len(share))
        if surely >= recall or searched.nprobe >= lists_n:
            return Index(held, lists_n, searched.nprobe, float(share.mean()), propose)
        searched.nprobe = min(lists_n, searched.nprobe + max(1, searched.nprobe // 2))


def everything(vectors: NDArray[np.floating]) -> Index:
    """Make an index that compares with all, however many they are: the truth that others are measured by."""
    held = np.ascontiguousarray(vectors, dtype=np.float32)
    return Index(held, 0, 0, 1.0, _Everything(held))


class _Everything:
    """Proposes by comparing with all, in single precision."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors
        self._half = 0.5 * np.einsum("nd,nd->n", vectors, vectors)

    def __call__(self, asked: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """Go through the vectors in blocks and keep the best so far."""
        step = max(k, BLOCK_BYTES // (4 * max(1, len(asked))))
        places = np.zeros((len(asked), 0), dtype=np.int64)
        closeness = np.zeros((len(asked), 0), dtype=np.float32)
        for at in range(0, len(self._vectors), step):
            near = asked @ self._vectors[at : at + step].T - self._half[at : at + step]
            top = np.argpartition(near, max(0, near.shape[1] - k), axis=1)[:, -k:]
            places = np.concatenate([places, top + at], axis=1)
            closeness = np.concatenate([closeness, np.take_along_axis(near, top, axis=1)], axis=1)
        best = np.argpartition(closeness, max(0, closeness.shape[1] - k), axis=1)[:, -k:]
        return np.take_along_axis(places, best, axis=1)


def _distances(vectors: NDArray[np.float32], asked: NDArray[np.float32], places: NDArray[np.int64]) -> Vector:
    apart = vectors[places].astype(np.float64) - asked[:, None].astype(np.float64)
    exact: Vector = np.sqrt(np.einsum("qkd,qkd->qk", apart, apart))
    exact[places < 0] = np.inf
    return exact


def _faiss(n: int) -> Any:  # noqa: ANN401 - a library without types
    try:
        import faiss
    except ImportError as error:
        raise UsageError(
            f"to search among {n:,} vectors faiss is needed, and it is not installed",
            subject="index",
            remedy="pip install 'saqiya[index]'",
        ) from error
    return faiss
