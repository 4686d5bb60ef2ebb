"""A snapshot grows by what is new, says of an episode what is known last, and is made again when it is lost."""

import multiprocessing
import os
import sqlite3
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from saqiya.domain.nouns import Alias, Audit, Cut, CutSpan, Tombstone
from saqiya.domain.streams import Stream
from saqiya.errors import Corrupt
from saqiya.stores import snapshot as module
from saqiya.stores.snapshot import damaged, refresh
from saqiya.stores.tables import EPISODES, TABLES, author_runs, policy_number, resolved


def rows(store, table="episodes", made=None):
    """Return the rows that count, those of episodes by their id."""
    found = made or refresh(store)
    every = [row for path in found.files.get(table, ()) for row in pq.read_table(path).to_pylist()]
    if table != "episodes":
        return every
    alive = [row for row in every if row["n"] not in found.gone]
    by_id = {row["id"]: row for row in alive}
    assert len(by_id) == len(alive)
    return by_id


def test_a_new_row_is_all_that_is_written_for_a_new_episode(lab):
    first = [lab.episode(i) for i in range(3)]
    before = refresh(lab.store)
    assert before.rebuilt
    late = lab.episode(3)
    after = refresh(lab.store)
    assert not after.rebuilt
    assert set(rows(lab.store, made=after)) == {one.id for one in (*first, late)}
    assert refresh(lab.store) == after  # nothing new: nothing written


def test_an_empty_catalog_has_an_empty_snapshot(workspace):
    assert refresh(workspace).files == {}


def test_a_persons_word_comes_before_a_rules_a_simulators_and_a_models_and_the_last_of_equals_counts(lab):
    episode = lab.episode(0, outcome="success")
    said = [("failure", "model"), ("success", "rule"), ("aborted", "rule"), ("failure", "person"), ("success", "model")]
    expected = ["success", "success", "aborted", "failure", "failure"]
    for number, ((value, by), outcome) in enumerate(zip(said, expected, strict=True)):
        lab.claim(episode, value, by, key=str(number))
        row = rows(lab.store)[episode.id]
        assert row["outcome"] == outcome
        assert row["outcome_disputed"]
    assert row["outcome_by"] == "person"
    assert resolved([]) is None
    silent = lab.episode(1, outcome=None)
    assert rows(lab.store)[silent.id]["outcome"] == "unknown"


def test_an_audit_an_alias_and_an_erasure_that_come_later_are_in_the_episodes_row(lab):
    episode, other = lab.episode(0), lab.episode(1)
    assert (rows(lab.store)[episode.id]["verdict"], rows(lab.store)[episode.id]["erased"]) == (None, False)
    lab.put("audit", Audit(id=lab.id("audit"), episode=episode.id, version="1", verdict="quarantined",
                           findings=({"check": "gap", "stream": "x", "severity": "fault", "what": "a gap"},),
                           missing={"camera/front": "diagnosis"}))  # fmt: skip
    lab.put("alias", Alias(id=lab.id("alias"), episode=episode.id, recording=lab.recording.id, key_in_recording="9"))
    lab.put(episode.streams, Tombstone(id=lab.id("tombstone"), digest=episode.streams, reason="asked to"))
    found = rows(lab.store)
    row = found[episode.id]
    assert (row["verdict"], row["missing"], row["aliases"], row["erased"]) == ("quarantined", ["camera/front"], 1, True)
    assert found[other.id]["verdict"] is None
    assert rows(lab.store, "findings")[0]["what"] == "a gap"


def test_one_erased_try_of_a_long_log_is_erased_in_its_row_and_the_others_are_not(lab):
    episode, other = lab.episode(0), lab.episode(1)
    assert not rows(lab.store)[episode.id]["erased"]
    lab.put(episode.id, Tombstone(id=lab.id("tombstone"), digest=episode.streams, reason="asked to"))
    found = rows(lab.store)
    assert (found[episode.id]["erased"], found[other.id]["erased"]) == (True, False)


def cut(lab, key, episodes, older=None):
    spans = tuple(CutSpan(i, i + 1, "idle") for i in range(len(episodes)))
    made = Cut(
        id=lab.id("cut"),
        recording=lab.recording.id,
        rules={},
        spans=spans,
        episodes=tuple(one.id for one in episodes),
        supersedes=older.id if older else None,
    )
    return lab.put(key, made)


def test_a_newer_cut_supersedes_the_tries_that_it_does_not_hold(lab):
    first, second, third = (lab.episode(i) for i in range(3))
    old = cut(lab, "old", [first, second])
    assert not rows(lab.store)[first.id]["superseded"]
    new = cut(lab, "new", [second, third], old)
    found = rows(lab.store)
    assert [found[one.id]["superseded"] for one in (first, second, third)] == [True, False, False]
    assert [found[one.id]["cut"] for one in (first, second, third)] == [old.id, new.id, new.id]


def test_what_is_rebuilt_is_what_had_grown(lab):
    for number in range(5):
        episode = lab.episode(number)
        refresh(lab.store)
        lab.claim(episode, "failure", "person")
    grown = refresh(lab.store)
    again = refresh(lab.store, anew=True)
    for table in TABLES:
        told = [rows(lab.store, table.name, made) for made in (grown, again)]
        if table is EPISODES:
            told = [sorted(({**row, "n": 0} for row in one.values()), key=str) for one in told]
        assert sorted(map(str, told[0])) == sorted(map(str, told[1]))
    assert again.gone == ()


def test_many_small_files_become_few(lab):
    for number in range(40):
        lab.episode(number)
        found = refresh(lab.store)
    assert len(found.files["episodes"]) < 6
    assert len(rows(lab.store)) == 40


def test_rows_that_are_gone_go_when_there_are_too_many(lab, monkeypatch):
    monkeypatch.setattr(module, "_GONE_MOST", 3)
    episodes = [lab.episode(i) for i in range(6)]
    refresh(lab.store)
    for number, episode in enumerate(episodes):
        lab.claim(episode, "failure", "person")
        found = refresh(lab.store)
        assert len(found.gone) <= 3
        assert sum(row["outcome"] == "failure" for row in rows(lab.store, made=found).values()) == number + 1


@pytest.mark.parametrize("harm", ["manifest", "no manifest", "part", "no part", "everything"])
def test_a_lost_or_cut_snapshot_is_made_again(lab, harm):
    ids = {lab.episode(i).id for i in range(3)}
    folder = lab.store.derived / "snapshot"
    part = refresh(lab.store).files["episodes"][0]
    if harm == "manifest":
        (folder / "manifest.json").write_bytes(b'{"scheme": 1')
    elif harm == "no manifest":
        (folder / "manifest.json").unlink()
    elif harm == "part":
        part.write_bytes(part.read_bytes()[:-10])
    elif harm == "no part":
        part.unlink()
    else:
        for path in folder.iterdir():
            path.unlink()
    made = refresh(lab.store)
    assert made.rebuilt
    assert set(rows(lab.store, made=made)) == ids


def test_a_snapshot_of_another_catalog_is_not_believed(lab):
    lab.episode(0)
    refresh(lab.store)
    with sqlite3.connect(lab.store.root / "catalog.sqlite") as connection:
        connection.execute("UPDATE nouns SET created_ns = created_ns + 7")
    with pytest.raises(Corrupt):  # it reads everything again, and so finds that rows were changed
        refresh(lab.store)


def test_flipped_bytes_in_a_part_are_found(lab):
    lab.episode(0)
    made = refresh(lab.store)
    assert damaged(made) == []
    path = made.files["episodes"][0]
    raw = bytearray(path.read_bytes())
    raw[200] ^= 0xFF
    path.write_bytes(bytes(raw))
    assert damaged(made) == [path]


def test_old_files_stay_for_readers_for_a_while(lab):
    lab.episode(0)
    old = refresh(lab.store).files["episodes"][0]
    for number in range(1, 4):
        lab.episode(number)
        refresh(lab.store)
    assert old.exists()
    os.utime(old, (1, 1))
    lab.episode(9)
    now = refresh(lab.store).files["episodes"]
    assert old in now or not old.exists()


def refreshed(root):
    import random
    import time

    from saqiya.stores.workspace import Workspace

    store = Workspace.open(root, clock=time.time_ns, entropy=random.Random(1).randbytes)
    found = rows(store)
    store.close()
    return sorted(found)


@pytest.mark.slow
def test_several_processes_make_one_snapshot(lab):
    ids = sorted(lab.episode(i).id for i in range(30))
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert pool.map(refreshed, [lab.store.root] * 8) == [ids] * 8


def test_who_acted_when_is_read_from_the_stream_author(lab):
    episode = lab.episode(0, held=lab.streams(0, takeover_s=4.0))
    quiet = lab.episode(1)
    assert [(row["episode"], row["name"], row["start_ns"], row["end_ns"], row["takeover"]) for row in
            rows(lab.store, "authors")] == [(episode.id, "policy", 0, 4_000_000_000, False),
                                            (episode.id, "operator", 4_000_000_000, 10_000_000_000, True)]  # fmt: skip
    assert quiet.id not in {row["episode"] for row in rows(lab.store, "authors")}


def test_runs_of_an_author_cover_the_stream_without_gaps():
    t_ns = np.arange(6, dtype=np.int64)
    stream = Stream(t_ns, np.array([1, 1, 0, 0, 1, 0], np.uint8)[:, None])
    assert author_runs(stream, 9) == [("operator", 0, 2), ("policy", 2, 4), ("operator", 4, 5), ("policy", 5, 9)]
    assert author_runs(Stream(t_ns[:0], np.empty((0, 1), np.uint8)), 9) == []


def test_bytes_that_are_gone_leave_a_word_and_no_hole(lab):
    episode = lab.episode(0, held=lab.streams(0, takeover_s=4.0))
    lab.store.objects.path(episode.streams).unlink()
    (row,) = rows(lab.store, "authors")
    assert row["name"].startswith("unread: ")


def test_a_changed_row_of_the_catalog_is_not_passed_on(lab):
    lab.episode(0)
    with sqlite3.connect(lab.store.root / "catalog.sqlite") as connection:
        connection.execute("UPDATE nouns SET payload = replace(payload, 'peg', 'pin')")
    with pytest.raises(Corrupt):
        refresh(lab.store)


@pytest.mark.parametrize(
    ("name", "number"),
    [("turn-7/policy", 7), ("pi-v12", 12), ("7", 7), ("resnet", None), ("turn-7/drill", None), ("v" + "9" * 40, None)],
)
def test_a_policys_number_is_its_turn_or_the_end_of_its_name(name, number):
    assert policy_number(name) == number


def test_each_column_says_what_it_means():
    assert [(t.name, c.name) for t in TABLES for c in t.schema if not c.meaning] == []
    assert len({table.name for table in TABLES}) == len(TABLES)


def test_a_policy_that_is_not_registered_keeps_the_name_that_the_log_gave_it(lab):
    episode = lab.episode(0, policy_name="pi-v4")
    other = lab.put("b", replace(episode, id=lab.id("episode"), policy=None))
    found = rows(lab.store)
    assert [(found[one.id]["policy_name"], found[one.id]["policy_number"]) for one in (episode, other)] == [
        ("turn-7/policy", 7), ("pi-v4", 4)]  # fmt: skip
