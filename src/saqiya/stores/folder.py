"""Objects' bytes in a local folder: a file appears under its final name only after its bytes are on the disk.

So a name that exists is a whole file; what a crash leaves behind lies in `incoming/` and is swept. A call that writes
returns when bytes *and* name survive a power cut, and only then may a catalog row name them.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from saqiya.stores.disk import disk_errors, read_spans, sync_folder, write_all

__all__ = ["Folder", "Home", "Stat"]

_CHUNK_BYTES: Final = 1 << 20
_SYNCERS: Final = 8
_BATCH: Final = 256  # files held open at once while they wait for their fsync
_serial = itertools.count()


@dataclass(frozen=True)
class Stat:
    """What is known of stored bytes without reading them.

    Attributes:
        written_ns: when they were written, or asked for again by a writer that found them there.
        stamp: changes when the bytes may have changed.
    """

    size_bytes: int
    written_ns: int
    stamp: str


class Home(Protocol):
    """Where bytes live: a local folder or a bucket. Names are relative, with forward slashes; bytes never change."""

    subject: str

    def put_all(self, batch: Mapping[str, bytes | memoryview]) -> None:
        """Store bytes under their names for good; a name that is there in full length is made young and kept."""

    def put_file(self, source: Path, name_of: Callable[[str], str]) -> str:
        """Store a file's bytes under the name that `name_of` gives for their SHA-256, and return that digest."""

    def adopt(self, made: Path, name: str) -> None:
        """Store a file of our own under a name; the file is gone, or may be, afterwards."""

    def stat(self, name: str) -> Stat | None:
        """Return what is known of a name, None when it is not here."""

    def stat_all(self, names: Sequence[str]) -> list[Stat | None]:
        """Return the same of many names, for the price of a few."""

    def read(self, name: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return the bytes of half-open ranges.

        Raises:
            FileNotFoundError: nothing has this name.
        """

    def names(self, folder: str) -> Iterator[tuple[str, Stat]]:
        """Yield every name under a folder ("" for all), in order."""

    def remove(self, names: Sequence[str]) -> None:
        """Delete names for good; what is not here is deleted already."""

    def retire(self, name: str, *, before_ns: int) -> int:
        """Delete a name unless it was written, or asked for, since `before_ns`; return the bytes that were freed."""

    def path(self, name: str) -> Path | None:
        """Return the local file behind a name, None where there is none: then it must be copied to be mapped."""


class Folder:
    """Bytes under one folder. Any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root, self.subject = root, str(root)
        self.incoming = root / "incoming"
        with disk_errors(root):
            self.incoming.mkdir(parents=True, exist_ok=True)

    def put_all(self, batch: Mapping[str, bytes | memoryview]) -> None:
        """Store many files for about the price of a few; see `Home.put_all`.

        Every file is fsynced, then renamed, then every folder that got a name is fsynced: no rename comes before its
        own fsync and nothing is returned before the last folder's. It is cheaper than one by one because the fsyncs run
        side by side, and a journalling file system answers those that wait with one commit. `syncfs` would do too and
        was measured: a fifth quicker at rest, but it also waits for whatever else that file system has to write (0.6 s
        once), and not every file system reports its failed writes.

        Raises:
            StorageFull: no room; files already under their final names stay.
        """
        names = list(batch)
        with disk_errors(self.root), ThreadPoolExecutor(min(_SYNCERS, max(1, len(names)))) as pool:
            for first in range(0, len(names), _BATCH):
                part = names[first : first + _BATCH]
                fresh = [name for name in part if not self._holds(name, len(batch[name]))]
                self._write([(name, batch[name]) for name in fresh], pool)
            # Also for files that were here before: another process may have renamed one and not yet fsynced its name.
            list(pool.map(sync_folder, {self._at(name).parent for name in names}))

    def put_file(self, source: Path, name_of: Callable[[str], str]) -> str:
        """Copy a file in one pass; see `Home.put_file`.

        Raises:
            StorageFull: no room; nothing of it stays.
        """
        temporary = self.temporary()
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
                    name = name_of(digest)
                    if not self._holds(name, size):
                        os.fsync(handle)
                        self._make_folders([name])
                        temporary.replace(self._at(name))
                finally:
                    os.close(handle)
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(self._at(name).parent)
        return digest

    def adopt(self, made: Path, name: str) -> None:
        """Rename a synced file of our own into place."""
        with disk_errors(made):
            self._make_folders([name])
            made.replace(self._at(name))
            sync_folder(self._at(name).parent)

    def stat(self, name: str) -> Stat | None:
        """Return size, age and stamp of a file."""
        with disk_errors(self._at(name)):
            return _stat(self._at(name))

    def stat_all(self, names: Sequence[str]) -> list[Stat | None]:
        """Return size, age and stamp of many files."""
        return [self.stat(name) for name in names]

    def read(self, name: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return ranges of a file, with one system call each."""
        return read_spans(self._at(name), spans)

    def names(self, folder: str) -> Iterator[tuple[str, Stat]]:
        """Yield the files under a folder, in order of name; what is being written is not among them."""
        with disk_errors(self.root):
            yield from self._below(self.root / folder)

    def remove(self, names: Sequence[str]) -> None:
        """Delete files for good."""
        paths = [self._at(name) for name in names]
        with disk_errors(self.root), ThreadPoolExecutor(min(_SYNCERS, max(1, len(paths)))) as pool:
            list(pool.map(lambda path: path.unlink(missing_ok=True), paths))
            list(pool.map(sync_folder, {path.parent for path in paths if path.parent.is_dir()}))

    def retire(self, name: str, *, before_ns: int) -> int:
        """Delete a file unless a writer asked for it since `before_ns`; see `Home.retire`.

        It is set aside first, and put back when it turns out to be young: a writer that finds the file makes it young
        and then looks whether it is still there, so one of the two sees the other.
        """
        path, aside = self._at(name), self.temporary()
        with disk_errors(path):
            found = _stat(path)
            if found is None or found.written_ns >= before_ns:
                return 0
            try:
                path.rename(aside)
            except FileNotFoundError:
                return 0
            if aside.stat().st_mtime_ns >= before_ns:
                aside.replace(path)
                sync_folder(path.parent)
                return 0
            aside.unlink()
            sync_folder(path.parent)
            return found.size_bytes

    def path(self, name: str) -> Path:
        """Return the file behind a name, whether or not it is there."""
        return self._at(name)

    def leftovers(self) -> list[Path]:
        """Return what unfinished writes have left: those of processes at work now and of those that died."""
        with disk_errors(self.incoming):
            return sorted(self.incoming.iterdir())

    def temporary(self) -> Path:
        """Return a new place in `incoming/`."""
        return self.incoming / f"{os.getpid()}-{next(_serial)}"

    def _at(self, name: str) -> Path:
        return self.root / name

    def _below(self, folder: Path) -> Iterator[tuple[str, Stat]]:
        for child in sorted(folder.iterdir()) if folder.is_dir() else ():
            if child.is_dir():
                if child != self.incoming:
                    yield from self._below(child)
            elif (found := _stat(child)) is not None:
                yield child.relative_to(self.root).as_posix(), found

    def _holds(self, name: str, size: int) -> bool:
        """Say whether the file is here in full length, and if so make it young again for the sweep's grace."""
        path = self._at(name)
        try:
            if path.stat().st_size != size:
                return False
            os.utime(path)
            return path.exists()  # a sweep may have set it aside before it was young: see `retire`
        except FileNotFoundError:
            return False
        except (
            PermissionError
        ):  # another user's file keeps its age; the catalog checks that it is there when it commits
            return True

    def _make_folders(self, names: Iterable[str]) -> None:
        """Make the folders that are missing, and sync their names once for all of them."""
        missing = [folder for folder in {self._at(name).parent for name in names} if not folder.is_dir()]
        for folder in missing:
            folder.mkdir(exist_ok=True)
        if missing:
            sync_folder(self.root)

    def _write(self, fresh: Sequence[tuple[str, bytes | memoryview]], pool: ThreadPoolExecutor) -> None:
        opened: list[tuple[str, Path, int]] = []
        try:
            for name, data in fresh:
                temporary = self.temporary()
                handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
                opened.append((name, temporary, handle))
                write_all(handle, data)
            list(pool.map(os.fsync, [handle for _, _, handle in opened]))
            self._make_folders(name for name, _ in fresh)
            for name, temporary, _ in opened:
                temporary.replace(self._at(name))
        finally:
            for _, temporary, handle in opened:
                os.close(handle)
                temporary.unlink(missing_ok=True)


def _stat(path: Path) -> Stat | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return Stat(found.st_size, found.st_mtime_ns, f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}")
