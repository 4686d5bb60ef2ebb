"""What is kept of a kind is what a fresh reader finds, whatever was stored and asked in between, and by whom."""

import random

import pytest

from saqiya.domain.nouns import Dismissal, Rejection, Tombstone
from saqiya.stores import shelves

KINDS = (Rejection, Tombstone)


def made(workspace, number):
    if number % 3:
        return Rejection(id=workspace.catalog.new_id("rejection"), name=str(number), reason="r", remedy="m")
    return Tombstone(id=workspace.catalog.new_id("tombstone"), digest=f"{number:064x}", reason="r")


def told(catalog):
    return [
        [catalog.since(kind, -1), catalog.all(kind), [catalog.key_of(one.id) for one in catalog.all(kind)]]
        for kind in KINDS
    ]


@pytest.mark.parametrize("most", [5, 200_000])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_kept_equals_what_is_read_anew(workspace, opened, monkeypatch, seed, most):
    monkeypatch.setattr(shelves, "_SHELVED_AT_MOST", most)
    monkeypatch.setattr(shelves, "_HELD_AT_MOST", 3)
    rng, other = random.Random(seed), opened()
    for _ in range(40):
        here = rng.choice([workspace, other])
        here.catalog.put(made(here, rng.randrange(30)), key=f"log/{rng.randrange(30)}")
        if rng.random() < 0.5:
            assert told(rng.choice([workspace, other]).catalog) == told(opened().catalog)
    assert workspace.catalog.all(Dismissal) == []


def test_what_is_given_out_can_be_changed_without_harm(workspace):
    workspace.catalog.put(made(workspace, 1), key="log/1")
    workspace.catalog.all(Rejection).clear()
    assert len(workspace.catalog.all(Rejection)) == 1
