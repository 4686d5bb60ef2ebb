from __future__ import annotations

import numpy as np
import pytest

from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Event, Stream
from saqiya.errors import InvalidEpisode
from saqiya.models.replay import instants, reason_at, score_by


def stream(*stamps, width=1):
    return Stream(np.array(stamps, np.int64), np.arange(len(stamps) * width, dtype=np.float32).reshape(-1, width))


SEEN = Seen({"a": stream(0, 10, 20), "b": stream(5, 10)}, (Event(7, "takeover"), Event(10, "/e_stop", "false")))


class Counts:
    """Its score is how often it was shown something of `a`."""

    def __init__(self):
        self.count = 0

    def see(self, t_ns, row, events):
        self.count += "a" in row
        return float(self.count) if "a" in row else None

    def reason(self):
        return f"{self.count} times"


def test_every_stamp_of_every_stream_is_an_instant():
    assert [(t_ns, sorted(row)) for t_ns, row, _ in instants(SEEN, ("a", "b"))] == [
        (0, ["a"]), (5, ["b"]), (10, ["a", "b"]), (20, ["a"]),
    ]  # fmt: skip


def test_only_what_was_asked_for_is_shown_at_the_same_instants():
    assert [(t_ns, sorted(row)) for t_ns, row, _ in instants(SEEN, ("b",))] == [
        (0, []),
        (5, ["b"]),
        (10, ["b"]),
        (20, []),
    ]


def test_an_event_is_told_at_the_first_instant_at_or_after_it():
    assert [events for _, _, events in instants(SEEN, ())] == [[], [], ["takeover", "/e_stop/off"], []]


def test_of_a_picture_only_that_it_came_is_told():
    seen = Seen({"camera/top": Stream(np.array([0], np.int64), np.zeros((1, 20, 20, 3), np.uint8))})
    assert [row["camera/top"].size for _, row, _ in instants(seen, ("camera/top",))] == [0]


def test_a_score_is_kept_where_the_watch_has_one():
    stamps, scores = score_by(Counts(), SEEN, ("a",))
    assert (stamps.tolist(), scores.tolist()) == ([0, 10, 20], [1.0, 2.0, 3.0])


def test_a_reason_is_that_of_its_instant():
    assert reason_at(Counts(), SEEN, ("a",), 10) == "2 times"


def test_a_log_without_a_sample_cannot_be_replayed():
    with pytest.raises(InvalidEpisode, match="single sample"):
        list(instants(Seen({}), ()))
