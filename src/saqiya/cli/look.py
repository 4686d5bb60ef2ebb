"""Looking at things: the report on logs, the wheel's standing, lineage, and the truth of what is stored."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from saqiya.cli.app import FAILED, NO, JsonFlag, Where, app, opened
from saqiya.cli.ask import show_tax
from saqiya.cli.show import emit, rows, say, success_text
from saqiya.cli.verbs import pairs_of
from saqiya.loop.config import FILE_NAME, has_wheel
from saqiya.loop.standing import Holdings, Standing, holdings, standing


@app.command()
def report(
    logs: Annotated[list[Path] | None, typer.Argument(help="Log files or folders; none: the workspace's own.")] = None,
    trials: Annotated[Path | None, typer.Option(help="The team's table of trials (CSV or TSV).")] = None,
    mapping: Annotated[Path | None, typer.Option(help="How tables of numbers become tries (TOML).")] = None,
    columns: Annotated[
        list[str] | None, typer.Option(help="field=column where the guess is wrong (policy, task, outcome ...).")
    ] = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Write one page: about logs and a table of trials, with no workspace at all, or about a workspace's wheel."""
    if not logs:
        with opened(where, quiet=as_json) as wheel:
            page = wheel.write_pages()
        emit({"report": str(page)}) if as_json else say(str(page))
        return
    from saqiya.loop.reports.logs import report_logs

    found = report_logs(
        logs,
        trials=trials,
        mapping=mapping,
        columns=pairs_of(columns or []),
        out=out,
        now_ns=time.time_ns(),  # noqa: TID251 - the command line holds the clock
    )
    if as_json:
        emit(found.as_json())
    else:
        _summary(found)
    if found.usable_n == 0:
        raise typer.Exit(FAILED)
    if found.rejected_n:
        raise typer.Exit(NO)


def _summary(found: Any) -> None:  # noqa: ANN401 - the report's own class would pull its module in at start-up
    say(f"{found.usable_n} tries, {found.copies_n} more that are copies, {found.rejected_n} inputs rejected.")
    if found.table is not None:
        guesses = [(g.field, g.column, g.confidence) for g in found.table.guesses]
        rows("Columns as understood (change with --columns field=column)", ("field", "column", "confidence"), guesses)
    rates = [
        (r.policy or "(no policy)", r.task or "(no task)", f"{r.successes}/{r.trials}", f"{r.low:.2f} to {r.high:.2f}")
        for r in found.rates
    ]
    rows("Success", ("policy", "task", "count", "95 % interval"), rates)
    for versus in found.comparisons:
        say(versus.sentence)
    for advice in found.advice:
        say(f"Collect next: {advice.sentence}")
    grouped = [(len(names), names[0], why, remedy) for why, remedy, names in found.refused_by_reason()]
    rows("Rejected (each is on the page)", ("inputs", "for example", "why", "what to do"), grouped)
    say(f"Page: {found.out}")


@app.command()
def status(
    tax: Annotated[bool, typer.Option("--tax", help="What data costs here: bytes, copies, seconds, waiting.")] = False,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Show where the wheel stands, what is open, and what it would do next and why."""
    with opened(where, quiet=True) as wheel:
        if tax:
            show_tax(wheel, as_json=as_json)
            return
        found = standing(wheel) if has_wheel(where / FILE_NAME) else holdings(wheel)
    if as_json:
        emit(found)
    elif isinstance(found, Standing):
        _screen(found)
    else:
        _shelves(found)


def _screen(found: Standing) -> None:
    say(f"{found.scope}: phase {found.phase}, champion {found.champion or 'none yet'}")
    for needs in found.place.needs:
        say(f"  {needs}")
    table = [
        (f["turn"], f["decision"], f["policy"], f["demonstrations"], f["human_steps"], success_text(f["success"]))
        for f in found.turns[-8:]
    ]
    rows("Turns", ("turn", "decision", "in charge", "demonstrations", "human steps", "success (95 %)"), table)
    rows("Open failure modes", ("mode", "failures"), list(found.modes.items()))
    for said in found.stop.values():
        say(said)
    waiting = ", ".join(f"{key} ({count})" for key, count in found.waiting.items()) or "none"
    unread = f" ({found.unread} failed tries not read yet)" if found.unread else ""
    say(f"{found.open_failures} failures without an accepted correction{unread}; requests waiting: {waiting}")
    say(f"alpha spent {found.alpha_spent:.4f}; rejected files {found.rejections}")
    say(f"Next: {found.next}  ({found.why})")


def _shelves(found: Holdings) -> None:
    say(
        f"For data alone: {found.episodes} episodes ({found.quarantined} in quarantine) of {found.recordings} "
        f"recordings; rejected files {found.rejections}"
    )
    say(f"Dataset versions: {', '.join(found.versions[-8:]) or 'none'}")
    say(f"Subsets: {', '.join(found.subsets[-8:]) or 'none'}")
    for one in found.places:
        say(f"{one.scope}: phase {one.phase} ({one.because})")
    say(f"Next: {found.next}  ({found.why})")


@app.command()
def lineage(
    ref: Annotated[str, typer.Argument(help="An id, a logical key, a unique part of an id, or an object's digest.")],
    down: Annotated[bool, typer.Option("--down", help="What came of it, instead of what it came from.")] = False,
    depth: Annotated[int, typer.Option(help="Steps at most.")] = 6,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Walk from a noun to everything it came from, or that came of it."""
    with opened(where, quiet=True) as wheel:
        tree = wheel.lineage(ref, up=not down, depth=depth)
        lines = [] if as_json else _tree(wheel, tree, 0)
    if as_json:
        emit(tree)
    else:
        for line in lines:
            say(line)


def _tree(wheel: Any, kin: Any, indent: int) -> list[str]:  # noqa: ANN401 - a tree printed node by node
    name = wheel.key_of(kin.id) if kin.kind not in {"object", "missing"} else kin.id[:16]
    head = f"{'  ' * indent}{kin.field + ': ' if kin.field else ''}{kin.kind} {name}"
    tail = " (shown above)" if kin.again else f" ({kin.hidden} more)" if kin.hidden else ""
    return [head + tail, *(line for child in kin.children for line in _tree(wheel, child, indent + 1))]


@app.command()
def verify(
    full: Annotated[bool, typer.Option("--full", help="Read every byte again.")] = False,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Re-hash what is stored, resolve every id, and list every lie (exit code 1 when there is one)."""
    with opened(where, quiet=True) as wheel:
        found = wheel.verify(full=full)
    if as_json:
        emit(found)
    else:
        say(
            f"{found.nouns} nouns, {found.references} references, {found.objects} objects ({found.read} read now, "
            f"{found.erased} erased on purpose), {len(found.sweepable)} to sweep."
        )
        rows("Lies", ("subject", "what"), [(lie.subject, lie.what) for lie in found.lies])
    if found.lies:
        raise typer.Exit(NO)
