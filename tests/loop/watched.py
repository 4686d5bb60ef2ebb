"""A small fitted monitor of the tiny site's own expert, for tests of what happens online."""

import numpy as np

from saqiya import plugins
from saqiya.detect.bands import Scored
from saqiya.detect.carried import carry
from saqiya.detect.fusion import fit_fusion
from saqiya.domain.contracts import Action, Roll, Seen
from saqiya.domain.nouns import PolicySpec, Source
from saqiya.loop.tries.rollout import run_try
from saqiya.sites.tiny import Tiny

DETECTORS = ("disagreement", "distance", "signals")
POLICY = "turn-0/policy"


class Fades:
    """A policy that does as the expert does, and from one step on leans on a joint; three members that nearly agree."""

    spec = PolicySpec(
        observation={"hand": 5, "puck": 2, "goal": 2}, action=3, rate_hz=20.0, chunk=4, execute=2, embodiment="arm"
    )

    def __init__(self, site, good_n=10_000):
        self.site, self.good_n = site, good_n

    def reset(self, seed):
        self.expert, self.asked = self.site.expert(seed), 0

    def act(self, observation):
        good = 2 * self.asked < self.good_n
        self.asked += 1
        wanted = self.expert.act(observation) if good else np.array([1.0, 1.0, -1.0])
        apart = np.array([-0.1, 0.0, 0.1]) * (1.0 if good else 8.0)
        samples = np.repeat(wanted[None], 4, axis=0)[None] + apart[:, None, None]
        return Action(chunk=samples.mean(axis=0), samples=samples)


def one_try(seed, *, good_n=10_000, region=0.5, site=None, **how):
    site = site or Tiny()
    roll = Roll(f"try/{seed}", site.sample_start(seed, region=region), Source.ROLLOUT)
    how = {"operator": None, "facts": {"policy": POLICY}, **how}
    return run_try(site, roll, policy=Fades(site, good_n), **how)


def seen(log):
    return Seen.of(log.streams, log.events)


def scored(fitted, log):
    parts, start_ns = {}, log.span.start_ns
    for name, (_, one) in fitted.items():
        t_ns, scores = one.score(seen(log))
        parts[name] = (t_ns - start_ns) / 1e9, scores
    phases = [((event.t_ns - start_ns) / 1e9, event.name) for event in log.events if event.name.startswith("phase/")]
    return Scored(parts, (log.span.end_ns - start_ns) / 1e9, phases)


def fitted_on(normal, names=DETECTORS):
    detectors = {name: plugins.load("saqiya.detectors", name)() for name in names}
    return {name: (one, one.fit([seen(log) for log in normal])) for name, one in detectors.items()}


def carried_on(fitted, normal, *, budget=0.1, calibrate_n=18):
    """Calibrate on tries that are stranger to the detectors than what they were fitted on."""
    successes = [scored(fitted, one_try(seed).log) for seed in range(100, 110 + calibrate_n)]
    fusion = fit_fusion(successes[:10], successes[10:], budget=budget, names=list(fitted))
    normal = [seen(log) for log in normal[:2]]
    return carry(fitted, fusion, normal, policy=POLICY, budget=budget, successes_n=calibrate_n)
