"""The same tests of the catalog on PostgreSQL, but for those with SQLite's own SQL or other processes on its file."""

import pytest
import sqlalchemy as sa
from tests.stores import test_catalog, test_lineage
from tests.stores.test_lineage import tried  # noqa: F401 - a fixture of the tests that are taken from there

from saqiya.errors import UsageError, WorkspaceBusy, WorkspaceError
from saqiya.stores.database import Database

OF_SQLITE = {
    "test_a_circle_made_behind_our_back_ends",
    "test_two_open_workspaces_see_each_others_nouns",
    "test_four_processes_with_the_same_keys_store_each_once",
    "test_a_forked_process_and_its_parent_both_store_on",
    "test_a_disk_that_fills_loses_nothing_that_was_committed",
    "test_a_process_killed_at_any_moment_leaves_whole_tries_and_all_it_acknowledged",
}

every = vars(test_catalog) | vars(test_lineage)
globals().update({name: every[name] for name in every if name.startswith("test_") and name not in OF_SQLITE})


@pytest.fixture
def workspace(opened, postgres):
    return opened(create=True, database=sa.make_url(postgres.new()))


@pytest.fixture
def url(postgres):
    return sa.make_url(postgres.new())


def test_a_workspace_keeps_to_its_catalog(opened, postgres, try_of):
    url = sa.make_url(postgres.new()).set(password="secret")
    workspace = opened(create=True, database=url)
    assert not (workspace.root / "catalog.sqlite").exists()
    assert "secret" not in (workspace.root / "workspace.json").read_text()
    with pytest.raises(UsageError, match=r"Put \[store\] catalog back"):
        opened()
    with pytest.raises(UsageError, match="its catalog is"):
        opened(database=sa.make_url(postgres.new()))
    own = opened("own", create=True)
    own.catalog.put_all(try_of(own, 1))
    with pytest.raises(UsageError, match=r"its catalog is catalog\.sqlite"):
        opened("own", database=url)


def test_its_size_is_told(workspace, try_of):
    before = workspace.catalog.database.size_bytes()
    workspace.catalog.put_all([noun for number in range(40) for noun in try_of(workspace, number)])
    assert before > 0
    assert workspace.catalog.database.size_bytes() > before


def test_a_reader_sees_one_state_and_does_not_wait(url):
    database = Database(url)
    with database.reading() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM nouns").scalar()
        with database.writing() as writer:
            writer.exec_driver_sql("INSERT INTO nouns VALUES ('a', 'b', 'c', 1, 1, 'd', 'e')")
        assert connection.exec_driver_sql("SELECT count(*) FROM nouns").scalar() == before == 0
    database.close()


def test_a_writer_that_holds_on_makes_the_others_busy(url):
    one, other = Database(url), Database(url, busy_s=0.05)
    with one.writing(), pytest.raises(WorkspaceBusy, match="writing"), other.writing():
        raise AssertionError("two writers at once")
    one.close()
    other.close()


def test_no_error_shows_a_password(url, tmp_path):
    with pytest.raises(WorkspaceError) as caught:
        Database(url.set(password="hunter2", database="nowhere"))
    shown = [str(caught.value), repr(caught.value.__cause__), str(url.set(password="hunter2"))]
    assert not any("hunter2" in one for one in shown)
    assert "nowhere" in shown[0]


def test_what_no_database_takes_is_the_callers_fault(workspace):
    with pytest.raises(UsageError, match="no such text"):
        workspace.catalog.get("\0")
