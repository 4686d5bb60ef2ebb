from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from saqiya.errors import Corrupt, PolicyUnreadable, StorageFull, WorkspaceBusy, WorkspaceTooNew
from saqiya.loop import turn as order
from saqiya.loop.flywheel import Flywheel

TIMES = {"cycle_s", "own_share", "busy_share", "seconds"}


def told(wheel):
    """Counts by kind, and every figure that is not a time."""
    figures = [{name: value for name, value in turn.figures.items() if name not in TIMES} for turn in wheel.turns()]
    return wheel.store.catalog.count(), figures


def step(wheel, *names):
    """Carry out steps of the turn under way without any workflow state: as after a kill and a loss of derived/."""
    for name, action in order.steps(wheel):
        if name in names:
            action(wheel)


@pytest.mark.slow
def test_deleting_the_workflow_state_at_any_step_loses_nothing(turned_once, fresh, new_wheel):
    with Flywheel(new_wheel(fresh / "wheel")) as wheel:
        step(wheel, "bootstrap", "mix", "train", "evaluate", "deploy")
        assert wheel.turn().number == 0
        step(wheel, "detect", "triage", "correct", "mix", "train", "evaluate", "deploy")
        shutil.rmtree(wheel.store.derived)
    with Flywheel(fresh / "wheel") as wheel:
        assert wheel.turn().number == 1
        assert told(wheel) == told(turned_once)
        assert wheel.verify().lies == ()


def test_an_error_in_a_step_is_raised_as_itself_and_the_next_call_goes_on(turned):
    with Flywheel(turned) as wheel:
        weights = wheel.store.objects.path(wheel.champion()[0].weights)
        good = weights.read_bytes()
        weights.unlink()
        weights.write_bytes(b"not safetensors")
        with pytest.raises(PolicyUnreadable, match="does not load as safetensors"):
            wheel.turn()
        assert wheel.number == 2
        weights.unlink()
        weights.write_bytes(good)
        assert wheel.turn().number == 2
        assert wheel.verify(full=True).lies == ()


@pytest.mark.slow
def test_a_turn_that_recovery_ends_is_not_turned_twice(fresh, new_wheel):
    root = new_wheel(fresh / "wheel")
    killed = "import os, sys; from saqiya.loop.flywheel import Flywheel as F\n"
    killed += "F(sys.argv[1], progress=lambda what, *_: os._exit(9) if what == 'close' else None).turn()"
    assert subprocess.run([sys.executable, "-c", killed, str(root)], check=False).returncode == 9
    with Flywheel(root) as wheel:
        durable = wheel._durable
        while wheel.number == 0:
            time.sleep(0.01)
        assert durable.turn().number == 0
        assert wheel.number == 1


def test_two_turns_at_once_in_one_scope_are_refused_by_name(turned):
    with Flywheel(turned) as wheel, wheel.store.lock(wheel.scope):
        command = [sys.executable, "-m", "saqiya.cli", "turn", "--workspace", str(turned)]
        command = [
            sys.executable,
            "-c",
            f"import sys; sys.argv = {command[2:]!r}; from saqiya.cli.app import main; main()",
        ]
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert wheel.scope in second.stderr
        assert "holds it since" in second.stderr
        assert wheel.number == 2


def test_a_second_wheel_in_the_same_process_is_refused_too(turned):
    with Flywheel(turned) as wheel, Flywheel(turned) as other:
        with wheel.store.lock(wheel.scope), pytest.raises(WorkspaceBusy):
            other.turn()
        assert other.number == 2


def test_damaged_workflow_state_says_what_to_delete_and_keeps_no_lock(turned):
    shutil.rmtree(turned / "derived")
    (turned / "derived").mkdir()
    (turned / "derived" / "workflow.sqlite").write_bytes(b"no database at all" * 100)
    with Flywheel(turned) as wheel:
        with pytest.raises(Corrupt, match=r"Delete derived/"):
            wheel.turn()
        shutil.rmtree(turned / "derived")
        (turned / "derived").mkdir()
        assert wheel.turn().number == 2


def test_a_workspace_of_a_newer_saqiya_is_refused(turned):
    (turned / "workspace.json").write_text('{"format": 99, "site": "local"}')
    with pytest.raises(WorkspaceTooNew, match="format 99"):
        Flywheel(turned)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own for a test, whose size can be changed; only root may mount one."""
    place = tmp_path / "disk"
    place.mkdir()

    def size(kilobytes, *, again=True):
        how = "remount,size" if again else "size"
        command = ["mount", "-t", "tmpfs", "-o", f"{how}={kilobytes}k", "tmpfs", str(place)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    refused = size(1, again=False).stderr
    if refused:
        pytest.skip(f"a disk that fills needs a file system of its own, and none can be mounted here: {refused}")
    yield place, size
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [400, 600, 1000, 1500])
def test_a_disk_that_fills_stops_the_turn_and_room_lets_it_go_on(small_disk, new_wheel, turned_once, kilobytes):
    place, size = small_disk
    size(kilobytes)
    with Flywheel(new_wheel(place / "wheel")) as wheel:
        with pytest.raises(StorageFull):
            wheel.turn()
        assert wheel.number == 0
        size(60_000)
        wheel.turn()
        wheel.turn()
        assert wheel.verify(full=True).lies == ()
        assert list(Path(place / "wheel" / "spool").iterdir()) == []
        assert told(wheel) == told(turned_once)
