"""Operators are compared within the requests that they share, and with intervals that never collapse."""

import numpy as np
import pytest

from saqiya.correct.crewbook import Piece, figures_of, wilson


def pieces(operator, request, accepted, n, *, redone=0, hesitation=0.1):
    return [Piece(operator, request, i < accepted, i < redone, hesitation) for i in range(n)]


def test_whoever_takes_the_hard_requests_is_not_called_worse():
    book = [
        *pieces("ann", "hard", 10, 20), *pieces("bob", "hard", 5, 10),
        *pieces("ann", "easy", 2, 2), *pieces("bob", "easy", 40, 40),
    ]  # fmt: skip
    told = figures_of("ann", book)
    assert told.accepted.value < figures_of("bob", book).accepted.value
    assert told.accepted_against.value == pytest.approx(0.0)
    assert told.accepted_against.low < 0.0 < told.accepted_against.high
    assert told.accepted_against.requests == 2


def test_where_everything_was_accepted_the_interval_still_has_a_width():
    told = figures_of("ann", [*pieces("ann", "a", 6, 6), *pieces("bob", "a", 6, 6)])
    assert told.accepted_against.low < -0.2
    assert told.accepted_against.high > 0.2


@pytest.mark.parametrize("book", [pieces("ann", "a", 9, 9), [*pieces("ann", "a", 3, 4), *pieces("bob", "a", 9, 9)]])
def test_nobody_is_compared_on_too_little(book):
    told = figures_of("ann", book)
    assert told.accepted_against is None
    assert told.said.startswith("Too few")


def test_the_interval_of_a_difference_covers_as_often_as_it_says():
    rng = np.random.default_rng(20261121)
    hit = 0
    for _ in range(400):
        book = []
        for request, base in enumerate(rng.uniform(0.3, 0.9, 6)):
            for who, rate in (("ann", base - 0.1), ("bob", base)):
                book += [Piece(who, str(request), bool(rng.random() < rate), False, None) for _ in range(8)]
        told = figures_of("ann", book).accepted_against
        hit += told.low <= -0.1 <= told.high
    assert 0.92 <= hit / 400 <= 1.0


def test_hesitation_is_compared_over_requests():
    book = [one for i in range(6) for one in (*pieces("ann", str(i), 1, 1, hesitation=0.3 + i / 100),
                                              *pieces("bob", str(i), 1, 1, hesitation=0.1 + i / 100))]  # fmt: skip
    told = figures_of("ann", book)
    assert told.hesitation_against.value == pytest.approx(0.2)
    assert told.hesitation[1] < told.hesitation[0] < told.hesitation[2]


def test_wilson_of_nothing_is_everything():
    assert wilson(0.5, 0) == (0.0, 1.0)
    assert wilson(0.5, 100)[0] == pytest.approx(0.4038, abs=1e-3)
