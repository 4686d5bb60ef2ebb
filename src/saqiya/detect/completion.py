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

    A phase is due twice: counted from the beginning, and counted from the phase before it, so that a slow first phase
    does not excuse a stall in the second. The end of the try is the last phase. Lateness is 1.0 where nine of ten
    normal tries had got there; the score is the latest phase's so far, 0 while nothing is late, and a time-out adds 1.

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
        length_s = np.array([run.length_s for run in runs])
        reached = {name for run in runs for name in run.arrived_s}
        usual = [n for n in reached if sum(n in run.arrived_s for run in runs) >= USUAL_SHARE * len(runs)]
        due = {name: float(np.median([run.arrived_s[name] for run in runs if name in run.arrived_s])) for name in usual}
        names = tuple(sorted(usual, key=lambda name: (due[name], name)))
        at = np.array([_arrivals(run, names) for run in runs])  # (n, P + 1), the end last
        since = np.diff(at, axis=1, prepend=0.0)
        least_s = LEAST_LATE_SHARE * float(np.median(length_s))

        def schedule(times_s: Vector) -> Vector:
            middle, late = np.quantile(times_s, [0.5, LATE_QUANTILE], axis=0)
            return np.stack([middle, np.maximum(late - middle, least_s)])

        return _Schedule(names, schedule(at), schedule(since))

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> FittedDetector:
        """Make the detector again from its arrays."""
        return _Schedule(names_of(arrays["phases"]), arrays["from_begin"], arrays["from_before"])


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
    """When phases are due: float64 (2, P + 1), the median and how much later nine of ten had reached it, in s."""

    names: tuple[str, ...]
    from_begin: Vector
    from_before: Vector

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
        return {"phases": names_array(self.names), "from_begin": self.from_begin, "from_before": self.from_before}


class _Watch:
    def __init__(self, schedule: _Schedule) -> None:
        self._known = schedule
        self._begun_ns: int | None = None
        self._next, self._before_s = 0, 0.0
        self._worst, self._over = 0.0, False
        self._why = ("", 0.0, "", 0.0, 0.0)

    def see(self, t_ns: int, row: Row, events: Sequence[str]) -> float | None:  # noqa: ARG002 - it reads events
        """Return how late the try is."""
        self._begun_ns = t_ns if self._begun_ns is None else self._begun_ns
        now_s = (t_ns - self._begun_ns) / 1e9
        self._look(now_s)
        for event in events:
            self._over = self._over or event == TIMEOUT
            place = self._known.names.index(event) + 1 if event in self._known.names else 0
            if place > self._next:
                self._next, self._before_s = place, now_s
        return self._worst + self._over

    def reason(self) -> str:
        """Say which phase is late, and by how much."""
        what, passed_s, since, due_s, late_s = self._why
        late = (
            f"{what} was not reached {passed_s:.2f} s after {since}; half of the normal tries reach it within "
            f"{due_s:.2f} s, nine of ten within {due_s + late_s:.2f} s"
        )
        return "; ".join([*(["time ran out"] if self._over else []), *([late] if what else [])])

    def _look(self, now_s: float) -> None:
        """Keep the worst lateness there has been, and what it was."""
        place, known = self._next, self._known
        name = known.names[place].removeprefix(PHASE) if place < len(known.names) else "the end"
        before = known.names[place - 1].removeprefix(PHASE) if place else "the beginning"
        for table, passed_s, since in (
            (known.from_begin, now_s, "the beginning"),
            (known.from_before, now_s - self._before_s, before),
        ):
            due_s, late_s = float(table[0, place]), float(table[1, place])
            late = (passed_s - due_s) / late_s
            if late > self._worst:
                self._worst, self._why = late, (name, passed_s, since, due_s, late_s)
