"""Batches in an order that a seed fixes, resumable from a few numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from saqiya.errors import UsageError
from saqiya.torch.windows import Room, Tensors, Windows
from saqiya.views.plan import Blocks, drawn, permuted
from saqiya.views.reader import Pool

__all__ = ["Loader", "Order"]

_AHEAD: Final = 8192


@dataclass(frozen=True, kw_only=True)
class Order:
    """Which sample comes when; equal orders of equal data give equal epochs on every machine.

    Attributes:
        how: "global", every sample once an epoch in a random order, whatever the number of workers;
            "blocks", every sample once, neighbours read together and mixed through a pool: several times as fast with
            video. No two neighbours share a batch while the pool has others (`saqiya.views.plan.mixing` measures it),
            but they come within a few dozen batches of each other;
            "weighted", as many draws as there are samples, with replacement, by weight: batches then say weight 1;
            "given", one after the other.
        seed: of the shuffle; each epoch has its own.
        pool: samples that "blocks" mixes through.
        rank, ranks: which of how many processes this is: no two get the same sample.
    """

    how: Literal["global", "blocks", "weighted", "given"] = "global"
    seed: int = 0
    pool: int = 512
    rank: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        """Refuse ranks and pools that cannot be."""
        if self.how not in {"global", "blocks", "weighted", "given"}:
            raise UsageError(f"no order is called {self.how!r}", remedy="There are: global, blocks, weighted, given")
        if not 0 <= self.rank < self.ranks:
            raise UsageError(f"rank {self.rank} of {self.ranks} does not exist", remedy="Count ranks from 0")
        if self.pool < 1:
            raise UsageError(f"a pool of {self.pool} mixes nothing", remedy="Give it a few hundred samples")

    def epoch_seed(self, epoch: int) -> int:
        """Return the seed of an epoch."""
        return int(np.random.SeedSequence([self.seed % (1 << 128), epoch]).generate_state(1, np.uint64)[0])


class _Positions:
    """The batches of one epoch as arrays of sample numbers: made when they are asked for."""

    def __init__(self, windows: Windows, batch: int, order: Order, *, epoch: int, skip: int, drop_last: bool) -> None:
        self._windows, self._batch, self._order = windows, batch, order
        self._epoch, self._skip = epoch, skip
        total = len(windows)
        mine = total // order.ranks if drop_last else len(range(order.rank, total, order.ranks))
        self._count = mine // batch * batch if drop_last else mine

    def __len__(self) -> int:
        return max(0, math.ceil(self._count / self._batch))

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        order, step = self._order, max(1, _AHEAD // self._batch) * self._batch
        seed, samples = order.epoch_seed(self._epoch), self._windows.reader.samples
        for low in range(self._skip * self._batch, self._count, step):
            position = np.arange(low, min(low + step, self._count)) * order.ranks + order.rank
            if order.how == "global":
                position = permuted(position, len(samples), seed)
            elif order.how == "weighted":
                position = drawn(position, samples, seed)
            for first in range(0, len(position), self._batch):
                yield position[first : first + self._batch]


class _Mapped(Dataset[Tensors]):
    """Windows by whole batches: what a DataLoader without batching of its own indexes."""

    def __init__(self, windows: Windows, *, weightless: bool) -> None:
        self._windows, self._weightless = windows, weightless

    def __getitem__(self, samples: NDArray[np.int64]) -> Tensors:
        tensors = self._windows.__getitems__(samples).tensors
        if self._weightless:
            tensors["weight"] = torch.ones_like(tensors["weight"])
        return tensors


class _Streamed(IterableDataset[tuple[int, Tensors]]):
    """One epoch of blocks; each worker reads blocks of its own, and says whose each batch is."""

    def __init__(
        self, windows: Windows, blocks: Blocks, batch: int, order: Order, *, seed: int, done: tuple[int, ...]
    ) -> None:
        self._windows, self._blocks, self._batch = windows, blocks, batch
        self._order, self._seed, self._done = order, seed, done

    def __iter__(self) -> Iterator[tuple[int, Tensors]]:
        info = get_worker_info()
        shares = len(self._done)
        # A DataLoader takes batches from its workers in turns: whoever comes next starts.
        mine = ((0 if info is None else info.id) + sum(self._done)) % shares
        pool = Pool(self._windows.reader, self._blocks, capacity=max(1, self._order.pool // shares))
        batches = pool.batches(
            self._batch,
            seed=self._seed,
            share=(self._order.rank * shares + mine, self._order.ranks * shares),
            skip=self._done[mine],
            room=Room,
        )
        for columns, room in batches:
            yield mine, self._windows.tensors_of(columns, room)


def _as_it_is(batch: Any) -> Any:  # noqa: ANN401 - what a DataLoader passes through
    return batch


class Loader:
    """Batches of tensors, one epoch at each `iter`; `state_dict` says where it stands, in a few numbers.

    Attributes:
        epoch: of the next batch.
    """

    def __init__(
        self,
        windows: Windows,
        batch: int,
        *,
        order: Order,
        workers: int = 0,
        drop_last: bool = False,
        context: str | None = None,
    ) -> None:
        """See `Windows.loader`."""
        if batch < 1 or workers < 0:
            raise UsageError(f"{batch} samples a batch by {workers} workers", remedy="Use at least 1 and 0")
        self._windows, self._batch, self._order = windows, batch, order
        self._workers, self._drop_last, self._context = workers, drop_last, context
        self._blocks: Blocks | None = None
        self.epoch = 0
        self._done = self._none_done()

    def __len__(self) -> int:
        """How many batches the epoch has, from its beginning."""
        if self._order.how != "blocks":
            return len(self._positions(skip=0))
        return self._block_batches()

    def __iter__(self) -> Iterator[Tensors]:
        """Give the rest of the epoch; the next `iter` is the next epoch."""
        tally, batches = self._windows.source.tally, self._batches()
        return batches if tally is None else tally(batches, lambda tensors: len(tensors["t_ns"]))

    def _batches(self) -> Iterator[Tensors]:
        rest = len(self) - sum(self._done)
        source = self._streamed() if self._order.how == "blocks" else self._mapped()
        for worker, tensors in source:
            if rest <= 0:
                break
            rest -= 1
            self._done = tuple(n + (place == worker) for place, n in enumerate(self._done))
            if not rest:
                self._end()
            yield tensors
        if rest > 0:
            self._end()

    def state_dict(self) -> dict[str, Any]:
        """Return where it stands: give it to `load_state_dict` of a loader that was made alike."""
        return {**self._made(), "epoch": self.epoch, "done": list(self._done)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the last batch that the loader of `state` gave.

        Raises:
            UsageError: that loader had other data, another order or batch; for blocks, other workers.
        """
        made = self._made()
        wrong = sorted(name for name in made if state.get(name) != made[name])
        if wrong or not {"epoch", "done"} <= set(state):
            said = ", ".join(f"{name} {state.get(name)!r} there, {made[name]!r} here" for name in wrong)
            raise UsageError(
                f"the state is of another loader: {said or 'it is incomplete'}",
                remedy="Make the loader as it was, or begin anew",
            )
        done = tuple(int(n) for n in state["done"])
        if len(done) != len(self._done):
            raise UsageError("the state is of another loader: other workers", remedy="Use as many workers as before")
        self.epoch, self._done = int(state["epoch"]), done

    def _made(self) -> dict[str, Any]:
        blocks = self._order.how == "blocks"
        return {
            "source": self._windows.source.name,
            "samples": len(self._windows),
            "batch": self._batch,
            "drop_last": self._drop_last,
            **asdict(self._order),
            **({"workers": max(1, self._workers)} if blocks else {}),
        }

    def _end(self) -> None:
        self.epoch, self._done = self.epoch + 1, self._none_done()

    def _none_done(self) -> tuple[int, ...]:
        return (0,) * (max(1, self._workers) if self._order.how == "blocks" else 1)

    def _positions(self, *, skip: int) -> _Positions:
        return _Positions(
            self._windows, self._batch, self._order, epoch=self.epoch, skip=skip, drop_last=self._drop_last
        )

    def _mapped(self) -> Iterator[tuple[int, Tensors]]:
        dataset = _Mapped(self._windows, weightless=self._order.how == "weighted")
        for tensors in self._loaded(dataset, sampler=self._positions(skip=sum(self._done))):
            yield 0, tensors

    def _streamed(self) -> Iterator[tuple[int, Tensors]]:
        dataset = _Streamed(
            self._windows,
            self._known_blocks(),
            self._batch,
            self._order,
            seed=self._order.epoch_seed(self.epoch),
            done=self._done,
        )
        for worker, tensors in self._loaded(dataset):
            if not self._drop_last or len(tensors["t_ns"]) == self._batch:
                yield worker, tensors

    def _loaded(self, dataset: Dataset[Any], **more: Any) -> DataLoader[Any]:  # noqa: ANN401 - DataLoader's own
        return DataLoader(
            dataset,
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=self._workers,
            multiprocessing_context=self._context if self._workers else None,
            **more,
        )

    def _known_blocks(self) -> Blocks:
        if self._blocks is None:
            self._blocks = self._windows.blocks()
        return self._blocks

    def _block_batches(self) -> int:
        """Count the epoch's batches: those of each worker, and with `drop_last` as many as the poorest rank has."""
        blocks, workers = self._known_blocks(), len(self._done)
        shares = self._order.ranks * workers
        order = permuted(np.arange(len(blocks)), len(blocks), self._order.epoch_seed(self.epoch))
        samples = np.bincount(np.arange(len(blocks)) % shares, weights=blocks.count[order], minlength=shares)
        whole = samples.astype(np.int64).reshape(self._order.ranks, workers)
        if self._drop_last:
            return int((whole // self._batch).sum(axis=1).min())
        return int((-(-whole // self._batch)).sum(axis=1)[self._order.rank])
