"""What the desk's books say: of each operator, of reviewers who looked twice, and of how long failures wait."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from saqiya.correct.crewbook import OperatorFigures, Piece, Rate, figures_of, wilson
from saqiya.correct.leadtime import LeadTime, lead_time
from saqiya.correct.quality import LOST, Doubt, Shown, doubts
from saqiya.detect.stage import outcomes_of
from saqiya.domain.nouns import (
    Correction,
    CorrectionRequest,
    Dismissal,
    Episode,
    Failure,
    OutcomeClaim,
    Reference,
    Review,
    Submission,
    Verdict,
)
from saqiya.stores.tables import resolved
from saqiya.stores.trail import append

if TYPE_CHECKING:
    from saqiya.loop.people.desk import Desk

__all__ = ["Agreement", "Past", "agreement", "doubts_of", "figures", "history", "waited"]

LOOKED = "figures/look"
LOOK_NS = 3600 * 1_000_000_000


@dataclass(frozen=True)
class Past:
    """A submission and what became of it; `review` is None while nobody has decided."""

    submission: Submission
    request: CorrectionRequest
    review: Review | None


@dataclass(frozen=True)
class Agreement:
    """How often a second reviewer said what the first had said; `apart` are the other pairs, the newest first."""

    agreed: Rate | None
    apart: tuple[tuple[Review, Review], ...]


def figures(desk: Desk, person: str, by: str) -> OperatorFigures:
    """Return an operator's book: see `Desk.figures`."""
    looks = desk.trail.read(who=person, subject=f"{LOOKED}/{person}", limit=1)
    if by == person:
        now_ns = desk.now()
        if not looks or looks[0].t_ns + LOOK_NS < now_ns:
            with desk.database.writing() as connection:
                append(connection, person, LOOKED, f"{LOOKED}/{person}", now_ns=now_ns)
        return figures_of(person, _pieces(desk, 1 << 62))
    if not looks:
        return replace(figures_of(person, ()), said=f"{person} has not looked at their own yet, and sees them first.")
    return figures_of(person, _pieces(desk, looks[0].t_ns + LOOK_NS))


def history(desk: Desk, person: str, *, limit: int) -> tuple[Past, ...]:
    """Return what a person handed in, the newest first, each with the word on it."""
    said = _verdicts(desk, 1 << 62)
    mine = [one for one in desk.catalog.all(Submission) if one.operator == person][::-1][:limit]
    return tuple(Past(one, desk.catalog.get(one.request, CorrectionRequest), said.get(one.id)) for one in mine)


def agreement(desk: Desk) -> Agreement:
    """Compare the second looks with the first words."""
    every = desk.catalog.all(Review)
    first = {one.submission: one for one in every if not one.second}
    pairs = [(first[one.submission], one) for one in every if one.second and one.submission in first]
    agreed = sum(one.verdict is other.verdict for one, other in pairs)
    rate = Rate(agreed, len(pairs), agreed / len(pairs), *wilson(agreed / len(pairs), len(pairs))) if pairs else None
    return Agreement(rate, tuple(pair for pair in pairs[::-1] if pair[0].verdict is not pair[1].verdict))


def waited(desk: Desk) -> LeadTime:
    """Return how long failures wait for an accepted correction, of those that one was asked for."""
    catalog, now_ns = desk.catalog, desk.now()
    asked = {failure for one in catalog.all(CorrectionRequest) for failure in one.failures}
    gone = {one.failure for one in catalog.standing(Dismissal)}
    done: dict[str, int] = {}
    for at, one in catalog.since(Correction, -1):
        if one.accepted and one.failure is not None:
            done.setdefault(one.failure, at)
    waits = [
        ((done.get(one.id, now_ns) - at) / 1e9, one.id in done)
        for at, one in catalog.since(Failure, -1)
        if one.id in asked and (one.id not in gone or one.id in done)
    ]
    return lead_time([(max(0.0, wait), ended) for wait, ended in waits], target_s=desk.settings.target_h * 3600.0)


def doubts_of(desk: Desk, submission: Submission) -> tuple[Doubt, ...]:
    """Return what a reviewer should look at in a submission."""
    episode = desk.catalog.get(submission.episode, Episode)
    streams = desk.wheel.store.streams(episode)
    done, author, late = (streams.get(name) for name in ("action/executed", "author", "drive/latency_ms"))
    if done is None or not len(done.t_ns):
        span = (episode.start_ns, episode.end_ns)
        return (Doubt("actions", "it stores no actions, so nothing can be learnt from them", *span, severe=True),)
    actions = done.values.reshape(len(done.t_ns), -1).astype(np.float64)
    mine = np.ones(len(actions), np.bool_)
    if author is not None and author.values.any():
        last = np.clip(np.searchsorted(author.t_ns, done.t_ns, side="right") - 1, 0, None)
        mine = author.values.reshape(len(author.t_ns), -1)[last, 0] > 0
    shown = Shown(
        t_ns=done.t_ns,
        actions=actions,
        mine=mine,
        ended=outcomes_of(desk.wheel.store, [episode])[episode.id].value,
        denied=_denied(desk, submission),
        usual_n=_usual(desk, submission),
    )
    if desk.wheel.turning and episode.task == desk.wheel.config.task.name:
        spec = desk.wheel.site.spec
        shown = replace(shown, low=np.asarray(spec.action_low), high=np.asarray(spec.action_high))
    if late is not None and len(late.t_ns):
        ms = late.values.reshape(len(late.t_ns), -1)[:, 0].astype(np.float64)
        shown = replace(shown, late_t_ns=late.t_ns, late_ms=ms)
    return doubts(shown)


def _denied(desk: Desk, submission: Submission) -> str:
    """An operator's word on their own work counts before the site's criterion: whoever decides must see both."""
    said = desk.catalog.referring(submission.episode, OutcomeClaim)
    other = resolved([one for one in said if one.author != submission.operator])
    return f"{other.author} says {other.value.value}" if other and other.value.value in LOST else ""


def _usual(desk: Desk, submission: Submission) -> float:
    """Return the median of a person's steps in accepted corrections of the same target and kind; 0 below five."""
    like = desk.catalog.get(submission.request, CorrectionRequest)
    steps = [
        one.human_steps
        for one in desk.catalog.all(Correction)
        if one.accepted and one.correction_kind is like.correction_kind
        if desk.catalog.get(one.request, CorrectionRequest).target == like.target
    ]
    return float(np.median(steps)) if len(steps) >= 5 else 0.0


def _verdicts(desk: Desk, until_ns: int) -> dict[str, Review]:
    return {one.submission: one for at, one in desk.catalog.since(Review, -1) if not one.second and at <= until_ns}


def _pieces(desk: Desk, until_ns: int) -> list[Piece]:
    """Return a piece for every slot that somebody handed in something for; exams are not work."""
    exams = {one.request for one in desk.catalog.all(Reference)}
    said = _verdicts(desk, until_ns)
    groups: dict[tuple[str, str, int], list[Submission]] = defaultdict(list)
    for at, one in desk.catalog.since(Submission, -1):
        if at <= until_ns and one.request not in exams:
            groups[one.operator, one.request, one.slot].append(one)
    return [_piece(handed, said) for handed in groups.values()]


def _piece(handed: Sequence[Submission], said: dict[str, Review]) -> Piece:
    last = handed[-1]
    word = said.get(last.id)
    again = len(handed) > 1 or any(one.redos for one in handed)
    back = word is not None and word.verdict is Verdict.SEND_BACK
    decided = None if word is None or back else word.verdict is Verdict.ACCEPT
    return Piece(last.operator, last.request, decided, again or back, last.hesitation)
