"""Processes that roll out side by side: each holds one site and the policies it was given, and writes to the spool.

A roll is a pure function of site, policy and start, so how many processes share the work changes nothing but the time.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from saqiya import plugins
from saqiya.domain.contracts import Demonstrable, Roll, RunnablePolicy, Site
from saqiya.domain.nouns import PolicySpec
from saqiya.errors import SaqiyaError, SiteFault, StorageFull
from saqiya.loop.tries.monitor import Monitor, OnAlarm
from saqiya.loop.tries.rollout import run_try
from saqiya.stores import tensors

__all__ = ["Crew", "PolicySource", "Ran", "Task", "follow_parent", "main_unseen"]


@dataclass(frozen=True)
class PolicySource:
    """Where a process finds a policy: the stored arrays, who can load them, and how they are called."""

    weights: Path
    trainer: str
    spec: PolicySpec

    def load(self) -> RunnablePolicy:
        """Read the arrays and make them act.

        Raises:
            PolicyUnreadable: they are missing or damaged.
        """
        policy: RunnablePolicy = plugins.load("saqiya.trainers", self.trainer)().load(
            self.spec, tensors.read(self.weights)
        )
        return policy


@dataclass(frozen=True)
class Task:
    """One roll for one process; shadows are policies by name, the monitor is a file."""

    roll: Roll
    policy: PolicySource | None
    out: Path
    facts: dict[str, Any]
    shadows: dict[str, PolicySource] = field(default_factory=dict)
    monitor: Path | None = None

    def told(self, facts: Mapping[str, Any]) -> Task:
        """Return it with more facts for the log."""
        return replace(self, facts={**self.facts, **facts})


@dataclass(frozen=True)
class Ran:
    """What a process reports back; the log itself lies at `out`. A fault comes back as a value, so no try is lost."""

    roll: Roll
    out: Path
    success: bool
    human_steps: int
    takeovers: int
    void: str
    seconds: dict[str, float]
    fault: SaqiyaError | None = None


class Crew:
    """A pool of rollout processes for one site; with `workers=0` the work is done here."""

    def __init__(self, site: str, *, workers: int) -> None:
        """Nothing is started until the first roll."""
        self._site, self._workers = site, workers
        self._pool: ProcessPoolExecutor | None = None
        self._here: _Hand | None = None

    def __enter__(self) -> Self:
        """Return the crew itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send everybody home."""
        self.close()

    def close(self) -> None:
        """Stop the processes and free the site."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if self._here is not None:
            self._here.site.close()
        self._pool = self._here = None

    def run(self, tasks: Sequence[Task]) -> Iterator[Ran]:
        """Run the tasks and yield what became of each, in their order."""
        if not tasks:
            return
        if self._workers == 0:
            self._here = self._here or _Hand(self._site)
            for task in tasks:
                yield self._here.run(task)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_enlist,
                initargs=(self._site, time.perf_counter()),
            )
        try:
            with main_unseen():  # processes start as tasks are handed in
                done = self._pool.map(_run, tasks, chunksize=1)
            yield from done
        except BrokenProcessPool as error:
            self._pool = None
            raise SiteFault(
                "a rollout process died",
                subject=self._site,
                remedy="Look for a crash of the simulator or a lack of memory; finished tries are kept, so repeat.",
            ) from error


class _Hand:
    """One process's site, and the policies it has loaded so far."""

    def __init__(self, site: str) -> None:
        from saqiya.formats.mcap.log import McapFormat

        self.site: Site = plugins.load("saqiya.sites", site)()
        self._format = McapFormat()
        self._policies: dict[Path, RunnablePolicy] = {}
        self._monitors: dict[tuple[Path, str], Monitor] = {}
        self._started_s = 0.0

    def started(self, began_s: float) -> None:
        """Note that this process was asked for at `began_s`; its first report says how long it took to be ready."""
        self._started_s = time.perf_counter() - began_s  # one clock for all processes of a machine

    def run(self, task: Task) -> Ran:
        """Run a task and report it; "own" are the seconds that were neither the site's nor anybody's who acted."""
        began = time.perf_counter()
        ran = self._run(task)
        seconds = {**ran.seconds, "own": time.perf_counter() - began - sum(ran.seconds.values())}
        if self._started_s:
            seconds["start-up"], self._started_s = self._started_s, 0.0
        return replace(ran, seconds=seconds)

    def _run(self, task: Task) -> Ran:
        roll = task.roll
        policy = self._load(task.policy) if task.policy else None
        operator = None
        asked = roll.takeover or roll.ask or (task.monitor and roll.on_alarm == OnAlarm.TAKEOVER)
        if policy is None or asked:
            if not isinstance(self.site, Demonstrable):
                fault = SiteFault("brings no scripted expert", subject=self.site.spec.name, remedy="Name an operator.")
                return Ran(roll, task.out, success=False, human_steps=0, takeovers=0, void="", seconds={}, fault=fault)
            operator = self.site.expert(roll.start.seed)
        try:
            done = run_try(
                self.site,
                roll,
                policy=policy,
                operator=operator,
                facts=task.facts,
                shadows={name: self._load(source) for name, source in task.shadows.items()},
                monitor=self._monitor(task.monitor, roll.on_alarm),
            )
            if not done.void and not task.out.exists():
                self._format.write(done.log, task.out)
        except (SiteFault, StorageFull) as fault:
            return Ran(roll, task.out, success=False, human_steps=0, takeovers=0, void="", seconds={}, fault=fault)
        return Ran(
            roll,
            task.out,
            success=done.success,
            human_steps=done.human_steps,
            takeovers=done.takeovers,
            void=done.void,
            seconds=dict(done.seconds),
        )

    def _monitor(self, path: Path | None, on_alarm: str) -> Monitor | None:
        if path is None:
            return None
        if (path, on_alarm) not in self._monitors:
            self._monitors[path, on_alarm] = Monitor.load(path, on_alarm=on_alarm)
        return self._monitors[path, on_alarm]

    def _load(self, source: PolicySource) -> RunnablePolicy:
        if source.weights not in self._policies:
            self._policies[source.weights] = source.load()
        return self._policies[source.weights]


@contextlib.contextmanager
def main_unseen() -> Iterator[None]:
    """Keep new processes from importing the caller's script: without a main guard it would run again in each."""
    main = sys.modules["__main__"]
    hidden: tuple[str, ...] = ("__file__", "__spec__")
    kept: dict[str, Any] = {name: main.__dict__.pop(name) for name in hidden if name in main.__dict__}
    main.__dict__["__spec__"] = None
    try:
        yield
    finally:
        main.__dict__.update(kept)


def follow_parent() -> None:
    """End this process when the one that started it dies."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A killed parent leaves its pool waiting for ever: the queue's other end is held by the siblings.
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


_hand: _Hand | None = None


def _enlist(site: str, began_s: float) -> None:
    """Set up a process: one numeric thread, one site, and no life without its parent."""
    global _hand  # noqa: PLW0603 - a pool's initializer has no other place to leave things
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(1)
    follow_parent()
    _hand = _Hand(site)
    _hand.started(began_s)


def _run(task: Task) -> Ran:
    if _hand is None:
        raise SiteFault("the process was not set up", subject="crew")
    return _hand.run(task)
