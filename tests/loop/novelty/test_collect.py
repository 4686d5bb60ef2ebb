import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from saqiya.cli import collect as _collect  # noqa: F401 - registers the command
from saqiya.cli.app import app
from saqiya.correct import stage
from saqiya.domain.nouns import Correction, CorrectionRequest, Episode, FailureMode
from saqiya.errors import GuardRefusal, UsageError
from saqiya.loop.flywheel import Flywheel


@pytest.fixture(scope="module")
def read_once(turned_once, room):
    """A turned wheel whose last deployment was read: failures found and named."""
    path = shutil.copytree(turned_once.store.root, room / "live")
    with Flywheel(path) as wheel:
        wheel.detect()
        wheel.triage()
    return path


@pytest.fixture
def wheel(read_once, fresh):
    with Flywheel(shutil.copytree(read_once, fresh / "wheel")) as opened:
        yield opened


def aimed(wheel):
    """Put the first mode of the last triage on record, twice where figures speak against it."""
    mode = wheel.store.catalog.all(FailureMode)[-1]
    for _ in range(2):
        wheel.pump.aim(mode.label, author="ada")
    return mode.label


def test_nothing_is_collected_live_without_a_target_on_record(wheel):
    label = wheel.store.catalog.all(FailureMode)[-1].label
    with pytest.raises(GuardRefusal, match="nobody put on record"):
        wheel.pump.collect(label, episodes=1)
    with pytest.raises(UsageError, match="no policy to take over from"):
        wheel.pump.collect(stage.BOOTSTRAP, episodes=1)
    with pytest.raises(UsageError, match="cannot be"):
        wheel.pump.collect(label, episodes=0)
    told = CliRunner().invoke(app, ["collect", "-w", str(wheel.store.root)])
    assert isinstance(told.exception, UsageError)


def test_what_a_person_gives_in_a_live_try_is_a_correction_that_can_be_mixed(wheel):
    label = aimed(wheel)
    made = wheel.pump.collect(label, episodes=8, budget=0.4, random=0.5)
    catalog = wheel.store.catalog
    assert made.tries == 8
    assert made.takeovers >= len(made.corrections) > 0
    assert made.asked.takeovers + made.drawn.takeovers == made.takeovers
    assert made.share == made.human_steps / made.steps
    for one in made.corrections:
        request, episode = catalog.get(one.request, CorrectionRequest), catalog.get(one.episode, Episode)
        assert (request.target, request.count) == (label, 1)
        streams = wheel.store.streams(episode)
        human = streams["author"].values[:, 0] == 1
        assert human.sum() == one.human_steps > 0
        assert {"action/intended", "action/operator", "policy/uncertainty"} <= streams.keys()
        assert [event.detail.split(":")[0] for event in episode.events if event.name == "takeover"] == [
            "random" if taken["random"] else "gate" for taken in episode.extra["asked"]
        ]
    version = wheel.mix()
    for one in made.corrections:
        spans = [(entry.start_ns, entry.end_ns) for entry in version.entries if entry.episode == one.episode]
        author = wheel.store.streams(catalog.get(one.episode, Episode))["author"]
        taught = sum(int(((author.t_ns >= low) & (author.t_ns < high)).sum()) for low, high in spans)
        assert taught == (one.human_steps if one.accepted else 0)


def test_it_stops_when_the_minutes_are_spent_and_a_second_collection_is_another(wheel):
    label = aimed(wheel)
    made = wheel.pump.collect(label, episodes=20, minutes=1e-6, budget=0.4, random=0.5)
    assert made.takeovers <= 3
    assert made.tries < 20
    again = wheel.pump.collect(label, episodes=1)
    before = {one.episode for one in made.corrections}
    assert not before & {one.episode for one in again.corrections}
    assert len(
        [one for one in wheel.store.catalog.all(Correction) if one.id in {m.id for m in made.corrections}]
    ) == len(made.corrections)


def test_the_command_tells_the_share_and_judges_the_gate(wheel):
    label, where = aimed(wheel), str(wheel.store.root)
    wheel.close()
    told = CliRunner().invoke(app, ["collect", "--target", label, "--episodes", "3", "-w", where, "--json"])
    assert told.exit_code == 0, told.output
    assert np.isclose(json.loads(told.stdout)["budget"], 0.1)
    told = CliRunner().invoke(app, ["collect", "--target", label, "--episodes", "3", "-w", where])
    assert "the budget is 0.1" in told.stdout
    assert "random ones" in told.stdout


def test_what_one_collection_overspent_the_next_one_does_not_spend_again(wheel):
    label = aimed(wheel)
    spent = wheel.pump.collect(label, episodes=10, budget=0.9, random=0.0)
    assert spent.share > 0.3
    assert wheel.pump.collect(label, episodes=8, budget=0.2, random=0.0).takeovers == 0
