"""Run the benchmarks: `python -m benchmarks [--only NAME] [--quick]`; exit code 1 if a bar was missed."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterator

import benchmarks
from benchmarks.harness import Figure, emit

NOT_BENCHMARKS = {"harness", "peers"}


def names() -> list[str]:
    """List the benchmarks: the modules of this folder that are not machinery."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in found if name not in NOT_BENCHMARKS and not name.startswith("_"))


def figures(wanted: list[str], *, quick: bool) -> Iterator[Figure]:
    """Run the wanted benchmarks one after the other."""
    for name in wanted:
        yield from importlib.import_module(f"benchmarks.{name}").run(quick=quick)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=names(), metavar="NAME", help=f"one of: {', '.join(names())}")
    parser.add_argument("--quick", action="store_true", help="fewer seeds: a smoke test, whose figures prove nothing")
    options = parser.parse_args(arguments)
    return emit(figures([options.only] if options.only else names(), quick=options.quick))


if __name__ == "__main__":
    sys.exit(main())
