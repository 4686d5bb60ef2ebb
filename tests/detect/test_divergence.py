from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.divergence import Divergence
from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode, TooLittle

STAMPS = np.arange(50, dtype=np.int64) * 50_000_000


def tried(seed, *, apart=0.0, noise=0.05, width=2):
    rng = np.random.default_rng(seed)
    executed = rng.normal(size=(50, 2))
    wish = rng.normal(scale=noise, size=(50, width)) + (executed if width == 2 else 0.0)
    wish[25:] += apart
    return Seen({"action/executed": Stream(STAMPS, executed), "shadow/next/action": Stream(STAMPS.copy(), wish)})


NORMAL = [tried(seed) for seed in range(10)]


def test_one_is_usual():
    scores = Divergence().fit(NORMAL).score(tried(99))[1]
    assert 0.7 < scores.mean() < 1.3


def test_a_shadow_that_wants_something_else_stands_out_from_then_on():
    scores = Divergence().fit(NORMAL).score(tried(99, apart=1.0))[1]
    assert scores[30:].min() > 5 * scores[:25].max()


def test_policies_that_agree_exactly_in_normal_tries_do_not_alarm_at_a_trifle():
    fitted = Divergence().fit([tried(seed, noise=0.0) for seed in range(10)])
    assert fitted.score(tried(99, noise=0.01))[1].max() < 1.0


def test_demonstrations_without_a_shadow_are_passed_over():
    bare = [Seen({"action/executed": one.streams["action/executed"]}) for one in NORMAL]
    assert np.array_equal(
        Divergence().fit([*bare, *NORMAL]).score(tried(99))[1], Divergence().fit(NORMAL).score(tried(99))[1]
    )
    with pytest.raises(TooLittle, match="shadow"):
        Divergence().fit(bare)


def test_a_shadow_of_another_robot_is_refused():
    with pytest.raises(InvalidEpisode, match="2 and 3 numbers"):
        Divergence().fit([tried(0, width=3)])


def test_it_names_the_column_and_the_shadow():
    reason = Divergence().fit(NORMAL).reason(tried(99, apart=1.0), int(STAMPS[40]))
    assert reason.startswith("shadow/next/action[")
    assert "what was executed" in reason
