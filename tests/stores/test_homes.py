"""What every home of objects must do, on local disk and in a bucket alike."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from saqiya.domain.ids import digest_of
from saqiya.errors import ConfigError, Corrupt, UnknownId, WorkspaceError
from saqiya.stores.bucket import Credentials
from saqiya.stores.cache import Cache
from saqiya.stores.objects import Objects

pytest.importorskip("obstore")
FORKED = """
import os, sys, time
from pathlib import Path
from saqiya.errors import WorkspaceError
from saqiya.stores.bucket import Bucket, Credentials
from saqiya.stores.objects import Objects
bucket = Bucket(f"s3://{sys.argv[2]}/x", now_ns=time.time_ns, endpoint=sys.argv[1], credentials=Credentials("a", "b"))
objects = Objects(Path(sys.argv[3]) / "objects", home=bucket)
digest, other = objects.put_many([b"abc", b"def"])
objects.path(digest)
child = os.fork()
if child == 0:
    print("cached", bytes(objects.view(digest)), flush=True)
    try:
        objects.view(other)
    except WorkspaceError as error:
        print(error.what, flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""
HOUR_NS = 3600 * 10**9


@pytest.fixture(params=["folder", "bucket"])
def open_store(request, tmp_path, new_bucket):
    """Open the same store as often as one likes, as other processes would."""
    bucket = new_bucket() if request.param == "bucket" else None

    def open_(*, cache_bytes=1 << 30):
        home = None if bucket is None else new_bucket(new_bucket.names[0])
        cache = Cache(tmp_path / "derived" / "objects", most_bytes=cache_bytes)
        return Objects(tmp_path / "objects", home=home, cache=cache)

    return open_


@pytest.fixture
def objects(open_store):
    return open_store()


def test_bytes_come_back_under_their_digest(objects, open_store):
    batch = [b"abc", b"", b"x" * 100, b"abc"]
    digests = objects.put_many(batch)
    assert digests == [digest_of(data) for data in batch]
    other = open_store()
    for store in (objects, other):
        assert [bytes(store.view(digest)) for digest in digests] == batch
        assert [store.path(digest).read_bytes() for digest in digests] == batch
    assert list(other.digests()) == sorted(set(digests))


def test_a_file_is_stored_as_its_bytes_would_be_also_in_pieces(objects, tmp_path):
    for size in (0, 1000, 20_000_001):  # the last goes up in several parts
        source = tmp_path / "log"
        source.write_bytes(os.urandom(1 + size // 7) * 7)
        digest = objects.put_file(source)
        assert digest == digest_of(source.read_bytes()) == objects.put_file(source)
        assert digest_of(objects.view(digest)) == objects.hash_again(digest) == digest
    assert objects.leftovers() == []


def test_many_bytes_at_once_are_stored_too(objects):
    data = bytes(20_000_000)
    assert objects.path(objects.put(data)).stat().st_size == len(data)


def test_ranges_are_the_bytes_that_were_asked_for(objects):
    data = os.urandom(3_000_000)
    digest = objects.put(data)
    spans = [(5, 10), (0, 0), (2_999_999, 3_000_000), (10, 11), (1_000_000, 1_500_000), (7, 9)]
    for _ in range(2):  # before there is a local copy, and after
        assert objects.ranges(digest, spans) == [data[start:end] for start, end in spans]
        objects.path(digest)
    with pytest.raises(Corrupt, match="ends before"):
        objects.ranges(digest, [(2_999_999, 3_000_001)])


def test_what_is_not_here_is_corrupt_and_told_from_what_is(objects):
    here, gone = objects.put(b"here"), digest_of(b"gone")
    assert (objects.has(here), objects.has(gone), objects.missing([gone, here])) == (True, False, [gone])
    for ask in (objects.path, objects.view, objects.hash_again, lambda one: objects.ranges(one, [(0, 1)])):
        with pytest.raises(Corrupt, match=gone):
            ask(gone)
        with pytest.raises(UnknownId, match="64 hex"):
            ask("../../etc/passwd")


def test_many_are_looked_up_at_once(objects):
    digests = objects.put_many([str(number).encode() for number in range(300)])
    assert objects.missing([*digests, digest_of(b"no")]) == [digest_of(b"no")]


def test_removed_bytes_are_gone_for_everybody(objects, open_store):
    digest = objects.put(b"abc")
    objects.path(digest)
    objects.remove(digest)
    objects.remove(digest)
    assert not open_store().has(digest)
    with pytest.raises(Corrupt):
        objects.path(digest)


def test_only_what_nobody_asked_for_since_is_retired(objects):
    digest = objects.put(b"abc")
    written_ns = dict(objects.alone())[digest].written_ns
    assert objects.retire(digest, before_ns=written_ns) == 0
    assert objects.has(digest)
    assert objects.retire(digest, before_ns=written_ns + 1) == 3
    assert not objects.has(digest)
    assert objects.retire(digest, before_ns=written_ns + 1) == 0


def test_small_objects_are_packed_and_come_back_from_there(objects, open_store):
    batch = [os.urandom(number) for number in range(50)] + [bytes(5000)]
    digests = objects.put_many(batch)
    other = open_store()
    other.packs.refresh()
    (pack,) = objects.pack(digests, small_bytes=1000)
    assert list(objects.digests()) == [digests[-1]]
    for store in (objects, other, open_store()):  # the second does not know yet
        assert [bytes(store.view(digest)) for digest in digests] == batch
        assert [store.ranges(digest, [(1, 2)])[0] for digest in digests[2:]] == [data[1:2] for data in batch[2:]]
        assert store.path(digests[7]).read_bytes() == batch[7]
        assert store.missing(digests) == []
        assert [store.hash_again(digest) for digest in digests] == digests
    assert objects.pack(digests, small_bytes=1000) == []
    assert list(open_store().packs.contents()) == [pack]


def test_packs_are_cut_at_their_size_and_the_same_members_give_the_same_pack(objects):
    digests = objects.put_many([bytes([number]) * 1000 for number in range(10)])
    packs = objects.pack(digests, most_bytes=3000)
    assert len(packs) == 4
    before = dict.fromkeys(digests)
    assert {member for pack in packs for member in objects.packs.contents()[pack].members()} == before.keys()
    again = objects.write_pack(digests[:3])
    assert again == packs[0]


def test_an_object_that_is_not_what_it_says_is_not_packed(objects):
    digest = objects.put(b"abc")
    name = f"{digest[:2]}/{digest[2:]}"
    objects.home.remove([name])
    objects.home.put_all({name: b"abd"})
    with pytest.raises(Corrupt, match="not what"):
        objects.pack([digest])
    assert objects.packs.refresh() == {}


def test_expunged_bytes_are_gone_alone_and_from_packs_and_their_neighbours_stay(objects, open_store):
    batch = [os.urandom(100) for _ in range(6)]
    digests = objects.put_many(batch)
    objects.pack(digests[:4])
    objects.put(batch[0])  # once more, alone
    objects.path(digests[0]), objects.path(digests[1])
    other = open_store()
    other.packs.refresh()
    assert objects.expunge([digests[0], digests[4]]) > 100
    for store in (objects, other):
        assert store.missing(digests) == [digests[0], digests[4]]
        assert [bytes(store.view(digests[at])) for at in (1, 2, 3, 5)] == [batch[at] for at in (1, 2, 3, 5)]
        with pytest.raises(Corrupt):
            store.path(digests[0])
    assert all(batch[0] not in data for data in everything(objects))
    objects.expunge(digests)
    assert list(everything(objects)) == []


def everything(objects):
    for name, state in objects.home.names(""):
        yield objects.home.read(name, [(0, state.size_bytes)])[0]


def test_a_pack_that_was_damaged_is_named_and_its_members_are_missing(objects, open_store):
    digest = objects.put(b"abc")
    (pack,) = objects.pack([digest])
    whole = objects.home.read(f"packs/{pack}", [(0, objects.pack_stat(pack).size_bytes)])[0]
    for spoilt in (b"", whole[:-1], whole[:70], bytes(64) + whole[64:], whole[:-50] + bytes(4) + whole[-46:]):
        objects.home.remove([f"packs/{pack}"])
        objects.home.put_all({f"packs/{pack}": spoilt})
        store = open_store()
        assert store.packs.refresh_damaged().keys() == {pack}
        assert store.missing([digest]) == [digest]


def test_many_writers_of_the_same_bytes_agree(open_store):
    batch = [bytes([number]) * 100 for number in range(20)]
    found = []

    def write():
        found.append(open_store().put_many(batch))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[digest_of(data) for data in batch]] * 4


def test_old_bytes_that_are_put_again_are_young_again(tmp_path, new_bucket):
    now_ns = time.time_ns()
    new_bucket()
    home = new_bucket(new_bucket.names[0], now_ns=lambda: now_ns + 2 * HOUR_NS)
    objects = Objects(tmp_path / "objects", home=home)
    digest = objects.put(b"abc")
    first = dict(objects.alone())[digest]
    time.sleep(1.1)  # S3 tells time in whole seconds
    objects.put(b"abc")
    assert dict(objects.alone())[digest].written_ns > first.written_ns


def test_the_cache_is_bounded_and_drops_what_was_longest_unused(tmp_path, new_bucket):
    new_bucket()
    cache = Cache(tmp_path / "cache", most_bytes=2500)
    objects = Objects(tmp_path / "objects", home=new_bucket(new_bucket.names[0]), cache=cache)
    digests = objects.put_many([bytes([number]) * 1000 for number in range(4)])
    for number, digest in enumerate(digests):
        os.utime(objects.path(digest), ns=(number, number))
    kept = {path.name for path in (tmp_path / "cache").iterdir() if path.is_file()}
    assert kept == set(digests[2:])
    assert [objects.path(digest).read_bytes()[0] for digest in digests] == [0, 1, 2, 3]


def test_a_copy_that_is_not_what_was_stored_is_refused(tmp_path, new_bucket):
    bucket = new_bucket()
    objects = Objects(tmp_path / "objects", home=bucket)
    digest = objects.put(b"abc")
    bucket.remove([f"{digest[:2]}/{digest[2:]}"])
    bucket.put_all({f"{digest[:2]}/{digest[2:]}": b"abd"})
    with pytest.raises(Corrupt, match="not what"):
        objects.path(digest)


def test_a_file_that_changes_under_the_upload_is_refused(tmp_path, new_bucket, monkeypatch):
    bucket = new_bucket()
    source = tmp_path / "log"
    source.write_bytes(bytes(20_000_000))
    from saqiya.stores import bucket as module

    real = module._pieces

    def growing(path):
        yield from real(path)
        with path.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(module, "_pieces", growing)
    with pytest.raises(Corrupt, match="changed while"):
        Objects(tmp_path / "objects", home=bucket).put_file(source)
    assert list(bucket.names("")) == []


def test_trouble_with_a_bucket_is_said_in_our_words(tmp_path, new_bucket):
    cases = {
        "the bucket is missing": new_bucket("no-such-bucket"),
        "did not answer": new_bucket("any", endpoint="http://127.0.0.1:9"),
    }
    for words, bucket in cases.items():
        objects = Objects(tmp_path / "objects", home=bucket)
        for ask in (lambda one=objects: one.put(b"abc"), lambda one=objects: one.view(digest_of(b"abc"))):
            with pytest.raises(WorkspaceError, match=words):
                ask()
    assert "secret" not in repr(Credentials("key", "secret", "secret"))


def test_a_forked_process_is_told_instead_of_left_waiting(tmp_path, new_bucket, s3):
    new_bucket()
    command = [sys.executable, "-c", FORKED, s3, new_bucket.names[0], str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert out.splitlines() == ["cached b'abc'", "a process that was forked from one at work cannot reach it", "0"]


@pytest.mark.parametrize("url", ["", "bucket", "http://a/b", "s3://", "s3:///prefix", "s3://a/b?c=d"])
def test_a_url_must_name_a_bucket(new_bucket, url):
    from saqiya.stores.bucket import Bucket

    with pytest.raises(ConfigError, match="names no bucket"):
        Bucket(url, now_ns=time.time_ns)
