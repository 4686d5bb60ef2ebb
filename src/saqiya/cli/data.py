"""The verbs of the data layer: logs in, datasets out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saqiya.cli.app import NO, JsonFlag, Where, app, opened
from saqiya.cli.show import emit, rows, say
from saqiya.cli.verbs import pairs_of
from saqiya.domain.streams import JsonValue
from saqiya.ingest.stage import Keep


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Log files or folders.")],
    fact: Annotated[list[str] | None, typer.Option(help="key=value said of all of them (task, policy ...).")] = None,
    keep: Annotated[
        Keep, typer.Option(help="The originals: copy all, copy only what holds pictures, or link in place.")
    ] = Keep.COPY,
    link: Annotated[bool, typer.Option("--link", help="The same as --keep link.")] = False,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Take in logs of any known format; what cannot be used becomes a rejection that says why (exit code 1)."""
    with opened(where, quiet=as_json) as wheel:
        admitted = wheel.data.ingest(paths, facts=pairs_of(fact or []), keep=Keep.LINK if link else keep)
    if as_json:
        emit(admitted)
    else:
        say(
            f"{len(admitted.episodes)} episodes, {len(admitted.aliases)} known already in another form, "
            f"{len(admitted.rejections)} rejected, {admitted.ignored} files that are no logs."
        )
        rows("Rejected", ("file", "why", "what to do"), [(r.name, r.reason, r.remedy) for r in admitted.rejections])
    if admitted.rejections:
        raise typer.Exit(NO)


@app.command()
def export(
    what: Annotated[list[str], typer.Argument(help="One dataset version, or episodes, by id or key.")],
    to: Annotated[Path, typer.Option(help="Where to; it must not exist.")],
    form: Annotated[str, typer.Option("--as", help="lerobot, mcap, rerun, robomimic, or a plug-in's.")] = "lerobot",
    setting: Annotated[list[str] | None, typer.Option("--set", help="The writer's own, for example fps=30.")] = None,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Write a dataset that others read, and say what it could not hold."""
    settings: dict[str, JsonValue] = {name: _number(text) for name, text in pairs_of(setting or []).items()}
    with opened(where, quiet=as_json) as wheel:
        made = wheel.data.export(what, to, form=form, settings=settings)
    if as_json:
        emit(made)
    else:
        say(f"{len(made.episodes)} episodes as {made.format} in {made.location}")
        for note in made.notes:
            say(f"  {note}")


@app.command()
def view(
    episode: Annotated[str, typer.Argument(help="By id, key or a unique part of its id.")],
    at: Annotated[float | None, typer.Option(help="The moment, in seconds from its first sample.")] = None,
    viewer: Annotated[str, typer.Option("--in", help="rerun or foxglove.")] = "rerun",
    out: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Write a moment for a viewer, and print the command that opens it."""
    with opened(where, quiet=as_json) as wheel:
        made = wheel.data.view(episode, at_s=at, viewer=viewer, out=out)
    if as_json:
        emit({"path": str(made.path), "command": made.command, "notes": list(made.notes)})
    else:
        for note in made.notes:
            say(f"  {note}")
        say(made.command)


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
