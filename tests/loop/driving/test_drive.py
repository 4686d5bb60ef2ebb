from dataclasses import replace

import numpy as np
import pytest
from tests.loop.driven import FACTS, MOVES, Lean, cut_all, driven, failed, go, roll

from saqiya.correct.takeover import takeovers_n
from saqiya.domain.nouns import Outcome, Source
from saqiya.errors import AlreadyThere, SiteFault, UsageError
from saqiya.loop.driving.drive import CODES
from saqiya.loop.driving.journal import read
from saqiya.loop.driving.person import Inputs
from saqiya.loop.tries.rollout import run_try
from saqiya.loop.tries.stepping import Control
from saqiya.sites.tiny import Tiny

STILL = Inputs(axes=(0.0, 0.0, 0.0))


@pytest.fixture
def path(tmp_path):
    yield tmp_path / "one.drive"
    cut_all()


def codes(log):
    return [CODES[int(code)].value for code in log.streams["drive/control"].values[:, 0]]


def names(log, *of):
    return [event.name for event in log.events if event.name in of]


def test_a_person_who_does_what_the_operator_does_leaves_the_log_of_a_roll_bit_for_bit(path):
    site, takeover = Tiny(), failed()
    done = run_try(site, roll(policy="p", takeover=takeover), policy=Lean(), operator=site.expert(1), facts=FACTS)
    drive = driven(path, skilled=True, takeover=takeover)
    drive.signal("correct")
    go(drive)
    drive.finish(None)
    log = read(path).log()
    own = {name: stream for name, stream in log.streams.items() if not name.startswith("drive/")}
    assert own.keys() == done.log.streams.keys()
    for name, stream in done.log.streams.items():
        assert (own[name].values.dtype, own[name].clock) == (stream.values.dtype, stream.clock), name
        np.testing.assert_array_equal(own[name].t_ns, stream.t_ns)
        np.testing.assert_array_equal(own[name].values, stream.values)
    assert [one for one in log.events if one.name != "correction"] == list(done.log.events)
    assert {name: log.metadata[name] for name in done.log.metadata} == done.log.metadata


def test_it_begins_at_the_failure_and_waits_for_the_person(path):
    drive = driven(path, takeover=failed())
    assert (drive.state.control, drive.state.t_ns) == (Control.PAUSED, 40 * 50_000_000)
    assert not drive.step(STILL)
    assert drive.step(MOVES)
    assert (drive.state.control, drive.state.takeovers, drive.state.human_steps) == (Control.RECOVERY, 1, 1)
    drive.signal("correct")
    go(drive, 5)
    drive.finish(Outcome.FAILURE)
    log = read(path).log()
    author = log.streams["author"].values[:, 0]
    assert not author[:40].any()
    assert author[40:].all()
    assert codes(log) == ["recovery"] + 5 * ["correction"]
    assert names(log, "takeover", "recovery", "correction", "end") == ["takeover", "recovery", "correction", "end"]
    assert (log.metadata["outcome"], log.metadata["said"]) == ("failure", "failure")
    assert log.streams["drive/latency_ms"].values[:, 0].tolist() == 6 * [31.0]
    assert log.streams["drive/input_ms"].values[:, 0].tolist() == 6 * [4.0]


def test_what_the_policy_wants_stands_beside_what_the_person_does(path):
    drive = driven(path, takeover=failed())
    go(drive, 20)
    drive.cut()
    streams = read(path).log().streams
    assert np.allclose(streams["action/intended"].values[40:], 0.2)
    assert not np.allclose(streams["action/operator"].values, 0.2)
    np.testing.assert_array_equal(streams["action/operator"].values, streams["action/executed"].values[40:])
    assert len(streams["policy/uncertainty"].t_ns) == 20


def test_a_person_watches_the_policy_takes_over_and_hands_back(path):
    drive = driven(path)
    assert go(drive, 12, STILL) == 12
    drive.signal("takeover")
    assert not drive.step(STILL)
    go(drive, 6)
    drive.signal("handback")
    go(drive, 4)
    drive.finish(None)
    log = read(path).log()
    assert log.streams["author"].values[:, 0].tolist() == 12 * [0] + 6 * [1] + 4 * [0]
    assert codes(log) == 12 * ["autonomous"] + 6 * ["recovery"] + 4 * ["autonomous"]
    assert names(log, "takeover", "recovery", "handback") == ["takeover", "recovery", "handback"]
    assert (log.metadata["takeovers"], log.metadata["human_steps"]) == (1, 6)
    assert (np.diff(log.streams["author"].t_ns) == 50_000_000).all()


def test_a_pause_without_a_step_is_no_takeover(path):
    drive = driven(path)
    go(drive, 3, STILL)
    drive.signal("takeover")
    drive.signal("handback")
    go(drive, 3, STILL)
    assert (drive.state.control, drive.state.takeovers) == (Control.AUTONOMOUS, 0)
    with pytest.raises(UsageError, match="no step of yours"):
        drive.finish(None)


def test_whoever_takes_over_begins_with_the_action_that_was_carried_out_last(path):
    drive = driven(path)
    go(drive, 5, STILL)
    drive.signal("takeover")
    go(drive, 8, Inputs(axes=(-1.0, 1.0, -1.0)))
    drive.cut()
    moved = np.abs(np.diff(read(path).log().streams["action/executed"].values[4:], axis=0)).max(axis=1)
    assert (moved[:6] <= 1.2 / 6 + 1e-9).all()  # 0.3 s at 20 steps a second: a sixth of the way a step
    assert moved[0] > 0.1
    assert np.allclose(moved[6:], 0.0)


def test_a_redo_goes_back_to_the_takeover_and_leaves_no_trace_but_its_cost(path):
    drive = driven(path, skilled=True, takeover=failed())
    go(drive, 7)
    drive.signal("redo")
    assert (drive.state.control, drive.state.t_ns, drive.state.redos) == (Control.PAUSED, 40 * 50_000_000, 1)
    drive.signal("correct")
    go(drive)
    drive.finish(Outcome.SUCCESS)
    log = read(path).log()
    again = driven(path.with_name("two"), skilled=True, takeover=failed())
    again.signal("correct")
    go(again)
    again.finish(Outcome.SUCCESS)
    once = read(path.with_name("two")).log()
    # The expert's tremor goes on where it was: the two tries agree up to the takeover, and in shape.
    np.testing.assert_array_equal(
        log.streams["observation/hand"].values[:41], once.streams["observation/hand"].values[:41]
    )
    assert names(log, "takeover", "recovery", "correction") == ["takeover", "correction"]
    assert log.metadata["human_steps"] == 7 + log.streams["author"].values.sum()
    assert (log.metadata["redos"], once.metadata["redos"]) == (1, 0)
    phases = [event.name for event in log.events if event.name.startswith("phase/")]
    assert len(phases) == len(set(phases))


def test_what_is_shown_of_takeovers_and_steps_is_what_would_be_handed_in(path):
    drive = driven(path)
    go(drive, 12, STILL)
    for _ in range(2):
        drive.signal("takeover")
        go(drive, 4)
        drive.signal("redo")
    assert (drive.state.takeovers, drive.state.human_steps, drive.state.redos) == (0, 0, 2)
    with pytest.raises(UsageError, match="no step of yours"):  # all that they did was wound back
        drive.finish(None)
    go(drive, 3)
    assert (drive.state.takeovers, drive.state.human_steps) == (1, 3)
    drive.finish(None)
    log = read(path).log()
    assert takeovers_n(log.streams["author"].values, led=True) == 1
    assert (log.metadata["takeovers"], log.metadata["human_steps"]) == (1, 11)  # the cost counts what was thrown away


def test_a_redo_from_a_later_pause_that_throws_away_what_they_did_counts(path):
    drive = driven(path)
    go(drive, 12, STILL)
    drive.signal("takeover")
    go(drive, 8)
    drive.signal("handback")
    go(drive, 4, STILL)
    drive.signal("takeover")
    drive.signal("redo")  # ten steps further back is before their first step
    assert (drive.state.human_steps, drive.state.takeovers, drive.state.redos) == (0, 0, 1)


def test_winding_back_once_more_goes_further_back_and_never_before_the_start(path):
    drive = driven(path, takeover=failed())
    seen = []
    for _ in range(6):
        drive.signal("redo")
        seen.append(drive.state.t_ns // 50_000_000)
    assert seen == [30, 20, 10, 0, 0, 0]
    assert drive.state.redos == 0
    go(drive, 3)
    drive.cut()
    log = read(path).log()
    assert log.streams["author"].values[:, 0].tolist() == [1, 1, 1]
    assert len(log.streams["observation/hand"].t_ns) == 4


def test_a_person_alone_shows_the_whole_task_and_nothing_is_taken_over(path):
    drive = driven(path, skilled=True, policy=False, source=Source.DEMONSTRATION)
    drive.signal("handback")
    assert drive.state.alone
    assert drive.state.control is Control.PAUSED
    go(drive)
    assert drive.state.over == "success"
    drive.finish(None)
    log = read(path).log()
    assert set(codes(log)) == {"correction"}
    assert log.streams["author"].values.all()
    assert (log.metadata["takeovers"], log.metadata["outcome"], log.metadata["source"]) == (
        0,
        "success",
        "demonstration",
    )
    assert log.events[-1].name == "success"
    assert "action/intended" not in log.streams


def test_time_runs_out_for_policy_and_person(path):
    drive = driven(path)
    assert go(drive, inputs=STILL) == Tiny.spec.horizon_steps
    assert drive.state.over == "time"
    drive.signal("takeover")
    assert drive.state.control is Control.AUTONOMOUS
    drive.signal("redo")
    assert (drive.state.over, drive.state.control) == ("", Control.PAUSED)
    assert go(drive) == 20 * 120  # two minutes at 20 steps a second
    drive.finish(None)
    assert read(path).log().events[-1].name == "timeout"


def test_what_was_not_finished_is_read_back_as_aborted(path):
    drive = driven(path, takeover=failed())
    go(drive, 9)
    back = read(path)  # while it is still being written
    log = back.log()
    assert (back.end, back.human_steps) == (None, 9)
    assert len(log.streams["author"].t_ns) == 49
    assert (log.events[-1].name, log.metadata["outcome"]) == ("abort", "aborted")
    assert log.metadata["start"] == {"seed": 5, "factors": roll().start.factors}


def test_a_discarded_try_leaves_nothing(path):
    drive = driven(path)
    go(drive, 3)
    drive.discard()
    assert not path.exists()


def test_two_drives_never_write_one_journal(path):
    drive = driven(path)
    with pytest.raises(AlreadyThere, match="is being driven"):
        driven(path)
    drive.cut()


def test_a_site_that_does_not_repeat_itself_is_not_driven_from_its_failure(path):
    takeover = failed()
    elsewhere = replace(takeover, arrived={"hand": takeover.arrived["hand"] + 1e-9})
    with pytest.raises(SiteFault, match="does not reach the logged state"):
        driven(path, takeover=elsewhere)
    assert not path.exists()


def test_a_site_that_cannot_restore_says_so_when_a_redo_is_asked_for(path):
    class Forgetful(Tiny):
        snapshot = None

    drive = driven(path, site=Forgetful(), policy=False)
    go(drive, 2)
    with pytest.raises(UsageError, match="cannot go back"):
        drive.signal("redo")


def test_a_signal_that_nobody_knows_is_refused(path):
    with pytest.raises(UsageError, match="nothing that a drive understands"):
        driven(path).signal("fly")
