"""`saqiya correct queue`, `next`, `claim`, `submit`, `hand-back`: an operator's day without a browser."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from saqiya.cli.app import JsonFlag, Where, opened
from saqiya.cli.correct import correct
from saqiya.cli.show import emit, rows, say
from saqiya.loop.people.claims import Lease, Offer

By = Annotated[str, typer.Option("--by", help="Who works: somebody who may (saqiya people add).")]
Rig = Annotated[str, typer.Option(help="Only what can be done at this robot.")]
LeaseId = Annotated[str, typer.Argument(help="The lease that a claim gave.")]


@correct.command()
def queue(
    by: By,
    rig: Rig = "",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=500)] = 20,
    why: Annotated[bool, typer.Option("--why", help="Show every factor of each one's place.")] = False,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """List what is open to an operator, in the order in which they would get it; what is blocked comes last."""
    with opened(where, quiet=True) as wheel:
        offers = wheel.desk.queue(by, limit=limit, rig=rig)
    if as_json:
        emit([{**vars(one), "place": one.place} for one in offers])
        return
    table = [
        (one.key, one.slot, one.rig or "any", _gain(one), f"{one.minutes:.1f}", _day(one.due_ns), one.blocked)
        for one in offers
    ]
    rows("Open", ("request", "slot", "robot", "points/min", "min", "due", "but"), table)
    for one in offers if why else ():
        say(f"{one.key}: {one.place:.3g}")
        for term in one.terms:
            say(f"  {term.name} {term.value:.3g}: {term.because}")


@correct.command("next")
def next_(by: By, where: Where = Path(), as_json: JsonFlag = False) -> None:
    """Say what an operator does best at each of their robots, the one where a minute brings most first."""
    with opened(where, quiet=True) as wheel:
        rigs = wheel.desk.next(by)
    if as_json:
        emit(rigs)
        return
    table = [
        (one.name or "any", "go on" if one.lease else "claim", one.offer.key, one.lease.id if one.lease else "",
         _gain(one.offer))
        for one in rigs
    ]  # fmt: skip
    rows("Robots", ("robot", "do", "request", "lease", "points/min"), table)


@correct.command()
def claim(
    by: By,
    request: Annotated[str | None, typer.Argument(help="A request by id or key; default: the best.")] = None,
    slot: Annotated[int | None, typer.Option(help="Which of its slots; default: the first open one.", min=0)] = None,
    rig: Rig = "",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Take a slot for a while: the best, or one of a request; told twice, the same one."""
    with opened(where, quiet=True) as wheel:
        made = wheel.desk.claim(by, request, slot=slot, rig=rig)
        key = wheel.key_of(made.request.id)
    emit(made) if as_json else say(_held(made, key))


@correct.command()
def submit(
    lease: LeaseId,
    episode: Annotated[str, typer.Argument(help="The episode that is handed in, by id or key.")],
    by: By,
    note: Annotated[str, typer.Option(help="For the reviewer.")] = "",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Hand in an episode for the slot of a lease; told twice, it is handed in once."""
    with opened(where, quiet=True) as wheel:
        made = wheel.desk.submit(lease, by, episode, note)
    emit(made) if as_json else say(f"{made.id} waits for a reviewer: {made.human_steps} steps of {made.operator}.")


@correct.command("hand-back")
def hand_back(
    lease: LeaseId,
    by: By,
    reason: Annotated[str, typer.Option(help="Why; whoever comes next reads it in the trail.")] = "",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Let a slot go, for whoever comes next."""
    with opened(where, quiet=True) as wheel:
        wheel.desk.hand_back(lease, by, reason)
    emit({"lease": lease, "handed_back": True}) if as_json else say(f"{lease} is open to others.")


def _held(one: Lease, key: str) -> str:
    until = datetime.fromtimestamp(one.until_ns / 1e9, UTC).strftime("%H:%M UTC")
    begin = ", ".join(f"{name} {value}" for name, value in one.start.factors.items()) if one.start else "anywhere"
    return f"{one.id}: slot {one.slot} of {key} until {until}; begin at {begin}.\n{one.request.reason}"


def _gain(one: Offer) -> str:
    return "not known" if one.gain_per_minute is None else f"{100 * one.gain_per_minute:.3g}"


def _day(t_ns: int) -> str:
    return datetime.fromtimestamp(t_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
