"""The durable turn: DBOS remembers which step was reached, the nouns remember everything else.

Workflow state holds no facts: delete it, and the turn goes on from the nouns. Only the process that holds the scope's
lock launches DBOS: a second process with the same executor id was seen to run a step twice.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from saqiya.domain.nouns import Turn
from saqiya.loop import turn as order

if TYPE_CHECKING:
    from dbos import WorkflowHandle

    from saqiya.loop.flywheel import Flywheel

__all__ = ["run_turn"]

WORKFLOW = "saqiya.turn"
_PENDING = ["PENDING", "ENQUEUED"]


def run_turn(wheel: Flywheel) -> Turn:
    """Run the turn under way to its end and return it; a turn that a crash interrupted is gone on with.

    Raises:
        SaqiyaError: whatever a step raised; the turn stays under way and can be called again.
    """
    from dbos import DBOS, DBOSConfig, SetWorkflowID
    from dbos._serialization import DBOSPortableJSON  # JSON, because the default is pickle

    number = wheel.number
    steps = dict(order.steps(wheel))
    faults: list[BaseException] = []
    config: DBOSConfig = {
        "name": "saqiya",
        "system_database_url": f"sqlite:///{wheel.store.derived / 'workflow.sqlite'}",
        "application_version": "1",
        "executor_id": "turn",
        "serializer": DBOSPortableJSON,
        "run_admin_server": False,
        "enable_otlp": False,
        "console_log_level": "CRITICAL",
        "log_level": "CRITICAL",
    }
    DBOS(config=config)

    @DBOS.workflow(name=WORKFLOW)
    def workflow(of: int) -> int:
        # A workflow left over from a turn that the nouns say is finished has nothing to do.
        for name in steps if of == number else ():
            DBOS.run_step({"name": name}, lambda name=name: _step(wheel, name, steps[name], faults))
        return of

    try:
        with wheel.account.spent("start-up"):
            DBOS.launch()
        handle = _interrupted(number)
        if handle is None:
            with SetWorkflowID(f"turn-{number}-{secrets.token_hex(4)}"):
                handle = DBOS.start_workflow(workflow, number)
        handle.get_result()
    except Exception as error:
        raise (faults[0] if faults else error) from None
    finally:
        DBOS.destroy(destroy_registry=True)
    return wheel.store.catalog.get(f"turn-{number}/turn", Turn)


def _step(wheel: Flywheel, name: str, step: order.Action, faults: list[BaseException]) -> None:
    """Run one step; its error is kept here whole, because DBOS would store and bring back only its text."""
    wheel.progress(name, 0, 0)
    try:
        step(wheel)
    except BaseException as error:
        faults.append(error)
        raise RuntimeError(name) from error


def _interrupted(number: int) -> WorkflowHandle[int] | None:
    """Find the workflow of this turn that a crash left pending; launching DBOS has already set it going again."""
    from dbos import DBOS

    for status in DBOS.list_workflows(status=_PENDING, name=WORKFLOW):
        if status.workflow_id.startswith(f"turn-{number}-"):
            return DBOS.retrieve_workflow(status.workflow_id)
    return None
