"""What detectors that judge each instant by itself have in common: distance, mahalanobis and rnd."""

from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.distance import Distance
from saqiya.detect.mahalanobis import Mahalanobis
from saqiya.detect.rnd import Distillation
from saqiya.detect.rowwise import channel
from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode, UsageError
from saqiya.testing import check_detector

ROWWISE = pytest.mark.parametrize("made", [Distance, Mahalanobis, Distillation])


def episode(seed, n=60, shift=0.0, touch=0.0):
    rng = np.random.default_rng(seed)
    t_ns = np.arange(n + 1, dtype=np.int64) * 50_000_000
    path = np.cumsum(rng.normal(0.01, 0.02, size=(n + 1, 3)), axis=0) + np.array([shift, 0.0, 0.0])
    state = np.concatenate([path, np.full((n + 1, 1), touch)], axis=1)
    return Seen({"observation/state": Stream(t_ns, state), "action/executed": Stream(t_ns[:-1], np.diff(path, axis=0))})


TRAINING = [episode(seed) for seed in range(30)]


@ROWWISE
def test_the_contract_is_kept(made):
    check_detector(made())


@ROWWISE
def test_what_normal_tries_did_not_show_scores_higher(made):
    fitted = made().fit(TRAINING)
    assert fitted.score(episode(99, shift=3.0))[1].min() > 1.5 * fitted.score(episode(99))[1].max()


@ROWWISE
def test_a_jitter_in_a_constant_channel_is_not_news(made):
    fitted = made().fit(TRAINING)
    still, jitter = fitted.score(episode(99))[1], fitted.score(episode(99, touch=0.003))[1]
    assert np.abs(jitter - still).max() < 0.15 * still.mean()


@ROWWISE
def test_the_reason_names_the_channel_that_is_off(made):
    fitted = made().fit(TRAINING)
    strange = episode(99, shift=3.0)
    assert fitted.reason(strange, 500_000_000).startswith("observation/state[0] is 3.")
    assert fitted.reason(strange, -1) == ""


@ROWWISE
def test_a_stream_that_normal_tries_had_is_missed_by_name(made):
    with pytest.raises(InvalidEpisode, match="observation/state"):
        made().fit(TRAINING).score(Seen({"action/executed": episode(0).streams["action/executed"]}))


@ROWWISE
def test_nothing_to_compare_with_is_refused(made):
    with pytest.raises(UsageError, match="no training episode"):
        made().fit([])


def test_mahalanobis_sees_what_breaks_a_rule_between_channels():
    rng, t_ns = np.random.default_rng(0), np.arange(60, dtype=np.int64)

    def tied(gap):
        x = rng.normal(size=60)
        return Seen({"observation/x": Stream(t_ns, np.stack([x, x + gap + rng.normal(0.0, 0.1, 60)], axis=1))})

    fitted = Mahalanobis().fit([tied(0.0) for _ in range(10)])
    assert fitted.score(tied(1.0))[1].min() > 2 * fitted.score(tied(0.0))[1].max()


def test_mahalanobis_is_not_widened_by_a_few_wild_rows():
    streams = TRAINING[0].streams
    state = streams["observation/state"].values.copy()
    state[:10] = 1e6
    wild = Seen({**streams, "observation/state": Stream(streams["observation/state"].t_ns.copy(), state)})
    calm, shaken = Mahalanobis().fit(TRAINING), Mahalanobis().fit([*TRAINING, wild])
    strange = episode(99, shift=3.0)
    assert shaken.score(strange)[1].mean() > 0.3 * calm.score(strange)[1].mean()


def test_a_column_is_named_by_its_stream_and_place():
    assert [channel(("a", "b"), (2, 1), column) for column in range(3)] == ["a[0]", "a[1]", "b[0]"]
