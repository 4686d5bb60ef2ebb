"""Nearest neighbours: exact while vectors are few, nearly all of them beyond that, and never a wrong distance."""

import sys

import numpy as np
import pytest

from saqiya.errors import UsageError
from saqiya.models import index as module
from saqiya.models.index import index_of


def crowds(n, width, *, seed):
    """Vectors in 40 crowds that are long in a few directions, as descriptors of tries are."""
    rng = np.random.default_rng(seed)
    middle, shape = rng.normal(size=(40, width)), rng.normal(size=(40, 6, width)) * 0.3
    crowd = rng.integers(0, 40, n)
    return (middle[crowd] + np.einsum("nk,nkd->nd", rng.normal(size=(n, 6)), shape[crowd])).astype(np.float32)


def nearest_of(vectors, asked, k):
    far = np.sqrt(((asked[:, None].astype(np.float64) - vectors[None]) ** 2).sum(axis=2))
    order = np.argsort(far, axis=1)[:, :k]
    return order, np.take_along_axis(far, order, axis=1)


@pytest.fixture
def small(monkeypatch):
    """Let some thousand vectors be many."""
    monkeypatch.setattr(module, "EXACT_UP_TO_N", 1000)


def test_few_vectors_are_all_compared():
    vectors, asked = crowds(500, 8, seed=1), crowds(20, 8, seed=2)
    places, distances = index_of(vectors).search(asked, 5)
    truth, apart = nearest_of(vectors, asked, 5)
    assert np.array_equal(places, truth)
    assert distances == pytest.approx(apart, rel=1e-6)


def test_many_vectors_are_found_at_the_recall_asked_for_among_a_part(small):
    vectors, asked = crowds(6000, 16, seed=1), crowds(300, 16, seed=1)[:300]
    asked = asked + np.random.default_rng(3).normal(0.0, 0.05, asked.shape).astype(np.float32)
    index = index_of(vectors, recall=0.95)
    assert 0 < index.probed_n < index.lists_n
    places, distances = index.search(asked, 10)
    truth, apart = nearest_of(vectors, asked, 10)
    hits = [len(set(a) & set(b)) / 10 for a, b in zip(places.tolist(), truth.tolist(), strict=True)]
    assert np.mean(hits) >= 0.95
    same = places == truth
    assert distances[same] == pytest.approx(apart[same], rel=1e-6)


def test_equal_seeds_give_equal_indexes(small):
    vectors = crowds(3000, 8, seed=4)
    one, two = (index_of(vectors, seed=7) for _ in range(2))
    assert np.array_equal(one.search(vectors[:50], 5)[0], two.search(vectors[:50], 5)[0])


def test_many_equal_vectors_do_not_hide_one_another(small):
    vectors = np.repeat(crowds(20, 8, seed=5), 100, axis=0)
    assert (index_of(vectors).search(vectors[::100], 30)[1] == 0.0).all()


def test_where_there_are_fewer_the_rest_says_so():
    places, distances = index_of(crowds(2, 4, seed=0)).search(crowds(3, 4, seed=1), 4)
    assert (places[:, 2:] == -1).all()
    assert np.isinf(distances[:, 2:]).all()
    assert index_of(np.zeros((0, 4))).search(np.zeros((2, 4)), 3)[0].tolist() == [[-1] * 3] * 2


def test_without_the_library_it_says_what_to_install(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UsageError, match=r"pip install 'saqiya\[index\]'"):
        index_of(crowds(2000, 4, seed=0))
    assert index_of(crowds(900, 4, seed=0)).lists_n == 0
