"""`served`: fifty people over HTTP at a real server with 5,000 requests, and what `kill -9` leaves of their work.

On SQLite; `served_postgres` does the same on PostgreSQL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import numpy as np

from benchmarks._desk import Done, Worked, audited, filled, opened, people, work
from benchmarks.harness import Figure, Measured, at_most, exactly, shown
from saqiya.domain.nouns import Review, Submission
from saqiya.errors import NothingOpen
from saqiya.loop.flywheel import Flywheel

__all__ = ["run", "shifts"]

SEED = 20261121
REQUESTS, OPERATORS, REVIEWERS = 5000, 30, 20
SHIFT_S, PAUSE_S = 30.0, 5.0
KILLS, ALIVE_S, HASTE_S = 30, 3.0, 0.2
BAR_MS = 200.0
DAY_NS = 86_400 * 10**9
START_S, ANSWER_S = 120.0, 30.0
DRAWS_N = 1000


class Gone(NothingOpen):
    """Raised when the server died under a request: nothing was acknowledged."""


@dataclass(frozen=True)
class Caller:
    """A `Client` that speaks to a server."""

    http: httpx.Client

    def claim(self) -> str:
        return self._ask("queue/claim", {})["id"]

    def submit(self, lease: str, episode: str) -> str:
        return self._ask(f"leases/{lease}/submit", {"episode": episode})["id"]

    def take(self) -> str:
        return self._ask("reviews/take", {})["submission"]

    def review(self, submission: str) -> None:
        self._ask(f"submissions/{submission}/review", {"verdict": "accept"})

    def _ask(self, path: str, body: dict[str, str]) -> dict[str, str]:
        try:
            answer = self.http.post(f"/api/v1/{path}", json=body)
        except httpx.TransportError as error:
            raise Gone("the server is gone") from error
        said: dict[str, str] = answer.json()
        if answer.status_code == 200:
            return said
        if answer.json()["error"]["kind"] == "NothingOpen":
            raise NothingOpen(answer.text)
        raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")


@dataclass
class House:
    """A workspace that is served by a process of its own, and everybody's token."""

    root: Path
    tokens: dict[str, str]
    names: tuple[list[str], list[str]]
    port: int
    clients: list[httpx.Client] = field(default_factory=list)

    @contextlib.contextmanager
    def served(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start `saqiya serve`, wait until it answers, and kill it in the end."""
        command = [sys.executable, "-m", "saqiya", "serve", "-w", str(self.root), "--port", str(self.port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            end = time.monotonic() + START_S
            while not self._answers():
                if time.monotonic() > end or process.poll() is not None:
                    raise SystemExit("served: the server did not start")
                time.sleep(0.05)
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            for one in self.clients:
                one.close()
            self.clients.clear()

    def client(self, name: str) -> Caller:
        """Return somebody's way in."""
        headers = {"authorization": f"Bearer {self.tokens[name]}"}
        plain = httpx.HTTPTransport(verify=False)  # no TLS here, and reading certificates takes long
        self.clients.append(httpx.Client(base_url=self._address, headers=headers, timeout=ANSWER_S, transport=plain))
        return Caller(self.clients[-1])

    @property
    def _address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self._address}/api/v1/session", timeout=5.0).status_code == 401
        except httpx.TransportError:
            return False


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield how long decisions take over HTTP, and what kills lost."""
    yield from shifts("sqlite", lambda _: "", command="make bench ONLY=served", quick=quick)


def shifts(
    name: str, catalog: Callable[[contextlib.ExitStack], str], *, command: str, quick: bool = False
) -> Iterator[Figure]:
    """Let people work undisturbed and then through kills, in a workspace whose catalog is at a URL ("": a file)."""
    requests, kills = (300, 5) if quick else (REQUESTS, KILLS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no server is left behind
    with contextlib.ExitStack() as held:
        root = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="saqiya-served-"))) / name
        house, stock = _furnished(root, catalog(held), requests)
        with house.served() as process:
            house.client(house.names[0][0]).http.get("/api/v1/queue")
            before = _spent_s(process.pid)
            shift = work(house.client, house.names, stock[:1000], seconds=SHIFT_S, pause_s=PAUSE_S, seed=SEED)
            ran_s, waited_s = (now - then for now, then in zip(_spent_s(process.pid), before, strict=True))
        measured, a_decision = _p95(shift.milliseconds()), 1e3 / max(1, len(shift.done))
        yield at_most(f"served.{name}.p95_ms", measured, BAR_MS, command=command)
        for what in ("claim", "submit", "take", "review"):
            yield shown(f"served.{name}.p95_ms.{what}", _p95(shift.milliseconds(what)), command=command)
        yield shown(f"served.{name}.processor_ms", exactly(a_decision * ran_s), command=command)
        yield shown(f"served.{name}.no_processor_ms", exactly(a_decision * waited_s), command=command)
        yield shown(f"served.{name}.load_average", exactly(os.getloadavg()[0]), command=command)
        killed = _killed(house, _left(root, stock), kills)
        done, errors = [*shift.done, *killed.done], [*shift.errors, *killed.errors]
        wrong = {**_audited(root, done), "stuck": _stuck(root, house.names, requests), "errors": len(errors)}
        for error in errors[:3]:
            print(f"served: {error!r}", file=sys.stderr, flush=True)
        for what, count in wrong.items():
            yield at_most(f"served.{name}.killed.{what}", Measured(count, count, count, kills), 0, command=command)
        yield shown(f"served.{name}.killed.decisions", exactly(len(killed.done)), command=command)
        yield shown(f"served.{name}.killed.kills", exactly(kills), command=command)
        yield shown(f"served.{name}.decisions", exactly(len(done)), command=command)


def _furnished(root: Path, url: str, requests: int) -> tuple[House, list[str]]:
    """Make a workspace with requests and people, and return it with what operators hand in."""
    with opened(root, catalog=url) as wheel:
        stock = list(filled(wheel, requests, seed=SEED))
        names = people(wheel, OPERATORS, REVIEWERS)
        tokens = {
            one: wheel.staff.issue(one, "bench", [rank], days=1, by="bench")[1]
            for group, rank in zip(names, ("operator", "reviewer"), strict=True)
            for one in group
        }
    with socket.create_server(("127.0.0.1", 0)) as place:
        return House(root, tokens, names, place.getsockname()[1]), stock


def _killed(house: House, stock: Sequence[str], times: int) -> Worked:
    """Let everybody work in haste, and kill the server at a random moment of it, again and again."""
    rng, episodes, every = np.random.default_rng(SEED), iter(stock), Worked()
    for number in range(times):
        with house.served() as process:
            moment_s = float(rng.uniform(0.1, ALIVE_S))
            clients = {name: house.client(name) for group in house.names for name in group}  # takes as long as the work
            timer = threading.Timer(moment_s, partial(process.send_signal, signal.SIGKILL))
            timer.start()
            shift: Worked = work(
                clients.__getitem__, house.names, episodes, seconds=moment_s + 0.3, pause_s=HASTE_S, seed=SEED + number
            )
            timer.join()
        every.done += shift.done
        every.errors += shift.errors
    return every


def _left(root: Path, stock: Sequence[str]) -> list[str]:
    """Return the episodes that nobody handed in."""
    with Flywheel(root) as wheel:
        given = {one.episode for one in wheel.store.catalog.all(Submission)}
    return [one for one in stock if one not in given]


def _audited(root: Path, done: Sequence[Done]) -> dict[str, int]:
    """Count what must not be; what was told to one person twice, before and after a kill, is one thing."""
    told = {(one.what, one.person, one.subject): one for one in done}
    with Flywheel(root) as wheel:
        wrong = audited(wheel, list(told.values()))
        trail = {(one.what, one.who, one.subject) for one in wheel.desk.trail.read(limit=1 << 30)}
    acts = {"claim": "claim", "submit": "submit", "take": "review/take"}
    wrong["lost"] += sum((acts[what], who, subject) not in trail for what, who, subject in told if what in acts)
    return wrong


def _stuck(root: Path, names: tuple[list[str], list[str]], requests: int) -> int:
    """Count the slots that nobody could take a day later, and what was handed in that nobody could review then."""
    (operator, *_), (reviewer, *_) = names
    with Flywheel(root, clock=lambda: time.time_ns() + DAY_NS) as wheel:  # noqa: TID251 - a day later
        open_n = sum(one.left for one in wheel.desk.queue(operator, limit=requests) if not one.blocked)
        given = wheel.store.catalog.all(Submission)
        decided = {one.submission for one in wheel.store.catalog.all(Review)}
        waiting = {one.submission.id for one in wheel.desk.reviews(reviewer, limit=requests) if not one.second}
        slots = requests - open_n - len({(one.request, one.slot) for one in given})
        return slots + len({one.id for one in given} - decided ^ waiting)


def _spent_s(pid: int) -> tuple[float, float]:
    """Return how long a process' threads ran, and how long they were ready and had no processor, s."""
    told = [one.read_text().split() for one in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(one[0]) for one in told) / 1e9, sum(int(one[1]) for one in told) / 1e9


def _p95(milliseconds: np.ndarray) -> Measured:
    if not len(milliseconds):
        raise SystemExit("served: nobody decided anything")
    drawn = np.random.default_rng(0).choice(milliseconds, size=(DRAWS_N, len(milliseconds)))
    low, high = np.quantile(np.quantile(drawn, 0.95, axis=1), [0.025, 0.975])
    return Measured(float(np.quantile(milliseconds, 0.95)), float(low), float(high), 1)
