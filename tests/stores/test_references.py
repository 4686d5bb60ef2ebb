from __future__ import annotations

from saqiya.domain.nouns import (
    CorrectionKind,
    CorrectionRequest,
    DatasetEntry,
    DatasetVersion,
    EvaluationPlan,
    Lineage,
    Policy,
    Role,
    Slot,
    Suite,
)
from saqiya.domain.streams import Start
from saqiya.stores.references import Reference, redirect, references

VERSION = DatasetVersion(
    id="v2",
    parent="v1",
    entries=(
        DatasetEntry(episode="e1", start_ns=0, end_ns=1, weight=1.0, role=Role.ANCHOR),
        DatasetEntry(episode="e2", start_ns=0, end_ns=1, weight=1.0, role=Role.REPLAY),
        DatasetEntry(episode="e1", start_ns=1, end_ns=2, weight=1.0, role=Role.REPLAY),
    ),
    manifest_hash="h",
)


def test_references_in_nested_tuples_are_found_once_each():
    assert references(VERSION) == [
        Reference("parent", "dataset_version", "v1"),
        Reference("entries.episode", "episode", "e1"),
        Reference("entries.episode", "episode", "e2"),
    ]


def test_an_absent_optional_reference_is_none():
    policy = Policy(
        id="p", name="n", lineage=Lineage.UNKNOWN, trainer="", weights=None, spec=None, dataset=None, base="q"
    )
    assert references(policy) == [Reference("base", "policy", "q")]


def test_both_arms_of_a_slot_are_found():
    slots = tuple(Slot(arm=arm, suite=Suite.SUPERIORITY, stratum="", start=Start(1), pair=0) for arm in ("a", "b"))
    plan = EvaluationPlan(
        id="x", scope="s", round=1, alpha=0.05, candidate="a", champion="b", slots=slots, params={}, power={}
    )
    assert {(link.field, link.target) for link in references(plan)} == {
        ("candidate", "a"), ("champion", "b"), ("slots.arm", "a"), ("slots.arm", "b"),
    }  # fmt: skip


def test_redirecting_changes_references_and_nothing_else():
    changed = redirect(VERSION, {"e1": "e9", "v2": "never", "h": "never"})
    assert [entry.episode for entry in changed.entries] == ["e9", "e2", "e9"]
    assert (changed.id, changed.parent, changed.manifest_hash) == ("v2", "v1", "h")


def test_redirecting_to_nowhere_returns_the_very_same_noun():
    request = CorrectionRequest(
        id="r",
        target="bootstrap",
        mode=None,
        correction_kind=CorrectionKind.DEMONSTRATION,
        count=1,
        starts=(),
        failures=("f1",),
    )
    assert redirect(request, {"f2": "f3"}) is request
