from __future__ import annotations

import numpy as np
import pytest

from saqiya.measure.consistency import gate_of
from saqiya.measure.taught import Taught


def reach(seed, *, steps=50, tremor=0.0, random=False, sign=1.0, rate_hz=20.0, width=3):
    """A point that is drawn to a place, with a hand that trembles by a share of what it does."""
    rng = np.random.default_rng(seed)
    place, states, actions = rng.uniform(-1.0, 1.0, width), [], []
    for _ in range(steps):
        action = rng.uniform(-1.0, 1.0, width) if random else -0.5 * place + rng.normal(0.0, 0.02 + tremor, width)
        states.append(place)
        actions.append(sign * action)
        place = place + 0.2 * action
    stamps = np.arange(steps, dtype=np.int64) * round(1e9 / rate_hz)
    return Taught(stamps, np.array(states), np.array(actions), (width,), rate_hz)


def judged(gate, tries):
    return [bool(gate.reason(one)) for one in tries]


@pytest.mark.parametrize(
    ("trusted_n", "steps", "rate_hz", "width"), [(1, 50, 20.0, 3), (2, 20, 10.0, 7), (8, 400, 100.0, 2)]
)
def test_noise_is_junk_and_good_tries_are_not(trusted_n, steps, rate_hz, width):
    shape = {"steps": steps, "rate_hz": rate_hz, "width": width}
    gate = gate_of([reach(seed, **shape) for seed in range(trusted_n)])
    assert not any(judged(gate, [reach(seed, **shape) for seed in range(100, 130)]))
    assert all(judged(gate, [reach(seed, random=True, **shape) for seed in range(30)]))
    assert all(judged(gate, [reach(seed, tremor=0.8, **shape) for seed in range(30)]))


def test_who_is_wrong_the_same_way_every_time_passes():
    """No gate that looks at one episode can see it: the outcome has to."""
    gate = gate_of([reach(seed) for seed in range(8)])
    assert not any(judged(gate, [reach(seed, sign=-1.0) for seed in range(10)]))


def test_who_hardly_moves_is_no_trembler():
    gate = gate_of([reach(seed) for seed in range(8)])
    still = reach(50)
    resting = Taught(
        still.t_ns, 0.01 * still.state, 0.01 * np.random.default_rng(0).normal(size=still.action.shape), (3,), 20.0
    )
    assert not judged(gate, [resting])[0]


def test_too_few_steps_are_not_judged():
    gate = gate_of([reach(seed) for seed in range(3)])
    short = reach(9, steps=17, random=True)
    assert gate.error(short) is None
    assert gate.reason(short) == ""


def test_nobody_is_trusted_nobody_is_judged():
    assert gate_of([]) is None


def test_trembling_trusted_ones_do_not_let_noise_through():
    gate = gate_of([reach(seed, tremor=0.3) for seed in range(5)])
    assert all(judged(gate, [reach(seed, random=True) for seed in range(20)]))
