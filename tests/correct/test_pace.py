"""What is known of how quickly somebody works, and how much of it is kept."""

import pytest

from saqiya.correct.pace import Tally, kept, pace


def test_who_has_done_nothing_is_as_quick_as_everybody():
    assert pace(Tally(), Tally()) == 1.0
    assert pace(Tally(), Tally(10, 500.0)) == 1.0
    assert kept(Tally(), Tally(10, 500.0, 10, 3)) == 1.0


def test_pieces_move_a_pace_slowly_and_far_in_the_end():
    every = Tally(100, 1000.0)
    paces = [pace(Tally(n, 5.0 * n), every) for n in (0, 1, 5, 500)]
    assert paces == sorted(paces, reverse=True)
    assert paces[2] == pytest.approx(0.75)
    assert paces[3] == pytest.approx(0.5, abs=0.01)


def test_what_was_sent_back_counts_against_what_is_kept():
    every = Tally(20, 100.0)
    for good in [True] * 10 + [False] * 10:
        every = every.judged(good=good)
    assert (every.decided, every.kept) == (20, 10)
    good, bad = Tally(decided=5, kept=5), Tally(decided=5, kept=0)
    assert kept(good, every) == pytest.approx(1.5)
    assert kept(bad, every) == pytest.approx(0.5)


def test_a_piece_adds_its_steps():
    assert Tally().handed(30.0).handed(10.0) == Tally(2, 40.0)
