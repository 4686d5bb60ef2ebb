import pytest
from tests.loop.driven import cut_all, driven, failed, go

from saqiya.errors import InvalidEpisode
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
