from dataclasses import replace

import numpy as np
import pytest

from saqiya.domain.streams import EpisodeLog, Stamp, Stream
from saqiya.ingest.clocks import audit_clocks

S = 1_000_000_000
NOW_NS = 1_750_000_100_000_000_000
JOINTS, PAIR = "observation/joints", "clock/observation/joints"


def checks(log, **given):
    return {one.check: one for one in audit_clocks(log, **given).findings}


def test_a_good_try_gives_a_map_and_notes_alone(robot_try):
    log = robot_try(0)
    made = audit_clocks(log, now_ns=NOW_NS)
    assert {one.severity.value for one in made.findings} == {"note"}
    (estimate,) = made.estimates
    assert (estimate.source, estimate.target, estimate.streams) == ("host", "log", (JOINTS,))
    noun = estimate.as_map("clock_map-x", "recording-x")
    assert abs(noun.offset_ns - 3 * S) <= noun.uncertainty_ns < 1_000_000
    assert noun.version == "clock-audit-1"


def test_stamps_are_not_touched(robot_try):
    log = robot_try(0)
    before = {name: one.t_ns.copy() for name, one in log.streams.items()}
    audit_clocks(log, now_ns=NOW_NS)
    assert all(np.array_equal(before[name], one.t_ns) for name, one in log.streams.items())


def test_streams_of_one_clock_share_a_map_by_the_fastest(robot_try):
    log = robot_try(1)
    fast = log.streams[PAIR]
    slow = Stream(fast.t_ns, fast.values + 60_000_000)  # a camera driver that needs 60 ms
    (estimate,) = audit_clocks(replace(log, streams={**log.streams, "clock/camera/front": slow})).estimates
    assert estimate.streams == (JOINTS, "camera/front")
    assert abs(estimate.fit.offset_ns - 3 * S) < 1_000_000


def test_two_clocks_under_one_name_are_told_and_mapped_apart(robot_try):
    log = robot_try(1)
    pair = log.streams[PAIR]
    drifted = pair.values + ((pair.t_ns - pair.t_ns[0]) * 5e-3).astype(np.int64)[:, None]
    made = audit_clocks(replace(log, streams={**log.streams, "clock/observation/wrench": Stream(pair.t_ns, drifted)}))
    assert {one.source for one in made.estimates} == {"host", "host:observation/wrench"}
    assert {"clock/several", "clock/drift"} <= {one.check for one in made.findings}


def test_a_step_that_two_clocks_show_is_the_loggers(robot_try, swap):
    log = robot_try(2)
    values = log.streams[PAIR].values.copy()
    values[900:] += 2 * S
    log = swap(log, PAIR, values=values)
    assert "one of the two clocks jumped by +2.0" in checks(log)["clock/jump"].what
    other = Stream(log.streams[PAIR].t_ns - S, values, clock="camera")
    both = replace(log, streams={**log.streams, "clock/camera/front": other})
    assert "the logger's clock, for other clocks show it too, jumped" in checks(both)["clock/jump"].what


def test_messages_that_overtake_each_other_are_counted(robot_try, swap):
    values = robot_try(3).streams[PAIR].values.copy()
    values[500:560:2] += 300_000_000
    found = checks(swap(robot_try(3), PAIR, values=values))["clock/reordered"]
    assert found.severity.value == "warning"
    assert found.figures["messages"] >= 30


def part(log, name, kept):
    stream = log.streams[name]
    return replace(
        log, streams={**log.streams, name: replace(stream, t_ns=stream.t_ns[kept], values=stream.values[kept])}
    )


def test_drops_and_gaps_are_measured_against_the_streams_own_rate(robot_try):
    log = robot_try(4)
    kept = np.random.default_rng(0).random(2000) > 0.05
    found = checks(part(log, JOINTS, np.flatnonzero(kept)))["clock/drops"]
    assert found.severity.value == "warning"
    assert found.figures["share"] == pytest.approx(0.05, abs=0.015)
    gap = checks(part(log, JOINTS, np.r_[0:800, 1000:2000]))["clock/gap"]
    assert (gap.figures["longest_s"], gap.figures["at_s"]) == (
        pytest.approx(2.0, abs=0.05),
        pytest.approx(8.0, abs=0.05),
    )


def test_a_stream_without_a_rate_has_no_drops(robot_try):
    log = robot_try(4)
    kept = np.unique(np.random.default_rng(0).integers(0, 2000, 300))
    found = checks(part(log, JOINTS, kept))
    assert "clock/drops" not in found
    assert "no steady rate" in found["clock/unsteady"].what


def test_messages_that_were_logged_twice_are_counted(robot_try):
    found = checks(part(robot_try(5), JOINTS, np.sort(np.r_[0:2000, 0:2000:10])))["clock/duplicates"]
    assert (found.figures["samples"], found.figures["equal_rows"]) == (200, 200)


@pytest.mark.parametrize(("check", "change"), [
    ("clock/zero", lambda t: np.r_[np.zeros(2, dtype=np.int64), t[2:]]),
    ("clock/future", lambda t: t + 400 * 86_400 * S),
])  # fmt: skip
def test_impossible_stamps_are_faults(robot_try, swap, check, change):
    log = robot_try(6)
    found = checks(swap(log, "observation/wrench", t_ns=change(log.streams["observation/wrench"].t_ns)), now_ns=NOW_NS)
    assert found[check].severity.value == "fault"
    assert found[check].stream == "observation/wrench"


def test_clocks_that_never_meet_are_a_fault_unless_a_pair_links_them(robot_try, swap):
    log = robot_try(7)
    wrench = log.streams["observation/wrench"]
    boot = wrench.t_ns - wrench.t_ns[0]
    apart = swap(log, "observation/wrench", t_ns=boot, clock="boot")
    assert "never meets 'host'" in checks(apart)["clock/apart"].what
    linked = Stream(boot, (wrench.t_ns + 3 * S)[:, None], clock="boot")
    assert "clock/apart" not in checks(replace(apart, streams={**apart.streams, "clock/observation/wrench": linked}))
    assert "shares no instant" in checks(swap(log, "observation/wrench", t_ns=wrench.t_ns + 90 * S))["clock/apart"].what


def test_a_simulator_that_counts_from_zero_is_fine():
    t_ns = np.arange(100, dtype=np.int64) * 50_000_000
    log = EpisodeLog("sim", {name: Stream(t_ns, np.ones((100, 1)), clock="sim") for name in "ab"})
    assert audit_clocks(log, now_ns=NOW_NS) == audit_clocks(log)
    assert audit_clocks(log).findings == ()


def test_assumed_stamps_are_told_once():
    t_ns = np.arange(100, dtype=np.int64) * 50_000_000
    log = EpisodeLog("x", {n: Stream(t_ns, np.ones((100, 1)), stamp=Stamp.ASSUMED) for n in "abc"})
    (note,) = audit_clocks(log).findings
    assert "3 of 3 streams" in note.what


def test_the_target_is_the_clock_of_streams_that_have_only_the_loggers_stamps(robot_try):
    log = robot_try(8)
    topic = Stream(log.streams[JOINTS].t_ns + 3 * S, np.ones((2000, 1)), clock="mcap:log_time", stamp=Stamp.RECEIVE)
    (estimate,) = audit_clocks(replace(log, streams={**log.streams, "/status": topic})).estimates
    assert estimate.target == "mcap:log_time"


def test_a_stream_that_stops_halfway_is_told_by_how_much_is_missing(robot_try):
    log = robot_try(9)
    most = checks(part(log, "observation/wrench", np.arange(3000)))["clock/partial"]
    assert (most.severity.value, most.figures["early_s"]) == ("warning", pytest.approx(5.0, abs=0.1))
    assert checks(part(log, "observation/wrench", np.arange(1000)))["clock/partial"].severity.value == "fault"
    assert "clock/partial" not in checks(log)
