from __future__ import annotations

import textwrap

import pytest

BROKEN = '''
import os, signal
import numpy as np
from saqiya.sites.tiny import Tiny

class Broken(Tiny):
    """The tiny site with a fault in the fifth step of every try whose seed is a multiple of 3."""

    def reset(self, start):
        self.bad = start.seed % 3 == 0
        return super().reset(start)

    def step(self, action):
        step = super().step(action)
        return self.fail(step) if self.bad and step.t_ns == 250_000_000 else step

class Nan(Broken):
    def fail(self, step):
        return type(step)(**{**vars(step), "observation": {**step.observation, "puck": np.full(2, np.nan)}})

class Dies(Broken):
    def fail(self, step):
        os.kill(os.getpid(), signal.SIGKILL)
'''


@pytest.fixture
def broken_sites(tmp_path, monkeypatch):
    """Install a package with broken sites, registered as anybody's are, where this process and its crew find it."""
    folder = tmp_path / "site-packages"
    info = folder / "broken_sites-1.dist-info"
    info.mkdir(parents=True)
    (folder / "broken_sites.py").write_text(textwrap.dedent(BROKEN))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-sites\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[saqiya.sites]\nnan = broken_sites:Nan\ndies = broken_sites:Dies\n")
    monkeypatch.syspath_prepend(folder)


@pytest.fixture
def now():
    """The time as a test sets it: add seconds to `now.ns`."""
    from types import SimpleNamespace

    return SimpleNamespace(ns=1_700_000_000_000_000_000)


@pytest.fixture(params=["sqlite", "postgresql"])
def crowd(fresh, now, request):
    """A workspace for data alone with three operators and two reviewers, whose clock moves by a microsecond a look."""
    from tests.loop.crowd import Crowd

    from saqiya.domain.nouns import Rank
    from saqiya.loop.flywheel import Flywheel

    def clock():
        now.ns += 1000
        return now.ns

    Flywheel.init(fresh / "lab").close()
    url = request.getfixturevalue("postgres").new() if request.param == "postgresql" else ""
    (fresh / "lab" / "saqiya.toml").write_text(f'[desk]\nsecond_share = 0.0\n[store]\ncatalog = "{url}"\n')
    with Flywheel(fresh / "lab", clock=clock) as wheel:
        made = Crowd(wheel)
        made.people("ann", "bob", "cid")
        made.people("rex", "sue", rank=Rank.REVIEWER)
        yield made
