"""Which database has a workspace's catalog: what is there is never thrown away for another."""

import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa

from saqiya.domain.words import Rank
from saqiya.errors import UsageError
from saqiya.stores.database import Database
from saqiya.stores.facts import CATALOG, Facts, hold_to, named, read_facts, write_facts
from saqiya.stores.people import People, Profile

ELSEWHERE = sa.make_url("postgresql+psycopg://ann@db/saqiya")


@pytest.fixture
def root(tmp_path):
    write_facts(tmp_path, Facts(1, "lab"))
    return tmp_path


def test_an_empty_file_makes_room_for_a_catalog_elsewhere_and_copies_of_it_stay(root):
    Database(root / CATALOG).close()
    for end in (".bak", "-2026-11-21", ".before-postgres"):
        (root / f"{CATALOG}{end}").write_bytes(b"what somebody put aside")
    hold_to(root, read_facts(root), ELSEWHERE)
    assert read_facts(root).catalog == named(ELSEWHERE)
    left = {one.name for one in root.iterdir()}
    assert left == {"workspace.json", f"{CATALOG}.bak", f"{CATALOG}-2026-11-21", f"{CATALOG}.before-postgres"}


def test_a_file_with_accounts_alone_is_not_left_for_another_catalog(root):
    database = Database(root / CATALOG)
    People(database).add("ann", Rank.ADMIN, "", Profile(), by="ann", now_ns=1)
    database.close()
    with pytest.raises(UsageError, match="names postgresql"):
        hold_to(root, read_facts(root), ELSEWHERE)
    with closing(sqlite3.connect(root / CATALOG)) as file:
        assert file.execute("SELECT name FROM people").fetchall() == [("ann",)]
