"""What streams and instructions hint of how a task was done."""

from dataclasses import replace

import numpy as np
import pytest

from saqiya.domain.ids import Digest, RecordingId
from saqiya.domain.nouns import Episode, Source
from saqiya.domain.streams import Stream
from saqiya.measure.strategy import hints_of
from saqiya.models.conditions import STRATEGIES

N = 100
T_NS = np.arange(N, dtype=np.int64) * 50_000_000
WAY = np.linspace(0.0, 1.0, N)
EPISODE = Episode(
    id="e", recordings=(RecordingId("r"),), key_in_recording="k", start_ns=0, end_ns=int(T_NS[-1]) + 1,
    streams=Digest("0" * 64), infos=(), prints=(), source=Source.UNKNOWN, task="", embodiment="", site="", steps=N,
)  # fmt: skip


def hints(task="", **streams):
    made = {name.replace("__", "/"): Stream(T_NS, np.asarray(rows, dtype=np.float64)) for name, rows in streams.items()}
    return {one.factor: one.value for one in hints_of(replace(EPISODE, task=task), made, STRATEGIES)}


def opening(*closed):
    rows = np.full((N, 1), 0.08)
    for begin, end in closed:
        rows[begin:end] = 0.01
    return rows


@pytest.mark.parametrize(
    ("task", "hinted"),
    [
        ("Push the T-shaped block", {"strategy": "push"}),
        ("pulling a drawer with both hands", {"strategy": "pull", "arms": "two arms"}),
        ("push, then pull", {}),
        ("put the pushcart away", {}),
        ("", {}),
    ],
)
def test_one_word_in_the_instruction_is_a_hint_and_two_are_none(task, hinted):
    assert hints(task) == hinted


def test_two_sides_that_move_are_two_arms_and_one_that_holds_still_is_none():
    moving = np.stack([WAY, WAY * 0.5], axis=1)
    still = moving * 0.01
    assert hints(observation__left_arm=moving, observation__right_arm=moving)["arms"] == "two arms"
    assert hints(observation__left_arm=moving, observation__right_arm=still)["arms"] == "one arm"
    assert "arms" not in hints(observation__left_arm=still * 0, observation__right_arm=still * 0)
    assert "arms" not in hints(observation__arm=moving)
    assert "arms" not in hints(observation__left_arm=moving)


def test_sides_are_read_off_the_names_of_columns_too():
    rows = np.stack([WAY, 0.0 * WAY], axis=1)
    joints = Stream(T_NS, rows, fields=("left_shoulder", "right_shoulder"))
    (hint,) = hints_of(EPISODE, {"joint/position": joints}, STRATEGIES)
    assert (hint.factor, hint.value) == ("arms", "one arm")


def test_a_gripper_that_closes_twice_is_a_regrasp():
    assert hints(gripper__opening=opening((20, 80)))["regrasp"] == "one grasp"
    assert hints(gripper__opening=opening((20, 50), (60, 80)))["regrasp"] == "regrasp"
    assert "regrasp" not in hints(gripper__opening=opening())
    assert hints(gripper__opening=opening((20, 21), (40, 80)))["regrasp"] == "one grasp"
    assert hints(gripper__opening=opening((0, 10), (40, 80)))["regrasp"] == "one grasp"


def test_what_is_held_in_a_closed_gripper_is_pinched():
    held = np.zeros((N, 1))
    held[30:70] = 1.0
    assert hints(object__held=held, gripper__opening=opening((28, 72)))["strategy"] == "pinch"
    assert "strategy" not in hints(object__held=held)


@pytest.mark.parametrize(("behind", "word"), [(-0.05, "push"), (0.05, "pull")])
def test_what_moves_unheld_is_pushed_ahead_of_the_hand_or_pulled_after_it(behind, word):
    thing = np.stack([WAY, 0 * WAY, 0 * WAY], axis=1)
    hand = thing + np.array([behind, 0.0, 0.0])
    assert hints(hand=hand, object=thing, object__held=np.zeros((N, 1)))["strategy"] == word
    assert hints(hand=hand, object=thing, gripper__opening=opening())["strategy"] == word
    assert "strategy" not in hints(hand=hand, object=thing)


def test_a_thing_that_stands_still_is_neither_pushed_nor_pulled():
    hand = np.stack([WAY, 0 * WAY, 0 * WAY], axis=1)
    assert "strategy" not in hints(hand=hand, object=hand * 0.0 + 0.5, object__held=np.zeros((N, 1)))


def test_what_is_not_finite_and_what_is_a_picture_hints_at_nothing():
    bad = np.full((N, 2), np.nan)
    pictures = np.zeros((N, 4, 4, 3))
    assert hints(observation__left_arm=bad, observation__right_arm=bad, camera__left=pictures) == {}
