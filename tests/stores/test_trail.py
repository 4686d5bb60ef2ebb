"""Who did what, chained: a change, a gap, a forged entry and a lost act are all seen."""

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from saqiya.domain.nouns import Rank
from saqiya.stores import database as database_module
from saqiya.stores.database import Database
from saqiya.stores.desk_tables import trail
from saqiya.stores.people import People, Profile
from saqiya.stores.trail import Trail, append, lies


@pytest.fixture
def database(tmp_path):
    made = Database(tmp_path / "catalog.sqlite")
    with made.writing() as connection:
        for number in range(5):
            append(connection, "ann", "claim", f"lease-{number}", {"slot": number}, now_ns=number)
    yield made
    made.close()


def found(database, statement=None):
    if statement is not None:
        with database.writing() as connection:
            connection.execute(statement)
    with database.reading() as connection:
        return list(lies(connection))


def test_an_untouched_trail_has_no_lies_and_reads_newest_first(database):
    assert found(database) == []
    entries = Trail(database).read(limit=2)
    assert [(one.seq, one.subject, one.detail) for one in entries] == [
        (5, "lease-4", {"slot": 4}),
        (4, "lease-3", {"slot": 3}),
    ]
    assert Trail(database).read(before=2)[0].seq == 1
    assert Trail(database).head() == (5, entries[0].hash)


@pytest.mark.parametrize("column", ["who", "what", "subject", "detail", "t_ns"])
def test_an_entry_that_was_changed_is_seen(database, column):
    value = 99 if column == "t_ns" else "bob"
    told = found(database, sa.update(trail).where(trail.c.seq == 3).values({column: value}))
    assert told == [("trail/3", "this entry of the trail was changed after it was written")]


def test_an_entry_that_is_gone_is_seen(database):
    ((subject, what),) = found(database, sa.delete(trail).where(trail.c.seq == 3))
    assert (subject, what) == ("trail/4", "entries 3 to 3 of the trail are gone")


def test_an_entry_that_was_forged_with_its_hash_breaks_the_chain_after_it(database):
    with database.writing() as connection:
        connection.execute(sa.delete(trail).where(trail.c.seq >= 3))
        append(connection, "eve", "claim", "lease-2", now_ns=2)
    with database.reading() as connection:
        forged = connection.execute(sa.select(trail).where(trail.c.seq == 3)).one()
    assert forged.who == "eve"
    assert found(database) == []  # cut off at its end and written on: only a head that was noted elsewhere tells
    with database.writing() as connection:
        connection.execute(sa.update(trail).where(trail.c.seq == 2).values(hash="0" * 64))
    assert {subject for subject, _ in found(database)} == {"trail/2", "trail/3"}


def test_what_fails_leaves_no_entry(database):
    with pytest.raises(ZeroDivisionError):
        fail(database)
    assert Trail(database).head()[0] == 5


def fail(database):
    with database.writing() as connection:
        append(connection, "ann", "claim", "x", now_ns=9)
        raise ZeroDivisionError


def test_a_catalog_of_an_earlier_saqiya_gains_the_tables_and_keeps_its_nouns(tmp_path, monkeypatch):
    path = tmp_path / "old.sqlite"
    with monkeypatch.context() as patched:
        patched.setattr(database_module, "REVISIONS", ("r0001",))
        upgrade = command.upgrade
        patched.setattr(command, "upgrade", lambda config, _: upgrade(config, "r0001"))
        old = Database(path)
        with old.writing() as connection:
            connection.exec_driver_sql("INSERT INTO nouns VALUES ('a', 'b', 'c', 1, 1, 'd', 'e')")
        assert not sa.inspect(old.engine).has_table("trail")
        old.close()
    new = Database(path)
    with new.reading() as connection:
        assert connection.exec_driver_sql("SELECT id FROM nouns").scalar() == "a"
    made = People(new).add("ann", Rank.VIEWER, "", Profile(), by="test", now_ns=1)
    assert People(new).get("ann") == made
    new.close()


def test_alembic_itself_knows_one_head():
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(database_module.Path(database_module.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [database_module.REVISIONS[-1]]
