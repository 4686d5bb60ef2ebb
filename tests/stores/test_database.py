from __future__ import annotations

import importlib
import pkgutil
import sqlite3
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from saqiya.errors import Corrupt, SaqiyaError, WorkspaceBusy, WorkspaceError, WorkspaceTooNew
from saqiya.stores.database import Database
from saqiya.stores.desk_tables import trail  # noqa: F401 - the tables that are not of nouns
from saqiya.stores.migrations import versions
from saqiya.stores.schema import REVISIONS, metadata

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "catalog.sqlite"


@pytest.fixture
def database(path):
    database = Database(path, busy_s=0.05)
    yield database
    database.close()


def sql(path, script):
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


def test_an_empty_database_migrates_to_exactly_the_tables_we_use(database):
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        indexes = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master WHERE type = 'index'").scalar()
    assert indexes == sum(len(table.indexes) + 1 for table in metadata.tables.values()) + 2


def test_the_known_revisions_are_the_chain_of_migrations():
    names = [name for _, name, _ in pkgutil.iter_modules(versions.__path__)]
    found = {m.revision: m.down_revision for m in (importlib.import_module(f"{versions.__name__}.{n}") for n in names)}
    assert found == dict(zip(REVISIONS, [None, *REVISIONS], strict=False))


def test_a_commit_survives_a_power_cut_and_readers_do_not_wait(database):
    with database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("SELECT count(*) FROM nouns").scalar() == 0
        with database.writing() as writer:
            writer.exec_driver_sql("INSERT INTO nouns VALUES ('a', 'b', 'c', 1, 1, 'd', 'e')")
        assert connection.exec_driver_sql("SELECT count(*) FROM nouns").scalar() == 0


def test_a_newer_revision_is_refused_by_both_names(database, path):
    sql(path, "UPDATE alembic_version SET version_num = 'r9999'")
    with pytest.raises(WorkspaceTooNew, match=f"r9999.*{REVISIONS[-1]}"):
        Database(path)


def test_a_writer_that_holds_on_makes_the_others_busy(database, path):
    with database.writing(), pytest.raises(WorkspaceBusy, match="writing"):
        sql_through(Database(path, busy_s=0.01))
    sql_through(database)


def sql_through(database):
    with database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM nouns")
    database.close()


def test_an_error_inside_a_transaction_undoes_it(database):
    with pytest.raises(ZeroDivisionError):
        write_and_fail(database)
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM nouns").scalar() == 0


def write_and_fail(database):
    with database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO nouns VALUES ('a', 'b', 'c', 1, 1, 'd', 'e')")
        raise ZeroDivisionError


@pytest.mark.parametrize("data", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_corrupt(path, data):
    path.write_bytes(data)
    with pytest.raises(Corrupt, match="backup"):
        Database(path)


def test_a_folder_that_is_not_there_and_a_table_that_is_gone_are_our_own_errors(tmp_path, database, path):
    with pytest.raises(WorkspaceError, match="unable to open"):
        Database(tmp_path / "nowhere" / "catalog.sqlite")
    sql(path, "DROP TABLE refs")
    with pytest.raises(SaqiyaError, match="no such table"), database.reading() as connection:
        connection.exec_driver_sql("SELECT * FROM refs")


def test_eight_threads_may_make_the_same_database_at_once(path):
    made, errors = [], []

    def make():
        try:
            made.append(Database(path))
        except SaqiyaError as error:
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in made:
        database.close()
    assert (len(made), errors) == (8, [])


@pytest.mark.slow
def test_an_installed_wheel_brings_its_migrations(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    script = (
        "import saqiya.stores.database as d; from pathlib import Path; print(d.__file__);"
        "d.Database(Path('catalog.sqlite')).close()"
    )
    environment = {"PYTHONPATH": str(tmp_path / "installed")}
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.startswith(str(tmp_path / "installed"))
    assert (tmp_path / "catalog.sqlite").stat().st_size > 0
