from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from saqiya.domain.manifest import manifest_hash
from saqiya.domain.media import Track
from saqiya.domain.nouns import (
    DatasetEntry,
    DatasetVersion,
    Episode,
    Export,
    Lineage,
    MediaInfo,
    Policy,
    Recording,
    Redaction,
    Role,
    Tombstone,
)
from saqiya.domain.streams import Stream
from saqiya.errors import Corrupt, Erased, UnknownId, UsageError
from saqiya.stores import erase as module
from saqiya.stores import streams as codec
from saqiya.stores.erase import erase
from saqiya.stores.sweep import sweep

LATE_NS = 10**20


@pytest.fixture
def workspace(anywhere):
    return anywhere


@pytest.fixture
def long_log(workspace):
    """Four tries that were cut from one long log with a camera: one streams object, one raw recording with pictures."""
    catalog, objects = workspace.catalog, workspace.objects
    stamps = np.arange(400, dtype=np.int64)
    values = np.repeat(np.arange(1, 401, dtype=np.float32)[:, None], 2, axis=1)
    raw = b"HEADER--" + b"".join(bytes([65 + n // 100]) * 10 for n in range(400)) + b"joints of everybody"
    digest = objects.put(raw)
    numbers = np.arange(400, dtype=np.int64)
    track = Track(
        t_ns=stamps, offset=8 + numbers * 10, size=numbers * 0 + 10, key=numbers % 5 == 0, rank=numbers,
        codec="h264", width=8, height=8, form="annexb",
    )  # fmt: skip
    streams = objects.put(
        codec.encode({"observation/state": Stream(t_ns=stamps, values=values)}, {"camera/front": (track, digest)})
    )
    recording = Recording(
        id=catalog.new_id("recording"), digest=digest, object=digest, format="mcap", name="day.mcap",
        size_bytes=len(raw), location="/nowhere/day.mcap",
    )  # fmt: skip
    media = MediaInfo(
        name="camera/front", codec="h264", width=8, height=8, frames=100, rate_hz=1.0, clock="host", stamp="sensor",
        digest=digest, object=digest,
    )  # fmt: skip
    catalog.put(recording, key="day")
    made = []
    for number in range(4):
        episode = Episode(
            id=catalog.new_id("episode"), recordings=(recording.id,), key_in_recording=str(number),
            start_ns=100 * number, end_ns=100 * number + 100, streams=streams, infos=(), prints=(), source="rollout",
            task="t", embodiment="arm", site="lab", steps=100, media=(media,),
        )  # fmt: skip
        made.append(catalog.put(episode, key=f"day/{number}"))
    return made


def held(workspace, episode):
    """What loaders give of a try: values and the bytes of the pictures in its range."""
    video = workspace.videos(episode)["camera/front"]
    shown = [video.packet(number) for number in range(len(video.track.rank))]
    return workspace.streams(episode)["observation/state"].values.tolist(), shown


def everything(objects):
    """All bytes there are, and those of packs' members."""
    return b"".join(objects.home.read(name, [(0, state.size_bytes)])[0] for name, state in objects.home.names(""))


def some_tries(workspace, try_of, count):
    return [workspace.catalog.put_all(try_of(workspace, number))[1] for number in range(count)]


def version_of(workspace, episodes, key, parent=None):
    entries = tuple(
        DatasetEntry(episode=e.id, start_ns=e.start_ns, end_ns=e.end_ns, weight=1.0, role=Role.ANCHOR) for e in episodes
    )
    known = {e.id: e for e in episodes}
    noun = DatasetVersion(
        id=workspace.catalog.new_id("dataset_version"),
        parent=parent.id if parent else None,
        entries=entries,
        manifest_hash=manifest_hash(entries, known, parent.manifest_hash if parent else None),
    )
    return workspace.catalog.put(noun, key=key)


def test_an_erased_try_is_gone_from_packs_caches_and_loaders_and_leaves_a_tombstone(workspace, try_of, verified):
    tries = some_tries(workspace, try_of, 5)
    version_of(workspace, tries, "v1")
    secret = bytes(workspace.objects.view(tries[2].streams))
    workspace.seal("v1")
    workspace.objects.path(tries[2].streams)
    done = erase(workspace, [tries[2].id], reason="asked for")
    assert done.episodes == (tries[2].id,)
    assert set(done.objects) == {tries[2].streams}
    assert done.freed_bytes > len(secret) / 2
    assert secret[100:] not in everything(workspace.objects)
    assert not [path for path in workspace.derived.rglob("*") if path.is_file() and secret[100:] in path.read_bytes()]
    with pytest.raises(Erased, match=tries[2].id):
        workspace.streams(tries[2])
    with pytest.raises(Erased):
        workspace.opened("v1")
    assert workspace.streams(tries[3])["observation/state"].values[0, 0] == 3.0
    report = verified(workspace, full=True)
    assert (report.lies, report.erased) == ((), 1)
    assert {stone.reason for stone in workspace.catalog.all(Tombstone)} == {"asked for"}


def test_what_was_made_from_it_is_listed_and_what_was_not_is_not(workspace, try_of):
    tries = some_tries(workspace, try_of, 3)
    catalog = workspace.catalog
    first = version_of(workspace, tries[:2], "v1")
    later = version_of(workspace, tries[2:], "v2", parent=first)
    other = version_of(workspace, tries[1:], "v3")
    policies = {}
    for name, dataset in (("p1", first), ("p2", later), ("p3", other)):
        policy = Policy(
            id=catalog.new_id("policy"), name=name, lineage=next(iter(Lineage)),
            trainer="ridge", weights=None, spec=None, dataset=dataset.id,
        )  # fmt: skip
        policies[name] = catalog.put(policy, key=name)
    export = Export(
        id=catalog.new_id("export"), dataset=first.id, episodes=(tries[0].id,), format="lerobot", location="/out",
        settings={}, notes=(),
    )  # fmt: skip
    catalog.put(export, key="x1")
    rolled = replace(tries[2], id=catalog.new_id("episode"), policy=policies["p1"].id)
    catalog.put(rolled, key="rolled")
    done = erase(workspace, [tries[0].id], reason="asked for")
    assert done.touched == {
        "dataset_version": (first.id,), "export": (export.id,), "policy": (policies["p1"].id,),
    }  # fmt: skip
    stone = catalog.by_key(Tombstone, tries[0].id)
    assert set(stone.affected) == {tries[0].id, first.id, export.id, policies["p1"].id}


def test_one_try_of_a_long_log_goes_and_the_others_read_as_before(workspace, long_log, verified):
    before = [held(workspace, one) for one in long_log]
    digest = long_log[0].streams
    version = version_of(workspace, [long_log[0], long_log[2], long_log[3]], "v1")
    workspace.seal("v1")
    done = erase(workspace, [long_log[1].id], reason="asked for")
    assert set(done.replaced) == {digest, long_log[0].media[0].digest}
    assert done.originals == ()
    with pytest.raises(Erased, match=long_log[1].id):
        workspace.streams(long_log[1])
    with pytest.raises(Erased):
        workspace.videos(long_log[1])
    for number in (0, 2, 3):
        assert held(workspace, long_log[number]) == before[number]
    left = everything(workspace.objects)
    assert b"B" * 5 not in left
    assert b"joints of everybody" not in left
    assert np.float32(150.0).tobytes() * 2 not in left
    assert np.float32(250.0).tobytes() * 2 in left
    column = workspace.opened(version.id).column("observation/state")
    _, cells = column.cells(int(column.part[1]))
    assert cells[column.values_at[1]] == 201.0
    assert verified(workspace, full=True).lies == ()
    with pytest.raises(Erased):  # cutting the log again would bring the erased bytes back
        workspace.catalog.put(replace(long_log[1], id=workspace.catalog.new_id("episode")), key="again")


def test_tries_of_a_long_log_go_one_after_the_other_until_nothing_is_left(workspace, long_log, verified):
    before = [held(workspace, one) for one in long_log]
    for number, episode in enumerate(long_log):
        erase(workspace, [episode.id], reason=f"{number}")
        for rest in range(number + 1, 4):
            assert held(workspace, long_log[rest]) == before[rest]
        assert verified(workspace, full=True).lies == ()
    assert everything(workspace.objects) == b""
    assert len(workspace.catalog.all(Redaction)) == 6


def test_erasing_again_changes_nothing(workspace, long_log, verified):
    first = erase(workspace, [long_log[1].id], reason="asked for")
    again = erase(workspace, [long_log[1].id], reason="asked for again")
    assert first.replaced
    assert (again.replaced, again.objects, again.freed_bytes) == ({}, (), 0)
    assert verified(workspace, full=True).lies == ()


def test_linked_originals_are_named_and_not_touched(workspace, try_of, tmp_path):
    original = tmp_path / "log.mcap"
    original.write_bytes(b"linked")
    catalog = workspace.catalog
    linked = Recording(
        id=catalog.new_id("recording"), digest="ab" * 32, format="mcap", name="log.mcap", size_bytes=6,
        location=str(original),
    )  # fmt: skip
    (recording, _), (episode, key), _ = try_of(workspace, 1)
    catalog.put_all([(recording, "r"), (linked, "l"), (replace(episode, recordings=(recording.id, linked.id)), key)])
    assert erase(workspace, [episode.id], reason="asked for").originals == (str(original),)
    assert original.read_bytes() == b"linked"


def test_a_crash_between_tombstone_and_bytes_is_seen_and_finished_by_a_sweep(workspace, try_of, verified, monkeypatch):
    tries = some_tries(workspace, try_of, 2)
    monkeypatch.setattr(workspace.objects, "expunge", lambda _digests: 0)
    erase(workspace, [tries[0].id], reason="asked for")
    monkeypatch.undo()
    with pytest.raises(Erased):
        workspace.streams(tries[0])
    assert ["still here" in lie.what for lie in verified(workspace).lies] == [True]
    assert sweep(workspace.catalog, workspace.objects, now_ns=0).erased == 1
    assert verified(workspace, full=True).lies == ()


def test_a_try_that_is_cut_from_the_same_bytes_meanwhile_is_not_lost(workspace, long_log, monkeypatch):
    real, calls = module._bytes_of, []

    def slow(*arguments):
        if not calls:
            late = replace(long_log[3], id=workspace.catalog.new_id("episode"), start_ns=350, end_ns=400)
            calls.append(workspace.catalog.put(late, key="late"))
        return real(*arguments)

    monkeypatch.setattr(module, "_bytes_of", slow)
    erase(workspace, [one.id for one in long_log], reason="asked for")
    values, shown = held(workspace, calls[0])
    assert values[0] == [351.0, 351.0]
    assert shown[0] == b"D" * 10
    assert b"C" * 5 not in everything(workspace.objects)


def test_an_id_that_names_no_episode_erases_nothing(workspace, try_of):
    (episode,) = some_tries(workspace, try_of, 1)
    with pytest.raises(UnknownId):
        erase(workspace, [episode.id, "episode-lab-0"], reason="asked for")
    with pytest.raises(UsageError):
        erase(workspace, [], reason="asked for")
    assert workspace.catalog.all(Tombstone) == []


def test_bytes_that_are_missing_are_corrupt_and_not_erased(workspace, try_of):
    (episode,) = some_tries(workspace, try_of, 1)
    workspace.objects.remove(episode.streams)
    with pytest.raises(Corrupt):
        workspace.streams(episode)
