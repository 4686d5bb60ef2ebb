import hashlib

import pytest

from saqiya.domain.contracts import Roll
from saqiya.domain.nouns import Source
from saqiya.errors import SiteFault
from saqiya.loop.tries.crew import Crew, Task
from saqiya.sites.tiny import Tiny


def tasks(folder, seeds):
    folder.mkdir(exist_ok=True)
    rolls = [Roll(f"try/{seed}", Tiny().sample_start(seed), Source.DEMONSTRATION, operator="me") for seed in seeds]
    return [Task(roll, None, folder / f"{roll.start.seed}.mcap", {"task": "carry"}) for roll in rolls]


def prints(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.slow
def test_how_many_share_the_work_changes_no_bit_of_it(fresh):
    for workers in (0, 2):
        with Crew("tiny", workers=workers) as crew:
            done = list(crew.run(tasks(fresh / str(workers), range(8))))
        assert [ran.roll.start.seed for ran in done] == list(range(8))
    assert prints(fresh / "0") == prints(fresh / "2")
    assert len(prints(fresh / "0")) == 8


def test_a_recording_that_is_there_is_not_written_over(fresh):
    (task,) = tasks(fresh / "spool", [4])
    task.out.write_bytes(b"kept")
    with Crew("tiny", workers=0) as crew:
        (ran,) = crew.run([task])
    assert ran.success
    assert task.out.read_bytes() == b"kept"


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_site_that_gives_nan_fails_its_own_try_and_no_other(fresh, broken_sites, workers):
    with Crew("nan", workers=workers) as crew:
        done = list(crew.run(tasks(fresh / "spool", range(7))))
    assert [ran.roll.start.seed for ran in done if ran.fault] == [0, 3, 6]
    assert "puck is not finite" in str(done[0].fault)
    assert sorted(prints(fresh / "spool")) == ["1.mcap", "2.mcap", "4.mcap", "5.mcap"]


@pytest.mark.slow
def test_a_process_that_dies_is_a_clear_error_and_the_crew_can_go_on(fresh, broken_sites):
    with Crew("dies", workers=2) as crew:
        with pytest.raises(SiteFault, match="dies: a rollout process died"):
            list(crew.run(tasks(fresh / "spool", [1, 2, 3])))
        done = list(crew.run(tasks(fresh / "spool", [1, 2, 4])))
    assert [ran.fault for ran in done] == [None] * 3


def test_no_work_starts_nobody(fresh):
    with Crew("no such site", workers=2) as crew:
        assert list(crew.run([])) == []
