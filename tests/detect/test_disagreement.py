from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.disagreement import Disagreement
from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode


def logged(values):
    stamps = np.arange(len(values), dtype=np.int64) * 10
    return Seen({"policy/uncertainty": Stream(stamps, np.array(values, dtype=np.float64)[:, None])})


def test_the_score_is_the_running_mean_of_the_logged_uncertainty():
    stamps, scores = Disagreement().fit([]).score(logged([0, 1, 2, 3, 4, 5, 6]))
    assert stamps.tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert scores.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0]


def test_a_score_never_looks_ahead():
    values = np.random.default_rng(0).random(40)
    fitted = Disagreement().fit([])
    assert fitted.score(logged(values))[1][:25].tolist() == fitted.score(logged(values[:25]))[1].tolist()


def test_an_episode_without_uncertainty_says_what_to_use_instead():
    with pytest.raises(InvalidEpisode, match="distance"):
        Disagreement().fit([]).score(Seen({}))


def test_it_says_how_much_the_members_disagree():
    said = Disagreement().fit([]).reason(logged([0.2, 0.2, 0.4]), 20)
    assert said.startswith("the policy's members disagree by 0.267, in the action's own unit")
