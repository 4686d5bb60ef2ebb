"""Room for a camera's bytes that does not grow memory: small in memory, large in a temporary file."""

from __future__ import annotations

import errno
import mmap
import tempfile
from typing import IO

from saqiya.errors import StorageFull

__all__ = ["Spool"]

MOST_IN_MEMORY_BYTES = 4 << 20
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Spool:
    """Bytes that are added one behind the other and read once all are there.

    The file has no name: it is gone when its last reader is.
    """

    def __init__(self, most_in_memory_bytes: int = MOST_IN_MEMORY_BYTES) -> None:
        """Begin empty."""
        self._most = most_in_memory_bytes
        self._held = bytearray()
        self._file: IO[bytes] | None = None
        self.size_bytes = 0

    def add(self, data: bytes | memoryview) -> int:
        """Keep `data` and return where it begins.

        Raises:
            StorageFull: the disk of temporary files has no room.
        """
        at = self.size_bytes
        size = memoryview(data).nbytes
        self.size_bytes += size
        if len(self._held) + size > self._most:
            self._write(self._held)
            self._held = bytearray()
        if size > self._most:
            self._write(data)
        else:
            self._held += data
        return at

    def data(self) -> bytes | mmap.mmap:
        """Return all that was added; nothing can be added afterwards.

        Raises:
            StorageFull: the disk of temporary files has no room.
        """
        if self._file is None:
            held, self._held = bytes(self._held), bytearray()
            return held
        self._write(self._held)
        self._held = bytearray()
        with self._file:
            return mmap.mmap(self._file.fileno(), self.size_bytes, access=mmap.ACCESS_READ)

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the spool
            self._file.write(data)
            self._file.flush()
        except OSError as bad:
            if bad.errno not in _NO_ROOM:
                raise
            raise StorageFull(
                f"the folder of temporary files has no room for a camera's pictures ({self.size_bytes:,} bytes)",
                subject=tempfile.gettempdir(),
                remedy="Make room there, or set TMPDIR to a disk that has it.",
            ) from bad
