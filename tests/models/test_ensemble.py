import numpy as np
import pytest

from saqiya.domain.nouns import PolicySpec
from saqiya.errors import PolicyUnreadable, SiteFault
from saqiya.models.ensemble import EnsemblePolicy, read_ensemble

SPEC = PolicySpec({"hand": 2, "goal": 1}, action=2, rate_hz=20.0, chunk=3, execute=1, embodiment="point")


def tensors(members: int = 4, width: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = [3, width, 6]
    made = {
        "input/mean": rng.normal(size=3),
        "input/scale": np.array([0.5, 2.0, 1.0]),
        "output/mean": np.array([1.0, -1.0]),
        "output/scale": np.array([0.1, 3.0]),
        "noise": np.array([0.01, 0.02]),
    }
    for index in range(2):
        made[f"layer{index}/weight"] = rng.normal(size=(members, sizes[index], sizes[index + 1])).astype(np.float32)
        made[f"layer{index}/bias"] = rng.normal(size=(members, sizes[index + 1])).astype(np.float32)
    return made


def test_the_forward_pass_is_what_the_arrays_say() -> None:
    made, row = tensors(), np.array([[0.3, -0.2, 0.9]])
    hidden = (row - made["input/mean"]) / made["input/scale"]
    wanted = []
    for member in range(4):
        layer = np.maximum(hidden @ made["layer0/weight"][member] + made["layer0/bias"][member], 0.0)
        out = layer @ made["layer1/weight"][member] + made["layer1/bias"][member]
        wanted.append(out.reshape(3, 2) * made["output/scale"] + made["output/mean"])
    assert read_ensemble(SPEC, made).chunks(row)[:, 0] == pytest.approx(np.array(wanted), rel=1e-4, abs=1e-5)


def test_stored_arrays_come_back_the_same() -> None:
    made = tensors()
    again = read_ensemble(SPEC, made).tensors()
    assert set(again) == set(made)
    assert all(np.array_equal(again[name], made[name]) for name in made)


def test_a_policy_answers_with_the_mean_of_its_members() -> None:
    action = EnsemblePolicy(SPEC, read_ensemble(SPEC, tensors())).act({"goal": np.ones(1), "hand": np.zeros(2)})
    assert action.samples is not None
    assert action.samples.shape == (4, 3, 2)
    assert action.chunk == pytest.approx(action.samples.mean(axis=0))


@pytest.mark.parametrize("name", sorted(tensors()))
def test_a_missing_array_is_named(name: str) -> None:
    made = tensors()
    del made[name]
    with pytest.raises(PolicyUnreadable, match="there is no array"):
        read_ensemble(SPEC, made)


@pytest.mark.parametrize("name", sorted(tensors()))
def test_a_value_that_is_not_finite_is_refused(name: str) -> None:
    made = tensors()
    made[name].flat[0] = np.nan
    with pytest.raises(PolicyUnreadable, match="not finite"):
        read_ensemble(SPEC, made)


def test_arrays_of_another_spec_are_refused() -> None:
    wider = PolicySpec({"hand": 3, "goal": 1}, action=2, rate_hz=20.0, chunk=3, execute=1, embodiment="point")
    with pytest.raises(PolicyUnreadable, match="has shape"):
        read_ensemble(wider, tensors())


def test_an_observation_without_a_stream_is_a_fault() -> None:
    policy = EnsemblePolicy(SPEC, read_ensemble(SPEC, tensors()))
    with pytest.raises(SiteFault, match="'goal' with 1"):
        policy.act({"hand": np.zeros(2)})
