"""The last days of a workspace on one card: what was found, what people gave, what the gate said, and what it cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saqiya.domain.nouns import (
    Correction,
    DatasetVersion,
    Decision,
    Dismissal,
    Episode,
    Failure,
    GateDecision,
    Review,
    Submission,
    Turn,
    Verdict,
)
from saqiya.evaluate.intervals import Interval, newcombe

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["DAYS", "Said", "Week", "week_of"]

DAYS = 7
DAY_NS = 86_400_000_000_000


@dataclass(frozen=True)
class Said:
    """A decision of the gate: when, which word, and its first sentence."""

    at_ns: int
    key: str
    word: str
    reason: str


@dataclass(frozen=True)
class Week:
    """What happened since `since_ns`.

    Attributes:
        found, dismissed: failures.
        accepted, refused: corrections.
        waiting: submissions that nobody has reviewed.
        minutes: length of what operators recorded, accepted or not.
        operators: accepted corrections by operator, most first.
        decisions: of the gate, the newest first.
        versions: dataset versions made.
        turns: finished.
        change: of success from the turn before the week to the last one, with its 95 % interval (Newcombe); None where
            no turn was finished before, or none in it.
    """

    since_ns: int
    found: int
    dismissed: int
    accepted: int
    refused: int
    waiting: int
    minutes: float
    operators: tuple[tuple[str, int], ...]
    decisions: tuple[Said, ...]
    versions: int
    turns: int
    change: tuple[float, Interval] | None


def week_of(wheel: Flywheel, *, days: int = DAYS) -> Week:
    """Read the last `days` days off the nouns."""
    catalog = wheel.store.catalog
    since_ns = wheel.clock() - days * DAY_NS
    given = [one for _, one in catalog.since(Correction, since_ns)]
    decisions = catalog.since(GateDecision, since_ns)
    reviewed = {one.submission for one in catalog.all(Review) if one.verdict is not Verdict.SEND_BACK}
    gone = {one.failure for one in catalog.standing(Dismissal)}
    recorded = list(catalog.each(Episode, sorted({one.episode for one in given})))
    return Week(
        since_ns=since_ns,
        found=len(catalog.since(Failure, since_ns)),
        dismissed=len({one.failure for _, one in catalog.since(Dismissal, since_ns)} & gone),
        accepted=sum(one.accepted for one in given),
        refused=sum(not one.accepted for one in given),
        waiting=sum(one.id not in reviewed for one in catalog.all(Submission)),
        minutes=sum(one.end_ns - one.start_ns for one in recorded) / 60e9,
        operators=tuple(Counter(one.operator for one in given if one.accepted).most_common()),
        decisions=tuple(
            Said(at, catalog.key_of(one.id), one.decision.value, one.reasons[0] if one.reasons else "")
            for at, one in reversed(decisions)
            if one.decision is not Decision.INITIAL
        ),
        versions=len(catalog.since(DatasetVersion, since_ns)),
        turns=len(catalog.since(Turn, since_ns)),
        change=_change(wheel, since_ns),
    )


def _change(wheel: Flywheel, since_ns: int) -> tuple[float, Interval] | None:
    turns = [
        (at, one.figures["success"]) for at, one in wheel.store.catalog.since(Turn, -1) if one.scope == wheel.scope
    ]
    before = [success for at, success in turns if at <= since_ns]
    if not before or turns[-1][0] <= since_ns:
        return None
    old, new = before[-1], turns[-1][1]
    value = new["k"] / max(1, new["n"]) - old["k"] / max(1, old["n"])
    return value, newcombe((old["k"], old["n"]), (new["k"], new["n"]))
