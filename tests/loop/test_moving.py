"""The catalog moves to PostgreSQL and back: whole, once, and through a kill at every step."""

import json
import os
import shutil
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.loop.crowd import Crowd
from typer.testing import CliRunner

from saqiya.cli import catalog  # noqa: F401 - importing registers its command
from saqiya.cli.app import app
from saqiya.domain.nouns import Rank, Verdict
from saqiya.errors import AlreadyThere, ConfigError, Corrupt, UsageError, WorkspaceBusy, WorkspaceError
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.moving import move, with_catalog
from saqiya.stores.database import Database
from saqiya.stores.facts import presence
from saqiya.stores.move import census

TOML = """# what we call things
[desk]
second_share = 0.0  # nobody looks twice here

[store]
# catalog = ""   # where the facts live
cache_bytes = 5
"""


@pytest.fixture(scope="module")
def worked(room):
    """A lab's workspace with every table filled: people, a token, work done, work under way."""
    root = room / "moving"
    Flywheel.init(root).close()
    (root / "saqiya.toml").write_text(TOML)
    with Flywheel(root) as wheel:
        crowd = Crowd(wheel)
        crowd.people("ann", "bob")
        crowd.people("rex", rank=Rank.REVIEWER)
        wheel.staff.issue("ann", "nightly, größer", ["viewer"], days=1, by="test")
        crowd.request(count=4)
        done = wheel.desk.submit(wheel.desk.claim("ann").id, "ann", crowd.episode().id)
        wheel.desk.review(done.id, "rex", Verdict.ACCEPT)
        wheel.desk.claim("bob")
    return root


@pytest.fixture
def lab(worked, fresh):
    return Path(shutil.copytree(worked, fresh / "lab"))


@pytest.fixture
def url(postgres):
    return sa.make_url(postgres.new()).render_as_string()


def moved(root, to):
    return move(root, to, clock=time.time_ns, progress=lambda *_: None)


def story(root):
    """What the catalog in force holds; `verify` finds no lie in it."""
    with Flywheel(root) as wheel:
        assert wheel.verify().lies == ()
        with wheel.store.catalog.database.reading() as connection:
            return census(connection)


def test_it_moves_to_postgresql_and_back_and_work_goes_on(lab, url):
    before = story(lab)
    assert all(before.rows.values())
    there = moved(lab, url.replace("+psycopg", ""))
    assert there.held == before == story(lab)
    assert there.catalog == url
    assert (lab / "saqiya.toml").read_text() == TOML.replace('# catalog = ""', f'catalog = "{url}"')
    assert not (lab / "catalog.sqlite").exists()
    with sa.create_engine(f"sqlite:///{there.old}").connect() as old:
        assert census(old) == before
    with Flywheel(lab) as wheel:
        wheel.desk.claim("ann")
    later = story(lab)
    assert later.trail[0] == before.trail[0] + 1
    back = moved(lab, "sqlite")
    assert (back.held, back.catalog, back.old) == (later, "", "")
    assert story(lab) == later
    assert json.loads((lab / "workspace.json").read_text()) == {"format": 1, "site": "local"}
    with pytest.raises(UsageError, match="holds a catalog already"):
        moved(lab, url)


def test_what_is_moved_already_is_said_to_be(lab, url):
    first, again = moved(lab, url), moved(lab, url)
    assert (again.catalog, again.held, again.old) == (url, first.held, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[store]\n",
        "[store]\r\nregion = 'a'\r\n",
        "[desk]\nlease_s = 2.0",
        TOML,
        "[ store ]\ncatalog = 'old' # here\n[desk]\n",
        '[desk]\n# catalog = "not this"\n[store]\n# catalog = ""\ncatalog = "old"\n',
    ],
)
def test_one_line_of_the_settings_changes(text):
    made = with_catalog(text, "postgresql+psycopg://a@b/c")
    assert 'catalog = "postgresql+psycopg://a@b/c"' in made
    kept = [one for one in text.splitlines() if one and "catalog" not in one]
    assert [one for one in kept if one not in made.splitlines()] == []


def test_settings_that_cannot_be_edited_are_left_and_the_line_is_told(lab, url):
    odd = "store = {cache_bytes = 5}  # ours\n"
    (lab / "saqiya.toml").write_text(odd)
    before = story(lab)
    done = CliRunner().invoke(app, ["catalog", "move", "--to", url, "-w", str(lab)], catch_exceptions=False)
    assert done.exit_code == 1
    assert f'catalog = "{url}"' in done.output
    assert (lab / "saqiya.toml").read_text() == odd
    (lab / "saqiya.toml").write_text(f'[store]\ncatalog = "{url}"\n')
    assert story(lab) == before
    with Flywheel(lab) as wheel:
        assert not wheel.store.catalog.database.is_sqlite


def test_a_copy_that_was_not_taken_at_once_is_made_anew(lab, url):
    (lab / "saqiya.toml").write_text("store = {cache_bytes = 5}\n")
    assert moved(lab, url).line
    with Flywheel(lab) as wheel:  # the old one is in force, and the copy falls behind
        wheel.desk.claim("ann")
    (lab / "saqiya.toml").write_text(f'[store]\ncatalog = "{url}"\n')
    with pytest.raises(UsageError, match="catalog move"):
        Flywheel(lab)
    (lab / "saqiya.toml").write_text("")
    before = story(lab)
    assert moved(lab, url).held == before == story(lab)


def test_nobody_may_have_the_workspace_open_and_nobody_opens_it_meanwhile(lab, postgres):
    with Flywheel(lab), pytest.raises(WorkspaceBusy, match="a server, a turn"):
        moved(lab, postgres.new())
    with presence(lab, alone=True), pytest.raises(WorkspaceBusy, match="is being moved"):
        Flywheel(lab)
    assert story(lab)


def test_a_target_that_others_use_is_left_alone(lab, worked, fresh, url):
    other = Path(shutil.copytree(worked, fresh / "other"))
    moved(other, url)
    with pytest.raises(UsageError, match="holds a catalog already"):
        moved(lab, url)
    assert story(other) == story(lab)


def test_a_copy_that_differs_never_counts(lab, url):
    before = story(lab)
    with closing(Database(url)) as there, there.writing() as connection:
        connection.exec_driver_sql("CREATE RULE deaf AS ON INSERT TO trail DO INSTEAD NOTHING")
    with pytest.raises(Corrupt, match="not the same"):
        moved(lab, url)
    assert story(lab) == before


def test_text_that_postgresql_does_not_take_stops_the_move(lab, url):
    with Flywheel(lab) as wheel, wheel.store.catalog.database.writing() as connection:
        connection.exec_driver_sql("UPDATE tokens SET name = 'a' || char(0)")
    before = story(lab)
    with pytest.raises(Corrupt, match="takes not all of the text"):
        moved(lab, url)
    assert story(lab) == before
    with closing(Database(url)) as there, there.reading() as connection:
        assert not any(census(connection).rows.values())


def test_a_password_is_refused_in_the_url_and_never_shown(lab, postgres, monkeypatch):
    for url in ("postgresql://ann:hunter2@db/saqiya", "postgresql://ann@db/saqiya?password=hunter2"):
        with pytest.raises(ConfigError, match="SAQIYA_CATALOG_PASSWORD") as caught:
            moved(lab, url)
        assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("SAQIYA_CATALOG_PASSWORD", "hunter2")
    with pytest.raises(WorkspaceError) as caught:
        moved(lab, "postgresql://ann@/saqiya?host=/nowhere")
    done = CliRunner().invoke(app, ["catalog", "move", "--to", postgres.new(), "-w", str(lab), "--json"])
    assert done.exit_code == 0
    files = "".join((lab / name).read_text() for name in ("saqiya.toml", "workspace.json"))
    assert "hunter2" not in str(caught.value) + done.output + files


def struck(root, to, at):
    """Move in a process of its own that is killed at its step number `at`; return how many steps it came through."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        steps = iter(range(10_000))

        def step(*_):
            os.write(tell, b".")
            if next(steps) == at:
                os.kill(os.getpid(), signal.SIGKILL)

        def between(act):
            def acted(*words):
                step()
                made = act(*words)
                step()
                return made

            return acted

        sa.event.listen(sa.Engine, "commit", step)
        Path.replace, Path.rename = between(Path.replace), between(Path.rename)
        try:
            moved(root, to)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(tell)
    with os.fdopen(told, "rb") as file:
        return len(file.read())


@pytest.mark.parametrize("place", ["sqlite", "postgresql"])
def test_a_copy_made_while_others_work_and_the_objects_are_a_workspace_again(lab, fresh, url, place):
    if place == "postgresql":
        moved(lab, url)
    file = fresh / "catalog.sqlite"
    with Flywheel(lab) as wheel:
        done = CliRunner().invoke(app, ["catalog", "copy", str(file), "-w", str(lab), "--json"], catch_exceptions=False)
        wheel.desk.claim("ann")  # it is not in it
    told = json.loads(done.output)
    again = CliRunner().invoke(app, ["catalog", "copy", str(file), "-w", str(lab)])
    assert isinstance(again.exception, AlreadyThere)
    nowhere = CliRunner().invoke(app, ["catalog", "copy", str(fresh / "none" / "c.sqlite"), "-w", str(lab)])
    assert isinstance(nowhere.exception, UsageError)
    assert str(nowhere.exception).startswith(f"{fresh / 'none'}: is no folder")
    assert [one.name for one in fresh.iterdir() if "catalog" in one.name] == ["catalog.sqlite"]
    restored = fresh / "restored"
    Flywheel.init(restored).close()
    shutil.copytree(lab / "objects", restored / "objects", dirs_exist_ok=True)
    file.replace(restored / "catalog.sqlite")
    assert story(restored).content == told["held"]["content"]
    assert story(lab).trail[0] == story(restored).trail[0] + 1


@pytest.mark.parametrize("back", [False, True])
def test_a_kill_at_any_step_leaves_one_whole_catalog_in_force_and_the_command_goes_on(worked, fresh, postgres, back):
    start = Path(shutil.copytree(worked, fresh / "start"))
    expected, at, ended = story(start), int(back), False
    while not ended:
        root, url = Path(shutil.copytree(start, fresh / str(at))), postgres.new()
        if back:
            moved(root, url)
        to = "sqlite" if back else url
        ended = struck(root, to, at) <= at
        if at % 4 < 2:  # sometimes people look before it goes on
            assert story(root) == expected
        assert moved(root, to).held == expected == story(root)
        with Flywheel(root) as wheel:
            assert wheel.store.catalog.database.is_sqlite == back
        at += 2
    assert at > 12
