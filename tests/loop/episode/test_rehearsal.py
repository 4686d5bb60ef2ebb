"""A simulated try is filmed from its start and its logged actions, or there is a reason why not."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from saqiya.domain.nouns import Episode
from saqiya.loop.episode.rehearsal import rehearse, rehearsed, video_of
from saqiya.sites.tiny import Tiny
from saqiya.views.frames import Clip, Decoder

pytest.importorskip("av")


class Drawn(Tiny):
    """The tiny site, drawn as a grey that grows with every step."""

    def reset(self, start):
        self.taken = 0
        return super().reset(start)

    def step(self, action):
        self.taken += 1
        return super().step(action)

    def render(self, *, height, width):
        return np.full((height, width, 3), min(250, 3 * self.taken), np.uint8)


@pytest.fixture
def simulated(turned_once):
    episode = next(one for one in turned_once.store.catalog.all(Episode) if one.source == "rollout")
    return episode, dict(turned_once.store.streams(episode))


def test_a_film_has_the_stamps_of_the_try_and_its_pictures_in_order(simulated, tmp_path):
    episode, streams = simulated
    found = rehearse(Drawn(), episode, streams, tmp_path)
    assert found == rehearsed(tmp_path, episode.id)
    video = video_of(tmp_path, episode.id)
    seen = streams["observation/puck"].t_ns
    assert np.isin(video.track.t_ns, seen).all()
    assert (video.track.t_ns[0], video.track.t_ns[-1]) == (seen[0], seen[-1])
    greys = Decoder().pictures(Clip.of(video), range(len(video.track.t_ns)))[:, 0, 0, 0].astype(int)
    assert (np.diff(greys[:60]) > 0).all()


def test_a_replay_that_ends_elsewhere_is_thrown_away(simulated, tmp_path):
    episode, streams = simulated
    actions = streams["action/executed"]
    other = replace(actions, values=actions.values + 0.01)
    found = rehearse(Drawn(), episode, {**streams, "action/executed": other}, tmp_path)
    assert "did not end where the log ended" in found.why_not
    assert [path.name for path in tmp_path.iterdir()] == [f"{episode.id}.json"]
    assert rehearsed(tmp_path, episode.id) == found


def test_what_cannot_be_filmed_says_why(simulated, tmp_path):
    episode, streams = simulated
    assert "cannot draw itself" in rehearse(SimpleNamespace(spec=Tiny().spec), episode, streams, tmp_path).why_not
    without = replace(episode, start=None)
    assert "not logged" in rehearse(Drawn(), without, streams, tmp_path).why_not
    assert json.loads((tmp_path / f"{episode.id}.json").read_text()) == {
        "why_not": "its start or its actions were not logged."
    }
    assert rehearsed(tmp_path, "nobody") == type(rehearsed(tmp_path, episode.id))()
