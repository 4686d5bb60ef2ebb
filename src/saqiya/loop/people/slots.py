"""Which slots of which requests are open: kept in memory, and read on from where it stopped, never from the start.

The catalog stays the only truth. A claim asks again inside its own transaction, which no other writer overlaps; what is
kept here only saves it from reading thousands of nouns to find one that is open.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from heapq import merge
from threading import RLock
from typing import TYPE_CHECKING

import sqlalchemy as sa

from saqiya.correct.routing import Sort, Work, of_mode, urgency
from saqiya.domain.nouns import (
    Assignment,
    CollectionPlan,
    Correction,
    CorrectionRequest,
    Dismissal,
    Episode,
    Failure,
    FailureMode,
    Noun,
    Qualification,
    Reference,
    Review,
    Submission,
    Undo,
    Verdict,
)
from saqiya.domain.streams import Start
from saqiya.loop.people.crew import Crew
from saqiya.stores import leases
from saqiya.stores.leases import LeaseRow, LeaseState

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Asked", "Slots"]

_KINDS = (Assignment, Correction, CorrectionRequest, Dismissal, Qualification, Reference, Review, Submission, Undo)
_SLOT = re.compile(r"/(?:slot/)?(\d{4})/(?:[^/]+/)?correction$")
_NONE = frozenset[str]()
Place = tuple[float, int, str]
"""Less its urgency, when it was stored, its id: the smallest is given out first."""


@dataclass
class Asked:
    """A request and what is known of its slots.

    Attributes:
        given: slots that a correction answers.
        loose: corrections that answer the request and no slot that is known: so many of the last are taken as answered.
        rows: the leases of its slots, as they were last seen.
        examines: the reference that it is, if it is one: then slots never run out, and slot n begins at start n % m.
    """

    request: CorrectionRequest
    key: str
    at_ns: int
    work: Work
    examines: Reference | None = None
    given: set[int] = field(default_factory=set)
    loose: int = 0
    rows: dict[int, LeaseRow] = field(default_factory=dict)
    place: Place = (0.0, 0, "")

    def start(self, slot: int) -> Start | None:
        """Return where a slot begins, None where nothing but the request's words says it."""
        starts = self.request.starts
        if self.examines is not None and starts:
            return starts[slot % len(starts)]
        return starts[slot] if slot < len(starts) else None

    def failure(self, slot: int) -> str | None:
        """Return the failure that a slot answers, if it answers one."""
        return self.request.failures[slot] if slot < len(self.request.failures) else None

    def open(self, person: str, now_ns: int) -> Iterator[int]:
        """Yield the slots that a person could take now, in order."""
        if self.examines is not None:
            yield from self._untried(person, now_ns)
            return
        for slot in range(self.request.count - self.loose):
            row = self.rows.get(slot)
            if slot not in self.given and (row is None or row.free(person, now_ns)):
                yield slot

    def left(self) -> int:
        """Return how many corrections nobody gave or handed in yet."""
        if self.examines is not None:
            return self.request.count
        closed = {slot for slot, row in self.rows.items() if row.state in {LeaseState.SUBMITTED, LeaseState.DONE}}
        return max(0, self.request.count - self.loose - len(self.given | closed))

    def _untried(self, person: str, now_ns: int) -> Iterator[int]:
        """Yield a slot that begins where this person was not examined yet; every person gets slots of their own."""
        turns = max(1, len(self.request.starts) or self.request.count)
        mine = {slot % turns for slot, row in self.rows.items() if row.person == person and not row.free("", now_ns)}
        kept = [slot for slot, row in self.rows.items() if row.person == person and row.free(person, now_ns)]
        for turn in range(turns):
            if turn not in mine:
                known = [slot for slot in kept if slot % turns == turn]
                taken = [slot for slot in self.rows if slot % turns == turn]
                yield known[0] if known else (max(taken) + turns if taken else turn)


class Slots:
    """All requests with open slots, in the order in which they are given out."""

    def __init__(self, wheel: Flywheel, target_ns: int) -> None:
        """Read nothing yet; requests are due `target_ns` after they were asked for."""
        self.wheel, self.catalog, self.target_ns = wheel, wheel.store.catalog, target_ns
        self.asked: dict[str, Asked] = {}
        self.examined: dict[str, str] = {}
        self.once: dict[str, str] = {}
        """Who decided a submission that nobody looked at a second time."""
        self.lock = RLock()
        self.crew = Crew()
        self._order: dict[Sort, list[Place]] = defaultdict(list)
        self._nouns_ns, self._seq = -1, 0
        self._at: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self._returned: dict[tuple[str, int], LeaseRow] = {}
        self._assigned: dict[str, list[Assignment]] = defaultdict(list)
        self._dismissed: dict[str, set[str]] = defaultdict(set)
        self._undone: set[str] = set()

    def catch_up(self) -> None:
        """Take in what was stored since the last time. Whoever waits for another thread here holds no connection."""
        with self.lock, self.catalog.database.reading() as connection:
            self.refresh(connection)

    def warm(self) -> None:
        """Read everything, the first time."""
        if self._nouns_ns < 0:
            self.catch_up()

    def refresh(self, connection: sa.Connection) -> None:
        """Take in what a transaction sees that was stored since the last time."""
        with self.lock:
            news = self.catalog.news(_KINDS, self._nouns_ns, within=connection)
            self._add([(at, key, one) for at, key, one in news if isinstance(one, CorrectionRequest)])
            for at, key, one in news:
                self._heed(one, key)
                self._nouns_ns = at
            for row in leases.changed(connection, self._seq):
                self.saw(row)
                self._seq = row.seq

    def saw(self, row: LeaseRow) -> None:
        """Take in the row of one slot, unless a newer one is known: threads tell theirs in any order."""
        asked = self.asked.get(row.request)
        known = asked.rows.get(row.slot) if asked is not None else None
        if asked is None or (known is not None and known.seq > row.seq):
            return
        asked.rows[row.slot] = row
        self.crew.saw(row)
        place = (row.request, row.slot)
        if row.state is LeaseState.RETURNED:
            self._returned[place] = row
        else:
            self._returned.pop(place, None)
        self._settle(asked)

    def ordered(self, person: str, lean: Callable[[Sort], float]) -> Iterator[tuple[Asked, int | None]]:
        """Yield requests in a person's order: sent back to them, given to them by name, and then the queue.

        A slot stands beside the first two; the caller asks which slots of the others are open.

        Args:
            person: whose order.
            lean: how far a sort of work moves up in it (`routing.lean`).
        """
        mine = sorted((row.seq, place) for place, row in self._returned.items() if row.person == person)
        named = [
            one for failure in tuple(self._assigned) if self.assignee(failure) == person for one in self._at[failure]
        ]
        for request, slot in [*(place for _, place in mine), *named]:
            yield self.asked[request], slot
        for _, _, request in merge(*(_moved(order, lean(sort)) for sort, order in self._order.items() if order)):
            yield self.asked[request], None

    def assignee(self, failure: str | None) -> str:
        """Return who was asked by name to correct a failure, "" for nobody."""
        told = [one for one in self._assigned.get(failure or "", ()) if one.id not in self._undone]
        return told[-1].person if told else ""

    def dismissed(self, failure: str | None) -> bool:
        """Say whether a person said that a failure is none."""
        return bool(self._dismissed.get(failure or "", _NONE) - self._undone)

    def rigs(self) -> tuple[str, ...]:
        """Return the embodiments that something is asked for at."""
        return tuple(sorted({sort.embodiment for sort, order in self._order.items() if order and sort.embodiment}))

    def _add(self, fresh: Sequence[tuple[int, str, CorrectionRequest]]) -> None:
        """Take in new requests; what each is about is read for all of them at once."""
        about = self._about([one for _, _, one in fresh])
        modes = sorted({one.mode for _, _, one in fresh if one.mode is not None})
        worths = {one.id: of_mode(one.priority, one.factors) for one in self.catalog.each(FailureMode, modes)}
        for at, key, request in fresh:
            if request.id in self.asked:
                continue
            episode = about.get(request.id)
            place = (episode.task, episode.site, episode.embodiment) if episode else self._here
            gain, minutes, source = self._worth(request, worths)
            work = Work(Sort(*place, request.correction_kind.value), gain, minutes, at + self.target_ns, source=source)
            asked = Asked(request, key, at, work, place=(-urgency(work, target_ns=self.target_ns), at, request.id))
            self.asked[request.id] = asked
            for slot, failure in enumerate(request.failures):
                self._at[failure].append((request.id, slot))
            self._settle(asked)

    def _about(self, requests: Sequence[CorrectionRequest]) -> dict[str, Episode]:
        """Return, by request, the first try that it is about: it tells task, place and body."""
        failed = {one.id: one.failures[0] for one in requests if one.failures}
        failures = {one.id: one.episode for one in self.catalog.each(Failure, sorted(set(failed.values())))}
        tried = {one.id: one.tries[0] for one in requests if one.tries and not one.failures}
        where = {one: failures[failure] for one, failure in failed.items()} | tried
        episodes = {one.id: one for one in self.catalog.each(Episode, sorted(set(where.values())))}
        return {one: episodes[episode] for one, episode in where.items()}

    def _worth(
        self, request: CorrectionRequest, worths: Mapping[str, tuple[float, float]]
    ) -> tuple[float | None, float, str]:
        """Return what a correction brings, the minutes that it takes, and who says so: the plan, else the mode."""
        plan = self.catalog.get(request.because) if request.because else None
        if isinstance(plan, CollectionPlan):
            for item in plan.items:
                same = (item.target, item.correction_kind, item.count) == (
                    request.target, request.correction_kind, request.count
                )  # fmt: skip
                if same and item.gain is not None and item.minutes > 0.0:
                    return item.gain.value / item.count, item.minutes / item.count, "the plan's own forecast"
        if request.mode is None:
            return None, 0.0, ""
        return *worths[request.mode], "the mode's priority, and what its first correction teaches"

    @cached_property
    def _here(self) -> tuple[str, str, str]:
        """Task, place and body of what no try is behind: the wheel's own, at any place."""
        task = self.wheel.config.task if self.wheel.turning else None
        return (task.name, "", task.embodiment) if task else ("", "", "")

    def _heed(self, one: Noun, key: str) -> None:
        if isinstance(one, Correction):
            self._answer(one, key)
        elif isinstance(one, Assignment):
            self._assigned[one.failure].append(one)
        elif isinstance(one, Dismissal):
            self._dismissed[one.failure].add(one.id)
        elif isinstance(one, Undo):
            self._undone.add(one.what)
        elif isinstance(one, Qualification):
            self.crew.examined(one.person, one.task, passed=one.passed)
        elif isinstance(one, Submission):
            asked = self.asked[one.request]
            if asked.examines is None:
                self.crew.handed(one, asked.work.sort)
        elif isinstance(one, Review):
            self._decided(one)
        elif isinstance(one, Reference):
            self._examine(one)

    def _decided(self, one: Review) -> None:
        if one.second:
            self.once.pop(one.submission, None)
            return
        self.crew.judged(one)
        if one.verdict is not Verdict.SEND_BACK:
            self.once[one.submission] = one.reviewer

    def _examine(self, one: Reference) -> None:
        """Take a request as the examination that it is; it moves to the sort of its task."""
        asked = self.asked[one.request]
        order = self._order[asked.work.sort]
        if asked.place in order:
            order.remove(asked.place)
        sort = asked.work.sort._replace(task=one.task)
        asked.examines, asked.work = one, replace(asked.work, sort=sort, reference=True)
        self.examined[one.task] = one.request
        self._settle(asked)

    def _answer(self, correction: Correction, key: str) -> None:
        """Find the slot that a correction answers: its key says it, or the failure that it answers."""
        asked = self.asked[correction.request]
        said = _SLOT.search(key.removeprefix(asked.key)) if key.startswith(asked.key) else None
        if said:
            asked.given.add(int(said[1]))
        elif correction.failure in asked.request.failures:
            asked.given.add(asked.request.failures.index(correction.failure))
        else:
            asked.loose += 1
        self._settle(asked)

    def _settle(self, asked: Asked) -> None:
        """Keep a request in the order while something of it is left, and only then."""
        order = self._order[asked.work.sort]
        spot = bisect_left(order, asked.place)
        there = spot < len(order) and order[spot] == asked.place
        wanted = asked.examines is not None or asked.left() > 0
        if wanted and not there:
            insort(order, asked.place)
        elif there and not wanted:
            del order[spot]


def _moved(order: Sequence[Place], by: float) -> Iterator[Place]:
    """Yield places of one sort as a person's lean moves them; what changes meanwhile does not disturb it."""
    for place, at, request in tuple(order):
        yield place - by, at, request
