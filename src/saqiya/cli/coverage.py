"""`saqiya coverage` and `saqiya factors`: what was never shown, and what is known and said of each try."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from saqiya.cli.app import JsonFlag, Where, app, opened
from saqiya.cli.show import emit, rows, say
from saqiya.errors import UsageError
from saqiya.loop.pages.coverage_page import day_of, pair_of, write_coverage
from saqiya.measure.shown import Coverage, Pair, Value

factors = typer.Typer(help="Factors of tries: say what they were, list them, accept hints.", no_args_is_help=True)
app.add_typer(factors, name="factors")

What = Annotated[list[str] | None, typer.Argument(help="A dataset version, a subset, or episodes; default: all.")]
Author = Annotated[str, typer.Option("--author", "--by", help="Who says so.")]
MOST_GAPS_N = 20


@app.command()
def coverage(
    what: Annotated[
        list[str] | None, typer.Argument(help="What counts as shown: a dataset version, a subset or episodes.")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Two factors against each other: object,lighting.")] = "",
    thin: Annotated[int, typer.Option(min=1, help="Met, and shown less often than this, is a gap too.")] = 5,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the page with pictures; it must not exist.")
    ] = None,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Say which objects, places, light, people and strategies, and which pairs of them, have never been shown."""
    both = _both(by)
    with opened(where, quiet=True) as wheel:
        found = wheel.pump.coverage(what or [], thin_n=thin)
    pair = pair_of(found, both) if both else None
    if html is not None:
        write_coverage(found, both, html)
    if as_json:
        emit(_as_json(found, pair))
        return
    say(f"{found.shown_n} tries that training can use, against {found.met_n} tries of deployed policies.")
    if pair is not None:
        _show_pair(pair)
    else:
        _show(found)
    if html is not None:
        say(f"Written: {html}")


def _both(by: str) -> tuple[str, str] | None:
    names = [name.strip() for name in by.split(",") if name.strip()]
    if not names:
        return None
    if len(names) != 2 or names[0] == names[1]:
        raise UsageError("must be two factors", subject=f"--by {by}", remedy="For example: --by object,lighting.")
    return names[0], names[1]


def _show(found: Coverage) -> None:
    said = [(gap.shown_n or "never", gap.met_n or "", gap.why) for gap in found.gaps[:MOST_GAPS_N]]
    rows("Missing", ("shown", "met", "what"), said)
    if len(found.gaps) > MOST_GAPS_N:
        say(f"And {len(found.gaps) - MOST_GAPS_N} more; --json has them all.")
    for name, values in found.values.items():
        told = ", ".join(f"{by.value} {n}" for by, n in found.by[name].items())
        header = ("value", "shown", "last", "met", "succeeded", "95 % interval", "suggested")
        rows(f"\n{name} ({told or 'nobody says'})", header, [_row(one) for one in values])
    for name in found.silent:
        say(f"No training try says its {name}: nobody can tell what was shown of it.")
    for one, other in found.together:
        say(f"{one} and {other} always go together: nothing tells which of them matters.")
    for name in found.crowded:
        say(f"{name} has too many values for pairs.")


def _row(one: Value) -> tuple[object, ...]:
    judged = one.judged_n > 0
    return (
        one.value,
        one.shown_n or "never",
        day_of(one.shown_last_ns),
        one.met_n or "",
        f"{one.succeeded_n}/{one.judged_n}" if judged else "",
        f"{one.low:.2f} to {one.high:.2f}" if judged else "",
        one.suggested_n or "",
    )


def _show_pair(pair: Pair) -> None:
    body = [
        (value, *(_cell(pair, row, column) for column in range(len(pair.values[1]))))
        for row, value in enumerate(pair.values[0])
    ]
    rows(f"{pair.factors[0]} by {pair.factors[1]}: shown (failed/judged)", ("", *pair.values[1]), body)


def _cell(pair: Pair, row: int, column: int) -> str:
    if pair.impossible[row, column]:
        return "cannot be"
    shown, met, judged = (int(one[row, column]) for one in (pair.shown, pair.met, pair.judged))
    ending = f" ({int(pair.failed[row, column])}/{judged})" if judged else f" (met {met})" if met else ""
    return f"{shown or 'never'}{ending}"


def _as_json(found: Coverage, pair: Pair | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "shown_n": found.shown_n,
        "met_n": found.met_n,
        "thin_n": found.thin_n,
        "gaps": found.gaps,
        "factors": {
            name: {"by": {by.value: n for by, n in found.by[name].items()}, "values": values}
            for name, values in found.values.items()
        },
        "together": found.together,
        "silent": found.silent,
        "crowded": found.crowded,
    }
    if pair is not None:
        grids = {name: getattr(pair, name).tolist() for name in ("shown", "met", "judged", "failed", "impossible")}
        made["pair"] = {"factors": pair.factors, "values": pair.values, **grids}
    return made


@factors.command("set")
def set_(
    words: Annotated[list[str], typer.Argument(help="Episodes or a subset, then factor=value; factor= takes it back.")],
    author: Author,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Say what tries were: a person's word counts before any rule and any log."""
    what = [one for one in words if "=" not in one]
    pairs = [one.partition("=") for one in words if "=" in one]
    values = {name.strip(): value.strip() for name, _, value in pairs}
    if not what or not values or len(values) < len(pairs):
        raise UsageError(
            "needs episodes and factor=value, each factor once", remedy="For example: EPISODE lighting=dark."
        )
    with opened(where, quiet=True) as wheel:
        made = wheel.pump.factors.say(what, values, author=author)
    emit(made) if as_json else say(f"{len(made)} said by {author}.")


@factors.command("list")
def list_(what: What = None, where: Where = Path(), as_json: JsonFlag = False) -> None:
    """List the factors with who tells of them; of named tries, every value and where it comes from."""
    with opened(where, quiet=True) as wheel:
        if what:
            known = wheel.pump.factors.known(wheel.data.chosen(what)[1])
            told = [(one.id, factor, said) for one, some in zip(known.episodes, known.said, strict=True)
                    for factor, said in sorted(some.items())]  # fmt: skip
        else:
            table, _, known = wheel.pump.factors.table()
    if what:
        table_rows = [(one, factor, said.value, said.by.value, said.where) for one, factor, said in told]
        header = ("episode", "factor", "value", "by", "where")
        emit([dict(zip(header, row, strict=True)) for row in table_rows]) if as_json else rows("", header, table_rows)
        return
    meant = known.rules.meanings
    listed: list[dict[str, Any]] = [
        {
            "factor": name,
            "meaning": meant.get(name, ""),
            "values": values,
            "by": {who.value: n for who, n in by.items()},
        }
        for name, values, by in zip(table.factors, table.values, table.by, strict=True)
    ]
    if as_json:
        emit({"factors": listed, "strategies": list(known.rules.strategies.values())})
        return
    told_by = {one["factor"]: ", ".join(f"{who} {n}" for who, n in one["by"].items()) for one in listed}
    body = [(one["factor"], one["meaning"], len(one["values"]), told_by[one["factor"]]) for one in listed]
    rows("Factors", ("factor", "meaning", "values", "tries, by who tells"), body)
    words = [(one.word, one.factor, one.meaning) for one in known.rules.strategies.values()]
    rows("\nWords for strategies", ("word", "factor", "meaning"), words)


@factors.command()
def suggest(what: What = None, where: Where = Path(), as_json: JsonFlag = False) -> None:
    """Look in streams and instructions for hints of the strategy; they count nowhere until a person accepts them."""
    with opened(where, quiet=as_json) as wheel:
        made = wheel.pump.factors.suggest(what or [])
    if as_json:
        emit(made)
        return
    rows("Suggested", ("episode", "factor", "value", "why"), _told(made))


def _told(made: Sequence[Any]) -> list[tuple[str, str, str, str]]:
    return [(one.episode, one.factor, one.value, one.author.partition(": ")[2]) for one in made]


@factors.command()
def accept(
    what: Annotated[list[str], typer.Argument(help="Episodes or a subset whose hints are right.")],
    author: Author,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Make a person's word of what is suggested of tries."""
    with opened(where, quiet=True) as wheel:
        made = wheel.pump.factors.accept(what, author=author)
    emit(made) if as_json else say(f"{len(made)} accepted by {author}.")
