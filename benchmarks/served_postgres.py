"""`served_postgres`: what `served` does on SQLite, on a PostgreSQL server that waits for its disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from benchmarks._postgres import binaries, postgres
from benchmarks.harness import Figure
from benchmarks.served import shifts

__all__ = ["run"]


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield how long decisions take over HTTP, and what kills lost."""
    yield from shifts("postgresql", _catalog, command="make bench ONLY=served_postgres", quick=quick)


def _catalog(held: contextlib.ExitStack) -> str:
    found = binaries()
    if found is None:
        raise SystemExit("served: there is no PostgreSQL server on this machine: apt-get install postgresql")
    return held.enter_context(postgres(found, durable=True)).new()
