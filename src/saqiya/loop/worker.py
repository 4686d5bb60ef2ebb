"""The durable turn: DBOS remembers which step was reached, the nouns remember everything else.

Workflow state holds no facts: delete it, and the turn goes on from the nouns. Only the process that holds the scope's
lock launches DBOS: a second process with the same executor id was seen to run a step twice.
"""

from __future__ import annotations

import secrets
import sqlite3
from typing import TYPE_CHECKING

from saqiya.domain.nouns import Turn
from saqiya.errors import Corrupt, SaqiyaError, StorageFull
from saqiya.loop import turn as order

if TYPE_CHECKING:
    from dbos import WorkflowHandle

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
            for name, action in order.steps(wheel) if number == wheel.number else ():
                DBOS.run_step({"name": name}, self._step, name, action)
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
        from dbos import DBOS, SetWorkflowID

        number, self._left = self._wheel.number if self._left is None else self._left, None
        handle = _interrupted(number)
        if handle is None and number < self._wheel.number:
            return self._finished(number)
        if handle is None:
            order.steps(self._wheel)
            with SetWorkflowID(f"turn-{number}-{secrets.token_hex(4)}"):
                handle = DBOS.start_workflow(self._workflow, number)
        try:
            handle.get_result()
        except Exception as error:
            if self._faults:
                raise self._faults.pop() from None
            raise _trouble(error, number) from error
        return self._finished(number)

    def close(self) -> None:
        """Stop DBOS."""
        from dbos import DBOS

        DBOS.destroy(destroy_registry=True)

    def _finished(self, number: int) -> Turn:
        return self._wheel.store.catalog.get(f"turn-{number}/turn", Turn)

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


def _interrupted(number: int) -> WorkflowHandle[int] | None:
    """Find the workflow of this turn that a crash left pending; launching DBOS has already set it going again."""
    from dbos import DBOS

    for status in DBOS.list_workflows(status=_PENDING, name=WORKFLOW):
        if status.workflow_id.startswith(f"turn-{number}-"):
            return DBOS.retrieve_workflow(status.workflow_id)
    return None
