from dataclasses import replace

import pytest

from saqiya.domain.nouns import AuthorKind, Correction, DatasetVersion, Episode, Novelty, Outcome, OutcomeClaim
from saqiya.errors import InvalidEpisode, UsageError
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.novelty.measuring import novelty_of


@pytest.fixture
def wheel(turned):
    with Flywheel(turned) as opened:
        yield opened


def test_every_correction_was_measured_against_the_policy_it_was_to_teach(turned_once):
    catalog = turned_once.store.catalog
    first = turned_once.turns()[0].policy
    corrections = [one for one in catalog.all(Correction) if one.failure]
    assert corrections
    for one in corrections:
        (novelty,) = catalog.referring(one.episode, Novelty)
        assert novelty.relative_to == first
        assert novelty.bits >= 0.0


def test_measuring_twice_gives_the_same_numbers_once(wheel):
    episodes = wheel.store.catalog.all(Episode)[:3]
    first = wheel.measure(episodes)
    count = wheel.store.catalog.count()
    assert wheel.measure(episodes) == first
    assert wheel.store.catalog.count() == count


def test_an_outcome_that_came_later_is_measured_anew(wheel):
    episode = max(wheel.store.catalog.all(Episode), key=lambda one: one.steps)
    (first,) = wheel.measure([episode])
    now = wheel.clock()
    claim = OutcomeClaim(
        id=wheel.store.catalog.new_id("outcome_claim"),
        episode=episode.id,
        value=Outcome.ABORTED,
        author_kind=AuthorKind.PERSON,
        author="ada",
        version="1",
        time_ns=now,
    )
    wheel.store.catalog.put(claim, key=f"{wheel.key_of(episode.id)}/claim/ada")
    (second,) = wheel.measure([episode])
    assert second.worth == 0.0
    assert "aborted" in second.junk
    assert second != first
    assert novelty_of(wheel.store.catalog, episode.id)[-1] == second


def test_the_rival_and_the_distance_stand_beside_the_bits(wheel):
    for novelty in wheel.measure(wheel.store.catalog.all(Episode)[:3]):
        assert novelty.steps == wheel.episode(novelty.episode).steps
        assert novelty.bits_per_step * novelty.steps == pytest.approx(novelty.bits)
        assert novelty.coverage >= 0.0


def test_a_start_that_was_trained_on_is_covered(wheel):
    champion, _ = wheel.champion()
    (novelty, *_) = wheel.measure(wheel.training_episodes(champion)[:1])
    assert novelty.coverage == pytest.approx(0.0, abs=1e-9)


def test_every_number_of_a_turn_has_what_counts_of_it_and_its_likeness(wheel):
    (novelty, *_) = wheel.measure([wheel.store.catalog.get(one.episode, Episode) for one in corrections_of(wheel)])
    assert novelty.nearest in {one.id for one in wheel.training_episodes(wheel.champion()[0])}
    assert novelty.consistency > 0.0
    assert novelty.worth <= novelty.bits


def corrections_of(wheel):
    return [one for one in wheel.store.catalog.all(Correction) if one.failure]


def test_a_foreign_policy_needs_a_dataset_that_stands_for_it(wheel):
    foreign = wheel.register("their-policy")
    episode = corrections_of(wheel)[0].episode
    with pytest.raises(UsageError, match="--dataset"):
        wheel.pump.measure([episode], policy="their-policy")
    version = wheel.store.catalog.all(DatasetVersion)[0]
    (novelty,) = wheel.pump.measure([episode], policy="their-policy", dataset=version.id)
    assert (novelty.relative_to, novelty.dataset, novelty.method) == (foreign.id, version.id, "state_surprisal")
    (alone,) = wheel.pump.measure([episode], dataset=version.id)
    assert (alone.relative_to, alone.bits) == (version.id, novelty.bits)


def test_a_span_is_measured_and_kept_beside_the_whole(wheel):
    episode = wheel.store.catalog.all(Episode)[0]
    (part,) = wheel.pump.measure([episode.id], span_s=(0.5, 1.5))
    assert part.span.end_ns - part.span.start_ns == 1_000_000_000
    assert part.steps == 20
    (whole,) = wheel.pump.measure([episode.id])
    assert whole.steps > part.steps


def test_a_start_of_other_factors_has_no_coverage_and_the_rest_is_measured(wheel):
    one = wheel.store.catalog.all(Episode)[0]
    start = replace(one.start, factors={"shelf": "upper"})
    other = wheel.store.catalog.put(replace(one, id=wheel.store.catalog.new_id("episode"), start=start), key="shelf")
    (novelty,) = wheel.pump.measure([other.id])
    assert novelty.coverage is None
    assert novelty.steps == one.steps


def test_the_episode_that_cannot_be_measured_is_named(wheel):
    one = wheel.store.catalog.all(Episode)[0]
    with pytest.raises(InvalidEpisode, match=wheel.key_of(one.id)):
        wheel.pump.measure([one.id], span_s=(1000.0, 1001.0))
