"""The page of dataset versions says of each what is so of it, whatever others are called."""

from dataclasses import replace

from saqiya.domain.nouns import DatasetVersion
from saqiya.server.pages.datasets import _version


def test_a_version_was_made_when_it_was_stored_although_an_older_key_begins_alike(house):
    catalog = house.wheel.store.catalog
    like = catalog.all(DatasetVersion)[0]
    for key in ("cups-before-the-move", "cups"):
        made = catalog.put(replace(like, id=catalog.new_id("dataset_version"), parent=None), key=key)
    assert _version(house.wheel, made).created_ns == catalog.since(DatasetVersion, -1)[-1][0]
