"""`saqiya saturation`: what more data still brings; `saqiya phases`: where each task stands and what comes next."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from saqiya.cli.app import JsonFlag, Where, app, opened
from saqiya.cli.show import emit, rows, say
from saqiya.errors import AlreadyThere, GuardRefusal
from saqiya.loop.novelty.phases import Place
from saqiya.loop.novelty.saturation import Told
from saqiya.loop.pages.saturation_picture import write_picture
from saqiya.measure.saturation import points


class By(StrEnum):
    """What curves are shown beside the task's."""

    MODE = "mode"
    FACTOR = "factor"


@app.command()
def saturation(
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Measure the newest version's curve by retraining.")
    ] = False,
    version: Annotated[str, typer.Option(help="With --retrain: another dataset version.")] = "",
    sizes: Annotated[int, typer.Option(help="With --retrain: nested parts of the version.")] = 5,
    seeds: Annotated[int, typer.Option(help="With --retrain: policies for each part.")] = 2,
    tries: Annotated[int, typer.Option(help="With --retrain: rollouts that judge each policy.")] = 50,
    trainer: Annotated[str, typer.Option(help="With --retrain: another trainer than saqiya.toml's.")] = "",
    by: Annotated[By, typer.Option(help="By failure mode, or by condition too.")] = By.MODE,
    picture: Annotated[Path | None, typer.Option(help="Write the task's curve as SVG; it must not exist.")] = None,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Say what 10 and 50 more demonstrations would bring, by task, mode and condition, and where to stop."""
    if picture is not None and picture.exists():
        raise AlreadyThere("exists", subject=str(picture), remedy="Choose another name.")
    with opened(where, quiet=as_json) as wheel:
        measured = (
            wheel.pump.retrain(version, sizes=sizes, seeds=seeds, tries=tries, trainer=trainer) if retrain else None
        )
        found = list(wheel.pump.saturation(factors=by is By.FACTOR))
        if measured is not None and measured.curve not in [one.curve for one in found]:
            found.insert(0, measured)
        taught = wheel.pump.teaching()
    if not found:
        raise GuardRefusal(
            "there is no learning curve: no deployed policy of which it is known how much it learned from",
            subject=str(where),
            remedy="Turn the wheel, measure one with --retrain, or register policies with --declare demonstrations=N.",
        )
    if picture is not None:
        write_picture(measured.curve if measured else found[0].curve, picture)
    if as_json:
        emit({"curves": found, "rollouts": taught})
        return
    rows("Learning curves", ("of", "from", "shown", "now", "10 more bring", "50 more bring"), [_row(o) for o in found])
    for one in found:
        for broken in one.breaks:
            say(f"{one.curve.name}: break at {broken.after.name}: {broken.why}.")
            say(
                f"  Success changed by {points(broken.change)}; the data in between was good for {points(broken.data)}."
            )
    for one in found:
        if one.stop:
            say(one.stop)
    if taught is not None:
        say(taught.said)


def _row(one: Told) -> tuple[str, ...]:
    last = one.curve.points[-1]
    what = f"{one.curve.kind} {one.curve.name}"
    now = f"{last.good:.0f}/{last.tries:.0f}"
    if one.curve.kind == "mode":
        now = f"{last.tries - last.good:.0f}/{last.tries:.0f} fail so"
    if one.curve.basis == "held-out error":
        now = f"{last.good / last.tries:.2f} of variance explained"
    return what, f"{one.curve.basis}, {len(one.curve.points)}", f"{last.demonstrations}", now, *map(points, one.gains)


@app.command()
def phases(where: Where = Path(), as_json: JsonFlag = False) -> None:
    """Say where each task stands in its life, by which figures, and what the next phase needs."""
    with opened(where, quiet=True) as wheel:
        found = wheel.pump.phases()
    if as_json:
        emit(found)
        return
    if not found:
        say(
            "No policy was deployed yet, here or elsewhere. Logs of one: saqiya ingest LOGS, then saqiya detect --logs."
        )
    for one in found:
        for line in lines_of(one):
            say(line)


def lines_of(place: Place) -> list[str]:
    """Write where a task stands, for people."""
    return [f"{place.scope}: {place.phase} ({place.because})", *(f"  {one}" for one in place.needs)]
