import numpy as np
import pytest

from saqiya.domain.contracts import Lesson
from saqiya.domain.nouns import PolicySpec
from saqiya.train.ridge import Ridge

SPEC = PolicySpec({"state": 2}, action=1, rate_hz=20.0, chunk=2, execute=1, embodiment="point")


def lessons(episodes: int = 12, noise: float = 0.0) -> list[Lesson]:
    """A bent function of two numbers, one of which never moves."""
    rng, made = np.random.default_rng(0), []
    for episode in range(episodes):
        x = rng.uniform(-1, 1, 30)
        action = np.sin(3 * x) + rng.normal(0, noise, 30) if noise else np.sin(3 * x)
        made.append(Lesson(np.column_stack([x, np.full(30, 0.2)]), action[:, None], np.ones(30), episode))
    return made


def answers(x: np.ndarray, **fit: float) -> tuple[np.ndarray, np.ndarray]:
    trained = Ridge().fit(lessons(), SPEC, settings=fit, seed=0, progress=lambda *_: None)
    policy = Ridge().load(SPEC, trained.tensors)
    actions = [policy.act({"state": np.array([value, 0.2])}) for value in x]
    return np.array([a.chunk[0, 0] for a in actions]), np.array([a.samples[:, 0, 0].std() for a in actions])


def test_a_bent_function_is_learned() -> None:
    x = np.linspace(-0.9, 0.9, 30)
    assert np.abs(answers(x)[0] - np.sin(3 * x)).max() < 0.05


def test_members_disagree_where_there_was_no_data() -> None:
    _, spread = answers(np.array([0.0, 0.3, 2.5, 4.0]))
    assert spread[2:].min() > 10 * spread[:2].max()


@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_noise_is_what_held_out_episodes_show(noise: float) -> None:
    trained = Ridge().fit(lessons(40, noise), SPEC, settings={"features": 32}, seed=0, progress=lambda *_: None)
    assert trained.tensors["noise"][0] == pytest.approx(noise, rel=0.2)


def test_noise_is_never_below_the_resolution() -> None:
    trained = Ridge().fit(lessons(), SPEC, settings={"resolution": 0.5}, seed=0, progress=lambda *_: None)
    assert trained.tensors["noise"].min() == 0.5


def test_a_small_push_on_a_silent_channel_changes_little() -> None:
    trained = Ridge().fit(lessons(), SPEC, settings={}, seed=0, progress=lambda *_: None)
    policy = Ridge().load(SPEC, trained.tensors)
    plain, pushed = (policy.act({"state": np.array([0.4, still])}).chunk[0, 0] for still in (0.2, 0.2005))
    assert abs(plain - pushed) < 0.1


def test_the_number_of_threads_changes_no_bit() -> None:
    from threadpoolctl import threadpool_limits

    made = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            made.append(Ridge().fit(lessons(40), SPEC, settings={}, seed=0, progress=lambda *_: None).tensors)
    assert all(np.array_equal(made[0][name], made[1][name]) for name in made[0])
