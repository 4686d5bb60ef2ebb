"""When labelled tries may say which detectors count."""

from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.bands import Scored
from saqiya.detect.fusion import Fusion, fit_fusion
from saqiya.detect.weights import Votes, earned_weights


def votes(rng: np.random.Generator, *, failed: bool, telling: float) -> Votes:
    """One detector rises before a failure by `telling`, the other is as loud on any try."""
    rising = rng.normal(0.0, 0.5, 30) + telling * failed * np.linspace(0.0, 1.0, 30)
    return Votes(np.stack([rising, rng.normal(0.0, 2.0) + rng.normal(0.0, 0.5, 30)], axis=1), failed)


def labelled(seed: int, n: int, *, telling: float) -> list[Votes]:
    rng = np.random.default_rng(seed)
    return [votes(rng, failed=index % 2 == 0, telling=telling) for index in range(n)]


def test_a_detector_that_is_loud_on_any_try_loses_its_say() -> None:
    weights = earned_weights(labelled(1, 80, telling=3.0), seed=0)
    assert weights is not None
    assert weights[0] > 0.8
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0.0).all()


def test_what_gains_nothing_is_not_kept() -> None:
    assert [earned_weights(labelled(seed, 80, telling=0.0), seed=0) for seed in range(5)].count(None) >= 4


def test_too_few_labelled_tries_teach_nothing() -> None:
    assert earned_weights(labelled(1, 50, telling=3.0), seed=0) is None


def test_a_fusion_learns_from_failures_and_keeps_its_budget_on_successes_that_taught_nothing() -> None:
    rng, t_s = np.random.default_rng(3), np.arange(30) / 10

    def one(*, failed: bool) -> Scored:
        told = votes(rng, failed=failed, telling=4.0).votes
        return Scored({"telling": (t_s, told[:, 0]), "loud": (t_s, told[:, 1])}, 3.0)

    good, names = [one(failed=False) for _ in range(160)], ("telling", "loud")
    bad = [one(failed=True) for _ in range(60)]
    equal, learned = (
        fit_fusion(good[:40], good[40:80], budget=0.1, names=names, failed=failed) for failed in ((), bad[:30])
    )
    assert learned.learned
    assert not equal.learned
    assert Fusion.of_arrays(learned.arrays()).learned

    def alarms(fusion: Fusion, tries: list[Scored]) -> float:
        return float(np.mean([fusion.score(a.parts).scores.max() > (fusion.threshold or 0.0) for a in tries]))

    assert alarms(learned, bad[30:]) > alarms(equal, bad[30:])
    assert alarms(learned, good[80:]) <= 0.2
