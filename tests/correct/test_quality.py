"""What a reviewer is pointed at, and where."""

import numpy as np

from saqiya.correct.quality import Shown, doubts

T_NS = np.arange(100, dtype=np.int64) * 100_000_000


def shown(actions=None, **how):
    smooth = np.stack([np.sin(np.arange(100) / 15), np.cos(np.arange(100) / 15)], axis=1)
    how = {"mine": np.ones(100, np.bool_), "ended": "success", **how}
    return Shown(T_NS, smooth if actions is None else actions(smooth.copy()), **how)


def kinds(one):
    return [found.kind for found in doubts(one)]


def test_a_smooth_success_raises_no_doubt():
    assert kinds(shown(low=np.full(2, -2.0), high=np.full(2, 2.0), usual_n=110.0)) == []


def test_a_hand_that_stands_still_is_pointed_at():
    def wait(actions):
        actions[40:60] = actions[40]
        return actions

    (found,) = [one for one in doubts(shown(wait)) if one.kind == "idle"]
    assert (found.start_ns, found.end_ns) == (4_100_000_000, 6_000_000_000)
    policys = np.arange(100) < 70
    assert "idle" not in kinds(shown(wait, mine=~policys))


def test_a_jolt_is_pointed_at():
    def jump(actions):
        actions[50:] += 1.5
        return actions

    (found,) = [one for one in doubts(shown(jump)) if one.kind == "jolt"]
    assert 4_900_000_000 <= found.start_ns <= 5_200_000_000


def test_actions_at_their_limit_are_pointed_at():
    one = shown(lambda a: np.clip(a, -0.5, 0.5), low=np.full(2, -0.5), high=np.full(2, 0.5))
    assert "clipped" in kinds(one)
    assert len([found for found in doubts(one) if found.kind == "clipped"]) <= 3


def test_outcome_length_and_lateness_are_said():
    assert kinds(shown(ended="failure")) == ["outcome"]
    (found,) = doubts(shown(denied="the site says failure"))
    assert (found.said, found.severe) == ("its operator calls it a success, but the site says failure", True)
    assert kinds(shown(usual_n=1000.0)) == ["short"]
    assert kinds(shown(mine=np.zeros(100, np.bool_))) == ["nobody"]
    late = np.where(np.arange(100) < 50, 400.0, 20.0)
    (found,) = doubts(shown(late_t_ns=T_NS, late_ms=late))
    assert (found.kind, found.start_ns, found.end_ns) == ("late", 0, 5_000_000_000)
    assert found.said == "for 5.0 s the picture came more than 150 ms late"
    assert doubts(shown(late_t_ns=T_NS, late_ms=np.where(np.arange(100) == 50, 400.0, 20.0))) == ()  # one picture
