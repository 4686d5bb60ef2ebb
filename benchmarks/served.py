"""`served`: fifty people over HTTP at a real server with 5,000 requests, and what `kill -9` leaves of their work."""

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import numpy as np

from benchmarks._desk import Done, Worked, audited, filled, opened, people, work
from benchmarks._postgres import binaries, postgres
from benchmarks.harness import Figure, Measured, at_most, exactly, shown
from saqiya.domain.nouns import Submission
from saqiya.errors import NothingOpen
from saqiya.loop.flywheel import Flywheel

__all__ = ["run"]

COMMAND = "make bench ONLY=served"
SEED = 20261121
REQUESTS, OPERATORS, REVIEWERS = 5000, 30, 20
SHIFT_S, PAUSE_S = 30.0, 5.0
KILLS, ALIVE_S, HASTE_S = 30, 3.0, 0.2
BAR_MS = 200.0
DAY_NS = 86_400 * 10**9
START_S = 600.0
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
        self.clients.append(httpx.Client(base_url=self._address, headers=headers, timeout=60.0))
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
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="saqiya-served-")))
        yield from _on("sqlite", folder / "sqlite", "", quick=quick)
        found = binaries()
        if found is None:
            raise SystemExit("served: there is no PostgreSQL server on this machine: apt-get install postgresql")
        server = held.enter_context(postgres(found, durable=True))
        yield from _on("postgresql", folder / "postgresql", server.new(), quick=quick)


def _on(name: str, root: Path, url: str, *, quick: bool) -> Iterator[Figure]:
    requests = 300 if quick else REQUESTS
    with opened(root, catalog=url) as wheel:
        stock = list(filled(wheel, requests, seed=SEED))
        names = people(wheel, OPERATORS, REVIEWERS)
        tokens = {
            one: wheel.staff.issue(one, "bench", [rank], days=1, by="bench")[1]
            for group, rank in zip(names, ("operator", "reviewer"), strict=True)
            for one in group
        }
    with socket.create_server(("127.0.0.1", 0)) as place:
        house = House(root, tokens, names, place.getsockname()[1])
    with house.served() as process:
        house.client(names[0][0]).http.get("/api/v1/queue")
        before_s = _cpu_s(process.pid)
        shift = work(house.client, names, stock[:1000], seconds=SHIFT_S, pause_s=PAUSE_S, seed=SEED)
        worked_s = _cpu_s(process.pid) - before_s
    measured = _p95(shift.milliseconds())
    yield at_most(f"served.{name}.p95_ms", measured, BAR_MS, command=COMMAND)
    for what in ("claim", "submit", "take", "review"):
        yield shown(f"served.{name}.p95_ms.{what}", _p95(shift.milliseconds(what)), command=COMMAND)
    yield shown(f"served.{name}.processor_ms", exactly(1e3 * worked_s / max(1, len(shift.done))), command=COMMAND)
    yield shown(f"served.{name}.load_average", exactly(os.getloadavg()[0]), command=COMMAND)
    killed, kills = _killed(house, _left(root, stock), 2 if quick else KILLS)
    done = [*shift.done, *killed]
    wrong = {**_audited(root, done), "stuck": _stuck(root, names[0][0], requests)}
    wrong["errors"] = len(shift.errors)
    for what, count in wrong.items():
        yield at_most(f"served.{name}.killed.{what}", Measured(count, count, count, kills), 0, command=COMMAND)
    yield shown(f"served.{name}.killed.decisions", exactly(len(killed)), command=COMMAND)
    yield shown(f"served.{name}.killed.kills", exactly(kills), command=COMMAND)
    yield shown(f"served.{name}.decisions", exactly(len(done)), command=COMMAND)


def _killed(house: House, stock: Sequence[str], times: int) -> tuple[list[Done], int]:
    """Let everybody work in haste, and kill the server at a random moment of it, again and again."""
    rng, done, errors = np.random.default_rng(SEED), [], []
    episodes = iter(stock)
    for number in range(times):
        with house.served() as process:
            moment_s = float(rng.uniform(0.1, ALIVE_S))
            timer = threading.Timer(moment_s, partial(process.send_signal, signal.SIGKILL))
            timer.start()
            shift: Worked = work(
                house.client, house.names, episodes, seconds=moment_s + 0.3, pause_s=HASTE_S, seed=SEED + number
            )
            timer.join()
        done += shift.done
        errors += shift.errors
    if errors:
        raise SystemExit(f"served: {len(errors)} errors, the first: {errors[0]!r}")
    return done, times


def _left(root: Path, stock: Sequence[str]) -> list[str]:
    """Return the episodes that nobody handed in."""
    with Flywheel(root) as wheel:
        given = {one.episode for one in wheel.store.catalog.all(Submission)}
    return [one for one in stock if one not in given]


def _audited(root: Path, done: Sequence[Done]) -> dict[str, int]:
    """Count what must not be; what was told to one person twice, before and after a kill, is one thing."""
    told = {(one.what, one.person, one.subject): one for one in done}
    with Flywheel(root) as wheel:
        return audited(wheel, list(told.values()))


def _stuck(root: Path, person: str, requests: int) -> int:
    """Count the slots that nobody could take a day later, though nobody handed them in."""
    with Flywheel(root, clock=lambda: time.time_ns() + DAY_NS) as wheel:  # noqa: TID251 - a day later
        open_n = sum(one.left for one in wheel.desk.queue(person, limit=requests) if not one.blocked)
        return requests - open_n - len({(one.request, one.slot) for one in wheel.store.catalog.all(Submission)})


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _p95(milliseconds: np.ndarray) -> Measured:
    if not len(milliseconds):
        raise SystemExit("served: nobody decided anything")
    drawn = np.random.default_rng(0).choice(milliseconds, size=(DRAWS_N, len(milliseconds)))
    low, high = np.quantile(np.quantile(drawn, 0.95, axis=1), [0.025, 0.975])
    return Measured(float(np.quantile(milliseconds, 0.95)), float(low), float(high), 1)
