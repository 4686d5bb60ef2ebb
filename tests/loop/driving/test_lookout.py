import time

import pytest
from tests.loop.driven import MOVES, cut_all, driven, failed, go
from tests.loop.watched import Fades, carried_on, fitted_on, one_try

from saqiya.loop.driving.journal import read
from saqiya.loop.driving.person import Inputs
from saqiya.loop.tries.guard import SCORE
from saqiya.loop.tries.monitor import Monitor
from saqiya.sites.tiny import Tiny

STILL = Inputs(axes=(0.0, 0.0, 0.0))
GOOD_N = 20


class Slow(Monitor):
    """A monitor that takes a while for every step."""

    took_s = 0.0

    def see(self, *args, **how):
        began = time.perf_counter()
        time.sleep(0.02)
        said = super().see(*args, **how)
        self.took_s += time.perf_counter() - began
        return said


@pytest.fixture(scope="module")
def carried():
    normal = [one_try(seed).log for seed in range(12)]
    return carried_on(fitted_on(normal), normal)


@pytest.fixture
def path(tmp_path):
    yield tmp_path / "one.drive"
    cut_all()


def watched(path, monitor, **how):
    """A drive in which a policy leads that goes wrong after some steps."""
    site = Tiny()
    start = site.sample_start(300, region=0.5)
    how = {"site": site, "policy": Fades(site, GOOD_N), "start": start, "monitor": monitor, **how}
    return driven(path, **how)


def alarms(log):
    return [event for event in log.events if event.name.startswith("alarm/")]


def told(log):
    return [(event.t_ns, event.name, event.detail.partition(" (told")[0]) for event in alarms(log)]


def test_it_says_of_a_watched_policy_what_a_roll_says(path, carried):
    drive = watched(path, Monitor(carried))
    went = go(drive, 60, STILL)
    drive.signal("takeover")
    go(drive, 3)
    drive.finish(None)
    log = read(path).log()
    site = Tiny()
    alone = one_try(300, good_n=GOOD_N, site=site, monitor=Monitor(carried)).log
    assert log.streams[SCORE].values[:went].tolist() == alone.streams[SCORE].values[:went].tolist()
    assert log.streams[SCORE].t_ns[:went].tolist() == alone.streams[SCORE].t_ns[:went].tolist()
    until_ns = int(log.streams["author"].t_ns[went - 1])
    assert alarms(alone)[0].t_ns < until_ns
    assert [one for one in told(log) if one[0] <= until_ns] == [one for one in told(alone) if one[0] <= until_ns]
    names = [event.name for event in log.events]
    assert names.index("takeover") > names.index(alarms(log)[0].name)
    assert [event.t_ns for event in log.events] == sorted(event.t_ns for event in log.events)
    assert drive.verdict.alarm
    assert drive.verdict.reason


def test_a_slow_one_lags_and_holds_no_step_up(path, carried):
    monitor = Slow(carried)
    drive = watched(path, monitor)
    monitor.took_s = 0.0
    began = time.perf_counter()
    go(drive, 40, STILL)
    stepped_s = time.perf_counter() - began
    drive.signal("takeover")
    go(drive, 1)
    drive.finish(None)
    log = read(path).log()
    assert stepped_s < monitor.took_s / 2
    assert len(log.streams[SCORE].t_ns) >= 40
    assert "s later)" in alarms(log)[0].detail  # nobody could have seen it at its instant


def test_what_is_not_looked_at_in_time_is_said(path, carried, monkeypatch):
    monkeypatch.setattr("saqiya.loop.driving.lookout.WAIT_S", 0.0)
    drive = watched(path, Slow(carried))
    go(drive, 10, STILL)
    drive.signal("takeover")
    go(drive, 1)
    drive.finish(None)
    (said,) = [event.detail for event in read(path).log().events if event.name == "monitor/blind"]
    assert "steps were not looked at in time" in said


def test_what_was_wound_back_leaves_no_word_of_the_monitor(path, carried):
    drive = watched(path, Monitor(carried))
    went = go(drive, 60, STILL)
    drive.signal("takeover")
    go(drive, 8)
    drive.signal("redo")  # to the takeover
    drive.signal("redo")  # and ten steps further back
    at_ns = drive.state.t_ns
    assert at_ns < went * 50_000_000
    go(drive, 4)
    drive.finish(None)
    log = read(path).log()
    assert (log.streams[SCORE].t_ns < at_ns + 5 * 50_000_000).all()
    assert len(set(log.streams[SCORE].t_ns.tolist())) == len(log.streams[SCORE].t_ns)
    before = [event for event in alarms(log) if event.t_ns < at_ns]
    assert before
    assert log.metadata["takeovers"] == 1


def test_it_takes_no_part_where_a_try_begins_at_a_failure(path, carried):
    drive = driven(path, takeover=failed(), monitor=Monitor(carried))
    go(drive, 5, MOVES)
    drive.finish(None)
    assert drive.verdict is None
    assert SCORE not in read(path).log().streams
