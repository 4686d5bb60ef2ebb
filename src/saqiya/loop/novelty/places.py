"""Where corrections of a mode can begin: tries that failed, tries that nearly did, and fresh starts among them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from saqiya.correct.cards import inside
from saqiya.correct.intent import Aim
from saqiya.correct.plan import MOST_N
from saqiya.domain.contracts import Restorable
from saqiya.domain.nouns import Alarm, Calibration, CorrectionKind, Episode, Failure, Outcome, Policy
from saqiya.domain.streams import Start
from saqiya.loop import draws
from saqiya.loop.failures import LOGGED
from saqiya.loop.novelty.ground import Ground
from saqiya.models.choice import Tried, choose_starts, failure_odds
from saqiya.models.starts import encode

__all__ = ["Place", "Places"]

POOL_N, UNDER_N = 300, 2000
"""Starts that are drawn to find fresh ones in a mode's region, and under a condition."""


@dataclass(frozen=True)
class Place:
    """Where one correction can begin, and in words how.

    Attributes:
        start: None where nobody knows it.
        episode: the try that began there, None for a fresh start.
        failure: how that try failed, None where it did not.
    """

    kind: CorrectionKind
    how: str
    start: Start | None = None
    episode: Episode | None = None
    failure: Failure | None = None


class Places:
    """The places of one deployment."""

    def __init__(self, ground: Ground) -> None:
        """Look for places in the deployment that `ground` stands on."""
        self.ground, self.wheel = ground, ground.wheel
        self.here = ground.deployment.mode != LOGGED
        self.restorable = self.here and isinstance(self.wheel.site, Restorable)
        self._ranges = self.wheel.ranges if self.here else {}
        self._taken: list[Start] = []

    def of(self, label: str, kind: CorrectionKind, *, alone: bool) -> list[list[Place]]:
        """Return the places of a mode for corrections of a kind, best group first; a group begins in one way.

        Args:
            label: of the mode.
            kind: what is shown.
            alone: it is asked for nothing else, so that the failing starts are this kind's.
        """
        failed = self._failed(label, kind)
        if kind in {CorrectionKind.TAKEOVER, CorrectionKind.STRATEGY}:
            return [failed]
        if kind is CorrectionKind.RECOVERY:
            how = "from shortly before tries that went well raised an alarm or lost time"
            near = [(one, one.start) for one in self._near.get(label, ()) if one.start is not None]
            return [[Place(kind, how, start, episode) for episode, start in _distinct(near)]]
        if self.here:
            return [*([failed] if alone else []), self._fresh(label, failed)]
        if not failed:
            return []
        anywhere = [Place(kind, failed[0].how)] * max(0, MOST_N - len(failed))
        return [[*failed, *anywhere]]

    def under(self, wanted: Aim, target: str) -> list[Place]:
        """Draw fresh starts that meet a condition; none where the site cannot draw them. Equal targets draw equally."""
        if not self.here:
            return []
        how = "show the whole task from fresh starts that meet it"
        pool = draws.starts(
            self.wheel.site, self.wheel.config.run.seed, f"plan/{target}", self.wheel.number, UNDER_N, region=1.0
        )
        return [Place(CorrectionKind.DEMONSTRATION, how, one) for one in pool if wanted.holds(dict(one.factors))]

    def choose(self, group: Sequence[Place], count: int) -> list[Place]:
        """Choose where to begin: far from what training covers and from what was chosen before, where it fails most.

        Places whose start has no factors come last, or in their order where the others' factors differ.
        """
        told = [one for one in group if one.start is not None and one.start.factors]
        names = {tuple(sorted(one.start.factors)) for one in told if one.start is not None}
        if len(names) != 1:
            return list(group[:count])
        rest = [one for one in group if one.start is None or not one.start.factors]
        starts = [one.start for one in told if one.start is not None]
        alike = next(iter(names))
        known = [one for one in (*self._covered, *self._taken) if tuple(sorted(one.factors)) == alike]
        tried = [one for one in self._tried if tuple(sorted(one.start.factors)) == alike]
        odds = failure_odds(starts, tried, known, self._ranges) if group[0].failure is None else None
        chosen = [told[at] for at in choose_starts(starts, known, self._ranges, count, failing=odds)]
        self._taken += [one.start for one in chosen if one.start is not None]
        return [*chosen, *rest[: count - len(chosen)]]

    def _failed(self, label: str, kind: CorrectionKind) -> list[Place]:
        """Return a mode's failing tries, each start once, those of which nothing is known left out."""
        takeover = kind is CorrectionKind.TAKEOVER
        how = "take over shortly before the failure" if takeover else "show the whole task from its failing starts"
        rows = [(one, self.ground.episodes[one.episode]) for one in self.ground.failures.get(label, ())]
        known = {one.start.key: (one, failure) for failure, one in reversed(rows) if one.start is not None}
        places = [Place(kind, how, one.start, one, failure) for one, failure in reversed(known.values())]
        if places or self.here:
            return places
        seen = [(failure, one) for failure, one in rows if any(i.name.startswith("observation/") for i in one.infos)]
        return [Place(kind, how, None, one, failure) for failure, one in seen]

    def _fresh(self, label: str, failed: Sequence[Place]) -> list[Place]:
        """Draw starts over the whole range and keep those in the smallest box about a mode's failing starts."""
        box = [one.start.factors for one in failed if one.start is not None]
        seed, number = self.wheel.config.run.seed, self.wheel.number
        pool = draws.starts(self.wheel.site, seed, f"plan/{label}", number, POOL_N, region=1.0)
        how = "show the whole task from fresh starts in the same region"
        return [Place(CorrectionKind.DEMONSTRATION, how, one) for one in pool if inside(one.factors, box)]

    @cached_property
    def _near(self) -> Mapping[str, list[Episode]]:
        """Return, by the mode whose failing start is nearest, the tries that nearly failed.

        They went well, and raised an alarm, or took longer than nine in ten of the tries that detectors learned from.
        """
        catalog, policy = self.wheel.store.catalog, self.ground.deployment.policy
        alarmed = {one.episode for one in catalog.all(Alarm)}
        horizons = [one.horizon_s for one in catalog.all(Calibration) if one.policy == policy and one.horizon_s > 0]
        late_ns = horizons[-1] * 1e9 if horizons else float("inf")
        near = [
            one
            for one in self.ground.episodes.values()
            if self.ground.outcomes.get(one.id) is Outcome.SUCCESS
            and (one.id in alarmed or one.end_ns - one.start_ns > late_ns)
        ]
        failed = [
            (label, start)
            for label, failures in self.ground.failures.items()
            for one in failures
            if (start := self.ground.episodes[one.episode].start) is not None
            and set(start.factors) == set(self._ranges)
        ]
        found: dict[str, list[Episode]] = defaultdict(list)
        near = [one for one in near if one.start is not None and set(one.start.factors) == set(self._ranges)]
        if not failed or not near or not self._ranges:
            return found
        places = encode([*(one.start for one in near if one.start), *(start for _, start in failed)], self._ranges)
        for one, place in zip(near, places, strict=False):
            nearest = int(np.argmin(np.linalg.norm(places[len(near) :] - place, axis=1)))
            found[failed[nearest][0]].append(one)
        return found

    @cached_property
    def _covered(self) -> list[Start]:
        policy = self.wheel.store.catalog.get(self.ground.deployment.policy, Policy)
        episodes = self.wheel.training_episodes(policy)
        return [one.start for one in episodes if one.start is not None and one.start.factors]

    @cached_property
    def _tried(self) -> list[Tried]:
        tried = []
        for one, outcome in self.ground.outcomes.items():
            start = self.ground.episodes[one].start
            if start is not None and start.factors:
                tried.append(Tried(start, outcome is not Outcome.SUCCESS))
        return tried


def _distinct(rows: Sequence[tuple[Episode, Start]]) -> list[tuple[Episode, Start]]:
    seen = {start.key: (episode, start) for episode, start in reversed(rows)}
    return list(reversed(seen.values()))
