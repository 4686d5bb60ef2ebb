"""`saqiya correct`: serve what is asked for, and the ways in and out of corrections without our pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from saqiya.cli.app import NO, JsonFlag, Where, app, opened
from saqiya.cli.show import emit, rows, say
from saqiya.domain.nouns import Correction, CorrectionRequest
from saqiya.errors import GuardRefusal, UsageError
from saqiya.loop.partners.handing import Handed

__all__ = ["correct"]

RUN = "run"
HELP = ("--help",)


class _RunElse(TyperGroup):
    """A group whose first word may be left out: what is no subcommand is what `run` is given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own context
        """Put `run` before the words that no subcommand begins."""
        first = args[0] if args else ""
        return super().parse_args(ctx, args if first in {*self.commands, *HELP} else [RUN, *args])


correct = typer.Typer(
    cls=_RunElse,
    help="Serve correction requests, and take in or send out what was asked for. Alone it is `saqiya correct run`.",
)
app.add_typer(correct, name="correct")


@correct.command()
def run(
    request: Annotated[str | None, typer.Argument(help="A request by id or key; default: all of this turn.")] = None,
    given: Annotated[
        list[str] | None, typer.Option(help="Recordings of it made elsewhere: episodes, a subset.")
    ] = None,
    by: Annotated[str, typer.Option(help="With --given: who showed it.")] = "",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Serve correction requests with the site's own expert as operator, or take recordings made elsewhere as served."""
    if given and not request:
        raise UsageError("recordings need the request they were made for", remedy="saqiya correct REQUEST --given ...")
    with opened(where, quiet=as_json) as wheel:
        if given and request:
            _corrected(wheel.pump.given(request, given, author=by), as_json=as_json)
            return
        asked = [wheel.store.catalog.get(request, CorrectionRequest)] if request else wheel.requests()
        for one in asked if request else ():
            wheel.pump.serve(one)
        if not asked:
            raise GuardRefusal(
                "nothing is asked for in this turn", subject=f"turn {wheel.number}", remedy="Run saqiya triage first."
            )
        made = [one for item in asked for one in wheel.correct(item)]
    _corrected(made, as_json=as_json)


def _corrected(made: Sequence[Correction], *, as_json: bool) -> None:
    if as_json:
        emit(made)
    else:
        steps = sum(one.human_steps for one in made)
        say(f"{sum(one.accepted for one in made)} of {len(made)} corrections accepted, {steps} human steps.")


@correct.command("import")
def import_(
    result: Annotated[Path | None, typer.Argument(help="A partner's answer to a request pack: folder or zip.")] = None,
    lerobot: Annotated[Path | None, typer.Option(help="Or a LeRobot data set: lerobot-record, DAgger.")] = None,
    by: Annotated[str, typer.Option(help="Whose work it is: somebody who may work here.")] = "",
    request: Annotated[str, typer.Option(help="With --lerobot: what all of it answers, by id, key or mark.")] = "",
    episode: Annotated[list[str] | None, typer.Option(help="With --lerobot: only these, by number or name.")] = None,
    licence: Annotated[str, typer.Option(help="Accept this licence where another one was asked for.")] = "",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Take recordings in and hand each in for the slot that it answers: they wait for a reviewer (1: some do not)."""
    if (result is None) == (lerobot is None) or not by:
        raise UsageError(
            "needs one thing to take in, and whose work it is",
            remedy="saqiya correct import RESULT --by NAME, or saqiya correct import --lerobot DATASET --by NAME.",
        )
    with opened(where, quiet=as_json) as wheel:
        if lerobot is not None:
            from saqiya.loop.partners.lerobot_in import import_lerobot

            made = import_lerobot(wheel, lerobot, by=by, request=request, only=episode or ())
        elif result is not None:
            from saqiya.loop.partners.packs_in import import_pack

            made = import_pack(wheel, result, by=by, licence=licence)
    _told(made, as_json=as_json)


def _told(made: Sequence[Handed], *, as_json: bool) -> None:
    waiting = sum(one.good for one in made)
    if as_json:
        emit({"handed_in": waiting, "recordings": made})
    else:
        table = [(one.name, one.request, "" if one.slot is None else one.slot, one.how, one.why) for one in made]
        rows("Recordings", ("recording", "request", "slot", "found", "but"), table)
        say(f"{waiting} of {len(made)} wait for a reviewer.")
    if waiting < len(made):
        raise typer.Exit(NO)


@correct.command()
def export(
    request: Annotated[str, typer.Argument(help="A request by id or key.")],
    out: Annotated[Path, typer.Option(help="The folder to write; it must not exist.")],
    licence: Annotated[str, typer.Option(help="The licence that recordings are to come under: CC-BY-4.0.")],
    by: Annotated[str, typer.Option(help="Who sends it; the pack does not say.")],
    consent: Annotated[str, typer.Option(help="What people who are recorded must have agreed to.")] = "",
    due: Annotated[str, typer.Option(help="The last day: 2026-12-24. Default: when the request is due.")] = "",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Write a request as a folder for a partner: they need a browser, and nothing of ours."""
    from saqiya.loop.partners.packs_out import CONSENT, Terms, export_pack

    with opened(where, quiet=as_json) as wheel:
        made = export_pack(wheel, request, out, Terms(licence, consent or CONSENT, due), by=by)
    if as_json:
        emit(made)
        return
    say(f"{out}: pack {made.settings['pack']}, {made.settings['count']} recordings wanted by {made.settings['due']}.")
    for one in made.notes:
        say(one)
    say(f"Look at {out / 'index.html'} before you send it: pictures may show people.")


@correct.command("say")
def say_(
    failure: Annotated[str, typer.Argument(help="A failure by id or key.")],
    text: Annotated[str, typer.Argument(help="What the robot should have done.")],
    author: Annotated[str, typer.Option(help="Who says so.")],
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Keep a correction in words on a failure: whoever corrects it reads it first."""
    with opened(where, quiet=True) as wheel:
        made = wheel.desk.advise(failure, author, text)
        key = wheel.key_of(made.failure)
    emit(made) if as_json else say(f"{key}: {made.text}")
