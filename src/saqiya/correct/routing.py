"""Who gets which open piece of work next: by what a minute of it brings, how long it has waited, and whom it suits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import exp, log

__all__ = ["UNKNOWN_WORTH", "Work", "Worker", "blocked", "most_held", "urgency", "worth_of_mode"]

UNKNOWN_WORTH = 0.001
"""Points of success a minute where nobody measured anything: between a mode that hardly fails and a frequent one."""
TAUGHT_BY_ONE = 1.0 - exp(-0.1)
"""The share of a mode that its first correction teaches: triage's sharing takes ten for about two thirds."""


@dataclass(frozen=True)
class Work:
    """A request as routing sees it; "" of a place or a task means that anybody's will do.

    Attributes:
        worth: expected points of success for a minute of a person; None where nothing is known.
        due_ns: when it should be corrected by.
        reference: earns a qualification; needs none.
    """

    task: str
    site: str
    embodiment: str
    worth: float | None
    due_ns: int
    reference: bool = False


@dataclass(frozen=True)
class Worker:
    """A person as routing sees them: () of anything means that it does not matter; `held` counts leases by rig."""

    name: str
    skills: tuple[str, ...]
    sites: tuple[str, ...]
    rigs: tuple[str, ...]
    qualified: frozenset[str]
    held: Mapping[str, int]


def worth_of_mode(priority: float) -> float:
    """Return what a minute on a mode brings: its priority is the whole mode's, and one correction teaches part."""
    return priority * TAUGHT_BY_ONE


def urgency(work: Work, *, target_ns: int) -> float:
    """Return the place of a piece of work in the queue: the highest comes first.

    Worth grows by the factor e with every `target_ns` that it is late. That is the exponential part of the apparent
    tardiness cost rule (Vepsalainen and Morton 1987) without its slack cut-off, so that two pieces keep their order as
    time goes by, and the queue is sorted once and not at every question.
    """
    worth = UNKNOWN_WORTH if work.worth is None else max(work.worth, 1e-9)
    return log(worth) - work.due_ns / target_ns


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
    there = worker.held.get(work.embodiment, 0)
    reasons = (
        (_apart(work.task, worker.skills), f"needs the skill {work.task}"),
        (_apart(work.site, worker.sites), f"is at {work.site}"),
        (_apart(work.embodiment, worker.rigs), f"needs the rig {work.embodiment}"),
        (
            not work.reference and work.task in examined and work.task not in worker.qualified,
            f"needs a qualification for {work.task}: do its reference requests first",
        ),
        (held >= most_held(worker.rigs), f"{worker.name} holds {held} leases already: hand one in or back"),
        (
            bool(worker.rigs) and there > 1,
            f"{worker.name} works on {work.embodiment} already, with the next one at hand",
        ),
    )
    return next((why for holds, why in reasons if holds), "")


def _apart(wanted: str, has: Collection[str]) -> bool:
    return bool(wanted and has) and wanted not in has
