from __future__ import annotations

import numpy as np
import pytest

from saqiya.domain.streams import Stream
from saqiya.errors import TooLittle
from saqiya.models.dynamics import learn_dynamics, read_dynamics
from saqiya.models.rows import side_by_side


def driven(seed, n=60, gain=0.1, noise=0.001):
    """A point whose speed follows the action, seen with a little noise, beside a channel that stands still."""
    rng, t_ns = np.random.default_rng(seed), np.arange(n, dtype=np.int64) * 50_000_000
    action = rng.normal(size=(n, 2))
    place = rng.normal(size=2) + np.concatenate([np.zeros((1, 2)), np.cumsum(gain * action[:-1], axis=0)])
    seen = np.concatenate([place + rng.normal(0.0, noise, (n, 2)), np.zeros((n, 1))], axis=1)
    return {"observation/place": Stream(t_ns, seen), "action/executed": Stream(t_ns.copy(), action)}


TRIES = [driven(seed) for seed in range(20)]


@pytest.mark.parametrize("steps_n", [1, 5])
def test_the_usual_error_is_that_on_tries_not_learned_from(steps_n):
    model = learn_dynamics(TRIES, steps_n=steps_n)
    surprise = np.concatenate([model.surprise(side_by_side(driven(seed), model.names)[1]) for seed in range(100, 120)])
    assert np.sqrt((surprise[:, :2] ** 2).mean(axis=0)) == pytest.approx(1.0, abs=0.5)


def test_a_lost_drive_surprises():
    model = learn_dynamics(TRIES, steps_n=1)
    assert np.abs(model.surprise(side_by_side(driven(100, gain=0.02), model.names)[1])[:, :2]).mean() > 5.0


def test_a_try_no_longer_than_the_steps_has_no_surprise():
    model = learn_dynamics(TRIES, steps_n=5)
    assert model.surprise(side_by_side(driven(0, n=4), model.names)[1]).shape == (0, 3)


def test_a_model_is_the_same_from_its_arrays():
    model, rows = (
        learn_dynamics(TRIES, steps_n=5),
        side_by_side(driven(100), ("observation/place", "action/executed"))[1],
    )
    assert np.array_equal(read_dynamics(model.arrays()).surprise(rows), model.surprise(rows))


def test_one_try_is_too_little():
    with pytest.raises(TooLittle, match="1 tries are longer than 5 steps"):
        learn_dynamics([driven(0), driven(1, n=5)], steps_n=5)


def test_without_actions_the_motion_itself_is_foretold():
    model = learn_dynamics([{"observation/place": one["observation/place"]} for one in TRIES], steps_n=1)
    assert model.surprise(TRIES[0]["observation/place"].values).shape == (59, 3)
