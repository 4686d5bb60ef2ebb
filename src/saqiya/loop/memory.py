"""What earlier rounds teach the next: which data is suspect, which failures were fixed, which starts stay unseen."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from saqiya.domain.nouns import (
    Correction,
    DatasetVersion,
    Decision,
    Episode,
    EvaluationPlan,
    Failure,
    FailureMode,
    GateDecision,
    Policy,
    Role,
    Suite,
)
from saqiya.domain.streams import Start

if TYPE_CHECKING:
    from saqiya.stores.catalog import Catalog

__all__ = ["held_out", "quarantined", "regression_suite"]


def held_out(catalog: Catalog) -> list[Start]:
    """Every start that a superiority test has used: never to be trained on."""
    plans = catalog.all(EvaluationPlan)
    return [slot.start for plan in plans for slot in plan.slots if slot.suite is Suite.SUPERIORITY]


def quarantined(catalog: Catalog) -> set[str]:
    """Episodes that were new in a version whose candidate was rejected: suspect, so in no later mix."""
    suspect: set[str] = set()
    for decision in catalog.all(GateDecision):
        dataset = catalog.get(decision.candidate, Policy).dataset
        if decision.decision is Decision.REJECT and dataset is not None:
            version = catalog.get(dataset, DatasetVersion)
            suspect |= {entry.episode for entry in version.entries if entry.role is Role.CORRECTION}
    return suspect


def regression_suite(
    catalog: Catalog, champion: Policy, limit: int, *, fixed: Collection[str]
) -> dict[str, tuple[tuple[Start, ...], bool]]:
    """By stratum: at most `limit` starts, the newest first, and whether all are the champion's.

    Each failure that is `fixed` (was ever verified) adds its start to the stratum "<mode>, fixed before". Those of the
    champion that this turn corrected make the stratum "<mode>": kept apart, because what a candidate gains on these
    must not pay for what it breaks among those. They may be trained on, are reported apart, and never enter the
    superiority test.
    """
    answered = {one.failure for one in catalog.all(Correction) if one.accepted}
    mode_of = {member: mode for mode in catalog.all(FailureMode) for member in mode.members}
    found: dict[str, list[tuple[Start, bool]]] = {}
    for failure in reversed(catalog.all(Failure)):
        mode, start = mode_of.get(failure.id), catalog.get(failure.episode, Episode).start
        if mode is None or start is None:
            continue
        own = mode.policy == champion.id
        if failure.id in fixed:
            found.setdefault(f"{mode.label}, fixed before", []).append((start, own))
        elif own and failure.id in answered:
            found.setdefault(mode.label, []).append((start, own))
    return {
        label: (tuple(start for start, _ in rows[:limit]), all(own for _, own in rows[:limit]))
        for label, rows in found.items()
    }
