"""Novelty relative to a named policy or dataset: gathers what `measure` needs, and reads each reference once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from saqiya.detect.stage import outcomes_of
from saqiya.domain.nouns import DatasetVersion, Deployment, Episode, Novelty, Policy
from saqiya.errors import UsageError
from saqiya.measure import stage
from saqiya.measure.worth import Reference
from saqiya.train.stage import load

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel
    from saqiya.stores.catalog import Catalog

__all__ = ["Measuring", "novelties", "novelty_of"]

MET_N = 100
"""Tries of the deployed policy that say where it will be: the last ones."""


def novelty_of(catalog: Catalog, episode: str) -> list[Novelty]:
    """Return what was measured last of a whole episode, relative to each policy; others may name it as the nearest."""
    told = catalog.referring(episode, Novelty)
    whole = [one for one in told if one.episode == episode and one.span is None and one.dataset is None]
    return list({one.relative_to: one for one in whole}.values())


def novelties(catalog: Catalog) -> dict[str, list[Novelty]]:
    """Return what `novelty_of` says of every episode that was measured, by its id."""
    found: dict[str, dict[str, Novelty]] = defaultdict(dict)
    for one in catalog.all(Novelty):
        if one.span is None and one.dataset is None:
            found[one.episode][one.relative_to] = one
    return {episode: list(told.values()) for episode, told in found.items()}


class Measuring:
    """Measures episodes; keeps the last reference in memory, since a turn asks for the same one again and again."""

    def __init__(self, wheel: Flywheel) -> None:
        """Work in the workspace of `wheel`."""
        self.wheel, self.catalog = wheel, wheel.store.catalog
        self._last: tuple[stage.Against, Reference] | None = None

    def measure(
        self,
        episodes: Sequence[Episode],
        *,
        policy: str = "",
        dataset: str = "",
        span_s: tuple[float, float] | None = None,
    ) -> tuple[Novelty, ...]:
        """Measure episodes, or a span of each, relative to a policy, a dataset version, or the champion.

        Args:
            episodes: what is measured.
            policy: its name or id; "" for the champion, or for none where a dataset is named.
            dataset: a version that stands for what is known; "" for what the policy was trained on.
            span_s: seconds from each episode's start, half-open.

        Raises:
            UsageError: there is nothing to compare with.
        """
        against = self._against(policy, dataset)
        if self._last is None or self._last[0] != against:
            self._last = against, self._refer(against)
        return stage.run(
            self.wheel.store,
            episodes,
            against,
            self._last[1],
            outcomes=outcomes_of(self.wheel.store, episodes),
            spent=self.wheel.account.spent,
            span_s=span_s,
        )

    def _against(self, policy: str, dataset: str) -> stage.Against:
        version = self.catalog.get(dataset, DatasetVersion) if dataset else None
        champion = None if policy or version else self.wheel.champion() if self.wheel.turning else None
        named = self.catalog.get(policy, Policy) if policy else champion[0] if champion else None
        if named is None and version is None:
            raise UsageError(
                "novelty is relative to a policy or a dataset, and none is named or deployed",
                subject="measure",
                remedy="Say --policy NAME, --dataset VERSION or both.",
            )
        training = self._episodes(version) if version else self.wheel.training_episodes(named) if named else []
        if not training and (named is None or not _runs(named)):
            raise UsageError(
                "it does not run here, and nobody knows what it was trained on",
                subject=named.name if named else dataset,
                remedy="Name a dataset version that stands for it: --dataset.",
            )
        return stage.Against(named, version, tuple(training), self._met(named), self.wheel.ranges)

    def _refer(self, against: stage.Against) -> Reference:
        store, policy = self.wheel.store, against.policy
        own = policy is not None and self.wheel.turning and policy.spec == self.wheel.policy_spec()
        spec = self.wheel.site.spec if own else None
        return stage.refer(
            store,
            against,
            load(store, policy) if policy is not None and _runs(policy) else None,
            action_range=spec.action_high - spec.action_low if spec else None,
            spent=self.wheel.account.spent,
        )

    def _episodes(self, version: DatasetVersion) -> list[Episode]:
        ids = dict.fromkeys(entry.episode for entry in version.entries)
        return [self.catalog.get(one, Episode) for one in ids]

    def _met(self, policy: Policy | None) -> tuple[Episode, ...]:
        """Return the last tries that the policy was deployed in."""
        if policy is None:
            return ()
        tries = [one for held in self.catalog.all(Deployment) if held.policy == policy.id for one in held.episodes]
        return tuple(self.catalog.get(one, Episode) for one in tries[-MET_N:])


def _runs(policy: Policy) -> bool:
    return policy.weights is not None and policy.spec is not None
