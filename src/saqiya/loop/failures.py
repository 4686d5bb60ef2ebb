"""The verbs about failures, one method each: find and name them in any deployment, and what people say of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from saqiya.detect import stage as detect
from saqiya.detect.quality import QualityReport
from saqiya.detect.stage import Beside, Judged
from saqiya.domain.contracts import Restorable
from saqiya.domain.ids import digest_of
from saqiya.domain.nouns import (
    Calibration,
    Deployment,
    Dismissal,
    Episode,
    Failure,
    FailureMode,
    Lineage,
    ModeName,
    Noun,
    Novelty,
    Outcome,
    Policy,
    Source,
)
from saqiya.domain.streams import Event
from saqiya.domain.visible import words
from saqiya.errors import AlreadyThere, GuardRefusal, UsageError
from saqiya.loop.config import CorrectConfig, DetectConfig, RunConfig
from saqiya.loop.lives import READ_OFF, Lives, balances_of, labels_of, lives_of
from saqiya.loop.pages.card import card_of, write_card
from saqiya.loop.tries.monitor import write_monitor
from saqiya.loop.tries.shadow import shadow
from saqiya.models.starts import encode, nearest_distance, spacing
from saqiya.train.stage import load
from saqiya.triage import stage as triage
from saqiya.triage.backlog import Balance
from saqiya.triage.slices import Slice, slices_by_mode, slices_of
from saqiya.triage.vocabulary import WAITING

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Failures"]

LOGGED = "logged"
DIVERGENCE = "divergence"
USUAL_N = 100
"""Successes that say what is usual: more of them change no quantile that a rule asks for."""
PHASE = "phase/"


class Failures:
    """What can be asked and said of failures."""

    def __init__(self, wheel: Flywheel) -> None:
        self.wheel, self.catalog = wheel, wheel.store.catalog
        self._told: tuple[object, Lives] | None = None
        self._telling = Lock()

    def adopt(self, what: Sequence[str] = ()) -> tuple[Deployment, ...]:
        """Make deployments of policies that acted elsewhere from the logs that came in, one a policy and task.

        Args:
            what: a subset, a dataset version, or episodes; () for every try of a policy that no deployment holds yet.

        Raises:
            GuardRefusal: none of them is a policy's try.
        """
        chosen = self.wheel.data.chosen(what)[1] if what else self._unheld()
        groups: dict[tuple[str, str, str], list[Episode]] = defaultdict(list)
        for one in chosen:
            if one.source in {Source.ROLLOUT, Source.UNKNOWN}:
                groups[self._acted(one), one.task, one.embodiment].append(one)
        if not groups:
            raise GuardRefusal(
                "there is no policy's try among them", subject="detect", remedy="Take in rollouts: saqiya ingest LOGS."
            )
        return tuple(self._adopted(*whose, tries) for whose, tries in sorted(groups.items()))

    def detect(self, deployment: Deployment, *, beside: str = "") -> detect.Detected:
        """Calibrate the detectors on a deployment and find its failures.

        Args:
            deployment: whose tries are read.
            beside: a policy that is run over the tries as a shadow: how far it is from what was done is a signal too.
        """
        asked = self._asked(deployment)
        detectors = asked.detect.detectors
        return detect.run(
            self.wheel.store,
            asked.episodes,
            policy=self.catalog.get(deployment.policy, Policy),
            training=asked.training,
            detectors=(*dict.fromkeys((*detectors, DIVERGENCE)),) if beside else detectors,
            budget=asked.detect.budget,
            phases=asked.phases,
            before=self._before(deployment),
            beside=self._shadow(beside, asked.seed) if beside else None,
            seed=asked.seed,
            key=f"{asked.key}/detect" + (f"/beside/{beside}" if beside else ""),
        )

    def triage(self, deployment: Deployment) -> triage.Triaged:
        """Name, group and rank the failures of a deployment, and ask for corrections."""
        asked = self._asked(deployment)
        held, told = set(deployment.episodes), self.lives()
        failures = [one for one in self.catalog.all(Failure) if one.episode in held]
        novelty: Mapping[str, Novelty] = {}
        if deployment.mode != LOGGED:  # a policy that is not here cannot say what is new to it
            measured = self.wheel.measure([self.catalog.get(one.episode, Episode) for one in failures])
            novelty = {one.episode: one for one in measured}
        return triage.run(
            self.wheel.store,
            deployment,
            failures,
            successes=self._successes(asked.episodes),
            conditions=self.wheel.pump.factors.conditions(asked.episodes),
            passed=lambda label, policy: told.passed(label, policy=policy),
            novelty=novelty,
            training=[one.start for one in asked.training if one.start is not None],
            ranges=asked.ranges,
            phases=asked.phases,
            budget=asked.correct.per_turn,
            restorable=asked.restorable,
            vocabulary=self.wheel.vocabulary,
            key=f"{asked.key}/triage",
        )

    def lives(self) -> Lives:
        """Tell the life of every failure: anew only once something was stored that a life is read off."""
        with self._telling:
            version = {kind: n for kind, n in self.catalog.count().items() if kind in READ_OFF}
            if self._told is None or self._told[0] != version:
                self._told = version, lives_of(self.wheel)
            return self._told[1]

    def balances(self) -> tuple[Balance, ...]:
        """Return the books of every turn: failures found against corrections integrated."""
        return balances_of(self.wheel, self.lives())

    def judge(self, what: Sequence[str] = (), *, error: float = 0.02) -> Judged:
        """Give outcomes to tries that nobody judged, by a model of those that somebody did; doubts wait for a person.

        Args:
            what: a subset, a dataset version or episodes of one task; () for every try of a policy.
            error: share of the answers that may be wrong.

        Raises:
            TooLittle: too few tries of a kind are judged.
            UsageError: they are of several tasks or embodiments.
        """
        chosen = self.wheel.data.chosen(what)[1] if what else self.catalog.all(Episode)
        tries = [one for one in chosen if one.source in {Source.ROLLOUT, Source.UNKNOWN}]
        kinds = sorted({f"{one.task or 'no task'} on {one.embodiment or 'no embodiment'}" for one in tries})
        if len(kinds) > 1:
            raise UsageError(
                f"there are tries of {', '.join(kinds)}", remedy="Judge one task at a time: name a subset."
            )
        return detect.judge(self.wheel.store, tries, error=error, now_ns=self.wheel.clock())

    def dismiss(self, ref: str, *, author: str, reason: str) -> Dismissal:
        """Say that a failure is none, or not worth fixing; it stays in the books as dismissed.

        Raises:
            UsageError: nobody, or no reason, is named.
            UnknownId: there is no such failure.
        """
        _demand(author, reason)
        return self.wheel.desk.dismiss(ref, author, reason)

    def name(self, ref: str, label: str, *, author: str) -> ModeName:
        """Give a mode a name of the vocabulary; modes that grow from it keep it, and two modes of one name are one.

        Raises:
            UsageError: nobody is named, or the word is not in the vocabulary.
            UnknownId: there is no such mode.
        """
        mode = self._mode(ref)
        _demand(author, label)
        if label.startswith(WAITING):
            raise UsageError("is what a mode is called until it has a name", subject=label, remedy="Choose a word.")
        word = self.wheel.vocabulary.word(label)
        before = len(self.catalog.referring(mode.id, ModeName))
        made = ModeName(id=self.catalog.new_id("mode_name"), mode=mode.id, label=word.name, author=author)
        return self.wheel.desk.record(made, f"{self.catalog.key_of(mode.id)}/name/{before}", author, "name", mode.id)

    def _mode(self, ref: str) -> FailureMode:
        """Return the newest mode that bears this name, else the one of this id or key."""
        called = labels_of(self.catalog)
        found = [one for one in self.catalog.all(FailureMode) if called[one.id] == ref]
        return found[-1] if found else self.catalog.get(ref, FailureMode)

    def card(self, ref: str, out: Path) -> Path:
        """Write the reset card of a failure.

        Raises:
            UnknownId: there is no such failure.
            AlreadyThere: `out` exists.
        """
        failure = self.catalog.get(ref, Failure)
        return write_card(card_of(self.wheel, failure, self.lives().labels[failure.id]), out)

    def _shadow(self, ref: str, seed: int) -> Beside:
        found = self.catalog.get(ref, Policy)
        policy = load(self.wheel.store, found)
        return lambda streams: shadow(policy, found.name, streams, seed=seed)

    def monitor(self, out: Path) -> Calibration:
        """Write the monitor of the newest calibration to a file that a robot loads, all at once.

        Raises:
            GuardRefusal: nothing was calibrated yet, or not for the robot.
            AlreadyThere: `out` exists.
        """
        made = [one for one in self.catalog.all(Calibration) if one.monitor is not None]
        if not made or made[-1].monitor is None:
            raise GuardRefusal(
                "there is no calibrated monitor",
                subject=str(self.wheel.store.root),
                remedy="Run saqiya detect on tries of which some succeeded.",
            )
        if out.exists():
            raise AlreadyThere("exists", subject=str(out), remedy="Choose another name.")
        write_monitor(out, bytes(self.catalog.object_view(made[-1].monitor)))
        return made[-1]

    def _before(self, deployment: Deployment) -> Calibration | None:
        """Return the fused calibration of the policy that was deployed before this one in the same scope.

        The tries that set its threshold tell the scope: one policy may do several tasks.
        """
        alike = [one for one in self.catalog.all(Deployment) if one.scope == deployment.scope]
        theirs = {episode for one in alike if one.policy != deployment.policy for episode in one.episodes}
        made = [one for one in self.catalog.all(Calibration) if one.detector == detect.FUSED and one.monitor]
        fused = [one for one in made if one.episodes and theirs.issuperset(one.episodes)]
        return fused[-1] if fused else None

    def quality(self, deployment: Deployment) -> tuple[Mapping[str, QualityReport], Mapping[str, str]]:
        """Judge the detectors on a deployment by failure mode, and on successes that began where training did not.

        Beside the reports: the detectors that take no part, and why.

        Raises:
            TooLittle: no success is left to calibrate on, or no detector can take part.
        """
        asked, labels = self._asked(deployment), self.lives().labels
        return detect.quality(
            self.wheel.store,
            asked.episodes,
            training=asked.training,
            detectors=asked.detect.detectors,
            budget=asked.detect.budget,
            modes={one.episode: labels[one.id] for one in self.catalog.all(Failure)},
            shifted=_shifted(asked),
            seed=asked.seed,
        )

    def slices(self, deployment: Deployment) -> tuple[tuple[Slice, ...], dict[str, tuple[Slice, ...]]]:
        """Return the conditions under which tries of a deployment fail more than elsewhere: at all, and by mode."""
        failed = {one.episode: one.id for one in self.catalog.all(Failure)}
        labels = self.lives().labels
        tries = [self.catalog.get(one, Episode) for one in deployment.episodes]
        conditions = self.wheel.pump.factors.conditions(tries)
        told = [(conditions[one.id], failed.get(one.id)) for one in tries]
        every = slices_of([(factors, failure is not None) for factors, failure in told])
        return every, slices_by_mode([(factors, labels[failure] if failure else "") for factors, failure in told])

    def _successes(self, episodes: Sequence[Episode]) -> list[Episode]:
        outcomes = detect.outcomes_of(self.wheel.store, episodes)
        return [one for one in episodes if outcomes[one.id] is Outcome.SUCCESS][:USUAL_N]

    def _unheld(self) -> list[Episode]:
        held = {one for deployment in self.catalog.all(Deployment) for one in deployment.episodes}
        return [
            one
            for one in self.catalog.all(Episode)
            if one.id not in held and (one.source is Source.ROLLOUT or self._acted(one) or not one.operator)
        ]  # an operator beside a policy is who stood by; alone he is who drove

    def _acted(self, episode: Episode) -> str:
        return self.catalog.key_of(episode.policy) if episode.policy else episode.policy_name

    def _adopted(self, policy: str, task: str, embodiment: str, tries: Sequence[Episode]) -> Deployment:
        """Store the deployment, and the policy where nobody registered it: a visible gap, not a broken link."""
        name = policy or "unknown"
        acted = self.catalog.by_key(Policy, name)
        rows: list[tuple[Noun, str]] = []
        if acted is None:
            acted = Policy(
                id=self.catalog.new_id("policy"),
                name=name,
                lineage=Lineage.UNKNOWN,
                trainer="",
                weights=None,
                spec=None,
                dataset=None,
            )
            rows.append((acted, name))
        made = Deployment(
            id=self.catalog.new_id("deployment"),
            scope=f"{task}@{LOGGED}/{embodiment}",
            policy=acted.id,
            decision=None,
            mode=LOGGED,
            episodes=tuple(one.id for one in tries),
        )
        digest = digest_of("\n".join(self.catalog.key_of(one.id) for one in tries).encode())[:12]
        stored = self.catalog.put_all([*rows, (made, f"{LOGGED}/{name}/{digest}")])
        return next(noun for noun in stored if isinstance(noun, Deployment))

    def _asked(self, deployment: Deployment) -> _Asked:
        episodes = [self.catalog.get(one, Episode) for one in deployment.episodes]
        if deployment.mode != LOGGED:
            wheel, spec = self.wheel, self.wheel.site.spec
            policy = self.catalog.get(deployment.policy, Policy)
            return _Asked(
                episodes, wheel.training_episodes(policy), spec.phases, spec.factors, wheel.config.detect,
                wheel.config.correct, wheel.config.run.seed, isinstance(wheel.site, Restorable),
                key=f"turn-{wheel.number}",
            )  # fmt: skip
        config = self.wheel.config if self.wheel.turning else None
        held = set(deployment.episodes)
        taught = [
            one
            for one in self.catalog.all(Episode)
            if one.source is Source.DEMONSTRATION and one.id not in held and one.task == episodes[0].task
        ]
        return _Asked(
            episodes, taught, phases_of([one.events for one in episodes]), {},
            config.detect if config else DetectConfig(),
            config.correct if config else CorrectConfig(), config.run.seed if config else RunConfig().seed,
            restorable=False, key=self.catalog.key_of(deployment.id),
        )  # fmt: skip


@dataclass(frozen=True)
class _Asked:
    """What finding and naming failures needs to know of a deployment."""

    episodes: list[Episode]
    training: list[Episode]
    phases: tuple[str, ...]
    ranges: Mapping[str, tuple[float, float]]
    detect: DetectConfig
    correct: CorrectConfig
    seed: int
    restorable: bool
    key: str


def _shifted(asked: _Asked) -> dict[str, bool]:
    """Say of each try whether it began farther from every training start than those lie from one another."""
    taught = [one.start for one in asked.training if one.start is not None and one.start.factors]
    tries = {one.id: one.start for one in asked.episodes if one.start is not None and one.start.factors}
    if len(taught) < 2 or not tries:
        return {}
    places = encode([*taught, *tries.values()], asked.ranges)
    apart = spacing(places[: len(taught)])
    away = nearest_distance(places[len(taught) :], places[: len(taught)])
    return {one: bool(distance > apart) for one, distance in zip(tries, away, strict=True)}


def phases_of(tries: Iterable[Sequence[Event]]) -> tuple[str, ...]:
    """Return the phases that logs name by events "phase/<name>", in the order in which tries mostly reach them."""
    ranks: dict[str, list[float]] = defaultdict(list)
    for events in tries:
        named = list(dict.fromkeys(event.name for event in events if event.name.startswith(PHASE)))
        for rank, name in enumerate(named):
            ranks[name.removeprefix(PHASE)].append(rank)
    return tuple(sorted(ranks, key=lambda name: (sum(ranks[name]) / len(ranks[name]), name)))


def _demand(author: str, text: str) -> None:
    if not words(author) or not words(text):
        raise UsageError("needs somebody who says it, and what", remedy="Give --by NAME, and a reason or a name.")
