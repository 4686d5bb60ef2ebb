"""`saqiya plan`, `saqiya aim`, `saqiya became`: what to collect next, what for, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saqiya.cli.app import NO, JsonFlag, Where, app, opened
from saqiya.cli.show import emit, rows, say
from saqiya.correct.became import Became
from saqiya.domain.nouns import CollectionPlan, Gain, PlanItem

__all__ = ["aim", "became", "plan"]


@app.command()
def plan(
    minutes: Annotated[float, typer.Option(help="The budget: minutes of a person.")],
    deployment: Annotated[str, typer.Option(help="What is to be improved; default: what is deployed now.")] = "",
    each: Annotated[float, typer.Option(help="Minutes of one, resets counted; 0: as corrections took.", min=0.0)] = 0.0,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask for it: saqiya correct and the turn serve this plan.")
    ] = False,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Say what to collect next under a budget of human minutes, what it may bring, and what not to spend on."""
    with opened(where, quiet=as_json) as wheel:
        made = wheel.pump.plan(minutes, deployment=deployment, each=each)
        asked = wheel.pump.ask(made) if ask else ()
        key, whose = wheel.key_of(made.id), wheel.key_of(made.policy) if made.policy else "an unknown policy"
        next_step = f"saqiya correct -w {where}" if wheel.turning else f"record it, and saqiya ingest LOGS -w {where}"
    if as_json:
        emit({"plan": made, "key": key, "requests": asked})
        return
    say(f"For {whose} at {made.scope}")
    _show(made)
    spent = sum(one.minutes for one in made.items)
    say(f"{key}: {spent:.1f} of {made.minutes:g} minutes" + (f", {len(asked)} requests." if ask else "."))
    if not ask and made.items:
        same = (f" --each {each:g}" if each else "") + (f" --deployment {deployment}" if deployment else "")
        say(f"To collect it: saqiya plan --minutes {minutes:g}{same} --ask -w {where}, then {next_step}")


def _show(made: CollectionPlan) -> None:
    header = ("for", "kind", "count", "minutes", "points of success", "where")
    rows("Collect", header, [_row(one) for one in made.items])
    said: set[str] = set()
    for one in made.items:
        if one.target not in said:  # the kinds of one mode share what speaks for it
            say(f"{one.target}: {one.reason}")
        said.add(one.target)
        for card in one.cards:
            say(f"  {card}")
    rows("Spend nothing on", ("what", "why"), [(one.target, one.reason) for one in made.skipped])


def _row(one: PlanItem) -> tuple[object, ...]:
    region = ", ".join(f"{name} {value}" for name, value in one.region.items()) or "not known"
    return one.target, one.correction_kind.value, one.count, f"{one.minutes:.1f}", _gain(one.gain), region


def _gain(gain: Gain | None) -> str:
    if gain is None:
        return "not known"
    return f"{100 * gain.value:+.1f} ({100 * gain.low:.1f} to {100 * gain.high:.1f})"


@app.command()
def aim(
    target: Annotated[str, typer.Argument(help="A failure mode, a condition (object=cup,x=0.1..0.2), or bootstrap.")],
    author: Annotated[str, typer.Option("--by", "--author", help="Who says so.")],
    minutes: Annotated[float, typer.Option(help="Ask for as much at once; 0: only put it on record.", min=0.0)] = 0.0,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Put on record what is to be collected for; a solved target is refused (exit code 1) until it is told twice."""
    with opened(where, quiet=as_json) as wheel:
        made = wheel.pump.aim(target, author=author, minutes=minutes)
        asked = [one for one in wheel.pump.requests() if one.because == made.id]
    if as_json:
        emit({"intent": made, "requests": asked})
    else:
        for warning in made.warnings:
            say(f"{target}: {warning}.")
        if made.warnings and not made.insisted:
            say("This may be wasted. To go on all the same, say it again.")
        else:
            told = f"; {len(asked)} requests wait: saqiya correct" if asked else ""
            say(f"{made.author} aims at {target}{', told twice' if made.insisted else ''}{told}.")
            if minutes and not asked:
                say(f"Nothing was asked for: no start is known to begin from, or one takes over {minutes:g} minutes.")
    if made.warnings and not made.insisted:
        raise typer.Exit(NO)


@app.command()
def became(
    operator: Annotated[str, typer.Argument(help="Only of this operator.")] = "",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Say what became of corrections: by operator and mode, before and after, beside what chance alone fixes."""
    with opened(where, quiet=True) as wheel:
        found = wheel.pump.became(operator)
    if as_json:
        emit(found)
        return
    if not found:
        say("No corrections were given yet. What asks for them: saqiya plan --minutes MINUTES --ask.")
        return
    header = (
        "operator",
        "for",
        "accepted",
        "failed before",
        "after",
        "change, points",
        "their starts",
        "other starts",
        "",
    )
    rows("What became of corrections", header, [_became(one) for one in found])


def _became(one: Became) -> tuple[object, ...]:
    change = "" if one.change is None else _gain(Gain(0, *one.change))
    return (
        one.operator,
        one.mode,
        f"{one.accepted} of {one.given}",
        _share(one.before),
        _share(one.after),
        change,
        _share(one.starts),
        _share(one.others),
        one.said,
    )


def _share(counts: tuple[int, int] | None) -> str:
    return "" if counts is None or not counts[1] else f"{counts[0]} of {counts[1]}"
