"""The map-style dataset: samples by number, whole batches at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, get_worker_info

from saqiya.domain.logged import ClockMap
from saqiya.views.plan import Blocks
from saqiya.views.reader import Columns, Reader
from saqiya.views.source import Source
from saqiya.views.windows import Window

if TYPE_CHECKING:
    from saqiya.torch.loader import Loader, Order

__all__ = ["Batch", "Room", "Tensors", "Windows", "collate"]

_LONGEST: Final = 64
Tensors = dict[str, Any]


class Batch(Sequence[Tensors]):
    """Samples read together. `collate` takes their tensors as they are; each sample by itself is a view of them."""

    def __init__(self, tensors: Tensors) -> None:
        """Wrap tensors whose first axis counts samples, and lists as long."""
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors["t_ns"])

    def __getitem__(self, number: Any) -> Any:  # noqa: ANN401 - a sample, or for a slice a list of them
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        return {name: column[number] for name, column in self.tensors.items()}


def collate(batch: Batch | Sequence[Tensors]) -> Tensors:
    """Return the tensors of a batch, with no copy where it comes from `Windows`: the `collate_fn` for a DataLoader."""
    if isinstance(batch, Batch):
        return batch.tensors
    from torch.utils.data import default_collate

    collated: Tensors = default_collate(list(batch))
    return collated


class Windows(Dataset[Tensors]):
    """A dataset version as a map-style dataset of windows; `loader` gives it in any order, also by whole batches.

    A sample has, for each window, the tensor `name` (steps, ...) and `name/pad`, bool (steps,), True where a step is
    padding. Pictures are uint8 (steps, 3, H, W) (laid out in memory with channels last, as FFmpeg gives them), depth
    is uint16 (steps, H, W). And: `task` (text), `weight` (float64), `episode` (id) and `t_ns` (int64): its lineage.
    """

    def __init__(
        self,
        source: Source,
        windows: Mapping[str, Window],
        *,
        at: str | float,
        threads: int = 1,
    ) -> None:
        """Open a version; nothing is read before a sample is asked for.

        Args:
            source: what to train on.
            windows: by the name of the stream or camera: a `History` for what a policy sees, a `Chunk` for what it is
                to predict.
            at: the stream or camera at whose stamps samples stand, or a rate in Hz.
            threads: of the video decoder; one is the cheapest per picture.

        Raises:
            UsageError: an unknown name, no window, or no sample.
        """
        self.reader = Reader(source, windows, at=at, threads=threads)
        self.source = source

    def __len__(self) -> int:
        return len(self.reader.samples)

    def __getitem__(self, sample: int) -> Tensors:
        if not -len(self) <= sample < len(self):
            raise IndexError(sample)
        found: Tensors = self.__getitems__([sample % len(self)])[0]
        return found

    def __getitems__(self, samples: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Read many samples at once; a DataLoader asks for whole batches here."""
        room = Room()
        return Batch(self.tensors_of(self.reader.columns(np.asarray(samples, dtype=np.int64), room), room))

    def loader(
        self,
        batch: int,
        *,
        order: Order | None = None,
        workers: int = 0,
        drop_last: bool = False,
        context: str | None = None,
    ) -> Loader:
        """Return batches of this dataset, epoch after epoch, that can be resumed from a small state.

        Args:
            batch: samples a batch.
            order: which sample comes when; None: a global shuffle with seed 0.
            workers: processes that read; 0: this one.
            drop_last: leave out the last batch of an epoch where it is shorter; with ranks, every rank then gives
                equally many.
            context: how workers are started: "fork", "spawn" or "forkserver"; None: Python's default.
        """
        from saqiya.torch.loader import Loader, Order

        return Loader(self, batch, order=order or Order(), workers=workers, drop_last=drop_last, context=context)

    @property
    def clock_maps(self) -> dict[str, dict[str, ClockMap]]:
        """Which clock map each stream was read through, by window and episode; {} where none was needed."""
        episodes = self.source.episodes
        maps = {name: one.clock_maps for name, one in self.reader.opened.items() if one.clock_maps}
        return {name: {episodes[number]: one for number, one in found.items()} for name, found in maps.items()}

    def blocks(self) -> Blocks:
        """Return runs of neighbouring samples that share a group of pictures; each track is looked at once."""
        return self.reader.blocks(longest=_LONGEST)

    def tensors_of(self, columns: Columns, room: Room) -> Tensors:
        """Turn columns into tensors, none copied; ids and task texts into lists."""
        episode = columns.pop("episode").tolist()
        found: Tensors = {}
        pictures = self.reader.pictures
        for name, column in columns.items():
            tensor = room.tensor(column)
            found[name] = tensor.movedim(-1, -3) if name in pictures else tensor
        found["task"] = [self.source.tasks[one] for one in episode]
        found["episode"] = [self.source.episodes[one] for one in episode]
        return found


class Room:
    """Makes arrays for one batch, and remembers the tensors that they are views of.

    In a worker they lie in memory that is shared with the process it works for, so that sending them copies nothing.
    """

    def __init__(self) -> None:
        self._made: dict[int, torch.Tensor] = {}

    def __call__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Make an array."""
        if get_worker_info() is None:
            return np.empty(shape, dtype)
        empty = torch.from_numpy(np.empty(0, dtype))
        count = math.prod(shape)
        # The one way to make shared memory without copying into it; torch's own collate function takes it too.
        storage = torch.UntypedStorage._new_shared(count * dtype.itemsize)  # type: ignore[no-untyped-call] # noqa: SLF001
        shared = empty.new_empty(0).set_(storage, 0, shape, torch.empty(shape, device="meta").stride())
        array: NDArray[Any] = shared.numpy()
        self._made[id(array)] = shared
        return array

    def tensor(self, array: NDArray[Any]) -> torch.Tensor:
        """Return an array as a tensor, without a copy."""
        made = self._made.get(id(array))
        return torch.from_numpy(array) if made is None else made
