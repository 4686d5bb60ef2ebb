"""A slow answer is found once for all who ask, and again only when what it rests on changes."""

import threading

import pytest

from saqiya.errors import UnknownId, WorkspaceBusy
from saqiya.loop.fresh import PATIENCE_NS, Fresh


class Slow:
    """Counts how often it was asked, and takes as long as it is told."""

    def __init__(self, took_ns=0):
        self.version, self.asked, self.now_ns, self.took_ns = 0, 0, 0, took_ns
        self.done = threading.Event()

    def find(self):
        self.asked += 1
        self.now_ns += self.took_ns
        self.done.set()
        return f"answer {self.asked}"

    def fresh(self):
        return Fresh(self.find, lambda: self.version, clock=lambda: self.now_ns)


def test_it_is_found_once():
    slow = Slow()
    kept = slow.fresh()
    assert [kept.get(), kept.get()] == ["answer 1", "answer 1"]


def test_a_quick_answer_is_the_newest_after_a_change():
    slow = Slow()
    kept = slow.fresh()
    kept.get()
    slow.version = 1
    assert kept.get() == "answer 2"


def test_while_a_slow_answer_is_found_again_the_last_one_is_given():
    slow = Slow(took_ns=2 * PATIENCE_NS)
    kept = slow.fresh()
    kept.get()
    slow.done.clear()
    slow.version = 1
    assert kept.get() == "answer 1"
    assert slow.done.wait(5)
    while kept.get() == "answer 1":
        pass
    assert kept.get() == "answer 2"


def test_many_who_ask_at_once_wait_for_one():
    slow = Slow()
    kept = slow.fresh()
    threads = [threading.Thread(target=kept.get) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert slow.asked == 1


def test_who_would_wait_too_long_for_the_first_answer_is_told_to_come_back():
    go = threading.Event()
    kept = Fresh(lambda: go.wait(10), lambda: 0, clock=lambda: 0, wait_s=0.01)
    with pytest.raises(WorkspaceBusy):
        kept.get()
    go.set()
    while kept.behind:
        pass
    assert kept.get() is True


def test_what_goes_wrong_is_told_to_who_asked_and_tried_again():
    tries = iter([UnknownId("is not there", remedy="look"), None])

    def find():
        if error := next(tries):
            raise error
        return "found"

    kept = Fresh(find, lambda: 0, clock=lambda: 0)
    with pytest.raises(UnknownId):
        kept.get()
    assert kept.get() == "found"


def test_what_is_stored_while_somebody_asks_is_known_and_ends_the_question():
    slow = Slow()
    seen = iter([0])  # what the asker sees; whoever finds the answer sees the next

    def find():
        if slow.asked > 3:
            raise UnknownId("would be found for ever", remedy="look")
        return slow.find()

    kept = Fresh(find, lambda: next(seen, 1), clock=lambda: 0)
    assert kept.get() == "answer 1"
    assert kept.get() == "answer 1"
