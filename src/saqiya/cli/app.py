"""`saqiya`: one command a verb. Exit codes: 0 done, 1 a gate or check said no, 2 usage or operation failed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from saqiya.cli.show import Live, emit, say
from saqiya.errors import GuardRefusal, Leakage, SaqiyaError
from saqiya.loop.flywheel import Flywheel

__all__ = ["NO", "JsonFlag", "Where", "app", "main", "opened", "whole"]

NO = 1
FAILED = 2
INTERRUPTED = 130

app = typer.Typer(
    help="The robot data flywheel: failures in, the smallest set of corrections out, shipped on evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Where = Annotated[Path, typer.Option("--workspace", "-w", help="The workspace's folder.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@contextmanager
def opened(where: Path, *, quiet: bool = False) -> Iterator[Flywheel]:
    """Open the workspace for one command, showing progress on standard error."""
    live = Live(quiet=quiet)
    try:
        with Flywheel(where, progress=live) as wheel:
            yield wheel
    finally:
        live.close()


@app.command()
def init(
    where: Annotated[Path, typer.Argument(help="Folder to make the workspace in.")] = Path(),
    site: Annotated[str, typer.Option(help="A registered site; see saqiya.toml for what it is called.")] = "tiny",
    trainer: Annotated[str, typer.Option(help="A registered trainer.")] = "ensemble",
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    workers: Annotated[int, typer.Option(help="Rollout processes; 0 rolls out in this one.")] = 2,
    data: Annotated[bool, typer.Option("--data", help="For data alone: no site yet; a second init adds one.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a workspace with a saqiya.toml."""
    if data:
        Flywheel.init(where).close()
        emit({"workspace": str(where)}) if as_json else say(f"Workspace {where}. Next: saqiya ingest LOGS -w {where}")
        return
    with Flywheel.init(where, site=site, trainer=trainer, seed=seed, workers=workers) as wheel:
        if as_json:
            emit({"workspace": str(where), "scope": wheel.scope})
        else:
            say(f"Workspace {where} for {wheel.scope}.\nRead {where / 'saqiya.toml'}, then: saqiya turn -w {where}")


def whole() -> typer.Typer:
    """Return the app with every command on it, whatever was imported before."""
    from saqiya.cli import (  # noqa: F401 - importing registers their commands
        ablate,
        ask,
        catalog,
        collect,
        correct,
        coverage,
        data,
        desk,
        duplicates,
        failures,
        look,
        novelty,
        outcomes,
        people,
        plan,
        saturation,
        serve,
        verbs,
    )

    return app


def main() -> None:
    """Run the command line, and turn every error of ours into one line and an exit code."""
    try:
        whole()()
    except (GuardRefusal, Leakage) as refusal:
        _complain("refused", refusal)
        sys.exit(NO)
    except SaqiyaError as error:
        _complain("error", error)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted. What was stored stays; the same command goes on from there.\n")
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # a step may be running in a thread of its own: it is safe to cut, as any kill is


def _complain(kind: str, error: SaqiyaError) -> None:
    sys.stderr.write(f"{kind}: {error}\n")
    if "--json" in sys.argv:
        facts = {"kind": kind, "type": type(error).__name__, "what": error.what}
        emit({"error": {**facts, "subject": error.subject, "remedy": error.remedy}})
