"""Finished units of a study on disk, so that one that was interrupted goes on where it stopped."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
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
            print(f"{self._path.stem}: {name}", file=sys.stderr, flush=True)
            line = json.dumps({"unit": name, "made": make()})
            with self._path.open("a") as file:
                file.write(line + "\n")
            self._known[name] = json.loads(line)["made"]
        return self._known[name]
