from __future__ import annotations

import pytest

from saqiya.domain.nouns import Alias
from saqiya.errors import UnknownId
from saqiya.stores.lineage import walk


@pytest.fixture
def tried(workspace, try_of):
    return workspace.catalog, *workspace.catalog.put_all(try_of(workspace, 1))


def test_up_leads_to_what_a_noun_came_from_and_down_to_the_bytes(tried):
    catalog, recording, episode, claim = tried
    root = walk(catalog, claim.id, "up")
    assert (root.id, root.kind, root.field) == (claim.id, "outcome_claim", "")
    (child,) = root.children
    assert (child.id, child.field) == (episode.id, "episode")
    assert [(kin.field, kin.kind, kin.id) for kin in child.children] == [
        ("recordings", "recording", recording.id),
        ("streams", "object", episode.streams),
    ]


def test_down_leads_to_what_came_of_it_from_a_noun_or_from_bytes(tried):
    catalog, recording, episode, claim = tried
    for start in (recording.id, episode.streams):
        (child,) = walk(catalog, start, "down").children
        assert child.id == episode.id
        assert [kin.id for kin in child.children] == [claim.id]


def test_what_is_reached_twice_is_shown_once(tried):
    catalog, recording, episode, _ = tried
    alias = Alias(id=catalog.new_id("alias"), episode=episode.id, recording=recording.id, key_in_recording="")
    catalog.put(alias, key="alias")
    down = walk(catalog, recording.id, "down")
    assert [(kin.kind, kin.again) for kin in down.children] == [("alias", False), ("episode", False)]
    (inner,) = [kin for kin in down.children[1].children if kin.kind == "alias"]
    assert inner.id == alias.id
    up = walk(catalog, alias.id, "up")
    assert [(kin.kind, len(kin.children)) for kin in up.children] == [("episode", 2), ("recording", 0)]


def test_a_circle_made_behind_our_back_ends(tried):
    catalog, recording, episode, claim = tried
    with catalog.database.writing() as connection:
        row = {"source": recording.id, "field": "forged", "target": claim.id}
        connection.exec_driver_sql("INSERT INTO refs VALUES (:source, :field, :target)", row)
    inner = walk(catalog, claim.id, "up", depth=1000).children[0].children[0].children[0]
    assert inner.again
    assert inner.id == claim.id
    assert episode.id


def test_depth_and_size_are_bounded_and_what_is_left_out_is_counted(workspace, try_of):
    catalog = workspace.catalog
    for number in range(3):
        catalog.put_all(try_of(workspace, number))
    assert walk(catalog, "claim/1", "up", depth=0).hidden == 1
    assert walk(catalog, "claim/1", "up", depth=1).children[0].hidden == 2
    whole = walk(catalog, "claim/1", "up", depth=2)
    assert [kin.hidden for kin in whole.children[0].children] == [0, 0]
    assert walk(catalog, "claim/1", "up", limit=3).children[0].hidden == 1


def test_an_unknown_start_is_an_unknown_id(workspace):
    with pytest.raises(UnknownId):
        walk(workspace.catalog, "nobody", "up")
    assert walk(workspace.catalog, "ab" * 32, "down").children == ()
