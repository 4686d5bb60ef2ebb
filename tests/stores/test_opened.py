from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from saqiya.domain.manifest import manifest_hash
from saqiya.domain.media import Track
from saqiya.domain.nouns import DatasetEntry, DatasetVersion, Episode, Role, Tombstone
from saqiya.domain.streams import Stream
from saqiya.errors import Corrupt, Erased, InvalidEpisode, UnknownId
from saqiya.stores import streams as codec
from saqiya.stores.verify import verify

SEALED = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from saqiya.stores.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]), clock=time.time_ns, entropy=os.urandom)
print(0, flush=True)
workspace.objects.pack([digest for digest in workspace.objects.digests()], most_bytes=2_000)
"""


def random_streams(draw, number):
    """Streams at their own rates; some episodes lack one, one of them is empty."""
    found = {}
    for name, width, dtype in (("observation/state", 3, "f4"), ("action", 2, "f8"), ("author", 1, "u1")):
        if name == "action" and number % 4 == 3:
            continue
        rows = 0 if name == "author" and number == 2 else draw.randrange(1, 40)
        stamps = np.sort(np.array([draw.randrange(1000) for _ in range(rows)], dtype=np.int64))
        values = np.array([[draw.randrange(100) for _ in range(width)] for _ in range(rows)], dtype=dtype)
        found[name] = Stream(t_ns=stamps, values=values.reshape(rows, width))
    return found


def track(count):
    numbers = np.arange(count, dtype=np.int64)
    key = numbers % 3 == 0
    return Track(
        t_ns=numbers * 10, offset=numbers * 5, size=numbers * 0 + 5, key=key, rank=numbers, codec="h264",
        width=8, height=8, form="annexb",
    )  # fmt: skip


@pytest.fixture
def workspace(anywhere):
    return anywhere


@pytest.fixture
def version(workspace, try_of):
    """A dataset version of episodes that cover a part of their objects, some twice."""
    draw = random.Random(4)
    entries = []
    for number in range(9):
        recording, (episode, key), _ = try_of(workspace, number)
        cameras = {"camera/front": (track(12), episode.streams)} if number % 3 == 0 else None
        digest = workspace.objects.put(codec.encode(random_streams(draw, number), cameras))
        episode = replace(episode, streams=digest, start_ns=100, end_ns=800, task=f"task {number % 2}")
        workspace.catalog.put_all([recording, (episode, key)])
        entries += [
            DatasetEntry(episode=episode.id, start_ns=100, end_ns=800 - 10 * again, weight=1.0 + again, role=role)
            for again, role in enumerate([Role.ANCHOR, Role.CORRECTION][: 1 + number % 2])
        ]
    episodes = {one.id: one for one in workspace.catalog.all(Episode)}
    noun = DatasetVersion(
        id=workspace.catalog.new_id("dataset_version"),
        parent=None,
        entries=tuple(entries),
        manifest_hash=manifest_hash(entries, episodes, None),
    )
    return workspace.catalog.put(noun, key="v1")


def assert_faithful(workspace, version):
    """Every row that the open version shows is the row that the episode's streams show."""
    opened = workspace.opened("v1")
    episodes = [workspace.catalog.get(one, Episode) for one in opened.ids]
    assert [one.id for one in episodes] == list(dict.fromkeys(entry.episode for entry in version.entries))
    for name in opened.names:
        column = opened.column(name)
        for number, episode in enumerate(episodes):
            stream = workspace.streams(episode).get(name)
            if stream is None:
                assert column.part[number] == -1
                assert column.count[number] == 0
                continue
            stamps, cells = column.cells(int(column.part[number]))
            count, at, width = int(column.count[number]), int(column.values_at[number]), column.shape[0]
            t_at = int(column.stamps_at[number])
            assert stamps[t_at : t_at + count].tolist() == stream.t_ns.tolist()
            rows = cells[at : at + count * width].reshape(count, width)
            assert (rows.dtype, rows.tolist()) == (stream.values.dtype, stream.values.tolist())
            edges = (int(stream.t_ns[0]), int(stream.t_ns[-1])) if count else (0, 0)
            assert (int(column.first_ns[number]), int(column.last_ns[number])) == edges
    return opened


def test_an_open_version_shows_what_the_episodes_hold_before_and_after_it_is_sealed(workspace, version):
    assert_faithful(workspace, version)
    sealed = workspace.seal("v1")
    assert (len(sealed.packs), sealed.objects) == (1, 9)
    opened = assert_faithful(workspace, version)
    assert workspace.seal(version.id).packs == ()
    assert len(opened) == 9
    whole = codec.Streams(workspace.catalog.object_view(opened.digest(4)), "whole")
    assert opened.streams(4)["author"].values.tolist() == whole["author"].values.tolist()
    assert verify(workspace.catalog, workspace.objects, full=True, derived=workspace.derived, now_ns=0).lies == ()


def test_entries_tasks_and_cameras_are_there(workspace, version):
    index = workspace.opened("v1").index
    assert len(index.entry_episode) == len(version.entries)
    for number, entry in enumerate(version.entries):
        episode = workspace.catalog.get(entry.episode, Episode)
        of = int(index.entry_episode[number])
        assert index.tasks[index.task[of]] == episode.task
        assert (index.entry_start_ns[number], index.entry_end_ns[number]) == (entry.start_ns, entry.end_ns)
        assert (index.entry_weight[number], index.roles[index.entry_role[number]]) == (entry.weight, entry.role)
    opened = workspace.opened("v1")
    assert opened.cameras == ("camera/front",)
    column = opened.column("camera/front")
    assert np.flatnonzero(column.part >= 0).tolist() == [0, 3, 6]
    stamps, _ = column.cells(int(column.part[3]))
    shown = stamps[column.stamps_at[3] : column.stamps_at[3] + column.count[3]]
    assert shown.tolist() == [100, 110]


def test_the_index_is_the_same_bytes_wherever_the_objects_lie_and_whoever_makes_it(workspace, version):
    workspace.opened("v1")
    path = workspace.derived / "versions" / f"{version.id}.safetensors"
    first = path.read_bytes()
    workspace.seal("v1")
    path.unlink()
    workspace.opened("v1")
    assert path.read_bytes() == first


@pytest.mark.parametrize("spoil", [lambda b: b"", lambda b: b[:100], lambda b: b[:-9] + b"x" * 9, lambda b: b"9" * 99])
def test_a_spoilt_index_is_made_again(workspace, version, spoil):
    workspace.opened("v1")
    path = workspace.derived / "versions" / f"{version.id}.safetensors"
    first = path.read_bytes()
    path.write_bytes(spoil(first))
    assert_faithful(workspace, version)
    assert path.read_bytes() == first


def test_an_unknown_version_or_stream_is_said(workspace, version):
    with pytest.raises(UnknownId, match="no dataset version"):
        workspace.opened("v2")
    with pytest.raises(InvalidEpisode, match="no episode has"):
        workspace.opened("v1").column("gripper")


def test_rows_that_differ_between_episodes_are_refused(workspace, version, try_of):
    _, (episode, _), _ = try_of(workspace, 70)
    recording = workspace.catalog.get(workspace.catalog.all(Episode)[0].recordings[0])
    streams = {"action": Stream(t_ns=np.arange(3), values=np.zeros((3, 7), np.float32))}
    episode = replace(episode, streams=workspace.objects.put(codec.encode(streams)), recordings=(recording.id,))
    workspace.catalog.put(episode, key="odd")
    entry = replace(version.entries[0], episode=episode.id)
    odd = replace(version, id=workspace.catalog.new_id("dataset_version"), entries=(*version.entries, entry))
    workspace.catalog.put(odd, key="v2")
    with pytest.raises(InvalidEpisode, match="differ between episodes"):
        workspace.opened("v2").column("action")
    assert workspace.opened("v2").column("author").dtype == np.uint8


def test_a_version_with_erased_bytes_is_refused(workspace, version):
    workspace.seal("v1")
    opened = workspace.opened("v1")
    digest = opened.digest(4)
    stone = Tombstone(id=workspace.catalog.new_id("tombstone"), digest=digest, reason="asked for")
    workspace.catalog.put(stone, key=digest)
    workspace.objects.expunge([digest])
    for _ in range(2):
        with pytest.raises(Erased, match="erased on purpose"):
            workspace.opened("v1")
        (workspace.derived / "versions" / f"{version.id}.safetensors").unlink(missing_ok=True)
    with pytest.raises(Corrupt, match="Open the version again"):
        opened.column("author").cells(0)


@pytest.mark.slow
def test_packing_can_be_killed_at_any_moment(opened, verified, killed_after):
    workspace = opened(create=True)
    digests = workspace.objects.put_many([random.Random(n).randbytes(200) for n in range(400)])
    left = []
    for round_ in range(8):
        killed_after(SEALED, str(workspace.root), "", delay_s=0.005 + 0.011 * round_)
        assert workspace.objects.missing(digests) == []
        left.append(len(list(workspace.objects.digests())))
        assert [workspace.objects.hash_again(one) for one in digests] == digests
    assert max(left) == 400  # a kill came before the first copy that lay alone was removed
    workspace.objects.pack(digests)
    assert list(workspace.objects.digests()) == []
    assert [workspace.objects.hash_again(one) for one in digests] == digests
    assert verified(workspace, full=True).lies == ()
