"""The site checker fails on sites that break the contract, and says how."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from saqiya.domain.contracts import Observation, Step, Vector
from saqiya.domain.streams import Start
from saqiya.sites.tiny import Expert, Tiny
from saqiya.testing import check_site

CALLS = count()


class Restless(Tiny):
    """Differs from try to try: a counter leaks into what is seen."""

    def reset(self, start: Start) -> Step:
        step = super().reset(start)
        return replace(step, signals={**step.signals, "contact/held": np.array([float(next(CALLS))])})


class TwoOfAKind(Tiny):
    """Each object behaves a little differently."""

    def __init__(self) -> None:
        super().__init__()
        self.mine = next(CALLS)

    def step(self, action: Vector) -> Step:
        return super().step(np.asarray(action) * (1 - 1e-3 * (self.mine % 2)))


class StoppedClock(Tiny):
    def step(self, action: Vector) -> Step:
        return replace(super().step(action), t_ns=7)


class SlowClock(Tiny):
    def step(self, action: Vector) -> Step:
        step = super().step(action)
        return replace(step, t_ns=2 * step.t_ns)


class WholeRegion(Tiny):
    def sample_start(self, seed: int, *, region: float = 1.0) -> Start:
        return super().sample_start(seed, region=1.0)


class OneStart(Tiny):
    def sample_start(self, seed: int, *, region: float = 1.0) -> Start:
        return Start(seed, super().sample_start(0, region=region).factors)


class NotANumber(Tiny):
    def step(self, action: Vector) -> Step:
        step = super().step(action)
        return replace(step, signals={**step.signals, "contact/force": np.array([np.nan, 0.0])})


class OwnWords(Tiny):
    def step(self, action: Vector) -> Step:
        return replace(super().step(action), events=("dropped it",))


class PhaseAgain(Tiny):
    def step(self, action: Vector) -> Step:
        return replace(super().step(action), events=("phase/reach",))


class Narrow(Tiny):
    def step(self, action: Vector) -> Step:
        step = super().step(action)
        return replace(step, observation={**step.observation, "goal": step.observation["goal"][:1]})


class SameArray(Tiny):
    """Hands out its own buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer = np.zeros(5)

    def step(self, action: Vector) -> Step:
        step = super().step(action)
        self.buffer[:] = step.observation["hand"]
        return replace(step, observation={**step.observation, "hand": self.buffer})


class Forgetful(Tiny):
    """A snapshot without the joints' velocities."""

    def snapshot(self) -> dict[str, np.ndarray]:
        world = np.array(super().snapshot()["world"])
        world[2:4] = 0.0
        return {"world": world}


class Wild(Tiny):
    def expert(self, seed: int) -> Expert:
        class Strong(Expert):
            def act(self, observation: Observation) -> Vector:
                return 3.0 * super().act(observation)

        return Strong(self, seed)


class Idle(Tiny):
    def expert(self, seed: int) -> Expert:
        class Lazy(Expert):
            def act(self, observation: Observation) -> Vector:
                return np.zeros(3)

        return Lazy(self, seed)


class Upside(Tiny):
    spec = replace(Tiny.spec, action_low=Tiny.spec.action_high, action_high=Tiny.spec.action_low)


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (Restless, "must repeat itself"),
        (TwoOfAKind, "Two sites of one kind must agree"),
        (StoppedClock, "strictly increase"),
        (SlowClock, "one control period"),
        (WholeRegion, "from the middle 40%"),
        (OneStart, "other starts for other seeds"),
        (NotANumber, "must be finite"),
        (OwnWords, "nobody's vocabulary"),
        (PhaseAgain, "once in a try"),
        (Narrow, r"must be float64 \(2,\)"),
        (SameArray, "copy the arrays"),
        (Forgetful, "restore later in the same try"),
        (Wild, "within the bounds"),
        (Idle, "succeeded in 0 of 4"),
        (Upside, "below spec.action_high"),
    ],
)
def test_a_broken_site_is_caught(broken: type[Tiny], sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_site(broken)


def test_the_tiny_site_passes() -> None:
    check_site(Tiny)
