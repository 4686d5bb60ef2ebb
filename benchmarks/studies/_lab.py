"""A laboratory for questions that only retrained policies can answer: demonstrate, train, roll out, many times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from saqiya import plugins
from saqiya.domain.contracts import Lesson, Roll, RunnablePolicy, Site, Takeover, Vector
from saqiya.domain.nouns import PolicySpec, Source
from saqiya.domain.streams import Start, Stream
from saqiya.loop.tries.rollout import Try, run_try

__all__ = ["SETTINGS", "SWITCH_STEPS", "Bill", "Lab", "lesson_of"]

SWITCH_STEPS = 20
"""What a takeover costs beside its steps."""
SETTINGS: Mapping[str, float] = MappingProxyType({"steps": 1000.0, "width": 128.0, "layers": 2.0})


@dataclass
class Bill:
    """What was spent; the bootstrap is not counted."""

    human_steps: int = 0
    takeovers: int = 0
    demonstrations: int = 0
    rollouts: int = 0

    @property
    def cost(self) -> int:
        """Human steps, and 20 for each switch to a person."""
        return self.human_steps + SWITCH_STEPS * self.takeovers


class Lab:
    """One site, one spec, one trainer. Nothing here draws: starts carry their seeds."""

    def __init__(
        self, site: str | Site, *, settings: Mapping[str, float] = SETTINGS, trainer: str = "ensemble"
    ) -> None:
        """Open a site by its registered name, or take one (disturbed, say)."""
        self.site: Site = plugins.load("saqiya.sites", site)() if isinstance(site, str) else site
        self.spec = PolicySpec(
            observation=dict(self.site.spec.observation),
            action=len(self.site.spec.action_low),
            rate_hz=self.site.spec.rate_hz,
            chunk=8,
            execute=2,
            embodiment=self.site.spec.embodiment,
        )
        self._trainer = plugins.load("saqiya.trainers", trainer)()
        self._settings = settings

    def starts(self, seed: int, n: int, *, stream: int, region: float = 1.0) -> list[Start]:
        """Draw `n` starts; equal (seed, stream, index) give equal starts, and streams (0 to 99) share none."""
        first = (seed % 1_000_000) * 10_000_000 + stream * 100_000
        return [self.site.sample_start(first + index, region=region) for index in range(n)]

    def demonstrate(self, start: Start, bill: Bill | None = None) -> Try:
        """Let the site's expert do the whole task."""
        roll = Roll("demonstration", start, Source.DEMONSTRATION, operator="expert")
        done = run_try(self.site, roll, policy=None, operator=self.site.expert(start.seed), facts={})  # type: ignore[attr-defined]
        return self._billed(done, bill, demonstrations=1)

    def roll(self, policy: RunnablePolicy, start: Start, bill: Bill | None = None) -> Try:
        """Let the policy try."""
        done = run_try(self.site, Roll("rollout", start, Source.ROLLOUT), policy=policy, operator=None, facts={})
        if bill is not None:
            bill.rollouts += 1
        return done

    def take_over(self, policy: RunnablePolicy, failed: Try, step: int, start: Start, bill: Bill | None = None) -> Try:
        """Replay a failed try up to `step`, and let the expert go on from there."""
        streams = failed.log.streams
        executed = streams["action/executed"]
        arrived = {
            name.removeprefix("observation/"): stream.values[step]
            for name, stream in streams.items()
            if name.startswith("observation/")
        }
        takeover = Takeover(executed.values.astype(np.float64), step, arrived, earlier=10, attempts=3)
        roll = Roll("correction", start, Source.CORRECTION, operator="expert", takeover=takeover)
        done = run_try(self.site, roll, policy=policy, operator=self.site.expert(start.seed), facts={})  # type: ignore[attr-defined]
        return self._billed(done, bill)

    def train(self, lessons: Sequence[Lesson], seed: int, **settings: float) -> RunnablePolicy:
        """Train from scratch; lessons are numbered as they come, each an episode."""
        import torch

        torch.set_num_threads(1)
        numbered = [Lesson(one.observation, one.action, one.weight, index) for index, one in enumerate(lessons)]
        trained = self._trainer.fit(
            numbered, self.spec, settings={**self._settings, **settings}, seed=seed, progress=lambda *_: None
        )
        policy: RunnablePolicy = self._trainer.load(trained.spec, trained.tensors)
        return policy

    def rate(self, policy: RunnablePolicy, starts: Sequence[Start]) -> float:
        """Return the share of tries from `starts` that succeed; nobody is billed for a test."""
        return float(np.mean([self.roll(policy, start).success for start in starts]))

    def lesson(self, done: Try, *, weight: float = 1.0, people_only: bool = True) -> Lesson:
        """Make a lesson of a try: all of it, or, where somebody took over, what the person did."""
        return lesson_of(done.log.streams, self.spec, weight=weight, people_only=people_only)

    def _billed(self, done: Try, bill: Bill | None, *, demonstrations: int = 0) -> Try:
        if bill is not None:
            bill.human_steps += done.human_steps
            bill.takeovers += done.takeovers
            bill.demonstrations += demonstrations
        return done


def lesson_of(
    streams: Mapping[str, Stream], spec: PolicySpec, *, weight: float = 1.0, people_only: bool = True
) -> Lesson:
    """Make a lesson of streams; steps that teach nothing have weight 0."""
    actions = streams["action/executed"].values.astype(np.float64)
    n = len(actions)
    seen = [streams[f"observation/{name}"].values[:n] for name in spec.observation]
    author: Vector = streams["author"].values.reshape(-1)[:n].astype(np.float64)
    person = author if people_only and author.any() else np.ones(n)
    return Lesson(np.concatenate(seen, axis=1).astype(np.float64), actions, weight * person, 0)
