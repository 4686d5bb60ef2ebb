"""A policy in a try, acting or beside it: it is asked for a chunk, and the chunk is used up action by action."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from saqiya.domain.contracts import Observation, RunnablePolicy, Vector
from saqiya.errors import SiteFault

__all__ = ["Mind", "Wish", "uncertainty_of"]


class Wish(NamedTuple):
    """What a policy wants at one step.

    Attributes:
        action: float64 (d,).
        members: float64 (m, d), what each of its members wants; None when it has none.
        chunk: float64 (k, d), where it was asked just now; None while it uses up what it said before.
    """

    action: Vector
    members: Vector | None
    chunk: Vector | None


def uncertainty_of(members: Vector) -> Vector:
    """Return how much members disagree, float64 (...): their standard deviation, mean over the dimensions of an action.

    Args:
        members: float64 (..., m, d), the action that each of m members wants.
    """
    spread: Vector = members.std(axis=-2).mean(axis=-1)
    return spread


@dataclass
class Mind:
    """A policy and what is left of its last chunk."""

    policy: RunnablePolicy
    queue: list[tuple[Vector, Vector | None]] = field(default_factory=list)

    @property
    def looks_ahead(self) -> bool:
        """Whether it says more than is carried out: then what it says now can be held against what it said before."""
        return self.policy.spec.chunk > self.policy.spec.execute

    def begin(self, seed: int) -> None:
        """Forget the last try."""
        self.queue = []
        self.policy.reset(seed)

    def wish(self, observation: Observation, timed: Callable[..., Any]) -> Wish:
        """Return what the policy wants now, asking it, by `timed`, when its last chunk is used up.

        Raises:
            SiteFault: it predicts chunks of another shape than its spec says.
        """
        if self.queue:
            return Wish(*self.queue.pop(0), None)
        action = timed("inference", self.policy.act, observation)
        spec, samples = self.policy.spec, action.samples
        if self.looks_ahead and action.chunk.shape != (spec.chunk, spec.action):
            raise SiteFault(
                f"the policy gave a chunk of {action.chunk.shape}, and its spec says {(spec.chunk, spec.action)}",
                subject="policy",
                remedy="Correct its spec, or what it gives.",
            )
        members = [None if samples is None else samples[:, i] for i in range(spec.execute)]
        self.queue = list(zip(action.chunk[: spec.execute], members, strict=True))
        return Wish(*self.queue.pop(0), action.chunk)
