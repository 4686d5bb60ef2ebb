"""`saqiya duplicates`: which episodes repeat an earlier one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saqiya.cli.app import JsonFlag, Where, app, opened
from saqiya.cli.show import emit, file_of, rows, say

MOST_SHOWN_N = 20


@app.command()
def duplicates(
    what: Annotated[
        list[str] | None, typer.Argument(help="A dataset version, a subset, or episodes; default: all there are.")
    ] = None,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Mark episodes that repeat an earlier one, exactly or nearly; mixes give each group the weight of one."""
    with opened(where, quiet=as_json) as wheel:
        found = wheel.pump.duplicates(what or [])
        shown = found.marks[-MOST_SHOWN_N:]
        files = {one: file_of(wheel, one) for mark in shown for one in (mark.episode, mark.of)}
    if as_json:
        emit(found)
        return
    how = [one.how for one in found.marks]
    pairs_n = found.tries_n * (found.tries_n - 1) // 2
    say(
        f"{len({one.episode for one in found.marks})} of {found.tries_n} episodes repeat an earlier one "
        f"({how.count('exact')} exactly, {how.count('near')} nearly; {found.fresh} newly marked). "
        f"{found.compared_n} of {pairs_n} pairs were compared."
    )
    if found.marks:
        table = [
            (
                one.episode,
                one.of,
                one.how,
                f"{one.distance:.3g}",
                "" if one.spacing is None else f"{one.spacing:.3g}",
                f"{files[one.episode]} repeats {files[one.of]}",
            )
            for one in shown
        ]
        rows("", ("episode", "repeats", "how", "distance", "spacing", "from"), table)
        if len(found.marks) > MOST_SHOWN_N:
            say(f"{len(found.marks) - MOST_SHOWN_N} more: saqiya duplicates --json.")
        say("Kept as they are. In the next mix, each group weighs what one episode weighs.")
    if found.alone:
        say(f"{len(found.alone)} episodes hold no numbers to compare: only exact copies of these are found.")
