"""The durable turn: DBOS remembers which step was reached, the nouns remember everything else.

Workflow state holds no facts: delete it, and the turn goes on from the nouns. Only the process that holds the scope's
lock launches DBOS: a second process with the same executor id was seen to run a step twice.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections import defaultdict
from typing import TYPE_CHECKING

from saqiya.domain.nouns import Turn
from saqiya.errors import Corrupt, SaqiyaError, StorageFull
from saqiya.loop import turn as order

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Durable"]

WORKFLOW = "saqiya.turn"
_PENDING = ["PENDING", "ENQUEUED"]


class Durable:
    """DBOS, launched for one wheel; whoever makes one holds the scope's lock until it is closed."""

    def __init__(self, wheel: Flywheel) -> None:
        """Launch DBOS; a turn that a crash left pending begins to run again at once."""
        from dbos import DBOS, DBOSConfig
        from dbos._serialization import DBOSPortableJSON  # JSON, because the default is pickle
        from sqlalchemy.exc import DBAPIError

        self._wheel = wheel
        self._left: int | None = wheel.number  # before launching: a turn left pending may be over in a moment
        self._faults: list[BaseException] = []
        self._ended: dict[int, threading.Event] = defaultdict(threading.Event)
        config: DBOSConfig = {
            "name": "saqiya",
            "system_database_url": f"sqlite:///{wheel.store.derived / 'workflow.sqlite'}",
            "application_version": "1",
            "executor_id": "turn",
            "serializer": DBOSPortableJSON,
            "enable_otlp": False,
            "console_log_level": "CRITICAL",
            "log_level": "CRITICAL",
        }
        DBOS(config=config)

        @DBOS.workflow(name=WORKFLOW)
        def workflow(number: int) -> int:
            # A workflow left over from a turn that the nouns say is finished has nothing to do.
            try:
                for name, action in order.steps(wheel) if number == wheel.number else ():
                    DBOS.run_step({"name": name}, self._step, name, action)
            finally:
                self._ended[number].set()
            return number

        self._workflow = workflow
        try:
            DBOS.launch()
        except DBAPIError as error:
            self.close()
            raise _trouble(error, wheel.number) from error

    def turn(self) -> Turn:
        """Run the turn under way to its end.

        Raises:
            SaqiyaError: whatever a step raised; the turn stays under way and can be called again.
        """
        left, self._left = self._left, None
        number = self._wheel.number if left is None else left
        if left is not None:
            self._await_recovered(number)
        if number == self._wheel.number:
            order.steps(self._wheel)
            self._run(number)
        return self._wheel.store.catalog.get(f"turn-{number}/turn", Turn)

    def close(self) -> None:
        """Stop DBOS."""
        from dbos import DBOS

        DBOS.destroy(destroy_registry=True)

    def _await_recovered(self, number: int) -> None:
        """Wait for the workflow that a crash left pending, if there is one: launching DBOS has set it going again.

        Its own end is waited for, not its status: when the disk is full the status says "pending" for ever.
        """
        while _pending(number) and not self._ended[number].wait(0.1):
            continue
        if self._faults:
            raise self._faults.pop()

    def _run(self, number: int) -> None:
        from dbos import DBOS, SetWorkflowID

        try:
            for stale in _pending(
                number
            ):  # its end could not be noted; recovered beside the new one it would run twice
                DBOS.cancel_workflow(stale)
            with SetWorkflowID(f"turn-{number}-{secrets.token_hex(4)}"):
                DBOS.start_workflow(self._workflow, number).get_result()
        except Exception as error:
            if self._faults:
                raise self._faults.pop() from None
            raise _trouble(error, number) from error

    def _step(self, name: str, action: order.Action) -> None:
        """Run one step; its error is kept here whole, because DBOS would store and bring back only its text."""
        self._wheel.progress(name, 0, 0)
        try:
            action(self._wheel)
        except BaseException as error:
            self._faults.append(error)
            raise RuntimeError(name) from error


def _trouble(error: Exception, number: int) -> SaqiyaError:
    """Say what became of the workflow state; the nouns are not touched by it."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE}:
        return StorageFull(
            "no room to note which step was reached",
            subject=f"turn {number}",
            remedy="Free some space and run saqiya turn again; what was stored before stays.",
        )
    return Corrupt(
        f"the workflow state cannot be used: {error}",
        subject=f"turn {number}",
        remedy="Delete derived/ (nothing is lost with it) and run saqiya turn again.",
    )


def _pending(number: int) -> list[str]:
    from dbos import DBOS

    found = [one.workflow_id for one in DBOS.list_workflows(status=_PENDING, name=WORKFLOW)]
    return [one for one in found if one.startswith(f"turn-{number}-")]
