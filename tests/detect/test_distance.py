from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.distance import Distance
from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode, UsageError


def episode(seed, n=60, shift=0.0, touch=0.0):
    rng = np.random.default_rng(seed)
    t_ns = np.arange(n + 1, dtype=np.int64) * 50_000_000
    path = np.cumsum(rng.normal(0.01, 0.02, size=(n + 1, 3)), axis=0) + shift
    state = np.concatenate([path, np.full((n + 1, 1), touch)], axis=1)
    return Seen({"observation/state": Stream(t_ns, state), "action/executed": Stream(t_ns[:-1], np.diff(path, axis=0))})


TRAINING = [episode(seed) for seed in range(30)]


def test_what_training_did_not_show_scores_higher():
    fitted = Distance().fit(TRAINING)
    assert fitted.score(episode(99, shift=2.0))[1].min() > 3 * fitted.score(episode(99))[1].max()


def test_there_is_one_score_for_each_action():
    stamps, scores = Distance().fit(TRAINING).score(episode(99))
    assert stamps.tolist() == episode(99).streams["action/executed"].t_ns.tolist()
    assert len(scores) == 60


def test_a_score_never_looks_ahead():
    fitted, whole = Distance().fit(TRAINING), episode(99, shift=0.5)
    begun = {name: Stream(s.t_ns[:21].copy(), s.values[:21].copy()) for name, s in whole.streams.items()}
    assert np.array_equal(fitted.score(Seen(begun))[1], fitted.score(whole)[1][:21])


def test_a_jitter_in_a_constant_channel_is_not_news():
    fitted = Distance().fit(TRAINING)
    still, jitter = fitted.score(episode(99))[1], fitted.score(episode(99, touch=0.003))[1]
    assert np.abs(jitter - still).max() < 0.1 * still.mean()


def test_fitting_twice_gives_the_same_scores():
    first, second = (Distance().fit(TRAINING).score(episode(99))[1] for _ in range(2))
    assert np.array_equal(first, second)


def test_a_stream_that_training_had_is_missed_by_name():
    with pytest.raises(InvalidEpisode, match="observation/state"):
        Distance().fit(TRAINING).score(Seen({"action/executed": episode(0).streams["action/executed"]}))


def test_nothing_to_compare_with_is_refused():
    with pytest.raises(UsageError, match="no training episode"):
        Distance().fit([])


def test_work_without_actions_is_possible():
    only = [Seen({"observation/state": one.streams["observation/state"]}) for one in TRAINING]
    assert len(Distance().fit(only).score(only[0])[0]) == 61
