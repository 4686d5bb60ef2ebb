from __future__ import annotations

import os
import subprocess
import sys

import pytest

from saqiya.domain.ids import digest_of
from saqiya.errors import Corrupt, StorageFull, UnknownId
from saqiya.stores.objects import Objects

FULL = """
import resource, sys
from pathlib import Path
from saqiya.errors import StorageFull
from saqiya.stores.objects import Objects
objects = Objects(Path(sys.argv[1]))
kept = objects.put(b"kept")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for write in (lambda: objects.put(bytes(5000)), lambda: objects.put_many([b"small", bytes(5000)]),
              lambda: objects.put_file(Path(sys.argv[2]))):
    try:
        write()
        print("written")
    except StorageFull as error:
        print("full", objects.leftovers())
print(objects.path(kept).read_bytes())
"""


@pytest.fixture
def objects(tmp_path):
    return Objects(tmp_path / "objects")


def test_bytes_lie_under_their_digest(objects):
    digest = objects.put(b"abc")
    assert digest == digest_of(b"abc")
    assert objects.path(digest).read_bytes() == b"abc"
    assert objects.path(digest).relative_to(objects.root).as_posix() == f"{digest[:2]}/{digest[2:]}"
    assert objects.leftovers() == []


def test_bytes_that_are_here_are_not_written_again(objects):
    inode = objects.path(objects.put(b"abc")).stat().st_ino
    assert objects.path(objects.put(b"abc")).stat().st_ino == inode


def test_a_file_cut_short_behind_our_back_is_put_right_by_the_next_put(objects):
    path = objects.path(objects.put(b"abc"))
    path.chmod(0o644)
    path.write_bytes(b"a")
    objects.put(b"abc")
    assert path.read_bytes() == b"abc"


def test_many_are_stored_in_order_with_repeats_and_empties(objects):
    batch = [b"a", b"", b"b", b"a", *(bytes([n]) * 10 for n in range(250)), *(bytes([n]) * 11 for n in range(250))]
    digests = objects.put_many(batch)
    assert digests == [digest_of(data) for data in batch]
    assert list(objects.digests()) == sorted(set(digests))
    assert all(objects.path(digest).read_bytes() == data for digest, data in zip(digests, batch, strict=True))


def test_a_file_is_stored_as_its_bytes_would_be(objects, tmp_path):
    source = tmp_path / "log"
    source.write_bytes(os.urandom(3_000_000))
    digest = objects.put_file(source)
    assert digest == digest_of(source.read_bytes()) == objects.put_file(source)
    assert objects.leftovers() == []


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "ab" * 31, "AB" * 32, "ab" * 33])
def test_what_is_not_a_digest_is_no_path(objects, name):
    with pytest.raises(UnknownId, match="64 hex"):
        objects.path(name)


def test_missing_bytes_are_corrupt(objects):
    digest = objects.put(b"abc")
    objects.remove(digest)
    assert not objects.has(digest)
    with pytest.raises(Corrupt, match=digest):
        objects.path(digest)


def test_a_full_disk_is_named_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "log").write_bytes(bytes(5000))
    command = [sys.executable, "-c", FULL, str(tmp_path / "objects"), str(tmp_path / "log")]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out == "full []\n" * 3 + "b'kept'\n"


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 1 MB; only root can mount one, so elsewhere the file size limit above stands alone."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_disk_that_fills_keeps_what_was_stored_before(tiny_disk):
    objects = Objects(tiny_disk / "objects")
    kept = [objects.put(bytes([number]) * 100_000) for number in range(5)]
    with pytest.raises(StorageFull, match="Free some space"):
        objects.put(bytes(1_000_000))
    assert list(objects.digests()) == sorted(kept)
    assert objects.leftovers() == []


def test_leftovers_of_a_dead_writer_are_no_objects(objects):
    (objects.incoming / "1-1").write_bytes(b"half")
    assert list(objects.digests()) == []
    assert len(objects.leftovers()) == 1
