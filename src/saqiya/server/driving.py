"""Between a browser's socket and the process in which its drive runs; the server itself steps and draws nothing.

A drive outlives its socket for a few seconds, so that a page that is loaded again goes on where it was. When nobody is
heard any more the try is kept as aborted and the lease goes back to the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Thread
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from saqiya.domain.words import Rank
from saqiya.errors import LeaseLost, SaqiyaError, UnknownId
from saqiya.loop.driving.cockpit import parts, start
from saqiya.loop.driving.drives import Begin, Drives
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.people.claims import Lease
from saqiya.server.faults import Refused, fault_of

__all__ = ["LOST_S", "Flight", "Hangar"]

BEAT_S: Final = 2.0
"""The lease of a drive is renewed this often, and holds `LOST_S`."""
LOST_S: Final = 10.0
"""Whoever was not heard for so long is gone."""
LINE_BYTES: Final = 2000
"""The most that a page may say at once."""
SEEN: Final = "k"
"""What a page says when it has drawn a picture."""
MOST_UNSEEN: Final = 2
"""So many pictures are on the way to a page: more would wait in buffers and be old when they come."""
ABANDON: Final = b'{"t":0,"signal":"abandon"}'


@dataclass(eq=False)
class Flight:
    """One drive under way: its process, the newest frame, and who looks at it.

    `over` is set when its process has ended, `landed` when what it left is taken in and the page was told; `heard_s` is
    when the page last said something, by `clock`.
    """

    lease: Lease
    journal: Path
    process: SpawnProcess
    pipe: Connection
    clock: Callable[[], float]
    heard_s: float
    begin: Begin | None = None
    frame: bytes = b""
    frames: int = 0
    ended: str = ""
    fault: dict[str, str] = field(default_factory=dict)
    fresh: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    landed: asyncio.Event = field(default_factory=asyncio.Event)
    told: dict[str, Any] = field(default_factory=dict)
    viewer: WebSocket | None = None

    def tell(self, line: bytes) -> None:
        """Pass on what a page said; a process that does not listen never holds up the server."""
        with contextlib.suppress(OSError, ValueError):  # it has ended
            room = select.poll()
            room.register(self.pipe, select.POLLOUT)
            if room.poll(0):
                self.pipe.send_bytes(line)

    def saw(self, frame: bytes) -> None:
        """Take in a frame."""
        header = parts(frame)[0]
        if header["ended"]:
            self.ended, self.fault = header["ended"], header.get("fault", {})
        if "control" in header:
            if not self.frames:  # nobody can be expected to say anything before there is a picture
                self.heard_s = self.clock()
            self.frame, self.frames = frame, self.frames + 1
            self.fresh.set()

    def follow(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read frames until the process ends; runs in a thread of its own."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                loop.call_soon_threadsafe(self.saw, self.pipe.recv_bytes())
        with contextlib.suppress(RuntimeError):  # the server has stopped meanwhile
            loop.call_soon_threadsafe(self.over.set)
            loop.call_soon_threadsafe(self.fresh.set)


class Hangar:
    """All drives of a server, `most` at once."""

    def __init__(
        self, wheel: Flywheel, *, most: int = os.cpu_count() or 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start nothing; a drive takes about a third of a core, and a crowded one is a bad one.

        `clock` gives monotonic seconds: by it a page is silent.
        """
        self.drives, self._desk, self._most, self._clock = Drives(wheel), wheel.desk, most, clock
        self._flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()

    @property
    def flying(self) -> int:
        """How many drives are under way."""
        return len(self._flights)

    def open(self) -> None:
        """Take in what drives left when the server ended last."""
        self.drives.recover()

    async def close(self) -> None:
        """End every drive; what was done is kept."""
        for flight in self._flights.values():
            flight.tell(ABANDON)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LOST_S)

    async def serve(self, socket: WebSocket, lease_id: str, person: str, begin: Begin | None) -> None:
        """Show a drive to a page until either ends; tell the page what became of it."""
        await socket.accept()
        try:
            flight = await self._board(lease_id, person, begin)
        except (Refused, SaqiyaError) as error:
            await _leave(socket, {"refused": fault_of(error)[1].model_dump()})
            return
        if flight.viewer is not None:
            await _leave(flight.viewer, {"moved": True})
        flight.viewer = socket
        flight.fresh.set()
        room = asyncio.Semaphore(MOST_UNSEEN)
        tasks = {asyncio.create_task(_hear(socket, flight, room)), asyncio.create_task(_show(socket, flight, room))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if flight.viewer is socket:
                flight.viewer = None
            for task in tasks:
                task.cancel()

    async def _board(self, lease_id: str, person: str, begin: Begin | None) -> Flight:
        """Return the drive of a lease: the one that runs, or a new one.

        Raises:
            Refused: as many run as may.
            SaqiyaError: the lease is not theirs, or it cannot be driven.
        """
        async with self._starting:
            lease = await run_in_threadpool(self._hold, lease_id, person)
            flight = self._flights.get(lease.id)
            if flight is not None and not flight.over.is_set() and begin in {None, flight.begin}:
                flight.heard_s = self._clock()
                return flight
            if flight is not None:  # they begin elsewhere now, or the last drive is just being taken in
                flight.tell(ABANDON)
                await flight.landed.wait()
            if len(self._flights) >= self._most:
                raise Refused(
                    503,
                    "NoFreeSeat",
                    f"all {self._most} places to drive are taken",
                    remedy="Wait until somebody is done, or hand the lease back.",
                )
            order = await run_in_threadpool(self.drives.order, lease, begin)
            process, pipe = await run_in_threadpool(start, order)
            flight = Flight(lease, order.journal, process, pipe, self._clock, self._clock(), begin)
            self._flights[lease.id] = flight
        Thread(target=flight.follow, args=(asyncio.get_running_loop(),), name="drive", daemon=True).start()
        task = asyncio.create_task(self._attend(flight))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return flight

    async def _attend(self, flight: Flight) -> None:
        """Keep the lease while the person is heard; when the drive is over, take in what it left."""
        lost = ""
        while not flight.over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(flight.over.wait(), BEAT_S)
                break
            if lost:
                flight.process.kill()  # it was asked to end, and hangs; its journal has all steps
            elif flight.frames and self._clock() - flight.heard_s > LOST_S:
                lost = "nothing was heard of the page any more, so the request went back to the queue"
            else:
                lost = await self._beat(flight)
            if lost:
                flight.tell(ABANDON)
        try:
            flight.told = await run_in_threadpool(self._settle, flight, lost)
        except SaqiyaError as error:  # the journal waits for the next start
            flight.told = {"ended": "fault", "fault": fault_of(error)[1].model_dump()}
        finally:
            del self._flights[flight.lease.id]
            if flight.viewer is not None:
                await _leave(flight.viewer, flight.told)
            flight.landed.set()

    async def _beat(self, flight: Flight) -> str:
        try:
            await run_in_threadpool(self._hold, flight.lease.id, flight.lease.person)
        except (LeaseLost, UnknownId) as error:
            return f"{error.what}. {error.remedy}"
        except SaqiyaError:
            pass  # a busy catalog, a full disk: the lease holds for some beats more, and nobody but us lands the drive
        return ""

    def _hold(self, lease_id: str, person: str) -> Lease:
        """Renew a lease for somebody who may still work here: the door saw them only when they came in.

        Raises:
            LeaseLost: it is not theirs, or they take no work any more.
            UnknownId: they are kept out.
        """
        if not self._desk.people.known(person).rank.covers(Rank.OPERATOR):
            raise LeaseLost("its holder takes no work any more", subject=lease_id, remedy="Ask an admin.")
        return self._desk.renew(lease_id, person, for_s=LOST_S)

    def _settle(self, flight: Flight, lost: str) -> dict[str, Any]:
        """Take in what a drive left and say what became of it; the lease stays with whoever is still there."""
        flight.process.join()
        flight.pipe.close()
        told: dict[str, Any] = {"ended": flight.ended or "fault", "fault": flight.fault, "lost": lost}
        if not flight.ended:
            told["fault"] = {"what": "the drive's process died", "subject": "", "remedy": "Drive it again."}
        with contextlib.suppress(LeaseLost):
            if lost:
                self._desk.hand_back(flight.lease.id, flight.lease.person, lost)
            else:
                self._desk.renew(flight.lease.id, flight.lease.person)
        if flight.journal.exists():
            settled = self.drives.settle(flight.journal)
            told |= {
                "episode": settled.episode.id if settled.episode else "",
                "submission": settled.submission.id if settled.submission else "",
                "lost": settled.lost or lost,
            }
        return told


async def _hear(socket: WebSocket, flight: Flight, room: asyncio.Semaphore) -> None:
    """Pass on what a page says until it goes."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, KeyError):  # gone, or it sent what is no text
        while flight.viewer is socket:
            line = await socket.receive_text()
            if line == SEEN:
                room.release()
            elif len(line) <= LINE_BYTES:
                flight.heard_s = flight.clock()
                flight.tell(line.encode())


async def _show(socket: WebSocket, flight: Flight, room: asyncio.Semaphore) -> None:
    """Send the newest frame whenever there is one; a slow page misses some and never falls behind."""
    shown = -1
    while flight.viewer is socket and not flight.over.is_set():
        await room.acquire()
        await flight.fresh.wait()
        flight.fresh.clear()
        if flight.viewer is not socket or flight.frames == shown or not flight.frame:
            room.release()
        else:
            shown = flight.frames
            try:
                await socket.send_bytes(flight.frame)
            except (WebSocketDisconnect, RuntimeError):  # gone
                return
    if flight.viewer is socket:
        await flight.landed.wait()  # whoever attends the flight says what became of it


async def _leave(socket: WebSocket, told: dict[str, Any]) -> None:
    """Say a last thing to a page; one that is gone need not hear it."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        if socket.application_state is WebSocketState.CONNECTED:
            await socket.send_json(told)
            await socket.close()
