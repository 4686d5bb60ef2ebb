"""Packs: many small objects in one file, so that opening ten thousand of them is one mapping and not ten thousand.

A pack is immutable and named by its own SHA-256, `packs/<digest>`. It says itself what it holds: members one after the
other, each on a 64-byte border, then their digests in order, where each begins and how long it is, and a closing block
with the table's length and SHA-256. So the index of all packs is the packs: there is nothing to lose or to rebuild.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import Corrupt
from saqiya.stores.disk import disk_errors, map_file, write_all
from saqiya.stores.folder import Home

__all__ = ["FOLDER", "PACK_BYTES", "SMALL_BYTES", "Contents", "Packs", "Place", "cut", "write_pack"]

FOLDER: Final = "packs"
SMALL_BYTES: Final = 1 << 20
"""Objects below this are packed: a larger one is worth a file of its own."""
PACK_BYTES: Final = 1 << 30
"""About how long a pack may get: erasing one member means writing its pack anew."""

_HEAD: Final = b"saqiya.pack.1\n".ljust(64, b"\0")
_BORDER: Final = 64
_TAIL: Final = struct.Struct("<q32s24s")  # members, SHA-256 of the table, magic
_MAGIC: Final = b"saqiya.pack.1.end".ljust(24, b"\0")
_ROW_BYTES: Final = 32 + 8 + 8


class Place(NamedTuple):
    """Where a member lies."""

    pack: str
    start: int
    size: int


@dataclass(frozen=True)
class Contents:
    """A pack's table.

    Attributes:
        pack: its digest.
        digests: S32 (N,), sorted.
        start, size: int64 (N,), where each member lies.
        table: the bytes that the three are views of: numpy drops the zeros that end a digest.
    """

    pack: str
    table: bytes
    digests: NDArray[np.bytes_]
    start: NDArray[np.int64]
    size: NDArray[np.int64]

    def find(self, key: bytes) -> Place | None:
        """Return where the member with these 32 bytes of digest lies."""
        number = bisect_left(range(len(self.digests)), key, key=self._key)
        if number == len(self.digests) or self._key(number) != key:
            return None
        return Place(self.pack, int(self.start[number]), int(self.size[number]))

    def members(self) -> list[str]:
        """Return the members' digests, sorted."""
        return [self._key(number).hex() for number in range(len(self.digests))]

    def _key(self, number: int) -> bytes:
        return bytes(self.table[32 * number : 32 * number + 32])


def write_pack(path: Path, members: Iterable[tuple[str, bytes | memoryview]]) -> str:
    """Write a new pack to `path`, synced, and return its digest. Equal members in equal order give equal bytes."""
    rows: dict[str, tuple[int, int]] = {}
    hasher = hashlib.sha256()
    at = 0
    with disk_errors(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        try:

            def write(data: bytes | memoryview) -> None:
                nonlocal at
                hasher.update(data)
                write_all(handle, data)
                at += len(data)

            write(_HEAD)
            for digest, data in members:
                if digest not in rows:
                    rows[digest] = (at, len(data))
                    write(data)
                    write(bytes(-at % _BORDER))
            table = _table(rows)
            write(table)
            write(_TAIL.pack(len(rows), hashlib.sha256(table).digest(), _MAGIC))
            os.fsync(handle)
        finally:
            os.close(handle)
    return hasher.hexdigest()


def _table(rows: dict[str, tuple[int, int]]) -> bytes:
    names = sorted(rows)
    places = np.array([rows[name] for name in names], dtype="<i8").reshape(-1, 2)
    return b"".join(bytes.fromhex(name) for name in names) + places[:, 0].tobytes() + places[:, 1].tobytes()


def _contents(home: Home, pack: str, size: int) -> Contents:
    name = f"{FOLDER}/{pack}"
    if size < len(_HEAD) + _TAIL.size:
        raise _damaged(pack, "it is too short")
    head, end = home.read(name, [(0, len(_HEAD)), (size - _TAIL.size, size)])
    if head != _HEAD or len(end) != _TAIL.size:
        raise _damaged(pack, "it does not begin like a pack")
    count, check, magic = _TAIL.unpack(end)
    first = size - _TAIL.size - count * _ROW_BYTES
    if magic != _MAGIC or not 0 <= count <= size // _ROW_BYTES or first < len(_HEAD):
        raise _damaged(pack, "it does not end like a pack")
    (table,) = home.read(name, [(first, size - _TAIL.size)])
    if hashlib.sha256(table).digest() != check:
        raise _damaged(pack, "its table is not what it was")
    digests = np.frombuffer(table, dtype="S32", count=count)
    start = np.frombuffer(table, dtype="<i8", count=count, offset=32 * count)
    sizes = np.frombuffer(table, dtype="<i8", count=count, offset=40 * count)
    if count and (start.min() < len(_HEAD) or sizes.min() < 0 or int((start + sizes).max()) > first):
        raise _damaged(pack, "its table names places outside it")
    return Contents(pack, table, digests, start, sizes)


def _damaged(pack: str, what: str) -> Corrupt:
    return Corrupt(
        f"the pack is damaged: {what}", subject=pack, remedy="Run `saqiya verify`, and bring it back from a backup"
    )


class Packs:
    """The packs of a store, their tables in memory, their bytes mapped when they are first asked for."""

    def __init__(self, home: Home, local: Callable[[str, str, int], Path]) -> None:
        """Look at the packs of `home`; `local(name, digest, size)` gives a file with a pack's bytes, to be mapped."""
        self._home, self._local = home, local
        self._contents: dict[str, Contents] | None = None
        self._mapped: dict[str, memoryview] = {}
        self.damaged: dict[str, str] = {}

    def contents(self) -> dict[str, Contents]:
        """Return every readable pack's table, by the pack's digest; what was damaged is in `damaged`."""
        return self._contents if self._contents is not None else self.refresh()

    def refresh(self) -> dict[str, Contents]:
        """Look again which packs there are: other processes make and remove them."""
        known = self._contents or {}
        found: dict[str, Contents] = {}
        self.damaged.clear()
        for name, state in self._home.names(FOLDER):
            pack = name.rpartition("/")[2]
            if pack in known:
                found[pack] = known[pack]
                continue
            try:
                found[pack] = _contents(self._home, pack, state.size_bytes)
            except FileNotFoundError:  # it has just been replaced by another
                continue
            except Corrupt as error:
                self.damaged[pack] = error.what
        self._mapped = {pack: view for pack, view in self._mapped.items() if pack in found}
        self._contents = found
        return found

    def refresh_damaged(self) -> dict[str, str]:
        """Look again at every pack's table, also at those seen before, and say what is wrong with which."""
        self._contents = None
        self.refresh()
        return dict(self.damaged)

    def find(self, digest: str) -> Place | None:
        """Return where an object lies among the packs seen so far, None where it does not."""
        key = bytes.fromhex(digest)
        for contents in self.contents().values():
            place = contents.find(key)
            if place is not None:
                return place
        return None

    def locate(self, digests: NDArray[np.bytes_]) -> tuple[list[str], NDArray[np.int32], NDArray[np.int64]]:
        """Find many objects at once.

        Args:
            digests: S32 (N,), the 32 bytes of each digest.

        Returns:
            The packs that hold any of them; for each object the number of its pack among those, -1 where it is in
            none; and where it begins there, int64 (N,).
        """
        packs: list[str] = []
        which = np.full(len(digests), -1, dtype=np.int32)
        start = np.zeros(len(digests), dtype=np.int64)
        for pack, contents in self.contents().items():
            if not len(contents.digests) or not (which < 0).any():
                continue
            place = np.searchsorted(contents.digests, digests)
            place[place == len(contents.digests)] = 0
            here = (contents.digests[place] == digests) & (which < 0)
            if here.any():
                which[here], start[here] = len(packs), contents.start[place[here]]
                packs.append(pack)
        return packs, which, start

    def view(self, pack: str) -> memoryview:
        """Return a pack's bytes, mapped.

        Raises:
            FileNotFoundError: another process has removed it since.
        """
        view = self._mapped.get(pack)
        if view is None:
            name = f"{FOLDER}/{pack}"
            state = self._home.stat(name)
            if state is None:
                raise FileNotFoundError(name)
            view = map_file(self._local(name, pack, state.size_bytes))
            self._mapped[pack] = view
        return view

    def relax(self) -> None:
        """Take the packs' pages out of this process's memory; they come back from the page cache when they are read."""
        for view in self._mapped.values():
            if isinstance(view.obj, mmap.mmap):
                view.obj.madvise(mmap.MADV_DONTNEED)

    def forget(self, pack: str) -> None:
        """Let go of a pack that is gone."""
        self._mapped.pop(pack, None)
        if self._contents is not None:
            self._contents.pop(pack, None)


def cut(sizes: Sequence[int], most_bytes: int = PACK_BYTES) -> Iterator[slice]:
    """Yield slices of a list of sizes, each of about `most_bytes` in all and none of them empty."""
    first = total = 0
    for number, size in enumerate(sizes):
        if total + size > most_bytes and number > first:
            yield slice(first, number)
            first, total = number, 0
        total += size
    if first < len(sizes):
        yield slice(first, len(sizes))
