"""The recorder: never in the loop's way, bounded, honest about losses, and hard to kill."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from saqiya.domain.streams import Stamp
from saqiya.errors import AlreadyThere, InvalidEpisode, RecorderFault, UsageError, WorkspaceError
from saqiya.formats.mcap.log import McapFormat
from saqiya.record.recorder import Recorder, Signal
from saqiya.record.recover import recover

JOINT = Signal((14,), unit="rad", clock="robot", stamp=Stamp.PUBLISH, fields=tuple(f"j{i}" for i in range(14)))
SIGNALS = {"observation/joint": JOINT, "contact/force": Signal((6,), "<f4", unit="N")}


def read(path):
    [log] = McapFormat().read(path)
    return log


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_what_is_recorded_is_read_back(tmp_path):
    values = np.random.default_rng(1).normal(size=(500, 14))
    with Recorder(tmp_path / "a.mcap", SIGNALS, metadata={"task": "pick"}, strict=True) as recorder:
        for i, row in enumerate(values):
            assert recorder.record("observation/joint", i * 1_000_000, row)
        recorder.event(3, "phase/grasp", "é" * 40)
        done = recorder.close(outcome="success", metadata={"operator": "ann"})
    log = read(done.path)
    joint = log.streams["observation/joint"]
    assert joint.values.tobytes() == values.tobytes()
    assert joint.t_ns.tolist() == [i * 1_000_000 for i in range(500)]
    assert (joint.unit, joint.clock, joint.stamp, joint.fields) == (JOINT.unit, JOINT.clock, JOINT.stamp, JOINT.fields)
    assert log.streams["contact/force"].values.shape == (0, 6)
    assert [(e.t_ns, e.name, e.detail) for e in log.events] == [(3, "phase/grasp", "é" * 40)]
    assert (log.metadata["task"], log.metadata["outcome"], log.metadata["operator"]) == ("pick", "success", "ann")
    assert (log.metadata["losses"], log.metadata["recorder"]) == ({}, {"ended": "closed"})
    assert done.samples == {"observation/joint": 500, "contact/force": 0, "events": 1}


def test_overflow_is_counted_in_the_log(tmp_path):
    with Recorder(tmp_path / "a.mcap", {"x": Signal((4,))}, capacity_bytes=400) as recorder:
        os.kill(recorder.writer_pid, signal.SIGSTOP)
        taken = sum(recorder.record("x", t, np.zeros(4)) for t in range(100))
        os.kill(recorder.writer_pid, signal.SIGCONT)
        done = recorder.close()
    log = read(done.path)
    assert taken == 10
    assert done.losses == log.metadata["losses"] == {"x": {"overflow": 90}}
    [event] = [event for event in log.events if event.name == "recorder/lost"]
    assert event.t_ns == 99
    assert "90 samples" in event.detail


def test_each_kind_of_loss_has_its_count_and_none_raises(tmp_path):
    recorder = Recorder(tmp_path / "a.mcap", SIGNALS)
    recorder.record("contact/force", 5, np.zeros(6, np.float32))
    assert not recorder.record("contact/force", 4, np.zeros(6, np.float32))
    assert not recorder.record("contact/force", 6, np.zeros(5, np.float32))
    assert not recorder.record("contact/torque", 6, np.zeros(6))
    assert not recorder.event(7, "long", "x" * 600)
    done = recorder.close()
    assert done.losses == {
        "contact/force": {"late": 1, "malformed": 1},
        "events": {"malformed": 1},
        "unknown": {"undeclared": 1},
    }
    assert read(done.path).metadata["losses"] == done.losses
    assert not recorder.record("contact/force", 8, np.zeros(6))


@pytest.mark.parametrize(("name", "t_ns", "values"), [("x", 0, 1.0), ("x", 2, [1.0, 2.0]), ("y", 2, 1.0)])
def test_strict_raises_where_the_default_counts(tmp_path, name, t_ns, values):
    recorder = Recorder(tmp_path / "a.mcap", {"x": Signal(())}, strict=True)
    recorder.record("x", 1, 1.0)
    with pytest.raises(RecorderFault, match="sample was lost"):
        recorder.record(name, t_ns, values)
    with pytest.raises(RecorderFault, match="lost"):
        recorder.close()


def test_memory_stays_bounded(tmp_path):
    """Two hundred times what the ring holds goes through; the writer's peak does not grow with it."""
    row = np.random.default_rng(0).normal(size=5000)
    recorder = Recorder(tmp_path / "a.mcap", {"x": Signal((5000,))}, capacity_bytes=1 << 20)
    status = Path(f"/proc/{recorder.writer_pid}/statm")
    sizes, taken = [], 0
    for _ in range(8):
        goal = taken + 26
        while taken < goal:
            taken += recorder.record("x", taken, row)
        sizes.append(int(status.read_text().split()[1]) * resource.getpagesize())
    done = recorder.close()
    assert done.samples["x"] == taken
    assert max(sizes) - sizes[0] < 64 << 20


def test_full_disk_is_reported_at_close_and_the_log_stays_readable(tmp_path):
    recorder = Recorder(tmp_path / "a.mcap", {"x": Signal((100,))})
    resource.prlimit(recorder.writer_pid, resource.RLIMIT_FSIZE, (20_000, 20_000))
    rng = np.random.default_rng(0)
    for t in range(500):
        recorder.record("x", t, rng.normal(size=100))
    recorder.event(500, "end")
    done = recorder.close()
    assert "could not be written in full" in done.fault
    assert done.losses["x"]["unwritten"] == 500 - done.samples["x"] > 0
    assert read(done.path).metadata["losses"] == done.losses


def test_killed_writer_is_reported_at_close(tmp_path):
    recorder = Recorder(tmp_path / "a.mcap", {"x": Signal(())})
    recorder.record("x", 1, 1.0)
    os.kill(recorder.writer_pid, signal.SIGKILL)
    assert "saqiya record recover" in recorder.close().fault


def test_the_writer_leaves_a_real_time_class(tmp_path):
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pytest.skip("this user may not run in a real-time class")
    try:
        recorder = Recorder(tmp_path / "a.mcap", SIGNALS)
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    assert os.sched_getscheduler(recorder.writer_pid) == os.SCHED_BATCH
    assert os.getpriority(os.PRIO_PROCESS, recorder.writer_pid) > os.getpriority(os.PRIO_PROCESS, 0)
    recorder.close()


def test_a_log_that_exists_or_cannot_be_opened_is_an_error_at_the_start(tmp_path):
    (tmp_path / "a.mcap").touch()
    with pytest.raises(AlreadyThere):
        Recorder(tmp_path / "a.mcap", SIGNALS)
    with pytest.raises(WorkspaceError, match="cannot be opened"):
        Recorder(tmp_path / "none" / "a.mcap", SIGNALS)


def test_wrong_declarations_are_refused(tmp_path):
    with pytest.raises(InvalidEpisode, match="not numbers"):
        Recorder(tmp_path / "a.mcap", {"x": Signal((), "<U4")})
    with pytest.raises(UsageError, match="no two samples"):
        Recorder(tmp_path / "a.mcap", SIGNALS, capacity_bytes=100)
    with pytest.raises(UsageError, match="taken"):
        Recorder(tmp_path / "a.mcap", {"events": Signal(())})
    with pytest.raises(InvalidEpisode, match="not JSON"):
        Recorder(tmp_path / "a.mcap", SIGNALS, metadata={"x": object()})


LOOP = """
import sys, time
from pathlib import Path
import numpy as np
from saqiya.record.recorder import Recorder, Signal

recorder = Recorder(Path(sys.argv[1]), {"x": Signal((14,))}, metadata={"task": "pick"})
print(recorder.writer_pid, flush=True)
while True:
    now = time.monotonic_ns()
    recorder.record("x", now, np.full(14, now, np.float64))
    print(now, flush=True)
    time.sleep(0.001)
"""


def run_and_kill(path, *, seconds, both):
    """Record for a while, kill, and return the writer's pid and the last stamp that `record` had taken."""
    with subprocess.Popen([sys.executable, "-c", LOOP, str(path)], stdout=subprocess.PIPE, text=True) as loop:
        writer = int(loop.stdout.readline())
        first = last = int(loop.stdout.readline())
        while last - first < seconds * 1e9:
            last = int(loop.stdout.readline())
        if both:
            os.kill(writer, signal.SIGKILL)
        loop.kill()
        rest = loop.stdout.read().split()
        return writer, int(rest[-1]) if rest else last


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state == "Z"  # an orphan that nobody has reaped yet


def test_killed_control_process_leaves_a_whole_log(tmp_path):
    writer, last = run_and_kill(tmp_path / "a.mcap", seconds=0.7, both=False)
    until(lambda: gone(writer))
    log = read(tmp_path / "a.mcap")
    assert log.streams["x"].t_ns[-1] >= last
    assert log.metadata["recorder"] == {"ended": "the control process died"}
    assert (log.metadata["task"], log.metadata["losses"]) == ("pick", {})


@pytest.mark.slow
def test_both_killed_lose_at_most_a_second(tmp_path):
    _, last = run_and_kill(tmp_path / "a.mcap", seconds=2.0, both=True)
    log = read(recover(tmp_path / "a.mcap").path)
    assert (last - log.streams["x"].t_ns[-1]) / 1e9 < 1.0


def test_the_robots_side_stays_light():
    heavy = {
        "sqlalchemy",
        "torch",
        "pandas",
        "sklearn",
        "dbos",
        "h5py",
        "matplotlib",
        "scipy",
        "mcap",
        "google.protobuf",
    }
    code = f"import sys, saqiya.record.recorder, saqiya.record.recover; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
