"""The verbs about what data is worth: one short method each; `Flywheel.pump` has them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from saqiya.domain.nouns import Ablation
from saqiya.loop.factors import Factors

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Pump"]


class Pump:
    """Novelty, duplicates, saturation, coverage; what to collect, and what not."""

    def __init__(self, wheel: Flywheel) -> None:
        """Work in the workspace of `wheel`."""
        self.wheel, self.catalog = wheel, wheel.store.catalog

    @cached_property
    def factors(self) -> Factors:
        """What is known and said of objects, places, light, people and strategies; what was never shown of them."""
        return Factors(self.wheel)

    def ablate(
        self,
        candidates: Sequence[str] = (),
        *,
        choose: int = 10,
        score: str = "novelty",
        seeds: int = 8,
        tries: int = 50,
        base: Sequence[str] = (),
    ) -> Ablation:
        """Retrain on what a score would choose and on what its rivals would, and say whether it beats them all.

        Args:
            candidates: a subset, a dataset version, or episodes; () for all accepted corrections.
            choose: how many of them.
            score: "novelty", "bits", "surprisal", "length" or "random".
            seeds: how often each arm is retrained, 4 or more.
            tries: how many judge each policy, where there is a site.
            base: what all policies learn from; () for the bootstrap.

        Raises:
            UsageError: it cannot be asked: too few candidates or seeds, no base, no such score.
        """
        from saqiya.loop.ablate import Ask, ablate

        return ablate(self.wheel, Ask(choose, score, seeds, tries, tuple(candidates), tuple(base)))

    def foresee_ablation(self, seeds: int) -> str:
        """Say which differences an ablation over so many seeds can see, before anything is run."""
        from saqiya.loop.ablate import foreseen

        return foreseen(seeds)
