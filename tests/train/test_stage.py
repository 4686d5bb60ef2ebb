import dataclasses

import numpy as np
import pytest

from saqiya.domain.nouns import DatasetVersion, Policy
from saqiya.errors import InvalidEpisode, PolicyUnreadable
from saqiya.loop.flywheel import Flywheel
from saqiya.train import stage


@pytest.fixture
def wheel(turned):
    with Flywheel(turned) as opened:
        yield opened


def test_equal_data_and_seed_give_equal_weights(wheel):
    policy = wheel.store.catalog.all(Policy)[0]
    dataset = wheel.store.catalog.get(policy.dataset, DatasetVersion)
    again = stage.run(
        wheel.store,
        dataset,
        trainer="ridge",
        spec=wheel.policy_spec(),
        settings=wheel.config.train.settings,
        seed=policy.seed,
        spent=wheel.account.spent,
        progress=lambda *_: None,
        key="again",
    )
    assert again.weights == policy.weights
    assert again.id != policy.id


def test_a_policy_that_is_there_is_not_trained_again(wheel):
    policy = wheel.store.catalog.all(Policy)[0]
    dataset = wheel.store.catalog.get(policy.dataset, DatasetVersion)
    assert wheel.train(dataset, key="turn-0/policy") == policy


def test_a_lesson_is_cut_to_its_span_and_sees_no_later_observation(wheel):
    dataset = wheel.store.catalog.all(DatasetVersion)[1]
    for lesson, entry in zip(stage.lessons(wheel.store, dataset, wheel.policy_spec()), dataset.entries, strict=True):
        streams = wheel.store.streams(wheel.episode(entry.episode))
        executed = streams["action/executed"]
        inside = (executed.t_ns >= entry.start_ns) & (executed.t_ns < entry.end_ns)
        assert np.array_equal(lesson.action, executed.values[inside])
        first = np.flatnonzero(inside)[0]
        names = sorted(wheel.policy_spec().observation)
        seen = np.concatenate([streams[f"observation/{name}"].values[first] for name in names])
        assert np.array_equal(lesson.observation[0], seen)


def test_a_policy_without_weights_cannot_be_run_here(wheel):
    policy = wheel.register("theirs")
    with pytest.raises(PolicyUnreadable, match="registered without weights"):
        stage.load(wheel.store, policy)


def test_weights_that_do_not_fit_the_spec_are_unreadable(wheel):
    policy = wheel.store.catalog.all(Policy)[0]
    other = dataclasses.replace(policy, spec=dataclasses.replace(policy.spec, action=5))
    with pytest.raises(PolicyUnreadable):
        stage.load(wheel.store, other)


def test_a_file_that_is_no_weights_is_unreadable(wheel):
    digest = wheel.store.objects.put(b"nothing of the kind")
    policy = dataclasses.replace(wheel.store.catalog.all(Policy)[0], weights=digest)
    with pytest.raises(PolicyUnreadable, match="does not load as safetensors"):
        stage.load(wheel.store, policy)


def test_an_episode_without_executed_actions_is_named(wheel, tmp_path):
    from saqiya.domain.streams import EpisodeLog, Stream
    from saqiya.formats.mcap.log import McapFormat

    t_ns = np.arange(20, dtype=np.int64)
    streams = {"observation/hand": Stream(t_ns, np.random.default_rng(0).normal(size=(20, 5)))}
    McapFormat().write(EpisodeLog("still", streams), tmp_path / "still.mcap")
    (episode,) = wheel.ingest([tmp_path]).episodes
    dataset = wheel.store.catalog.all(DatasetVersion)[0]
    entry = dataclasses.replace(dataset.entries[0], episode=episode.id)
    with pytest.raises(InvalidEpisode, match="no stream action/executed"):
        stage.lessons(wheel.store, dataclasses.replace(dataset, entries=(entry,)), wheel.policy_spec())
