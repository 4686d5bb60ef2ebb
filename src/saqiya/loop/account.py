"""Where a turn's time goes: what Saqiya itself takes, and what simulation, inference, experts and optimisers take."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["OWN", "WAITING", "Account"]

OWN = "own"
WAITING = "waiting"


class Account:
    """Seconds by kind, over this process and its rollout processes.

    "own" is Saqiya's: recording, ingest, catalog, statistics, pages. Everything else is the work it organises. Waiting
    for rollout processes is nobody's: what they did is added from their own reports.
    """

    def __init__(self) -> None:
        """Start counting now; the time goes to "own" until somebody says otherwise."""
        self._here: dict[str, float] = defaultdict(float)
        self._crew: dict[str, float] = defaultdict(float)
        self._began = time.perf_counter()
        self._booked = 0.0

    @contextmanager
    def spent(self, kind: str) -> Iterator[None]:
        """Book the block's time under `kind` ("optimiser", "waiting" ...); an inner block keeps its own."""
        began, outside, self._booked = time.perf_counter(), self._booked, 0.0
        try:
            yield
        finally:
            took = time.perf_counter() - began
            self._here[kind] += took - self._booked
            self._booked = outside + took

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add what a rollout process reports; in this process's own time it was waiting."""
        for kind, took in seconds.items():
            self._crew[kind] += took

    def here(self, seconds: Mapping[str, float]) -> None:
        """Move what a rollout in this very process took, "own" aside, from this process's own time to its kind."""
        for kind, took in seconds.items():
            if kind != OWN:
                self._here[kind] += took
                self._booked += took

    def seconds(self) -> dict[str, float]:
        """Return the seconds by kind so far, of all processes together."""
        made = defaultdict(float, self._here)
        made[OWN] += time.perf_counter() - self._began - self._booked
        for kind, took in self._crew.items():
            made[kind] += took
        return dict(made)

    def own_share(self, workers: int) -> float:
        """Return Saqiya's share of the wall time since the beginning: all of it that the work itself did not need.

        The work needs its seconds in this process, and those of `workers` rollout processes as if they shared theirs
        without a gap. What is left is ours: our own work, and also every moment in which nothing went on because a
        process waited for another. This is the strict reading: whatever Saqiya costs a team, they wait for it here.
        On a machine with fewer free cores than processes, our work slows the work beside it and hides in its seconds;
        `busy_share` shows that, and with `workers` 0 both are the same.
        """
        wall = time.perf_counter() - self._began
        needed = sum(took for kind, took in self._here.items() if kind not in {OWN, WAITING})
        needed += sum(took for kind, took in self._crew.items() if kind != OWN) / max(1, workers)
        return max(0.0, 1.0 - needed / wall) if wall else 0.0

    def busy_share(self) -> float:
        """Return Saqiya's share of what all processes did together, waiting left out: what it costs in work."""
        seconds = self.seconds()
        busy = sum(took for kind, took in seconds.items() if kind != WAITING)
        return seconds[OWN] / busy if busy else 0.0
