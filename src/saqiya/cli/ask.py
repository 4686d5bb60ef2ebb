"""Asking the data: queries, named subsets, what changed between versions, and what the data cost."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from saqiya.cli.app import JsonFlag, Where, app, opened
from saqiya.cli.show import emit, rows, say
from saqiya.errors import UsageError
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.tax import Tax

_SHOWN = 50


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="One SELECT; see docs/query.md for the tables.")],
    parquet: Annotated[Path | None, typer.Option(help="Write the answer to this file instead.")] = None,
    save: Annotated[str, typer.Option(help="Name the episodes it gives; nothing is copied.")] = "",
    limit: Annotated[int, typer.Option(help="Rows to show; 0: all.")] = _SHOWN,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Ask in SQL about episodes, spans, failures, corrections, trials, policies and signals."""
    if parquet is not None and save:
        raise UsageError("either a file or a name", subject="--parquet and --save", remedy="Ask twice.")
    with opened(where, quiet=as_json) as wheel:
        if save:
            made = wheel.data.subset(save, sql)
            emit(made) if as_json else say(f"{made.name}: {made.sql}")
            return
        if parquet is not None:
            count, notes = wheel.data.query_to_file(sql, parquet)
            emit({"path": str(parquet), "rows": count, "notes": list(notes)}) if as_json else say(
                f"{count} rows in {parquet}"
            )
            return
        found = wheel.data.query(sql, most_rows=limit or None)
    if as_json:
        emit({"columns": found.columns, "rows": found.records(), "more": found.more, "notes": found.notes})
        return
    rows("", found.columns, [["" if cell is None else cell for cell in row] for row in found.rows])
    if found.more:
        say(f"Only {limit} rows are shown: --limit 0 shows all, --parquet FILE writes them.")
    for note in found.notes:
        say(f"  {note}")


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A dataset version, by id, key or a unique part of its id.")],
    after: Annotated[str, typer.Argument(help="Another.")],
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Say what changed between two dataset versions, by episode, span and weight."""
    with opened(where, quiet=as_json) as wheel:
        found = wheel.data.diff(before, after)
    if as_json:
        emit(found)
        return
    for line in found.lines():
        say(line)
    table = [
        (
            one.by,
            one.name or "(none)",
            *(f"{a} -> {b}" for a, b in (one.episodes,)),
            _pair(one.seconds),
            _pair(one.share, percent=True),
        )
        for one in found.totals
    ]
    rows("Totals", ("by", "name", "episodes", "seconds", "share of the weight"), table)


def _pair(pair: tuple[float, float], *, percent: bool = False) -> str:
    first, second = (f"{one:.1%}" if percent else f"{one:.1f}" for one in pair)
    return first if first == second else f"{first} -> {second}"


def show_tax(wheel: Flywheel, *, as_json: bool) -> None:
    """Print what the data of a workspace cost; what nobody counted is said to be unknown."""
    found = wheel.data.tax()
    if as_json:
        emit(asdict(found))
        return
    table = [
        (one.format, _mib(one.read_bytes), _mib(one.written_bytes), _number(one.per_byte), _number(one.copies))
        for one in found.formats
    ]
    rows("Formats", ("format", "MiB read", "MiB written", "written per byte", "copies"), table)
    for name, value in _sentences(found):
        say(f"{name}: {value}")


def _sentences(found: Tax) -> list[tuple[str, str]]:
    first = found.first_batch_s
    exports = ", ".join(f"{count} {form}" for form, count in found.exports.items()) or "none"
    return [
        ("bytes kept for each byte that came in", _number(found.kept_per_byte)),
        ("bytes written for each byte that came in", _number(found.written_per_byte)),
        ("copies of each byte, originals included", _number(found.copies)),
        (
            "seconds from a closed log to the first batch",
            "unknown" if first is None else f"{first[0]:.1f} (worst {first[1]:.1f}, of {first[2]})",
        ),
        ("conversions into other formats", exports),
        ("streams brought to another's rate", "unknown" if found.resampled is None else str(found.resampled)),
        ("samples/s delivered", _number(found.samples_per_s)),
        ("samples/s that training asked for", _number(found.asked_per_s)),
        ("hours waiting for data", _number(found.waited_hours)),
    ]


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def _mib(value: float) -> str:
    return f"{value / 2**20:.1f}"
