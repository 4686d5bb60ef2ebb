"""Learning curves gathered from what was deployed: by task, by failure mode, by condition; and what they say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from saqiya.detect.stage import outcomes_of
from saqiya.domain.nouns import (
    Correction,
    CorrectionRequest,
    DatasetVersion,
    Deployment,
    Episode,
    Failure,
    Outcome,
    Policy,
    Source,
)
from saqiya.domain.worth import Gain
from saqiya.loop.config import StopConfig
from saqiya.loop.figures import SWITCH_STEPS
from saqiya.loop.lives import labels_of, newest_labels
from saqiya.loop.novelty.retrained import known_curves
from saqiya.measure.saturation import Break, Curve, Point, breaks, enough, gain
from saqiya.triage.conditions import tabulate

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["AHEAD", "Told", "curves_of", "named_failures", "recipe_of", "scopes_of", "stops_of", "told_of"]

AHEAD = (10, 50)
"""Demonstrations that are forecast."""
FEWEST_TRIES_N = 10
"""A condition with fewer tries of the newest policy is not shown: hundreds of such intervals say nothing."""
NOT_CONDITIONS = frozenset({"policy", "operator"})
DECLARED = "demonstrations"
"""What a foreign policy may declare: `saqiya policy register NAME --declare demonstrations=50`."""


@dataclass(frozen=True)
class Told:
    """A curve, where it breaks, what more data brings, and why to stop ("": do not)."""

    curve: Curve
    breaks: tuple[Break, ...]
    gains: tuple[Gain, ...]
    stop: str


def told_of(wheel: Flywheel, curve: Curve) -> Told:
    """Say what a curve with a point says."""
    seed, stop = settled(wheel)
    return Told(
        curve=curve,
        breaks=breaks(curve, seed=seed),
        gains=tuple(gain(curve, more, seed=seed) for more in AHEAD),
        stop=enough(curve, stop.gain_per_10, seed=seed, label=label_of(curve)),
    )


def stops_of(wheel: Flywheel) -> dict[str, str]:
    """Say for which task and modes of the scope no more should be collected, and why: name to a sentence."""
    seed, stop = settled(wheel)
    curves = [one for one in curves_of(wheel, wheel.scope) if one.points and one.basis == "deployments"]
    said = {one.name: enough(one, stop.gain_per_10, seed=seed, label=label_of(one)) for one in curves}
    return {name: sentence for name, sentence in said.items() if sentence}


def settled(wheel: Flywheel) -> tuple[int, StopConfig]:
    """Return seed and stop rule: those of saqiya.toml, the defaults in a workspace for data alone."""
    return (wheel.config.run.seed, wheel.config.stop) if wheel.turning else (0, StopConfig())


def label_of(curve: Curve) -> str:
    """Name a curve in a sentence."""
    return {"mode": f"mode {curve.name}", "condition": f"{curve.name}"}.get(curve.kind, "the task as a whole")


def scopes_of(wheel: Flywheel) -> tuple[str, ...]:
    """Return the scopes that policies were deployed in, in the workspace or elsewhere, the wheel's own first."""
    own = [wheel.scope] if wheel.turning else []
    return tuple(dict.fromkeys([*own, *(one.scope for one in wheel.store.catalog.all(Deployment))]))


def curves_of(wheel: Flywheel, scope: str, *, parts: bool = True, factors: bool = False) -> tuple[Curve, ...]:
    """Gather the curves of a scope: the task's first, those of its modes (`parts`), and on request of conditions.

    A policy that was deployed several times is one point. Policies of which nobody knows how much they were shown make
    no point. What `retrain` measured on the newest version of the wheel's own scope stands beside.
    """
    found = _Found(wheel, scope)
    own = known_curves(wheel) if wheel.turning and scope == wheel.scope else ()
    modes = found.modes() if parts else ()
    return (found.task(), *own, *modes, *(found.conditions() if factors else ()))


def named_failures(wheel: Flywheel) -> dict[str, str]:
    """Return the mode's label of every failed try that has one, by episode id."""
    labels = newest_labels(wheel.store.catalog)
    return {one.episode: labels[one.id] for one in wheel.store.catalog.all(Failure) if labels.get(one.id)}


def recipe_of(wheel: Flywheel, policy: Policy) -> tuple[tuple[str, str], ...]:
    """Return what a policy was made with beside its data; what nobody wrote down is left out."""
    said = {name: value for name, value in policy.declared.items() if name not in {DECLARED, "data"}}
    if policy.trainer:
        said["trainer"] = policy.trainer
        said["base"] = wheel.key_of(policy.base) if policy.base else "none"
    if policy.spec is not None:
        spec = policy.spec
        said["reads"] = ", ".join(f"{name} ({width})" for name, width in spec.observation.items())
        said["action"] = f"{spec.action} at {spec.rate_hz:g} Hz"
        said["chunk"] = f"{spec.chunk}, {spec.execute} carried out"
    if policy.settings is not None:
        said["settings"] = (
            ", ".join(f"{name} {value:g}" for name, value in sorted(policy.settings.items())) or "default"
        )
    return tuple(sorted(said.items()))


@dataclass(frozen=True)
class Shown:
    """A policy with what it learned from, what it did, and what was spent until then."""

    policy: Policy
    name: str
    taught: frozenset[str]
    demonstrations: int | None
    cost: int
    rollouts: int
    tries: tuple[str, ...]
    recipe: tuple[tuple[str, str], ...]


class _Found:
    """What the catalog holds of one scope's deployed policies."""

    def __init__(self, wheel: Flywheel, scope: str) -> None:
        self.wheel, self.catalog, self.scope = wheel, wheel.store.catalog, scope

    @cached_property
    def shown(self) -> tuple[Shown, ...]:
        rolled = {one.id: n for n, one in enumerate(e for e in self.catalog.all(Episode) if e.source is Source.ROLLOUT)}
        tries: dict[str, list[str]] = defaultdict(list)
        for one in self.catalog.all(Deployment):
            if one.scope == self.scope:
                tries[one.policy] += one.episodes
        outcomes = outcomes_of(
            self.wheel.store, list(self.catalog.each(Episode, [e for es in tries.values() for e in es]))
        )
        self.good = {one for one, value in outcomes.items() if value is Outcome.SUCCESS}
        self.judged = {one for one, value in outcomes.items() if value is not Outcome.UNKNOWN}
        taught = {one.id: frozenset(e.episode for e in one.entries) for one in self.catalog.all(DatasetVersion)}
        found = []
        for ref, episodes in tries.items():
            policy = self.catalog.get(ref, Policy)
            data = taught.get(policy.dataset or "", frozenset())
            found.append(
                Shown(
                    policy=policy,
                    name=self.wheel.key_of(policy.id),
                    taught=data,
                    demonstrations=len(data) if policy.dataset else _declared(policy),
                    cost=sum(self._cost(one) for one in data),
                    rollouts=min((rolled[one] for one in episodes if one in rolled), default=0),
                    tries=tuple(one for one in episodes if one in self.judged),
                    recipe=recipe_of(self.wheel, policy),
                )
            )
        return tuple(one for one in found if one.tries)

    @cached_property
    def corrections(self) -> Mapping[str, Correction]:
        return {one.episode: one for one in self.catalog.all(Correction) if one.accepted}

    @cached_property
    def targets(self) -> Mapping[str, str]:
        return {one.id: one.target for one in self.catalog.all(CorrectionRequest)}

    @cached_property
    def labels(self) -> Mapping[str, str]:
        return newest_labels(self.catalog)

    @cached_property
    def words(self) -> Mapping[str, str]:
        return labels_of(self.catalog)

    def task(self) -> Curve:
        points = [
            _point(one, one.demonstrations, sum(e in self.good for e in one.tries), len(one.tries))
            for one in self.shown
            if one.demonstrations is not None
        ]
        return Curve(self.scope, tuple(points))

    def modes(self) -> Iterator[Curve]:
        named = named_failures(self.wheel)
        bad = self.judged - self.good
        unread = {
            e
            for one in self.catalog.all(Deployment)
            if (failed := bad.intersection(one.episodes)) and not failed & named.keys()
            for e in one.episodes
        }
        rows = []
        for one in self.shown:
            tries = [e for e in one.tries if e not in unread]
            answered = Counter(label for e in one.taught if (label := self._answers(e)))
            if tries and one.demonstrations is not None:
                rows.append((one, len(tries), Counter(named[e] for e in tries if e in named), answered))
        for label in sorted({label for _, _, failed, _ in rows for label in failed}):
            points = [_point(one, answered[label], n - failed[label], n) for one, n, failed, answered in rows]
            yield Curve(label, tuple(points), kind="mode")

    def conditions(self) -> Iterator[Curve]:
        ids = list(dict.fromkeys(e for one in self.shown for e in (*one.tries, *sorted(one.taught))))
        told = self.wheel.pump.factors.conditions([self.catalog.get(one, Episode) for one in ids])
        kept = [{name: v for name, v in told[one].items() if name not in NOT_CONDITIONS} for one in ids]
        table = tabulate(kept)
        row = {one: index for index, one in enumerate(ids)}
        for column, factor in enumerate(table.factors):
            for code, value in enumerate(table.values[column]):
                here = {one for one in ids if table.codes[row[one], column] == code}
                points = []
                for one in self.shown:
                    tries = [e for e in one.tries if e in here]
                    if tries and one.taught:
                        points.append(
                            _point(one, len(one.taught & here), sum(e in self.good for e in tries), len(tries))
                        )
                if points and points[-1].tries >= FEWEST_TRIES_N:
                    yield Curve(f"{factor} is {value}", tuple(points), kind="condition")

    def _answers(self, episode: str) -> str:
        """Return the label of the mode that an episode was collected for, "" for none."""
        correction = self.corrections.get(episode)
        if correction is None:
            return ""
        if correction.failure is not None and self.labels.get(correction.failure):
            return self.labels[correction.failure]
        request = self.catalog.get(correction.request, CorrectionRequest)
        return self.words[request.mode] if request.mode else ""

    def _cost(self, episode: str) -> int:
        """Return what an episode cost a person, in steps; the bootstrap is not counted."""
        one = self.corrections.get(episode)
        if one is None or self.targets[one.request] == "bootstrap":
            return 0
        return one.human_steps + SWITCH_STEPS * one.takeovers


def _point(one: Shown, demonstrations: int, good: int, tries: int) -> Point:
    return Point(demonstrations, good, tries, one.cost, one.rollouts, one.recipe, one.name)


def _declared(policy: Policy) -> int | None:
    said = policy.declared.get(DECLARED, "")
    return int(said) if said.isdecimal() else None
