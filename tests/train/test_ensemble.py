import subprocess
import sys

import numpy as np
import pytest

from saqiya.domain.contracts import Lesson
from saqiya.domain.nouns import PolicySpec
from saqiya.errors import ConfigError
from saqiya.train.ensemble import Ensemble

pytest.importorskip("torch")

SPEC = PolicySpec({"state": 2}, action=1, rate_hz=20.0, chunk=2, execute=1, embodiment="point")
SHORT = {"steps": 300, "width": 32, "layers": 2, "rate": 5e-3}


def lessons() -> list[Lesson]:
    rng, made = np.random.default_rng(0), []
    for episode in range(8):
        x = rng.uniform(-1, 1, (40, 2))
        made.append(Lesson(x, np.sin(2 * x[:, :1]) + x[:, 1:], np.ones(40), episode))
    return made


def fit(**settings: float) -> dict[str, np.ndarray]:
    trained = Ensemble().fit(lessons(), SPEC, settings={**SHORT, **settings}, seed=0, progress=lambda *_: None)
    return dict(trained.tensors)


def test_a_bent_function_is_learned() -> None:
    policy = Ensemble().load(SPEC, fit())
    rows = np.random.default_rng(1).uniform(-0.9, 0.9, (50, 2))
    answered = np.array([policy.act({"state": row}).chunk[0, 0] for row in rows])
    assert np.sqrt(np.mean((answered - np.sin(2 * rows[:, 0]) - rows[:, 1]) ** 2)) < 0.15


def test_layers_have_the_shape_that_was_asked_for() -> None:
    made = fit(steps=1, width=16, layers=3, members=2)
    shapes = [made[f"layer{index}/weight"].shape for index in range(4)]
    assert shapes == [(2, 2, 16), (2, 16, 16), (2, 16, 16), (2, 16, 2)]


@pytest.mark.parametrize("members", [3, 5])
def test_as_many_members_speak_as_were_asked_for(members: int) -> None:
    policy = Ensemble().load(SPEC, fit(steps=1, members=members))
    assert policy.act({"state": np.zeros(2)}).samples.shape == (members, 2, 1)


def test_members_are_not_copies() -> None:
    weights = fit(steps=1)["layer0/weight"]
    assert all(not np.array_equal(weights[0], other) for other in weights[1:])


def test_jitter_is_drawn_from_the_seed() -> None:
    assert all(
        np.array_equal(one, other)
        for one, other in zip(fit(jitter=0.1).values(), fit(jitter=0.1).values(), strict=True)
    )


def test_a_wrong_setting_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(ConfigError, match="'widht'"):
        fit(widht=3)


def test_torch_keeps_its_threads() -> None:
    import torch

    before = torch.get_num_threads()
    fit(steps=1, threads=before + 1)
    assert torch.get_num_threads() == before


def test_acting_needs_no_torch() -> None:
    code = "import sys; from saqiya.train.ensemble import Ensemble; Ensemble().load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
