"""Where a turn's time goes: what Saqiya itself takes, and what simulation, inference, experts and optimisers take."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["Account"]


class Account:
    """Seconds by kind, over this process and its rollout processes.

    "own" is Saqiya's: recording, ingest, catalog, statistics, pages. Everything else is the work it organises. Waiting
    for rollout processes is nobody's: what they did is added from their own reports.
    """

    def __init__(self) -> None:
        """Start counting now; the time goes to "own" until somebody says otherwise."""
        self._seconds: dict[str, float] = defaultdict(float)
        self._began = time.perf_counter()
        self._elsewhere = 0.0

    @contextmanager
    def spent(self, kind: str) -> Iterator[None]:
        """Book the block's time under `kind` ("optimiser", "rendering", "waiting" ...)."""
        began = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - began
            self._seconds[kind] += took
            self._elsewhere += took

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add what a rollout process reports; in this process's own time it was waiting."""
        for kind, took in seconds.items():
            self._seconds[kind] += took

    def here(self, seconds: Mapping[str, float]) -> None:
        """Move what a rollout in this very process took, "own" aside, from this process's own time to its kind."""
        for kind, took in seconds.items():
            if kind != "own":
                self._seconds[kind] += took
                self._elsewhere += took

    def seconds(self) -> dict[str, float]:
        """Return the seconds by kind so far."""
        made = dict(self._seconds)
        made["own"] = made.get("own", 0.0) + time.perf_counter() - self._began - self._elsewhere
        return made

    def own_share(self) -> float:
        """Return Saqiya's share of all busy seconds, waiting left out."""
        seconds = self.seconds()
        busy = sum(took for kind, took in seconds.items() if kind != "waiting")
        return seconds["own"] / busy if busy else 0.0
