"""Group named failures into modes, each with the failure that stands for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from saqiya.triage.clusters import Found
from saqiya.triage.rules import Verdict
from saqiya.triage.vocabulary import UNNAMED, WAITING

__all__ = ["ModeDraft", "group", "unlike"]

PURE = 0.5
"""Failures of one kind of which at least this share have one label are that label's; else the rules cut across them."""


@dataclass(frozen=True)
class ModeDraft:
    """What becomes a `FailureMode`: members in the order given, and the medoid, the member nearest to all others."""

    label: str
    parent: str
    members: tuple[str, ...]
    medoid: str


def unlike(
    verdicts: Mapping[str, Verdict], found: Found, names: Mapping[str, str], next_number: int
) -> dict[str, Verdict]:
    """Return new verdicts for failures of a kind that rules do not name.

    A kind that joins an earlier mode gets what that mode is called. A new kind whose members mostly have one label of
    a rule keeps it. Where rules call like failures by several names, or by none, they miss what the failures share:
    the kind becomes a mode of its own, "unknown-<n>", and waits for a person's name.

    Args:
        verdicts: what the rules said, by failure.
        found: failures grouped by how they left the successes.
        names: what earlier modes are called, by id.
        next_number: of the next mode that waits for a name.
    """
    said: dict[str, Verdict] = {}
    for kind in found.modes:
        labels = Counter(verdicts[one].label for one in kind.members)
        label, count = labels.most_common(1)[0]
        if kind.known:
            name, why = names[kind.known], "it is like the failures of that mode"
        elif label != UNNAMED and count >= PURE * len(kind.members):
            continue
        else:
            name = f"{WAITING}{next_number}"
            next_number += 1
            called = ", ".join(f"{n} {one}" for one, n in sorted(labels.items()))
            why = f"{len(kind.members)} failures left the successes in one way that rules call {called}"
        said |= {one: Verdict(name, verdicts[one].parent, why, {}) for one in kind.members}
    return said


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
        total = [np.linalg.norm(rows - row, axis=1).sum() for row in rows]  # all pairs at once would fill the memory
        medoid = ids[members[int(np.argmin(total))]]
        drafts.append(ModeDraft(label, verdicts[medoid].parent, tuple(ids[index] for index in members), medoid))
    return tuple(sorted(drafts, key=lambda draft: (-len(draft.members), draft.label)))
