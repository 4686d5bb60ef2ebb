"""Many people at one desk: a workspace full of requests, and operators and reviewers who work them off.

What a person does goes through a `Client`: the desk itself here, or somebody's who speaks to a server.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from saqiya.domain.nouns import (
    Correction,
    CorrectionKind,
    CorrectionRequest,
    Episode,
    Failure,
    FailureMode,
    Noun,
    Rank,
    Recording,
    Review,
    Source,
    Submission,
    Verdict,
)
from saqiya.domain.streams import Start, Stream
from saqiya.errors import NothingOpen
from saqiya.loop.flywheel import Flywheel
from saqiya.stores import streams
from saqiya.stores.people import Profile

__all__ = ["Client", "Done", "Office", "Worked", "audited", "filled", "opened", "people", "work"]

BATCH = 500


class Client(Protocol):
    """One person's way to the desk; each call is one decision."""

    def claim(self) -> str:
        """Take the best open slot, and return the lease."""

    def submit(self, lease: str, episode: str) -> str:
        """Hand in an episode, and return the submission."""

    def take(self) -> str:
        """Take the submission that waits longest, and return it."""

    def review(self, submission: str) -> None:
        """Accept it."""


@dataclass(frozen=True)
class Office:
    """A `Client` at the desk itself."""

    wheel: Flywheel
    person: str

    def claim(self) -> str:
        return self.wheel.desk.claim(self.person).id

    def submit(self, lease: str, episode: str) -> str:
        return self.wheel.desk.submit(lease, self.person, episode).id

    def take(self) -> str:
        return self.wheel.desk.take(self.person).submission.id

    def review(self, submission: str) -> None:
        self.wheel.desk.review(submission, self.person, Verdict.ACCEPT)


@dataclass(frozen=True)
class Done:
    """One acknowledged decision: what, by whom, about which thing, and how long it took."""

    what: str
    person: str
    subject: str
    seconds: float


@dataclass
class Worked:
    """What a crowd did: its acknowledged decisions, how often nothing was open, and what went wrong."""

    done: list[Done] = field(default_factory=list)
    refused: int = 0
    errors: list[BaseException] = field(default_factory=list)
    seconds: float = 0.0

    def milliseconds(self, what: str = "") -> np.ndarray:
        """Return how long each decision took, of one kind or of all."""
        return 1e3 * np.array([one.seconds for one in self.done if what in {"", one.what}])


def people(wheel: Flywheel, operators: int, reviewers: int) -> tuple[list[str], list[str]]:
    """Let so many in, and return their names."""
    names = [f"operator-{i:02d}" for i in range(operators)], [f"reviewer-{i:02d}" for i in range(reviewers)]
    for group, rank in zip(names, (Rank.OPERATOR, Rank.REVIEWER), strict=True):
        for name in group:
            wheel.desk.people.add(name, rank, "", Profile(), by="bench", now_ns=wheel.clock())
    return names


def filled(wheel: Flywheel, requests: int, *, seed: int) -> Iterator[str]:
    """Store so many requests, each of a failure of its own, and as many corrections' episodes; yield their ids."""
    catalog, rng = wheel.store.catalog, np.random.default_rng(seed)
    t_ns = np.arange(50, dtype=np.int64) * 50_000_000
    values = {
        "action/executed": Stream(t_ns, rng.normal(size=(50, 4)).cumsum(axis=0)),
        "author": Stream(t_ns, (np.arange(50) >= 20).astype(np.uint8)[:, None]),
    }
    digest = wheel.store.objects.put(streams.encode(values))
    recording = Recording(
        id=catalog.new_id("recording"), digest="0" * 64, format="mcap", name="bench.mcap", size_bytes=1
    )
    catalog.put(recording, key="bench/recording")

    def episode(key: str, number: int) -> Episode:
        return Episode(
            id=catalog.new_id("episode"),
            recordings=(recording.id,),
            key_in_recording=key,
            start_ns=0,
            end_ns=int(t_ns[-1]) + 1,
            streams=digest,
            infos=(),
            prints=(),
            source=Source.CORRECTION,
            task="push",
            embodiment="arm",
            site="bench",
            steps=50,
            start=Start(number, {"x": float(number)}),
        )

    for first in range(0, requests, BATCH):
        batch: list[tuple[Noun, str]] = []
        for number in range(first, min(requests, first + BATCH)):
            failed = episode(f"failed/{number}", number)
            failure = Failure(id=catalog.new_id("failure"), episode=failed.id, alarms=(), moment_ns=0, phase="reach")
            mode = FailureMode(
                id=catalog.new_id("failure_mode"),
                label="slip",
                parent="contact",
                policy=None,
                members=(failure.id,),
                medoid=failure.id,
                priority=float(rng.lognormal()),
                factors={},
            )
            request = CorrectionRequest(
                id=catalog.new_id("correction_request"),
                target="slip",
                mode=mode.id,
                correction_kind=CorrectionKind.TAKEOVER,
                count=1,
                starts=(Start(number, {"x": float(number)}),),
                failures=(failure.id,),
                reason="bench",
            )
            places = ("failed", "failure", "mode", "request")
            nouns = (failed, failure, mode, request)
            batch += [(noun, f"bench/{place}/{number}") for place, noun in zip(places, nouns, strict=True)]
        catalog.put_all(batch)
    for first in range(0, requests, BATCH):  # after all requests: what was there before is handed in for none
        numbers = range(first, min(requests, first + BATCH))
        given = [(episode(f"given/{number}", number), f"bench/given/{number}") for number in numbers]
        yield from (one.id for one in catalog.put_all(given))


def work(
    clients: Callable[[str], Client],
    names: tuple[list[str], list[str]],
    episodes: Iterable[str],
    *,
    seconds: float,
    pause_s: float,
    seed: int,
    until: int = 0,
) -> Worked:
    """Let operators and reviewers work at once, each in a thread, for so long or until all is done.

    Args:
        clients: makes a person's client.
        names: operators and reviewers.
        episodes: what operators hand in, each once.
        seconds: how long.
        pause_s: mean of the exponential pause after each decision; 0 for none.
        seed: of the pauses.
        until: end when so many reviews are done; 0 for when the time is over.
    """
    rows = [(name, bool(reviews)) for reviews, group in enumerate(names) for name in group]
    shift = _Shift(iter(episodes), threading.Barrier(len(rows) + 1), seconds, until)
    threads = [
        threading.Thread(
            target=_one,
            args=(shift, clients(name), name),
            kwargs={"pause": partial(np.random.default_rng([seed, number]).exponential, pause_s), "reviews": reviews},
            daemon=True,
        )
        for number, (name, reviews) in enumerate(rows)
    ]
    for thread in threads:
        thread.start()
    shift.began = time.perf_counter()
    shift.everybody.wait()
    for thread in threads:
        thread.join()
    shift.worked.seconds = time.perf_counter() - shift.began
    return shift.worked


@dataclass
class _Shift:
    """What the people of one shift share."""

    episodes: Iterator[str]
    everybody: threading.Barrier
    seconds: float
    until: int
    began: float = 0.0
    worked: Worked = field(default_factory=Worked)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def over(self) -> bool:
        with self.guard:
            done = sum(one.what == "review" for one in self.worked.done)
        return bool(self.until and done >= self.until) or time.perf_counter() - self.began > self.seconds

    def episode(self) -> str:
        with self.guard:
            return next(self.episodes)

    def timed(self, what: str, name: str, act: Callable[[], str | None], subject: str = "") -> str:
        start = time.perf_counter()
        answer = act() or subject
        took = time.perf_counter() - start
        with self.guard:
            self.worked.done.append(Done(what, name, answer, took))
        return answer


def _one(shift: _Shift, client: Client, name: str, *, pause: Callable[[], float], reviews: bool) -> None:
    """Do one person's work until the shift is over."""
    shift.everybody.wait()
    time.sleep(pause())
    while not shift.over():
        try:
            if reviews:
                submission = shift.timed("take", name, client.take)
                time.sleep(pause())
                shift.timed("review", name, partial(client.review, submission), submission)
            else:
                lease = shift.timed("claim", name, client.claim)
                time.sleep(pause())
                shift.timed("submit", name, partial(client.submit, lease, shift.episode()))
        except StopIteration:
            return
        except NothingOpen:
            with shift.guard:
                shift.worked.refused += 1
            time.sleep(0.05)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong for a person is the benchmark's result
            with shift.guard:
                shift.worked.errors.append(error)
        time.sleep(pause())


def audited(wheel: Flywheel, done: Sequence[Done]) -> dict[str, int]:
    """Count what must not be: work given or handed in twice, and acknowledged decisions that the catalog lacks."""
    catalog = wheel.store.catalog
    claims = [one for one in wheel.desk.trail.read(limit=1 << 30) if one.what == "claim"]
    submissions = catalog.all(Submission)
    known = {
        "claim": {one.subject for one in claims},
        "submit": {one.id for one in submissions},
        "take": {one.id for one in submissions},
        "review": {one.submission for one in catalog.all(Review)},
    }
    given = Counter((one.detail["request"], one.detail["slot"]) for one in claims)
    twice = [given, Counter((one.request, one.slot) for one in submissions)]
    twice.append(Counter(one.subject for one in done if one.what == "take"))
    return {
        "twice": sum(count > 1 for one in twice for count in one.values()),
        "lost": sum(one.subject not in known[one.what] for one in done),
        "unlike": abs(len(known["review"]) - len(catalog.all(Correction))),
        "lies": len(wheel.verify().lies),
    }


def opened(root: Path, *, catalog: str) -> Flywheel:
    """Make a workspace for data alone whose catalog is at a URL, "" for a file, and open it."""
    Flywheel.init(root).close()
    (root / "saqiya.toml").write_text(f'[desk]\nsecond_share = 0.0\n\n[store]\ncatalog = "{catalog}"\n')
    return Flywheel(root)
