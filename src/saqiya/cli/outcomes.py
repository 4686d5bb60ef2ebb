"""`saqiya outcomes`: how tries ended, on a person's word, one by one or from a team's table of trials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saqiya.cli.app import JsonFlag, Where, app, opened
from saqiya.cli.show import emit, rows, say
from saqiya.cli.verbs import pairs_of
from saqiya.domain.nouns import Outcome
from saqiya.loop.outcomes import TableSaid

outcomes = typer.Typer(help="How tries ended: say it, or read a table of trials.", no_args_is_help=True)
app.add_typer(outcomes, name="outcomes")

Author = Annotated[str, typer.Option("--by", "--author", help="Whose word it is.")]


@outcomes.command("say")
def say_(
    value: Annotated[Outcome, typer.Argument(help="unknown: nobody can tell, and it counts neither way.")],
    what: Annotated[list[str], typer.Argument(help="Episodes, by id, key or part of an id, or a subset.")],
    author: Author,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Say how tries ended: a person's newest word counts before any rule, log or simulator."""
    with opened(where, quiet=True) as wheel:
        made = wheel.data.say_outcome(what, value, author=author)
    if as_json:
        emit([{"episode": one.episode, "outcome": one.value, "author": one.author} for one in made])
    else:
        say(f"{len(made)} {'try' if len(made) == 1 else 'tries'}: {value}, by {author}.")


@outcomes.command("read")
def read(
    table: Annotated[Path, typer.Argument(help="CSV or TSV: a row a try, one column that says how it ended.")],
    author: Author,
    columns: Annotated[list[str] | None, typer.Option(help="field=column where the guess is wrong.")] = None,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Join a table of trials to the tries by file, number or date, and keep how each ended."""
    with opened(where, quiet=True) as wheel:
        found = wheel.data.read_outcomes(table, author=author, columns=pairs_of(columns or []))
        tried = [(wheel.key_of(one.episode), one.value) for one in found.claims]
    if as_json:
        emit({
            "said": [{"episode": key, "outcome": value} for key, value in tried],
            "lost": [{"line": row.line, "why": why} for row, why in found.lost],
            "ambiguous": [{"line": row.line, "tries": n} for row, n in found.ambiguous],
            "silent": [row.line for row in found.silent],
            "conflicts": [{"episode": key, "what": what} for key, what in found.conflicts],
            "unnamed": found.unnamed_n,
            "unknown_words": found.table.unknown_words,
        })  # fmt: skip
    else:
        _show(found)
    if not found.claims:
        raise typer.Exit(1)


def _show(found: TableSaid) -> None:
    say(f"{len(found.claims)} of {len(found.table.rows)} rows say how a try ended.")
    for title, header, body in (
        ("No such try", ("line", "why"), [(row.line, why) for row, why in found.lost]),
        ("Could be several tries", ("line", "tries"), [(row.line, n) for row, n in found.ambiguous]),
        ("No outcome understood", ("line",), [(row.line,) for row in found.silent]),
        ("Rows disagree; failure wins", ("try", "what"), found.conflicts),
    ):
        if body:
            rows(title, header, body)
    if found.unnamed_n:
        say(f"{found.unnamed_n} tries are in no row.")
