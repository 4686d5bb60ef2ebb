"""`saqiya collect`: live tries of the deployed policy into which a person is asked, within a budget."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from saqiya.cli.app import JsonFlag, Where, app, opened
from saqiya.cli.show import emit, say
from saqiya.correct.asking import Precision
from saqiya.errors import UsageError
from saqiya.evaluate.intervals import Interval, wilson

__all__ = ["collect"]


@app.command()
def collect(
    target: Annotated[str, typer.Option(help="What it is for, as told to saqiya aim.")] = "",
    episodes: Annotated[int, typer.Option(help="Tries, at most.", min=1)] = 50,
    minutes: Annotated[float, typer.Option(help="Minutes of a person, at most; 0: as the tries come.", min=0.0)] = 0.0,
    budget: Annotated[float, typer.Option(help="Share of the control steps that may be a person's.")] = 0.1,
    random: Annotated[float, typer.Option(help="Share of takeovers that no score decides.")] = 0.15,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Let the deployed policy act, ask a person in where it is unsure, and keep what they do as corrections."""
    if not target:
        raise UsageError("nothing is collected without a named target", remedy="saqiya collect --target MODE.")
    with opened(where, quiet=as_json) as wheel:
        made = wheel.pump.collect(target, episodes=episodes, minutes=minutes or math.inf, budget=budget, random=random)
    if as_json:
        emit(made)
        return
    good = sum(one.accepted for one in made.corrections)
    say(
        f"{made.tries} tries, {made.takeovers} takeovers: {made.human_steps} of {made.steps} steps by a person "
        f"({made.share:.3f}; the budget is {made.budget:g}), {made.minutes:.1f} minutes."
    )
    say(f"{good} of {len(made.corrections)} corrections accepted.")
    gain = "" if made.better is None else f"; the gate's share less theirs: {_signed(made.better)}"
    say(f"Needed: {_share(made.asked)} that the gate asked for, {_share(made.drawn)} random ones{gain}.")
    for one in made.said:
        say(one)


def _share(found: Precision) -> str:
    if not found.takeovers:
        return "0 of 0"
    known = wilson(found.needed, found.takeovers)
    return f"{found.needed} of {found.takeovers} ({known.low:.2f} to {known.high:.2f})"


def _signed(found: Interval) -> str:
    return f"{found.low:+.2f} to {found.high:+.2f}"
