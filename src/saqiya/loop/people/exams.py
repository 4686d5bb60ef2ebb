"""Who may work on which task: earned on reference requests, whose right answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from saqiya.detect.stage import outcomes_of
from saqiya.domain.nouns import (
    CorrectionKind,
    CorrectionRequest,
    Episode,
    Outcome,
    Qualification,
    Reference,
    Review,
    Submission,
    Verdict,
)
from saqiya.domain.streams import Start
from saqiya.domain.visible import line
from saqiya.errors import UsageError
from saqiya.loop import draws
from saqiya.loop.people.slots import Asked
from saqiya.stores.trail import append

if TYPE_CHECKING:
    import sqlalchemy as sa

    from saqiya.loop.flywheel import Flywheel
    from saqiya.loop.people.desk import Desk

__all__ = ["examined", "known", "refer"]

EXAM = "reference"


def refer(desk: Desk, task: str, starts: tuple[Start, ...], *, needed: int, by: str) -> Reference:
    """Ask everybody who wants to work on a task to show it from known starts first: see `Desk.refer`."""
    task = line(task)
    if not task or not starts or not 0 < needed <= len(starts):
        raise UsageError(
            f"{needed} of {len(starts)} tries at {task or 'no task'} cannot be asked for",
            remedy="Name a task, its starts, and how many of them must succeed.",
        )
    before = sum(one.task == task for one in desk.catalog.all(Reference))
    request = CorrectionRequest(
        id=desk.catalog.new_id("correction_request"),
        target=EXAM,
        mode=None,
        correction_kind=CorrectionKind.DEMONSTRATION,
        count=len(starts),
        starts=starts,
        reason=f"Whoever does {needed} of these {len(starts)} may work on {task}.",
    )
    made = Reference(id=desk.catalog.new_id("reference"), request=request.id, task=task, needed=needed, author=by)
    place, now_ns = f"{EXAM}/{task}/{before}", desk.now()

    def along(connection: sa.Connection) -> None:
        append(connection, by, "refer", made.id, {"task": task, "needed": needed}, now_ns=now_ns)

    stored = desk.catalog.put_all([(request, f"{place}/request"), (made, place)], along=along)
    return desk.catalog.get(stored[1].id, Reference)


def known(wheel: Flywheel, tries: Sequence[str], *, count: int) -> tuple[str, tuple[Start, ...]]:
    """Return task and starts for a reference: those of stored tries, or `count` fresh ones at the site.

    Raises:
        UsageError: the tries are of several tasks or without a start, or there is no site to draw starts at.
    """
    if not tries and wheel.turning:
        number = len(wheel.store.catalog.all(Reference))
        drawn = draws.starts(wheel.site, wheel.config.run.seed, EXAM, number, count, region=1.0)
        return wheel.config.task.name, drawn
    shown = [wheel.episode(one) for one in tries]
    starts = tuple(one.start for one in shown if one.start is not None)
    tasks = {one.task for one in shown}
    if len(tasks) != 1 or len(starts) < len(shown):
        raise UsageError(
            "need tries of one task, each with its start",
            subject=", ".join(tries) or "no try",
            remedy="Name tries whose start is stored: saqiya query.",
        )
    return tasks.pop(), starts


def examined(
    desk: Desk, asked: Asked, person: str, last: Submission, *, verdict: Verdict | None = None
) -> Qualification:
    """Return how a person stands on a reference with a last submission that is not stored yet, or was just decided.

    The site's criterion judges each episode; where it says nothing, a reviewer did.
    """
    if asked.examines is None:
        raise UsageError("is no reference", subject=asked.key, remedy="Make one: saqiya people exam.")
    found = {one.id: one for one in desk.catalog.referring(asked.request.id, Submission) if one.operator == person}
    found[last.id] = last
    episodes = [desk.catalog.get(one.episode, Episode) for one in found.values()]
    outcomes = outcomes_of(desk.wheel.store, episodes)
    successes = 0
    for one in found.values():
        said = {review.verdict for review in desk.catalog.referring(one.id, Review) if not review.second}
        if one.id == last.id and verdict is not None:
            said.add(verdict)
        judged = outcomes[one.episode]
        successes += judged is Outcome.SUCCESS or (judged is Outcome.UNKNOWN and Verdict.ACCEPT in said)
    return Qualification(
        id=desk.catalog.new_id("qualification"),
        person=person,
        task=asked.examines.task,
        request=asked.request.id,
        passed=successes >= asked.examines.needed,
        successes=successes,
        tries=len(found),
    )
