"""Finished units of a study on disk, so that one that was interrupted goes on where it stopped."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

__all__ = ["Kept"]

FOLDER = Path(".study")


class Kept:
    """The units of one study, one JSON line each in `.study/<name>.jsonl`; delete the file to measure anew.

    A unit's name must say all that its result depends on: seed, arm, and the version of the scenario.
    """

    def __init__(self, name: str) -> None:
        """Read what is there."""
        FOLDER.mkdir(exist_ok=True)
        self._path = FOLDER / f"{name}.jsonl"
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        whole = [line for line in lines if line.endswith("}")]  # a killed run may leave half a line
        self._known: dict[str, Any] = {one["unit"]: one["made"] for one in map(json.loads, whole)}

    def unit(self, name: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - JSON
        """Return what `make` gives, as JSON gives it back, from the file where it was made before."""
        if name not in self._known:
            self._keep(name, make())
        return self._known[name]

    def units(self, jobs: Mapping[str, tuple[Any, ...]], make: Callable[..., Any], *, workers: int = 2) -> list[Any]:
        """Return `make(*arguments)` of every job, several at a time; what was made before is not made again."""
        todo = {name: arguments for name, arguments in jobs.items() if name not in self._known}
        if todo:
            with ProcessPoolExecutor(min(workers, len(todo)), get_context("spawn")) as pool:
                running = {pool.submit(make, *arguments): name for name, arguments in todo.items()}
                for done in as_completed(running):
                    self._keep(running[done], done.result())
        return [self._known[name] for name in jobs]

    def _keep(self, name: str, made: Any) -> None:  # noqa: ANN401 - JSON
        line = json.dumps({"unit": name, "made": made})
        with self._path.open("a") as file:
            file.write(line + "\n")
        self._known[name] = json.loads(line)["made"]
        print(f"{self._path.stem}: {name}", file=sys.stderr, flush=True)
