"""What reviewers decide: accept, reject, send back; and a second look on a sample, to see how far they agree."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa

from saqiya.domain.ids import EpisodeId
from saqiya.domain.nouns import (
    Correction,
    CorrectionRequest,
    Episode,
    FactorClaim,
    Noun,
    Review,
    Role,
    Submission,
    Verdict,
)
from saqiya.domain.visible import line
from saqiya.errors import GuardRefusal, InvalidEpisode, LeaseLost, NothingOpen, UsageError
from saqiya.loop.people.exams import examined
from saqiya.loop.people.slots import Asked
from saqiya.mix.stage import taught
from saqiya.stores import leases
from saqiya.stores.leases import LeaseRow, LeaseState
from saqiya.stores.rows import kinds_of
from saqiya.stores.trail import append

if TYPE_CHECKING:
    from saqiya.loop.people.desk import Desk

__all__ = ["Waiting", "drawn_twice", "review", "reviews", "take"]

MOST_LABELS_N = 32


@dataclass(frozen=True)
class Waiting:
    """A submission that waits for a reviewer.

    Attributes:
        since_ns: when it was handed in.
        reviewer: who looks at it now, "" for nobody.
        second: it is decided, and drawn for a second look whose word changes nothing.
    """

    submission: Submission
    request: CorrectionRequest
    episode: EpisodeId
    since_ns: int
    reviewer: str
    second: bool


def drawn_twice(submission_id: str, share: float) -> bool:
    """Say whether a submission is in the sample for a second reviewer: its id decides, so nobody can choose."""
    drawn = int.from_bytes(hashlib.sha256(submission_id.encode()).digest()[:6], "big") / 2**48
    return drawn < share


def reviews(desk: Desk, reviewer: str, *, limit: int) -> tuple[Waiting, ...]:
    """Return what waits for a reviewer, the longest first, then second looks: nobody's own, nor what others look at."""
    now_ns = desk.now()
    desk.slots.catch_up()
    with desk.database.reading() as connection:
        rows = leases.waiting(connection, limit, reviewer=reviewer, now_ns=now_ns)
    return (*(_waiting(desk, row, now_ns) for row in rows), *_seconds(desk, reviewer))[:limit]


def take(desk: Desk, reviewer: str, *, for_s: float | None) -> Waiting:
    """Give a reviewer the submission that waits longest, for a while; asked again, the same one.

    Raises:
        NothingOpen: none waits that is not their own or another reviewer's.
        UnknownId: there is no such person.
    """
    desk.people.known(reviewer)
    now_ns = desk.now()
    with desk.database.writing() as connection:
        for found in leases.waiting(connection, 1, reviewer=reviewer, now_ns=now_ns):
            row = replace(found, reviewer=reviewer, reviewing_until_ns=now_ns + desk.lease_ns(for_s))
            if found.reviewer != reviewer:
                row = replace(row, seq=append(connection, reviewer, "review/take", row.submission, now_ns=now_ns))
            leases.store(connection, row)
            return _waiting(desk, row, now_ns)
    seconds = _seconds(desk, reviewer)
    if not seconds:
        raise NothingOpen("nothing waits for your review", subject=reviewer, remedy="Look again later.")
    return seconds[0]


def review(desk: Desk, submission_id: str, reviewer: str, said: Review) -> Review:
    """Store a verdict: see `Desk.review`. `said` has the words; this fills in whose they are and of what."""
    submission = desk.catalog.get(submission_id, Submission)
    episode = desk.catalog.get(submission.episode, Episode)
    _check(submission, episode, reviewer, said)
    _check_lesson(desk, submission, episode, said)
    with desk.database.reading() as connection:
        row = leases.at(connection, submission.request, submission.slot)
    key = desk.catalog.key_of(submission.id)
    before = desk.catalog.by_key(Review, f"{key}/review")
    if before is not None:
        return _again(desk, submission, before, replace(said, second=True), key)
    if row is None or row.submission != submission.id:
        raise LeaseLost("a newer submission stands in its place", subject=submission.id, remedy="Look at that one.")
    asked, now_ns = desk.asked(submission.request), desk.now()
    batch: list[tuple[Noun, str]] = [(said, f"{key}/review")]
    if asked.examines is not None and said.verdict is not Verdict.SEND_BACK:
        held = examined(desk, asked, submission.operator, submission, verdict=said.verdict)
        batch.append((held, f"{key}/qualification"))
    elif said.verdict is not Verdict.SEND_BACK:
        batch.append((_correction(desk, asked, submission, said), f"{key}/correction"))
        batch += _factors(desk, submission, said, key)

    def along(connection: sa.Connection) -> None:
        row = leases.at(connection, submission.request, submission.slot)
        if row is None or row.submission != submission.id or row.state is not LeaseState.SUBMITTED:
            raise LeaseLost("was decided a moment ago", subject=submission.id, remedy="Look at the next one.")
        if row.reviewer not in {"", reviewer} and row.reviewing_until_ns > now_ns:
            raise LeaseLost(f"{row.reviewer} looks at it", subject=submission.id, remedy="Look at the next one.")
        detail = {"verdict": said.verdict.value, "reason": said.reason, "submission": submission.id}
        seq = append(connection, reviewer, "review", said.id, detail, now_ns=now_ns)
        leases.store(connection, _decided(desk, row, said.verdict, now_ns, seq))

    stored = desk.catalog.put_all(batch, along=along)[0]
    return desk.catalog.get(stored.id, Review)


def _check(submission: Submission, episode: Episode, reviewer: str, said: Review) -> None:
    if submission.operator == reviewer:
        raise GuardRefusal("is your own", subject=submission.id, remedy="Somebody else must review it.")
    if said.verdict is not Verdict.ACCEPT and not said.reason:
        raise UsageError("needs a reason: its operator learns from it", subject=said.verdict.value)
    if len(said.labels) > MOST_LABELS_N or not all(said.labels):
        raise UsageError(f"at most {MOST_LABELS_N} labels, and none empty", subject=submission.id)
    named = [line(one.partition("=")[0]) for one in said.labels if "=" in one]
    if not all(line(part) for one in said.labels for part in one.split("=", 1)):
        raise UsageError("names a factor without a value", subject=submission.id, remedy="For example: light=dim.")
    if len(set(named)) < len(named):
        raise UsageError("names a factor twice", subject=submission.id, remedy="Say one value of each.")
    outside = [one for one in said.spans if one.start_ns < episode.start_ns or one.end_ns > episode.end_ns]
    if outside:
        raise UsageError(
            f"[{outside[0].start_ns}, {outside[0].end_ns}) is not inside the episode",
            subject=submission.id,
            remedy=f"It runs from {episode.start_ns} to {episode.end_ns}.",
        )


def _check_lesson(desk: Desk, submission: Submission, episode: Episode, said: Review) -> None:
    """Refuse spans in which nothing teaches: a mix would stop at them for ever."""
    if said.verdict is not Verdict.ACCEPT or not said.spans:
        return
    request = desk.catalog.get(submission.request, CorrectionRequest)
    try:
        taught(desk.wheel.store, request.correction_kind, episode, Role.CORRECTION, said.spans)
    except InvalidEpisode as error:
        raise UsageError(
            "hold no step that teaches", subject=submission.id, remedy="Name spans in which its operator acts, or none."
        ) from error


def _again(desk: Desk, submission: Submission, first: Review, said: Review, key: str) -> Review:
    """Keep a second reviewer's word, or give back the same reviewer's first."""
    if first.reviewer == said.reviewer:
        if first.verdict is said.verdict:
            return first
        raise LeaseLost("you decided it before", subject=submission.id, remedy="Nothing is edited after the fact.")
    if first.verdict is Verdict.SEND_BACK or not drawn_twice(submission.id, desk.settings.second_share):
        raise LeaseLost(f"{first.reviewer} decided it", subject=submission.id, remedy="Look at the next one.")
    now_ns = desk.now()

    def along(connection: sa.Connection) -> None:
        if not kinds_of(connection, [said.id]):  # another word was a moment quicker, and this one is not kept
            raise LeaseLost("had its second look", subject=submission.id, remedy="Look at the next one.")
        detail = {"verdict": said.verdict.value, "first": first.verdict.value, "submission": submission.id}
        append(connection, said.reviewer, "review/second", said.id, detail, now_ns=now_ns)

    if desk.catalog.has(Review, f"{key}/second"):
        raise LeaseLost("had its second look", subject=submission.id, remedy="Look at the next one.")
    stored = desk.catalog.put_all([(said, f"{key}/second")], along=along)[0]
    return desk.catalog.get(stored.id, Review)


def _correction(desk: Desk, asked: Asked, submission: Submission, said: Review) -> Correction:
    accepted = said.verdict is Verdict.ACCEPT
    return Correction(
        id=desk.catalog.new_id("correction"),
        request=submission.request,
        episode=submission.episode,
        failure=asked.failure(submission.slot),
        correction_kind=asked.request.correction_kind,
        operator=submission.operator,
        human_steps=submission.human_steps,
        takeovers=submission.takeovers,
        accepted=accepted,
        reason="" if accepted else f"{said.reviewer}: {said.reason}",
    )


def _factors(desk: Desk, submission: Submission, said: Review, key: str) -> list[tuple[Noun, str]]:
    """Return a claim for every label that names a factor and its value."""
    found: list[tuple[Noun, str]] = []
    for label in said.labels:
        name, equals, value = (line(part) for part in label.partition("="))
        if equals and name and value:
            claim = FactorClaim(
                id=desk.catalog.new_id("factor_claim"),
                episode=submission.episode,
                factor=name,
                value=value,
                author=said.reviewer,
            )
            found.append((claim, f"{key}/factor/{name}"))
    return found


def _decided(desk: Desk, row: LeaseRow, verdict: Verdict, now_ns: int, seq: int) -> LeaseRow:
    if verdict is not Verdict.SEND_BACK:
        return replace(row, state=LeaseState.DONE, since_ns=now_ns, seq=seq, reviewer="")
    until_ns = now_ns + int(desk.settings.kept_h * 3600e9)
    return replace(row, state=LeaseState.RETURNED, since_ns=now_ns, until_ns=until_ns, seq=seq, reviewer="")


def _waiting(desk: Desk, row: LeaseRow, now_ns: int) -> Waiting:
    submission = desk.catalog.get(row.submission, Submission)
    looking = row.reviewer if row.reviewing_until_ns > now_ns else ""
    return Waiting(submission, desk.asked(row.request).request, submission.episode, row.since_ns, looking, second=False)


def _seconds(desk: Desk, reviewer: str) -> tuple[Waiting, ...]:
    """Return the decided submissions that were drawn for a second look and had none yet, the oldest first."""
    desk.slots.catch_up()
    with desk.slots.lock:
        wanted = [(sub, first) for sub, first in desk.slots.once.items() if first != reviewer]
    found = []
    for submission_id, _ in wanted:
        if drawn_twice(submission_id, desk.settings.second_share):
            one = desk.catalog.get(submission_id, Submission)
            if one.operator != reviewer:
                request = desk.asked(one.request).request
                found.append(Waiting(one, request, one.episode, 0, "", second=True))
    return tuple(found)
