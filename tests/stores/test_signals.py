"""A signal is a table that is read of the episodes a query can need: fewer than all, and never too few."""

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saqiya.domain.nouns import Tombstone
from saqiya.domain.streams import Stream
from saqiya.errors import Corrupt, UsageError
from saqiya.stores.query import Questions


def answered(store, sql):
    with Questions(store) as questions:
        return told(questions, sql)


def reads(store, sql):
    """Return the answer and of how many episodes each signal was read."""
    with Questions(store) as questions:
        rows = [tuple(row.values()) for row in questions.table(sql).to_pylist()]
        return rows, [int(note.split("read of ")[1].split()[0]) for note in questions.notes if "read of" in note]


FORCE = "SELECT count(*), sum(s.fx) FROM signal('contact/force') s "


READS = [
    ("", 7),
    ("JOIN episodes e ON e.id = s.episode WHERE e.site = 'B'", 1),
    (", episodes e WHERE e.id = s.episode AND e.site = 'B' AND s.fx > 3", 1),
    ("JOIN episodes ON id = s.episode WHERE site = 'B' AND s.t_s > 5", 1),
    ("JOIN takeovers t USING (episode) JOIN episodes e ON e.id = t.episode WHERE e.policy_number = 3", 1),
    ("LEFT JOIN episodes e ON e.id = s.episode AND e.site = 'B'", 7),
    ("SEMI JOIN (SELECT id AS episode FROM episodes WHERE site = 'B') e USING (episode)", 1),
    ("WHERE s.episode IN (SELECT id FROM episodes WHERE site = 'B')", 7),
    ("ASOF JOIN takeovers t ON t.episode = s.episode AND s.t_ns >= t.start_ns", 7),
    ("JOIN episodes e ON e.id = s.episode AND (e.site = 'B' OR e.policy_number = 3)", 2),
    ("JOIN episodes e ON e.id = s.episode WHERE random() < 2 AND e.site = 'B'", 1),
]


@pytest.fixture
def everything(slips):
    """Answer with a plain DuckDB that has every sample in a table: what an answer has to be."""
    plain = duckdb.connect()
    with Questions(slips.store) as questions:
        for name in ("episodes", "events", "takeovers", "spans"):
            plain.register(name, questions.table(f"FROM {name}"))
        plain.register("force", questions.table("SELECT * FROM signal('contact/force')"))
    return lambda sql: plain.execute(sql.replace("signal('contact/force')", "force")).fetchall()


def told(questions, sql):
    return [tuple(row.values()) for row in questions.table(sql).to_pylist()]


def test_a_signal_is_read_of_the_episodes_that_the_query_can_need(questions, everything):
    for sql, read in READS:
        assert told(questions, FORCE + sql) == everything(FORCE + sql), sql
        assert questions.notes == [f"contact/force: read of {read} episodes"], sql


TRAPS = [
    # what is not matched must stay visible
    "SELECT count(*) FROM episodes e LEFT JOIN signal('contact/force') s ON s.episode = e.id AND s.fx > 90 "
    "WHERE s.episode IS NULL",
    "SELECT count(*) FROM episodes e ANTI JOIN signal('contact/force') s ON s.episode = e.id AND e.site = 'B'",
    "SELECT count(*), count(s.fx) FROM episodes e LEFT JOIN signal('contact/force') s ON s.episode = e.id "
    "WHERE e.site = 'B' OR s.fx IS NULL",
    "SELECT count(*) FROM signal('contact/force') s RIGHT JOIN episodes e ON e.id = s.episode AND e.site = 'B'",
    "SELECT count(*) FROM signal('contact/force') s FULL JOIN episodes e ON e.id = s.episode WHERE e.site = 'B'",
    # the nearest sample is chosen before the filter
    "SELECT sum(s.fy), count(*) FROM events v ASOF JOIN signal('contact/force') s ON v.t_ns >= s.t_ns + s.fy::INT "
    "JOIN episodes e ON e.id = s.episode WHERE e.site = 'B'",
    "SELECT sum(s.fy), count(*) FROM events v ASOF JOIN signal('contact/force') s ON v.episode = s.episode "
    "AND v.t_ns >= s.t_ns JOIN episodes e ON e.id = v.episode WHERE e.site = 'B'",
    "SELECT sum(s.fy), count(*) FROM events v ASOF LEFT JOIN signal('contact/force') s ON v.episode = s.episode "
    "AND v.t_ns >= s.t_ns WHERE v.name = 'contact/lost'",
    # a name that means something else here
    "WITH episodes AS (SELECT id, 'B' AS site FROM events JOIN episodes e ON e.id = episode) "
    "SELECT count(*) FROM signal('contact/force') s JOIN episodes e ON e.id = s.episode WHERE e.site = 'B'",
    "SELECT count(*) FROM signal('contact/force') s JOIN (SELECT episode AS id, 'B' AS site FROM events) e "
    "ON e.id = s.episode WHERE e.site = 'B'",
    # conditions that do not bind both
    "SELECT count(*) FROM signal('contact/force') s, episodes e WHERE e.site = 'B'",
    "SELECT count(*) FROM signal('contact/force') s JOIN episodes e ON e.id = s.episode OR e.site = 'B'",
    "SELECT count(*) FROM signal('contact/force') s JOIN episodes e ON e.id <> s.episode WHERE e.site = 'B'",
    # two signals, and signals behind other names
    "SELECT count(*) FROM signal('contact/force') a JOIN signal('contact/force') b ON a.episode = b.episode "
    "AND a.t_ns = b.t_ns JOIN episodes e ON e.id = b.episode WHERE e.site = 'B'",
    "WITH f AS (SELECT episode, max(fx) AS most FROM signal('contact/force') GROUP BY ALL) "
    "SELECT sum(most) FROM f JOIN episodes e ON e.id = f.episode WHERE e.site = 'A'",
    "WITH f AS (SELECT * FROM signal('contact/force')), g AS (FROM f) "
    "SELECT count(*) FROM g JOIN signal('contact/force') s USING (episode, t_ns) WHERE s.fx < 3",
    "SELECT count(*) FROM episodes e WHERE EXISTS (SELECT 1 FROM signal('contact/force') s WHERE s.episode = e.id "
    "AND s.fy = 3)",
    "SELECT count(*) FROM episodes e, LATERAL (SELECT * FROM signal('contact/force') s WHERE s.episode = e.id) x "
    "WHERE e.site = 'B'",
    "SELECT fx FROM signal('contact/force') WHERE fx > 98 UNION ALL SELECT fx FROM signal('contact/force') s "
    "JOIN episodes e ON e.id = s.episode WHERE e.site = 'B' AND fx < 2 ORDER BY 1",
    "WITH few AS (SELECT id FROM episodes ORDER BY id LIMIT 2) "
    "SELECT count(*) FROM signal('contact/force') s JOIN few ON few.id = s.episode",
    "SELECT count(*) FROM signal('contact/force') s NATURAL JOIN takeovers",
    "SELECT x.a, count(*) FROM signal('contact/force') AS x(a, b) JOIN episodes e ON e.id = x.a "
    "WHERE e.site = 'B' AND b > 5 GROUP BY ALL",
]


def test_what_is_left_out_is_never_missed(questions, everything):
    for sql in TRAPS:
        assert told(questions, sql) == everything(sql), sql


CONDITIONS = [
    "e.site = 'A'", "e.policy_number = 7", "e.id = s.episode", "s.fx > 50", "e.outcome <> 'success' OR s.fy > 2",
    "s.episode = v.episode", "v.name = 'contact/lost'", "v.t_ns <= s.t_ns", "e.id = v.episode", "s.t_s < 4",
    "s.episode > e.id", "s.episode IS NOT NULL", "coalesce(v.detail, '') = ''", "e.start_seed IN (0, 3, 4)",
]  # fmt: skip
JOINS = ["JOIN", "LEFT JOIN", "SEMI JOIN", "ANTI JOIN"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_join_gives_what_reading_everything_gives(questions, everything, data):
    def some(least):
        return " AND ".join(data.draw(st.lists(st.sampled_from(CONDITIONS), min_size=least, max_size=3))) or "true"

    first, second = data.draw(st.permutations(["signal('contact/force') s", "episodes e", "events v"]))[:2]
    kinds = [data.draw(st.sampled_from(JOINS[:2])), data.draw(st.sampled_from(JOINS))]
    third = next(one for one in ("signal('contact/force') s", "episodes e", "events v") if one not in (first, second))
    sql = (
        f"SELECT count(*) FROM {first} {kinds[0]} {second} ON {some(1)} {kinds[1]} {third} ON {some(1)} WHERE {some(0)}"
    )
    try:
        expected = everything(sql)
    except duckdb.Error:
        with pytest.raises(UsageError):
            questions.table(sql)
        return
    assert told(questions, sql) == expected


def test_columns_are_named_by_the_streams_fields_else_by_number(lab):
    lab.episode(0)
    lab.episode(1, held=lab.streams(1, fields=("t_ns", "fy")))
    lab.episode(2, held=lab.streams(2, fields=("a", "A")))
    with Questions(lab.store) as questions:
        table = questions.table("SELECT * FROM signal('contact/force')")
    assert table.column_names == ["episode", "t_ns", "t_s", "fx", "fy", "v0", "v1"]
    assert table.num_rows == 300
    assert table["fx"].null_count == 200


def test_an_answer_without_rows_still_has_its_columns(slips):
    sql = "SELECT s.fx FROM signal('contact/force') s JOIN episodes e ON e.id = s.episode WHERE e.site = 'nowhere'"
    assert reads(slips.store, sql) == ([], [0])


def test_a_picture_is_no_signal(lab):
    t_ns = np.arange(3, dtype=np.int64)
    lab.episode(0, held={"depth/front": Stream(t_ns, np.zeros((3, 40, 40), np.uint16))})
    with pytest.raises(UsageError, match="picture"):
        answered(lab.store, "SELECT * FROM signal('depth/front')")


def test_small_and_odd_numbers_are_signals_too(lab):
    t_ns = np.arange(3, dtype=np.int64)
    held = {str(dtype): Stream(t_ns, np.ones((3, 1), dtype)) for dtype in ("bool", "float16", "uint64", "int8")}
    lab.episode(0, held={**held, "flat": Stream(t_ns, np.arange(3))})
    for name in held:
        assert answered(lab.store, f"SELECT sum(v0::INT) FROM signal('{name}')") == [(3,)]
    assert answered(lab.store, "SELECT sum(v0) FROM signal('flat')") == [(3,)]


def test_erased_episodes_are_counted_and_damaged_ones_are_not_passed_over(slips):
    digest = slips.store.catalog.get(slips.made[0]).streams
    slips.put(digest, Tombstone(id=slips.id("tombstone"), digest=digest, reason="asked to"))
    with Questions(slips.store) as questions:
        assert questions.table("SELECT DISTINCT episode FROM signal('contact/force')").num_rows == 6
        assert "contact/force: 1 more episodes were erased on purpose" in questions.notes
    slips.store.objects.path(slips.store.catalog.get(slips.made[1]).streams).unlink()
    with pytest.raises(Corrupt):
        answered(slips.store, "SELECT count(*) FROM signal('contact/force')")


def test_nothing_is_left_of_a_query_in_the_workspace(slips):
    before = {path for path in slips.store.derived.iterdir() if path.name != "snapshot"}
    answered(slips.store, FORCE)
    assert {path for path in slips.store.derived.iterdir() if path.name != "snapshot"} == before
