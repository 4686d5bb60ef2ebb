"""Which samples there are, and which comes when: an index of spans, and orders that are functions of a seed.

Nothing here is as long as the data set has steps: samples are counted by entry, a shuffle is a permutation that is
computed where it is asked, and the state to resume from is a few numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import UsageError

__all__ = ["Anchored", "Blocks", "Ints", "Samples", "Stamped", "blocks_of", "drawn", "mixing", "permuted", "samples_of"]

_ROUNDS: Final = 6
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)

Ints = NDArray[np.int64]


class Stamped(Protocol):
    """What samples can be anchored at: a stream or a camera over E episodes."""

    @property
    def count(self) -> Ints:
        """Rows of each episode, (E,)."""

    def bounds(self) -> tuple[Ints, Ints]:
        """First and last stamp of each episode, (E,) each."""

    def stamps(self, episode: int) -> Ints:
        """An episode's stamps, (T,)."""

    def stamps_of(self, episode: Ints, row: Ints) -> Ints:
        """The stamps of rows, (B,), one an episode."""

    def search(self, episode: Ints, query_ns: Ints, side: str) -> Ints:
        """`searchsorted(side)` of queries, (B,) or (B, n), among the stamps of each one's episode."""


@dataclass(frozen=True, eq=False)
class Anchored:
    """Where samples stand: entry (N,), episode (N,), moment t_ns (N,), row of the anchor (N,), -1 at a rate."""

    entry: Ints
    episode: Ints
    t_ns: Ints
    row: Ints


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of a dataset version, numbered entry by entry in the order of time.

    Attributes:
        episode: int64 (N,), the episode of each entry.
        start_ns, end_ns: int64 (N,), its span.
        weight: float64 (N,), of each of its samples.
        base: int64 (N,), the anchor's first row inside the span; 0 at a rate.
        ends: int64 (N,), the number of samples up to and with each entry.
        anchor: the stream or camera whose stamps are the moments, or None.
        rate_hz: ticks from each span's start, where there is no anchor.
    """

    episode: Ints
    start_ns: Ints
    end_ns: Ints
    weight: NDArray[np.float64]
    base: Ints
    ends: Ints
    anchor: Stamped | None
    rate_hz: float = 0.0

    def __len__(self) -> int:
        """How many samples there are."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def at(self, sample: Ints) -> Anchored:
        """Return where samples stand.

        Args:
            sample: int64 (B,), numbers in [0, len).
        """
        entry = self.ends.searchsorted(sample, "right")
        nth = sample - np.where(entry > 0, self.ends[entry - 1], 0)
        episode = self.episode[entry]
        if self.anchor is None:
            t_ns = self.start_ns[entry] + np.rint(nth * (1e9 / self.rate_hz)).astype(np.int64)
            return Anchored(entry, episode, t_ns, np.full(len(sample), -1, dtype=np.int64))
        row = self.base[entry] + nth
        return Anchored(entry, episode, self.anchor.stamps_of(episode, row), row)

    def starts(self) -> Ints:
        """Return the number of each entry's first sample, (N,)."""
        return np.concatenate(([0], self.ends[:-1])).astype(np.int64)


def samples_of(
    episode: Ints,
    start_ns: Ints,
    end_ns: Ints,
    weight: NDArray[np.float64],
    *,
    anchor: Stamped | None,
    rate_hz: float = 0.0,
) -> Samples:
    """Count the samples of each entry: at every stamp of the anchor inside `[start_ns, end_ns)`, or at a rate.

    An entry that holds all of its episode costs no look at its stamps.

    Raises:
        UsageError: neither anchor nor rate, a weight below zero, or no sample at all.
    """
    if (weight < 0).any() or not np.isfinite(weight).all():
        raise UsageError("a weight is negative or not finite", remedy="Give every entry a weight of at least 0")
    if anchor is None:
        if not rate_hz > 0:
            raise UsageError("samples stand at a stream's stamps or at a rate", remedy="Name an anchor or a rate in Hz")
        base = np.zeros(len(episode), dtype=np.int64)
        # Ticks are rounded to nanoseconds: the count is settled by looking at the last one, not by dividing.
        count = np.ceil((end_ns - start_ns) * (rate_hz / 1e9)).astype(np.int64) + 1
        for _ in range(3):
            late = (count > 0) & (np.rint((count - 1) * (1e9 / rate_hz)).astype(np.int64) >= end_ns - start_ns)
            count = count - late
    else:
        first, last = (bound[episode] for bound in anchor.bounds())
        base, count = np.zeros(len(episode), dtype=np.int64), anchor.count[episode].copy()
        for entry in np.flatnonzero((count > 0) & ((start_ns > first) | (end_ns <= last))).tolist():
            stamps = anchor.stamps(int(episode[entry]))
            low, high = stamps.searchsorted([start_ns[entry], end_ns[entry]], "left").tolist()
            base[entry], count[entry] = low, max(0, high - low)
    count = np.where(weight > 0, count, 0)  # what weighs nothing is not a sample
    if not count.sum():
        raise UsageError("no sample lies in the spans", remedy="Choose an anchor that has stamps inside them")
    return Samples(episode, start_ns, end_ns, weight, base, np.cumsum(count), anchor, rate_hz)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter 64-bit numbers: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    half: NDArray[np.uint64] = (values ^ (values >> np.uint64(30))) * _FIRST
    whole: NDArray[np.uint64] = (half ^ (half >> np.uint64(27))) * _SECOND
    scattered: NDArray[np.uint64] = whole ^ (whole >> np.uint64(31))
    return scattered


def _keys(seed: int, count: int) -> NDArray[np.uint64]:
    return np.random.SeedSequence(seed % (1 << 128)).generate_state(count, np.uint64).astype(np.uint64)


def permuted(position: Ints, count: int, seed: int) -> Ints:
    """Return the elements at positions of a random order of `range(count)`, without making the order.

    A generalised Feistel network on a grid of about sqrt(count) by sqrt(count) with cycle walking (Black and Rogaway,
    CT-RSA 2002): a permutation for each seed. It looks random to any test we know of sensible size; it is no cipher.

    Args:
        position: int64 (B,), in [0, count).
        count: how many elements.
        seed: any integer; equal seeds give equal orders on every machine.
    """
    side = int(np.ceil(np.sqrt(count)))
    while side * side < count:
        side += 1
    keys = _keys(seed, _ROUNDS)
    modulus = np.uint64(max(side, 1))
    found = position.astype(np.uint64)
    walking = np.arange(len(found))
    while len(walking):
        left, right = np.divmod(found[walking], modulus)
        for key in keys:
            left, right = right, (left + _mixed(right * _GOLDEN + key) % modulus) % modulus
        found[walking] = left * modulus + right
        walking = walking[found[walking] >= np.uint64(count)]
    return found.astype(np.int64)


def drawn(position: Ints, samples: Samples, seed: int) -> Ints:
    """Return samples drawn with replacement, each with a chance proportional to its weight.

    The draw at a position depends on the seed and the position alone.

    Raises:
        UsageError: all weights are zero.
    """
    start = samples.starts()
    mass = np.cumsum(samples.weight * (samples.ends - start))
    if not len(mass) or not mass[-1] > 0:
        raise UsageError("all weights are zero", remedy="Draw without weights, or weigh something")
    first, second = _keys(seed, 2)
    ticket = position.astype(np.uint64) * _GOLDEN
    share = (_mixed(ticket + first) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    entry = np.minimum(mass.searchsorted(share * mass[-1], "right"), len(mass) - 1)
    spread = (_mixed(ticket + second) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    count = samples.ends[entry] - start[entry]
    found: Ints = start[entry] + np.minimum((spread * count).astype(np.int64), count - 1)
    return found


@dataclass(frozen=True, eq=False)
class Blocks:
    """Runs of neighbouring samples that are cheap to read together: `[start, start + count)`, int64 (K,) each."""

    start: Ints
    count: Ints

    def __len__(self) -> int:
        """How many blocks there are."""
        return len(self.start)

    def mixed(
        self, *, seed: int, capacity: int, apart: int = 0, share: tuple[int, int] = (0, 1)
    ) -> Iterator[tuple[Ints, Ints]]:
        """Yield what to read next and what to give out then; every sample of this share is given exactly once.

        Blocks are read in random order without replacement into a pool. Whenever the pool holds more than `capacity`
        samples, that many leave it, chosen evenly among those whose block has given nothing for a while.

        Args:
            seed: of the epoch; equal seeds give equal orders on every machine.
            capacity: of the pool, in samples.
            apart: samples of one block are at least this far from each other where the pool has other blocks: with the
                size of a batch, a batch holds no two neighbours.
            share: (number, of how many): the blocks at every how-manyth place of the order; shares have none in common.

        Yields:
            The next block's samples (none when all are read), and samples that were read and now leave, in order.
        """
        number, shares = share
        pool = _Pool(np.random.default_rng([seed % (1 << 128), number, shares]), apart)
        mine = np.arange(number, len(self), shares)
        for low in range(0, len(mine), _AHEAD):
            for block in permuted(mine[low : low + _AHEAD], len(self), seed).tolist():
                samples = np.arange(self.start[block], self.start[block] + self.count[block])
                pool.add(samples, block)
                yield samples, pool.leave(len(pool) - capacity)
        yield np.empty(0, dtype=np.int64), pool.leave(len(pool))


class _Pool:
    """Samples that wait, each with its block, and when each block last gave one."""

    def __init__(self, draw: np.random.Generator, apart: int) -> None:
        self._draw, self._apart = draw, apart
        self._samples: list[int] = []
        self._blocks: list[int] = []
        self._last: dict[int, int] = {}
        self._given = 0

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, samples: Ints, block: int) -> None:
        self._samples += samples.tolist()
        self._blocks += [block] * len(samples)
        self._last[block] = self._given - self._apart

    def leave(self, count: int) -> Ints:
        """Let `count` samples go, none where it is negative."""
        found = np.empty(max(0, count), dtype=np.int64)
        for place in range(count):
            chosen = self._chosen()
            found[place] = self._samples[chosen]
            self._last[self._blocks[chosen]] = self._given
            self._given += 1
            for one in (self._samples, self._blocks):
                one[chosen] = one[-1]
                one.pop()
        if len(self._last) > 2 * len(self._samples) + _AHEAD:
            self._last = {block: self._last[block] for block in set(self._blocks)}
        return found

    def _chosen(self) -> int:
        """Choose a sample: the first drawn whose block rested for long enough, else the best rested of those drawn."""
        best, rested = 0, -1
        for place in self._draw.integers(len(self._samples), size=_DRAWS if self._apart else 1).tolist():
            rest = self._given - self._last[self._blocks[place]]
            if rest >= self._apart:
                return int(place)
            if rest > rested:
                best, rested = place, rest
        return best


_DRAWS: Final = 16
_AHEAD: Final = 1024


def blocks_of(samples: Samples, begins: Callable[[int], Ints] | None, *, longest: int) -> Blocks:
    """Cut every entry into blocks: where a group of pictures begins, or evenly.

    Args:
        samples: the index.
        begins: for an episode, the stamps at which a new group of pictures begins, int64; None: none is known.
        longest: no block is longer than this many samples.
    """
    starts, counts = [], []
    first = samples.starts()
    for entry in range(len(samples.episode)):
        low, high = int(first[entry]), int(samples.ends[entry])
        if low == high:
            continue
        cuts = np.arange(low, high, longest)
        if begins is not None:
            moments = _moments(samples, entry)
            heads = np.unique(moments.searchsorted(begins(int(samples.episode[entry])), "left"))
            heads = np.concatenate(([0], heads[(heads > 0) & (heads < high - low)])) + low
            sizes = np.diff(np.append(heads, high))
            if sizes.max() > longest:
                cuts = np.concatenate([
                    np.arange(head, head + size, longest) for head, size in zip(heads, sizes, strict=True)
                ])  # fmt: skip
            else:
                cuts = heads
        starts.append(cuts)
        counts.append(np.diff(np.append(cuts, high)))
    return Blocks(np.concatenate(starts), np.concatenate(counts))


def _moments(samples: Samples, entry: int) -> Ints:
    """Return the moments of all samples of an entry."""
    count = int(samples.ends[entry] - (samples.ends[entry - 1] if entry else 0))
    if samples.anchor is None:
        ticks: Ints = samples.start_ns[entry] + np.rint(np.arange(count) * (1e9 / samples.rate_hz)).astype(np.int64)
        return ticks
    base = int(samples.base[entry])
    return samples.anchor.stamps(int(samples.episode[entry]))[base : base + count]


def mixing(group: Sequence[int] | Ints, batch: int) -> float:
    """Return how well batches are mixed: 1.0 as by a global shuffle, 1/batch when each batch is one group.

    Let s be the chance that two samples of a batch come from one group (a GOP, an episode). Were samples of a group
    equal, a batch would be worth batch / (1 + (batch - 1) s) independent samples (the design effect: Kish, Survey
    Sampling, 1965). This is that worth relative to batches drawn evenly from the whole.

    Args:
        group: the group of each sample in the order they come, over whole batches.
        batch: samples a batch; a last, shorter batch is left out.
    """
    groups = np.unique(np.asarray(group), return_inverse=True)[1]
    total = len(groups)
    sizes = np.bincount(groups).astype(np.float64)
    overall = float((sizes * (sizes - 1)).sum() / (total * (total - 1)))
    same = []
    for low in range(0, total - batch + 1, batch):
        inside = np.bincount(groups[low : low + batch])
        same.append(float((inside * (inside - 1)).sum()) / (batch * (batch - 1)))
    return (1 + (batch - 1) * overall) / (1 + (batch - 1) * float(np.mean(same)))
