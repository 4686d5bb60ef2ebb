from dataclasses import replace

import msgspec
import numpy as np
import pytest

from saqiya.detect.carried import Head
from saqiya.detect.stage import FUSED, _Draft, _viewed, outcomes_of
from saqiya.domain.contracts import Seen
from saqiya.domain.nouns import Alarm, AuthorKind, Calibration, Deployment, Episode, Failure, Outcome, OutcomeClaim
from saqiya.domain.streams import Event
from saqiya.loop.flywheel import Flywheel
from saqiya.stores import tensors


@pytest.fixture
def wheel(turned):
    with Flywheel(turned) as opened:
        yield opened


def claim(wheel, episode, value, author):
    catalog = wheel.store.catalog
    noun = OutcomeClaim(
        id=catalog.new_id("outcome_claim"),
        episode=episode.id,
        value=value,
        author_kind=author,
        author="somebody",
        version="1",
        time_ns=0,
    )
    return catalog.put(noun, key=f"{episode.id}/{author}/{value}")


def test_every_failed_try_is_one_failure_and_no_success_is(turned_once):
    catalog = turned_once.store.catalog
    deployment = catalog.all(Deployment)[0]
    episodes = [catalog.get(one, Episode) for one in deployment.episodes]
    outcomes = outcomes_of(turned_once.store, episodes)
    failed = [one.id for one in episodes if outcomes[one.id] is Outcome.FAILURE]
    assert failed
    assert sorted(failure.episode for failure in catalog.all(Failure)) == sorted(failed)


def test_a_failures_moment_lies_in_its_episode_and_its_alarms_are_its_own(turned_once):
    catalog = turned_once.store.catalog
    for failure in catalog.all(Failure):
        episode = catalog.get(failure.episode, Episode)
        assert episode.start_ns <= failure.moment_ns < episode.end_ns
        assert {catalog.get(one, Alarm).episode for one in failure.alarms} <= {episode.id}


def test_thresholds_come_from_successes_that_do_not_judge(turned_once):
    catalog = turned_once.store.catalog
    made = catalog.all(Calibration)
    assert {one.detector for one in made} == {"completion", "distance", "dynamics", "signals", FUSED}
    for one in made:
        episodes = [catalog.get(e, Episode) for e in one.episodes]
        assert set(outcomes_of(turned_once.store, episodes).values()) <= {Outcome.SUCCESS}
        assert one.successes == len(episodes)


def test_detecting_twice_finds_the_same(wheel):
    first = wheel.detect()
    count = wheel.store.catalog.count()
    assert wheel.detect() == first
    assert wheel.store.catalog.count() == count


def test_a_persons_word_goes_before_the_simulators(wheel):
    (episode,) = [wheel.episode(wheel.store.catalog.all(Deployment)[0].episodes[0])]
    said = outcomes_of(wheel.store, [episode])[episode.id]
    other = Outcome.FAILURE if said is Outcome.SUCCESS else Outcome.SUCCESS
    claim(wheel, episode, other, AuthorKind.MODEL)
    assert outcomes_of(wheel.store, [episode])[episode.id] is said
    claim(wheel, episode, other, AuthorKind.PERSON)
    assert outcomes_of(wheel.store, [episode])[episode.id] is other


def test_of_two_words_of_one_kind_the_later_counts(wheel):
    (episode,) = [wheel.episode(wheel.store.catalog.all(Deployment)[0].episodes[0])]
    claim(wheel, episode, Outcome.SUCCESS, AuthorKind.PERSON)
    claim(wheel, episode, Outcome.ABORTED, AuthorKind.PERSON)
    assert outcomes_of(wheel.store, [episode])[episode.id] is Outcome.ABORTED


def test_what_another_monitor_said_is_not_seen(wheel):
    episode = wheel.episode(wheel.store.catalog.all(Deployment)[0].episodes[0])
    streams = wheel.store.streams(episode)
    said = (
        Event(0, "alarm/distance", "far"),
        Event(0, "monitor/blind", "author has not come yet"),
        Event(0, "timeout"),
    )
    seen = Seen.of({**streams, "monitor/score": next(iter(streams.values()))}, said)
    assert set(seen.streams) == set(streams)
    assert [event.name for event in seen.events] == ["timeout"]
    assert _viewed(wheel.store, replace(episode, events=said), Outcome.SUCCESS, None).outcome is Outcome.SUCCESS


def test_a_monitor_that_cannot_be_read_any_more_leaves_its_drift_open(wheel):
    head = Head(version=99, detectors={}, policy="", budget=0.1, successes_n=30, streams={})
    digest = wheel.store.objects.put(tensors.encode({"x": np.zeros(1)}, msgspec.json.encode(head).decode()))
    before = replace(wheel.store.catalog.all(Calibration)[0], monitor=digest, budget=0.1)
    found = _Draft(wheel.store, {}, None, "", None, 0.1, before)._drift(before)
    assert "version 99" in found["said"]
    assert found["rate"] is None
