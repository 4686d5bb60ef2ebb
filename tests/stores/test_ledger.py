"""Whoever spends writes one line; a torn line costs itself alone."""

import itertools
import multiprocessing

import pytest

from saqiya.stores.ledger import Delivered, Exported, Ingested, Ledger, delivering

INGESTED = Ingested(began_ns=1, ended_ns=2, read_bytes=3, written_bytes=4, recordings=("r",), closed_ns=0)


def test_what_was_added_is_read_back_in_order(tmp_path):
    ledger = Ledger(tmp_path)
    assert ledger.read() == ([], 0)
    told = [
        INGESTED,
        Exported(export="e", began_ns=1, ended_ns=2, written_bytes=3, resampled=("x",)),
        Delivered(opened_ns=1, first_ns=2, dataset="d", samples=3, seconds=4.0, waited_s=0.5),
    ]
    for one in told:
        ledger.add(one)
    assert ledger.read() == (told, 0)


@pytest.mark.parametrize("harm", [b'{"kind": "inges', b"\xff\xfe\n", b'{"type": "ingested"}\n', b"[1]\n"])
def test_a_line_that_a_crash_tore_is_counted_and_costs_no_other(tmp_path, harm):
    ledger = Ledger(tmp_path)
    ledger.add(INGESTED)
    with (tmp_path / "tax.jsonl").open("ab") as file:
        file.write(harm)
    ledger.add(INGESTED)
    assert ledger.read() == ([INGESTED, INGESTED], 1)


def add_many(folder):
    for _ in range(200):
        Ledger(folder).add(INGESTED)


@pytest.mark.slow
def test_processes_add_at_once(tmp_path):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.map(add_many, [tmp_path] * 4)
    assert Ledger(tmp_path).read() == ([INGESTED] * 800, 0)


class Clock:
    """A clock that is set forward by whoever takes time."""

    def __init__(self):
        self.now = 10**9

    def __call__(self):
        return self.now

    def spend(self, seconds):
        self.now += int(seconds * 1e9)


def batches(clock, count, seconds):
    for _ in range(count):
        clock.spend(seconds)
        yield [0] * 32


def test_time_within_a_request_is_waiting_and_time_between_is_the_steps(tmp_path):
    clock, ledger = Clock(), Ledger(tmp_path)
    for batch in delivering(batches(clock, 4, 0.25), ledger, clock=clock, dataset="d", samples=len):
        assert len(batch) == 32
        clock.spend(1.0)
    (one,), _ = ledger.read()
    assert (one.samples, one.seconds, one.waited_s, one.first_ns - one.opened_ns) == (128, 5.0, 1.0, 250_000_000)


def test_a_step_that_stops_asking_is_noted_too(tmp_path):
    clock, ledger = Clock(), Ledger(tmp_path)
    source = delivering(batches(clock, 9, 0.5), ledger, clock=clock, dataset="d", samples=len)
    assert len(list(itertools.islice(source, 2))) == 2
    source.close()
    (one,), _ = ledger.read()
    assert (one.samples, one.waited_s) == (64, 1.0)


def test_a_loader_that_fails_is_not_hidden_and_nothing_is_noted_for_nothing(tmp_path):
    def broken():
        raise OSError("gone")
        yield

    with pytest.raises(OSError, match="gone"):
        list(delivering(broken(), Ledger(tmp_path), clock=Clock(), dataset="d", samples=len))
    assert list(delivering([], Ledger(tmp_path), clock=Clock(), dataset="d", samples=len)) == []
    assert Ledger(tmp_path).read() == ([], 0)
