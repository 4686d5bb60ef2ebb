"""The detector checker fails on detectors that break the contract, and says how."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from saqiya.domain.contracts import FittedDetector, Seen
from saqiya.testing import check_detector

Score = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class Speed:
    """An honest little detector, whose answer each broken one changes: size of the hand's place."""

    name = "speed"
    version = "1"

    def __init__(self, change: Score) -> None:
        self.change = change

    def fit(self, normal: Sequence[Seen], failed: Sequence[Seen] = ()) -> FittedDetector:
        return self

    def score(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        stream = seen.streams["observation/state"]
        return self.change(stream.t_ns, np.abs(stream.values).max(axis=1))


LUCK = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t, s: (t, s[::-1].copy()), "never look ahead"),
        (lambda t, s: (t, s / s.max()), "never look ahead"),
        (lambda t, s: (t, s - s.mean()), "never look ahead"),
        (lambda t, s: (t[:-5], s[5:]), "never look ahead"),
        (lambda t, s: (t, s[:-1]), "one a stamp"),
        (lambda t, s: (t, s[:, None]), "one a stamp"),
        (lambda t, s: (t / 1e9, s), "int64"),
        (lambda t, s: (t[::-1].copy(), s), "in time order"),
        (lambda t, s: (t[:0], s[:0]), "at least one stamp"),
        (lambda t, s: (t, np.log(s * 0)), "finite"),
        (lambda t, s: (t, -s), "Higher must be worse"),
        (lambda t, s: (t, s + LUCK.normal()), "never look ahead|equal scores"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_broken_detector_is_caught(change: Score, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_detector(Speed(change))


def test_an_honest_detector_passes() -> None:
    check_detector(Speed(lambda t, s: (t, s)))
