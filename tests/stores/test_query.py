"""SQL answers about the catalog and its signals; it reads nothing else, changes nothing, and says what was misspelt."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import fields

import duckdb
import pytest

from saqiya.domain.nouns import (
    Alarm,
    Calibration,
    Correction,
    CorrectionKind,
    CorrectionRequest,
    DatasetEntry,
    DatasetVersion,
    EvaluationPlan,
    Failure,
    FailureMode,
    Role,
    Slot,
    Subset,
    Suite,
    Trial,
)
from saqiya.domain.streams import Start
from saqiya.errors import UnknownId, UsageError
from saqiya.stores.query import Questions
from saqiya.stores.relations import RELATIONS
from saqiya.stores.snapshot import refresh

SLIP = """
    SELECT e.id, round((t.start_ns - slip.t_ns) / 1e9, 1) AS later_s
    FROM episodes e JOIN events slip ON slip.episode = e.id JOIN takeovers t ON t.episode = e.id
    WHERE e.site = 'A' AND e.policy_number = 7 AND slip.name = 'contact/lost'
      AND t.start_ns BETWEEN slip.t_ns AND slip.t_ns + ns(5)
"""


def answered(store, sql):
    with Questions(store) as questions:
        return [tuple(row.values()) for row in questions.table(sql).to_pylist()]


def test_a_slip_then_a_takeover_within_five_seconds_at_a_site_under_a_policy(slips):
    assert answered(slips.store, SLIP) == [(slips.made[0], 2.5)]


def test_a_signal_is_joined_to_what_happened(slips):
    sql = f"""WITH found AS ({SLIP}) SELECT found.id, max(f.fx) FROM found
              JOIN signal('contact/force') f ON f.episode = found.id WHERE f.t_s < 2 GROUP BY ALL"""
    assert answered(slips.store, sql) == [(slips.made[0], 19.0)]


def test_a_slip_can_be_found_in_the_force_itself(slips):
    sql = """SELECT s.episode, min(t.start_ns - s.t_ns) FROM signal('contact/force') s
             JOIN takeovers t ON t.episode = s.episode AND t.start_ns BETWEEN s.t_ns AND s.t_ns + ns(5)
             JOIN episodes e ON e.id = s.episode WHERE e.site = 'B' AND s.fx > 20 GROUP BY ALL"""
    assert answered(slips.store, sql) == [(slips.made[3], 100_000_000 * 0)]


def test_each_relation_has_the_columns_and_types_that_it_is_said_to_have(slips):
    with Questions(slips.store) as questions:
        for name, relation in RELATIONS.items():
            assert questions.table(f"FROM {name}").column_names == [column.name for column in relation.columns]
            found = questions._connection.execute(f"FROM {name} LIMIT 0").description
            assert [str(one[1]).replace('"', "") for one in found] == [column.type for column in relation.columns], name


def test_spans_of_every_kind(slips):
    store, episode = slips.store, slips.made[0]
    calibration = slips.put("calibration", Calibration(
        id=slips.id("calibration"), detector="distance", version="1", policy=slips.policies[1].id, budget=0.1,
        successes=9, threshold=2.0, episodes=(), horizon_s=3.0))  # fmt: skip
    slips.put("alarm", Alarm(id=slips.id("alarm"), episode=episode, calibration=calibration.id, start_ns=1, end_ns=2,
                             score=3.5))  # fmt: skip
    slips.put("version", DatasetVersion(id=slips.id("dataset_version"), parent=None, manifest_hash="x", entries=(
        DatasetEntry(episode, 5, 9, 0.5, Role.ANCHOR),)))  # fmt: skip
    sql = f"SELECT kind, name, start_ns, end_ns, value FROM spans WHERE episode = '{episode}' ORDER BY ALL"
    assert answered(store, sql) == [
        ("alarm", "distance", 1, 2, 3.5),
        ("author", "operator", 4_500_000_000, 10_000_000_000, None),
        ("author", "policy", 0, 4_500_000_000, None),
        ("entry", "anchor", 5, 9, 0.5),
        ("phase", "place", 6_000_000_000, 10_000_000_000, None),
        ("phase", "reach", 0, 6_000_000_000, None),
        ("takeover", "operator", 4_500_000_000, 10_000_000_000, None),
    ]


def test_failures_carry_their_last_mode_and_trials_their_slot(slips):
    lab, episode, policy = slips, slips.made[7], slips.policies[1].id
    failure = lab.put("f", Failure(id=lab.id("failure"), episode=episode, alarms=(), moment_ns=5, phase="reach",
                                   evidence={"late": 1.0}))  # fmt: skip
    for label in ("slip", "missed"):
        lab.put(label, FailureMode(id=lab.id("failure_mode"), label=label, parent="grasp", policy=policy,
                                   members=(failure.id,), medoid=failure.id, priority=1.0, factors={}))  # fmt: skip
    request = lab.put("r", CorrectionRequest(id=lab.id("correction_request"), target="missed", mode=None,
                                             correction_kind=CorrectionKind.TAKEOVER, count=1, starts=()))  # fmt: skip
    lab.put("c", Correction(id=lab.id("correction"), request=request.id, episode=lab.made[0], failure=failure.id,
                            correction_kind=CorrectionKind.TAKEOVER, operator="ann", human_steps=40, takeovers=1,
                            accepted=True))  # fmt: skip
    plan = lab.put("p", EvaluationPlan(id=lab.id("evaluation_plan"), scope="s", round=0, alpha=0.05, candidate=policy,
                                       champion=lab.policies[0].id, params={}, power={}, slots=(
                                           Slot(policy, Suite.SUPERIORITY, "a", Start(0), 4),)))  # fmt: skip
    lab.put("t", Trial(id=lab.id("trial"), plan=plan.id, slot=0, episode=episode, success=False))
    sql = """SELECT f.label, f.evidence['late'], c.human_steps, t.pair, e.outcome FROM failures f
             JOIN corrections c ON c.failure = f.id JOIN trials t ON t.episode = f.episode
             JOIN episodes e ON e.id = f.episode"""
    assert answered(lab.store, sql) == [("missed", 1.0, 40, 4, "failure")]


def test_maps_and_facts_without_a_column_are_asked_by_name(slips):
    sql = """SELECT start_factors['x'], start_words['surface'], extra->>'shift', (extra->>'count')::INT
             FROM episodes WHERE start_factors['x'] = .3"""
    assert answered(slips.store, sql) == [(0.3, "wood", "early", 3)]


def test_streams_are_listed_with_what_is_known_of_them(slips):
    sql = f"SELECT name, dtype, shape, rate_hz FROM streams WHERE episode = '{slips.made[6]}' ORDER BY name"
    assert answered(slips.store, sql) == [
        ("contact/force", "<f8", [100, 2], 10.0),
        ("observation/state", "<f4", [50, 3], 5.0),
    ]


# -- subsets ----------------------------------------------------------------------------------------------------------


def subset(lab, name, sql, number=0):
    return lab.put(f"subset/{name}/{number}", Subset(id=lab.id("subset"), name=name, sql=sql))


def test_a_subset_is_asked_again_wherever_it_is_used(slips):
    subset(slips, "b", "SELECT id FROM episodes WHERE site = 'B';")
    subset(slips, "slipped", "SELECT DISTINCT episode FROM events WHERE name = 'contact/lost'")
    both = "SELECT id FROM subset('b') INTERSECT FROM subset('slipped')"
    assert answered(slips.store, both) == [(slips.made[3],)]
    slips.episode(8, site="B", slip_s=1.0)
    assert len(answered(slips.store, both)) == 2
    with Questions(slips.store) as questions:
        count = questions.table("SELECT count(*) AS n FROM signal('contact/force', 'b')").to_pylist()
        assert (count, questions.notes) == ([{"n": 200}], ["contact/force: read of 2 episodes"])


def test_a_subset_of_samples_reads_them(slips):
    subset(slips, "strong", "SELECT episode FROM signal('contact/force') WHERE fy >= 5")
    assert answered(slips.store, "SELECT count(*) FROM subset('strong')") == [(2,)]


def test_a_subset_that_asks_for_itself_is_refused(slips):
    subset(slips, "a", "SELECT id FROM subset('b')")
    subset(slips, "b", "SELECT id FROM subset('a')")
    with pytest.raises(UsageError, match="asks for itself"):
        answered(slips.store, "FROM subset('a')")


def test_an_unknown_subset_or_stream_names_its_neighbours(slips):
    subset(slips, "slips", "SELECT id FROM episodes")
    with pytest.raises(UnknownId, match="Did you mean slips"):
        answered(slips.store, "FROM subset('slip')")
    with pytest.raises(UsageError, match="Did you mean contact/force"):
        answered(slips.store, "FROM signal('contact/fource')")


# -- errors and attacks -----------------------------------------------------------------------------------------------


WRONG = [
    ("SELECT sight FROM episodes", "Did you mean site"),
    ("SELECT e.opertor FROM episodes e", "Did you mean operator"),
    ("SELECT * FROM episode", "Did you mean episodes"),
    ("SELEC 1", "cannot be read"),
    ("SELECT 1; SELECT 2", "one SELECT"),
    ("", "one SELECT"),
    ("SELECT CAST('x' AS INT)", "convert"),
    ("SELECT * FROM signal()", "takes the name"),
    ("SELECT * FROM signal(upper('x'))", "takes the name"),
    ("SELECT * FROM subset(1)", "takes the name"),
    ("SELECT nothing('x')", "nothing"),
]


def test_what_is_wrong_is_said(questions):
    for sql, says in WRONG:
        with pytest.raises(UsageError, match=says):
            print(sql, questions.table(sql))


ATTACKS = [
    "SELECT * FROM '{secret}'", "SELECT * FROM \"{secret}\"", "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_csv('{secret}')", "SELECT * FROM read_json_auto('{secret}')",
    "SELECT * FROM read_blob('{secret}')", "SELECT * FROM read_parquet('{secret}')", "SELECT * FROM glob('/*')",
    "SELECT * FROM sniff_csv('{secret}')", "SELECT * FROM parquet_metadata('{secret}')",
    "SELECT * FROM query('SELECT 1')", "SELECT * FROM query_table('episodes')",
    "SELECT * FROM read_csv('https://example.com/x.csv')", "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM python_map_function((SELECT 1), 0)", "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM duckdb_settings()", "SELECT * FROM duckdb_secrets()", "SELECT * FROM pragma_version()",
    "SELECT * FROM main.read_text('{secret}')", "SELECT * FROM system.main.read_text('{secret}')",
    "SELECT * FROM information_schema.tables", "SELECT * FROM (SELECT * FROM read_text('{secret}'))",
    "WITH x AS (SELECT * FROM read_text('{secret}')) SELECT * FROM x",
    "SELECT (SELECT content FROM read_text('{secret}'))",
    "SELECT 1 WHERE EXISTS (FROM glob('/*'))", "SELECT * FROM episodes, LATERAL (FROM read_text('{secret}'))",
    "SELECT unnest(x) FROM (SELECT (SELECT list(content) FROM read_text('{secret}')) AS x)",
    "COPY (SELECT 1) TO '{out}'", "COPY episodes FROM '{secret}'", "ATTACH '{out}'", "INSTALL httpfs", "LOAD httpfs",
    "PRAGMA database_list", "SET memory_limit = '9GB'", "RESET memory_limit", "SET VARIABLE x = 1",
    "CALL pragma_version()",
    "CREATE TABLE t AS SELECT 1", "DROP VIEW episodes", "DELETE FROM episodes", "UPDATE episodes SET site = 'x'",
    "INSERT INTO episodes SELECT * FROM episodes", "EXPORT DATABASE '{out}'", "IMPORT DATABASE '{out}'", "CHECKPOINT",
    "CREATE SECRET (TYPE s3)", "EXPLAIN SELECT 1", "PREPARE p AS SELECT 1", "BEGIN", "VACUUM", "DESCRIBE episodes",
    "SHOW TABLES", "USE main", "CREATE MACRO f() AS 1", "WITH x AS (INSERT INTO t VALUES (1) RETURNING *) FROM x",
    "SELECT * FROM signal('../../../etc/passwd')", "SELECT * FROM signal('contact/force''; DROP VIEW episodes; --')",
    "SELECT 1; COPY (SELECT 1) TO '{out}'", "FROM duckdb_functions()", "SELECT getenv('HOME')", "FROM '~signal 1'",
]  # fmt: skip


def test_a_query_reads_nothing_but_the_catalog_and_changes_nothing(questions, tmp_path):
    secret, out = tmp_path / "secret.csv", tmp_path / "out"
    secret.write_text("word\nopen sesame\n")
    for sql in ATTACKS:
        with pytest.raises(UsageError):
            print(sql, questions.table(sql.format(secret=secret, out=out)))
        assert questions.table("SELECT count(*) AS n FROM episodes").to_pylist() == [{"n": 8}]
    assert not out.exists()


def test_duckdb_itself_refuses_what_would_get_past_the_first_door(questions, tmp_path):
    for sql in (
        "COPY (SELECT 1) TO '{}'", "SELECT * FROM read_text('{}')", "ATTACH '{}'", "SET enable_external_access = true",
        "SET lock_configuration = false", "LOAD httpfs", "SET allowed_directories = ['/']",
    ):  # fmt: skip
        with pytest.raises(duckdb.Error):
            print(sql, questions._connection.execute(sql.format(tmp_path / "x")).fetchall())


def test_not_even_the_files_that_may_be_read_can_be_written(slips):
    (path, *_) = refresh(slips.store).files["episodes"]
    before = path.read_bytes()
    with Questions(slips.store) as questions, pytest.raises(duckdb.Error):
        questions._connection.execute(f"COPY (SELECT 1) TO '{path}' (FORMAT parquet)")
    assert path.read_bytes() == before


def test_a_folder_with_an_odd_name_is_no_pattern(opened, lab):
    lab.store = opened("it's [1] a*b?", create=True)
    type(lab).__init__(lab, lab.store)
    lab.episode(0)
    assert answered(lab.store, "SELECT count(*) FROM episodes") == [(1,)]


def test_memory_has_a_bound_and_what_is_over_it_goes_to_disk(slips):
    with Questions(slips.store, memory_bytes=64 << 20) as questions:
        big = "SELECT count(DISTINCT x) FROM (SELECT hash(range)::VARCHAR AS x FROM range(3000000))"
        assert questions.table(big).to_pylist()[0]
        with pytest.raises(UsageError, match="memory"):
            questions.table("SELECT len(list(range)) FROM range(100000000)")
    assert not [path for path in slips.store.derived.iterdir() if path.name.startswith("spill")]


def test_a_large_answer_is_refused_before_it_fills_the_memory(slips):
    with Questions(slips.store) as questions:
        with pytest.raises(UsageError, match="larger than"):
            questions.table("FROM range(10000000)", most_bytes=1 << 20)
        assert questions.table("FROM range(100000000000)", most_rows=3).num_rows == 3


def test_damaged_files_are_made_anew_and_the_question_is_answered(slips):
    assert answered(slips.store, "SELECT count(*) FROM events")
    for path in refresh(slips.store).files["episodes"]:
        stamp = path.stat()
        raw = bytearray(path.read_bytes())
        raw[4 : len(raw) - 200] = bytes(len(raw) - 204)
        path.write_bytes(bytes(raw))
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert answered(slips.store, "SELECT count(DISTINCT id || site || outcome) FROM episodes") == [(8,)]


@pytest.mark.slow
def test_a_query_can_be_interrupted(lab):
    lab.episode(0)
    code = f"""
        import random, signal, time
        from pathlib import Path
        from saqiya.stores.query import Questions
        from saqiya.stores.workspace import Workspace
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
        store = Workspace.open(Path({str(lab.store.root)!r}), clock=time.time_ns, entropy=random.Random(0).randbytes)
        with Questions(store) as questions:
            print("ready", flush=True)
            try:
                questions.table("SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range < b.range")
            except KeyboardInterrupt:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                print(questions.table("SELECT count(*) AS n FROM episodes").to_pylist())
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        try:
            for _ in range(20):  # as a person does: a signal that comes while a library is in C code may be lost
                child.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(3)
                    break
            assert child.communicate(timeout=5)[0] == "[{'n': 1}]\n"
        finally:
            child.kill()


def test_every_documented_relation_says_what_it_is():
    assert [name for name, one in RELATIONS.items() if not one.meaning or one.meaning.startswith("Internal")] == []
    assert fields(next(iter(RELATIONS.values())))
