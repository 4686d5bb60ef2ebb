from dataclasses import replace

import numpy as np

from saqiya.domain.nouns import PolicySpec
from saqiya.domain.streams import EpisodeLog, Event, Stamp, Stream
from saqiya.ingest.sufficiency import NEEDS, missing_by_site, missing_of
from saqiya.testing import make_episode

S = 1_000_000_000


def test_a_rollout_of_the_loop_misses_what_it_has_not(robot_try):
    assert set(missing_of(make_episode())) == {"gripper", "camera", "policy"}
    log = replace(
        robot_try(0),
        metadata={"task": "t", "source": "rollout", "policy": "p", "outcome": "success", "start": {"seed": 1}},
    )
    assert set(missing_of(log)) == {"uncertainty", "author"}


def test_a_demonstration_needs_no_policy(robot_try):
    log = replace(robot_try(0), metadata={"task": "t", "source": "demonstration", "start": {"seed": 1}})
    assert missing_of(log) == {}


def test_a_bare_log_misses_nearly_everything_and_says_what_for():
    bare = EpisodeLog("x", {"/odom/x": Stream(np.arange(9, dtype=np.int64) * S, np.ones((9, 1)), stamp=Stamp.ASSUMED)})
    missing = missing_of(bare)
    assert set(missing) == {"force", "gripper", "commanded", "camera", "task", "start", "time"}
    assert all(missing[need] == NEEDS[need] for need in missing)


def test_a_takeover_event_says_who_acted():
    log = make_episode(metadata={"policy": "p"})
    silent = replace(log, streams={name: one for name, one in log.streams.items() if name != "author"})
    assert "author" in missing_of(silent)
    assert "author" not in missing_of(replace(silent, events=(Event(0, "takeover"),)))


def spec(**changed):
    given = {"observation": {"state": 4}, "action": 2, "rate_hz": 20.0, "chunk": 1, "execute": 1, "embodiment": "point"}
    return PolicySpec(**{**given, **changed})


def test_a_try_is_held_against_what_the_policy_reads_and_does():
    log = make_episode(metadata={"policy": "p"})
    usual = set(missing_of(log))
    assert set(missing_of(log, spec())) == usual
    assert (
        "cannot be trained on this" in missing_of(log, spec(observation={"state": 4, "wrist": 7}))["observation wrist"]
    )
    assert (
        "has 4 numbers, and the policy reads 9" in missing_of(log, spec(observation={"state": 9}))["observation state"]
    )
    assert "commands 7" in missing_of(log, spec(action=7))["action"]
    fast = missing_of(log, spec(rate_hz=50.0))
    assert {"rate state", "rate action"} <= set(fast)
    assert "20 Hz" in fast["rate action"]


def test_a_camera_slower_than_the_policy_is_told(robot_try):
    reads = spec(observation={"joints": 7, "front": 768}, action=7, rate_hz=30.0)
    assert "15 pictures a second" in missing_of(robot_try(0), reads)["rate camera/front"]


def test_sites_are_summed_up_in_sentences():
    lacks = {"force": NEEDS["force"]}
    said = missing_by_site([("a", lacks), ("a", {}), ("b", {}), ("", lacks)])
    assert said[0].startswith("tries without a site, all 1 tries (force): no force")
    assert said[1].startswith("site a, 1 of 2 tries (force)")
    assert said[2] == "site b: all 1 tries have what diagnosis and retraining need"
