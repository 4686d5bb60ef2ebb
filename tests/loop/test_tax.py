"""The tax: what lies here for each byte that came in, what it took, and what nobody counted."""

import random

import pytest

from saqiya.domain.nouns import DatasetEntry, DatasetVersion, Episode, Export, Role
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.data import Data
from saqiya.loop.tax import exporting, tax
from saqiya.stores.ledger import Delivered, Ledger
from saqiya.stores.workspace import Workspace
from saqiya.testing import ManualClock, make_episode

BEGAN_NS = 1_900_000_000_000_000_000  # after the files of this test were closed


@pytest.fixture
def clock():
    return ManualClock(BEGAN_NS)


@pytest.fixture
def store(tmp_path, clock):
    made = Workspace.create(tmp_path / "wheel", site="lab", clock=clock, entropy=random.Random(0).randbytes)
    yield made
    made.close()


@pytest.fixture
def logs(tmp_path):
    (tmp_path / "logs").mkdir()
    for seed in range(3):
        McapFormat().write(make_episode(seed=seed), tmp_path / "logs" / f"{seed}.mcap")
    return tmp_path / "logs"


def take_in(store, clock, logs, keep="copy"):
    Data(store, clock=clock, progress=lambda *_: None).ingest([logs], keep=keep)


def size_of(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


def test_an_empty_workspace_owes_nothing_that_is_known(store):
    found = tax(store)
    assert (found.read_bytes, found.formats, found.exports, found.exported_bytes) == (0, (), {}, 0)
    assert [found.kept_per_byte, found.written_per_byte, found.copies, found.first_batch_s, found.samples_per_s,
            found.asked_per_s, found.waited_hours, found.since_ns, found.not_trained_on] == [None] * 9  # fmt: skip


def test_what_was_ingested_without_a_count_is_known_by_its_bytes_alone(store, clock, logs):
    take_in(store, clock, logs)
    (store.derived / "tax.jsonl").unlink()
    found = tax(store)
    assert found.read_bytes == size_of(logs)
    assert found.written_per_byte is None
    assert found.kept_per_byte > 1.0


def test_bytes_by_format_imported_and_linked(store, clock, logs):
    take_in(store, clock, logs)
    (one,) = tax(store).formats
    assert (one.format, one.recordings, one.episodes) == ("mcap", 3, 3)
    assert one.read_bytes == one.imported_bytes == one.originals_bytes == size_of(logs)
    assert one.numbers_bytes > 0
    assert one.copies == pytest.approx(2 + one.numbers_bytes / one.read_bytes)
    for path in logs.iterdir():
        path.unlink()
    assert tax(store).formats[0].originals_bytes == 0


def test_a_linked_log_costs_its_numbers_alone(store, clock, logs):
    take_in(store, clock, logs, keep="link")
    found = tax(store)
    (one,) = found.formats
    assert (one.imported_bytes, one.originals_bytes) == (0, one.read_bytes)
    assert one.per_byte == one.numbers_bytes / one.read_bytes
    assert found.written_per_byte > one.per_byte  # the catalog's rows are counted too


def test_what_comes_in_again_is_not_counted_again(store, clock, logs):
    take_in(store, clock, logs)
    before = tax(store).written_per_byte
    take_in(store, clock, logs)
    (first, second), _ = Ledger(store.derived).read()
    assert (second.read_bytes, second.written_bytes, second.recordings) == (0, 0, ())
    assert len(first.recordings) == 3
    assert tax(store).written_per_byte == before


def test_seconds_from_a_closed_log_to_the_first_batch_with_it(store, clock, logs):
    take_in(store, clock, logs)
    assert tax(store).not_trained_on == 1
    episode = store.catalog.all(Episode)[0]
    version = DatasetVersion(id=store.catalog.new_id("dataset_version"), parent=None, manifest_hash="",
                             entries=(DatasetEntry(episode.id, 0, 1, 1.0, Role.ANCHOR),))  # fmt: skip
    store.catalog.put(version, key="v")
    ledger = Ledger(store.derived)
    for first_s, waited_s in ((10, 0.5), (99, 1.5)):
        ledger.add(Delivered(opened_ns=BEGAN_NS, first_ns=BEGAN_NS + first_s * 10**9, dataset=version.id, samples=64,
                             seconds=4.0, waited_s=waited_s))  # fmt: skip
    found = tax(store)
    assert found.first_batch_after_ingest_s == (10.0, 10.0, 1)
    assert found.first_batch_s[0] > 10.0
    assert found.not_trained_on == 0
    assert (found.samples_per_s, found.asked_per_s) == (16.0, 128 / 6)
    assert found.waited_hours == 2.0 / 3600
    assert found.since_ns == BEGAN_NS


def test_an_export_is_a_conversion_that_writes_bytes_and_may_resample(store, clock, logs, tmp_path):
    take_in(store, clock, logs)
    out = tmp_path / "out"
    out.mkdir()
    with exporting(store, clock) as note:
        (out / "data").write_bytes(b"x" * 1000)
        export = Export(id=store.catalog.new_id("export"), dataset=None, episodes=(), format="lerobot",
                        location=str(out), settings={}, notes=())  # fmt: skip
        note(store.catalog.put(export, key="e"), ["contact/force"])
    found = tax(store)
    assert (found.exports, found.exported_bytes, found.resampled) == ({"lerobot": 1}, 1000, 1)


def test_a_lost_ledger_makes_unknown_what_was_counted(store, clock, logs):
    take_in(store, clock, logs)
    (store.derived / "tax.jsonl").write_bytes(b"{torn")
    found = tax(store)
    assert (found.written_per_byte, found.unreadable) == (None, 1)
