import subprocess
import sys

import numpy as np
import pytest

from saqiya.domain.contracts import Lesson
from saqiya.domain.nouns import PolicySpec
from saqiya.errors import ConfigError, PolicyUnreadable
from saqiya.train.dropout import Dropout

pytest.importorskip("torch")

SPEC = PolicySpec({"state": 2}, action=1, rate_hz=20.0, chunk=2, execute=1, embodiment="point")
SHORT = {"steps": 400, "width": 64, "layers": 2, "rate": 5e-3}


def fit(**settings: float) -> dict[str, np.ndarray]:
    rng, lessons = np.random.default_rng(0), []
    for episode in range(8):
        x = rng.uniform(-1, 1, (40, 2))
        lessons.append(Lesson(x, np.sin(2 * x[:, :1]) + x[:, 1:], np.ones(40), episode))
    trained = Dropout().fit(lessons, SPEC, settings={**SHORT, **settings}, seed=0, progress=lambda *_: None)
    return dict(trained.tensors)


LEARNED = fit()


def test_a_bent_function_is_learned() -> None:
    policy = Dropout().load(SPEC, LEARNED)
    rows = np.random.default_rng(1).uniform(-0.9, 0.9, (50, 2))
    answered = np.array([policy.act({"state": row}).chunk[0, 0] for row in rows])
    assert np.sqrt(np.mean((answered - np.sin(2 * rows[:, 0]) - rows[:, 1]) ** 2)) < 0.2


def test_ten_passes_differ_and_are_drawn_from_the_seed_of_the_try() -> None:
    policy, state = Dropout().load(SPEC, LEARNED), {"state": np.zeros(2)}
    policy.reset(3)
    first, second = policy.act(state), policy.act(state)
    policy.reset(3)
    again = policy.act(state)
    assert first.samples.shape == (10, 2, 1)
    assert len(np.unique(first.samples[:, 0, 0])) > 5
    assert np.array_equal(first.samples, again.samples)
    assert not np.array_equal(first.samples, second.samples)
    assert np.array_equal(first.chunk, second.chunk)


def test_passes_lie_about_what_is_carried_out() -> None:
    policy = Dropout().load(SPEC, LEARNED)
    answers = [policy.act({"state": np.array([0.3, 0.2])}) for _ in range(100)]
    wanted = np.mean([answer.samples.mean(axis=0) for answer in answers], axis=0)
    assert wanted == pytest.approx(answers[0].chunk, abs=0.1)


def test_passes_differ_more_where_there_was_no_data() -> None:
    policy = Dropout().load(SPEC, LEARNED)
    near, far = (policy.act({"state": np.full(2, value)}).samples[:, 0].std() for value in (0.1, 4.0))
    assert far > 3 * near


def test_a_batch_answers_as_its_rows_in_turn() -> None:
    policy, rows = Dropout().load(SPEC, LEARNED), np.random.default_rng(2).normal(size=(5, 2))
    policy.reset(1)
    together = policy.act_batch({"state": rows})
    policy.reset(1)
    alone = [policy.act({"state": row}) for row in rows]
    assert together.samples.swapaxes(0, 1) == pytest.approx(np.array([one.samples for one in alone]), rel=1e-5)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, np.nan])
def test_a_stored_rate_that_is_no_probability_is_refused(rate: float) -> None:
    with pytest.raises(PolicyUnreadable, match="between 0 and 1"):
        Dropout().load(SPEC, {**LEARNED, "dropout": np.array(rate)})


def test_there_are_no_members_to_set() -> None:
    with pytest.raises(ConfigError, match="'members'"):
        fit(members=3)


def test_acting_needs_no_torch() -> None:
    code = "import sys; from saqiya.train.dropout import Dropout; Dropout().load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
