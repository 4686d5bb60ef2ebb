"""What the tests about drives share: a policy that leans, its failed try, and a person at the tiny site."""

from dataclasses import dataclass

import numpy as np

from saqiya.domain.contracts import Action, Roll, Takeover
from saqiya.domain.nouns import (
    CorrectionKind,
    CorrectionRequest,
    Episode,
    Failure,
    FailureMode,
    PolicySpec,
    Source,
)
from saqiya.loop.driving.drive import Drive
from saqiya.loop.driving.person import Inputs, Person
from saqiya.loop.tries.rollout import run_try
from saqiya.sites.tiny import Tiny

OPEN = []
MOVES = Inputs(axes=(1.0, 0.0, 0.0), age_ms=4.0, latency_ms=31.0)
FACTS = {"task": "carry-puck", "site": "tiny", "criterion": "released", "claimed_by": "simulator", "policy": "p"}


class Lean:
    """A policy that leans on one joint for ever; three members that nearly agree."""

    spec = PolicySpec(
        observation={"hand": 5, "puck": 2, "goal": 2}, action=3, rate_hz=20.0, chunk=4, execute=2, embodiment="arm"
    )

    def reset(self, seed):
        pass

    def act(self, observation):
        samples = np.full((3, 4, 3), 0.2) + np.array([-0.1, 0.0, 0.1])[:, None, None]
        return Action(chunk=samples.mean(axis=0), samples=samples)


@dataclass
class Skilled(Person):
    """A person whose hands do what the site's expert would."""

    expert: object = None

    def act(self, observation):
        return self.expert.act(observation)


def roll(**how):
    start = Tiny().sample_start(5, region=0.2)
    return Roll(**{"key": "try/1", "start": start, "source": Source.CORRECTION, "operator": "ada", **how})


def failed(steps=40):
    """A takeover shortly before the end of the policy's failed try."""
    log = run_try(Tiny(), roll(policy="p"), policy=Lean(), operator=None, facts={}).log
    seen = {n.removeprefix("observation/"): s.values[steps] for n, s in log.streams.items() if n.startswith("obs")}
    return Takeover(actions=log.streams["action/executed"].values, step=steps, arrived=seen, earlier=10, attempts=3)


def driven(path, *, skilled=False, policy=True, site=None, monitor=None, **how):
    """A drive of the tiny site, its journal at `path`; `policy` leans where it is no policy itself."""
    site = site or Tiny()
    leads = Lean() if policy is True else policy or None
    facts = FACTS if monitor is None else {**FACTS, "policy": monitor.policy}
    who = {"name": "ada", "controls": site.controls, "spec": site.spec, "pace_hz": 20.0}
    person = Skilled(**who, expert=site.expert(1)) if skilled else Person(**who)
    asked = roll(policy="p", **how)
    drive = Drive(site, asked, person, policy=leads, facts=facts, journal=path, monitor=monitor)
    OPEN.append(drive)
    return drive


def cut_all():
    """Close the journals of all drives of a test."""
    while OPEN:
        OPEN.pop().cut()


def asked(wheel, key):
    """A request for a takeover out of the first failure of a workspace on the tiny site."""
    catalog = wheel.store.catalog
    failure = catalog.all(Failure)[0]
    made = CorrectionRequest(
        id=catalog.new_id("correction_request"),
        target=catalog.all(FailureMode)[0].label,
        mode=None,
        correction_kind=CorrectionKind.TAKEOVER,
        count=1,
        starts=(catalog.get(failure.episode, Episode).start,),
        failures=(failure.id,),
    )
    return catalog.put(made, key=key)


def go(drive, steps=10_000, inputs=MOVES):
    """Step until it is over or so many steps are done; return how many were."""
    done = 0
    while done < steps and drive.step(inputs):
        done += 1
    return done
