import os
import time

import pytest
from tests.loop.driven import cut_all, driven, failed, go

from saqiya.errors import InvalidEpisode, StorageFull
from saqiya.loop.driving import journal
from saqiya.loop.driving.journal import read


@pytest.fixture
def path(tmp_path):
    yield tmp_path / "one.drive"
    cut_all()


def test_every_step_is_on_disk_when_it_is_done(path):
    drive = driven(path, takeover=failed())
    for steps in range(1, 5):
        go(drive, 1)
        assert read(path).human_steps == steps


def test_what_is_written_is_synced_soon_and_at_the_end_and_not_by_the_steps(path, monkeypatch):
    synced, real = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_size), real(handle)))
    monkeypatch.setattr(journal, "SYNC_S", 0.05)
    drive = driven(path, takeover=failed())
    go(drive, 3)
    size, steps = path.stat().st_size, 3
    while size not in synced:
        time.sleep(0.01)
    rounds = len(synced)
    time.sleep(0.2)
    assert len(synced) == rounds  # nothing new, nothing to sync
    monkeypatch.setattr(journal, "SYNC_S", 60.0)
    steps += go(drive, 20)
    assert len(synced) <= rounds + 1
    drive.cut()
    assert synced[-1] == path.stat().st_size
    assert read(path).human_steps == steps


def test_a_disk_that_refuses_ends_the_drive_in_words(path, monkeypatch):
    monkeypatch.setattr(journal, "SYNC_S", 0.01)
    drive = driven(path, takeover=failed())

    def refuse(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    go(drive, 1)
    while drive._journal._syncer.is_alive():
        time.sleep(0.01)
    with pytest.raises(StorageFull, match="no room to write"):
        go(drive, 1)
    assert read(path).human_steps > 0


def test_a_file_that_ends_anywhere_is_read_up_to_its_last_whole_record(path, tmp_path):
    drive = driven(path, takeover=failed())
    go(drive, 12)
    drive.cut()
    whole = path.read_bytes()
    steps = []
    for size in range(len(whole), len(whole) // 2, -97):
        cut = tmp_path / "cut"
        cut.write_bytes(whole[:size])
        steps.append(read(cut).human_steps)
    assert steps[0] == 12
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] < 12


def test_a_record_that_was_damaged_ends_what_is_read(path):
    drive = driven(path, takeover=failed())
    go(drive, 12)
    drive.cut()
    damaged = bytearray(path.read_bytes())
    damaged[-50] ^= 1
    path.write_bytes(damaged)
    assert read(path).human_steps == 11


def test_a_file_without_a_whole_head_is_named(path):
    path.write_bytes(b"\x40\0\0\0abcd")
    with pytest.raises(InvalidEpisode, match="cut off before its first step"):
        read(path)
