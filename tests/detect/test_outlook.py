from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.outlook import Outlook
from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Event, Stream
from saqiya.errors import TooLittle
from saqiya.models.replay import score_by


def tried(seed, *, fails, author=0):
    """A hand on its way; from a third on, one that will fail drifts off, and then goes on for three times as long."""
    rng = np.random.default_rng(seed)
    steps = 120 if fails else 40
    t_ns = np.arange(steps, dtype=np.int64) * 50_000_000
    path = np.cumsum(rng.normal(0.05, 0.02, size=(steps, 3)), axis=0)
    path[13:, 1] += fails * 0.5
    return Seen({"observation/hand": Stream(t_ns, path), "author": Stream(t_ns.copy(), np.full((steps, 1), author))})


GOOD = [tried(seed, fails=False) for seed in range(40)]
BAD = [tried(seed, fails=True) for seed in range(100, 130)]


@pytest.fixture(scope="module")
def fitted():
    return Outlook().fit(GOOD, BAD)


def test_it_rises_when_a_failure_begins_and_not_before(fitted):
    fails = np.array([fitted.score(tried(seed, fails=True))[1][:40] for seed in range(200, 220)])
    goes_well = np.array([fitted.score(tried(seed, fails=False))[1] for seed in range(300, 320)])
    early, late = (np.median(fails[:, part]) - np.median(goes_well[:, part]) for part in (slice(10), slice(20, 40)))
    assert np.median(fails[:, 20:]) > 0.0 > np.median(goes_well[:, 20:])
    assert late > 5 * abs(early)


def test_the_clock_is_no_reason(fitted):
    assert not any("seconds" in name for name in fitted.prefixes.names)


def test_it_is_watched_as_it_is_logged_and_says_why(fitted):
    seen = tried(200, fails=True)
    stamps, scores = fitted.score(seen)
    watched = score_by(fitted.watch(), seen, list(seen.streams))
    assert np.array_equal(watched[0], stamps)
    assert np.array_equal(watched[1], scores)
    assert "observation/hand[1]" in fitted.reason(seen, int(stamps[30]))


def test_arrays_make_it_again(fitted):
    seen = tried(200, fails=True)
    assert np.array_equal(Outlook().load(fitted.arrays()).score(seen)[1], fitted.score(seen)[1])


def test_it_takes_sixty_labelled_tries_of_the_policy_itself():
    with pytest.raises(TooLittle, match="60 rollouts"):
        Outlook().fit(GOOD[:30], BAD[:29])
    shown = [tried(seed, fails=False, author=1) for seed in range(60)]
    with pytest.raises(TooLittle, match="0 good"):
        Outlook().fit(shown, BAD)


def test_what_a_person_did_is_not_what_a_failing_policy_looks_like():
    def saved(seed):
        """A failing try in which a person takes over at 1 s and throws the arm to the other end of the room."""
        one = tried(seed, fails=True)
        hand = one.streams["observation/hand"]
        path = hand.values.copy()
        path[20:] += 100.0
        return Seen({**one.streams, "observation/hand": Stream(hand.t_ns, path)}, (Event(1_000_000_000, "takeover"),))

    fitted = Outlook().fit(GOOD, [saved(seed) for seed in range(100, 130)])
    assert "takeover" not in fitted.prefixes.events
    far = tried(200, fails=False)
    hand = far.streams["observation/hand"]
    assert fitted.score(tried(201, fails=True))[1][:40].max() > 0.0
    taken = Seen({**far.streams, "observation/hand": Stream(hand.t_ns, hand.values)}, (Event(0, "takeover"),))
    assert np.array_equal(fitted.score(taken)[1], fitted.score(far)[1])
