"""Group named failures into modes, each with the failure that stands for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from saqiya.triage.rules import Verdict

__all__ = ["ModeDraft", "group"]


@dataclass(frozen=True)
class ModeDraft:
    """What becomes a `FailureMode`: members in the order given, and the medoid, the member nearest to all others."""

    label: str
    parent: str
    members: tuple[str, ...]
    medoid: str


def group(verdicts: Mapping[str, Verdict], evidence: Mapping[str, Mapping[str, float]]) -> tuple[ModeDraft, ...]:
    """Group failures by label, largest mode first (ties by label).

    Args:
        verdicts: by failure id.
        evidence: by failure id; medoids are found in it, each number scaled by its spread over all failures.
    """
    if not verdicts:
        return ()
    names = sorted({name for facts in evidence.values() for name in facts})
    ids = list(verdicts)  # in the order given: ids are drawn at random, and a tie must not depend on them
    table = np.array([[evidence[one].get(name, 0.0) for name in names] for one in ids]).reshape(len(ids), len(names))
    spread = table.std(axis=0)
    table = table[:, spread > 0.0] / spread[spread > 0.0]
    by_label: dict[str, list[int]] = {}
    for index, one in enumerate(ids):
        by_label.setdefault(verdicts[one].label, []).append(index)
    drafts = []
    for label, members in by_label.items():
        rows = table[members]
        total = np.linalg.norm(rows[:, None] - rows[None], axis=2).sum(axis=1)
        medoid = ids[members[int(np.argmin(total))]]
        drafts.append(ModeDraft(label, verdicts[medoid].parent, tuple(ids[index] for index in members), medoid))
    return tuple(sorted(drafts, key=lambda draft: (-len(draft.members), draft.label)))
