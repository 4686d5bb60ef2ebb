"""A lineage tree as people read it: decisions first, many of one kind by their number, each noun once."""

from saqiya.domain.nouns import DatasetVersion
from saqiya.loop.branches import MOST_ALIKE, branches_of


def test_what_a_version_came_from_names_the_version_before_it_and_counts_its_tries(turned_once):
    version = turned_once.store.catalog.last(DatasetVersion)
    root = branches_of(turned_once, version.id, up=True, depth=1)
    assert [one.kind for one in root.branches] == ["dataset_version", *["episode"] * MOST_ALIKE]
    tries = len({one.episode for one in version.entries})
    assert root.more == (f"{tries - MOST_ALIKE} more episodes",)
    assert all("/" in one.name for one in root.branches)


def test_what_came_of_a_version_names_each_noun_once(turned_once):
    version = turned_once.store.catalog.last(DatasetVersion)
    root = branches_of(turned_once, version.id, up=False, depth=2)
    (policy,) = [one for one in root.branches if one.kind == "policy"]
    shown = [one.id for one in policy.branches]
    assert len(shown) == len(set(shown))
    assert {"evaluation_plan", "gate_decision"} <= {one.kind for one in policy.branches}
