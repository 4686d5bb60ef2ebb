import numpy as np
import pytest

from saqiya.domain.contracts import Lesson
from saqiya.domain.nouns import PolicySpec
from saqiya.errors import ConfigError, InvalidEpisode
from saqiya.train.samples import samples_of, settled, who_saw_what

SPEC = PolicySpec({"state": 1}, action=1, rate_hz=20.0, chunk=3, execute=1, embodiment="point")


def lesson(weight: list[float], episode: int = 0) -> Lesson:
    """Step i sees i and does 10 i."""
    steps = np.arange(len(weight), dtype=np.float64)[:, None]
    return Lesson(steps, 10 * steps, np.array(weight), episode)


def test_a_chunk_holds_the_last_action_at_the_end() -> None:
    samples = samples_of([lesson([1, 1, 1, 1]), lesson([1], 1)], SPEC)
    assert samples.chunk[:4, :, 0].tolist() == [[0, 10, 20], [10, 20, 30], [20, 30, 30], [30, 30, 30]]


def test_a_chunk_never_crosses_a_step_that_is_not_imitated() -> None:
    samples = samples_of([lesson([1, 1, 0, 0, 1]), lesson([1], 1)], SPEC)
    assert samples.observation[:3, 0].tolist() == [0, 1, 4]
    assert samples.chunk[:3, :, 0].tolist() == [[0, 10, 10], [10, 10, 10], [40, 40, 40]]


def test_spans_of_one_episode_stay_one_episode() -> None:
    samples = samples_of([lesson([1, 1], 7), lesson([2], 3), lesson([1], 7), lesson([0], 5)], SPEC)
    assert samples.episode.tolist() == [1, 1, 0, 1]
    assert samples.episodes_n == 2


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (Lesson(np.zeros((2, 2)), np.zeros((2, 1)), np.ones(2), 0), "do not fit"),
        (Lesson(np.full((2, 1), np.nan), np.zeros((2, 1)), np.ones(2), 0), "not finite"),
        (Lesson(np.zeros((2, 1)), np.zeros((2, 1)), -np.ones(2), 0), "below 0"),
        (lesson([1, 1], 1), "1 episodes"),
    ],
)
def test_lessons_that_cannot_teach_are_refused(bad: Lesson, what: str) -> None:
    with pytest.raises(InvalidEpisode, match=what):
        samples_of([bad, lesson([1], 1)], SPEC)


@pytest.mark.parametrize(("episodes_n", "left_out_n"), [(2, 1), (8, 1), (20, 2), (40, 5)])
def test_each_member_leaves_out_a_group_of_its_own(episodes_n: int, left_out_n: int) -> None:
    seen = who_saw_what(episodes_n, 4, np.random.default_rng(0))
    assert ((~seen).sum(axis=1) == left_out_n).all()
    assert (~seen).any(axis=0).sum() == min(episodes_n, 4 * left_out_n)


def test_settings_are_defaults_and_what_was_said() -> None:
    known = {"steps": (5.0, 1.0, 10.0), "rate": (0.1, 0.0, 1.0)}
    assert settled({"steps": 7}, known, trainer="any") == {"steps": 7.0, "rate": 0.1}


@pytest.mark.parametrize(
    ("settings", "what"),
    [({"stpes": 1.0}, "'stpes'; known here: steps"), ({"steps": 11.0}, "between 1 and 10"), ({"steps": 1.5}, "whole")],
)
def test_wrong_settings_are_named(settings: dict[str, float], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        settled(settings, {"steps": (5, 1, 10)}, trainer="any")
