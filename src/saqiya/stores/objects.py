"""Content-addressed objects: immutable bytes under their own SHA-256, `ab/cdef...`, alone or in a pack.

Local disk and bucket run this same code; what differs is the home that the bytes live in. `put` returns when the bytes
are there for good, and only then may a catalog row name the digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from saqiya.domain.ids import digest_of
from saqiya.errors import Corrupt, UnknownId
from saqiya.stores.cache import Cache
from saqiya.stores.disk import map_file, read_spans
from saqiya.stores.folder import Folder, Home, Stat
from saqiya.stores.packs import FOLDER, PACK_BYTES, SMALL_BYTES, Packs, cut, write_pack

__all__ = ["Objects"]

T = TypeVar("T")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PIECE_BYTES: Final = 8 << 20
_AT_ONCE: Final = 16


class Objects:
    """The object store of a workspace. Any number of processes may use it at once.

    Attributes:
        root, incoming: the local folder, and where bytes lie until they are whole.
        home: where the bytes live.
        packs: small objects that were packed together.
    """

    def __init__(self, root: Path, *, home: Home | None = None, cache: Cache | None = None) -> None:
        """Open the store in a local folder, or in another `home`, whose bytes are copied into `cache` to be mapped."""
        self.root = root
        self._folder = Folder(root)
        self.incoming = self._folder.incoming
        self.home: Home = home or self._folder
        self._cache = cache or Cache(root.parent / "derived" / "objects")
        self.packs = Packs(self.home, self._local)

    def put(self, data: bytes | memoryview) -> str:
        """Store `data` for good and return its digest; bytes that are already here are not written again.

        Raises:
            StorageFull: no room; nothing of it stays.
        """
        return self.put_many([data])[0]

    def put_many(self, batch: Sequence[bytes | memoryview]) -> list[str]:
        """Store many objects for about the price of a few, and return their digests in order.

        Raises:
            StorageFull: no room; objects already under their final names stay as unreferenced whole objects.
        """
        digests = [digest_of(data) for data in batch]
        unique = {digest: memoryview(data).cast("B") for digest, data in zip(digests, batch, strict=True)}
        self.home.put_all({_name(digest): data for digest, data in unique.items()})
        return digests

    def put_file(self, source: Path) -> str:
        """Copy the file `source` into the store and return its digest.

        Raises:
            StorageFull: no room; nothing of it stays.
            Corrupt: it changed meanwhile.
        """
        return self.home.put_file(source, _name)

    def path(self, digest: str) -> Path:
        """Return a file with an object's bytes, which must not be changed; what has none of its own is copied.

        Raises:
            UnknownId: `digest` is not a SHA-256 in 64 hex digits.
            Corrupt: the object is not here.
        """
        name = _name(digest)
        path = self.home.path(name)
        if path is not None and path.is_file():
            return path
        copy = self._cache.get(digest)
        if copy is not None:
            return copy
        return self._either(
            lambda state: path or self._local(name, digest, state.size_bytes),
            lambda view: self._cache.add(digest, iter([bytes(view)])),
            digest,
        )

    def view(self, digest: str) -> memoryview:
        """Return an object's bytes, mapped or, when they are few, read.

        Raises:
            UnknownId: `digest` is not a SHA-256 in 64 hex digits.
            Corrupt: the object is not here.
        """
        name = _name(digest)
        copy = self._cache.get(digest) if self.home.path(name) is None else None

        def alone(state: Stat) -> memoryview:
            return map_file(self._local(name, digest, state.size_bytes))

        return map_file(copy) if copy is not None else self._either(alone, lambda view: view, digest)

    def ranges(self, digest: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return half-open ranges of an object: from a local file, or over the network with few requests.

        Raises:
            UnknownId: `digest` is not a SHA-256 in 64 hex digits.
            Corrupt: the object is not here, or ends before a range does.
        """
        copy = self._cache.get(digest) if self.home.path(_name(digest)) is None else None
        try:
            found = read_spans(copy, spans) if copy is not None else self.home.read(_name(digest), spans)
        except FileNotFoundError:
            view = self.view(digest)
            found = [bytes(view[start:end]) for start, end in spans]
        if any(len(data) != end - start for data, (start, end) in zip(found, spans, strict=True)):
            raise Corrupt("it ends before it should", subject=digest, remedy="Run `saqiya verify`")
        return found

    def has(self, digest: str) -> bool:
        """Say whether the object is here, alone or in a pack."""
        return not self.missing([digest])

    def missing(self, digests: Sequence[str]) -> list[str]:
        """Return those of some objects that are not here; packs are looked at anew for what seems to be missing."""
        return [digest for digest, stamp in self.stamps(digests).items() if stamp is None]

    def stamps(self, digests: Sequence[str]) -> dict[str, str | None]:
        """Return for each object what changes when its bytes may have changed, None where it is not here."""
        states = self.home.stat_all([_name(digest) for digest in digests])
        found = {digest: state.stamp if state else None for digest, state in zip(digests, states, strict=True)}
        gone = [digest for digest, stamp in found.items() if stamp is None]
        if gone:
            self.packs.refresh()
        places = {digest: place for digest in gone if (place := self.packs.find(digest)) is not None}
        names = sorted({place.pack for place in places.values()})
        packs = dict(zip(names, self.home.stat_all([f"{FOLDER}/{pack}" for pack in names]), strict=True))
        for digest, place in places.items():
            state = packs[place.pack]
            found[digest] = f"{place.pack}:{place.start}:{state.stamp}" if state else None
        return found

    def sizes(self, digests: Sequence[str]) -> dict[str, int]:
        """Return how many bytes each object has; 0 for what is not here."""
        states = self.home.stat_all([_name(digest) for digest in digests])
        found = {}
        for digest, state in zip(digests, states, strict=True):
            place = self.packs.find(digest) if state is None else None
            found[digest] = state.size_bytes if state else place.size if place else 0
        return found

    def hash_again(self, digest: str) -> str:
        """Read an object where it lives and return the SHA-256 of what is there."""
        name, start = _name(digest), 0
        state = self.home.stat(name)
        if state is not None:
            size = state.size_bytes
        else:
            place = self.packs.find(digest)
            if place is None:
                raise _missing(digest)
            name, start, size = f"{FOLDER}/{place.pack}", place.start, place.size
        hasher = hashlib.sha256()
        try:
            for piece in self._pieces(name, start, start + size):
                hasher.update(piece)
        except FileNotFoundError as error:
            raise _missing(digest) from error
        return hasher.hexdigest()

    def digests(self) -> Iterator[str]:
        """Yield the digest of every object that lies alone, sorted."""
        return (digest for digest, _ in self.alone())

    def alone(self) -> Iterator[tuple[str, Stat]]:
        """Yield every object that lies alone, sorted by digest."""
        for name, state in self.home.names(""):
            digest = name.replace("/", "", 1)
            if name[2:3] == "/" and _DIGEST.fullmatch(digest):
                yield digest, state

    def remove(self, *digests: str) -> None:
        """Delete objects that lie alone, for good; whoever calls it knows that no row needs these bytes."""
        self.home.remove([_name(digest) for digest in digests])
        for digest in digests:
            self._cache.drop(digest)

    def retire(self, digest: str, *, before_ns: int) -> int:
        """Delete an object that lies alone unless a writer asked for it since; return the bytes that were freed."""
        freed = self.home.retire(_name(digest), before_ns=before_ns)
        if freed:
            self._cache.drop(digest)
        return freed

    def pack_stat(self, pack: str) -> Stat | None:
        """Return what is known of a pack without reading it, None when it is not here."""
        return self.home.stat(f"{FOLDER}/{pack}")

    def retire_pack(self, pack: str, *, before_ns: int) -> int:
        """Delete a pack none of whose members is needed, unless it is young; return the bytes that were freed."""
        freed = self.home.retire(f"{FOLDER}/{pack}", before_ns=before_ns)
        if freed:
            self._drop_pack(pack)
        return freed

    def pack(
        self, digests: Iterable[str], *, small_bytes: int = SMALL_BYTES, most_bytes: int = PACK_BYTES
    ) -> list[str]:
        """Put small objects into packs, in the order given, and return the new packs' digests.

        The copies that lie alone go only when the pack is there for good and its table was read back. It may be called
        again after a crash at any moment, and by several processes at once.

        Raises:
            Corrupt: an object is not here, or not what its digest says.
            StorageFull: no room; what was there stays.
        """
        self.packs.refresh()
        wanted = list(dict.fromkeys(digests))
        states = self.home.stat_all([_name(one) for one in wanted])
        alone = {one: state for one, state in zip(wanted, states, strict=True) if state is not None}
        fresh = [one for one in wanted if one in alone and self.packs.find(one) is None]
        fresh = [one for one in fresh if alone[one].size_bytes < small_bytes]
        made = [self.write_pack(fresh[part]) for part in cut([alone[one].size_bytes for one in fresh], most_bytes)]
        contents = self.packs.refresh()
        if any(pack not in contents for pack in made):
            raise Corrupt("a new pack cannot be read back", subject=made[0], remedy="Check the disk, then repeat")
        self.remove(*(digest for digest in alone if self.packs.find(digest) is not None))
        return made

    def write_pack(self, members: Sequence[str]) -> str:
        """Write one pack of these objects and return its digest."""
        return self._adopt(self._checked(members))

    def _drop_pack(self, pack: str) -> None:
        self.home.remove([f"{FOLDER}/{pack}"])
        self.packs.forget(pack)
        self._cache.drop(pack)

    def _adopt(self, members: Iterable[tuple[str, memoryview]]) -> str:
        made = self._folder.temporary()
        try:
            pack = write_pack(made, members)
            self.home.adopt(made, f"{FOLDER}/{pack}")
            if made.exists():
                self._cache.take(made, pack)
        finally:
            made.unlink(missing_ok=True)
        return pack

    def expunge(self, digests: Iterable[str]) -> int:
        """Delete objects for good wherever their bytes lie, and return how many bytes that freed.

        A pack that holds one is written anew without it before the old one goes. It may be called again after a crash
        at any moment. What a process has mapped stays readable to that process until it lets go.

        Raises:
            StorageFull: no room for the new pack; some of the bytes may still be here.
        """
        gone = set(digests)
        states = self.home.stat_all([_name(digest) for digest in gone])
        freed = sum(state.size_bytes for state in states if state is not None)
        self.remove(*gone)
        for pack, contents in list(self.packs.refresh().items()):
            members = contents.members()
            if gone.isdisjoint(members):
                continue
            view = self.packs.view(pack)
            places = zip(members, contents.start.tolist(), contents.size.tolist(), strict=True)
            kept = [(one, view[at : at + size]) for one, at, size in places if one not in gone]
            freed += len(view)
            if kept:
                freed -= len(self.packs.view(self._adopt(kept)))
            self._drop_pack(pack)
        self.packs.refresh()
        return freed

    def temporary(self) -> Path:
        """Return a new place in `incoming/`, for a file that is put afterwards; a sweep takes what a crash leaves."""
        return self._folder.temporary()

    def leftovers(self) -> list[Path]:
        """Return what unfinished writes have left: those of processes at work now and of those that died."""
        return self._folder.leftovers()

    def _checked(self, members: Sequence[str]) -> Iterator[tuple[str, memoryview]]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for first in range(0, len(members), 4 * _AT_ONCE):
                part = members[first : first + 4 * _AT_ONCE]
                for digest, view in zip(part, pool.map(self.view, part), strict=True):
                    if digest_of(view) != digest:
                        raise Corrupt(
                            "its bytes are not what they were", subject=digest, remedy="Bring it back from a backup"
                        )
                    yield digest, view

    def _either(self, alone: Callable[[Stat], T], packed: Callable[[memoryview], T], digest: str) -> T:
        """Open an object alone or in a pack; between look and opening it may be packed, or its pack written anew."""
        name = _name(digest)
        far = self.home.path(name) is None
        for again in (False, True):
            try:
                if again:
                    self.packs.refresh()
                place = self.packs.find(digest) if far or again else None
                if place is None and (state := self.home.stat(name)) is not None:  # far away, a look costs a request
                    return alone(state)
                place = place or self.packs.find(digest)
                if place is not None:
                    return packed(self.packs.view(place.pack)[place.start : place.start + place.size])
            except FileNotFoundError:
                continue
        raise _missing(digest)

    def _local(self, name: str, digest: str, size: int) -> Path:
        """Return a local file with the bytes behind a name of the home: its own, or a copy."""
        path = self.home.path(name)
        if path is not None:
            return path
        return self._cache.get(digest) or self._cache.add(digest, self._pieces(name, 0, size))

    def _pieces(self, name: str, start: int, end: int) -> Iterator[bytes]:
        for at in range(start, end, _PIECE_BYTES):
            yield self.home.read(name, [(at, min(at + _PIECE_BYTES, end))])[0]


def _name(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise UnknownId(f"{digest[:80]!r} is not an object's digest (64 hex digits)", remedy="Copy it whole")
    return f"{digest[:2]}/{digest[2:]}"


def _missing(digest: str) -> Corrupt:
    return Corrupt(
        "the object's bytes are missing",
        subject=digest,
        remedy="Run `saqiya verify` to see what needs them, and bring the file back from a backup",
    )
