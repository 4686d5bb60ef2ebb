from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.consistency import Consistency
from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode, TooLittle
from saqiya.testing import check_detector

T_NS = np.arange(40, dtype=np.int64) * 50_000_000
WAVE = np.stack([np.sin(T_NS / 1e9), np.cos(T_NS / 1e9)], axis=1)


def told(execute=2, chunk=6, turned_from=40):
    """A try whose chunks say what will be done; from `turned_from` on every other one says the opposite."""
    begun = np.arange(0, 40, execute)
    chunks = WAVE[np.minimum(begun[:, None] + np.arange(chunk), 39)].astype(np.float32)
    chunks[(begun >= turned_from) & (np.arange(len(begun)) % 2 == 0)] *= -1
    return Seen({"policy/chunk": Stream(T_NS[begun], chunks), "action/executed": Stream(T_NS.copy(), WAVE)})


def bare(*without):
    return Seen({name: stream for name, stream in told().streams.items() if name not in without})


def test_the_contract_is_kept():
    check_detector(Consistency())


@pytest.mark.parametrize("execute", [1, 2, 5])
def test_a_policy_that_keeps_its_word_scores_nothing(execute):
    stamps, scores = Consistency().fit([told()]).score(told(execute))
    assert stamps.tolist() == T_NS[::execute].tolist()
    assert scores == pytest.approx(0.0, abs=1e-6)


def test_a_policy_that_changes_its_mind_scores():
    scores = Consistency().fit([told()]).score(told(turned_from=20))[1]
    assert scores[:10] == pytest.approx(0.0, abs=1e-6)
    assert scores[11:].min() > 0.2


def test_only_steps_that_both_speak_of_are_compared():
    first, second = np.zeros((6, 2), dtype=np.float32), np.zeros((6, 2), dtype=np.float32)
    first[:2], second[4:] = 70.0, 70.0  # carried out before the second speaks, and beyond what the first spoke of
    chunks = Stream(T_NS[[0, 2]], np.stack([first, second]))
    fitted, executed = Consistency().fit([told()]), told().streams["action/executed"]
    assert fitted.score(Seen({"policy/chunk": chunks, "action/executed": executed}))[1].tolist() == [0.0, 0.0]
    second[3] = 70.0
    chunks = Stream(T_NS[[0, 2]], np.stack([first, second]))
    assert fitted.score(Seen({"policy/chunk": chunks, "action/executed": executed}))[1][1] > 1.0


def test_chunks_that_are_carried_out_whole_cannot_be_compared():
    with pytest.raises(InvalidEpisode, match="no two speak of the same step") as raised:
        Consistency().fit([told()]).score(told(execute=6))
    assert "Execute fewer steps" in raised.value.remedy


def test_an_operators_try_says_what_to_use_instead():
    with pytest.raises(InvalidEpisode, match="policy/chunk") as raised:
        Consistency().fit([told()]).score(bare("policy/chunk"))
    assert "'dynamics'" in raised.value.remedy


def test_it_learns_from_tries_without_chunks_and_not_without_actions():
    assert Consistency().fit([bare("policy/chunk")]).score(told())[1].max() < 1e-6
    with pytest.raises(TooLittle, match="action/executed"):
        Consistency().fit([bare("action/executed")])


def test_chunks_of_another_robot_are_refused():
    fitted = Consistency().fit([told()])
    odd = Stream(T_NS[:3].copy(), np.zeros((3, 4, 5), dtype=np.float32))
    with pytest.raises(InvalidEpisode, match="2 numbers a step"):
        fitted.score(Seen({**told().streams, "policy/chunk": odd}))


def test_the_reason_says_how_far_the_wishes_are_apart():
    reason = Consistency().fit([told()]).reason(told(turned_from=20), int(T_NS[24]))
    assert "typical spreads away from what it wanted 2 steps before for the same 4 steps" in reason
