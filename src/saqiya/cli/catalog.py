"""`saqiya catalog`: where the facts live, from the shell of whoever runs the workspace."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from saqiya.cli.app import NO, JsonFlag, Where, app, opened
from saqiya.cli.show import Live, emit, say
from saqiya.loop.moving import Census, Moved, kept
from saqiya.loop.moving import move as moved

catalog = typer.Typer(help="The catalog: where the facts live.", no_args_is_help=True)
app.add_typer(catalog, name="catalog")


@catalog.command()
def move(
    to: Annotated[str, typer.Option(help="postgresql://USER@HOST/NAME (empty), or sqlite: the workspace's own file.")],
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Move the catalog to another database while nobody has the workspace open; cut off, the same command goes on.

    The password is taken from SAQIYA_CATALOG_PASSWORD or from what libpq reads, never from the URL.
    """
    live = Live(quiet=as_json)
    try:
        done = moved(where, to, clock=time.time_ns, progress=live)  # noqa: TID251 - the clock of the command line
    finally:
        live.close()
    emit(done) if as_json else say(_told(done, where))
    if done.line:
        raise typer.Exit(NO)


@catalog.command()
def copy(
    file: Annotated[Path, typer.Argument(help="The SQLite file to write; there must be none.")],
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Copy the catalog as it is at this moment into a file, while others work on: the first part of a backup."""
    with opened(where, quiet=as_json) as wheel:
        held = kept(wheel.store.catalog.database, file, progress=wheel.progress)
    if as_json:
        emit({"file": str(file), "held": held})
    else:
        say(f"{file} holds {_short(held)}: the same as the catalog. Next: copy objects/ beside it.")


def _short(held: Census) -> str:
    rows = sum(held.rows.values())
    return f"{rows} rows, trail {held.trail[0]} {held.trail[1][:12]}, content {held.content[:12]}"


def _told(done: Moved, where: Path) -> str:
    said = [f"{_short(done.held)}: the same on both sides."]
    if done.line:
        said += ["saqiya.toml cannot be edited without loss. Write this under [store]; before that nothing has moved:"]
        return "\n".join([*said, done.line])
    said.append(f"saqiya.toml names {done.catalog or 'the file catalog.sqlite'} now.")
    if done.old:
        said.append(f"The old catalog is kept as {done.old}.")
    return "\n".join([*said, f"Next: saqiya verify -w {where}"])
