"""A dataset version of a workspace as a source of windows; worker processes open it for themselves."""

from __future__ import annotations

import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.ids import Clock
from saqiya.domain.logged import ClockMap
from saqiya.domain.media import Video
from saqiya.domain.nouns import DatasetVersion, Episode
from saqiya.errors import UnknownId, UsageError
from saqiya.views.frames import dtype_of, shape_of
from saqiya.views.reel import Reel
from saqiya.views.shelf import Cells, Shelf
from saqiya.views.source import Source

if TYPE_CHECKING:
    from saqiya.stores.catalog import Catalog
    from saqiya.stores.opened import Opened
    from saqiya.stores.streams import Streams
    from saqiya.stores.workspace import Workspace

__all__ = ["open_version"]

T = TypeVar("T")
_HELD: Final = 8
_HELD_ROWS: Final = 128  # opened tries of a packed stream: a megabyte each at most, or a file descriptor
_SETTINGS: Final = "saqiya.toml"


def open_version(
    root: str | Path,
    version: str | DatasetVersion = "",
    *,
    clock: str = "",
    now: Clock = time.time_ns,  # noqa: TID251 - a training loop has no other door to the real clock
) -> Source:
    """Open a dataset version of the workspace in `root`; `Workspace.seal` makes this a matter of milliseconds.

    Args:
        root: the workspace's folder.
        version: the version, its id, key or a unique part of its id; "" is the newest.
        clock: the clock that all stamps are read on. "" leaves each stream on its own; else streams of other clocks go
            through the newest clock map of their recording, and where there is none they are refused.
        now: what time it is, for the store.

    Raises:
        NoWorkspace, UnknownId, Erased, Corrupt: it cannot be opened.
    """
    held = _Version(str(root), "", clock, now)
    held.version = _id(held.store().catalog, version)
    opened = held.opened()
    index = opened.index
    return Source(
        name=index.version,
        episodes=opened.ids,
        tasks=_Tasks(index.tasks, index.task),
        episode=index.entry_episode.astype(np.int64),
        start_ns=index.entry_start_ns,
        end_ns=index.entry_end_ns,
        weight=index.entry_weight,
        streams=frozenset(opened.names),
        cameras=frozenset(opened.cameras),
        shelf=held.shelf,
        reel=held.reel,
        tally=held.tally,
    )


def _id(catalog: Catalog, version: str | DatasetVersion) -> str:
    if isinstance(version, DatasetVersion):
        return version.id
    if version:
        found = catalog.id_of(DatasetVersion, version)
        return catalog.get(version, DatasetVersion).id if found is None else found
    newest = catalog.last(DatasetVersion)
    if newest is None:
        raise UnknownId("the workspace has no dataset version", remedy="Make one of the episodes to train on")
    return newest.id


class _Tasks:
    """Task texts by episode, from the few there are."""

    def __init__(self, texts: tuple[str, ...], which: NDArray[np.int32]) -> None:
        self._texts, self._which = texts, which

    def __getitem__(self, episode: int) -> str:
        return self._texts[int(self._which[episode])]


class _Version:
    """An open version. What is open belongs to one process; another one opens its own, by the same path and id."""

    def __init__(self, root: str, version: str, clock: str, now: Clock) -> None:
        self.root, self.version, self.clock, self.now = root, version, clock, now
        self._process = 0
        self._store: Workspace | None = None
        self._parents: list[Workspace] = []
        self._opened: Opened | None = None
        self._episodes: dict[int, Episode] | None = None
        self._known: dict[tuple[str, str], ClockMap] = {}
        self._streams: OrderedDict[int, Streams] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """Take along where it is, and nothing that is open."""
        return {
            **self.__dict__,
            "_process": 0,
            "_store": None,
            "_parents": [],
            "_opened": None,
            "_streams": OrderedDict(),
        }

    def store(self) -> Workspace:
        """Return the workspace, opened by this very process: a connection to SQLite does not survive a fork."""
        if self._store is None or self._process != os.getpid():
            from saqiya.stores.workspace import Workspace

            if self._store is not None:  # the parent's: closing it here would end transactions that are not ours
                self._parents.append(self._store)
            root = Path(self.root)
            if (root / _SETTINGS).exists():  # else there is nothing to read, and reading takes a heavy import
                from saqiya.loop.config import read_store

                self._store = read_store(root / _SETTINGS).opened(root, clock=self.now, entropy=secrets.token_bytes)
            else:
                self._store = Workspace.open(root, clock=self.now, entropy=secrets.token_bytes)
            self._process = os.getpid()
        return self._store

    def opened(self) -> Opened:
        """Return the version's index and bytes; mappings are shared with forked workers."""
        if self._opened is None:
            self._opened = self.store().opened(self.version)
        return self._opened

    def tally(self, batches: Iterator[T], samples: Callable[[T], int]) -> Iterator[T]:
        """Pass batches on, and note in the workspace's ledger how many samples came and how long they took."""
        from saqiya.stores.ledger import Ledger, delivering

        ledger = Ledger(self.store().derived)
        return delivering(batches, ledger, clock=self.now, dataset=self.version, samples=samples)

    def shelf(self, name: str) -> Shelf:
        """Return where a stream lies in every episode."""
        column = self.opened().column(name)
        return Shelf(
            name=name,
            dtype=column.dtype,
            shape=column.shape,
            part=column.part,
            stamps_at=column.stamps_at,
            values_at=column.values_at,
            count=column.count,
            first_ns=column.first_ns,
            last_ns=column.last_ns,
            cells=_Cells(self, name),
            clock_maps=self._maps(name),
            unpack=_Rows(self, name) if (column.values_at < 0).any() else None,
        )

    def reel(self, name: str) -> Reel:
        """Return a camera of every episode; its pictures' shape is looked up in the first that has any."""
        column = self.opened().column(name)
        there = np.flatnonzero(column.count > 0)
        if not len(there):
            raise UsageError("the camera has no picture in this version", subject=name, remedy="Leave it out")
        track = self.opened().streams(int(there[0])).track(name)
        return Reel(
            name,
            shape_of(track),
            dtype_of(track),
            column.count,
            column.first_ns,
            column.last_ns,
            _Camera(self, name),
            self._maps(name),
        )

    def video(self, number: int, name: str) -> Video:
        """Open an episode's video, or the rows of a stream that lies packed.

        Opening the version made sure that none of its episodes was erased, so the catalog is asked only where packets
        lie in an original that was linked in place.
        """
        streams = self._streams.get(number)
        if streams is None:
            streams = self._streams[number] = self.opened().streams(number)
            if len(self._streams) > _HELD:
                self._streams.popitem(last=False)
        store, index, digest = self.store(), self.opened().index, streams.media[name]
        if not store.objects.has(digest):
            read = store.packed if name in streams.packed else store.videos
            return read(store.catalog.get(self.opened().ids[number], Episode))[name]
        track = streams.track(name).between(int(index.start_ns[number]), int(index.end_ns[number]))
        return Video(track, store.objects.view(digest))

    def _maps(self, name: str) -> dict[int, ClockMap]:
        """Return by episode the map that a stream's stamps go through to the version's clock.

        Raises:
            UsageError: a stream lies on another clock, and no map leads from it.
        """
        if not self.clock:
            return {}
        catalog = self.store().catalog
        if self._episodes is None:
            self._episodes = dict(enumerate(catalog.each(Episode, self.opened().ids)))
            newest = catalog.all(ClockMap)
            self._known = {(one.recording, one.source): one for one in newest if one.target == self.clock}
        found = {}
        for number, episode in self._episodes.items():
            clocks = {one.name: one.clock for one in episode.infos} | {one.name: one.clock for one in episode.media}
            source = clocks.get(name, self.clock)
            if source == self.clock:
                continue
            maps = [self._known[one, source] for one in episode.recordings if (one, source) in self._known]
            if not maps:
                raise UsageError(
                    f"no clock map leads from {source!r} to {self.clock!r}",
                    subject=f"{name} of {episode.id}",
                    remedy="Ingest makes clock maps where two clocks can be told apart; or read on each stream's own",
                )
            found[number] = maps[-1]
        return found


class _Cells:
    """Opens the parts of one stream, in whatever process it is asked."""

    def __init__(self, version: _Version, name: str) -> None:
        self._version, self._name = version, name
        self._open: Callable[[int], Cells] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what is open."""
        return {**self.__dict__, "_open": None}

    def __call__(self, part: int) -> Cells:
        if self._open is None:
            self._open = self._version.opened().column(self._name).cells
        return self._open(part)


class _Camera:
    """Opens the videos of one camera, in whatever process it is asked."""

    def __init__(self, version: _Version, name: str) -> None:
        self._version, self._name = version, name

    def __call__(self, episode: int) -> Video:
        return self._version.video(episode, self._name)


class _Rows:
    """Unpacks rows of one stream, in whatever process it is asked; what it opened last stays open."""

    def __init__(self, version: _Version, name: str) -> None:
        self._version, self._name = version, name
        self._kept: OrderedDict[int, Video] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what is open."""
        return {**self.__dict__, "_kept": OrderedDict()}

    def __call__(self, episode: int, rows: Sequence[int]) -> Iterator[NDArray[Any]]:
        from saqiya.stores.packed import unpack

        video = self._kept.pop(episode, None) or self._version.video(episode, self._name)
        self._kept[episode] = video
        if len(self._kept) > _HELD_ROWS:
            self._kept.popitem(last=False)
        return unpack(video, rows, subject=self._name)
