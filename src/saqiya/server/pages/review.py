"""Reviews: what waits, one submission with all that speaks for and against it, and how far reviewers agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from saqiya.domain.nouns import CorrectionRequest, Episode, Review, Submission, Verdict
from saqiya.domain.streams import Span
from saqiya.domain.words import Rank
from saqiya.errors import UsageError
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.news import News
from saqiya.loop.people.briefing import briefing_of
from saqiya.loop.people.timeline import edges_of, snapped, timeline_of
from saqiya.server.gatekeeper import Reviewer, Viewer
from saqiya.server.kept import Here
from saqiya.server.page import page
from saqiya.server.wire import Line, Text, plain

__all__ = ["Decided", "decided", "lately", "router"]

router = APIRouter(include_in_schema=False)
MOST_WAITING = 60
MOST_SPANS = 20
MOST_LATELY = 12
MOST_S = 1e6


@dataclass(frozen=True)
class Decided:
    """A review with what it was of."""

    review: Review
    submission: Submission
    request: CorrectionRequest


def lately(wheel: Flywheel) -> list[Decided]:
    """Return what was decided last, the newest first."""
    said = [row.noun for row in News(wheel).page(Review, limit=MOST_LATELY) if isinstance(row.noun, Review)]
    return [decided(wheel, one) for one in said]


def decided(wheel: Flywheel, review: Review) -> Decided:
    """Return a review with what it was of."""
    submission = wheel.store.catalog.get(review.submission, Submission)
    return Decided(review, submission, wheel.store.catalog.get(submission.request, CorrectionRequest))


@router.get("/review")
def review(
    request: Request, here: Here, who: Viewer, submission: Annotated[str, Query(max_length=200)] = ""
) -> HTMLResponse:
    """Show what waits, and of it the one that is named, or that has waited longest."""
    wheel, name = here.wheel, who.name
    may = who.rank.covers(Rank.REVIEWER)
    waiting = wheel.desk.reviews(name if may else "", limit=MOST_WAITING)
    chosen = next((one for one in waiting if submission in {"", one.submission.id}), None)
    episode = wheel.store.catalog.get(chosen.episode, Episode) if chosen else None
    agreement = wheel.desk.agreement()
    return page(
        request,
        who,
        "review.html",
        may=may,
        waiting=waiting,
        chosen=chosen,
        episode=episode,
        b=briefing_of(wheel, chosen.request.id, chosen.submission.slot) if chosen else None,
        line=plain(timeline_of(wheel, chosen.submission)) if chosen else None,
        agreed=agreement.agreed,
        apart=[(decided(wheel, one), decided(wheel, other)) for one, other in agreement.apart[:MOST_LATELY]],
        lately=lately(wheel),
    )


class Word(BaseModel):
    """The form of a verdict; spans are seconds from the beginning, an empty row is none.

    `against` says that a severe warning was seen.
    """

    verdict: Verdict
    reason: Annotated[Text, Field(max_length=2000)] = ""
    against: Literal["", "yes"] = ""
    labels: Annotated[Line, Field(max_length=2000)] = ""
    from_s: Annotated[list[str], Field(max_length=MOST_SPANS)] = []
    to_s: Annotated[list[str], Field(max_length=MOST_SPANS)] = []


@router.post("/review/{submission}")
def decide(submission: str, here: Here, who: Reviewer, said: Annotated[Word, Form()]) -> Response:
    """Accept, reject or send back; then the next one."""
    wheel = here.wheel
    episode = wheel.store.catalog.get(wheel.store.catalog.get(submission, Submission).episode, Episode)
    words = [one.strip() for one in said.labels.split(",") if one.strip()]
    if said.verdict is Verdict.ACCEPT and not (said.against or said.reason.strip()):
        _warn(wheel, submission)
    found = _spans(episode, said.from_s, said.to_s)
    edges = edges_of(wheel, episode) if found else None
    spans = [snapped(edges, one) for one in found] if edges is not None else []
    wheel.desk.review(submission, who.name, said.verdict, said.reason, spans=spans, labels=words)
    return RedirectResponse("/review", status_code=303)


def _warn(wheel: Flywheel, submission: str) -> None:
    """Stop an accept that says nothing to a severe warning: a slip of the hand teaches what nobody wanted taught."""
    severe = [one.said for one in wheel.desk.doubts(submission) if one.severe]
    if severe:
        raise UsageError(
            f"a warning speaks against it: {severe[0]}",
            subject=submission,
            remedy="Say that you accept it all the same, or say why.",
        )


def _spans(episode: Episode, starts: list[str], ends: list[str]) -> tuple[Span, ...]:
    """Return spans on the episode's clock from seconds since its beginning."""
    found = []
    for start, end in zip(starts, ends, strict=False):
        if not start.strip() and not end.strip():
            continue
        try:
            first_s, last_s = float(start), float(end)
        except ValueError as error:
            said = f"{start} to {end}"[:80]
            raise UsageError("is no span in seconds", subject=said, remedy="Give two numbers.") from error
        if not 0.0 <= first_s < last_s < MOST_S:
            raise UsageError("ends before it begins", subject=f"{start} to {end} s", remedy="Give the earlier first.")
        end_ns = min(episode.start_ns + round(last_s * 1e9), episode.end_ns)
        found.append(Span(episode.start_ns + round(first_s * 1e9), end_ns))
    return tuple(found)
