"""`pages`: how long each page takes with 10,000 failures and 5,000 requests: cold, warm, and after one noun more."""

from __future__ import annotations

import dataclasses
import gc
import os
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks._grown import OPERATORS, Size, grow
from benchmarks.harness import Figure, Measured, at_most, exactly, shown
from saqiya.domain.nouns import Correction, Failure, Rank
from saqiya.loop.flywheel import Flywheel
from saqiya.server.app import NEW_OBJECTS, create_app
from saqiya.server.settings import ServerSettings

__all__ = ["run"]

COMMAND = "make bench ONLY=pages"
SEEDS = (20261121, 20261122, 20261123)
SMALL = Size(turns=3, tries=60, failures=30, requests=20, given=10, handed=2, pairs=10, again=5)
WARM_N, AFTER_N = 5, 3
BARS_MS = {"cold": 2000.0, "warm": 200.0, "after": 500.0}
FIRST = ("home", "failures")
"""Pages whose first visitor has a bar too."""
STILL_S, STILL_CPU_S = 0.1, 0.01


@dataclass
class Visitor:
    """Somebody who looks at the pages of a server that has just started."""

    wheel: Flywheel

    def __post_init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Starlette would like another library below its client
            from starlette.testclient import TestClient
        secret = self.wheel.staff.issue("ada", "bench", ["admin"], days=1, by="bench")[1]
        settings = ServerSettings(secret=b"s" * 32)
        self._client = TestClient(
            create_app(self.wheel, settings),
            base_url=settings.address,
            headers={"authorization": f"Bearer {secret}"},
        )

    def look(self, path: str) -> tuple[float, float]:
        """Return the ms until a page is there, and the ms of processor until all work that it began is done."""
        began, worked = time.perf_counter(), time.process_time()
        while (answer := self._client.get(path)).status_code == 503:  # it says that it takes longer
            time.sleep(0.1)
        took = time.perf_counter() - began
        if answer.status_code != 200:
            raise SystemExit(f"pages: {path}: {answer.status_code} {answer.text[:400]}")
        _settle()
        return 1e3 * took, 1e3 * (time.process_time() - worked)


def _settle() -> None:
    """Wait until this process does nothing more."""
    before = -1.0
    while time.process_time() - before > STILL_CPU_S:
        before = time.process_time()
        time.sleep(STILL_S)


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield ms until each page is there, and what it costs the processor."""
    took: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    load = [os.getloadavg()[0]]
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])  # as a server does when it starts
    seeds = SEEDS[:1] if quick else SEEDS
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="saqiya-pages-") as folder:
            for page, phase, one in _visits(Path(folder) / "grown", SMALL if quick else Size(), seed):
                took[page, phase].append(one)
        load.append(os.getloadavg()[0])
    for (page, phase), every in took.items():
        seen, worked = (_median([one[place] for one in every], len(seeds)) for place in (0, 1))
        name = f"pages.{page}.{phase}"
        if phase != "cold" or page in FIRST:
            yield at_most(f"{name}_ms", seen, BARS_MS[phase], command=COMMAND)
        else:
            yield shown(f"{name}_ms", seen, command=COMMAND)
        yield shown(f"{name}_processor_ms", worked, command=COMMAND)
    yield shown("pages.load_average", exactly(statistics.median(load)), command=COMMAND)


def _visits(root: Path, size: Size, seed: int) -> Iterator[tuple[str, str, tuple[float, float]]]:
    """Yield page, phase and what each look at it took."""
    with grow(root, size, seed=seed) as wheel:
        for name in OPERATORS:
            wheel.staff.add(name, Rank.OPERATOR, by="bench")
        wheel.staff.add("ada", Rank.ADMIN, by="bench")
        failure = wheel.store.catalog.all(Failure)[-1].id
    pages = {
        "home": "/",
        "failures": "/failures",
        "rows": "/failures/rows",
        "map": "/failures/points",
        "card": f"/failures/{failure}/card",
        "corrections": "/corrections",
        "review": "/review",
        "episodes": "/episodes",
        "datasets": "/datasets",
        "policies": "/policies",
        "plan": "/plan",
        "people": "/people",
    }
    with Flywheel(root) as wheel:  # what is imported once, templates among it, is no part of any page
        visitor = Visitor(wheel)
        for path in pages.values():
            visitor.look(path)
    del visitor
    for page, path in pages.items():
        gc.collect()  # what the server before it kept
        with Flywheel(root) as wheel:
            visitor = Visitor(wheel)
            yield page, "cold", visitor.look(path)
            for _ in range(WARM_N):
                yield page, "warm", visitor.look(path)
            for _ in range(AFTER_N):
                _store(wheel)
                yield page, "after", visitor.look(path)
        del visitor


def _store(wheel: Flywheel) -> None:
    """Store one correction more, which changes what nearly every page says."""
    catalog = wheel.store.catalog
    last = catalog.last(Correction)
    assert last is not None
    made = dataclasses.replace(last, id=catalog.new_id("correction"))
    catalog.put(made, key=f"{catalog.key_of(last.id)}/{made.id}")


def _median(values: list[float], seeds: int) -> Measured:
    return Measured(statistics.median(values), min(values), max(values), seeds)
