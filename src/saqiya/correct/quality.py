"""What a reviewer should look at in a submission, each with the span that it points at. Nothing here refuses anything.

Soft scores of people's demonstrations do not reliably tell good from bad, so these are rules with a reason, and a
person decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector

__all__ = ["LOST", "Doubt", "Shown", "doubts"]

IDLE_S = 1.0
STILL = 1e-3
JERK = 10.0
"""A step's change of pace, in multiples of the operator's own median one, from which it is a jolt."""
JOLT = 0.2
"""And at least so large, in shares of the range that their actions take."""
CLIPPED = 0.2
LATE_MS = 150.0
LATE_S = 0.2
LATE_SAID = f"for {{s:.1f}} s the picture came more than {LATE_MS:.0f} ms late"
SHORT = 0.4
LOST = ("failure", "aborted")
MOST_N = 3


@dataclass(frozen=True)
class Doubt:
    """One thing to look at: `kind` is a word, `said` a sentence, and the span is half-open on the episode's clock.

    A severe one says that there may be nothing to learn from at all: whoever accepts against it says so.
    """

    kind: str
    said: str
    start_ns: int
    end_ns: int
    severe: bool = False


@dataclass(frozen=True)
class Shown:
    """What an operator showed.

    Attributes:
        t_ns: int64 (T,), of the actions; actions: float64 (T, d), as executed.
        mine: bool (T,), the operator's own steps.
        ended: how the episode ended, in a word; "success" raises no doubt.
        denied: who else says that it was none, and what; "" where nobody does.
        low, high: float64 (d,), the limits of the actions; empty where nobody knows them.
        usual_n: how many own steps accepted corrections like this one take; 0 where there are none.
        late_t_ns, late_ms: stamps and milliseconds from input to picture; empty where nobody measured them.
    """

    t_ns: NDArray[np.int64]
    actions: Vector
    mine: NDArray[np.bool_]
    ended: str
    denied: str = ""
    low: Vector = field(default_factory=lambda: np.zeros(0))
    high: Vector = field(default_factory=lambda: np.zeros(0))
    usual_n: float = 0.0
    late_t_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    late_ms: Vector = field(default_factory=lambda: np.zeros(0))


def doubts(shown: Shown) -> tuple[Doubt, ...]:
    """Return what to look at, by time; at most three of a kind, the longest."""
    found = [
        *_whole(shown),
        *_longest("idle", "the hand stands still for {s:.1f} s", _still(shown), shown.t_ns, at_least_s=IDLE_S),
        *_longest("jolt", "the pace jumps", _jolts(shown), shown.t_ns),
        *_longest("clipped", "an action stays at its limit for {s:.1f} s", _clipped(shown), shown.t_ns),
        *_longest("late", LATE_SAID, _late(shown), shown.late_t_ns, at_least_s=LATE_S),
    ]
    return tuple(sorted(found, key=lambda one: (one.start_ns, one.kind)))


def _whole(shown: Shown) -> Iterator[Doubt]:
    if not len(shown.t_ns):
        return
    span = int(shown.t_ns[0]), int(shown.t_ns[-1]) + 1
    own_n = int(shown.mine.sum())
    if shown.ended != "success":
        yield Doubt("outcome", f"it ended as {shown.ended}", *span, severe=shown.ended in LOST)
    elif shown.denied:
        yield Doubt("outcome", f"its operator calls it a success, but {shown.denied}", *span, severe=True)
    if own_n == 0:
        yield Doubt("nobody", "no step of it is a person's", *span, severe=True)
    elif shown.usual_n and own_n < SHORT * shown.usual_n:
        yield Doubt("short", f"{own_n} steps of a person, where {shown.usual_n:.0f} are usual", *span)


def _still(shown: Shown) -> NDArray[np.bool_]:
    if len(shown.t_ns) < 2:
        return np.zeros(len(shown.t_ns), np.bool_)
    moved = (np.abs(np.diff(shown.actions, axis=0)) > STILL * _range(shown.actions)).any(axis=1)
    return np.concatenate([[False], ~moved]) & shown.mine


def _jolts(shown: Shown) -> NDArray[np.bool_]:
    flags = np.zeros(len(shown.t_ns), np.bool_)
    if shown.mine.sum() < 8:
        return flags
    pace = np.abs(np.diff(shown.actions, n=2, axis=0)) / _range(shown.actions)
    worst = pace.max(axis=1)
    own = shown.mine[2:] & shown.mine[1:-1] & shown.mine[:-2]
    if own.any():
        flags[2:] = own & (worst > max(JOLT, JERK * float(np.median(worst[own]))))
    return flags


def _clipped(shown: Shown) -> NDArray[np.bool_]:
    if not len(shown.low) or shown.actions.shape[1:] != shown.low.shape or not shown.mine.any():
        return np.zeros(len(shown.t_ns), np.bool_)
    edge = 1e-6 * (shown.high - shown.low)
    at = ((shown.actions <= shown.low + edge) | (shown.actions >= shown.high - edge)) & shown.mine[:, None]
    often = at.sum(axis=0) > CLIPPED * shown.mine.sum()
    clipped: NDArray[np.bool_] = (at & often).any(axis=1)
    return clipped


def _late(shown: Shown) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        late: NDArray[np.bool_] = shown.late_ms > LATE_MS
    return late


def _range(actions: Vector) -> Vector:
    spread = np.ptp(actions, axis=0)
    return np.where(spread > 0, spread, np.inf)


def _longest(
    kind: str, said: str, flags: NDArray[np.bool_], t_ns: NDArray[np.int64], *, at_least_s: float = 0.0
) -> list[Doubt]:
    """Return the longest runs of flagged steps; a run ends where the next step begins."""
    if not flags.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    ends = np.append(t_ns, t_ns[-1] + 1)
    runs = [(int(t_ns[first]), int(ends[last])) for first, last in zip(edges[::2], edges[1::2], strict=True)]
    runs = [run for run in runs if (run[1] - run[0]) / 1e9 >= at_least_s]
    runs.sort(key=lambda run: run[0] - run[1])
    return [Doubt(kind, said.format(s=(end - start) / 1e9), start, end) for start, end in runs[:MOST_N]]
