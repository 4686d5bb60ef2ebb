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
    NounId,
    PolicyId,
)
from saqiya.domain.logged import (
    Alias,
    Audit,
    ClockMap,
    Cut,
    CutSpan,
    Episode,
    Export,
    MediaInfo,
    Noun,
    OutcomeClaim,
    Part,
    Recording,
    Redaction,
    Rejection,
    Retention,
    StreamInfo,
    Subset,
    Tombstone,
)
from saqiya.domain.people import Advice, Assignment, Qualification, Reference, Review, Submission, Undo, Wish
from saqiya.domain.streams import JsonValue, Start
from saqiya.domain.words import (
    AuthorKind,
    CorrectionKind,
    Decision,
    Lineage,
    Outcome,
    Rank,
    Role,
    Source,
    Suite,
    Verdict,
)
from saqiya.domain.worth import (
    Ablation,
    CollectionPlan,
    Duplicate,
    FactorClaim,
    Gain,
    Intent,
    Novelty,
    PlanItem,
    PlanSkip,
)

__all__ = [
    "NOUNS",
    "Ablation",
    "Advice",
    "Alarm",
    "Alias",
    "Assignment",
    "Audit",
    "AuthorKind",
    "Calibration",
    "ClockMap",
    "CollectionPlan",
    "Correction",
    "CorrectionKind",
    "CorrectionRequest",
    "Cut",
    "CutSpan",
    "DatasetEntry",
    "DatasetVersion",
    "Decision",
    "Deployment",
    "Dismissal",
    "Duplicate",
    "Episode",
    "Evaluation",
    "EvaluationPlan",
    "Export",
    "FactorClaim",
    "Failure",
    "FailureMode",
    "Gain",
    "GateDecision",
    "Intent",
    "Lineage",
    "MediaInfo",
    "ModeName",
    "Noun",
    "Novelty",
    "Outcome",
    "OutcomeClaim",
    "Part",
    "PlanItem",
    "PlanSkip",
    "Policy",
    "PolicySpec",
    "Qualification",
    "Rank",
    "Recording",
    "Redaction",
    "Reference",
    "Rejection",
    "Retention",
    "Review",
    "Role",
    "Slot",
    "Source",
    "StreamInfo",
    "Submission",
    "Subset",
    "Suite",
    "Tombstone",
    "Trial",
    "Turn",
    "Undo",
    "Verdict",
    "Wish",
]


@dataclass(frozen=True, kw_only=True)
class Calibration(Noun):
    """A detector's threshold for one policy, from held-out successes by the exact-rank conformal quantile.

    `threshold` is None when there were too few successes for the budget, or the detector takes no part: an infinite
    threshold, and `said` says why. `policy` is None where nobody knows who acted. `report` keeps the detector's quality
    on the episodes that calibration did not see, beside the stopwatch.
    `monitor` holds the fitted detectors, their bands and the threshold as plain arrays, for the one that is fused.
    """

    kind: ClassVar[str] = "calibration"
    detector: str
    version: str
    policy: PolicyId | None
    budget: float
    successes: int
    threshold: float | None
    episodes: tuple[EpisodeId, ...]
    horizon_s: float
    report: dict[str, JsonValue] = field(default_factory=dict)
    said: str = ""
    monitor: Digest | None = None


@dataclass(frozen=True, kw_only=True)
class Alarm(Noun):
    """The fused score passed its threshold in a span of an episode; `detector` drove it, `reason` says how far."""

    kind: ClassVar[str] = "alarm"
    episode: EpisodeId
    calibration: CalibrationId
    start_ns: int
    end_ns: int
    score: float
    detector: str = ""
    reason: str = ""


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
class FailureMode(Noun):
    """A named group of failures with its medoid and its place in the queue; every factor of the priority is shown.

    Attributes:
        label: a word of the vocabulary, or "unknown-<n>" for a cluster that waits for a person's name.
        named_by: "rule", "person", "learned" (from names that people gave), or "" while it waits for a name.
        previous: the same mode as it stood in the turn before, when it was known then.
        vocabulary: version of the words.
    """

    kind: ClassVar[str] = "failure_mode"
    label: str
    parent: str
    policy: PolicyId | None
    members: tuple[FailureId, ...]
    medoid: FailureId
    priority: float
    factors: dict[str, float]
    named_by: str = "rule"
    previous: FailureModeId | None = None
    vocabulary: str = "1"


@dataclass(frozen=True, kw_only=True)
class ModeName(Noun):
    """A person's name for a mode, in this turn and later ones; two modes with one name are one."""

    kind: ClassVar[str] = "mode_name"
    mode: FailureModeId
    label: str
    author: str


@dataclass(frozen=True, kw_only=True)
class Dismissal(Noun):
    """A person's word that a failure is none, or not worth fixing, and why."""

    kind: ClassVar[str] = "dismissal"
    failure: FailureId
    author: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CorrectionRequest(Noun):
    """What to collect and why: target (a mode's label, or "bootstrap"), kind, count, and where to begin.

    `starts[i]` belongs to `failures[i]` when there are failures, or to `tries[i]`, which nearly failed; a bootstrap
    request has starts alone. `because` is the plan or the intent that it serves.
    """

    kind: ClassVar[str] = "correction_request"
    target: str
    mode: FailureModeId | None
    correction_kind: CorrectionKind
    count: int
    starts: tuple[Start, ...]
    failures: tuple[FailureId, ...] = ()
    reason: str = ""
    tries: tuple[EpisodeId, ...] = ()
    because: NounId | None = None


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

    A foreign policy is registered with `lineage` declared or unknown: a visible gap, not a broken link. `settings` are
    the trainer's own as they were given; None where nobody wrote them down.
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
    settings: dict[str, float] | None = None
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
    """A policy let loose on a site by a decision; its episodes carry the policy id, and the wheel closes.

    `mode` is "logged", and `decision` None, where the policy was deployed elsewhere and only its logs came in.
    """

    kind: ClassVar[str] = "deployment"
    scope: str
    policy: PolicyId
    decision: GateDecisionId | None
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


NOUNS: dict[str, type[Noun]] = {noun.kind: noun for noun in Noun.__subclasses__()}
"""Every kind of noun by its name."""
