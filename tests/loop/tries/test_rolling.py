import os
from dataclasses import replace

import numpy as np
import pytest
from tests.loop.watched import Fades, carried_on, fitted_on, one_try

from saqiya.domain.contracts import Roll
from saqiya.domain.nouns import Episode, Lineage, OutcomeClaim, Policy, Source
from saqiya.errors import SiteFault, UnreadableLog, UsageError
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.tries.monitor import encoded
from saqiya.sites.tiny import Tiny
from saqiya.stores import tensors


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


@pytest.fixture
def policy(wheel):
    """A policy that knows nothing, stored as a trained one is."""
    spec = replace(Fades.spec, chunk=2, execute=1)
    widths = {"input/mean": 9, "input/scale": 9, "output/mean": 3, "output/scale": 3, "noise": 3}
    arrays = {name: np.full(width, float("scale" in name)) for name, width in widths.items()}
    arrays |= {"layer0/weight": np.zeros((2, 9, 6), np.float32), "layer0/bias": np.zeros((2, 6), np.float32)}
    noun = Policy(
        id=wheel.store.catalog.new_id("policy"),
        name="still",
        lineage=Lineage.TRAINED,
        trainer="ridge",
        weights=wheel.store.objects.put(tensors.encode(arrays)),
        spec=spec,
        dataset=None,
    )
    return wheel.store.catalog.put(noun, key="turn-0/policy")


def test_a_roll_brings_its_shadow_and_its_monitor(wheel, policy):
    normal = [one_try(seed).log for seed in range(8)]
    carried = carried_on(fitted_on(normal, ("distance",)), normal)
    digest = wheel.store.objects.put(encoded(carried))
    start = Tiny().sample_start(1)
    roll = Roll("b/1", start, Source.ROLLOUT, policy=policy.id, shadow=policy.id, monitor=digest, on_alarm="takeover")
    (rolled,) = wheel.roller([roll])
    names = wheel.store.streams(rolled.episode).keys()
    assert {"shadow/turn-0/policy/action", "shadow/turn-0/policy/uncertainty", "monitor/score"} <= names
    assert rolled.takeovers == 1
    assert rolled.human_steps > 0
    assert "alarm/distance" in {event.name for event in rolled.episode.events}


def test_a_shadow_without_weights_is_named(wheel, policy):
    foreign = wheel.register("elsewhere")
    with pytest.raises(UsageError, match="has no weights here"):
        list(wheel.roller([Roll("b/2", Tiny().sample_start(1), Source.ROLLOUT, policy=policy.id, shadow=foreign.id)]))
