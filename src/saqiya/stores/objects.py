"""Content-addressed objects: immutable bytes under their own SHA-256, `ab/cdef...`.

A file appears under its final name only after its bytes are on the disk, so a name that exists is a whole object; what
a crash leaves behind lies in `incoming/` and is swept. `put` returns when bytes *and* name survive a power cut, and
only then may a catalog row name the digest.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from saqiya.domain.ids import digest_of
from saqiya.errors import Corrupt, UnknownId
from saqiya.stores.disk import disk_errors, sync_folder, write_all

__all__ = ["Objects"]

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES: Final = 1 << 20
_SYNCERS: Final = 8
_BATCH: Final = 256  # files held open at once while they wait for their fsync
_serial = itertools.count()


class Objects:
    """The object store under one folder. Any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / "incoming"
        with disk_errors(root):
            self.incoming.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes | memoryview) -> str:
        """Store `data` for good and return its digest; bytes that are already here are not written again.

        Raises:
            StorageFull: no room; nothing of it stays.
        """
        return self.put_many([data])[0]

    def put_many(self, batch: Sequence[bytes | memoryview]) -> list[str]:
        """Store many objects for about the price of a few, and return their digests in order.

        Every file is fsynced, then renamed, then every folder that got a name is fsynced: the same promise as `put`,
        because no rename comes before its own fsync and nothing is returned before the last folder's. It is cheaper
        because the fsyncs run side by side, and a journalling file system answers those that wait with one commit.
        `syncfs` would do too and was measured: a fifth quicker at rest, but it also waits for whatever else that file
        system has to write (0.6 s once), and not every file system reports its failed writes.

        Raises:
            StorageFull: no room; objects already under their final names stay as unreferenced whole objects.
        """
        digests = [digest_of(data) for data in batch]
        unique = dict(zip(digests, batch, strict=True))
        names = list(unique)
        with disk_errors(self.root), ThreadPoolExecutor(min(_SYNCERS, max(1, len(names)))) as pool:
            for first in range(0, len(names), _BATCH):
                part = names[first : first + _BATCH]
                fresh = [name for name in part if not self._holds(name, len(unique[name]))]
                self._write({name: unique[name] for name in fresh}, pool)
            # Also for objects that were here before: another process may have renamed one and not yet fsynced its name.
            list(pool.map(sync_folder, {self._at(name).parent for name in names}))
        return digests

    def put_file(self, source: Path) -> str:
        """Copy the file `source` into the store in one pass and return its digest.

        Raises:
            StorageFull: no room; nothing of it stays.
        """
        temporary = self._temporary()
        hasher, size = hashlib.sha256(), 0
        with disk_errors(source):
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
            try:
                try:
                    with source.open("rb") as reader:
                        while chunk := reader.read(_CHUNK_BYTES):
                            hasher.update(chunk)
                            write_all(handle, chunk)
                            size += len(chunk)
                    digest = hasher.hexdigest()
                    if not self._holds(digest, size):
                        os.fsync(handle)
                        self._make_folders([digest])
                        temporary.replace(self._at(digest))
                finally:
                    os.close(handle)
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(self._at(digest).parent)
        return digest

    def path(self, digest: str) -> Path:
        """Return where an object's bytes lie; they must not be changed.

        Raises:
            UnknownId: `digest` is not a SHA-256 in 64 hex digits.
            Corrupt: the object is not here.
        """
        path = self._at(digest)
        if not path.is_file():
            raise Corrupt(
                "the object's bytes are missing",
                subject=digest,
                remedy="Run `saqiya verify` to see what needs them, and bring the file back from a backup",
            )
        return path

    def has(self, digest: str) -> bool:
        """Say whether the object is here."""
        return self._at(digest).is_file()

    def digests(self) -> Iterator[str]:
        """Yield every object's digest, sorted."""
        with disk_errors(self.root):
            for folder in sorted(self.root.iterdir()):
                if len(folder.name) == 2:
                    yield from sorted(
                        folder.name + file.name
                        for file in folder.iterdir()
                        if _DIGEST.fullmatch(folder.name + file.name)
                    )

    def remove(self, digest: str) -> None:
        """Delete an object's bytes for good; whoever calls it knows that no row needs them."""
        path = self._at(digest)
        with disk_errors(path):
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                sync_folder(path.parent)

    def leftovers(self) -> list[Path]:
        """Return what unfinished writes have left: those of processes at work now and of those that died."""
        with disk_errors(self.incoming):
            return sorted(self.incoming.iterdir())

    def _at(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise UnknownId(f"{digest[:80]!r} is not an object's digest (64 hex digits)", remedy="Copy it whole")
        return self.root / digest[:2] / digest[2:]

    def _holds(self, digest: str, size: int) -> bool:
        """Say whether the object is here in full length, and if so make it young again for the sweep's grace."""
        path = self._at(digest)
        try:
            if path.stat().st_size != size:
                return False
            os.utime(path)
        except FileNotFoundError:
            return False
        except (
            PermissionError
        ):  # another user's file keeps its age; the catalog checks that it is there when it commits
            return True
        return True

    def _temporary(self) -> Path:
        return self.incoming / f"{os.getpid()}-{next(_serial)}"

    def _make_folders(self, digests: Iterable[str]) -> None:
        """Make the folders that are missing, and sync their names once for all of them."""
        missing = [folder for folder in {self._at(digest).parent for digest in digests} if not folder.is_dir()]
        for folder in missing:
            folder.mkdir(exist_ok=True)
        if missing:
            sync_folder(self.root)

    def _write(self, fresh: dict[str, bytes | memoryview], pool: ThreadPoolExecutor) -> None:
        opened: list[tuple[str, Path, int]] = []
        try:
            for digest, data in fresh.items():
                temporary = self._temporary()
                handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
                opened.append((digest, temporary, handle))
                write_all(handle, data)
            list(pool.map(os.fsync, [handle for _, _, handle in opened]))
            self._make_folders(fresh)
            for digest, temporary, _ in opened:
                temporary.replace(self._at(digest))
        finally:
            for _, temporary, handle in opened:
                os.close(handle)
                temporary.unlink(missing_ok=True)
