"""Deployments in which something goes wrong that no log names: what detectors and triage are measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from saqiya import plugins
from saqiya.domain.contracts import Lesson, Roll, RunnablePolicy, Site
from saqiya.domain.nouns import PolicySpec, Source
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.loop.tries.rollout import Try, run_try
from saqiya.sites.disturbed import CAUSES, Disturbed

__all__ = ["CAUSES", "COVERED", "PATIENCE", "Tried", "deployment", "rolled", "taught"]

COVERED = 0.4
"""Middle share of every start factor that demonstrations and nominal tries come from."""
PATIENCE = 2.0
"""Time-out of a deployed try, as a multiple of the site's own: who was disturbed may still make it, later."""
DEMONSTRATIONS_N = 40
TRAINERS: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "metaworld-pick-place": ("ensemble", {"steps": 1000.0}),
    "tiny": ("ridge", {}),
}


@dataclass(frozen=True)
class Tried:
    """A deployed try with what no log says: the cause at work in it, None where all was nominal."""

    log: EpisodeLog
    success: bool
    cause: str | None

    @property
    def shifted(self) -> bool:
        """Whether anything was disturbed."""
        return self.cause is not None


def taught(site: Site, site_name: str, seed: int) -> tuple[RunnablePolicy, list[Try]]:
    """Demonstrate from the covered middle of the start region, and train a policy on what succeeded."""
    demonstrations = []
    for index in range(DEMONSTRATIONS_N):
        start = site.sample_start(seed * 100_000 + index, region=COVERED)
        roll = Roll(f"demonstration-{index}", start, Source.DEMONSTRATION, operator="expert")
        demonstrations.append(run_try(site, roll, policy=None, operator=site.expert(start.seed), facts={}))  # type: ignore[attr-defined]
    good = [one for one in demonstrations if one.success]
    spec = PolicySpec(
        observation=dict(site.spec.observation),
        action=len(site.spec.action_low),
        rate_hz=site.spec.rate_hz,
        chunk=8,
        execute=2,
        embodiment=site.spec.embodiment,
    )
    name, settings = TRAINERS[site_name]
    trainer = plugins.load("saqiya.trainers", name)()
    lessons = [_lesson(one.log.streams, spec, index) for index, one in enumerate(good)]
    trained = trainer.fit(lessons, spec, settings=settings, seed=seed, progress=lambda *_: None)
    return trainer.load(trained.spec, trained.tensors), good


def _lesson(streams: Mapping[str, Stream], spec: PolicySpec, index: int) -> Lesson:
    actions = streams["action/executed"].values
    observation = [streams[f"observation/{name}"].values[: len(actions)] for name in spec.observation]
    return Lesson(np.concatenate(observation, axis=1), actions, np.ones(len(actions)), index)


def rolled(
    site: Site, policy: RunnablePolicy, seed: int, n: int, causes: Sequence[str] = CAUSES, *, share_nominal: float = 0.5
) -> list[Tried]:
    """Deploy a policy `n` times, in a drawn order; equal seeds give equal tries.

    Args:
        site: where.
        policy: who acts.
        seed: of starts, disturbances and their order.
        n: number of tries.
        causes: of those tries that are disturbed, in equal shares.
        share_nominal: share of tries in which nothing is disturbed.
    """
    rng = np.random.default_rng([seed, 7])
    nominal = round(share_nominal * n)
    drawn = [None] * nominal + [causes[index % len(causes)] for index in range(n - nominal)]
    cells = {cause: Disturbed(site, cause, seed=seed, covered=COVERED, patience=PATIENCE) for cause in {*drawn}}
    tries = []
    for index, place in enumerate(rng.permutation(n).tolist()):
        cause = drawn[place]
        cell = cells[cause]
        start = cell.sample_start(seed * 100_000 + 50_000 + index, region=COVERED)
        one = run_try(cell, Roll(f"rollout-{index}", start, Source.ROLLOUT), policy=policy, operator=None, facts={})
        tries.append(Tried(one.log, one.success, cause))
    return tries


def deployment(
    site_name: str, seed: int, n: int, causes: Sequence[str] = CAUSES, *, share_nominal: float = 0.5
) -> list[Tried]:
    """Teach a policy and deploy it `n` times; equal seeds give equal tries.

    Args:
        site_name: "tiny" or "metaworld-pick-place".
        seed: of demonstrations, training, starts and disturbances.
        n: number of tries.
        causes: of those tries that are disturbed, in equal shares.
        share_nominal: share of tries in which nothing is disturbed.
    """
    site: Site = plugins.load("saqiya.sites", site_name)()
    policy, _ = taught(site, site_name, seed)
    tries = rolled(site, policy, seed, n, causes, share_nominal=share_nominal)
    site.close()
    return tries
