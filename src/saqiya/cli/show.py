"""Printing: JSON for machines on request, quiet tables for people, progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from saqiya.domain.nouns import Episode, Recording
from saqiya.loop.flywheel import Flywheel

__all__ = ["Live", "emit", "file_of", "rows", "say", "success_text"]

_WIDE = 10_000  # in a pipe an id must stay in one piece
_out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)


def emit(value: object) -> None:
    """Print one JSON document; what is not finite is null, as JSON knows no other word for it."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n")


def say(text: str) -> None:
    """Print a line for people; what it says is never read as markup."""
    _out.print(text, markup=False)


def rows(title: str, header: Sequence[str], body: Sequence[Sequence[object]]) -> None:
    """Print a table, or one line that says it is empty; what a cell says is never read as markup."""
    if not body:
        say(f"{title}: none" if title else "none")
        return
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(name, overflow="fold")
    for row in body:
        table.add_row(*(Text(str(cell)) for cell in row))
    _out.print(table)


def success_text(success: Mapping[str, Any]) -> str:
    """Write success with its interval: "46/200 = .23 (.17 to .29)"."""
    n, k = success["n"], success["k"]
    return f"{k}/{n} = {k / n if n else 0:.3f} ({success['low']:.3f} to {success['high']:.3f})"


def file_of(wheel: Flywheel, ref: str) -> str:
    """Name the file that an episode came from, and the episode in it: an id tells a person nothing."""
    catalog = wheel.store.catalog
    recordings = catalog.get(ref, Episode).recordings
    own = catalog.key_of(ref)
    if not recordings:
        return own
    recording = catalog.get(recordings[0], Recording)
    return f"{recording.name} {own.rsplit('/', 1)[-1]}" if recording.location else own


class Live:
    """Shows long work on standard error: one moving line on a terminal, one line a piece of work elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        """Show nothing when `quiet`."""
        self._quiet = quiet
        self._moving = sys.stderr.isatty()
        self._last = ""
        self._open = False

    def close(self) -> None:
        """Wipe a line that is still moving, so that the answer begins on a line of its own."""
        if self._open:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self._open = False

    def __call__(self, what: str, done: int, of: int) -> None:
        """Take one report: what is being done, how many are done, of how many (0: unknown)."""
        if self._quiet:
            return
        if self._moving:
            count = f" {done}/{of}" if of else ""
            sys.stderr.write(f"\r\033[K{what}{count}" + ("\n" if of and done == of else ""))
            sys.stderr.flush()
            self._open = not (of and done == of)
        elif (of and done == of) or what != self._last:
            sys.stderr.write(f"{what}{f' {done}/{of}' if of else ''}\n")
        self._last = what
