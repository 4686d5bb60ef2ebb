import os

import pytest

from saqiya.domain.contracts import Roll
from saqiya.domain.nouns import Episode, OutcomeClaim, Source
from saqiya.errors import SiteFault, UnreadableLog
from saqiya.loop.flywheel import Flywheel
from saqiya.sites.tiny import Tiny


@pytest.fixture
def wheel(fresh, new_wheel):
    with Flywheel(new_wheel(fresh / "wheel")) as opened:
        yield opened


def rolls(seeds):
    return [Roll(f"a/{seed}", Tiny().sample_start(seed), Source.DEMONSTRATION, operator="me") for seed in seeds]


def anew(wheel):
    """The roller of a process that has just started."""
    wheel.__dict__.pop("roller", None)
    return wheel.roller


def test_a_roll_becomes_an_episode_with_its_outcome(wheel):
    (rolled,) = wheel.roller(rolls([4]))
    claim = wheel.store.catalog.by_key(OutcomeClaim, "a/4/log")
    assert rolled.success
    assert claim.value == "success"
    assert rolled.episode == wheel.episode("a/4")
    assert (rolled.human_steps, rolled.episode.start) == (rolled.episode.steps, rolled.roll.start)
    assert list(wheel.store.spool.iterdir()) == []


def test_what_is_an_episode_already_is_not_run_again(wheel):
    first = [one.episode.id for one in wheel.roller(rolls([1, 2]))]
    again = [one.episode.id for one in wheel.roller(rolls([1, 2, 4]))]
    assert again[:2] == first
    assert wheel.store.catalog.count()["episode"] == 3


def test_a_recording_in_the_spool_is_taken_in_without_running(wheel):
    """The spooled file holds another try than the roll would give, so that it shows which of the two was taken."""
    (other,) = wheel.roller(rolls([7]))
    raw = wheel.store.objects.path(wheel.store.catalog.get(other.episode.recordings[0]).digest).read_bytes()
    (wheel.store.spool / "a__1.mcap").write_bytes(raw)
    (rolled,) = anew(wheel)(rolls([1]))
    assert rolled.episode.streams == other.episode.streams
    assert rolled.episode.id != other.episode.id
    assert list(wheel.store.spool.iterdir()) == []


def test_what_a_kill_after_the_commit_left_in_the_spool_goes(wheel):
    list(wheel.roller(rolls([1])))
    (wheel.store.spool / "a__1.mcap").write_bytes(b"was committed already")
    (rolled,) = anew(wheel)(rolls([1]))
    assert rolled.episode is not None
    assert list(wheel.store.spool.iterdir()) == []


def test_half_written_recordings_of_the_dead_go_and_those_of_the_living_stay(wheel):
    dead = wheel.store.spool / ".a__1.mcap.4194305.partial"
    living = wheel.store.spool / f".a__2.mcap.{os.getppid()}.partial"
    dead.write_bytes(b"x")
    living.write_bytes(b"x")
    anew(wheel)
    assert list(wheel.store.spool.iterdir()) == [living]


def test_a_damaged_recording_in_the_spool_is_a_fault_and_stays(wheel):
    (wheel.store.spool / "a__1.mcap").write_bytes(b"\x89MCAP0\r\n then nothing")
    with pytest.raises(UnreadableLog, match=r"a__1\.mcap"):
        list(anew(wheel)(rolls([1])))
    assert (wheel.store.spool / "a__1.mcap").exists()


def test_a_faulty_site_is_named_after_every_other_try_was_stored(fresh, new_wheel, broken_sites):
    with Flywheel(new_wheel(fresh / "broken", site="nan")) as wheel:
        with pytest.raises(SiteFault, match="puck is not finite"):
            list(wheel.roller(rolls(range(40))))
        stored = {wheel.key_of(one.id) for one in wheel.store.catalog.all(Episode)}
        assert stored == {f"a/{seed}" for seed in range(40) if seed % 3}
        assert wheel.verify().lies == ()
