"""The process in which a person's drive runs: it keeps the pace, reads what the browser sent last, and sends pictures.

Stepping and drawing live here and not in the server, so that neither waits for the other, and a crash of a simulator
ends one drive. What comes in is JSON as a browser wrote it, and is not trusted; what goes out is a header in JSON and a
JPEG. Nothing moves while the browser is silent: a robot without an operator stands still.
"""

from __future__ import annotations

import io
import multiprocessing
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from saqiya import plugins
from saqiya.domain.contracts import Renderable, Site
from saqiya.domain.controls import Controls, Drivable, controls_for
from saqiya.domain.nouns import Outcome
from saqiya.errors import MonitorUnreadable, SaqiyaError, SiteFault, UnknownPlugin
from saqiya.loop.driving.drive import Drive
from saqiya.loop.driving.person import Inputs, Person
from saqiya.loop.tries.crew import Task, follow_parent, main_unseen
from saqiya.loop.tries.monitor import Monitor
from saqiya.loop.tries.stepping import Control

__all__ = ["PACE_HZ", "Order", "Told", "controls_of", "pace_of", "parts", "start"]

PACE_HZ: Final = 30.0
"""Control steps in a second of the person's time; a site of a lower rate goes at its own."""
HEIGHT: Final = 480
QUALITY: Final = 80
SILENT_S: Final = 1.0
"""After so long without a word from the browser nothing moves."""
IDLE_S: Final = 0.1
"""While nothing moves a picture goes out this often: it carries the round trip that is measured."""
MOST_AT_ONCE: Final = 64
SWITCH_S: Final = 5e-4
"""The monitor's thread gives way to the next step after so long."""
_SIZE: Final = struct.Struct("<I")


class Told(msgspec.Struct, forbid_unknown_fields=True):
    """What a browser says.

    Attributes:
        t: its own clock when it said so, ms; comes back with the first picture that shows it.
        axes, point, latency: as in `Inputs`.
        signal: what was pressed.
    """

    t: float
    axes: tuple[float, ...] = ()
    point: tuple[float, float] | None = None
    latency: float = float("nan")
    signal: Literal["", "control", "phase", "redo", "success", "failure", "save", "discard", "abandon"] = ""


@dataclass(frozen=True)
class Order:
    """What a process is to let a person drive, and where the journal goes.

    Attributes:
        site: name of the entry point.
        task: the roll, the policy, the monitor that watches it, and the facts for the log.
    """

    site: str
    task: Task
    journal: Path


def pace_of(rate_hz: float) -> float:
    """Return how many control steps a second a person sees of a site with this rate."""
    return min(PACE_HZ, rate_hz)


def controls_of(site: Site) -> Controls:
    """Return how a site is driven: as it says, or by a made-up map of its action's dimensions."""
    return site.controls if isinstance(site, Drivable) else controls_for(site.spec)


def parts(frame: bytes) -> tuple[dict[str, Any], bytes]:
    """Take a frame apart into its header and its JPEG."""
    size = _SIZE.unpack_from(frame)[0]
    header: dict[str, Any] = msgspec.json.decode(frame[_SIZE.size : _SIZE.size + size])
    return header, frame[_SIZE.size + size :]


def start(order: Order) -> tuple[SpawnProcess, Connection]:
    """Start a process for a drive; return it and this end of the pipe to it."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_fly, args=(theirs, order), daemon=True)
    with main_unseen():
        process.start()
    theirs.close()
    return process, ours


class Cockpit:
    """One drive at its pace; `clock` gives monotonic seconds."""

    def __init__(self, pipe: Connection, order: Order, *, clock: Callable[[], float] = time.perf_counter) -> None:
        """Put the site where the drive begins.

        Raises:
            SiteFault: the site cannot draw itself, failed, or its replay does not reach the failure.
        """
        self._pipe, self._clock = pipe, clock
        self.site: Site = plugins.load("saqiya.sites", order.site)()
        self._view = _view_of(self.site)
        controls, spec, roll = controls_of(self.site), self.site.spec, order.task.roll
        self._width, self.pace_hz = round(HEIGHT * controls.aspect), pace_of(spec.rate_hz)
        monitor, self._notice = _monitor_of(order.task.monitor)
        self.drive = Drive(
            self.site,
            roll,
            Person(roll.operator, controls, spec, self.pace_hz),
            policy=order.task.policy.load() if order.task.policy else None,
            facts=order.task.facts,
            journal=order.journal,
            monitor=monitor,
        )
        self._told, self._heard_s, self._shown_s = Told(t=-1.0), float("-inf"), float("-inf")
        self._point: tuple[float, float] | None = None
        self._said: Outcome | None = None
        self._let_go = True
        self._late, self._late_s, self._steps = 0, 0.0, 0
        self._picture, self.ended = b"", ""

    def run(self) -> None:
        """Step, draw and send until the person ended it, or nobody is there any more.

        Raises:
            SiteFault: the site failed; what was done is in the journal.
        """
        period_s = 1.0 / self.pace_hz
        due_s = self._clock()
        try:
            while not self.ended:
                self._listen(due_s)
                self._tick(self._clock() - due_s)
                # What is late by more than a period is left out: catching up would be quicker than a hand can follow.
                due_s = max(due_s + period_s, self._clock() - period_s)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass  # the server is gone; the journal stays for the next one
        finally:
            self.drive.cut()
            self.site.close()

    def _tick(self, late_s: float) -> None:
        now_s, told = self._clock(), self._told
        awake = not self.ended and now_s - self._heard_s < SILENT_S
        age_ms = 1e3 * (now_s - self._heard_s)
        axes = told.axes if self._let_go else ()
        moved = awake and self.drive.step(Inputs(axes, self._point, age_ms, told.latency, 1e3 * late_s))
        if moved:
            self._point, self._late_s = None, late_s
            self._steps += 1
            self._late += late_s > 0.5 / self.pace_hz
        if moved or not self._picture:
            self._draw()
        if moved or self.ended or self._notice or now_s - self._shown_s >= IDLE_S:
            self._send()

    def _listen(self, due_s: float) -> None:
        """Take in what was said until the next step is due; a flood cannot hold it up."""
        taken = 0
        while taken < MOST_AT_ONCE and self._pipe.poll(max(0.0, due_s - self._clock())):
            taken += 1
            self._heed(self._pipe.recv_bytes())
            if self.ended:
                return

    def _heed(self, raw: bytes) -> None:
        try:
            told = msgspec.json.decode(raw, type=Told)
            self._told, self._heard_s = told, self._clock()
            self._let_go |= not any(told.axes) and told.point is None
            self._point = (told.point or self._point) if self._let_go else None
            if told.signal:
                self._obey(told.signal)
        except (msgspec.DecodeError, SaqiyaError) as error:
            self._notice = str(error)

    def _obey(self, signal: str) -> None:
        control = self.drive.state.control
        if signal == "control":
            self.drive.signal("takeover" if control is Control.AUTONOMOUS else "handback")
        elif signal == "phase":
            self.drive.signal("correct")
        elif signal == "redo":
            self.drive.signal("redo")
            self._said, self._picture = None, b""
            self._point, self._let_go = None, False  # a key that is still held does not begin the next try
        elif signal in {"success", "failure"}:
            self._said = None if self._said == signal else Outcome(signal)
        elif signal == "save":
            self.drive.finish(self._said)
            self.ended = "saved"
        elif signal == "discard":
            self.drive.discard()
            self.ended = "discarded"
        else:
            self.drive.cut()
            self.ended = "abandoned"

    def _draw(self) -> None:
        from PIL import Image

        out = io.BytesIO()
        Image.fromarray(self._view.render(height=HEIGHT, width=self._width)).save(out, "JPEG", quality=QUALITY)
        self._picture = out.getvalue()

    def _send(self) -> None:
        header = {
            **asdict(self.drive.state),
            "monitor": self._watched(),
            "echo": self._told.t,
            "said": self._said or "",
            "notice": self._notice,
            "ended": self.ended,
            "steps": self._steps,
            "late": self._late,
            "late_ms": round(1e3 * self._late_s, 3),
        }
        self._notice, self._shown_s = "", self._clock()
        self._pipe.send_bytes(_frame(header, self._picture))

    def _watched(self) -> dict[str, Any] | None:
        """Return what the monitor says now; None where none watches, or it has not spoken yet."""
        said = self.drive.verdict
        if said is None:
            return None
        return {"alarm": said.alarm, "reason": said.reason, "score": said.score, "threshold": said.threshold}


def _view_of(site: Site) -> Renderable:
    if not isinstance(site, Renderable):
        raise SiteFault(
            "cannot draw itself, and nobody drives blind", subject=site.spec.name, remedy="Give the site a `render`."
        )
    return site


def _monitor_of(path: Path | None) -> tuple[Monitor | None, str]:
    """Return the monitor of a file; of one that cannot be used here, none, and why: people can drive without it."""
    if path is None:
        return None, ""
    try:
        return Monitor.load(path), ""
    except (MonitorUnreadable, UnknownPlugin) as fault:
        return None, f"No monitor watches: {fault.what}. {fault.remedy}"


def _frame(header: dict[str, Any], picture: bytes) -> bytes:
    told = msgspec.json.encode(header)
    return _SIZE.pack(len(told)) + told + picture


def _fly(pipe: Connection, order: Order) -> None:
    """Be the process: one numeric thread, no life without the server, and a fault is told before it ends."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(1)
    sys.setswitchinterval(SWITCH_S)
    follow_parent()
    try:
        Cockpit(pipe, order).run()
    except SaqiyaError as error:
        fault = {"what": error.what, "subject": error.subject, "remedy": error.remedy}
        pipe.send_bytes(_frame({"ended": "fault", "fault": fault}, b""))
    finally:
        pipe.close()
