"""Runtime signal: how late a try is against the phases of normal tries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import FittedDetector, Row, Seen, Vector, Watch
from saqiya.errors import TooLittle
from saqiya.models.replay import instants, reason_at, score_by
from saqiya.models.rows import names_array, names_of

__all__ = ["LEAST_TRIES_N", "TIMEOUT", "Completion"]

PHASE = "phase/"
TIMEOUT = "timeout"
LEAST_TRIES_N = 5
USUAL_SHARE = 0.9
"""A phase belongs to the schedule when this share of normal tries reaches it."""
LATE_QUANTILE = 0.9
LEAST_LATE_SHARE = 0.05
"""Lateness is never measured in less than this share of a normal try's length: clockwork tries differ by nothing."""


class Completion:
    """How late a try is: a phase that was not reached when normal tries had reached it, reached late, or a time-out.

    A phase is due some time after the phase before it, the first after the beginning, and the end of the try after the
    last: a slow first phase neither excuses nor condemns the second. Lateness is 0 where half of the normal tries had
    got there and 1.0 where nine of ten had; the score is the greatest so far, and a time-out adds 1.

    It reads events "phase/<name>" and "timeout". Where normal tries log no phase the only thing due is the end: the
    detector then IS the stopwatch, elapsed time against the length of normal tries, and is no better than it.
    """

    name = "completion"
    version = "1"

    def fit(self, normal: Sequence[Seen], failed: Sequence[Seen] = ()) -> FittedDetector:  # noqa: ARG002 - a schedule of normal tries
        """Learn when each phase is due.

        Raises:
            TooLittle: there are fewer than five normal tries.
        """
        if len(normal) < LEAST_TRIES_N:
            raise TooLittle(
                f"a schedule needs {LEAST_TRIES_N} normal tries, not {len(normal)}", remedy="Set more successes aside."
            )
        runs = [_run(one) for one in normal]
        reached = {name for run in runs for name in run.arrived_s}
        usual = [n for n in reached if sum(n in run.arrived_s for run in runs) >= USUAL_SHARE * len(runs)]
        due = {name: float(np.median([run.arrived_s[name] for run in runs if name in run.arrived_s])) for name in usual}
        names = tuple(sorted(usual, key=lambda name: (due[name], name)))
        waits_s = np.diff(np.array([_arrivals(run, names) for run in runs]), axis=1, prepend=0.0)  # the end last
        due_s, late_s = np.quantile(waits_s, [0.5, LATE_QUANTILE], axis=0)
        least_s = LEAST_LATE_SHARE * float(np.median([run.length_s for run in runs]))
        return _Schedule(names, due_s, np.maximum(late_s - due_s, least_s))

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> FittedDetector:
        """Make the detector again from its arrays."""
        return _Schedule(names_of(arrays["phases"]), arrays["due_s"], arrays["late_s"])


@dataclass(frozen=True)
class _Run:
    arrived_s: Mapping[str, float]
    length_s: float


def _run(seen: Seen) -> _Run:
    begun_ns, t_ns = None, 0
    arrived: dict[str, float] = {}
    for t_ns, _, events in instants(seen, ()):
        begun_ns = t_ns if begun_ns is None else begun_ns
        for event in events:
            if event.startswith(PHASE):
                arrived.setdefault(event, (t_ns - begun_ns) / 1e9)
    return _Run(arrived, (t_ns - (begun_ns or 0)) / 1e9)


def _arrivals(run: _Run, names: Sequence[str]) -> Vector:
    """Return when each phase was reached, float64 (P + 1,) s; one that was left out counts as reached with the next."""
    times = [*(run.arrived_s.get(name, np.inf) for name in names), run.length_s]
    return np.minimum.accumulate(times[::-1])[::-1]


@dataclass(frozen=True)
class _Schedule:
    """The phases in order, when each is due after the one before, the end last, and what counts as late, (P + 1,)."""

    names: tuple[str, ...]
    due_s: Vector
    late_s: Vector

    def score(self, seen: Seen) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps (t,) and lateness (t,), 1.0 being as late as the latest tenth of normal tries.

        Raises:
            InvalidEpisode: no stream has a sample, so that nobody knows how much time passed.
        """
        return score_by(_Watch(self), seen, ())

    def reason(self, seen: Seen, t_ns: int) -> str:
        """Say which phase is late, and by how much."""
        return reason_at(_Watch(self), seen, (), t_ns)

    def watch(self) -> Watch:
        """Begin a try."""
        return _Watch(self)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the phases and when they are due."""
        return {"phases": names_array(self.names), "due_s": self.due_s, "late_s": self.late_s}


class _Watch:
    def __init__(self, schedule: _Schedule) -> None:
        self._known = schedule
        self._begun_ns: int | None = None
        self._next, self._before_s = 0, 0.0
        self._worst, self._over = 0.0, False
        self._where, self._passed_s = 0, 0.0

    def see(self, t_ns: int, row: Row, events: Sequence[str]) -> float | None:  # noqa: ARG002 - it reads events
        """Return how late the try is."""
        self._begun_ns = t_ns if self._begun_ns is None else self._begun_ns
        now_s = (t_ns - self._begun_ns) / 1e9
        passed_s = now_s - self._before_s
        late = (passed_s - float(self._known.due_s[self._next])) / float(self._known.late_s[self._next])
        if late > self._worst:
            self._worst, self._where, self._passed_s = late, self._next, passed_s
        for event in events:
            self._over = self._over or event == TIMEOUT
            place = self._known.names.index(event) + 1 if event in self._known.names else 0
            if place > self._next:
                self._next, self._before_s = place, now_s
        return self._worst + self._over

    def reason(self) -> str:
        """Say which phase is late, and by how much."""
        said = ["time ran out"] if self._over else []
        if self._worst > 0.0:
            known, place = self._known, self._where
            names = ["the beginning", *(name.removeprefix(PHASE) for name in known.names), "the end"]
            due_s, late_s = float(known.due_s[place]), float(known.late_s[place])
            said.append(
                f"{names[place + 1]} was not reached {self._passed_s:.2f} s after {names[place]}; by normal tries it "
                f"is due after {due_s:.2f} s and late after {due_s + late_s:.2f} s"
            )
        return "; ".join(said)
