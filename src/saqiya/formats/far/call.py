"""Ask a library that a damaged file could hang or crash from another process, and live on when it does."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import mmap
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import UnreadableLog

__all__ = ["Far", "room_for"]

LIMIT_S = 20
"""The child ends when the library thinks longer over one question, or one slab of one."""
FORGIVING = ("rows", "zarr")
"""Programs whose child is used again after an error: their decoders check bounds and raise; HDF5 may be spoiled."""
MOST_LOSSES_N = 3
"""After so many deaths over one file nothing more is asked about it."""
PIPE_BYTES = 1 << 20
MOST_HEAD_BYTES = 1 << 26
SPOOL_BYTES = 1 << 28
"""Larger arrays come to lie in a nameless temporary file, which the kernel may write out when memory is short."""
_COPY_AGAIN = "Copy or record the file again."
_BOOT = "import sys; sys.path.append(sys.argv[1]); from saqiya.formats.far import {0}; {0}.main()"


class _Child:
    """One process that answers, and the pid of the process that owns it (a fork must not talk to it)."""

    def __init__(self, program: str) -> None:
        root = str(Path(__file__).parents[3])
        self.program, self.owner = program, os.getpid()
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter on our own module
            [sys.executable, "-I", "-c", _BOOT.format(program), root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        with contextlib.suppress(OSError, AttributeError):  # a larger pipe is faster; not every system has them
            fcntl.fcntl(self.pipes[1].fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self.process.stdin is None or self.process.stdout is None:
            raise UnreadableLog("the reading process has no pipes", remedy="Try again.")
        return self.process.stdin, self.process.stdout

    def end(self) -> None:
        if self.owner == os.getpid():
            self.process.kill()
        for pipe in self.pipes:
            with contextlib.suppress(OSError):  # what was still to be written has nobody to read it
                pipe.close()
        if self.owner == os.getpid():
            self.process.wait()


_spare: list[_Child] = []
"""Processes that answered everything well are used again: a folder of small files then starts one, not hundreds."""


@atexit.register
def _end_spares() -> None:
    while _spare:
        _spare.pop().end()


def _take(program: str) -> _Child:
    for child in list(_spare):
        if child.owner != os.getpid():
            _spare.remove(child)
            child.end()
        elif child.program == program:
            with contextlib.suppress(ValueError):  # another thread was faster
                _spare.remove(child)
                return child
    return _Child(program)


class Far:
    """Questions about one file to a child process that has it open.

    Use it in a `with` block. Where the child dies over a question, that question raises, and the next one goes to a
    new child.
    """

    def __init__(self, program: str, path: Path) -> None:
        """Begin; `program` is the module of the child here, "hdf5" or "zarr"."""
        self._program, self._path = program, path
        self._child: _Child | None = None
        self._losses, self._errors = 0, 0

    def __enter__(self) -> Far:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        spared = any(one.program == self._program for one in list(_spare))
        if spared or (self._errors and self._program not in FORGIVING):
            child.end()
            return
        try:
            self._exchange(child, {"ask": "close"})
        except (OSError, EOFError, ValueError, KeyError, UnreadableLog):
            child.end()
        else:
            _spare.append(child)

    def ask(self, what: str, **how: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Return the one object that answers a question.

        Raises:
            UnreadableLog: the library refused, hung or crashed.
        """
        whole: dict[str, Any] = {}
        for head, _ in self._frames(what, how):
            whole |= head
        return whole

    def array(self, dtype: np.dtype[Any], shape: tuple[int, ...], **how: Any) -> NDArray[Any]:  # noqa: ANN401
        """Return the array that answers the question "array", which must have this dtype and shape.

        Raises:
            UnreadableLog: the library refused, hung or crashed, gave another size, or there is no room for it.
        """
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        buffer = room_for(size)
        at = 0
        for head, stream in self._frames("array", how):
            count = head["bytes"]
            if at + count > size:
                raise self._bad(f"more than the {size} bytes it declares came of it")
            _read_into(stream, buffer[at : at + count])
            at += count
        if at != size:
            raise self._bad(f"{at} of {size} bytes came of it")
        return np.frombuffer(buffer, dtype=dtype).reshape(shape)

    def blobs(self, most_bytes: int, **how: Any) -> tuple[NDArray[np.int64], bytes]:  # noqa: ANN401
        """Return the lengths, int64 (n,), and the joined bytes of values that are bytes, the question "blobs".

        Raises:
            UnreadableLog: the library refused, hung or crashed, or they are more than `most_bytes`.
        """
        lengths: list[int] = []
        joined = bytearray()
        for head, stream in self._frames("blobs", how):
            count = head["bytes"]
            if len(joined) + count > most_bytes:
                raise self._bad(f"its values are more than {most_bytes} bytes")
            part = bytearray(count)
            _read_into(stream, memoryview(part))
            joined += part
            lengths += [int(one) for one in head["lengths"]]
        return np.array(lengths, dtype=np.int64), bytes(joined)

    def _frames(self, what: str, how: dict[str, Any]) -> Iterator[tuple[dict[str, Any], IO[bytes]]]:
        if self._losses >= MOST_LOSSES_N:
            raise UnreadableLog("the library died over this file too often to ask again", remedy=_COPY_AGAIN)
        opened = self._child is not None
        child = self._child = self._child or _take(self._program)
        clean = False
        try:
            if not opened:
                self._exchange(child, {"ask": "open", "path": str(self._path.absolute())})
                opened = True
            yield from _answers(child, {"ask": what, **how})
            clean = True
        except UnreadableLog:
            self._errors += 1
            clean = opened  # the child said so itself, and waits for the next question
            raise
        except (OSError, EOFError, ValueError, KeyError) as error:
            self._losses += 1
            raise UnreadableLog(
                f"the library hung or crashed over it ({_end_of(child)})", remedy=_COPY_AGAIN
            ) from error
        finally:
            if not clean:  # dead, or the answer was not read to its end: what comes next would be taken for it
                self._child = None
                child.end()

    def _exchange(self, child: _Child, question: dict[str, Any]) -> None:
        for head, stream in _answers(child, question):
            _read_into(stream, memoryview(bytearray(head["bytes"])))

    def _bad(self, what: str) -> UnreadableLog:
        self._errors += 1
        return UnreadableLog(what, remedy=_COPY_AGAIN)


def _answers(child: _Child, question: dict[str, Any]) -> Iterator[tuple[dict[str, Any], IO[bytes]]]:
    source, sink = child.pipes[1], child.pipes[0]
    sink.write(json.dumps({**question, "limit_s": LIMIT_S}).encode() + b"\n")
    sink.flush()
    while True:
        prefix = bytearray(4)
        _read_into(source, memoryview(prefix))
        count = int.from_bytes(prefix, "little")
        if count > MOST_HEAD_BYTES:
            raise EOFError
        text = bytearray(count)
        _read_into(source, memoryview(text))
        head = json.loads(text)
        if "error" in head:
            raise UnreadableLog(str(head["error"]), remedy=_COPY_AGAIN)
        if head.get("ok") is True:
            return
        head["bytes"] = int(head["bytes"])
        yield head, source


def _read_into(source: IO[bytes], room: memoryview) -> None:
    while room.nbytes:
        count = source.readinto(room)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        room = room[count:]


def _end_of(child: _Child) -> str:
    child.process.kill()
    code = child.process.wait()
    return "no answer in time" if code == -14 else f"signal {-code}" if code < 0 else f"exit {code}"


def room_for(size: int) -> memoryview:
    """Give `size` writable bytes: in memory, or for a large size in a nameless temporary file.

    Raises:
        UnreadableLog: the disk has no room for it.
    """
    if size <= SPOOL_BYTES:
        return np.empty(size, dtype=np.uint8).data
    try:
        with tempfile.TemporaryFile() as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a hole that cannot be filled later would kill the process
            return memoryview(mmap.mmap(file.fileno(), size))
    except OSError as error:
        raise UnreadableLog(
            f"there is no room for its {size} bytes in {tempfile.gettempdir()} ({error.strerror})",
            remedy="Free some room there, or point TMPDIR at a larger disk.",
        ) from error
