"""An answer that is slow to find, kept until what it rests on changes."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, Thread
from typing import Generic, TypeVar

from saqiya.domain.ids import Clock

__all__ = ["PATIENCE_NS", "Fresh"]

T = TypeVar("T")
PATIENCE_NS = 700_000_000
"""Who asks waits for an answer that took less than this; while a slower one is found again, they get the last one."""


class Fresh(Generic[T]):
    """Finds an answer once for all who ask, from any thread, and again when its version changes."""

    def __init__(self, find: Callable[[], T], version: Callable[[], object], *, clock: Clock) -> None:
        """Keep what `find` returns until `version`, which must be quick, returns something else."""
        self._find, self._version, self._clock = find, version, clock
        self._lock, self._finding = Lock(), Lock()
        self._held: tuple[object, T] | None = None
        self._took_ns = 0

    def get(self) -> T:
        """Return the answer: the newest one, or where that takes long the last one while it is found again."""
        version, held = self._version(), self._held
        if held is not None and held[0] == version:
            return held[1]
        if held is not None and self._took_ns > PATIENCE_NS:
            if self._finding.acquire(blocking=False):
                Thread(target=self._again, args=(version,), daemon=True).start()
            return held[1]
        with self._lock:
            held = self._held
            return held[1] if held is not None and held[0] == version else self._now(version)

    @property
    def behind(self) -> bool:
        """Whether a newer answer is still being found: ask again in a moment."""
        return self._held is None or self._held[0] != self._version()

    def _again(self, version: object) -> None:
        try:
            self._now(version)
        finally:
            self._finding.release()

    def _now(self, version: object) -> T:
        began_ns = self._clock()
        found = self._find()
        self._took_ns = self._clock() - began_ns
        self._held = (version, found)
        return found
