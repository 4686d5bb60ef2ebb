"""`demo`: the whole wheel on Metaworld, five seeds, each judged on 200 starts that nobody has seen.

See PROTOCOL.md. The policy that a seed ends with is the one in charge when the wheel rests; it and the first policy are
rolled out from the same fresh starts, which belong to no turn.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Figure, Measured, at_least, at_most, shown
from saqiya.domain.contracts import Roll
from saqiya.domain.nouns import Decision, GateDecision, Policy, Source
from saqiya.evaluate.intervals import clopper_pearson
from saqiya.loop import draws
from saqiya.loop.figures import stopped_because
from saqiya.loop.flywheel import Flywheel

__all__ = ["run"]

SEEDS = (0, 1, 2, 3, 4)
FRESH_N = 200
COMMAND = "make bench ONLY=demo"


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield the demo's figures; `quick` runs one seed on 40 starts to see that everything is wired."""
    seeds, fresh_n = (SEEDS[:1], 40) if quick else (SEEDS, FRESH_N)
    first, last, took, refused = [], [], [], []
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="saqiya-demo-") as folder:
            counts, seconds, rejected = _one(Path(folder) / "demo", seed, fresh_n)
        first.append(counts[0] / fresh_n)
        last.append(counts[1] / fresh_n)
        took.append(seconds)
        refused.append(float(rejected))
        for name, count in zip(("first", "last"), counts, strict=True):
            interval = clopper_pearson(count, fresh_n)
            yield shown(
                f"demo.{name}.seed-{seed}", Measured(count / fresh_n, interval.low, interval.high, 1), command=COMMAND
            )
    yield at_least("demo.first_policy.median.at_least", _median(first), 0.40, command=COMMAND)
    yield at_most("demo.first_policy.median.at_most", _median(first), 0.60, command=COMMAND)
    yield at_least("demo.last_policy.median", _median(last), 0.90, command=COMMAND)
    yield at_most("demo.seconds.slowest", Measured(max(took), min(took), max(took), len(took)), 300.0, command=COMMAND)
    interval = clopper_pearson(int(sum(refused)), len(refused))
    share = Measured(sum(refused) / len(refused), interval.low, interval.high, len(refused))
    yield at_least("demo.poison_rejected.share", share, 1.0, command=COMMAND)


def _one(folder: Path, seed: int, fresh_n: int) -> tuple[tuple[int, int], float, bool]:
    """Run the demo with one seed; count successes of the first and last policy in charge on the same fresh starts."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    import demo

    began = time.perf_counter()
    demo.prepare(folder, seed)
    demo.turn_until_rest(folder, quiet=True)
    demo.refuse_poison(folder, quiet=True)
    demo.show(folder, quiet=True)
    seconds = time.perf_counter() - began
    with Flywheel(folder) as wheel:
        drilled = wheel.store.catalog.get(f"turn-{wheel.number}/drill/decision", GateDecision)
        starts = draws.starts(wheel.site, seed, "benchmark", 0, fresh_n, region=1.0)
        champion = wheel.champion()
        if champion is None or stopped_because(wheel) is None:
            raise RuntimeError("the demo ended before the wheel came to rest")
        policies = (wheel.store.catalog.get("turn-0/policy", Policy), champion[0])
        counts = tuple(
            sum(
                rolled.success
                for rolled in wheel.roller(
                    [Roll(f"benchmark/{i}/{n:04d}", s, Source.ROLLOUT, policy=policy.id) for n, s in enumerate(starts)]
                )
            )
            for i, policy in enumerate(policies)
        )
    return (counts[0], counts[1]), seconds, drilled.decision is Decision.REJECT


def _median(values: list[float]) -> Measured:
    return Measured(statistics.median(values), min(values), max(values), len(values))
