"""What is handed in over the network is told in the trail, in the transaction that stores it."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from saqiya.domain.nouns import Episode, Subset
from saqiya.domain.words import Rank
from saqiya.loop.people import staff
from saqiya.stores.desk_tables import trail


def uploads(house):
    return [one for one in house.wheel.staff.trail.read(limit=500) if one.what == "upload"]


def test_an_upload_is_told_once_with_what_came_in(house, people):
    before = len(uploads(house))
    answer = people[Rank.OPERATOR].post("/api/v1/uploads", content=b"no log at all")
    assert answer.status_code in {200, 415}
    assert len(uploads(house)) == before + 1
    assert uploads(house)[0].who == "operator"


def test_what_cannot_be_told_is_not_stored(house, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("the trail cannot be written")

    monkeypatch.setattr(staff, "append", broken)
    wheel = house.wheel
    before = len(wheel.store.catalog.all(Episode))
    like = wheel.store.catalog.all(Episode)[0]
    with pytest.raises(RuntimeError), wheel.staff.noting("ann", "upload", (Episode,)):
        wheel.store.catalog.put(replace(like, id=wheel.store.catalog.new_id("episode")), key="told/never")
    assert len(wheel.store.catalog.all(Episode)) == before
    with wheel.store.catalog.database.reading() as connection:
        found = connection.execute(sa.select(sa.func.count()).select_from(trail).where(trail.c.who == "ann")).scalar()
    assert found == 0


def test_an_entry_stands_beside_each_new_noun_of_its_kinds_and_no_other(house):
    catalog = house.wheel.store.catalog
    like = catalog.all(Episode)[0]
    with house.wheel.staff.noting("ann", "upload", (Episode,)) as noted:
        made = catalog.put(replace(like, id=catalog.new_id("episode")), key="told/once")
        catalog.put(replace(like, id=catalog.new_id("episode")), key="told/once")
        catalog.put(Subset(id=catalog.new_id("subset"), name="s", sql="SELECT id FROM episodes"), key="told/subset")
    catalog.put(replace(like, id=catalog.new_id("episode")), key="told/later")
    assert noted == [made.id]
    assert [one.subject for one in uploads(house) if one.who == "ann"] == [made.id]
