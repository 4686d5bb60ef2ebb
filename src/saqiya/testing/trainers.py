"""What every trainer must keep: see `saqiya.domain.contracts.Trainer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Lesson, Observation, RunnablePolicy, Trained, Trainer, Vector
from saqiya.domain.nouns import PolicySpec
from saqiya.errors import ConfigError, PolicyUnreadable
from saqiya.testing.demand import demand, same_bits

__all__ = ["check_trainer"]

_SPEC = PolicySpec(observation={"goal": 2, "hand": 3}, action=2, rate_hz=20.0, chunk=4, execute=2, embodiment="point")
_STEPS = 24


def check_trainer(trainer: Trainer, *, settings: Mapping[str, float] | None = None) -> None:
    """Check that a trainer keeps the contract, on a made-up reaching task of eight episodes.

    A step of weight 0 must change nothing at all, normalisers included: its values may be anything that is finite.

    Args:
        trainer: the trainer.
        settings: what it is called with; give few steps where training is long.

    Raises:
        AssertionError: a sentence of what the contract demands.
    """
    demand(trainer.name, "A trainer must have a name.")
    given = dict(settings or {})
    lessons = _lessons()
    trained = _fit(trainer, lessons, given, seed=1)
    _check_trained(trained)
    demand(
        same_bits(trained.tensors, _fit(trainer, lessons, given, seed=1).tensors),
        "Equal lessons, settings and seed must give equal arrays.",
    )
    demand(
        not same_bits(trained.tensors, _fit(trainer, lessons, given, seed=2).tensors),
        "Another seed must give other arrays: else the seed is not used, and seeds say nothing about luck.",
    )
    policy = trainer.load(trained.spec, trained.tensors)
    _check_acting(policy)
    _check_learned(policy, lessons)
    _check_weights(trainer, lessons, given)
    _check_storing(trainer, trained, policy)
    try:
        _fit(trainer, lessons, {**given, "no such setting": 1.0}, seed=1)
    except ConfigError:
        return
    raise AssertionError("A trainer must refuse a setting that it does not know with ConfigError.")


def _lessons() -> list[Lesson]:
    """Eight tries of a point that goes to its goal; "goal" is (x, y), "hand" is (x, y, a channel that stands still)."""
    rng = np.random.default_rng(0)
    lessons = []
    for episode in range(8):
        goal, place = rng.uniform(-1, 1, 2), rng.uniform(-1, 1, 2)
        rows, actions = [], []
        for _ in range(_STEPS):
            action = 0.2 * (goal - place)
            rows.append(np.concatenate([goal, place, [0.5]]))
            actions.append(action)
            place = place + action
        lessons.append(Lesson(np.array(rows), np.array(actions), np.ones(_STEPS), episode))
    return lessons


def _fit(trainer: Trainer, lessons: Sequence[Lesson], settings: Mapping[str, float], *, seed: int) -> Trained:
    told: list[tuple[str, int, int]] = []
    trained = trainer.fit(
        lessons, _SPEC, settings=settings, seed=seed, progress=lambda what, done, of: told.append((what, done, of))
    )
    demand(told and all(0 <= done <= of for _, done, of in told), "A trainer must tell its progress: done of how many.")
    demand(told[-1][1] == told[-1][2], "The last word on progress must be that all is done.")
    return trained


def _check_trained(trained: Trained) -> None:
    demand(trained.spec == _SPEC, "The trained spec must be the one that was asked for.")
    demand(trained.tensors, "Training must return arrays.")
    for name, array in trained.tensors.items():
        demand(
            isinstance(array, np.ndarray) and array.dtype.kind in "fiub", f"{name!r} must be a numpy array of numbers."
        )
        demand(np.isfinite(array).all(), f"{name!r} must be finite.")
    for name, figure in trained.metrics.items():
        demand(np.isfinite(figure), f"The metric {name!r} must be finite.")


def _observations(lessons: Sequence[Lesson]) -> list[Observation]:
    ends = np.cumsum(list(_SPEC.observation.values()))[:-1]
    rows = np.concatenate([lesson.observation for lesson in lessons])
    return [dict(zip(_SPEC.observation, np.split(row, ends), strict=True)) for row in rows]


def _first_actions(policy: RunnablePolicy, lessons: Sequence[Lesson]) -> Vector:
    policy.reset(0)
    return np.array([policy.act(observation).chunk[0] for observation in _observations(lessons)])


def _check_acting(policy: RunnablePolicy) -> None:
    demand(policy.spec == _SPEC, "A loaded policy must carry the spec it was loaded with.")
    observation = _observations(_lessons()[:1])[3]
    before = {name: value.copy() for name, value in observation.items()}
    policy.reset(7)
    action = policy.act(observation)
    demand(
        all(np.array_equal(observation[name], before[name]) for name in before), "act must not change its observation."
    )
    shape = (_SPEC.chunk, _SPEC.action)
    demand(action.chunk.shape == shape and action.chunk.dtype == np.float64, "A chunk must be float64 (k, d).")
    demand(np.isfinite(action.chunk).all(), "A chunk must be finite.")
    if action.samples is not None:
        demand(action.samples.ndim == 3 and action.samples.shape[1:] == shape, "Samples must be (m, k, d).")
        demand(action.samples.shape[0] >= 2, "Samples must be at least two, or None.")
        demand(np.isfinite(action.samples).all(), "Samples must be finite.")
    if action.noise is not None:
        demand(
            action.noise.shape == (_SPEC.action,) and (action.noise > 0).all(),
            "Noise must be (d,) and above 0, or None.",
        )
    policy.reset(7)
    demand(
        np.array_equal(policy.act(observation).chunk, action.chunk),
        "Equal seed and observation must give equal chunks.",
    )


def _check_learned(policy: RunnablePolicy, lessons: Sequence[Lesson]) -> None:
    wanted = np.concatenate([lesson.action for lesson in lessons])
    error = np.sqrt(np.mean((_first_actions(policy, lessons) - wanted) ** 2))
    demand(
        error < 0.7 * wanted.std(), "A trained policy must answer its own lessons better than their mean action does."
    )


def _check_weights(trainer: Trainer, lessons: Sequence[Lesson], settings: Mapping[str, float]) -> None:
    unweighted = np.ones(_STEPS)
    unweighted[5:15] = 0.0
    gaps = [replace(lesson, weight=unweighted) for lesson in lessons]
    other = []
    for lesson in gaps:
        observation, action = lesson.observation.copy(), lesson.action.copy()
        observation[5:15], action[5:15] = 50.0, -50.0
        other.append(replace(lesson, observation=observation, action=action))
    demand(
        same_bits(_fit(trainer, gaps, settings, seed=1).tensors, _fit(trainer, other, settings, seed=1).tensors),
        "A step of weight 0 must change nothing: not the weights, not the chunks around it, not the normaliser.",
    )
    against = [replace(lesson, action=-lesson.action, episode=8 + lesson.episode) for lesson in lessons]
    sides = []
    for ours, theirs in ((1.0, 0.05), (0.05, 1.0)):
        mixed = [replace(lesson, weight=np.full(_STEPS, ours)) for lesson in lessons]
        mixed += [replace(lesson, weight=np.full(_STEPS, theirs)) for lesson in against]
        trained = _fit(trainer, mixed, settings, seed=1)
        answered = _first_actions(trainer.load(trained.spec, trained.tensors), lessons)
        sides.append(float((answered * np.concatenate([lesson.action for lesson in lessons])).mean()))
    demand(sides[0] > 0 > sides[1], "Where lessons contradict one another, the policy must follow the heavier ones.")


def _check_storing(trainer: Trainer, trained: Trained, policy: RunnablePolicy) -> None:
    stored = {
        name: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)
        for name, array in trained.tensors.items()
    }
    lessons = _lessons()[:2]
    demand(
        np.array_equal(_first_actions(trainer.load(trained.spec, stored), lessons), _first_actions(policy, lessons)),
        "A policy must act from its stored arrays alone, and the same each time it is loaded.",
    )
    for name, array in stored.items():
        _must_refuse(trainer, {key: value for key, value in stored.items() if key != name}, f"without {name!r}")
        _must_refuse(
            trainer, {**stored, name: np.concatenate([np.atleast_1d(array)] * 2)}, f"with {name!r} twice as long"
        )


def _must_refuse(trainer: Trainer, tensors: Mapping[str, NDArray[Any]], what: str) -> None:
    try:
        trainer.load(_SPEC, tensors)
    except PolicyUnreadable:
        return
    raise AssertionError(f"load must raise PolicyUnreadable {what}.")
