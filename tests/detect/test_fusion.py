"""How several detectors become one alarm."""

from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.bands import Along, Scored, fit_bands
from saqiya.detect.fusion import Fusion, fit_fusion
from saqiya.errors import MonitorUnreadable, TooLittle

T_S = np.arange(40) / 10
PHASES = ((0.5, "phase/reach"), (2.0, "phase/carry"))


def success(seed: int, *, shift: float = 0.0) -> Scored:
    """Two detectors: one is loud at the end of every try, the other is quiet throughout."""
    rng = np.random.default_rng(seed)
    loud = np.where(T_S > 2.5, 5.0, 1.0) + rng.normal(0.0, 0.1, T_S.size)
    return Scored({"loud": (T_S, loud + shift), "quiet": (T_S, rng.normal(0.0, 1.0, T_S.size))}, 4.0, PHASES)


def fitted(*, along: Along = Along.TIME, n: int = 30) -> Fusion:
    tries = [success(seed) for seed in range(2 * n)]
    return fit_fusion(tries[:n], tries[n:], budget=0.1, names=("loud", "quiet"), along=along)


@pytest.mark.parametrize("along", list(Along))
def test_a_watched_try_has_the_scores_of_its_log(along: Along) -> None:
    fusion, one = fitted(along=along), success(1000, shift=0.3)
    fused, watch = fusion.score(one.parts, one.phases), fusion.watch()
    for index, t_s in enumerate(T_S):
        events = [name for at_s, name in PHASES if t_s - 0.1 < at_s <= t_s]
        scores = {name: float(values[index]) for name, (_, values) in one.parts.items()}
        score, leading = watch.see(float(t_s), scores, events)
        assert score == pytest.approx(fused.scores[index], abs=1e-12)
        assert leading == fusion.names[fused.leading[index]]


def test_what_is_usual_at_its_time_is_no_reason_to_alarm_and_unusual_at_another_is() -> None:
    fusion = fitted()
    early = success(2000)
    early.parts["loud"][1][:3] = 5.0
    fused = fusion.score(early.parts)
    assert fusion.threshold is not None
    assert fused.scores[:3].max() > fusion.threshold
    assert fusion.names[fused.leading[0]] == "loud"
    assert fusion.score(success(2001).parts).scores[30:].max() < fusion.threshold


def test_phases_move_the_bands_with_the_try() -> None:
    def loud_until(at: float) -> Scored:
        values = 5.0 - 4.0 * (at <= T_S) + np.random.default_rng(round(at * 100)).normal(0.0, 0.1, T_S.size)
        return Scored({"loud": (T_S, values)}, 4.0, ((at, "phase/carry"),))

    usual, late = [loud_until(float(at)) for at in np.linspace(1.0, 1.5, 20)], loud_until(3.0)
    highest = {}
    for along in (Along.PHASE, Along.TIME):
        fusion = Fusion(fit_bands(usual, ("loud",), horizon_s=4.0, along=along), np.ones(1), 4.0)
        highest[along] = fusion.score(late.parts, late.phases).scores.max()
    assert highest[Along.TIME] > 2 * highest[Along.PHASE]


def test_arrays_bring_the_same_fusion_back() -> None:
    fusion, one = fitted(along=Along.PHASE), success(3000)
    again = Fusion.of_arrays(fusion.arrays())
    assert again.threshold == fusion.threshold
    assert np.array_equal(again.score(one.parts, one.phases).scores, fusion.score(one.parts, one.phases).scores)
    assert Fusion.of_arrays(fitted(n=5).arrays()).threshold is None


def test_arrays_that_do_not_agree_are_refused() -> None:
    arrays = fitted().arrays()
    with pytest.raises(MonitorUnreadable, match="lacks threshold"):
        Fusion.of_arrays({name: value for name, value in arrays.items() if name != "threshold"})
    with pytest.raises(MonitorUnreadable, match="bands"):
        Fusion.of_arrays(arrays | {"spread": arrays["spread"][:, :2]})


def test_a_detector_that_is_away_takes_no_part_and_the_others_go_on() -> None:
    fusion, one = fitted(), success(4000)
    fused = fusion.score({"quiet": one.parts["quiet"]})
    assert np.array_equal(fused.t_s, T_S)
    assert len(fusion.score({}).scores) == 0


def test_where_stamps_differ_the_latest_score_counts() -> None:
    fusion, one = fitted(), success(5000)
    slow = {"loud": one.parts["loud"], "quiet": tuple(values[::4] for values in one.parts["quiet"])}
    fused, watch = fusion.score(slow), fusion.watch()
    for index, t_s in enumerate(T_S):
        scores = {"loud": float(one.parts["loud"][1][index])}
        if index % 4 == 0:
            scores["quiet"] = float(one.parts["quiet"][1][index])
        assert watch.see(float(t_s), scores)[0] == pytest.approx(fused.scores[index], abs=1e-12)


def test_nine_successes_of_ten_stay_below_the_threshold_and_too_few_give_none() -> None:
    fusion = fitted(n=50)
    assert fusion.threshold is not None
    alarms = [fusion.score(success(seed).parts).scores.max() > fusion.threshold for seed in range(6000, 6200)]
    assert 0.02 <= np.mean(alarms) <= 0.2
    assert fitted(n=8).threshold is None


def test_without_a_success_there_are_no_bands() -> None:
    with pytest.raises(TooLittle):
        fit_fusion([], [], budget=0.1, names=("loud",))


def test_a_detector_that_never_moved_does_not_divide_by_nothing() -> None:
    still = [Scored({"still": (T_S, np.zeros(T_S.size))}, 4.0) for _ in range(5)]
    bands = fit_bands(still, ("still",), horizon_s=4.0, along=Along.TIME)
    assert np.all(bands.spread == 1.0)
