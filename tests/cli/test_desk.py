"""An operator's day in a shell: what is open, a claim, a hand-in, a slot handed back."""

import json

import pytest
from typer.testing import CliRunner

from saqiya.cli.app import whole
from saqiya.domain.contracts import Roll
from saqiya.domain.nouns import Rank, Source
from saqiya.errors import NothingOpen, UsageError
from saqiya.loop.flywheel import Flywheel
from saqiya.stores.people import Profile


@pytest.fixture
def lab(fresh, new_wheel):
    path = new_wheel(fresh / "lab")
    with Flywheel(path) as wheel:
        request = wheel.record()
        for name in ("ann", "bob"):
            wheel.desk.people.add(name, Rank.OPERATOR, "", Profile(), by="test", now_ns=1)
    return path, request


def run(lab, *words, code=0):
    done = CliRunner().invoke(whole(), ["correct", *words, "-w", str(lab[0])])
    assert done.exit_code == code, done.output
    return done.output


def test_a_slot_is_claimed_done_and_handed_in(lab):
    path, request = lab
    (offer,) = json.loads(run(lab, "queue", "--by", "ann", "--json"))
    assert (offer["request"]["id"], offer["slot"]) == (request.id, 0)
    assert offer["terms"][0]["because"]
    lease = json.loads(run(lab, "claim", "--by", "ann", "--json"))
    (rig,) = json.loads(run(lab, "next", "--by", "ann", "--json"))
    assert rig["lease"]["id"] == lease["id"]
    with Flywheel(path) as wheel:
        asked = [Roll("people/0", request.starts[0], Source.DEMONSTRATION, operator="ann")]
        made = next(iter(wheel.roller(asked))).episode.id
    handed = json.loads(run(lab, "submit", lease["id"], made, "--by", "ann", "--json"))
    assert (handed["operator"], handed["slot"]) == ("ann", 0)
    assert f"slot 1 of {offer['key']}" in run(lab, "claim", "--by", "ann")


def test_words_say_why_and_what_is_handed_back_is_open(lab):
    said = run(lab, "queue", "--by", "ann", "--why")
    assert "nobody measured it" in said
    lease = json.loads(run(lab, "claim", lab[1].id, "--by", "ann", "--slot", "3", "--json"))
    assert lease["id"] in run(lab, "next", "--by", "ann")
    assert "open to others" in run(lab, "hand-back", lease["id"], "--by", "ann", "--reason", "no gripper")
    assert json.loads(run(lab, "claim", lab[1].id, "--by", "bob", "--slot", "3", "--json"))["slot"] == 3


def test_what_cannot_be_is_said(lab):
    for words, error in ((["--slot", "1"], UsageError), ([lab[1].id, "--slot", "4711"], NothingOpen)):
        command = ["correct", "claim", *words, "--by", "bob", "-w", str(lab[0])]
        with pytest.raises(error):
            CliRunner().invoke(whole(), command, catch_exceptions=False)
    with Flywheel(lab[0]) as wheel:
        wheel.staff.change("bob", by="test", profile=Profile(skills=("juggling",)))
    (offer,) = json.loads(run(lab, "queue", "--by", "bob", "--json"))
    assert offer["blocked"] == f"needs the skill {wheel.config.task.name}"
