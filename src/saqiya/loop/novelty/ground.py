"""The ground that plans, the guard and the books of corrections stand on: who failed how, where, and what was given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from saqiya.correct.experience import Lesson
from saqiya.correct.intent import Aim
from saqiya.correct.plan import persists
from saqiya.correct.stage import BOOTSTRAP, DRILL
from saqiya.detect.stage import outcomes_of
from saqiya.domain.nouns import (
    Correction,
    CorrectionKind,
    CorrectionRequest,
    DatasetVersion,
    Deployment,
    Dismissal,
    Episode,
    Failure,
    FailureMode,
    Outcome,
    Policy,
)
from saqiya.errors import GuardRefusal
from saqiya.loop.failures import LOGGED
from saqiya.loop.figures import SWITCH_STEPS
from saqiya.loop.lives import Lives, labels_of
from saqiya.loop.novelty.saturation import curves_of, label_of, settled
from saqiya.measure.saturation import enough
from saqiya.triage.priority import Effort, minutes_by_mode

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Given", "Ground", "ground_of", "ground_on"]

STRATEGY = CorrectionKind.STRATEGY
STRATEGY_SHOWN_N = 10
"""Corrections in another strategy after which a mode that still persists is taken for one that no data teaches."""


@dataclass(frozen=True)
class Given:
    """A correction with what it was asked for: the label of its target now, and its request's key."""

    correction: Correction
    label: str
    key: str


@dataclass(frozen=True)
class Ground:
    """One deployment, and everything before it that tells what corrections are worth.

    Attributes:
        deployment: what is to be improved.
        place: the logical prefix of what is decided about it.
        dismissed: failures that a person said are none.
    """

    wheel: Flywheel
    deployment: Deployment
    place: str
    lives: Lives
    dismissed: frozenset[str]

    @cached_property
    def episodes(self) -> dict[str, Episode]:
        """The deployment's tries, by id."""
        catalog = self.wheel.store.catalog
        return {one: catalog.get(one, Episode) for one in self.deployment.episodes}

    @cached_property
    def outcomes(self) -> dict[str, Outcome]:
        """How they ended, those left out of which nobody knows."""
        found = outcomes_of(self.wheel.store, list(self.episodes.values()))
        return {one: value for one, value in found.items() if value is not Outcome.UNKNOWN}

    @cached_property
    def gone(self) -> dict[str, list[str]]:
        """The deployment's failures that a person dismissed, by label."""
        found: dict[str, list[str]] = defaultdict(list)
        for one in self.wheel.store.catalog.all(Failure):
            if one.episode in self.episodes and one.id in self.dismissed:
                found[self.lives.labels[one.id]].append(one.id)
        return dict(found)

    @cached_property
    def failures(self) -> dict[str, list[Failure]]:
        """The deployment's failures by label; those that a person dismissed are left out."""
        found: dict[str, list[Failure]] = defaultdict(list)
        for one in self.wheel.store.catalog.all(Failure):
            if one.episode in self.episodes and one.id not in self.dismissed:
                found[self.lives.labels[one.id]].append(one)
        return dict(found)

    @cached_property
    def modes(self) -> dict[str, FailureMode]:
        """The newest mode of each label, of all that were ever found."""
        catalog = self.wheel.store.catalog
        called = labels_of(catalog)
        return {self.wheel.vocabulary.resolve(called[one.id]): one for one in catalog.all(FailureMode)}

    @cached_property
    def scope_deployments(self) -> list[Deployment]:
        """The deployments of the same scope up to this one, in order."""
        alike = [one for one in self.wheel.store.catalog.all(Deployment) if one.scope == self.deployment.scope]
        return alike[: alike.index(self.deployment) + 1]

    @cached_property
    def given(self) -> tuple[Given, ...]:
        """Every correction that was asked for a mode or condition; bootstrap and drills are none."""
        catalog = self.wheel.store.catalog
        requests = {one.id: one for one in catalog.all(CorrectionRequest)}
        return tuple(
            Given(one, self.wheel.vocabulary.resolve(requests[one.request].target), catalog.key_of(one.request))
            for one in catalog.all(Correction)
            if requests[one.request].target not in {BOOTSTRAP, DRILL}
        )

    @cached_property
    def taught(self) -> Mapping[str, frozenset[str]]:
        """By policy, the episodes that it learned from; a policy whose data nobody declared is missing."""
        catalog = self.wheel.store.catalog
        held = {one.id: frozenset(entry.episode for entry in one.entries) for one in catalog.all(DatasetVersion)}
        return {one.id: held[one.dataset] for one in catalog.all(Policy) if one.dataset is not None}

    def counts(self, label: str, deployment: Deployment | None = None) -> tuple[int, int]:
        """Return (failures of a mode, tries that were judged) of a deployment, this one unless another is named."""
        deployment = deployment or self.deployment
        counts, tries, _ = self._counted[deployment.id]
        return min(counts.get(label, 0), tries), tries

    def under(self, condition: Aim) -> tuple[int, int]:
        """Return (failures, tries that were judged) of the deployment under a condition."""
        met = [one for one in self.outcomes if condition.holds(self._conditions[one])]
        return sum(self.outcomes[one] is not Outcome.SUCCESS for one in met), len(met)

    @cached_property
    def _conditions(self) -> dict[str, dict[str, str | float]]:
        return self.wheel.pump.factors.conditions(list(self.episodes.values()))

    @cached_property
    def stops(self) -> dict[str, str]:
        """Say of which modes the stop rule wants no more, by label; see `saqiya saturation`."""
        seed, stop = settled(self.wheel)
        curves = [one for one in curves_of(self.wheel, self.deployment.scope) if one.kind == "mode" and one.points]
        said = {one.name: enough(one, stop.gain_per_10, seed=seed, label=label_of(one)) for one in curves}
        return {name: sentence for name, sentence in said.items() if sentence}

    @cached_property
    def _counted(self) -> dict[str, tuple[dict[str, int], int, int]]:
        catalog = self.wheel.store.catalog
        label_of = {
            one.episode: self.lives.labels[one.id] for one in catalog.all(Failure) if one.id not in self.dismissed
        }
        found = {}
        for deployment in self.scope_deployments:
            outcomes = outcomes_of(self.wheel.store, [catalog.get(one, Episode) for one in deployment.episodes])
            counts: dict[str, int] = defaultdict(int)
            for one in deployment.episodes:
                if one in label_of:
                    counts[label_of[one]] += 1
            known = [value for value in outcomes.values() if value is not Outcome.UNKNOWN]
            failed = sum(value is not Outcome.SUCCESS for value in known)
            found[deployment.id] = dict(counts), len(known), failed
        return found

    def unread(self, deployment: Deployment) -> bool:
        """Say whether tries of a deployment failed and none of them was named."""
        counts, tries, failed = self._counted[deployment.id]
        return failed > 0 and not any(label and n for label, n in counts.items()) and tries > 0

    def persistent(self, label: str) -> bool:
        """Say whether a mode goes on in spite of many corrections in one strategy."""
        return self._persists(label, [one for one in self.given if one.correction.correction_kind is not STRATEGY])

    def unobservable(self, label: str) -> bool:
        """Say whether it went on in spite of another strategy too: then it is not for want of data."""
        shown = [one for one in self.given if one.correction.correction_kind is STRATEGY and one.label == label]
        return len(shown) >= STRATEGY_SHOWN_N and self._persists(label, self.given)

    def _persists(self, label: str, given: Sequence[Given]) -> bool:
        told = [one for one in self.lessons if one.mode == label]
        taught = self.taught.get(self.deployment.policy, frozenset())
        mine = [one.correction for one in given if one.label == label]
        return bool(told) and persists(
            accepted=sum(one.accepted and one.episode in taught for one in mine),
            before=told[0].before,
            after=self.counts(label),
            starts=self.lives.passed(label, policy=self.deployment.policy),
        )

    @cached_property
    def lessons(self) -> list[Lesson]:
        """Return what the corrections did that a later policy learned from and an earlier one had not, by mode."""
        found = []
        read = [one for one in self.scope_deployments if not self.unread(one)]
        for before, after in pairwise(read):
            fresh = self.taught.get(after.policy, frozenset()) - self.taught.get(before.policy, frozenset())
            given: dict[str, int] = defaultdict(int)
            for one in self.given:
                if one.correction.accepted and one.correction.episode in fresh:
                    given[one.label] += 1
            for label, count in sorted(given.items()):
                found.append(Lesson(label, count, self.counts(label, before), self.counts(label, after)))
        return found

    def minutes(self, labels: Sequence[str]) -> tuple[dict[str, float], float, str]:
        """Return the human minutes of a correction by mode and of a whole try, and what they rest on."""
        catalog, efforts = self.wheel.store.catalog, {label: list[Effort]() for label in labels}
        for one in self.given:
            made = one.correction
            efforts.setdefault(one.label, []).append(Effort(made.human_steps, made.takeovers, made.accepted))
        spec = catalog.get(self.deployment.policy, Policy).spec
        worked = sorted(
            (self.episodes[one].end_ns - self.episodes[one].start_ns) / 60e9
            for one, value in self.outcomes.items()
            if value is Outcome.SUCCESS
        )
        whole = worked[len(worked) // 2] if worked else 1.0
        if spec is None or not any(efforts.values()):
            return (
                dict.fromkeys(labels, whole),
                whole,
                "nothing was timed yet: a correction is taken to last as long as a try that works",
            )
        said = f"minutes: as the {sum(map(len, efforts.values()))} corrections so far took them"
        return minutes_by_mode(efforts, rate_hz=spec.rate_hz, switch_steps=SWITCH_STEPS), whole, said


def ground_of(wheel: Flywheel, ref: str = "") -> Ground:
    """Stand on a deployment: the one that is named, the champion's, else the newest of which logs were read.

    Raises:
        GuardRefusal: there is none, or nobody looked for its failures yet.
        UnknownId: there is no such deployment.
    """
    catalog = wheel.store.catalog
    if ref:
        deployment = catalog.get(ref, Deployment)
    else:
        champion = wheel.champion() if wheel.turning else None
        logged = [one for one in catalog.all(Deployment) if one.mode == LOGGED]
        found = champion[1] if champion else (logged[-1] if logged else None)
        if found is None:
            raise GuardRefusal(
                "nothing was deployed and no tries of a policy came in, so nothing is known of what fails",
                subject=str(wheel.store.root),
                remedy="Run saqiya turn, or saqiya ingest LOGS and saqiya triage --logs.",
            )
        deployment = found
    ground = ground_on(wheel, deployment)
    if ground.unread(deployment):
        flag = " --logs" if deployment.mode == LOGGED else ""
        raise GuardRefusal(
            "some of its tries failed, and nobody named how",
            subject=catalog.key_of(deployment.id),
            remedy=f"Run saqiya detect{flag} and saqiya triage{flag} first.",
        )
    return ground


def ground_on(wheel: Flywheel, deployment: Deployment) -> Ground:
    """Stand on a deployment, whether or not anybody has read it."""
    catalog = wheel.store.catalog
    logs = deployment.mode == LOGGED
    place = catalog.key_of(deployment.id) if logs else f"turn-{wheel.number}"
    return Ground(
        wheel, deployment, place, wheel.failures.lives(), frozenset(one.failure for one in catalog.standing(Dismissal))
    )
