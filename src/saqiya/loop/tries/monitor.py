"""The monitor in the control loop: fitted detectors and their one threshold, from a file alone.

It needs no workspace and never moves the robot: it says what it sees and what it wants, and whoever drives decides.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from saqiya.detect.carried import Carried, read_carried
from saqiya.domain.contracts import Online, Telling, Vector
from saqiya.errors import InvalidEpisode, SaqiyaError, UsageError
from saqiya.models.rows import EXECUTED, OBSERVATION, finite
from saqiya.stores import tensors
from saqiya.stores.disk import replace_file

__all__ = ["Monitor", "OnAlarm", "Verdict", "encoded", "write_monitor"]

UNCERTAINTY, CHUNK = "policy/uncertainty", "policy/chunk"
STOPPED_GAPS_N = 3
"""A stream has stopped when nothing came for three of its usual gaps: one or two lost samples are held over."""
_FAULTS = (SaqiyaError, ArithmeticError, LookupError, TypeError, ValueError)


class OnAlarm(StrEnum):
    """What the monitor wants when it raises an alarm."""

    MARK = "mark"
    PAUSE = "pause"
    TAKEOVER = "takeover"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the monitor says of one instant.

    Attributes:
        score: of all detectors together, None while there is none.
        threshold: above it is an alarm; None is infinite: nothing can alarm, and `reason` says why.
        alarm: the score is above the threshold; `since_ns` says since when, `detector` which one leads.
        reason: in one sentence, why.
        wants: "" without an alarm, else what was configured: "mark", "pause" or "takeover".
        stale: the policy that acts is not the one that it was calibrated for.
        blind: what it cannot see now and why, "" when it sees all. No alarm then is no good news.
    """

    score: float | None
    threshold: float | None
    alarm: bool
    detector: str
    reason: str
    wants: str
    stale: bool
    blind: str
    since_ns: int | None


class Monitor:
    """Watches one try after another: `reset`, then `see` at every control step.

    Attributes:
        policy: key of the policy that it was calibrated for.
        budget: share of that policy's successes that may raise a false alarm.
        threshold: of the fused score; None is infinite.
        horizon_s: the success horizon of the calibration.
        detectors: versions by name.
        counts: how often what could not be used came since the monitor was loaded, by kind.
    """

    def __init__(self, carried: Carried, *, on_alarm: str = OnAlarm.MARK, strict: bool = False) -> None:
        """Make a monitor of what is `carried`; most users `load` one.

        Raises:
            UsageError: `on_alarm` is none of "mark", "pause", "takeover".
        """
        head, fusion = carried.head, carried.fusion
        self.policy, self.budget, self.detectors = head.policy, head.budget, dict(head.detectors)
        self.threshold, self.horizon_s = fusion.threshold, fusion.horizon_s
        self.counts: Counter[str] = Counter()
        self._carried, self._on_alarm, self._strict = carried, _wanted(on_alarm), False
        self._limits = [
            (name, round(STOPPED_GAPS_N * known.gap_s * 1e9))
            for name, known in head.streams.items()
            if known.gap_s is not None
        ]
        self._nothing = (
            f"nothing can alarm: {head.successes_n} successes are too few for a budget of {head.budget:g}"
            if fusion.threshold is None
            else ""
        )
        self._warm()
        self._strict = strict
        self.counts.clear()
        self.reset()

    @classmethod
    def load(cls, path: str | Path, *, on_alarm: str = OnAlarm.MARK, strict: bool = False) -> Self:
        """Read a monitor from its file.

        Args:
            path: what `write_monitor` or `saqiya monitor export` wrote.
            on_alarm: what it wants on an alarm: "mark", "pause" or "takeover".
            strict: raise on what cannot be used, for tests; in a control loop it is counted and said.

        Raises:
            MonitorUnreadable: the file is missing, damaged, or was fitted with other versions of its detectors.
            UnknownPlugin: a detector is not installed here.
            UsageError: `on_alarm` is none of the three.
        """
        head, arrays = tensors.read_headed(Path(path))
        return cls(read_carried(head, arrays), on_alarm=on_alarm, strict=strict)

    def reset(self, *, policy: str = "") -> None:
        """Begin a try; `policy` is the key of the one that will act, "" when the caller does not know."""
        self._stale = bool(policy) and policy != self.policy
        self._watches = {name: one.watch() for name, one in self._carried.detectors.items() if isinstance(one, Online)}
        self._fused = self._carried.fusion.watch()
        self._came: dict[str, int] = {}
        self._first_ns: int | None = None
        self._last_ns = 0
        self._score: float | None = None
        self._since_ns: int | None = None
        self._leading = self._led = self._why = ""
        self._lost: dict[str, str] = {}

    def _warm(self) -> None:
        """Build what detectors build when they are first asked: not in the first step of a control loop."""
        self.reset()
        nothing = {name: np.zeros(known.width_n) for name, known in self._carried.head.streams.items()}
        for t_ns in range(2):
            self.see(t_ns, {}, None, signals=nothing)

    def see(
        self,
        t_ns: int,
        observation: Mapping[str, ArrayLike],
        action: ArrayLike | None,
        *,
        uncertainty: ArrayLike | None = None,
        chunk: ArrayLike | None = None,
        signals: Mapping[str, ArrayLike] | None = None,
        events: Sequence[str] = (),
    ) -> Verdict:
        """Take in one instant and say what is to be thought of it. In a control loop it never raises.

        Args:
            t_ns: stamp of the observation, int ns, later than the last one of this try.
            observation: what the policy saw: numbers by name, as in the log without "observation/".
            action: the action about to be executed, (d,); None at the last instant of a try.
            uncertainty: of the policy, one number, as the log's `policy/uncertainty`.
            chunk: what the policy has just predicted, (k, d); None while it carries out what it predicted before.
            signals: any other stream by its full name ("contact/force").
            events: names of what happened since the last call.

        Raises:
            InvalidEpisode: in strict mode, what came cannot be used.
        """
        troubles: list[str] = []
        if self._first_ns is None:
            self._first_ns = t_ns
        elif t_ns <= self._last_ns:
            self._trouble("clock", f"the clock went from {self._last_ns} to {t_ns} ns", troubles)
            return self._verdict(self._last_ns, troubles)
        self._last_ns = t_ns
        row: dict[str, Vector] = {}
        for name, value in _named(observation, action, uncertainty, chunk, signals):
            self._take(name, value, row, troubles)
        self._miss(t_ns, troubles)
        scores = self._scores(t_ns, row, events, troubles)
        score, self._leading = self._fused.see((t_ns - self._first_ns) / 1e9, scores, events)
        self._score = score if np.isfinite(score) else None
        return self._verdict(t_ns, troubles)

    def _take(self, name: str, value: ArrayLike, row: dict[str, Vector], troubles: list[str]) -> None:
        """Put a value into the row if it can be used; a copy, because the caller may write over its own."""
        try:
            numbers = np.array(value, np.float64).reshape(-1)
        except (TypeError, ValueError):
            self._trouble("no numbers", f"{name} is not numbers", troubles)
            return
        known = self._carried.head.streams.get(name)
        if known is not None and numbers.size != known.width_n:
            self._trouble("width", f"{name} is {numbers.size} numbers, not {known.width_n}", troubles)
        elif not finite(numbers):
            self._trouble("not finite", f"{name} is not finite", troubles)
        else:
            row[name] = numbers
            self._came[name] = self._last_ns

    def _miss(self, t_ns: int, troubles: list[str]) -> None:
        """Say which streams that the detectors read have stopped, or never came."""
        for name, limit_ns in self._limits:
            came_ns = self._came.get(name)
            silent_ns = t_ns - (self._first_ns or 0 if came_ns is None else came_ns)
            if silent_ns > limit_ns:
                said = "has not come yet" if came_ns is None else f"stopped {silent_ns / 1e9:.2f} s ago"
                self._trouble("stopped", f"{name} {said}", troubles)

    def _scores(
        self, t_ns: int, row: Mapping[str, Vector], events: Sequence[str], troubles: list[str]
    ) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, watch in self._watches.items():
            if name in self._lost:
                continue
            try:
                score = watch.see(t_ns, row, events)
                if score is not None and math.isnan(score):
                    raise ValueError("its score is not a number")
            except _FAULTS as fault:  # what it holds of this try may be half written: it sits out until the next one
                self._lost[name] = f"{name} is out until the next try ({type(fault).__name__}: {fault})"
                self._trouble("detector failed", self._lost[name], [])
                score = float("-inf")  # nor does what it said last count on
            if score is not None:
                found[name] = score
        troubles += self._lost.values()
        return found

    def _trouble(self, kind: str, what: str, troubles: list[str]) -> None:
        if self._strict:
            raise InvalidEpisode(what, subject="monitor", remedy="Mend what feeds the monitor.")
        self.counts[kind] += 1
        troubles.append(what)

    def _verdict(self, t_ns: int, troubles: Sequence[str]) -> Verdict:
        score, threshold = self._score, self.threshold
        alarm = score is not None and threshold is not None and score > threshold
        if not alarm:
            self._since_ns, self._why = None, self._nothing
        elif self._since_ns is None or self._leading != self._led:
            self._since_ns = t_ns if self._since_ns is None else self._since_ns
            self._led, self._why = self._leading, self._reason(self._since_ns, score or 0.0)
        return Verdict(
            score=score,
            threshold=threshold,
            alarm=alarm,
            detector=self._leading if alarm else "",
            reason=self._why,
            wants=self._on_alarm if alarm else "",
            stale=self._stale,
            blind="; ".join(troubles),
            since_ns=self._since_ns,
        )

    def _reason(self, since_ns: int, score: float) -> str:
        """Say which detector, how far, since when, and what it says itself."""
        since_s = (since_ns - (self._first_ns or 0)) / 1e9
        late = f", past the success horizon of {self.horizon_s:.2f} s" if since_s > self.horizon_s else ""
        watch = self._watches[self._leading]
        told = watch.reason() if isinstance(watch, Telling) else ""
        told = f": {told}" if told else ""
        return f"{self._leading} at {score:.2f}, alarm above {self.threshold:.2f}, since {since_s:.2f} s{late}{told}"


def _named(
    observation: Mapping[str, ArrayLike],
    action: ArrayLike | None,
    uncertainty: ArrayLike | None,
    chunk: ArrayLike | None,
    signals: Mapping[str, ArrayLike] | None,
) -> Iterator[tuple[str, ArrayLike]]:
    """Yield every value of an instant under the name that its stream has in the log."""
    for name, value in observation.items():
        yield OBSERVATION + name, value
    yield from (signals or {}).items()
    if uncertainty is not None:
        yield UNCERTAINTY, uncertainty
    if chunk is not None:
        yield CHUNK, np.asarray(chunk, np.float32)  # as a log keeps it
    if action is not None:
        yield EXECUTED, action


def _wanted(on_alarm: str) -> OnAlarm:
    if on_alarm not in {one.value for one in OnAlarm}:
        raise UsageError(
            f"a monitor cannot {on_alarm!r} on an alarm", subject="on_alarm", remedy=f"Use {', '.join(OnAlarm)}."
        )
    return OnAlarm(on_alarm)


def write_monitor(path: str | Path, data: bytes | Carried) -> None:
    """Write a monitor to `path` all at once: a reader, or a kill, finds the old file or the new one.

    Args:
        path: where; the folder must be there.
        data: what is carried, or the bytes of a calibration's monitor.

    Raises:
        StorageFull, WorkspaceError: the disk refused; the old file stays.
    """
    replace_file(Path(path), encoded(data) if isinstance(data, Carried) else data)


def encoded(carried: Carried) -> bytes:
    """Return a monitor's bytes; equal monitors give equal bytes."""
    return tensors.encode(carried.arrays(), carried.text())
