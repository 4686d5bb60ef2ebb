"""Study `neighbours`: near-duplicates among a million vectors, and copies among thousands of tries, in what time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Figure, Measured, at_least, at_most, shown
from benchmarks.studies._kept import Kept
from benchmarks.studies._tries import COPIES, Tries, reach
from saqiya.measure.near import distances, near_copies
from saqiya.measure.outline import Outline, outline
from saqiya.models.groups import earliest
from saqiya.models.index import everything, index_of

COMMAND = "make study ONLY=neighbours"
FIRST_SEED = 20261121
SIZES = {10_000: 8, 100_000: 8, 1_000_000: 3}
"""Vectors, and seeds: a million takes minutes each."""
WIDTHS = (64, 384)
CROWDS_N, STRANGE_N, DEEP = 1000, 100, 12
ASKED_N, K = 300, 10
TRIES = {250: 8, 1000: 8, 4000: 2}
VERSION = "2"


def run(*, quick: bool) -> Iterator[Figure]:
    kept, first = Kept("neighbours-quick" if quick else "neighbours"), 900 if quick else FIRST_SEED
    yield from _copies(kept, {100: 2, 250: 2} if quick else TRIES, first)
    yield from _vectors(kept, {10_000: 2, 50_000: 2} if quick else SIZES, first)


def _vectors(kept: Kept, sizes: dict[int, int], first: int) -> Iterator[Figure]:
    for n, seeds_n in sizes.items():
        for width in WIDTHS:
            seeds = range(first, first + seeds_n)
            units = [kept.unit(f"v{VERSION}/{n}/{width}/{seed}", partial(_searched, n, width, seed)) for seed in seeds]
            prefix = f"neighbours.{n}.{width}d"
            for asked in ("copies", "fresh"):
                for at in ("1", "10"):
                    measured = _mean([one[asked][at] for one in units])
                    yield at_least(f"{prefix}.{asked}.recall@{at}", measured, 0.95, command=COMMAND)
            for name in ("strange_10", "build_s", "index_ms", "index_one_ms", "brute_ms", "brute_one_ms", "probed"):
                yield shown(f"{prefix}.{name}", _mean([one[name] for one in units]), command=COMMAND)
    n = min(100_000, max(sizes))
    seeds = range(first, first + 2)
    noise = [kept.unit(f"v{VERSION}/noise/{n}/{seed}", partial(_shapeless, n, seed)) for seed in seeds]
    for name in ("recall", "probed", "index_ms", "brute_ms"):
        yield shown(f"neighbours.{n}.64d.shapeless.{name}", _mean([one[name] for one in noise]), command=COMMAND)


def _drawer(width: int, rng: np.random.Generator, crowds_n: int) -> Callable[[int], NDArray[np.float32]]:
    """Return what draws vectors in crowds: sizes fall off as rank^-.7; each is long in 12 directions, else thin."""
    middle = rng.normal(size=(crowds_n, width)).astype(np.float32)
    long = (0.35 * np.exp(-np.arange(DEEP) / 4.0)).astype(np.float32)[:, None]
    shape = rng.normal(size=(crowds_n, DEEP, width)).astype(np.float32) * long
    share = np.arange(1, crowds_n + 1) ** -0.7

    def draw(n: int) -> NDArray[np.float32]:
        crowd = np.sort(rng.choice(crowds_n, n, p=share / share.sum()))
        made = rng.normal(0.0, 0.03, (n, width)).astype(np.float32)
        for one in np.unique(crowd):
            first, last = np.searchsorted(crowd, [one, one + 1])
            made[first:last] += middle[one] + rng.normal(size=(last - first, DEEP)).astype(np.float32) @ shape[one]
        return made[rng.permutation(n)]

    return draw


def _searched(n: int, width: int, seed: int) -> dict[str, Any]:
    """Build an index; ask for copies of what it holds, fresh vectors of its crowds, and vectors of other crowds."""
    with _one_thread():
        rng = np.random.default_rng([seed, n, width])
        draw = _drawer(width, rng, CROWDS_N)
        held = draw(n)
        again = rng.choice(n, (2, n // 20), replace=False)
        held[again[1]] = _copied(held[again[0]], rng)
        index, build_s = _timed(lambda: index_of(held, seed=seed))
        brute = everything(held)
        asked = {
            "copies": _copied(held[rng.choice(n, ASKED_N, replace=False)], rng),
            "fresh": draw(ASKED_N),
            "strange": _drawer(width, rng, STRANGE_N)(ASKED_N),
        }
        found, index_s = _timed(lambda: {name: index.search(one, K)[1] for name, one in asked.items()})
        truth, brute_s = _timed(lambda: {name: brute.search(one, K)[1] for name, one in asked.items()})
        few = asked["fresh"][:20]
        _, one_s = _timed(lambda: [index.search(one[None], K) for one in few])
        _, brute_one_s = _timed(lambda: [brute.search(one[None], K) for one in few])
    recall = {name: {str(k): _recall(found[name], truth[name], k) for k in (1, K)} for name in asked}
    return {
        "copies": recall["copies"],
        "fresh": recall["fresh"],
        "strange_10": recall["strange"][str(K)],
        "build_s": build_s,
        "index_ms": 1e3 * index_s / (3 * ASKED_N),
        "brute_ms": 1e3 * brute_s / (3 * ASKED_N),
        "index_one_ms": 1e3 * one_s / len(few),
        "brute_one_ms": 1e3 * brute_one_s / len(few),
        "probed": index.probed_n / index.lists_n if index.lists_n else 1.0,
    }


def _shapeless(n: int, seed: int) -> dict[str, Any]:
    """The control: independent normal numbers, which no index can sort."""
    with _one_thread():
        rng = np.random.default_rng([seed, n])
        held, asked = rng.normal(size=(n, 64)).astype(np.float32), rng.normal(size=(ASKED_N, 64)).astype(np.float32)
        index = index_of(held, seed=seed)
        found, index_s = _timed(lambda: index.search(asked, K)[1])
        truth, brute_s = _timed(lambda: everything(held).search(asked, K)[1])
    return {
        "recall": _recall(found, truth, K),
        "probed": index.probed_n / max(1, index.lists_n),
        "index_ms": 1e3 * index_s / ASKED_N,
        "brute_ms": 1e3 * brute_s / ASKED_N,
    }


def _copied(vectors: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Near copies: every number off by a hundredth of what vectors differ by."""
    return vectors + rng.normal(0.0, 0.01, vectors.shape).astype(np.float32)


def _recall(found: NDArray[np.float64], truth: NDArray[np.float64], k: int) -> float:
    """Share of the k nearest that were found, by distance, so that ties count."""
    return float((found[:, :k] <= truth[:, k - 1 : k] * (1 + 1e-9)).mean())


def _copies(kept: Kept, sizes: dict[int, int], first: int) -> Iterator[Figure]:
    for who, people in (("people", True), ("script", False)):
        for n, seeds_n in sizes.items():
            seeds = range(first, first + seeds_n)
            unit = f"c{VERSION}/{who}/{n}"
            units = [kept.unit(f"{unit}/{seed}", partial(_marked, n, seed, people=people)) for seed in seeds]
            prefix = f"copies.{n}.{who}"
            kinds = [name for name in COPIES if name != "all at once"]
            every = _mean([float(np.mean([one["found"][name] for name in kinds])) for one in units])
            wrong = _mean([one["wrong"] for one in units])
            if people:
                yield at_least(f"{prefix}.found", every, 0.95, command=COMMAND)
                yield at_least(f"{prefix}.auroc", _mean([one["auroc"] for one in units]), 0.99, command=COMMAND)
            else:
                yield shown(f"{prefix}.found", every, command=COMMAND)
                yield shown(f"{prefix}.auroc", _mean([one["auroc"] for one in units]), command=COMMAND)
            yield at_most(f"{prefix}.others_marked", wrong, 0.01, command=COMMAND)
            for name in COPIES:
                yield shown(f"{prefix}.found.{name}", _mean([one["found"][name] for one in units]), command=COMMAND)
            for name in ("nearby", "seconds", "outline_s", "pairs_each"):
                yield shown(f"{prefix}.{name}", _mean([one[name] for one in units]), command=COMMAND)


def _marked(n: int, seed: int, *, people: bool) -> dict[str, Any]:
    """Look for copies among n tries, of which a fifth are copies, and as many again begin 1 cm beside another one."""
    with _one_thread():
        rng = np.random.default_rng([seed, n, people])
        few = max(2, n // 40)
        own = n - few * (len(COPIES) + 1)
        starts = rng.uniform(-0.15, 0.15, (own, 4))
        tries: list[Tries] = [reach(rng, people=people, start=start) for start in starts]
        source = {}
        for name, copy in COPIES.items():
            for one in rng.choice(own, few, replace=False):
                source[len(tries)] = (int(one), name)
                tries.append(copy(tries[one], rng))
        for one in rng.choice(own, few, replace=False):
            source[len(tries)] = (int(one), "nearby")
            tries.append(reach(rng, people=people, start=starts[one] + rng.uniform(-0.01, 0.01, 4)))
        names = sorted(tries[0])
        drawn, outline_s = _timed(lambda: [_outline(one, names) for one in tries])
        found, seconds = _timed(lambda: near_copies(drawn, seed=seed))
    first = earliest((one.first, one.second) for one in found.pairs)
    joined: dict[str, list[bool]] = {}
    for one, (origin, name) in source.items():
        joined.setdefault(name, []).append(first.get(one, one) == first.get(origin, origin))
    return {
        "found": {name: float(np.mean(joined[name])) for name in COPIES},
        "nearby": float(np.mean(joined["nearby"])),
        "wrong": float(np.mean([first.get(one, one) != one for one in range(own)])),
        "auroc": _auroc(drawn, source),
        "seconds": seconds,
        "outline_s": outline_s,
        "pairs_each": found.compared_n / len(tries),
    }


def _auroc(drawn: Sequence[Outline], source: dict[int, tuple[int, str]]) -> float:
    """How well the distance to where it comes from tells copies from other tries that begin beside it."""
    pairs = [(origin, one) for one, (origin, _) in source.items()]
    other = np.array([name == "nearby" for _, name in source.values()])
    far = distances(drawn, pairs)
    return float((far[~other][:, None] < far[other][None]).mean())


def _outline(tries: Tries, names: Sequence[str]) -> Outline:
    drawn = outline(tries, names)
    assert drawn is not None
    return drawn


def _timed(do: Callable[[], Any]) -> tuple[Any, float]:
    """Return what was made, and the seconds of one core that it took: others' load does not count."""
    began = time.process_time()
    made = do()
    return made, time.process_time() - began


def _one_thread() -> Any:  # noqa: ANN401 - a library without types
    import faiss
    from threadpoolctl import threadpool_limits

    faiss.omp_set_num_threads(1)
    return threadpool_limits(1)


def _mean(values: Sequence[float]) -> Measured:
    """The mean over seeds with Student's 95 % interval."""
    from scipy import stats

    mean = float(np.mean(values))
    if len(values) < 2 or np.ptp(values) == 0.0:
        return Measured(mean, mean, mean, len(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return Measured(mean, mean - half, mean + half, len(values))
