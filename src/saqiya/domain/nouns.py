"""The nouns: frozen facts that the catalog stores, each with the ids of what it came from.

A field annotated with an id type of `domain.ids` is a reference; the catalog finds them by that annotation, so lineage
needs no second list. Nothing here is edited after it is stored: a change of mind is a new noun.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from saqiya.domain.ids import (
    AlarmId,
    CalibrationId,
    CorrectionRequestId,
    DatasetVersionId,
    DeploymentId,
    Digest,
    EpisodeId,
    EvaluationId,
    EvaluationPlanId,
    FailureId,
    FailureModeId,
    GateDecisionId,
    PolicyId,
    RecordingId,
)
from saqiya.domain.streams import Event, JsonValue, Start
from saqiya.domain.words import AuthorKind, CorrectionKind, Decision, Lineage, Outcome, Role, Source, Suite

__all__ = [
    "NOUNS",
    "Alarm",
    "Alias",
    "AuthorKind",
    "Calibration",
    "Correction",
    "CorrectionKind",
    "CorrectionRequest",
    "DatasetEntry",
    "DatasetVersion",
    "Decision",
    "Deployment",
    "Episode",
    "Evaluation",
    "EvaluationPlan",
    "Failure",
    "FailureMode",
    "GateDecision",
    "Lineage",
    "Noun",
    "Novelty",
    "Outcome",
    "OutcomeClaim",
    "Policy",
    "PolicySpec",
    "Recording",
    "Rejection",
    "Role",
    "Slot",
    "Source",
    "StreamInfo",
    "Suite",
    "Tombstone",
    "Trial",
    "Turn",
]


@dataclass(frozen=True, kw_only=True)
class Noun:
    """What every noun has: an id. `kind` names its class in ids, keys and the catalog."""

    kind: ClassVar[str] = ""
    id: str


@dataclass(frozen=True, kw_only=True)
class Recording(Noun):
    """Bytes as they came: a log file, imported (one copy in the object store) or linked where it lies."""

    kind: ClassVar[str] = "recording"
    digest: str
    format: str
    name: str
    size_bytes: int
    object: Digest | None = None
    location: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rejection(Noun):
    """Input that could not be used, why, and what to do: rejected data is kept as a fact, never dropped."""

    kind: ClassVar[str] = "rejection"
    name: str
    reason: str
    remedy: str
    digest: str | None = None


@dataclass(frozen=True)
class StreamInfo:
    """What an episode's stream looks like, without its samples."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    rate_hz: float
    clock: str
    stamp: str
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Episode(Noun):
    """One reset-to-reset try: a half-open time range over recordings, its streams as one object.

    Attributes:
        recordings: the bytes it was read from.
        key_in_recording: which try of the recording it is.
        start_ns, end_ns: int64 ns on the episode's clock.
        streams: the safetensors object with every numeric stream at its own rate.
        prints: a digest of each informative stream's values, whatever the format: equal prints betray the same try.
        policy: the policy that acted, when a policy acted and is known.
        policy_name: what the log or table called it, when it is not registered.
        start: where it began, when known; leakage checks compare `start.key`.
    """

    kind: ClassVar[str] = "episode"
    recordings: tuple[RecordingId, ...]
    key_in_recording: str
    start_ns: int
    end_ns: int
    streams: Digest
    infos: tuple[StreamInfo, ...]
    prints: tuple[str, ...]
    source: Source
    task: str
    embodiment: str
    site: str
    steps: int
    events: tuple[Event, ...] = ()
    policy: PolicyId | None = None
    policy_name: str = ""
    operator: str = ""
    start: Start | None = None
    extra: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Alias(Noun):
    """Says that a recording holds a try that is already an episode, in another format or copy."""

    kind: ClassVar[str] = "alias"
    episode: EpisodeId
    recording: RecordingId
    key_in_recording: str


@dataclass(frozen=True, kw_only=True)
class OutcomeClaim(Noun):
    """Somebody's word on how an episode ended. Claims add up; none is edited."""

    kind: ClassVar[str] = "outcome_claim"
    episode: EpisodeId
    value: Outcome
    author_kind: AuthorKind
    author: str
    version: str
    time_ns: int
    confidence: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Calibration(Noun):
    """A detector's threshold for one policy, from held-out successes by the exact-rank conformal quantile.

    `threshold` is None when there were too few successes for the budget: an infinite threshold, said aloud.
    `report` keeps the detector's quality on the episodes that calibration did not see, beside the stopwatch.
    """

    kind: ClassVar[str] = "calibration"
    detector: str
    version: str
    policy: PolicyId
    budget: float
    successes: int
    threshold: float | None
    episodes: tuple[EpisodeId, ...]
    horizon_s: float
    report: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Alarm(Noun):
    """A detector's score passed its threshold in a span of an episode."""

    kind: ClassVar[str] = "alarm"
    episode: EpisodeId
    calibration: CalibrationId
    start_ns: int
    end_ns: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Failure(Noun):
    """An incident: a failed try, the alarms that belong to it, and the moment to look at first.

    Attributes:
        moment_ns: when it first looked wrong: the first alarm, else the last progress.
        phase: the last phase that was reached.
        evidence: the numbers that triage's labels rest on.
    """

    kind: ClassVar[str] = "failure"
    episode: EpisodeId
    alarms: tuple[AlarmId, ...]
    moment_ns: int
    phase: str
    evidence: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Novelty(Noun):
    """What an episode tells a named policy that it does not know yet, in bits, beside its dumb rival: its length.

    `relative_to` is the policy's id: the number means nothing without it.
    """

    kind: ClassVar[str] = "novelty"
    episode: EpisodeId
    relative_to: PolicyId
    method: str
    bits: float
    bits_per_step: float
    steps: int
    coverage: float | None = None


@dataclass(frozen=True, kw_only=True)
class FailureMode(Noun):
    """A named group of failures with its medoid and its place in the queue; every factor of the priority is shown."""

    kind: ClassVar[str] = "failure_mode"
    label: str
    parent: str
    policy: PolicyId
    members: tuple[FailureId, ...]
    medoid: FailureId
    priority: float
    factors: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class CorrectionRequest(Noun):
    """What to collect and why: target (a mode's label, or "bootstrap"), kind, count, and where to begin.

    `starts[i]` belongs to `failures[i]` when there are failures; a bootstrap request has starts alone.
    """

    kind: ClassVar[str] = "correction_request"
    target: str
    mode: FailureModeId | None
    correction_kind: CorrectionKind
    count: int
    starts: tuple[Start, ...]
    failures: tuple[FailureId, ...] = ()
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Correction(Noun):
    """What an operator gave: aligned with its failure and request, accepted or not, and what it cost.

    `human_steps` counts control steps executed by the operator; `takeovers` counts switches to the operator.
    """

    kind: ClassVar[str] = "correction"
    request: CorrectionRequestId
    episode: EpisodeId
    failure: FailureId | None
    correction_kind: CorrectionKind
    operator: str
    human_steps: int
    takeovers: int
    accepted: bool
    reason: str = ""


@dataclass(frozen=True)
class DatasetEntry:
    """A span of an episode in a dataset version, with its weight (per sample, 1.0 is natural) and its role."""

    episode: EpisodeId
    start_ns: int
    end_ns: int
    weight: float
    role: Role


@dataclass(frozen=True, kw_only=True)
class DatasetVersion(Noun):
    """An exact training set: spans and weights. `manifest_hash` covers contents and weights, never ids or clocks."""

    kind: ClassVar[str] = "dataset_version"
    parent: DatasetVersionId | None
    entries: tuple[DatasetEntry, ...]
    manifest_hash: str
    note: str = ""


@dataclass(frozen=True)
class PolicySpec:
    """What a policy reads and does.

    Attributes:
        observation: observation streams with their widths, side by side in the order of their names: a stored dict
            keeps no other order.
        action: width of one action.
        rate_hz: control rate.
        chunk: actions predicted at once; `execute` of them are carried out before the next prediction.
    """

    observation: dict[str, int]
    action: int
    rate_hz: float
    chunk: int
    execute: int
    embodiment: str

    def __post_init__(self) -> None:
        """Put the streams in their one order, however they were given."""
        object.__setattr__(self, "observation", dict(sorted(self.observation.items())))


@dataclass(frozen=True, kw_only=True)
class Policy(Noun):
    """Weights, normaliser (inside the weights object), inference settings, embodiment, base and dataset version.

    A foreign policy is registered with `lineage` declared or unknown: a visible gap, not a broken link.
    """

    kind: ClassVar[str] = "policy"
    name: str
    lineage: Lineage
    trainer: str
    weights: Digest | None
    spec: PolicySpec | None
    dataset: DatasetVersionId | None
    base: PolicyId | None = None
    seed: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    declared: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Slot:
    """One trial to be run: which arm, from where, and with which pair it is compared (None: unpaired)."""

    arm: PolicyId
    suite: Suite
    stratum: str
    start: Start
    pair: int | None


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan(Noun):
    """Everything that is fixed before the first trial: slots and their order, the test, its alpha and its power."""

    kind: ClassVar[str] = "evaluation_plan"
    scope: str
    round: int
    alpha: float
    candidate: PolicyId
    champion: PolicyId
    slots: tuple[Slot, ...]
    params: dict[str, JsonValue]
    power: dict[str, JsonValue]


@dataclass(frozen=True, kw_only=True)
class Trial(Noun):
    """What became of one slot: one episode, or a void whose reason came before any outcome."""

    kind: ClassVar[str] = "trial"
    plan: EvaluationPlanId
    slot: int
    episode: EpisodeId | None
    success: bool
    void: str = ""


@dataclass(frozen=True, kw_only=True)
class Evaluation(Noun):
    """What the trials of a plan showed: counts for each suite and stratum, and where the test stopped."""

    kind: ClassVar[str] = "evaluation"
    plan: EvaluationPlanId
    pairs: int
    wins: int
    losses: int
    champion_successes: int
    candidate_successes: int
    voids: int
    strata: dict[str, JsonValue]
    stopped: str


@dataclass(frozen=True, kw_only=True)
class GateDecision(Noun):
    """The gate's word on a candidate, in sentences with numbers."""

    kind: ClassVar[str] = "gate_decision"
    decision: Decision
    candidate: PolicyId
    champion: PolicyId | None
    evaluation: EvaluationId | None
    alpha_spent: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Deployment(Noun):
    """A policy let loose on a site by a decision; its episodes carry the policy id, and the wheel closes."""

    kind: ClassVar[str] = "deployment"
    scope: str
    policy: PolicyId
    decision: GateDecisionId
    mode: str
    episodes: tuple[EpisodeId, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Turn(Noun):
    """One rotation of the wheel, with its figures. `figures` is what turns.json shows."""

    kind: ClassVar[str] = "turn"
    scope: str
    number: int
    dataset: DatasetVersionId | None
    policy: PolicyId
    decision: GateDecisionId
    deployment: DeploymentId | None
    figures: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Tombstone(Noun):
    """Says that an object's bytes were erased on purpose; `verify` accepts it, loaders refuse it."""

    kind: ClassVar[str] = "tombstone"
    digest: str
    reason: str
    affected: tuple[str, ...] = ()


NOUNS: dict[str, type[Noun]] = {noun.kind: noun for noun in Noun.__subclasses__()}
"""Every kind of noun by its name."""
