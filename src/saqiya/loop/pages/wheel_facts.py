"""What the wheel's page shows, read off the nouns: plain rows with counts, intervals and keys, and no drawing."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from saqiya.detect.stage import FUSED
from saqiya.domain.nouns import (
    Calibration,
    Correction,
    CorrectionRequest,
    DatasetVersion,
    Decision,
    Deployment,
    Episode,
    Evaluation,
    EvaluationPlan,
    Failure,
    FailureMode,
    GateDecision,
    Policy,
    Rejection,
    Turn,
)
from saqiya.errors import UnknownId
from saqiya.evaluate.intervals import Interval, clopper_pearson
from saqiya.evaluate.ledger import Entry, spent
from saqiya.loop.figures import put_back, stopped_because, success_of
from saqiya.loop.lives import balances_of, labels_of
from saqiya.loop.novelty.measuring import novelties
from saqiya.measure.rivals import RankCorrelation, rank_correlation
from saqiya.triage.backlog import Balance, Variety, troubles, variety
from saqiya.triage.life import State
from saqiya.triage.vocabulary import Vocabulary

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel
    from saqiya.stores.catalog import Catalog

__all__ = [
    "AlphaRow", "Asked", "Books", "DetectorRow", "Facts", "GateRow", "Medoid", "ModeRow", "NoveltyRow", "Point",
    "Triage", "TurnRow", "facts_of", "last_modes", "novelty_rows",
]  # fmt: skip

ENDING = 16
"""Characters of an id's end that name it: 62 random bits."""


@dataclass(frozen=True)
class TurnRow:
    """A finished turn: its figures as in turns.json, and the keys of what it made."""

    number: int
    figures: Mapping[str, Any]
    key: str
    dataset_key: str
    decision_key: str
    deployment_key: str


@dataclass(frozen=True)
class GateRow:
    """A decision of the gate, the promise made before its first trial, and what stood against what.

    `regular` is a turn's own decision, in contrast to one beside it, such as a drill.
    """

    key: str
    turn: int | None
    regular: bool
    decision: str
    reasons: tuple[str, ...]
    promise: str
    candidate_key: str
    champion_key: str
    dataset_note: str
    alpha: float


@dataclass(frozen=True)
class AlphaRow:
    """One line of the alpha ledger: a round, what it declared, and what is spent with it."""

    key: str
    round: int
    alpha: float
    spent: float


@dataclass(frozen=True)
class Medoid:
    """The failure that stands for a mode: where it began and when to look. Times in s from the beginning of the try."""

    failure: str
    key: str
    episode_key: str
    start: Mapping[str, float | str]
    moment_s: float
    length_s: float
    phase: str


@dataclass(frozen=True)
class Asked:
    """What was asked for a mode and what came of it."""

    key: str
    kind: str
    count: int
    given: int
    accepted: int


@dataclass(frozen=True)
class ModeRow:
    """A failure mode of one deployment: its count, its rate (exact 95 % interval), each factor of its priority."""

    key: str
    label: str
    meaning: str
    named_by: str
    failures_n: int
    rate: Interval
    priority: float
    factors: Mapping[str, float]
    medoid: Medoid
    asked: tuple[Asked, ...]


@dataclass(frozen=True)
class Triage:
    """The failures of one deployment by mode; `modes` is None while they wait for the next turn to name them."""

    turn: int
    deployment_key: str
    policy_key: str
    tries_n: int
    failures_n: int
    modes: tuple[ModeRow, ...] | None

    @property
    def unnamed_n(self) -> int:
        """Failures that belong to no mode."""
        return self.failures_n - sum(mode.failures_n for mode in self.modes or ())


@dataclass(frozen=True)
class DetectorRow:
    """A calibrated detector, the turn whose tries it read, and its report on those that calibration did not see."""

    key: str
    turn: int | None
    policy_key: str
    name: str
    threshold: float | None
    said: str
    successes_n: int
    budget: float
    horizon_s: float
    report: Mapping[str, Any]

    @property
    def fused(self) -> bool:
        """Whether this is all the turn's detectors together: the one that raises alarms."""
        return self.name == FUSED


@dataclass(frozen=True)
class Point:
    """One correction: control steps, bits under the policy it is to teach, and whether it was accepted."""

    steps: int
    bits: float
    accepted: bool


@dataclass(frozen=True)
class NoveltyRow:
    """The corrections of a turn in bits relative to one policy, and how far the bits go with mere length."""

    turn: int
    policy_key: str
    points: tuple[Point, ...]
    length: RankCorrelation


@dataclass(frozen=True)
class Books:
    """Failures found against corrections integrated.

    Attributes:
        rows: each turn's balance, and its distinct modes where something was deployed.
        states: how many failures stand where, in the order of their life.
        reopened: how often a fixed failure came back.
        troubles: whether the wheel stalls or oscillates, in sentences.
    """

    rows: tuple[tuple[Balance, Variety | None], ...]
    states: tuple[tuple[str, int], ...]
    reopened: int
    troubles: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Everything on the page.

    `triages` has one entry a finished turn; `refused` are the REJECTs, drills included; `back` is what `put_back` says.
    """

    task: str
    embodiment: str
    criterion: str
    site: str
    target: float
    alpha_total: float
    stopped: str | None
    turns: tuple[TurnRow, ...]
    gates: tuple[GateRow, ...]
    alphas: tuple[AlphaRow, ...]
    triages: tuple[Triage, ...]
    detectors: tuple[DetectorRow, ...]
    novelty: tuple[NoveltyRow, ...]
    rejections: tuple[Rejection, ...]
    books: Books
    back: tuple[str, dict[str, Any]] | None = None

    @property
    def refused(self) -> tuple[GateRow, ...]:
        """The candidates that the gate rejected."""
        return tuple(row for row in self.gates if row.decision == Decision.REJECT.value)


def facts_of(wheel: Flywheel, *, novelty: bool = True) -> Facts:
    """Read the page's facts off the catalog of an open workspace; `novelty` takes longest, and can be left out."""
    catalog, config = wheel.store.catalog, wheel.config
    turns = [turn for turn in catalog.all(Turn) if turn.scope == wheel.scope]
    return Facts(
        task=config.task.name,
        embodiment=config.task.embodiment,
        criterion=config.task.criterion,
        site=config.site.name,
        target=config.stop.target,
        alpha_total=config.gate.alpha_total,
        stopped=stopped_because(wheel),
        turns=tuple(_turn(catalog, turn) for turn in turns),
        gates=tuple(_gates(catalog, wheel.scope, {turn.decision for turn in turns})),
        alphas=tuple(_alphas(catalog, wheel.scope)),
        triages=tuple(_triages(wheel)),
        detectors=tuple(_detectors(catalog, turns)),
        novelty=novelty_rows(wheel) if novelty else (),
        rejections=tuple(catalog.all(Rejection)),
        books=_books(wheel),
        back=put_back(wheel),
    )


def _books(wheel: Flywheel) -> Books:
    told = wheel.failures.lives()
    balances = balances_of(wheel, told)
    kinds = {row.turn: row for row in variety(balances, seed=wheel.config.run.seed)}
    states = Counter(life.state for life in told.lives.values())
    return Books(
        rows=tuple((one, kinds.get(one.turn)) for one in balances),
        states=tuple((state.value, states[state]) for state in State if states[state]),
        reopened=sum(life.reopened for life in told.lives.values()),
        troubles=troubles(balances),
    )


def last_modes(wheel: Flywheel) -> tuple[ModeRow, ...]:
    """Return the modes of the last deployment whose failures have names, best priority first; () before the first."""
    named = [triage.modes for triage in _triages(wheel) if triage.modes]
    return named[-1] if named else ()


def _name(catalog: Catalog, noun_id: str) -> str:
    """Return a noun's key, or the ending of its id where nouns of several kinds share that key: a person types it."""
    key = catalog.key_of(noun_id)
    try:
        catalog.get(key)
    except UnknownId:
        return noun_id[-ENDING:]
    return key


def _turn_of(key: str) -> int | None:
    found = re.match(r"turn-(\d+)/", key)
    return int(found[1]) if found else None


def _turn(catalog: Catalog, turn: Turn) -> TurnRow:
    return TurnRow(
        number=turn.number,
        figures=turn.figures,
        key=catalog.key_of(turn.id),
        dataset_key=catalog.key_of(turn.dataset) if turn.dataset else "",
        decision_key=_name(catalog, turn.decision),
        deployment_key=catalog.key_of(turn.deployment) if turn.deployment else "",
    )


def _gates(catalog: Catalog, scope: str, closed: set[str]) -> Iterable[GateRow]:
    for decision in catalog.all(GateDecision):
        plan = None
        if decision.evaluation is not None:
            plan = catalog.get(catalog.get(decision.evaluation, Evaluation).plan, EvaluationPlan)
        if decision.id not in closed and (plan is None or plan.scope != scope):
            continue
        candidate = catalog.get(decision.candidate, Policy)
        dataset = catalog.get(candidate.dataset, DatasetVersion) if candidate.dataset else None
        key = catalog.key_of(decision.id)
        yield GateRow(
            key=_name(catalog, decision.id),
            turn=_turn_of(key),
            regular=re.fullmatch(r"turn-\d+/decision", key) is not None,
            decision=decision.decision.value,
            reasons=decision.reasons,
            promise=str(plan.power.get("sentence", "")) if plan else "",
            candidate_key=catalog.key_of(candidate.id),
            champion_key=catalog.key_of(decision.champion) if decision.champion else "",
            dataset_note=dataset.note if dataset else "",
            alpha=decision.alpha_spent,
        )


def _alphas(catalog: Catalog, scope: str) -> Iterable[AlphaRow]:
    entries: list[Entry] = []
    for plan in catalog.all(EvaluationPlan):
        if plan.scope == scope:
            entries.append(Entry(plan.round, plan.alpha))
            yield AlphaRow(_name(catalog, plan.id), plan.round, plan.alpha, spent(entries))


def _triages(wheel: Flywheel) -> Iterable[Triage]:
    catalog, words, names = wheel.store.catalog, wheel.vocabulary, labels_of(wheel.store.catalog)
    modes: dict[str, list[FailureMode]] = {}
    for mode in catalog.all(FailureMode):
        modes.setdefault(catalog.get(mode.medoid, Failure).episode, []).append(mode)
    asked = _asked(catalog)
    for turn in catalog.all(Turn):
        if turn.scope != wheel.scope or turn.deployment is None:
            continue
        deployment = catalog.get(turn.deployment, Deployment)
        success = turn.figures.get("success") or success_of(wheel, deployment)
        mine = [mode for episode in deployment.episodes for mode in modes.get(episode, ())]
        tries_n = len(deployment.episodes)
        rows = sorted((_mode(catalog, mode, names[mode.id], words, tries_n, asked) for mode in mine), key=_order)
        yield Triage(
            turn=turn.number,
            deployment_key=catalog.key_of(deployment.id),
            policy_key=catalog.key_of(deployment.policy),
            tries_n=len(deployment.episodes),
            failures_n=success["n"] - success["k"],
            modes=tuple(rows) or None,
        )


def _order(mode: ModeRow) -> tuple[float, str]:
    return -mode.priority, mode.label


def _mode(
    catalog: Catalog,
    mode: FailureMode,
    label: str,
    words: Vocabulary,
    tries_n: int,
    asked: Mapping[str, Sequence[Asked]],
) -> ModeRow:
    return ModeRow(
        key=catalog.key_of(mode.id),
        label=words.resolve(label),
        meaning=words.word(label).meaning,
        named_by="person" if label != mode.label else mode.named_by,
        failures_n=len(mode.members),
        rate=clopper_pearson(len(mode.members), tries_n),
        priority=mode.priority,
        factors=mode.factors,
        medoid=_medoid(catalog, mode.medoid),
        asked=tuple(asked.get(mode.id, ())),
    )


def _medoid(catalog: Catalog, failure_id: str) -> Medoid:
    failure = catalog.get(failure_id, Failure)
    episode = catalog.get(failure.episode, Episode)
    return Medoid(
        failure=failure.id,
        key=catalog.key_of(failure.id),
        episode_key=catalog.key_of(episode.id),
        start=episode.start.factors if episode.start else {},
        moment_s=(failure.moment_ns - episode.start_ns) / 1e9,
        length_s=(episode.end_ns - episode.start_ns) / 1e9,
        phase=failure.phase,
    )


def _asked(catalog: Catalog) -> Mapping[str, Sequence[Asked]]:
    """Return what was asked for each mode, by its id."""
    given: dict[str, list[bool]] = defaultdict(list)
    for one in catalog.all(Correction):
        given[one.request].append(one.accepted)
    found: dict[str, list[Asked]] = defaultdict(list)
    for request in catalog.all(CorrectionRequest):
        if request.mode is not None:
            came = given.get(request.id, ())
            row = Asked(
                key=catalog.key_of(request.id),
                kind=request.correction_kind.value,
                count=request.count,
                given=len(came),
                accepted=sum(came),
            )
            found[request.mode].append(row)
    return found


def _detectors(catalog: Catalog, turns: Sequence[Turn]) -> Iterable[DetectorRow]:
    policies = {catalog.get(turn.deployment, Deployment).policy for turn in turns if turn.deployment}
    for one in catalog.all(Calibration):
        key = catalog.key_of(one.id)
        turn = _turn_of(key)
        if one.policy in policies:
            yield DetectorRow(
                key=key,
                turn=None if turn is None else turn - 1,  # a turn reads the deployment before it
                policy_key=catalog.key_of(one.policy) if one.policy else "",
                name=one.detector,
                threshold=one.threshold,
                said=one.said,
                successes_n=one.successes,
                budget=one.budget,
                horizon_s=one.horizon_s,
                report=one.report,
            )


def novelty_rows(wheel: Flywheel) -> tuple[NoveltyRow, ...]:
    """Return what each turn's corrections measured in bits, relative to every policy that was deployed."""
    catalog, seed = wheel.store.catalog, wheel.config.run.seed
    deployed = {one.policy for one in catalog.all(Deployment) if one.scope == wheel.scope}
    measured = novelties(catalog)
    groups: dict[tuple[int, str], list[Point]] = {}
    for correction in catalog.all(Correction):
        turn = _turn_of(catalog.key_of(correction.id))
        for one in measured.get(correction.episode, ()):
            if turn is not None and one.relative_to in deployed:
                point = Point(one.steps, one.bits, correction.accepted)
                groups.setdefault((turn, one.relative_to), []).append(point)
    return tuple(
        NoveltyRow(turn, catalog.key_of(policy), tuple(points), _beside_length(points, seed))
        for (turn, policy), points in sorted(groups.items(), key=lambda item: item[0][0])
    )


def _beside_length(points: Sequence[Point], seed: int) -> RankCorrelation:
    return rank_correlation([point.bits for point in points], [float(point.steps) for point in points], seed=seed)
