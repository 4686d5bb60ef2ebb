"""The desk between failures and people: who works on what, what they hand in, what is said of it. `Flywheel.desk`.

It checks whose a thing is: a lease is its holder's, nobody reviews their own. What a rank may do, the door checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa

from saqiya.correct.crewbook import OperatorFigures
from saqiya.correct.leadtime import LeadTime
from saqiya.correct.quality import Doubt
from saqiya.domain.nouns import (
    Advice,
    Assignment,
    CorrectionRequest,
    Dismissal,
    Failure,
    ModeName,
    Noun,
    Rank,
    Reference,
    Review,
    Submission,
    Undo,
    Verdict,
)
from saqiya.domain.streams import Span, Start
from saqiya.domain.visible import words
from saqiya.errors import GuardRefusal, UsageError
from saqiya.loop.config import FILE_NAME, DeskConfig, read_desk
from saqiya.loop.people import books, claims, reviews
from saqiya.loop.people.books import Agreement, Past
from saqiya.loop.people.claims import Lease, Offer, Rig
from saqiya.loop.people.exams import refer
from saqiya.loop.people.reviews import Waiting
from saqiya.loop.people.slots import Asked, Slots
from saqiya.stores.leases import LeaseState
from saqiya.stores.people import People
from saqiya.stores.rows import kinds_of
from saqiya.stores.trail import Trail, append

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Desk"]

N = TypeVar("N", bound=Noun)


class Desk:
    """Claims, submissions, reviews, assignments, and what is asked of them. Threads may share one.

    Attributes:
        people, trail: who may work here, and who did what.
    """

    def __init__(self, wheel: Flywheel) -> None:
        """Work in the workspace of `wheel`."""
        self.wheel, self.catalog = wheel, wheel.store.catalog
        self.database = self.catalog.database
        self.people, self.trail = People(self.database), Trail(self.database)

    @cached_property
    def settings(self) -> DeskConfig:
        """The section [desk] of saqiya.toml, read once."""
        return read_desk(self.wheel.store.root / FILE_NAME)

    @cached_property
    def slots(self) -> Slots:
        """What is open, kept in memory."""
        return Slots(self.wheel, int(self.settings.target_h * 3600e9))

    # -- work ----------------------------------------------------------------------------------------------------

    def queue(self, person: str, *, limit: int = 50, rig: str = "") -> tuple[Offer, ...]:
        """Return the requests with work left, in the order in which a person would get them; what is blocked is last.

        Args:
            person: who asks.
            limit: at most so many.
            rig: only what can be done at this embodiment; "" for all.

        Raises:
            UnknownId: there is no such person.
        """
        return claims.queue(self, person, limit=limit, rig=rig)

    def next(self, person: str) -> tuple[Rig, ...]:
        """Say what a person does best at each of their robots, the one where a minute brings most first.

        Raises:
            UnknownId: there is no such person.
        """
        return claims.rigs(self, person)

    def claim(
        self,
        person: str,
        request: str | None = None,
        *,
        slot: int | None = None,
        for_s: float | None = None,
        rig: str = "",
    ) -> Lease:
        """Give a person a slot: the best that is open to them, or one of a request they name; told twice, the same.

        Args:
            person: who will do it.
            request: id or key; None for the best.
            slot: which of the request's; None for its first open one.
            for_s: how long without a sign of life; None for what saqiya.toml says.
            rig: the best that can be done at this embodiment; "" for any.

        Raises:
            NothingOpen: nothing is open to them, and why.
            UnknownId: there is no such request or person.
            UsageError: a slot of no request.
        """
        return claims.claim(self, person, request, slot=slot, for_s=for_s, rig=rig)

    def held(self, person: str) -> tuple[Lease, ...]:
        """Return what a person holds now, the oldest first."""
        return claims.held(self, person)

    def renew(self, lease_id: str, person: str, *, for_s: float | None = None) -> Lease:
        """Hold on to a lease; one that expired is still its holder's while nobody else took the slot.

        Raises:
            LeaseLost: somebody else took it, or it was handed in or back.
        """
        return claims.renew(self, lease_id, person, for_s=for_s)

    def hand_back(self, lease_id: str, person: str, reason: str = "") -> None:
        """Let a slot go, for whoever comes next.

        Raises:
            LeaseLost: somebody else has it, or it was handed in.
        """
        claims.hand_back(self, lease_id, person, reason)

    def submit(
        self, lease_id: str, person: str, episode_id: str, note: str = "", *, redos: int = 0, vouched: bool = False
    ) -> Submission:
        """Hand in an episode for the slot of a lease; told twice, it is handed in once.

        Args:
            lease_id: whose slot it is.
            person: who hands in.
            episode_id: what they made.
            note: for the reviewer.
            redos: tries that were thrown away before this one.
            vouched: the person answers for somebody else's work, whatever name it bears: a partner's.

        Raises:
            LeaseLost: somebody else took the slot meanwhile; the episode stays stored.
            GuardRefusal: the episode was handed in before, or was not made for this slot by this person.
            UnknownId: there is no such episode.
        """
        return claims.submit(self, lease_id, person, episode_id, note=note, redos=redos, vouched=vouched)

    # -- reviews -------------------------------------------------------------------------------------------------

    def reviews(self, reviewer: str = "", *, limit: int = 50) -> tuple[Waiting, ...]:
        """Return what waits for a reviewer, the longest first, then second looks; for "" all that waits."""
        return reviews.reviews(self, reviewer, limit=limit)

    def take(self, reviewer: str, *, for_s: float | None = None) -> Waiting:
        """Give a reviewer the submission that waits longest, so that no two look at one; asked again, the same.

        Raises:
            NothingOpen: none waits that is not their own or another reviewer's.
        """
        return reviews.take(self, reviewer, for_s=for_s)

    def review(
        self,
        submission_id: str,
        reviewer: str,
        verdict: Verdict,
        reason: str = "",
        spans: Sequence[Span] = (),
        labels: Sequence[str] = (),
    ) -> Review:
        """Decide about a submission: its `Correction` is stored with the word, in one transaction, or neither is.

        Sent back, the slot is its operator's first for a while. Of a decided one that was drawn for a second look, a
        second reviewer's word is kept beside the first and changes nothing.

        Args:
            submission_id: what is judged.
            reviewer: who judges; never its operator.
            verdict: what they say.
            reason: why; needed for all but an accept.
            spans: what of the episode teaches, in the next mix; () for all that its author did.
            labels: words for it; "factor=value" puts that factor of the episode on record too.

        Raises:
            GuardRefusal: it is the reviewer's own.
            LeaseLost: somebody else looks at it, or decided it.
            UsageError: no reason, an empty label, a span outside the episode, or spans without a step that teaches.
        """
        said = Review(
            id=self.catalog.new_id("review"),
            submission=self.catalog.get(submission_id, Submission).id,
            reviewer=reviewer,
            verdict=verdict,
            reason=words(reason),
            spans=tuple(spans),
            labels=tuple(words(one) for one in labels),
        )
        return reviews.review(self, submission_id, reviewer, said)

    # -- what is said of failures --------------------------------------------------------------------------------

    def assign(self, failure: str, person: str, by: str) -> Assignment:
        """Ask somebody by name to correct a failure: its slots are offered to them first, and to nobody else.

        Raises:
            UnknownId: there is no such failure or person.
            GuardRefusal: the person may take no work, and then nobody could.
        """
        found = self.catalog.get(failure, Failure)
        if not (known := self.people.known(person)).rank.covers(Rank.OPERATOR):
            raise GuardRefusal(f"is a {known.rank} and takes no work", subject=person, remedy="Ask an operator.")
        made = Assignment(id=self.catalog.new_id("assignment"), failure=found.id, person=person, author=by)
        return self.record(made, f"{self.catalog.key_of(found.id)}/assignment/{made.id}", by, "assign", found.id)

    def dismiss(self, failure: str, by: str, reason: str) -> Dismissal:
        """Say that a failure is none, or not worth fixing: nobody is asked to correct it.

        Raises:
            UsageError: no reason is named.
            UnknownId: there is no such failure.
        """
        reason = _said(by, reason)
        found = self.catalog.get(failure, Failure)
        before = [one for one in self.catalog.referring(found.id, Dismissal) if self.catalog.referring(one.id, Undo)]
        place = f"{self.catalog.key_of(found.id)}/dismissal" + (f"/{len(before)}" if before else "")
        made = Dismissal(id=self.catalog.new_id("dismissal"), failure=found.id, author=by, reason=reason)
        return self.record(made, place, by, "dismiss", found.id)

    def undo(self, noun_id: str, by: str) -> Undo:
        """Let a dismissal, a mode's name or an assignment count no more.

        Raises:
            UsageError: it is something else: nothing but these can be undone.
        """
        what = self.catalog.get(noun_id)
        if not isinstance(what, Dismissal | ModeName | Assignment):
            raise UsageError(
                f"a {what.kind} cannot be undone", subject=what.id, remedy="A change of mind is a new noun."
            )
        made = Undo(id=self.catalog.new_id("undo"), what=what.id, author=by)
        return self.record(made, f"{self.catalog.key_of(what.id)}/undo", by, "undo", what.id)

    def advise(self, failure: str, by: str, text: str) -> Advice:
        """Keep a correction in words: what the robot should have done.

        Raises:
            UsageError: nothing is said.
            UnknownId: there is no such failure.
        """
        text = _said(by, text)
        found = self.catalog.get(failure, Failure)
        made = Advice(id=self.catalog.new_id("advice"), failure=found.id, author=by, text=text)
        return self.record(made, f"{self.catalog.key_of(found.id)}/advice/{made.id}", by, "advise", found.id)

    def refer(self, task: str, starts: Sequence[Start], *, needed: int, by: str) -> Reference:
        """Ask everybody who wants to work on a task to show it first, from starts whose right answer is known.

        Raises:
            UsageError: no task, no start, or more successes than starts.
        """
        return refer(self, task, tuple(starts), needed=needed, by=by)

    # -- the books -----------------------------------------------------------------------------------------------

    def figures(self, person: str, by: str = "") -> OperatorFigures:
        """Return an operator's book: accepted share, redo rate, hesitation, each beside others on the same requests.

        The operator sees it first: to anybody else it shows what there was when they last looked, and an hour on.

        Args:
            person: whose.
            by: who looks; the operator's own look is put in the trail.
        """
        return books.figures(self, person, by)

    def history(self, person: str, *, limit: int = 50) -> tuple[Past, ...]:
        """Return what a person handed in, the newest first, each with the word on it."""
        return books.history(self, person, limit=limit)

    def agreement(self) -> Agreement:
        """Say how often second reviewers said what the first had said, and show where they did not."""
        return books.agreement(self)

    def doubts(self, submission_id: str) -> tuple[Doubt, ...]:
        """Return what a reviewer should look at in a submission, each with the span that it points at."""
        return books.doubts_of(self, self.catalog.get(submission_id, Submission))

    def lead_time(self) -> LeadTime:
        """Say how long failures wait for an accepted correction, those that still wait counted in."""
        return books.waited(self)

    # -- what the parts share ------------------------------------------------------------------------------------

    def now(self) -> int:
        """Now, ns."""
        return self.wheel.clock()

    def lease_ns(self, for_s: float | None) -> int:
        """How long a lease holds without a sign of life, ns."""
        return int((self.settings.lease_s if for_s is None else for_s) * 1e9)

    def taken(self, request: CorrectionRequest) -> frozenset[int]:
        """Return the slots of a request that people gave, handed in or work on now: nobody else need give them."""
        self.slots.catch_up()
        now_ns, rows = self.now(), self.asked(request.id).rows.values()
        return frozenset(row.slot for row in rows if row.state is not LeaseState.OPEN and not row.lapsed(now_ns))

    def asked(self, request: str) -> Asked:
        """Return what is known of a request, by id or key.

        Raises:
            UnknownId: there is none.
        """
        found = self.slots.asked.get(request)
        if found is None:
            self.slots.catch_up()
            found = self.slots.asked[self.catalog.get(request, CorrectionRequest).id]
        return found

    def record(self, made: N, key: str, by: str, what: str, subject: str) -> N:
        """Store what somebody says together with its entry in the trail; said again under one key, it is said once."""
        now_ns = self.now()

        def along(connection: sa.Connection) -> None:
            if kinds_of(connection, [made.id]):
                append(connection, by, what, subject, {"noun": made.id}, now_ns=now_ns)

        stored = self.catalog.put_all([(made, key)], along=along)[0]
        return self.catalog.get(stored.id, type(made))


def _said(by: str, text: str) -> str:
    """Return what can be seen of what somebody says."""
    if not words(by) or not words(text):
        raise UsageError("needs a name and words", remedy="Say who says it, and what.")
    return words(text)
