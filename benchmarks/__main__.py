"""Run benchmarks or studies: `python -m benchmarks [--study] [--only NAME] [--quick]`; it exits 1 on a missed bar."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType

import benchmarks
import benchmarks.studies
from benchmarks.harness import Figure, emit

NOT_BENCHMARKS = {"harness", "peers", "studies"}


def names(package: ModuleType = benchmarks) -> list[str]:
    """List the benchmarks, or studies: the modules of a folder that are not machinery."""
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name for name in found if name not in NOT_BENCHMARKS and not name.startswith("_"))


def figures(wanted: list[str], *, quick: bool, package: ModuleType = benchmarks) -> Iterator[Figure]:
    """Run the wanted ones after one another."""
    for name in wanted:
        yield from importlib.import_module(f"{package.__name__}.{name}").run(quick=quick)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--study", action="store_true", help="the long studies instead; what is finished is kept")
    parser.add_argument("--only", metavar="NAME", help=f"one of: {', '.join([*names(), *names(benchmarks.studies)])}")
    parser.add_argument("--quick", action="store_true", help="fewer seeds: a smoke test, whose figures prove nothing")
    options = parser.parse_args(arguments)
    package = benchmarks.studies if options.study else benchmarks
    if options.only and options.only not in names(package):
        parser.error(f"--only must be one of: {', '.join(names(package))}")
    wanted = [options.only] if options.only else names(package)
    return emit(figures(wanted, quick=options.quick, package=package))


if __name__ == "__main__":
    sys.exit(main())
