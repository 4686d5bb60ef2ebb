"""A dataset version opened for reading, and sealed: its small objects packed, its index made.

Opening reads one derived index and looks up where the packs hold each episode. Rows are read as views of mapped packs,
by byte place, so an open version of ten thousand episodes holds a few megabytes and no object for each of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.nouns import DatasetVersion, Episode
from saqiya.errors import Corrupt, Erased, InvalidEpisode, UnknownId
from saqiya.stores import index as indexes
from saqiya.stores.catalog import Catalog
from saqiya.stores.index import Index, Kind
from saqiya.stores.objects import Objects
from saqiya.stores.streams import Streams

__all__ = ["Column", "Opened", "Sealed", "open_version", "seal"]

_RELAX: Final = 256  # episodes between two times that pages read for an index are let go
_HELD: Final = 256  # objects outside packs that are kept in memory once read


@dataclass(frozen=True)
class Sealed:
    """What sealing did: the new packs, and how many objects they hold."""

    packs: tuple[str, ...]
    objects: int


@dataclass(frozen=True, eq=False)
class Column:
    """Where one stream lies in each of the E episodes.

    Attributes:
        dtype, shape: of one row.
        part: int32 (E,), which part holds the rows, -1 where the episode has no such stream.
        stamps_at, values_at: int64 (E,), the first cell of stamps and values in that part; values at -1 lie packed.
        count: int64 (E,), rows in the episode's range.
        first_ns, last_ns: int64 (E,), their first and last stamp, 0 where there is none.
        cells: opens a part: its bytes as int64 and as `dtype`, two views of one mapping.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    part: NDArray[np.int32]
    stamps_at: NDArray[np.int64]
    values_at: NDArray[np.int64]
    count: NDArray[np.int64]
    first_ns: NDArray[np.int64]
    last_ns: NDArray[np.int64]
    cells: Callable[[int], tuple[NDArray[np.int64], NDArray[Any]]]


class Opened:
    """An open dataset version. Episodes are counted from 0 in the order in which its entries first name them.

    Attributes:
        index: its entries, episodes and streams as arrays.
    """

    def __init__(self, index: Index, objects: Objects, instead: Mapping[str, str]) -> None:
        """Look up where the bytes of `index` lie; use `open_version`. `instead` names objects that were replaced."""
        self.index = index
        self._objects = objects
        self._digest = index.digest.copy() if instead else index.digest
        for old, new in instead.items():
            places = (self._digest == np.frombuffer(bytes.fromhex(old), dtype=np.uint8)).all(axis=1)
            self._digest[places] = np.frombuffer(bytes.fromhex(new), dtype=np.uint8)
        keys = self._digest.reshape(-1).view("S32")
        self._packs, self._pack, self._start = objects.packs.locate(keys)
        alone = np.flatnonzero(self._pack < 0)
        self._pack[alone] = len(self._packs) + np.arange(len(alone), dtype=np.int32)
        self._alone = alone
        self._held: OrderedDict[int, memoryview] = OrderedDict()

    def __len__(self) -> int:
        """How many episodes there are."""
        return len(self.index.digest)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The episodes' ids."""
        width = self.index.id.shape[1]
        return tuple(bytes(one).decode() for one in self.index.id.reshape(-1).view(f"S{width}")) if width else ()

    @property
    def names(self) -> tuple[str, ...]:
        """The streams that some episode has."""
        return tuple(dict.fromkeys(kind.name for kind in self.index.kinds if not kind.camera))

    @property
    def cameras(self) -> tuple[str, ...]:
        """The encoded cameras that some episode has."""
        return tuple(dict.fromkeys(kind.name for kind in self.index.kinds if kind.camera))

    def digest(self, number: int) -> str:
        """Return the digest of the object that an episode's streams are read from."""
        return bytes(self._digest[number]).hex()

    def streams(self, number: int) -> Streams:
        """Return the whole streams object of an episode; its range is `index.start_ns`, `index.end_ns`.

        Raises:
            Corrupt: it is damaged, or gone since the version was opened.
        """
        digest = self.digest(number)
        return Streams(self._objects.view(digest), digest)

    def column(self, name: str) -> Column:
        """Return where a stream's rows, or a camera's stamps, lie in every episode.

        Raises:
            InvalidEpisode: no episode has it, or its rows differ in dtype or shape between episodes.
        """
        found = [(number, kind) for number, kind in enumerate(self.index.kinds) if kind.name == name]
        if len(found) != 1:
            said = ", ".join(f"{kind.dtype} {kind.shape}" for _, kind in found)
            raise InvalidEpisode(
                f"its rows differ between episodes: {said}" if found else "no episode has this stream",
                subject=name,
                remedy="Train on one embodiment at a time" if found else f"There are {', '.join(self.names)[:300]}",
            )
        ((number, kind),) = found
        return self._column(number, kind)

    def _column(self, number: int, kind: Kind) -> Column:
        index, pairs = self.index, slice(int(self.index.first[number]), int(self.index.first[number + 1]))
        episode = index.pair_episode[pairs]
        dtype = np.dtype(kind.dtype)
        part = np.full(len(self), -1, dtype=np.int32)
        part[episode] = self._pack[episode]
        base, values_at = self._start[episode], index.values_at[pairs]

        def spread(values: NDArray[np.int64]) -> NDArray[np.int64]:
            whole = np.zeros(len(self), dtype=np.int64)
            whole[episode] = values
            return whole

        return Column(
            kind.name,
            dtype,
            kind.shape,
            part,
            spread((base + index.t_at[pairs]) // 8),
            spread(np.where(values_at < 0, -1, (base + values_at) // dtype.itemsize)),
            spread(index.count[pairs]),
            spread(index.first_ns[pairs]),
            spread(index.last_ns[pairs]),
            self._cells(dtype),
        )

    def _cells(self, dtype: np.dtype[Any]) -> Callable[[int], tuple[NDArray[np.int64], NDArray[Any]]]:
        packs: dict[int, tuple[NDArray[np.int64], NDArray[Any]]] = {}

        def cells(part: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
            known = packs.get(part)
            if known is None:
                data = self._part(part)
                known = (
                    np.frombuffer(data, dtype=np.int64, count=len(data) // 8),
                    np.frombuffer(data, dtype=dtype, count=len(data) // dtype.itemsize),
                )
                if part < len(self._packs):
                    packs[part] = known
            return known

        return cells

    def _part(self, part: int) -> memoryview:
        if part < len(self._packs):
            try:
                return self._objects.packs.view(self._packs[part])
            except FileNotFoundError as error:
                raise Corrupt(
                    "a pack was written anew since the version was opened",
                    subject=self._packs[part],
                    remedy="Open the version again",
                ) from error
        held = self._held.get(part)
        if held is None:
            held = self._objects.view(self.digest(int(self._alone[part - len(self._packs)])))
            self._held[part] = held
            if len(self._held) > _HELD:
                self._held.popitem(last=False)
        return held


def open_version(catalog: Catalog, objects: Objects, version: str, *, derived: Path) -> Opened:
    """Open a dataset version for reading; its index is made when it is missing.

    Args:
        catalog: where the version is.
        objects: where its bytes are.
        version: its whole id, or its key.
        derived: the workspace's derived folder.

    Raises:
        UnknownId: there is no such version.
        Erased: bytes of one of its episodes were erased.
        Corrupt: an episode's streams are damaged or missing.
    """
    found = catalog.id_of(DatasetVersion, version)
    if found is None:
        raise UnknownId("no dataset version has this id or key", subject=version[:80], remedy="Give the whole id")
    path = derived / "versions" / f"{found}.safetensors"
    index = indexes.read(path, found)
    if index is None:
        index = _build(catalog, objects, found)
        indexes.write(path, index)
    objects.packs.refresh()
    return Opened(index, objects, _instead(catalog, index))


def seal(catalog: Catalog, objects: Objects, version: str, *, derived: Path) -> Sealed:
    """Pack the small streams objects of a version and make its index, so that opening it is quick.

    It may be called again after a crash at any moment, and by several processes at once.

    Raises:
        UnknownId, Erased, Corrupt: as `open_version`.
        StorageFull: no room; what was there stays.
    """
    noun = catalog.get(version, DatasetVersion)
    ids = list(dict.fromkeys(entry.episode for entry in noun.entries))
    digests = list(dict.fromkeys(episode.streams for episode in catalog.each(Episode, ids)))
    erased = catalog.erased(digests)
    present = [catalog.present(digest) if digest in erased else digest for digest in digests]
    packs = objects.pack(present)
    # An erasure that came in between has looked for packs before ours was there, or will find it now.
    late = catalog.erased(present)
    if late:
        objects.expunge(late)
    held = sum(len(objects.packs.contents()[pack].digests) for pack in packs if pack in objects.packs.contents())
    open_version(catalog, objects, noun.id, derived=derived)
    return Sealed(tuple(packs), held)


def _build(catalog: Catalog, objects: Objects, version: str) -> Index:
    noun = catalog.get(version, DatasetVersion)
    ids = list(dict.fromkeys(entry.episode for entry in noun.entries))

    def episodes() -> Iterator[Episode]:
        for number, episode in enumerate(catalog.each(Episode, ids)):
            if number % _RELAX == 0:
                objects.packs.relax()
            yield episode

    if not catalog.has_erased():  # else each is asked for: a tenth of a millisecond
        return indexes.build(noun, episodes(), lambda one: objects.view(one.streams))
    return indexes.build(noun, episodes(), lambda one: catalog.object_view(one.streams, of=one.id))


def _instead(catalog: Catalog, index: Index) -> dict[str, str]:
    """Return which of the version's objects were replaced, and by what.

    Raises:
        Erased: some of its episodes were.
    """
    raw, width = index.digest.tobytes(), index.id.shape[1]
    digests = [raw[at : at + 32].hex() for at in range(0, len(raw), 32)]
    ids = [one.decode() for one in index.id.reshape(-1).view(f"S{width}").tolist()] if width else []
    stones = catalog.erased([*digests, *ids])
    if not stones:
        return {}
    gone = sum(stones.get(digest, "") is None or one in stones for digest, one in zip(digests, ids, strict=True))
    if gone:
        raise Erased(
            f"{gone} of its {len(ids)} episodes were erased on purpose",
            subject=index.version,
            remedy="Mix a version without them",
        )
    replaced = [digest for digest in dict.fromkeys(digests) if digest in stones]
    return {digest: catalog.present(digest) for digest in replaced}
