"""Children that film, one after the other: what somebody looks at now is made before what they looked at earlier."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from threading import Lock, Thread
from typing import Final

__all__ = ["Filming"]

WAITING_N: Final = 16
LONGEST_S: Final = 600.0
ENDED_BY_US: Final = -9
NEVER_BEGAN: Final = 126
"""As a shell says it of what cannot be started."""


class Filming:
    """A queue of jobs, each a module that is run with the workspace's folder and the id of what it films.

    Sixteen wait at most; of more the one that waited longest is dropped: who still looks at it asks again.
    """

    def __init__(self, root: Path) -> None:
        """Film what lies in the workspace at `root`."""
        self._root, self._lock = root, Lock()
        self._waiting: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._codes: dict[tuple[str, str], int] = {}
        self._now: tuple[str, str] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: Thread | None = None
        self._closed = False

    def ask(self, module: str, ref: str) -> None:
        """Put a job in front of the others; one that runs goes on, and one that ended is done again."""
        job = (module, ref)
        with self._lock:
            if self._closed or job == self._now:
                return
            self._codes.pop(job, None)
            self._waiting[job] = None
            self._waiting.move_to_end(job)
            while len(self._waiting) > WAITING_N:
                self._waiting.popitem(last=False)
            if self._thread is None:
                self._thread = Thread(target=self._work, name="filming", daemon=True)
                self._thread.start()

    def under_way(self, module: str, ref: str) -> bool:
        """Say whether a job waits or runs."""
        with self._lock:
            return (module, ref) in self._waiting or (module, ref) == self._now

    def code(self, module: str, ref: str) -> int | None:
        """Return with which code a job's child ended; None where none did."""
        with self._lock:
            return self._codes.get((module, ref))

    def close(self) -> None:
        """End the child that runs, and forget what waits."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            child, thread = self._child, self._thread
        if child is not None:
            child.terminate()
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while (child := self._next()) is not None:
            try:
                code = child.wait(LONGEST_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                code = ENDED_BY_US
            with self._lock:
                if self._now is not None:
                    self._codes[self._now] = code
                self._now = self._child = None

    def _next(self) -> subprocess.Popen[bytes] | None:
        """Start the newest job, or end the thread where none waits."""
        with self._lock:
            if not self._waiting:
                self._thread = None
                return None
            self._now, _ = self._waiting.popitem(last=True)
            module, ref = self._now
            try:
                self._child = subprocess.Popen(  # noqa: S603 - our own module with our own words
                    [sys.executable, "-m", module, str(self._root), ref],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
            except OSError:  # no memory or no process left: whoever asks next is served again
                self._codes[self._now] = NEVER_BEGAN
                self._now = self._thread = None
            return self._child
