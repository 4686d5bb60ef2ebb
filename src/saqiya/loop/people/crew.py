"""How people work, kept in memory beside the slots: how quickly, how much of it is kept, and who is on duty."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from saqiya.correct.pace import Tally, kept, pace
from saqiya.correct.routing import Sort, Worker
from saqiya.domain.nouns import Review, Submission, Verdict
from saqiya.stores.leases import LeaseRow, LeaseState
from saqiya.stores.people import Person

__all__ = ["Crew"]

Alike = tuple[str, str]


class Crew:
    """Fed by `Slots` with what is handed in, decided and claimed; makes `Worker`s of people."""

    def __init__(self) -> None:
        self._every: dict[Alike, Tally] = defaultdict(Tally)
        self._own: dict[str, dict[Alike, Tally]] = defaultdict(lambda: defaultdict(Tally))
        self._open: dict[str, tuple[str, Alike]] = {}
        self._seen_ns: dict[str, int] = {}
        self._passed: dict[str, dict[str, bool]] = defaultdict(dict)

    def handed(self, one: Submission, sort: Sort) -> None:
        """Take in what somebody handed in."""
        alike, steps = (sort.task, sort.kind), float(one.human_steps * (1 + one.redos))
        self._open[one.id] = (one.operator, alike)
        self._every[alike] = self._every[alike].handed(steps)
        self._own[one.operator][alike] = self._own[one.operator][alike].handed(steps)

    def judged(self, one: Review) -> None:
        """Take in a reviewer's first word on it."""
        person, alike = self._open.pop(one.submission, ("", ("", "")))
        if person:
            good = one.verdict is Verdict.ACCEPT
            self._every[alike] = self._every[alike].judged(good=good)
            self._own[person][alike] = self._own[person][alike].judged(good=good)

    def examined(self, person: str, task: str, *, passed: bool) -> None:
        """Take in how an examination ended."""
        self._passed[person][task] = passed

    def passed(self, person: str) -> frozenset[str]:
        """Return the tasks whose examination a person passed, when they last tried."""
        return frozenset(task for task, passed in self._passed.get(person, {}).items() if passed)

    def saw(self, row: LeaseRow) -> None:
        """Take in that somebody claimed or handed in."""
        if row.state in {LeaseState.LEASED, LeaseState.SUBMITTED}:
            self._seen_ns[row.person] = max(row.since_ns, self._seen_ns.get(row.person, 0))

    def worker(self, who: Person, held: Mapping[str, int]) -> Worker:
        """Return a person as routing sees them."""
        profile, own = who.profile, self._own.get(who.name, {})
        return Worker(
            name=who.name,
            skills=profile.skills,
            sites=profile.sites,
            rigs=profile.rigs,
            qualified=self.passed(who.name),
            held=held,
            cost_per_minute=profile.cost_per_minute,
            paces={alike: pace(tally, self._every[alike]) for alike, tally in own.items()},
            kept={alike: kept(tally, self._every[alike]) for alike, tally in own.items() if tally.decided},
        )

    def on_duty(self, people: Sequence[Person], since_ns: int) -> tuple[Worker, ...]:
        """Return those of some people who claimed or handed in something after a moment."""
        return tuple(self.worker(one, {}) for one in people if self._seen_ns.get(one.name, 0) > since_ns)
