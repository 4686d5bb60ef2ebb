"""The interval of what corrections may bring holds the truth, on simulated histories of several worlds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from saqiya.correct.experience import Lesson, expect

TRIES_N = 200
HISTORIES_N = 100
MODES = ("slip", "stall", "no_grasp", "translation")
World = Callable[[np.random.Generator], Callable[[str, float, int], float]]


def exponential(rng: np.random.Generator) -> Callable[[str, float, int], float]:
    """Return the gain of a mode's corrections where modes differ about a mean of the world: the model's own shape."""
    mean, log_tau = rng.normal(0.4, 1.3), rng.normal(np.log(12.0), 0.5)
    of_mode = {mode: rng.normal(0.0, 0.8) for mode in MODES}

    def gain(mode: str, rate: float, count: int) -> float:
        share = -0.4 + 1.4 / (1.0 + np.exp(-(mean + of_mode[mode] + rng.normal(0.0, 0.6))))
        return float(rate * share * (1.0 - np.exp(-count / np.exp(log_tau + rng.normal(0.0, 0.4)))))

    return gain


def power_law(rng: np.random.Generator) -> Callable[[str, float, int], float]:
    """Return gains that go on much longer than the model's shape has them."""
    return lambda _mode, rate, count: float(rate * (1.0 - (1.0 + count / 6.0) ** -np.exp(rng.normal(-0.7, 0.4))))


def in_vain(rng: np.random.Generator) -> Callable[[str, float, int], float]:
    """Return gains of corrections that teach nothing: retraining alone moves a mode by 15 % up or down."""
    return lambda _mode, rate, _count: float(rate * rng.normal(0.0, 0.15))


def at_once(rng: np.random.Generator) -> Callable[[str, float, int], float]:
    """Return gains that come all at once, after some number of corrections that nobody can foresee."""
    return lambda _mode, rate, count: float(rate * (0.9 if count >= rng.integers(3, 25) else 0.1))


def covered(world: World, lessons_n: int) -> float:
    held = 0
    for seed in range(HISTORIES_N):
        rng = np.random.default_rng([20261121, seed])
        gain = world(rng)
        lessons = []
        for _ in range(lessons_n):
            mode, rate, given = str(rng.choice(MODES)), float(rng.beta(1.2, 12.0)), int(rng.integers(3, 30))
            later = float(np.clip(rate - gain(mode, rate, given), 0.0, 1.0))
            before, after = (int(rng.binomial(TRIES_N, one)) for one in (rate, later))
            lessons.append(Lesson(mode, given, (before, TRIES_N), (after, TRIES_N)))
        rate = float(rng.beta(1.2, 12.0))
        failures = int(rng.binomial(TRIES_N, rate))
        _, low, high = expect("slip", (failures, TRIES_N), lessons, seed=seed).gain(20)
        held += low <= gain("slip", rate, 20) <= high
    return held / HISTORIES_N


@pytest.mark.parametrize("lessons_n", [0, 4])
@pytest.mark.parametrize("world", [exponential, power_law, in_vain])
def test_the_interval_holds_the_gain_that_comes(world: World, lessons_n: int) -> None:
    assert covered(world, lessons_n) >= 0.95 - 3.0 * np.sqrt(0.95 * 0.05 / HISTORIES_N)


def test_what_gives_way_all_at_once_is_foreseen_less_often() -> None:
    assert 0.6 <= covered(at_once, 0) <= 0.9
