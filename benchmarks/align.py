"""What one sample over three streams at their own rates costs (see PROTOCOL.md)."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Figure, Measured, at_most, exactly, shown
from saqiya.domain.streams import EpisodeLog, Span, Stream
from saqiya.views.align import Aligned, at_rate, chunk, history, linear, read
from saqiya.views.reader import Reader
from saqiya.views.source import source_of
from saqiya.views.windows import Chunk, History

COMMAND = "make bench ONLY=align"
SEED = 20261121
REPEATS = 15
SAMPLES = 2_000
CHECKED = 200
LENGTH_NS = 20_000_000_000
BACK, AHEAD, RATE_HZ = 30, 50, 30.0
BAR_US = 50.0


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield how many values are wrong, then what a sample costs."""
    rng = np.random.default_rng(SEED)
    log = _episode(rng)
    moments = rng.integers(0, LENGTH_NS, SAMPLES)
    wrong = sum(_wrong(log, int(at_ns)) for at_ns in moments[:CHECKED])
    yield at_most("align.values_that_differ", exactly(float(wrong)), 0.0, command=COMMAND)
    repeats = 3 if quick else REPEATS

    def one_by_one(read_one: Callable[[EpisodeLog, int], object]) -> Callable[[], None]:
        def go() -> None:
            for at_ns in moments.tolist():
                read_one(log, at_ns)

        return go

    windows = {
        "joint": History(steps=BACK, rate_hz=RATE_HZ),
        "force": History(steps=BACK, rate_hz=RATE_HZ),
        "action": Chunk(steps=AHEAD),
    }
    reader = Reader(source_of([log], spans=[(0, Span(0, LENGTH_NS), 1.0)]), windows, at=100.0)
    batches = rng.integers(0, len(reader.samples), (SAMPLES // 32, 32))

    def batched() -> None:
        for batch in batches:
            reader.columns(batch)

    yield at_most("align.sample_us", _cost_us(one_by_one(_sample), SAMPLES, repeats), BAR_US, command=COMMAND)
    yield shown("align.interpolated_sample_us", _cost_us(one_by_one(_between), SAMPLES, repeats), command=COMMAND)
    yield shown("align.batched_sample_us", _cost_us(batched, batches.size, repeats), command=COMMAND)


def _episode(rng: np.random.Generator) -> EpisodeLog:
    def jittered(width: int) -> Stream:
        t_ns = np.sort(
            np.arange(0, LENGTH_NS, 10_000_000) + rng.integers(-2_000_000, 2_000_001, LENGTH_NS // 10_000_000)
        )
        return Stream(t_ns=t_ns, values=rng.normal(size=(len(t_ns), width)).astype(np.float32))

    t_ns = at_rate(LENGTH_NS * 3 // 100_000_000, RATE_HZ).copy()
    action = Stream(t_ns=t_ns, values=rng.normal(size=(len(t_ns), 14)).astype(np.float32))
    return EpisodeLog("one", {"joint": jittered(14), "force": jittered(6), "action": action})


def _sample(log: EpisodeLog, at_ns: int) -> tuple[Aligned, Aligned, Aligned]:
    joint, force, action = log.streams["joint"], log.streams["force"], log.streams["action"]
    return (
        read(joint.values, history(joint.t_ns, at_ns, BACK, rate_hz=RATE_HZ)),
        read(force.values, history(force.t_ns, at_ns, BACK, rate_hz=RATE_HZ)),
        read(action.values, chunk(action.t_ns, at_ns, AHEAD)),
    )


def _between(log: EpisodeLog, at_ns: int) -> tuple[Aligned, Aligned, Aligned]:
    joint, force, action = log.streams["joint"], log.streams["force"], log.streams["action"]
    ticks = at_ns - at_rate(BACK, RATE_HZ)[::-1]
    return (
        linear(joint.t_ns, joint.values, ticks),
        linear(force.t_ns, force.values, ticks),
        read(action.values, chunk(action.t_ns, at_ns, AHEAD)),
    )


def _wrong(log: EpisodeLog, at_ns: int) -> int:
    """Count what differs from loops over Python integers."""
    found = _sample(log, at_ns)
    wrong = 0
    for name, aligned in zip(("joint", "force"), found, strict=False):
        stamps, values = log.streams[name].t_ns.tolist(), log.streams[name].values
        for k in range(BACK):
            tick = at_ns - round((BACK - 1 - k) * 1e9 / RATE_HZ)
            row = bisect_right(stamps, tick) - 1
            expected = values[row] if row >= 0 else values[0] if stamps[0] <= at_ns else np.zeros_like(values[0])
            wrong += _differ(aligned, k, expected, row >= 0)
            wrong += int(row >= 0 and aligned.age_ns[k] != tick - stamps[row])
    stamps, values = log.streams["action"].t_ns.tolist(), log.streams["action"].values
    first = bisect_left(stamps, at_ns)
    for k in range(AHEAD):
        expected = values[min(first + k, len(stamps) - 1)] if first < len(stamps) else np.zeros_like(values[0])
        wrong += _differ(found[2], k, expected, first + k < len(stamps))
    return wrong


def _differ(aligned: Aligned, place: int, expected: NDArray[np.float32], valid: bool) -> int:  # noqa: FBT001
    return int(not np.array_equal(aligned.values[place], expected)) + int(bool(aligned.valid[place]) != valid)


def _cost_us(go: Callable[[], None], samples: int, repeats: int) -> Measured:
    go()
    costs = []
    for _ in range(repeats):
        begun = time.process_time()
        go()
        costs.append((time.process_time() - begun) / samples * 1e6)
    low, middle, high = np.percentile(costs, [2.5, 50, 97.5])
    return Measured(float(middle), float(low), float(high), repeats)
