"""Copies of remote bytes, to be memory-mapped: derived, bounded, and whole or not there.

The bound is kept by dropping what was longest unused. A copy that somebody has mapped stays readable after it is
dropped; only its name goes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from saqiya.errors import Corrupt
from saqiya.stores.disk import disk_errors, write_all
from saqiya.stores.folder import Folder

__all__ = ["CACHE_BYTES", "Cache"]

CACHE_BYTES: Final = 50 << 30
"""How much the cache keeps by default."""


class Cache:
    """Copies by digest under one folder."""

    def __init__(self, root: Path, *, most_bytes: int = CACHE_BYTES) -> None:
        self._root, self._most_bytes = root, most_bytes
        self._added = 0

    def get(self, digest: str) -> Path | None:
        """Return the copy of an object and note that it is in use; None when there is none."""
        path = self._root / digest
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def add(self, digest: str, pieces: Iterator[bytes]) -> Path:
        """Keep a copy of an object, checked against its digest on the way.

        Raises:
            Corrupt: the bytes are not the object's; nothing is kept.
            StorageFull: no room; nothing is kept.
        """
        home = Folder(self._root)  # makes the folder anew when it was deleted meanwhile
        temporary, path = home.temporary(), self._root / digest
        hasher = hashlib.sha256()
        with disk_errors(path):
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
            try:
                try:
                    for piece in pieces:
                        hasher.update(piece)
                        write_all(handle, piece)
                        self._added += len(piece)
                    os.fsync(handle)  # else a power cut could leave a name with other bytes behind it
                finally:
                    os.close(handle)
                if hasher.hexdigest() != digest:
                    raise Corrupt(
                        "its bytes are not what they were",
                        subject=digest,
                        remedy="Run `saqiya verify --full`, and bring the object back from a backup",
                    )
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            self._shrink(keep=digest)
        return path

    def take(self, made: Path, digest: str) -> None:
        """Keep a file of our own as an object's copy; its bytes are known to be the object's."""
        Folder(self._root).adopt(made, digest)
        self._added += (self._root / digest).stat().st_size
        self._shrink(keep=digest)

    def drop(self, digest: str) -> None:
        """Forget an object's copy."""
        (self._root / digest).unlink(missing_ok=True)

    def _shrink(self, *, keep: str) -> None:
        """Drop what was longest unused until the rest fits; looks only after a twentieth of the bound came in."""
        if self._added * 20 < self._most_bytes:
            return
        self._added = 0
        copies = [(path.stat(), path) for path in self._root.iterdir() if path.is_file()]
        total = sum(state.st_size for state, _ in copies)
        for state, path in sorted(copies, key=lambda one: one[0].st_mtime_ns):
            if total <= self._most_bytes:
                return
            if path.name != keep:
                path.unlink(missing_ok=True)
                total -= state.st_size
