from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.dynamics import Ahead, OneStep
from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode
from saqiya.testing import check_detector

BOTH = pytest.mark.parametrize("made", [OneStep, Ahead])


def driven(seed, n=60, lost_from=None, beside=0.0):
    rng, t_ns = np.random.default_rng(seed), np.arange(n, dtype=np.int64) * 50_000_000
    action = rng.normal(size=(n, 2))
    moved = 0.1 * action[:-1]
    if lost_from is not None:
        moved[lost_from:] = 0.0
    place = beside + rng.normal(size=2) + np.concatenate([np.zeros((1, 2)), np.cumsum(moved, axis=0)])
    seen = place + rng.normal(0.0, 0.001, (n, 2))
    return Seen({"observation/place": Stream(t_ns, seen), "action/executed": Stream(t_ns.copy(), action)})


NORMAL = [driven(seed) for seed in range(20)]


@BOTH
def test_the_contract_is_kept(made):
    check_detector(made())


@BOTH
def test_it_rises_when_the_drive_is_lost_and_not_before(made):
    scores = made().fit(NORMAL).score(driven(100, lost_from=30))[1]
    assert scores[35:].min() > 3 * scores[:31].max()


@BOTH
def test_the_reason_tells_what_should_have_come(made):
    reason = made().fit(NORMAL).reason(driven(100, lost_from=30), 40 * 50_000_000)
    assert reason.startswith("observation/place[")
    assert "should have led to" in reason


@BOTH
def test_a_try_of_one_instant_gives_nothing_to_be_surprised_at(made):
    assert made().fit(NORMAL).score(driven(100, n=1))[1].tolist() == [0.0]


@BOTH
def test_a_missing_stream_is_named(made):
    with pytest.raises(InvalidEpisode, match="action/executed"):
        made().fit(NORMAL).score(Seen({"observation/place": NORMAL[0].streams["observation/place"]}))
