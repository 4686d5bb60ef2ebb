"""Who gets which open piece of work next: by what a minute of it brings, how long it has waited, and whom it suits.

The place of a piece of work in somebody's queue is a product, and every factor of it is shown (`terms`): what one
correction brings, the minutes that it takes this person, how much of their work is kept, whether somebody else does it
for less, how many they hold at that robot already, and how late it is. All but the lateness is bounded, so whatever
waits comes first in the end; and only the time moves the lateness, so two pieces keep their order as time goes by.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log
from typing import NamedTuple

__all__ = [
    "Sort", "Term", "Work", "Worker", "blocked", "lean", "most_held", "of_mode", "product", "terms", "urgency",
]  # fmt: skip

UNKNOWN_WORTH = 0.001
"""Points of success a minute where nobody measured anything: between a mode that hardly fails and a frequent one."""
LEAST_WORTH = 1e-6
TAUGHT_BY_ONE = 1.0 - exp(-0.1)
"""The share of a mode that its first correction teaches: triage's sharing takes ten for about two thirds."""
LEAST_LEAN = exp(-1.0)
"""Work that others do for less is left to them for the time of one target at most, and then done by anybody."""
UNTIMED_MINUTES = 1.0
MINUTE_NS = 60e9
NEAR = 0.005
LONGEST = 600.0
"""Targets of lateness beyond which a float would be none; the queue itself sorts by logarithms."""


class Sort(NamedTuple):
    """What makes two pieces of work alike to a person; "" means that anybody's will do."""

    task: str = ""
    site: str = ""
    embodiment: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Work:
    """A request as routing sees it.

    Attributes:
        gain: expected points of success of one correction (1.0 is every try); None where nothing is known.
        minutes: of anybody, for one correction; 0 where nothing was timed.
        due_ns: when it should be corrected by.
        reference: earns a qualification; needs none.
        source: who says what it brings, in a few words.
    """

    sort: Sort
    gain: float | None
    minutes: float
    due_ns: int
    reference: bool = False
    source: str = ""

    @property
    def worth(self) -> float:
        """Expected points of success for a minute of anybody."""
        if self.gain is None:
            return UNKNOWN_WORTH
        return max(self.gain / (self.minutes or UNTIMED_MINUTES), LEAST_WORTH)


@dataclass(frozen=True)
class Worker:
    """A person as routing sees them: () of anything means that it does not matter; `held` counts leases by rig.

    Attributes:
        cost_per_minute: in whatever unit the team counts in.
        paces: minutes for a piece, in everybody's, by task and kind; 1 for what is not named (`pace.pace`).
        kept: share of what they hand in that is accepted, in everybody's, likewise (`pace.kept`).
    """

    name: str
    skills: tuple[str, ...]
    sites: tuple[str, ...]
    rigs: tuple[str, ...]
    qualified: frozenset[str]
    held: Mapping[str, int]
    cost_per_minute: float = 1.0
    paces: Mapping[tuple[str, str], float] = field(default_factory=dict)
    kept: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def slowness(self, sort: Sort) -> float:
        """Return their minutes for a correction that is kept, in everybody's."""
        alike = (sort.task, sort.kind)
        return self.paces.get(alike, 1.0) / self.kept.get(alike, 1.0)


@dataclass(frozen=True)
class Term:
    """A factor of a piece of work's place in the queue, and what it says."""

    name: str
    value: float
    because: str


def of_mode(priority: float, factors: Mapping[str, float]) -> tuple[float, float]:
    """Return what one correction of a mode brings and the minutes that it takes.

    A priority is the whole mode's worth for a minute, and one correction teaches part of it.
    """
    minutes = factors.get("human_minutes", UNTIMED_MINUTES)
    return priority * minutes * TAUGHT_BY_ONE, minutes


def urgency(work: Work, *, target_ns: int) -> float:
    """Return the place of a piece of work in the queue of a person like any other: the highest comes first.

    Worth grows by the factor e with every `target_ns` that it is late. That is the exponential part of the apparent
    tardiness cost rule (Vepsalainen and Morton 1987) without its slack cut-off, so that two pieces keep their order as
    time goes by, and the queue is sorted once and not at every question. A person's `lean` is added to it.
    """
    return log(work.worth) - work.due_ns / target_ns


def lean(sort: Sort, worker: Worker, others: Sequence[Worker], *, examined: Collection[str]) -> float:
    """Return how far a sort of work moves up (above 0) or down in one person's queue: the log of what is theirs of it.

    Args:
        sort: of the work.
        worker: who asks.
        others: who else is on duty.
        examined: tasks that have a reference request.
    """
    cheaper = _cheaper(sort, worker, others, examined=examined)
    return log(cheaper / worker.slowness(sort) / (1 + worker.held.get(sort.embodiment, 0)))


def terms(
    work: Work, worker: Worker, others: Sequence[Worker], *, examined: Collection[str], now_ns: int, target_ns: int
) -> tuple[Term, ...]:
    """Return why a piece of work stands where it does in somebody's queue; the highest `product` comes first."""
    sort, alike = work.sort, (work.sort.task, work.sort.kind)
    pace, share = worker.paces.get(alike, 1.0), worker.kept.get(alike, 1.0)
    anybody = work.minutes or UNTIMED_MINUTES
    cheaper = _cheaper(sort, worker, others, examined=examined)
    there, late_ns = worker.held.get(sort.embodiment, 0), now_ns - work.due_ns
    said = {
        "gain": "nobody measured it: a small guess" if work.gain is None else work.source,
        "per_minute": _lasting(anybody * pace * MINUTE_NS)
        + (", as others take" if abs(pace - 1.0) < NEAR else f", {pace:.2f} times what others take")
        + ("" if work.minutes else "; nobody timed it yet"),
        "kept": f"of yours {share:.2f} times as much is accepted as of everybody's"
        if alike in worker.kept
        else "nothing of yours was decided yet",
        "cost": "nobody on duty does it for less" if cheaper >= 1.0 else "somebody on duty does it for less",
        "load": f"you hold {there} at {sort.embodiment or 'that robot'}" if there else "you hold none at that robot",
        "wait": f"{_lasting(abs(late_ns))} {'late' if late_ns > 0 else 'until it is due'}",
    }
    value = {
        "gain": work.worth * anybody,
        "per_minute": 1.0 / (anybody * pace),
        "kept": share,
        "cost": cheaper,
        "load": 1.0 / (1 + there),
        "wait": exp(max(-LONGEST, min(LONGEST, late_ns / target_ns))),
    }
    return tuple(Term(name, value[name], because) for name, because in said.items())


def product(factors: Sequence[Term]) -> float:
    """Return the product of terms."""
    value = 1.0
    for one in factors:
        value *= one.value
    return value


def most_held(rigs: Collection[str]) -> int:
    """Return how many leases one person may hold: one for each rig under their hands, and one that they prepare."""
    return max(1, len(rigs)) + 1


def blocked(work: Work, worker: Worker, *, examined: Collection[str]) -> str:
    """Say why a person cannot take a piece of work, "" when they can.

    Args:
        work: what is open.
        worker: who asks.
        examined: tasks that have a reference request: whoever works on them must have passed it.
    """
    held = sum(worker.held.values())
    there = worker.held.get(work.sort.embodiment, 0)
    unsuited = _unsuited(work.sort, worker, () if work.reference else examined)
    if unsuited:
        return unsuited
    if held >= most_held(worker.rigs):
        return f"{worker.name} holds {held} leases already: hand one in or back"
    if worker.rigs and there > 1:
        return f"{worker.name} works on {work.sort.embodiment} already, with the next one at hand"
    return ""


def _unsuited(sort: Sort, worker: Worker, examined: Collection[str]) -> str:
    """Say why a sort of work is none for a person, whatever they hold."""
    reasons = (
        (_apart(sort.task, worker.skills), f"needs the skill {sort.task}"),
        (_apart(sort.site, worker.sites), f"is at {sort.site}"),
        (_apart(sort.embodiment, worker.rigs), f"needs the rig {sort.embodiment}"),
        (
            sort.task in examined and sort.task not in worker.qualified,
            f"needs a qualification for {sort.task}: do its reference requests first",
        ),
    )
    return next((why for holds, why in reasons if holds), "")


def _cheaper(sort: Sort, worker: Worker, others: Sequence[Worker], *, examined: Collection[str]) -> float:
    """Return what the cheapest other costs for a kept correction, in what this person does; at most 1."""
    own = worker.cost_per_minute * worker.slowness(sort)
    asked = [
        one.cost_per_minute * one.slowness(sort)
        for one in others
        if one.name != worker.name and not _unsuited(sort, one, examined)
    ]
    ratio = min(asked) / own if asked and own > 0.0 else 1.0
    return min(1.0, max(LEAST_LEAN, ratio))


def _lasting(ns: float) -> str:
    minutes = ns / MINUTE_NS
    if minutes < 2:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.0f} hours"


def _apart(wanted: str, has: Collection[str]) -> bool:
    return bool(wanted and has) and wanted not in has
