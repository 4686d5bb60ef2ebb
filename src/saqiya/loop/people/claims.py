"""Work on its way to people and back: what is open to a person, who took it until when, and what they hand in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from saqiya.correct.routing import Sort, Term, Worker, blocked, lean, product, terms
from saqiya.correct.takeover import takeovers_n
from saqiya.detect.stage import outcomes_of
from saqiya.domain.contracts import Vector
from saqiya.domain.ids import FailureId
from saqiya.domain.nouns import Correction, CorrectionRequest, Episode, Noun, Outcome, Rank, Submission
from saqiya.domain.streams import JsonValue, Start
from saqiya.domain.visible import words
from saqiya.errors import GuardRefusal, LeaseLost, NothingOpen, UsageError
from saqiya.loop.people.exams import examined
from saqiya.loop.people.slots import Asked
from saqiya.stores import leases
from saqiya.stores.leases import LeaseRow, LeaseState
from saqiya.stores.listing import stored_ns
from saqiya.stores.people import Person
from saqiya.stores.trail import append

if TYPE_CHECKING:
    from saqiya.loop.people.desk import Desk

__all__ = ["Lease", "Offer", "Rig", "claim", "hand_back", "held", "queue", "renew", "rigs", "submit"]

ON_DUTY_LEASES = 2
"""Whoever claimed or handed in something within the time of so many leases is on duty."""
DRIVEN = re.compile(r"/slot/\d{4}/[^/]+/drive/\d+$")
"""The key of a try that was driven here for a slot."""
MOST_RIGS = 8
"""Robots that somebody is told of who named none of their own."""
STILL = 1e-3
"""A hand stands still where no action moves by more than this share of its range in the try."""


@dataclass(frozen=True)
class Offer:
    """A request that waits for people, as one person sees it.

    Attributes:
        slot: the one that a claim would give.
        left: corrections of it that nobody gave or handed in yet.
        why: what it was asked for, in words.
        gain_per_minute: expected points of success for a minute of this person; None where nothing is known.
        minutes: of this person, for one correction of it.
        cost: of those minutes, in whatever the team counts in.
        qualified: the person may do this task.
        blocked: why this person cannot take it now; "" when they can.
        first: it was sent back to them, or they were asked by name.
        rig: the embodiment that it is for, "" for any.
        terms: the factors of its place in this person's queue, each with its reason; their product is `place`.
    """

    request: CorrectionRequest
    key: str
    slot: int
    left: int
    why: str
    gain_per_minute: float | None
    minutes: float
    cost: float
    due_ns: int
    qualified: bool
    blocked: str
    first: bool = False
    rig: str = ""
    terms: tuple[Term, ...] = ()

    @property
    def place(self) -> float:
        """What it is worth in this person's queue: the highest comes first."""
        return product(self.terms)


@dataclass(frozen=True)
class Asker:
    """Who asks for work, and who else is there: `gone` may take none, and `others` are on duty."""

    worker: Worker
    others: tuple[Worker, ...]
    gone: frozenset[str]


@dataclass(frozen=True)
class Lease:
    """A slot that is a person's until `until_ns`; `start` and `failure` are where and why, where they are known."""

    id: str
    request: CorrectionRequest
    slot: int
    person: str
    until_ns: int
    start: Start | None
    failure: FailureId | None


@dataclass(frozen=True)
class Rig:
    """What a person does best at one of their robots: go on with the lease that they hold there, or claim the offer."""

    name: str
    lease: Lease | None
    offer: Offer


def queue(desk: Desk, person: str, *, limit: int, rig: str = "") -> tuple[Offer, ...]:
    """Return the requests with work left, in the order in which a person would get them; what is blocked comes last."""
    who, everybody = desk.people.known(person), desk.people.all()
    desk.slots.catch_up()
    with desk.database.reading() as connection:
        mine = leases.held(connection, person, desk.now())
    open_, shut, seen = list[Offer](), list[Offer](), set[str]()
    with desk.slots.lock:
        asker = _asker(desk, who, mine, everybody)
        for asked, slot in desk.slots.ordered(person, _leans(desk, asker)):
            if asked.request.id in seen or not _at(asked, rig):
                continue
            seen.add(asked.request.id)
            found = next(_free(desk, asked, person, slot, asker.gone), None)
            if found is None:
                continue
            offer = _offer(desk, asked, found, asker, first=slot is not None)
            (shut if offer.blocked else open_).append(offer)
            if len(open_) >= limit:
                break
    return (*open_, *shut)[:limit]


def rigs(desk: Desk, person: str) -> tuple[Rig, ...]:
    """Return one line a robot, the highest place first: what is held there counts as if it were not held yet."""
    who, everybody = desk.people.known(person), desk.people.all()
    best: dict[str, Rig] = {}
    mine = held(desk, person)
    with desk.slots.lock:
        free = _asker(desk, who, [], everybody)
        for lease in mine:
            offer = _offer(desk, desk.asked(lease.request.id), lease.slot, free, first=False)
            if offer.rig not in best or best[offer.rig].offer.place < offer.place:
                best[offer.rig] = Rig(offer.rig, lease, offer)
    for name in who.profile.rigs or desk.slots.rigs()[:MOST_RIGS]:
        for one in () if name in best else queue(desk, person, limit=1, rig=name):
            if not one.blocked:
                best[name] = Rig(name, None, one)
    return tuple(sorted(best.values(), key=lambda one: (-one.offer.place, one.lease is None, one.name)))


def claim(
    desk: Desk, person: str, request: str | None, *, slot: int | None, for_s: float | None, rig: str = ""
) -> Lease:
    """Give a person a slot for a while: the one they name, or the best that is open to them.

    Two claims never get one slot: each is made inside a transaction that no other writer overlaps.

    Raises:
        NothingOpen: there is none, and why.
        UnknownId: there is no such request or person.
        UsageError: a slot of no request.
    """
    if slot is not None and request is None:
        raise UsageError(f"slot {slot} of which request?", subject=person, remedy="Name the request too.")
    who, everybody = desk.people.known(person), desk.people.all()
    desk.slots.warm()  # what is long to read is read before anybody has to wait for it
    if request is not None and request not in desk.slots.asked:
        request = desk.catalog.get(request, CorrectionRequest).id
    now_ns = desk.now()
    with desk.database.writing() as connection, desk.slots.lock:
        desk.slots.refresh(connection)
        mine = leases.held(connection, person, now_ns)
        again = [one for one in mine if one.request == request and slot in {None, one.slot}]
        if again:
            row = replace(again[0], until_ns=now_ns + desk.lease_ns(for_s))
            leases.store(connection, row)
        else:
            row = _take(desk, connection, _asker(desk, who, mine, everybody), request, slot, now_ns, rig)
            row = replace(row, until_ns=now_ns + desk.lease_ns(for_s))
            detail: dict[str, JsonValue] = {"request": row.request, "slot": row.slot, "until_ns": row.until_ns}
            row = replace(row, seq=append(connection, person, "claim", row.id, detail, now_ns=now_ns))
            leases.store(connection, row)
    return _lease(desk, row)


def renew(desk: Desk, lease_id: str, person: str, *, for_s: float | None) -> Lease:
    """Hold on to a lease; one that expired is still its holder's while nobody else took the slot.

    Raises:
        LeaseLost: somebody else took it, or it was handed in.
    """
    now_ns = desk.now()
    with desk.database.writing() as connection:
        row = _mine(connection, lease_id, person)
        if row.state is not LeaseState.LEASED:
            raise LeaseLost("was handed in or back", subject=lease_id, remedy="Claim another one.")
        back = row.lapsed(now_ns)
        row = replace(row, until_ns=now_ns + desk.lease_ns(for_s))
        if back:  # the slot was open to others: they are told that it is not
            row = replace(row, seq=append(connection, person, "renew", row.id, {"slot": row.slot}, now_ns=now_ns))
        leases.store(connection, row)
    with desk.slots.lock:
        desk.slots.saw(row)
    return _lease(desk, row)


def hand_back(desk: Desk, lease_id: str, person: str, reason: str) -> None:
    """Let the slot go, for whoever comes next.

    Raises:
        LeaseLost: somebody else has it, or it was handed in.
    """
    now_ns = desk.now()
    with desk.database.writing() as connection:
        row = _mine(connection, lease_id, person)
        if row.state not in {LeaseState.LEASED, LeaseState.RETURNED}:
            raise LeaseLost("was handed in", subject=lease_id, remedy="A reviewer can send it back.")
        seq = append(connection, person, "hand_back", lease_id, {"reason": words(reason)}, now_ns=now_ns)
        leases.store(connection, replace(row, state=LeaseState.OPEN, until_ns=now_ns, seq=seq))


def held(desk: Desk, person: str) -> tuple[Lease, ...]:
    """Return what a person holds now, the oldest first."""
    desk.slots.catch_up()
    with desk.database.reading() as connection:
        rows = leases.held(connection, person, desk.now())
    return tuple(_lease(desk, row) for row in rows)


def submit(
    desk: Desk, lease_id: str, person: str, episode_id: str, *, note: str, redos: int, vouched: bool
) -> Submission:
    """Hand in an episode for the slot of a lease; told twice, it is handed in once.

    A reference is judged at once where the site's criterion has judged the episode; all else waits for a reviewer.

    Raises:
        LeaseLost: somebody else took the slot meanwhile. The episode stays stored: claim again and hand it in there.
        GuardRefusal: the episode was handed in for another slot, or was not made for this one by this person.
        UnknownId: there is no such episode.
    """
    episode = desk.catalog.get(episode_id, Episode)
    with desk.database.reading() as connection:
        row = _mine(connection, lease_id, person)
    asked = desk.asked(row.request)
    why = _not_made_for(desk, asked, row, episode) or ("" if vouched else _anothers(desk, row, episode))
    if why and row.state is LeaseState.LEASED:  # what was handed in before is told again below
        raise GuardRefusal(why, subject=episode.id, remedy="Hand in a try that you made for this request.")
    cost = _cost(desk, episode)
    made = Submission(
        id=desk.catalog.new_id("submission"),
        request=asked.request.id,
        slot=row.slot,
        episode=episode.id,
        operator=person,
        human_steps=cost.steps,
        takeovers=cost.takeovers,
        redos=redos,
        latency_ms=cost.latency_ms,
        hesitation=cost.hesitation,
        note=words(note),
    )
    key = f"{asked.key}/slot/{row.slot:04d}/{lease_id}"
    batch: list[tuple[Noun, str]] = [(made, key)]
    judged = asked.examines is not None and outcomes_of(desk.wheel.store, [episode])[episode.id] is not Outcome.UNKNOWN
    if judged:
        batch.append((examined(desk, asked, person, made), f"{key}/qualification"))
    state, now_ns = LeaseState.DONE if judged else LeaseState.SUBMITTED, desk.now()

    def along(connection: sa.Connection) -> None:
        row = _mine(connection, lease_id, person)
        if row.state in {LeaseState.SUBMITTED, LeaseState.DONE}:
            if desk.catalog.get(row.submission, Submission).episode != episode.id:
                raise LeaseLost("was handed in with another episode", subject=lease_id, remedy="Claim again.")
            return
        if row.state is not LeaseState.LEASED:
            back = "sent back" if row.state is LeaseState.RETURNED else "handed back"
            raise LeaseLost(f"was {back}", subject=lease_id, remedy="Claim again; the episode is stored.")
        if desk.catalog.refers(connection, "episode", episode.id, Submission, besides=made.id):
            raise GuardRefusal("was handed in before", subject=episode.id, remedy="Record another try.")
        detail: dict[str, JsonValue] = {
            "lease": lease_id,
            "request": row.request,
            "slot": row.slot,
            "episode": episode.id,
        }
        seq = append(connection, person, "submit", made.id, detail, now_ns=now_ns)
        leases.store(connection, replace(row, state=state, submission=made.id, since_ns=now_ns, seq=seq))

    stored = desk.catalog.put_all(batch, along=along)[0]
    return desk.catalog.get(stored.id, Submission)


def _take(
    desk: Desk,
    connection: sa.Connection,
    asker: Asker,
    request: str | None,
    slot: int | None,
    now_ns: int,
    rig: str,
) -> LeaseRow:
    """Find the first slot that is open to a person, asking the table itself about each."""
    why, worker = "", asker.worker
    queued = desk.slots.ordered(worker.name, _leans(desk, asker))
    for asked, wanted in queued if request is None else iter([(desk.asked(request), slot)]):
        if not _at(asked, rig):
            continue
        refused = blocked(asked.work, worker, examined=desk.slots.examined)
        if refused:
            why = why or refused
            continue
        for free in _free(desk, asked, worker.name, wanted, asker.gone):
            row = leases.at(connection, asked.request.id, free)
            if row is None or row.free(worker.name, now_ns):
                before = row.submission if row is not None and row.state is LeaseState.RETURNED else ""
                lease_id = desk.catalog.new_id("lease")
                return LeaseRow(
                    asked.request.id, free, lease_id, worker.name, now_ns, 0, LeaseState.LEASED, submission=before
                )
            desk.slots.saw(row)
    raise NothingOpen(
        why or ("nothing is open" if request is None else "nothing of this request is open to you"),
        subject=worker.name if request is None else request,
        remedy="Look again later, or hand in what you hold." if request is None else "Claim another one.",
    )


def _at(asked: Asked, rig: str) -> bool:
    """Say whether a request is for a rig; one that says nothing is for any."""
    return not rig or asked.work.sort.embodiment in {"", rig}


def _free(desk: Desk, asked: Asked, person: str, wanted: int | None, gone: frozenset[str]) -> Iterator[int]:
    """Yield the open slots of a request that are nobody else's by name and whose failure was not dismissed."""
    for slot in asked.open(person, desk.now()):
        failure = asked.failure(slot)
        asked_of = desk.slots.assignee(failure)
        theirs = asked_of in {"", person} or asked_of in gone
        if wanted in {None, slot} and theirs and not desk.slots.dismissed(failure):
            yield slot


def _offer(desk: Desk, asked: Asked, slot: int, asker: Asker, *, first: bool) -> Offer:
    work, worker, examined = asked.work, asker.worker, desk.slots.examined
    factors = terms(
        work, worker, asker.others, examined=examined, now_ns=desk.now(), target_ns=desk.slots.target_ns
    )  # fmt: skip
    minutes = 1.0 / next(one.value for one in factors if one.name == "per_minute")
    known = product([one for one in factors if one.name in {"gain", "per_minute", "kept"}])
    return Offer(
        request=asked.request,
        key=asked.key,
        slot=slot,
        left=asked.left(),
        why=asked.request.reason,
        gain_per_minute=None if work.gain is None else known,
        minutes=minutes,
        cost=minutes * worker.cost_per_minute,
        due_ns=work.due_ns,
        qualified=work.reference or work.sort.task not in examined or work.sort.task in worker.qualified,
        blocked=blocked(work, worker, examined=examined),
        first=first,
        rig=work.sort.embodiment,
        terms=factors,
    )


def _leans(desk: Desk, asker: Asker) -> Callable[[Sort], float]:
    return cache(lambda sort: lean(sort, asker.worker, asker.others, examined=desk.slots.examined))


def _asker(desk: Desk, who: Person, mine: list[LeaseRow], everybody: Sequence[Person]) -> Asker:
    crew = desk.slots.crew
    rigs = Counter(asked.work.sort.embodiment for row in mine if (asked := desk.slots.asked.get(row.request)))
    gone = frozenset(one.name for one in everybody if one.disabled or not one.rank.covers(Rank.OPERATOR))
    there = [one for one in everybody if one.name not in {who.name, *gone}]
    since_ns = desk.now() - ON_DUTY_LEASES * desk.lease_ns(None)
    return Asker(crew.worker(who, rigs), crew.on_duty(there, since_ns), gone)


def _mine(connection: sa.Connection, lease_id: str, person: str) -> LeaseRow:
    row = leases.of(connection, lease_id)
    if row is None or row.person != person:
        raise LeaseLost(
            "this lease is not yours: it expired and went to somebody else, or never was",
            subject=lease_id[:80],
            remedy="What you recorded is stored: claim again and hand it in there.",
        )
    return row


def _lease(desk: Desk, row: LeaseRow) -> Lease:
    asked = desk.asked(row.request)
    start, failure = asked.start(row.slot), asked.failure(row.slot)
    return Lease(row.id, asked.request, row.slot, row.person, row.until_ns, start, failure)


@dataclass(frozen=True)
class _Cost:
    steps: int
    takeovers: int
    latency_ms: float | None
    hesitation: float | None


def _anothers(desk: Desk, row: LeaseRow, episode: Episode) -> str:
    """Say whose work a try is, "" where it may be that of a lease's holder."""
    theirs = episode.operator in {"", row.person} or desk.people.get(episode.operator) is None
    return "" if theirs else f"is the work of {episode.operator}"


def _not_made_for(desk: Desk, asked: Asked, row: LeaseRow, episode: Episode) -> str:
    """Say why a try is no correction that was made for the slot of a lease, "" when it may be."""
    if episode.policy is not None and _alone(desk, episode):
        return "nobody took over in it: it is no correction"
    if desk.catalog.referring(episode.id, Correction):
        return "is a correction already, or a demonstration of the bootstrap"
    if stored_ns(desk.catalog, episode.id) < asked.at_ns:
        return "was here before anybody asked for it"
    key = desk.catalog.key_of(episode.id)
    if DRIVEN.search(key) and not key.startswith(f"{asked.key}/slot/{row.slot:04d}/"):
        return "was driven for another slot"
    return ""


def _alone(desk: Desk, episode: Episode) -> bool:
    """Say whether a try tells who acted, and no person did."""
    author = desk.wheel.store.streams(episode).get("author")
    return author is not None and not author.values.any()


def _cost(desk: Desk, episode: Episode) -> _Cost:
    """Read what an episode cost its operator; one that does not say who acted was all theirs."""
    streams = desk.wheel.store.streams(episode)
    author, done, stamped = (streams.get(name) for name in ("author", "action/executed", "drive/latency_ms"))
    known = author is not None and bool(author.values.any())
    acted = author.values.reshape(-1) > 0 if author is not None and known else np.ones(episode.steps)
    late = None
    if stamped is not None and len(stamped.t_ns):
        seen = stamped.values.reshape(len(stamped.t_ns), -1)[:, 0].astype(np.float64)
        late = float(np.quantile(seen[np.isfinite(seen)], 0.95)) if np.isfinite(seen).any() else None
    still = None
    if done is not None and len(done.t_ns) == len(acted) and len(acted) > 1:
        still = _still(done.values.reshape(len(done.t_ns), -1).astype(np.float64), acted > 0)
    takeovers = takeovers_n(acted, led=known and bool(episode.policy or episode.policy_name))
    return _Cost(int(np.sum(acted)), takeovers, late, still)


def _still(actions: Vector, mine: NDArray[np.bool_]) -> float | None:
    """Return the share of a person's steps, of those that follow another, in which no action moved."""
    span = np.ptp(actions, axis=0)
    moved = np.asarray((np.abs(np.diff(actions, axis=0)) > STILL * np.where(span > 0, span, np.inf)).any(axis=1))
    own = mine[1:] & mine[:-1]
    return float(1.0 - moved[own].mean()) if own.any() else None
