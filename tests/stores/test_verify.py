from __future__ import annotations

import json
import os
import random
import sqlite3

import pytest

from saqiya.domain.manifest import manifest_hash
from saqiya.domain.nouns import DatasetEntry, DatasetVersion, Episode, Role, Tombstone
from saqiya.errors import SaqiyaError
from saqiya.stores.sweep import GRACE_S, sweep
from saqiya.stores.verify import verify

LATE_NS = 10**20
HAND_EDITS = {
    "payload": ("UPDATE nouns SET payload = replace(payload, 'success', 'failure') WHERE kind = 'outcome_claim'", 2),
    "key": ("UPDATE nouns SET key = 'other' WHERE key = 'episode/1'", 1),
    "birth": ("UPDATE nouns SET created_ns = created_ns + 1 WHERE key = 'episode/1'", 1),
    "id": ("UPDATE nouns SET id = 'episode-lab-forged' WHERE key = 'claim/1'", 3),
    "not text": ("UPDATE nouns SET payload = x'ff00fe' WHERE key = 'claim/1'", 1),
    "not unicode": ("UPDATE nouns SET id = CAST(x'ff41' AS TEXT) WHERE key = 'claim/1'", 2),
    "leaf row": ("DELETE FROM nouns WHERE key = 'claim/1'", 1),
    "inner row": ("DELETE FROM nouns WHERE key = 'recording/1'", 1),
    "reference gone": ("DELETE FROM refs WHERE source IN (SELECT id FROM nouns WHERE key = 'claim/1')", 1),
    "reference forged": ("UPDATE refs SET field = 'forged' WHERE rowid = 1", 2),
    "object reference gone": ("DELETE FROM object_refs WHERE rowid = 1", 1),
    "reference of nobody": ("INSERT INTO refs VALUES ('nobody', 'field', 'nothing')", 1),
    "duplicate key": (
        "CREATE TABLE copy AS SELECT * FROM nouns; DROP TABLE nouns; ALTER TABLE copy RENAME TO nouns;"
        "INSERT INTO nouns SELECT id || 'x', kind, key, created_ns, scheme, payload, seal FROM nouns"
        " WHERE key = 'claim/1'",
        2,
    ),
}


@pytest.fixture
def filled(workspace, try_of):
    for number in (1, 2):
        workspace.catalog.put_all(try_of(workspace, number))
    return workspace


@pytest.fixture
def flip():
    def flip_(path, place=-1):
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        path.write_bytes(data)

    return flip_


def version_of(workspace, *, weight=1.0, told=None, parent=None):
    episodes = {episode.id: episode for episode in workspace.catalog.all(Episode)}
    entries = tuple(
        DatasetEntry(episode=e.id, start_ns=e.start_ns, end_ns=e.end_ns, weight=weight, role=Role.ANCHOR)
        for e in episodes.values()
    )
    return DatasetVersion(
        id=workspace.catalog.new_id("dataset_version"),
        parent=parent.id if parent else None,
        entries=entries,
        manifest_hash=told or manifest_hash(entries, episodes, parent.manifest_hash if parent else None),
    )


def test_a_sound_workspace_has_no_lie(filled, verified):
    first = filled.catalog.put(version_of(filled), key="v1")
    filled.catalog.put(version_of(filled, parent=first, weight=0.5), key="v2")
    report = verified(filled, full=True)
    assert (report.nouns, report.references, report.objects, report.read) == (8, 11, 2, 2)
    assert report.lies == report.sweepable == ()


@pytest.mark.parametrize("edit", sorted(HAND_EDITS))
def test_a_row_changed_by_hand_is_found(filled, verified, edit):
    script, lies = HAND_EDITS[edit]
    by_hand = sqlite3.connect(filled.root / "catalog.sqlite")
    by_hand.executescript(script)
    by_hand.close()
    report = verified(filled)
    assert len(report.lies) >= lies, report.lies
    for lie in report.lies:
        assert f"{lie.subject}{lie.what}".isprintable()


def test_a_flipped_byte_in_an_object_is_found_and_names_who_needs_it(filled, verified, flip):
    _, episode = filled.catalog.all(Episode)
    flip(filled.objects.path(episode.streams))
    (lie,) = verified(filled).lies
    assert lie.subject == episode.streams
    assert episode.id in lie.what


def test_missing_bytes_are_found(filled, verified):
    episode, _ = filled.catalog.all(Episode)
    filled.objects.remove(episode.streams)
    (lie,) = verified(filled).lies
    assert "missing" in lie.what


def test_a_manifest_hash_that_its_entries_do_not_give_is_found(filled, verified):
    forged = filled.catalog.put(version_of(filled, told="ab" * 32), key="v1")
    (lie,) = verified(filled).lies
    assert lie.subject == forged.id


def test_what_was_found_good_and_has_not_changed_is_not_read_again(filled, verified, flip):
    assert verified(filled).read == 2
    assert verified(filled).read == 0
    flip(filled.objects.path(filled.catalog.all(Episode)[0].streams))
    assert [verified(filled).read, len(verified(filled).lies)] == [1, 1]
    assert verified(filled, full=True).read == 2


def test_deleting_or_spoiling_what_is_remembered_costs_time_and_nothing_else(filled, verified):
    verified(filled)
    for spoilt in (b"", b"{", b'{"a": 1}', b"\xff"):
        (filled.derived / "verified.json").write_bytes(spoilt)
        assert (verified(filled).read, verified(filled).read) == (2, 0)
    (filled.derived / "verified.json").unlink()
    assert verified(filled).read == 2


def test_a_byte_that_changed_without_a_trace_is_seen_by_a_full_check_alone(filled, verified, flip):
    path = filled.objects.path(filled.catalog.all(Episode)[0].streams)
    verified(filled)
    flip(path)
    memory = filled.derived / "verified.json"
    state = path.stat()  # a disk that loses bits leaves the stamps alone: say that they are the ones remembered
    stamp = f"{state.st_size}-{state.st_mtime_ns}-{state.st_ctime_ns}"
    memory.write_text(json.dumps(json.loads(memory.read_text()) | {f"{path.parent.name}{path.name}": stamp}))
    assert verified(filled).lies == ()
    assert len(verified(filled, full=True).lies) == 1


def test_a_tombstone_stands_for_bytes_that_are_gone_and_betrays_those_that_are_not(filled, verified):
    episode, _ = filled.catalog.all(Episode)
    stone = Tombstone(id=filled.catalog.new_id("tombstone"), digest=episode.streams, reason="asked for")
    filled.catalog.put(stone, key=episode.streams)
    (lie,) = verified(filled).lies
    assert "still here" in lie.what
    filled.objects.remove(episode.streams)
    report = verified(filled)
    assert (report.lies, report.erased) == ((), 1)


def test_unreferenced_bytes_past_their_grace_are_waste_and_swept(filled, verified):
    waste = filled.objects.put(b"nobody needs me")
    born_ns = filled.objects.path(waste).stat().st_mtime_ns
    (filled.objects.incoming / "1-1").write_bytes(b"half")
    assert verified(filled, now_ns=born_ns).sweepable == ()
    assert sweep(filled.catalog, filled.objects, now_ns=born_ns).objects == 0
    assert verified(filled, now_ns=LATE_NS).sweepable == (waste,)
    assert verified(filled, now_ns=LATE_NS).lies == ()
    swept = sweep(filled.catalog, filled.objects, now_ns=LATE_NS)
    assert (swept.objects, swept.leftovers, swept.size_bytes) == (1, 1, 19)
    assert len(list(filled.objects.digests())) == 2
    assert verified(filled).lies == ()


def test_bytes_that_are_put_again_are_young_again(filled):
    waste = filled.objects.put(b"waste")
    os.utime(filled.objects.path(waste), ns=(0, 0))
    filled.objects.put(b"waste")
    now_ns = filled.objects.path(waste).stat().st_mtime_ns + int((GRACE_S - 1) * 1e9)
    assert sweep(filled.catalog, filled.objects, now_ns=now_ns).objects == 0


def test_a_damaged_database_file_gives_lies_or_our_own_errors(filled, opened, flip):
    filled.catalog.close()
    path = filled.root / "catalog.sqlite"
    sound, draw = path.read_bytes(), random.Random(1)
    for _ in range(40):
        path.write_bytes(sound)
        for _ in range(3):
            flip(path, draw.randrange(len(sound)))
        try:
            workspace = opened()
            workspace.catalog.all(Episode)
            workspace.catalog.count()
            verify(workspace.catalog, workspace.objects, full=True, derived=workspace.derived, now_ns=0)
        except SaqiyaError:
            pass
        for tail in ("-wal", "-shm"):
            path.with_name(path.name + tail).unlink(missing_ok=True)
