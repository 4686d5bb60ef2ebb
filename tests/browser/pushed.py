"""A workspace on Push-T in which people showed the task twice, and the policy that learnt from it fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lab import PASSWORD

from saqiya.domain.nouns import Rank, Verdict
from saqiya.loop.driving.drive import Drive
from saqiya.loop.driving.drives import Drives
from saqiya.loop.driving.person import Inputs, Person
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.people.claims import Lease

PEOPLE = {"ada": Rank.ADMIN, "rob": Rank.REVIEWER, "olga": Rank.OPERATOR, "vic": Rank.VIEWER}
SETTINGS = """
[train.settings]
features = 64
penalty = 0.1
[bootstrap]
demonstrations = 5
smoke = 5
region = 0.5
[deploy]
rollouts = 2
[correct]
per_turn = 2
lead_s = 0.5
"""
MARK = np.array([256.0, 256.0])


class Pusher(Person):
    """A person who goes behind the T and pushes it towards its mark; turning it is beyond them."""

    def act(self, observation):
        """Return the place to which the finger is drawn."""
        place, finger = observation["object"][:2], observation["agent"][:2]
        ahead = (MARK - place) / max(1.0, np.hypot(*(MARK - place)))
        behind = place - 90 * ahead
        return place + 30 * ahead if np.hypot(*(finger - behind)) < 60 else behind


def build(path: Path) -> Path:
    """Make the workspace at `path`: a first turn, its failures, and what is asked of people."""
    Flywheel.init(path, site="pusht", trainer="ridge", seed=0, workers=0).close()
    text = (path / "saqiya.toml").read_text().split("[bootstrap]")[0]
    (path / "saqiya.toml").write_text(text + SETTINGS)
    with Flywheel(path) as wheel:
        for name, rank in PEOPLE.items():
            wheel.staff.add(name, rank, by="setup", password=PASSWORD)
        wheel.record()
        for _ in range(5):
            show(wheel, wheel.desk.claim("olga"))
        wheel.turn()
    with Flywheel(path) as wheel:
        wheel.detect()
        wheel.triage()
    return path


def show(wheel: Flywheel, lease: Lease) -> None:
    """Push for some seconds, hand it in, and have it accepted."""
    drives = Drives(wheel)
    order, site = drives.order(lease), wheel.site
    person = Pusher(lease.person, site.controls, site.spec, 30.0)
    drive = Drive(site, order.task.roll, person, policy=None, facts=order.task.facts, journal=order.journal)
    for _ in range(160):
        drive.step(Inputs(axes=(1.0, 0.0)))
    drive.finish(None)
    made = drives.settle(order.journal).submission
    assert made is not None
    wheel.desk.review(made.id, "rob", Verdict.ACCEPT)
