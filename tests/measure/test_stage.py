import pytest

from saqiya.domain.nouns import Correction, Episode, Novelty
from saqiya.loop.flywheel import Flywheel


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


def test_the_rival_and_the_distance_stand_beside_the_bits(wheel):
    for novelty in wheel.measure(wheel.store.catalog.all(Episode)[:3]):
        assert novelty.steps == wheel.episode(novelty.episode).steps
        assert novelty.bits_per_step * novelty.steps == pytest.approx(novelty.bits)
        assert novelty.coverage >= 0.0


def test_a_start_that_was_trained_on_is_covered(wheel):
    champion, _ = wheel.champion()
    (novelty, *_) = wheel.measure(wheel.training_episodes(champion)[:1])
    assert novelty.coverage == pytest.approx(0.0, abs=1e-9)
