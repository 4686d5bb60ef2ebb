"""One failed try, its alarms, its people and its events, as one incident: where to look first, and what triage needs.

The policy failed where the try failed, and also where a person had to take over or stop the robot, whatever came after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from saqiya.detect.person import Hand, touches
from saqiya.domain.nouns import Outcome
from saqiya.domain.streams import Event, Span, Stream

__all__ = ["AlarmDraft", "Incident", "incident"]

PHASE = "phase/"
LOST = "contact/lost"
MADE = "contact/made"
HELD = ("/held", "/grasped")
HELD_STEPS = 3
"""Contact chatters: only this many rows in a row count as held again."""
FLAGS = ("timeout", "abort", "collision", "force_limit")


@dataclass(frozen=True)
class AlarmDraft:
    """A span in which the fused score stayed above its threshold, and who drove it, before it is stored."""

    detector: str
    span: Span
    score: float
    threshold: float
    reason: str = ""


@dataclass(frozen=True)
class Incident:
    """What becomes a `Failure`: the moment to look at first, the last phase reached, and the evidence."""

    moment_ns: int
    phase: str
    evidence: dict[str, float]


def incident(
    outcome: Outcome,
    *,
    span: Span,
    events: Sequence[Event],
    streams: Mapping[str, Stream],
    alarms: Sequence[AlarmDraft],
    phases: Sequence[str],
) -> Incident | None:
    """Group what was seen of one try into one incident.

    None when the try succeeded, or nobody knows how it ended, and no person took over or stopped the robot. A takeover
    in a try that then succeeded is a failure of the policy: evidence, not proof, so a person can dismiss it.

    The moment is the first alarm or the first hand of a person on it, whichever came first; else the first lost contact
    after the last progress, else the last progress (a phase reached for the first time), else the beginning. What came
    after a person's first hand was the person's work: only time and flags are read from it. Evidence, in seconds from
    the beginning of the try or as counts:

    - `length_s`, `progress_s` (last progress), `stalled_s` (from there to the end, or to the person)
    - `phases_reached_n`, `phases_n`
    - `lost_n`, `lost_s` (first), `regained_n`: how often the object was held again after a loss, by a stream that ends
      in "/held" or "/grasped" (0 or 1) where there is one, by "contact/made" events, or because it was lost again
    - `alarms_n`, `alarm_s` (first), `peak/<detector>` (score above which it alarmed is 1, where that is not zero)
    - `takeover`, `estop` (1.0 each), `person_s` (first), `person_n`: what a person did, told by events or by the
      stream `author` and its like
    - 1.0 for each of `timeout`, `abort`, `collision`, `force_limit` that happened

    Args:
        outcome: what the try came to, by the claim that the caller trusts most.
        span: the whole try.
        events: its events, in time order.
        streams: its streams; only those that say who acted, and whether the object is held, are read.
        alarms: all detectors' alarms in it; those that begin after the end are not evidence.
        phases: the site's phases in order; an unknown phase event does not count as progress.
    """
    hands = touches(events, streams)
    if outcome in {Outcome.SUCCESS, Outcome.UNKNOWN} and not hands:
        return None
    alone_ns = hands[0].t_ns if hands else span.end_ns
    order = {f"{PHASE}{name}": index for index, name in enumerate(phases)}
    progress = [event for event in events if event.name in order and event.t_ns <= alone_ns]
    progress_ns = max((event.t_ns for event in progress), default=span.start_ns)
    furthest = max((order[event.name] for event in progress), default=-1)
    lost = [event.t_ns for event in events if event.name == LOST and event.t_ns <= alone_ns]
    heard = sorted((alarm for alarm in alarms if alarm.span.start_ns < span.end_ns), key=lambda a: a.span.start_ns)
    lost_since = [t_ns for t_ns in lost if t_ns >= progress_ns]
    first = [*(alarm.span.start_ns for alarm in heard[:1]), *(hand.t_ns for hand in hands[:1])]
    moment_ns = min(first or lost_since, default=progress_ns)
    made = [event.t_ns for event in events if event.name == MADE and event.t_ns <= alone_ns]

    def seconds(t_ns: int) -> float:
        return (t_ns - span.start_ns) / 1e9

    evidence = {
        "length_s": seconds(span.end_ns),
        "progress_s": seconds(progress_ns),
        "stalled_s": (alone_ns - progress_ns) / 1e9,
        "phases_reached_n": float(furthest + 1),
        "phases_n": float(len(phases)),
        "lost_n": float(len(lost)),
        "regained_n": float(_regained(lost, made, streams, alone_ns)),
        "alarms_n": float(len(heard)),
    }
    if lost:
        evidence["lost_s"] = seconds(lost[0])
    if heard:
        evidence["alarm_s"] = seconds(heard[0].span.start_ns)
    if hands:
        evidence |= {"person_s": seconds(alone_ns), "person_n": float(len(hands))}
        evidence |= {kind.value: 1.0 for kind in Hand if any(hand.hand is kind for hand in hands)}
    for alarm in heard:
        if alarm.threshold > 0.0:
            key = f"peak/{alarm.detector}"
            evidence[key] = max(evidence.get(key, 0.0), alarm.score / alarm.threshold)
    evidence |= {name: 1.0 for name in FLAGS if any(event.name == name for event in events)}
    return Incident(moment_ns, phases[furthest] if furthest >= 0 else "", evidence)


def _regained(lost: Sequence[int], made: Sequence[int], streams: Mapping[str, Stream], until_ns: int) -> int:
    """Count how often the object was held again after its first loss, by the best witness there is."""
    if not lost:
        return 0
    seen = [_grips(stream, lost[0], until_ns) for name, stream in streams.items() if name.endswith(HELD)]
    return max(len(lost) - 1, sum(t_ns > lost[0] for t_ns in made), *seen)


def _grips(stream: Stream, after_ns: int, until_ns: int) -> int:
    """Count the runs of at least `HELD_STEPS` rows above one half that begin after `after_ns`, up to `until_ns`."""
    held = np.concatenate([[False], stream.values.reshape(len(stream.t_ns), -1)[:, 0] > 0.5, [False]])
    edges = np.flatnonzero(held[1:] != held[:-1])
    begins, ends = edges[::2], edges[1::2]
    begun_ns = stream.t_ns[begins]
    return int(np.sum((ends - begins >= HELD_STEPS) & (begun_ns > after_ns) & (begun_ns <= until_ns)))
