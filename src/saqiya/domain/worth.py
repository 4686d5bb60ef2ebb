"""The nouns of what data is worth: novelty, copies, conditions, what to collect next and why, and whether it helped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from saqiya.domain.ids import DatasetVersionId, EpisodeId, FailureId, FailureModeId, NounId, PolicyId
from saqiya.domain.logged import Noun
from saqiya.domain.streams import JsonValue, Span, Start
from saqiya.domain.words import CorrectionKind

__all__ = [
    "Ablation",
    "CollectionPlan",
    "Duplicate",
    "FactorClaim",
    "Gain",
    "Intent",
    "Novelty",
    "PlanItem",
    "PlanSkip",
]


@dataclass(frozen=True, kw_only=True)
class Novelty(Noun):
    """What an episode tells a named policy that it does not know yet, in bits, beside its dumb rival: its length.

    `relative_to` is the id of the policy, or of the dataset version where no policy was named: the number means
    nothing without it.

    Attributes:
        worth: the bits that count: where the deployed policy will be, and where nothing near was shown; 0 where `junk`.
        information: bits that the episode adds to what training covers, whatever the policy makes of it.
        dataset: the version that stands for what the policy knows, where it was named beside it.
        bits: of the whole episode, or of `span`, by `method`.
        coverage: distance from the start to the nearest start that the policy was trained from.
        surprisal: bits of states that the policy's training data did not show.
        learnable: bits that a short fit on one half of the episode teaches about the other.
        consistency: error of predicting its actions from its own other steps, in variances of its actions: 0 is a
            person who does the same in the same place, 1 and more is noise.
        junk: why it is not worth learning from however many bits it has; "" where nothing speaks against it.
        nearest: the training episode that is most like it.
        span: half-open, on the episode's clock.
    """

    kind: ClassVar[str] = "novelty"
    episode: EpisodeId
    relative_to: NounId
    method: str
    bits: float
    bits_per_step: float
    steps: int
    coverage: float | None = None
    surprisal: float | None = None
    learnable: float | None = None
    consistency: float | None = None
    junk: str = ""
    nearest: EpisodeId | None = None
    worth: float | None = None
    information: float | None = None
    dataset: DatasetVersionId | None = None
    span: Span | None = None


@dataclass(frozen=True, kw_only=True)
class Duplicate(Noun):
    """An episode that repeats another one: kept, marked, and weighted down together with what it repeats.

    Attributes:
        of: the earliest episode of its group.
        how: "exact" (equal numbers) or "near".
        distance: mean aligned distance to `of`, 0 where exact, in the data's own spread.
        spacing: how far a try usually lies from the nearest other one; None where there was no other to compare with.
    """

    kind: ClassVar[str] = "duplicate"
    episode: EpisodeId
    of: EpisodeId
    how: str
    distance: float
    spacing: float | None = None


@dataclass(frozen=True, kw_only=True)
class FactorClaim(Noun):
    """What somebody says of an episode: this factor (object, light, strategy ...) had this value. The newest wins."""

    kind: ClassVar[str] = "factor_claim"
    episode: EpisodeId
    factor: str
    value: str
    author: str


@dataclass(frozen=True)
class Gain:
    """Points of success that `demonstrations` more would bring, with a 95 % interval: 0.012 is 1.2 points."""

    demonstrations: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PlanItem:
    """One thing to collect.

    Attributes:
        target: a mode's label, or the condition that has never been shown.
        region: where to begin, by factor: "low..high" or a word.
        starts: states to begin from where the site can restore them; else `cards` say what to put where.
        failures, tries: what `starts` began: `starts[i]` belongs to `failures[i]` where there are failures, or to
            `tries[i]`, which nearly failed.
        minutes: of a person, for all of `count`.
        gain: what it is expected to bring; None where nothing is known yet, and `reason` says so.
    """

    target: str
    mode: FailureModeId | None
    correction_kind: CorrectionKind
    count: int
    minutes: float
    gain: Gain | None
    region: dict[str, str]
    starts: tuple[Start, ...]
    cards: tuple[str, ...]
    reason: str
    failures: tuple[FailureId, ...] = ()
    tries: tuple[EpisodeId, ...] = ()


@dataclass(frozen=True)
class PlanSkip:
    """Something the plan does not spend on, and why, with figures."""

    target: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CollectionPlan(Noun):
    """What to collect next under a budget of human minutes, and what not."""

    kind: ClassVar[str] = "collection_plan"
    scope: str
    policy: PolicyId | None
    minutes: float
    items: tuple[PlanItem, ...]
    skipped: tuple[PlanSkip, ...]


@dataclass(frozen=True, kw_only=True)
class Intent(Noun):
    """Before anything was collected: which failure mode is aimed at, who said so, and what Saqiya answered.

    Attributes:
        target: a mode's label, a condition, or "bootstrap".
        warnings: why it may be wasted, with figures; () where nothing speaks against it.
        insisted: told again after a warning; a warned intent that nobody insists on collects nothing.
    """

    kind: ClassVar[str] = "intent"
    target: str
    mode: FailureModeId | None
    author: str
    warnings: tuple[str, ...] = ()
    insisted: bool = False


@dataclass(frozen=True, kw_only=True)
class Ablation(Noun):
    """Whether choosing by a score beat its rivals on this task, judged by retrained policies.

    `report` holds arms, seeds, intervals, the split-half ceiling and costs; `answer` is one sentence, and may be no.
    """

    kind: ClassVar[str] = "ablation"
    scope: str
    dataset: DatasetVersionId | None
    score: str
    answer: str
    gained: bool
    report: dict[str, JsonValue]
