from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.completion import Completion
from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Event, Stream
from saqiya.errors import TooLittle

S = 1_000_000_000


def tried(length_s, *events):
    stamps = np.arange(round(length_s * 10) + 1, dtype=np.int64) * (S // 10)
    made = tuple(Event(round(t_s * S), name) for t_s, name in events)
    return Seen({"observation/state": Stream(stamps, np.zeros((len(stamps), 1)))}, made)


NORMAL = [tried(3.0, (1.0 + d, "phase/grasp"), (2.0 + d, "phase/place")) for d in np.linspace(-0.1, 0.1, 11)]


def peak(seen):
    return float(Completion().fit(NORMAL).score(seen)[1].max())


def test_a_normal_try_is_hardly_late():
    assert peak(tried(3.0, (1.0, "phase/grasp"), (2.0, "phase/place"))) < 1.5


def test_a_phase_that_is_never_reached_grows_later_and_later():
    scores = Completion().fit(NORMAL).score(tried(3.0))[1]
    assert scores[10] < 1.0 < scores[15] < scores[30]


def test_it_warns_while_the_stopwatch_says_nothing():
    assert peak(tried(1.6)) > 3.0


def test_a_phase_reached_late_stays_late():
    scores = Completion().fit(NORMAL).score(tried(3.0, (1.6, "phase/grasp"), (2.6, "phase/place")))[1]
    assert scores[16] > 3.0
    assert scores[-1] >= scores[16]


def test_a_slow_first_phase_does_not_condemn_the_second():
    late_first = Completion().fit(NORMAL).score(tried(4.0, (1.3, "phase/grasp"), (2.3, "phase/place"), (3.0, "x")))[1]
    assert late_first[23] == late_first[14]


def test_a_time_out_adds_one():
    without, with_it = tried(3.0), tried(3.0, (3.0, "timeout"))
    assert peak(with_it) == peak(without) + 1.0


def test_without_phases_it_is_the_stopwatch():
    fitted = Completion().fit([tried(length) for length in (2.6, 2.8, 3.0, 3.2, 3.4)])
    fast, slow = (fitted.score(tried(length))[1].max() for length in (2.0, 5.0))
    assert fast == 0.0
    assert slow > 3.0


def test_it_says_which_phase_is_late_and_by_how_much():
    fitted = Completion().fit(NORMAL)
    assert fitted.reason(tried(3.0), 2 * S) == (
        "grasp was not reached 2.00 s after the beginning; by normal tries it is due after 1.00 s and late after 1.15 s"
    )


def test_what_is_not_late_has_no_reason():
    assert Completion().fit(NORMAL).reason(tried(3.0), S // 2) == ""


def test_a_schedule_needs_some_tries():
    with pytest.raises(TooLittle, match="5 normal tries, not 3"):
        Completion().fit(NORMAL[:3])
