"""Writes that survive a power cut, and the errors a disk can give, in Saqiya's own words."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from saqiya.errors import StorageFull, WorkspaceError

__all__ = ["disk_errors", "map_file", "read_spans", "replace_file", "sync_folder", "write_all"]

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # full, over quota, over the process's file size limit
_MAPPED_BYTES: Final = 1 << 20


@contextmanager
def disk_errors(subject: Path | str) -> Iterator[None]:
    """Turn an `OSError` about `subject` into a workspace error.

    Raises:
        StorageFull: there is no room, or a quota or a file size limit is reached.
        WorkspaceError: any other trouble with the disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull(
                f"no room to write ({error.strerror})",
                subject=str(subject),
                remedy="Free some space and repeat the command; what was committed before is safe",
            ) from error
        raise WorkspaceError(
            f"the file system refused ({error.strerror or error})",
            subject=str(error.filename or subject),
            remedy="Check permissions and limits, then repeat the command",
        ) from error


def read_spans(path: Path, spans: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return half-open ranges of a file; a range that reaches past its end comes short.

    Raises:
        FileNotFoundError: it is not there: the caller knows where else to look.
        WorkspaceError: any other trouble with the disk.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError:
        with disk_errors(path):
            raise
    try:
        with disk_errors(path):
            return [os.pread(handle, end - start, start) for start, end in spans]
    finally:
        os.close(handle)


def map_file(path: Path) -> memoryview:
    """Return a file's bytes: mapped, or read when they are few.

    Raises:
        FileNotFoundError: as `read_spans`.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise
    except OSError:
        with disk_errors(path):
            raise
    with file, disk_errors(path):
        # Below this a read is quicker than a mapping, and holds no file descriptor.
        if os.fstat(file.fileno()).st_size < _MAPPED_BYTES:
            return memoryview(file.read())
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes | memoryview) -> None:
    """Write every byte of `data`; one `os.write` may take fewer than it was given."""
    view = memoryview(data).cast("B")
    while view.nbytes:
        view = view[os.write(handle, view) :]


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path` all at once: a reader, or a power cut, sees the old file or the new one.

    Raises:
        StorageFull: no room; the old file stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with disk_errors(path):
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            try:
                write_all(handle, data)
                os.fsync(handle)
            finally:
                os.close(handle)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
