"""`saqiya turn --watch`: does what people ask for on the pages, one after the other, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import typer

from saqiya.cli.app import NO, opened
from saqiya.cli.show import say

__all__ = ["keep_watch"]

LOOK_S: Final = 2.0


def keep_watch(where: Path) -> None:
    """Look for wishes until Ctrl-C; a command that fails ends the watch with its exit code."""
    from saqiya.loop.people.wishes import wish_of

    say(f"Watching {where.resolve()}; Ctrl-C stops it.")
    while True:
        with opened(where, quiet=True) as wheel:
            found = wish_of(wheel)
            while found is None:
                time.sleep(LOOK_S)
                found = wish_of(wheel)
            what = ["policy", "rollback", found.policy] if found.policy else ["turn"]
            before = wheel.number
        say(f"{found.author} asked: saqiya {' '.join(what)}")
        done = subprocess.run([sys.executable, "-m", "saqiya", *what, "-w", str(where)], check=False)  # noqa: S603
        with opened(where, quiet=True) as wheel:
            stuck = wish_of(wheel) is not None and wheel.number == before
        if stuck or done.returncode not in {0, NO}:
            raise typer.Exit(done.returncode or NO)
