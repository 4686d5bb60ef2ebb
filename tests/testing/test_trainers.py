"""The trainer checker fails on trainers that break the contract, and says how."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest

from saqiya.domain.contracts import Action, Lesson, Observation, RunnablePolicy, Trained
from saqiya.domain.nouns import PolicySpec
from saqiya.errors import PolicyUnreadable
from saqiya.testing import check_trainer
from saqiya.train.ridge import Ridge

CALLS = count(100)
FAST = {"features": 48.0}


class Moody(Ridge):
    def fit(self, lessons: Any, spec: PolicySpec, **how: Any) -> Trained:
        return super().fit(lessons, spec, **{**how, "seed": next(CALLS)})


class OneSeed(Ridge):
    def fit(self, lessons: Any, spec: PolicySpec, **how: Any) -> Trained:
        return super().fit(lessons, spec, **{**how, "seed": 0})


class LevelWeights(Ridge):
    """Takes every imitated step as equally heavy."""

    def fit(self, lessons: Any, spec: PolicySpec, **how: Any) -> Trained:
        level = [replace(lesson, weight=(lesson.weight > 0).astype(float)) for lesson in lessons]
        return super().fit(level, spec, **how)


class ImitatesAll(Ridge):
    """Imitates steps that were there for context only."""

    def fit(self, lessons: Any, spec: PolicySpec, **how: Any) -> Trained:
        return super().fit([replace(lesson, weight=np.ones_like(lesson.weight)) for lesson in lessons], spec, **how)


class PeepingNormaliser(Ridge):
    """Lets steps of weight 0 into the normaliser."""

    def fit(self, lessons: list[Lesson], spec: PolicySpec, **how: Any) -> Trained:
        trained = super().fit(lessons, spec, **how)
        mean = np.concatenate([lesson.observation for lesson in lessons]).mean(axis=0)
        return replace(trained, tensors={**trained.tensors, "input/mean": mean})


class Speechless(Ridge):
    def fit(self, lessons: Any, spec: PolicySpec, **how: Any) -> Trained:
        return super().fit(lessons, spec, **{**how, "progress": lambda *_: None})


class AnySetting(Ridge):
    def fit(self, lessons: Any, spec: PolicySpec, **how: Any) -> Trained:
        known = {name: value for name, value in how["settings"].items() if name in FAST}
        return super().fit(lessons, spec, **{**how, "settings": known})


class Trusting(Ridge):
    """Loads whatever it gets."""

    def load(self, spec: PolicySpec, tensors: Mapping[str, Any]) -> RunnablePolicy:
        try:
            return super().load(spec, tensors)
        except PolicyUnreadable:
            return super().load(spec, self.last)

    def fit(self, lessons: Any, spec: PolicySpec, **how: Any) -> Trained:
        trained = super().fit(lessons, spec, **how)
        self.last = trained.tensors
        return trained


def acting(change: Callable[[Action], Action]) -> type[Ridge]:
    class Changed(Ridge):
        def load(self, spec: PolicySpec, tensors: Mapping[str, Any]) -> RunnablePolicy:
            policy = super().load(spec, tensors)
            plain = policy.act

            def act(observation: Observation) -> Action:
                return change(plain(observation))

            policy.act = act  # type: ignore[method-assign]
            return policy

    return Changed


LUCK = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (Moody, "must give equal arrays"),
        (OneSeed, "Another seed must give other arrays"),
        (LevelWeights, "follow the heavier"),
        (ImitatesAll, "weight 0 must change nothing"),
        (PeepingNormaliser, "weight 0 must change nothing"),
        (Speechless, "tell its progress"),
        (AnySetting, "ConfigError"),
        (Trusting, "must raise PolicyUnreadable"),
        (acting(lambda action: replace(action, chunk=action.chunk[:1])), r"float64 \(k, d\)"),
        (acting(lambda action: replace(action, samples=action.chunk)), r"\(m, k, d\)"),
        (acting(lambda action: replace(action, noise=0 * action.chunk[0])), "above 0"),
        (acting(lambda action: replace(action, chunk=action.chunk + LUCK.normal())), "give equal chunks"),
        (acting(lambda action: replace(action, chunk=0 * action.chunk + 0.02)), "better than their mean"),
    ],
)
def test_a_broken_trainer_is_caught(broken: type[Ridge], sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_trainer(broken(), settings=FAST)


def test_ridge_passes() -> None:
    check_trainer(Ridge(), settings=FAST)
