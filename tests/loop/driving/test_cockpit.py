import json
import os
import signal
from dataclasses import replace

import pytest
from tests.loop.driven import FACTS, failed, roll

from saqiya.loop.driving.cockpit import Order, controls_of, parts, start
from saqiya.loop.driving.journal import read
from saqiya.loop.tries.crew import Task
from saqiya.sites.tiny import Tiny

RIGHT = [1.0, 0.0, 0.0]


class Seat:
    """A browser without a browser: says things to a drive process and looks at what comes back."""

    def __init__(self, path, **how):
        self.path, self.t = path, 0.0
        made = roll(**{"policy": None, **how})
        self.process, self.pipe = start(Order("tiny", Task(made, None, path, FACTS), path))
        self.seen = [self.look()]

    def look(self):
        assert self.pipe.poll(30), "the drive process is silent"
        return parts(self.pipe.recv_bytes())[0]

    def say(self, **what):
        self.t += 1.0
        self.pipe.send_bytes(json.dumps({"t": self.t, **what}).encode())
        return self.t

    def until(self, told, **what):
        """Go on saying `what` until the header answers to `told`; a signal is said once."""
        for _ in range(2000):
            self.say(**what)
            what.pop("signal", None)
            self.seen.append(self.look())
            if told(self.seen[-1]):
                return self.seen[-1]
        raise AssertionError(self.seen[-1])

    def leave(self):
        self.pipe.close()
        self.process.join(20)
        assert self.process.exitcode is not None


@pytest.fixture
def seat(tmp_path):
    seats = []

    def made(**how):
        seats.append(Seat(tmp_path / f"{len(seats)}.drive", **how))
        return seats[-1]

    yield made
    for one in seats:
        one.leave()


def test_a_person_drives_takes_over_corrects_and_saves_through_the_pipe(seat):
    one = seat(takeover=failed())
    assert (one.seen[0]["control"], one.seen[0]["alone"]) == ("paused", True)
    one.until(lambda told: told["human_steps"] >= 3, axes=RIGHT, latency=42.0)
    assert one.seen[-1]["control"] == "recovery"
    one.until(lambda told: told["control"] == "correction", signal="phase")
    one.until(lambda told: told["human_steps"] >= 8, axes=RIGHT, latency=43.0)
    one.until(lambda told: told["said"] == "failure", signal="failure")
    assert one.until(lambda told: told["ended"] == "saved", signal="save")["takeovers"] == 1
    log = read(one.path).log()
    assert (log.metadata["said"], log.metadata["outcome"]) == ("failure", "failure")
    assert log.streams["author"].values[:40].sum() == 0
    assert log.streams["author"].values.sum() == log.metadata["human_steps"] >= 8
    assert set(log.streams["drive/latency_ms"].values[:, 0]) >= {42.0, 43.0}
    assert (log.streams["drive/input_ms"].values >= 0).all()
    assert log.streams["drive/control"].values[0] == 2.0  # recovery
    assert log.streams["drive/control"].values[-1] == 3.0


def test_every_picture_says_which_input_it_shows(seat):
    one = seat()
    at = one.say(axes=RIGHT)
    told = one.look()
    while told["echo"] < at:
        told = one.look()
    assert told["echo"] == at
    assert told["steps"] >= 1


def test_a_redo_and_a_discard_leave_nothing(seat):
    one = seat(takeover=failed())
    one.until(lambda told: told["human_steps"] >= 3, axes=RIGHT)
    back = one.until(lambda told: told["redos"] == 1, signal="redo")
    assert (back["control"], back["t_ns"]) == ("paused", 40 * 50_000_000)
    for _ in range(3):  # a key that is still held begins nothing
        one.until(lambda told: told["echo"] == one.t, axes=RIGHT)
    assert one.seen[-1]["control"] == "paused"
    one.until(lambda told: told["echo"] == one.t, axes=[0.0, 0.0, 0.0])
    one.until(lambda told: told["control"] == "recovery", axes=RIGHT)
    one.until(lambda told: told["ended"] == "discarded", signal="discard")
    one.process.join(20)
    assert not one.path.exists()


def test_nonsense_is_named_and_the_drive_goes_on(seat):
    one = seat()
    for said in (b"{", b"[]", b'{"t": "x"}', b'{"t": 1, "axes": ["a"]}', b'{"t": 1, "fly": 2}', b"\xff"):
        one.pipe.send_bytes(said)
        while not one.look()["notice"]:
            pass
    assert "no step of yours" in one.until(lambda told: told["notice"], signal="save")["notice"]
    assert one.until(lambda told: told["human_steps"] >= 2, axes=RIGHT)["ended"] == ""


def test_the_robot_stands_still_while_the_browser_is_silent(seat):
    one = seat()
    one.until(lambda told: told["human_steps"] >= 2, axes=RIGHT)
    last, told = one.look(), one.look()
    while told["steps"] > last["steps"]:  # a second after the last word the steps stop
        last, told = told, one.look()
    assert one.look()["steps"] == last["steps"]
    assert one.until(lambda told: told["steps"] > last["steps"], axes=RIGHT)["ended"] == ""


def test_a_killed_drive_leaves_all_but_its_last_half_second(seat):
    one = seat(takeover=failed())
    one.until(lambda told: told["human_steps"] >= 25, axes=RIGHT)
    last = one.seen[-1]["human_steps"]
    os.kill(one.process.pid, signal.SIGKILL)
    one.process.join(20)
    drove = read(one.path)
    assert drove.end is None
    assert drove.human_steps >= last  # a step is on disk before its picture goes out
    log = drove.log()
    assert log.metadata["outcome"] == "aborted"
    assert len(log.streams["drive/latency_ms"].t_ns) == drove.human_steps


def test_a_drive_ends_when_the_server_is_gone_and_what_was_done_stays(seat):
    one = seat()
    one.until(lambda told: told["human_steps"] >= 3, axes=RIGHT)
    one.leave()
    assert read(one.path).human_steps >= 3


def test_a_fault_of_the_site_is_told_before_the_process_ends(seat):
    takeover = failed()
    one = seat(takeover=replace(takeover, arrived={"hand": takeover.arrived["hand"] + 1.0}))
    assert one.seen[0]["ended"] == "fault"
    assert "does not reach" in one.seen[0]["fault"]["what"]


def test_a_site_is_driven_as_it_says():
    assert controls_of(Tiny()) is Tiny.controls


def test_a_monitor_that_cannot_be_read_is_said_and_people_drive_without_it(tmp_path):
    damaged = tmp_path / "monitor"
    damaged.write_bytes(b"no monitor")
    path = tmp_path / "one.drive"
    process, pipe = start(Order("tiny", Task(roll(), None, path, FACTS, monitor=damaged), path))
    assert pipe.poll(30)
    told = parts(pipe.recv_bytes())[0]
    assert told["notice"].startswith("No monitor watches: ")
    assert (told["control"], told["monitor"]) == ("paused", None)
    pipe.close()
    process.join(20)
