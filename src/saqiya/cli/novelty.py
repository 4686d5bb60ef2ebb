"""`saqiya measure`: what episodes tell a named policy that it does not know yet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from saqiya.cli.app import JsonFlag, Where, app, opened
from saqiya.cli.show import emit, file_of, rows, say
from saqiya.domain.nouns import Duplicate, Episode, Novelty
from saqiya.errors import UsageError
from saqiya.loop.flywheel import Flywheel

HEADER = (
    "episode",
    "worth",
    "bits",
    "bits a step",
    "surprisal",
    "information",
    "learnable",
    "consistency",
    "coverage",
    "steps (the rival)",
    "nearest",
    "remark",
)


@app.command()
def measure(
    episodes: Annotated[
        list[str] | None, typer.Argument(help="Episodes, a subset or a dataset version; default: all corrections.")
    ] = None,
    policy: Annotated[str, typer.Option(help="Relative to this policy, by name or id; default: the champion.")] = "",
    dataset: Annotated[
        str,
        typer.Option(help="A dataset version that stands for what is known, alone or for a policy."),
    ] = "",
    span: Annotated[str, typer.Option(help="Only this part of each episode, in seconds from its start: 1.5..4.")] = "",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Measure what episodes would teach a policy, in bits; triage, plans and choices read these numbers."""
    part = _span(span)
    with opened(where, quiet=as_json) as wheel:
        catalog = wheel.store.catalog
        chosen = list(episodes or [one.id for one in catalog.all(Episode) if one.source == "correction"])
        made = wheel.pump.measure(chosen, policy=policy, dataset=dataset, span_s=part) if chosen else ()
        copies = {one.episode: one.of for one in catalog.all(Duplicate)}
        told = [_told(wheel, one, copies.get(one.episode)) for one in made]
        body = [] if as_json else [_row(wheel, one) for one in told]
    if as_json:
        emit(told)
        return
    if told:
        say(f"Novelty relative to {told[0]['reference']}, {made[0].method.replace('_', ' ')}")
        rows("", HEADER, body)
    else:
        say("There are no corrections to measure. Name episodes, a subset or a version: saqiya measure EPISODES ...")


def _told(wheel: Flywheel, one: Novelty, copy_of: str | None) -> dict[str, Any]:
    """Return a measurement with the keys of what it names, and whether the episode is marked as a copy."""
    kind = one.relative_to.split("-", 1)[0]
    return {
        **msgspec.to_builtins(one),
        "key": wheel.key_of(one.episode),
        "reference": f"{kind}:{wheel.key_of(one.relative_to)}",
        "nearest_key": wheel.key_of(one.nearest) if one.nearest else None,
        "copy_of": wheel.key_of(copy_of) if copy_of else None,
    }


def _row(wheel: Flywheel, one: dict[str, Any]) -> tuple[str, ...]:
    figures = ("worth", "bits", "bits_per_step", "surprisal", "information", "learnable", "consistency", "coverage")
    remark = f"junk: {one['junk']}" if one["junk"] else f"copy of {one['copy_of']}" if one["copy_of"] else ""
    nearest = file_of(wheel, one["nearest"]) if one["nearest"] else ""
    return file_of(wheel, one["episode"]), *(_number(one[name]) for name in figures), str(one["steps"]), nearest, remark


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value >= 10.0 else f"{value:.2f}"


def _span(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    begin, dots, end = text.partition("..")
    try:
        part = float(begin or 0.0), float(end or "inf")
    except ValueError:
        part = 0.0, 0.0
    if not dots or not 0.0 <= part[0] < part[1]:
        raise UsageError("must be two times in seconds with .. between them", subject=text, remedy="Say 1.5..4.")
    return part
