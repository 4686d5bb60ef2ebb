from __future__ import annotations

from dataclasses import replace

import pytest

from saqiya.domain.manifest import manifest_hash
from saqiya.domain.nouns import DatasetEntry, Episode, Role, Source
from saqiya.domain.streams import Start

EPISODE = Episode(
    id="e1",
    recordings=(),
    key_in_recording="0",
    start_ns=1000,
    end_ns=2000,
    streams="ab" * 32,
    infos=(),
    prints=(),
    source=Source.ROLLOUT,
    task="t",
    embodiment="e",
    site="s",
    steps=10,
    start=Start(seed=1, factors={"x": 0.5}),
)
ENTRY = DatasetEntry(episode="e1", start_ns=1000, end_ns=1500, weight=1.0, role=Role.ANCHOR)
OTHER = replace(ENTRY, start_ns=1500, end_ns=2000)


def test_the_order_of_entries_does_not_matter_and_their_number_does():
    assert manifest_hash([ENTRY, OTHER], {"e1": EPISODE}, None) == manifest_hash([OTHER, ENTRY], {"e1": EPISODE}, None)
    assert manifest_hash([ENTRY, ENTRY], {"e1": EPISODE}, None) != manifest_hash([ENTRY], {"e1": EPISODE}, None)


def test_other_ids_and_clocks_give_the_same_hash():
    moved = replace(EPISODE, id="e9", start_ns=5000, end_ns=6000, site="elsewhere", operator="p7")
    entry = replace(ENTRY, episode="e9", start_ns=5000, end_ns=5500)
    assert manifest_hash([entry], {"e9": moved}, None) == manifest_hash([ENTRY], {"e1": EPISODE}, None)


@pytest.mark.parametrize(
    "change", [{"weight": 1.0 + 1e-15}, {"end_ns": 1501}, {"start_ns": 999}, {"role": Role.REPLAY}]
)
def test_every_part_of_an_entry_matters(change):
    assert manifest_hash([replace(ENTRY, **change)], {"e1": EPISODE}, None) != manifest_hash(
        [ENTRY], {"e1": EPISODE}, None
    )


@pytest.mark.parametrize("change", [{"streams": "cd" * 32}, {"start": None}, {"start": Start(1, {"x": 0.6})}])
def test_contents_and_start_of_an_episode_matter(change):
    assert manifest_hash([ENTRY], {"e1": replace(EPISODE, **change)}, None) != manifest_hash(
        [ENTRY], {"e1": EPISODE}, None
    )


def test_the_parent_matters():
    assert len({manifest_hash([ENTRY], {"e1": EPISODE}, parent) for parent in (None, "", "a")}) == 3


def test_the_hash_stays_what_it_was_in_the_first_version():
    assert manifest_hash([ENTRY], {"e1": EPISODE}, None).startswith("74667804af853652")
