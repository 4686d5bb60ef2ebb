"""Answers for people and machines, files, and named subsets that copy nothing."""

import datetime
import json

import pyarrow.parquet as pq
import pytest

from saqiya.domain.nouns import DatasetEntry, DatasetVersion, Episode, Role
from saqiya.errors import AlreadyThere, UnknownId, UsageError
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.ask import ask, ask_to_file, resolve, save_subset
from saqiya.loop.data import Data
from saqiya.loop.diff import diff
from saqiya.stores.workspace import Workspace
from saqiya.testing import ManualClock, make_episode


@pytest.fixture
def store(tmp_path):
    """Six made-up tries that came in as logs: four successes at `made`, two failures at `yard`."""
    import random

    clock = ManualClock(1_700_000_000_000_000_000)
    (tmp_path / "logs").mkdir()
    for seed in range(6):
        log = make_episode(seed=seed, success=seed < 4, metadata={"site": "made" if seed < 4 else "yard"})
        McapFormat().write(log, tmp_path / "logs" / f"{seed}.mcap")
    made = Workspace.create(tmp_path / "wheel", site="lab", clock=clock, entropy=random.Random(0).randbytes)
    Data(made, clock=clock, progress=lambda *_: None).ingest([tmp_path / "logs"])
    yield made
    made.close()


def test_an_answer_has_columns_types_and_rows(store):
    found = ask(store, "SELECT site, count(*) AS n FROM episodes GROUP BY ALL ORDER BY n")
    assert (found.columns, found.rows, found.more, found.notes) == (
        ("site", "n"),
        (("yard", 2), ("made", 4)),
        False,
        (),
    )
    assert found.records() == [{"site": "yard", "n": 2}, {"site": "made", "n": 4}]


def test_an_answer_can_be_cut_and_says_so(store):
    found = ask(store, "SELECT id FROM episodes", most_rows=4)
    assert (len(found.rows), found.more) == (4, True)
    assert not ask(store, "SELECT id FROM episodes", most_rows=6).more


def test_every_value_of_an_answer_is_json(store):
    sql = """SELECT start_factors, streams, extra, 'nan'::DOUBLE AS a, '1.50'::DECIMAL(9, 2) AS b,
             DATE '2026-11-21' AS c, NULL AS f,
             'x'::BLOB AS d, INTERVAL 2 SECOND AS e, {'g': 1} AS g, uuid() AS h, 12::HUGEINT AS i,
             TIMESTAMP '2026-11-21 01:02:03' AS j, TIME '01:02:03' AS k, true AS l,
             MAP {'x': 1} AS m FROM episodes LIMIT 1"""
    (row,) = ask(store, sql).records()
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert set(row["start_factors"]) == {"goal_x", "goal_y"}
    interval = {"months": 0, "days": 0, "nanoseconds": 2 * 10**9}
    assert [row[name] for name in "abcde"] == [None, 1.5, "2026-11-21", "eA==", interval]
    assert [row[name] for name in "fgiklm"] == [None, {"g": 1}, 12, "01:02:03", True, {"x": 1}]
    assert datetime.datetime.fromisoformat(row["j"]).year == 2026


def test_a_name_that_comes_twice_is_numbered(store):
    found = ask(store, "SELECT a.id, b.id, 1 AS id_1 FROM episodes a JOIN episodes b USING (id) LIMIT 1")
    assert found.columns == ("id", "id_1", "id_1_1")
    assert len(found.records()[0]) == 3


def test_the_force_is_asked_for_beside_the_catalog(store):
    sql = """SELECT e.site, count(*) AS n, max(abs(f.v0)) < 1 AS small FROM episodes e
             JOIN signal('contact/force') f ON f.episode = e.id WHERE e.site = 'yard' AND f.t_s < .5 GROUP BY ALL"""
    found = ask(store, sql)
    assert found.rows == (("yard", 80, True),)
    assert found.notes == ("contact/force: read of 2 episodes",)


def test_an_answer_as_a_parquet_file(store, tmp_path):
    path = tmp_path / "out.parquet"
    count, _ = ask_to_file(store, "SELECT a.id, b.id, a.start_factors FROM episodes a JOIN episodes b USING (id)", path)
    assert (count, pq.read_table(path).num_rows, pq.read_schema(path).names) == (6, 6, ["id", "id_1", "start_factors"])
    with pytest.raises(AlreadyThere):
        ask_to_file(store, "SELECT 1", path)
    with pytest.raises(UsageError):
        ask_to_file(store, "SELECT x", tmp_path / "none.parquet")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["logs", "out.parquet", "wheel"]


def test_a_subset_is_a_query_that_is_asked_when_it_is_used(store):
    made = save_subset(store, "good", "SELECT id FROM episodes WHERE outcome = 'success'")
    assert resolve(store, "good") == sorted(one.id for one in store.catalog.all(Episode) if one.site == "made")
    assert save_subset(store, "good", made.sql) == made
    save_subset(store, "good", "SELECT episode FROM claims WHERE outcome = 'failure' -- the others")
    assert len(resolve(store, "good")) == 2
    assert save_subset(store, "good", made.sql) != made
    assert len(resolve(store, "good")) == 4
    assert ask(store, "SELECT name FROM subsets").rows == (("good",),) * 3


def test_a_subset_must_hold_episodes(store):
    for name, sql, says in [
        ("a", "SELECT site FROM episodes", "column `id` or `episode`"),
        ("a", "SELECT site AS id FROM episodes", "no episodes"),
        ("a b", "SELECT id FROM episodes", "cannot name"),
        ("a", "SELECT id FROM episode", "Did you mean"),
        ("a", "SELECT id FROM subset('a')", "asks for itself"),
        ("a", "SELECT NULL::VARCHAR AS id", "no episodes"),
    ]:
        with pytest.raises(UsageError, match=says):
            save_subset(store, name, sql)
    with pytest.raises(UnknownId):
        resolve(store, "a")


def test_versions_are_compared_by_a_part_of_their_ids(store):
    episodes = [one.id for one in store.catalog.all(Episode)]
    names = []
    for count, weight in ((3, 1.0), (4, 2.0)):
        entries = tuple(DatasetEntry(one, 0, 10**9, weight, Role.ANCHOR) for one in episodes[:count])
        version = DatasetVersion(id=store.catalog.new_id("dataset_version"), parent=None, entries=entries,
                                 manifest_hash=str(count))  # fmt: skip
        names.append(store.catalog.put(version, key=str(count)).id[-8:])
    found = diff(store, *names)
    assert (found.added, found.removed, len(found.weights)) == ((episodes[3],), (), 3)
    assert [(one.name, one.weighted_s) for one in found.totals if one.by == "task"] == [("reach", (3.0, 8.0))]
