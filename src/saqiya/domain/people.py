"""The nouns of people in the loop: what they handed in, what was said of it, who was asked, and who may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from saqiya.domain.ids import CorrectionRequestId, EpisodeId, FailureId, NounId, PolicyId, SubmissionId
from saqiya.domain.logged import Noun
from saqiya.domain.streams import Span
from saqiya.domain.words import Verdict

__all__ = ["Advice", "Assignment", "Qualification", "Reference", "Review", "Submission", "Undo", "Wish"]


@dataclass(frozen=True, kw_only=True)
class Submission(Noun):
    """What an operator hands in for one slot of a request; it is no lesson before a reviewer accepts it.

    Attributes:
        slot: which of the request's `count`, from 0; `starts[slot]` is where it was to begin, where there are starts.
        human_steps, takeovers: as in a `Correction`.
        redos: tries that were thrown away before this one.
        latency_ms: from input to picture, 95 % quantile over the steps; None where nobody measured it.
        hesitation: share of the operator's own steps in which the hand stood still; None where actions are not stored.
    """

    kind: ClassVar[str] = "submission"
    request: CorrectionRequestId
    slot: int
    episode: EpisodeId
    operator: str
    human_steps: int
    takeovers: int
    redos: int = 0
    latency_ms: float | None = None
    hesitation: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Review(Noun):
    """A reviewer's word on a submission; the first verdict decides, a second reviewer's is only compared with it.

    Attributes:
        spans: what of the episode teaches, on its clock; () for all that its author did.
        labels: words for it; "factor=value" also puts that factor of the episode on record.
        second: asked for on a sample, to see how far reviewers agree.
    """

    kind: ClassVar[str] = "review"
    submission: SubmissionId
    reviewer: str
    verdict: Verdict
    reason: str = ""
    spans: tuple[Span, ...] = ()
    labels: tuple[str, ...] = ()
    second: bool = False


@dataclass(frozen=True, kw_only=True)
class Assignment(Noun):
    """Somebody is asked by name to correct a failure; the newest that was not undone holds."""

    kind: ClassVar[str] = "assignment"
    failure: FailureId
    person: str
    author: str


@dataclass(frozen=True, kw_only=True)
class Advice(Noun):
    """A correction in words: what the robot should have done."""

    kind: ClassVar[str] = "advice"
    failure: FailureId
    author: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Undo(Noun):
    """A `Dismissal`, a `ModeName` or an `Assignment` that shall count no more; it stays on record."""

    kind: ClassVar[str] = "undo"
    what: NounId
    author: str


@dataclass(frozen=True, kw_only=True)
class Reference(Noun):
    """A request whose right answer is known: whoever gives it `needed` times is qualified for the task."""

    kind: ClassVar[str] = "reference"
    request: CorrectionRequestId
    task: str
    needed: int
    author: str


@dataclass(frozen=True, kw_only=True)
class Qualification(Noun):
    """How a person did on a reference: `successes` of `tries` submissions; the newest of a task counts."""

    kind: ClassVar[str] = "qualification"
    person: str
    task: str
    request: CorrectionRequestId
    passed: bool
    successes: int
    tries: int


@dataclass(frozen=True, kw_only=True)
class Wish(Noun):
    """Somebody asks for the wheel's next step; whoever watches the workspace takes it, the server never does.

    Attributes:
        turn: that was under way when it was said; once that one is over, so is the wish.
        policy: to roll back to; None: turn the wheel.
        reason: why, in the author's words.
    """

    kind: ClassVar[str] = "wish"
    turn: int
    policy: PolicyId | None
    author: str
    reason: str = ""
