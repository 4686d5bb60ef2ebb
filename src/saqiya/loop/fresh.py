"""An answer that is slow to find, kept until what it rests on changes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Generic, TypeVar

from saqiya.domain.ids import Clock
from saqiya.errors import WorkspaceBusy

__all__ = ["PATIENCE_NS", "Fresh"]

T = TypeVar("T")
PATIENCE_NS = 700_000_000
"""Who asks waits for an answer that took less than this; while a slower one is found again, they get the last one."""
WAIT_S = 10.0
"""Who asks for the first answer of all waits no longer than this, and is told to ask again."""


class Fresh(Generic[T]):
    """Finds an answer once for all who ask, from any thread, and again when its version changes."""

    def __init__(
        self, find: Callable[[], T], version: Callable[[], object], *, clock: Clock, wait_s: float = WAIT_S
    ) -> None:
        """Keep what `find` returns until `version`, which must be quick, returns something else."""
        self._find, self._version, self._clock, self._wait_s = find, version, clock, wait_s
        self._lock = Lock()
        self._held: tuple[object, T] | None = None
        self._finding: Future[tuple[object, T]] | None = None
        self._took_ns = 0

    def get(self) -> T:
        """Return the answer: the newest one, or where that takes long the last one while it is found again.

        Raises:
            WorkspaceBusy: there is none yet, and to find it takes longer than anybody should look at an empty page.
        """
        version, later = self._version(), False
        while True:
            with self._lock:
                held, finding = self._held, self._finding
                if held is not None and held[0] == version:
                    return held[1]
                if finding is None or finding.done():
                    finding = self._finding = Future()
                    later = True  # it begins after this question, and so knows all that was stored before it
                    Thread(target=self._now, args=(finding,), daemon=True).start()
            if held is not None and self._took_ns > PATIENCE_NS:
                return held[1]
            try:
                found, answer = finding.result(self._wait_s)
            except TimeoutError as error:
                raise WorkspaceBusy(
                    "the workspace is still being read", remedy="Ask again in a few seconds; a page does by itself."
                ) from error
            if later or found == version or self._took_ns > PATIENCE_NS:
                return answer  # what took long may have begun before the newest change: `behind` says so
            later = True  # whoever finds it next begins after this question

    @property
    def behind(self) -> bool:
        """Whether a newer answer is still being found: ask again in a moment."""
        return self._held is None or self._held[0] != self._version()

    def _now(self, finding: Future[tuple[object, T]]) -> None:
        try:
            version, began_ns = self._version(), self._clock()
            self._held = version, self._find()
            self._took_ns = self._clock() - began_ns
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits for the answer
            finding.set_exception(error)
        else:
            finding.set_result(self._held)
