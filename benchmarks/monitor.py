"""What the monitor costs a control loop: 50 dimensions, 10,000 normal rows, every step timed (see PROTOCOL.md)."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.harness import Figure, Measured, at_most, shown
from saqiya import Monitor, plugins
from saqiya.detect.bands import Scored
from saqiya.detect.carried import Carried, carry
from saqiya.detect.fusion import fit_fusion
from saqiya.domain.contracts import Detector, FittedDetector, Online, Reloadable, Row, Seen, Vector
from saqiya.domain.streams import Event, Stream
from saqiya.errors import InvalidEpisode, TooLittle
from saqiya.loop.config import DetectConfig
from saqiya.loop.tries.monitor import write_monitor
from saqiya.models.replay import instants

__all__ = ["run"]

COMMAND = "make bench ONLY=monitor"
SEED = 20261121
REPEATS = 5
WIDTHS = {"joint": 14, "velocity": 14, "pose": 12}
ACTION, CHUNK, EXECUTE = 10, 8, 2
NORMAL_N, TRY_STEPS_N, CALIBRATE_N = 100, 100, 40
STEPS_N, PACED_STEPS_N, PERIOD_S = 4_000, 1_000, 0.01
BAR_MS = 1.0
Fitted = Mapping[str, tuple[Detector, FittedDetector]]


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield percentiles of a step of the default detectors and of all, by detector, and what loading takes."""
    repeats, tries = (1, 20) if quick else (REPEATS, NORMAL_N)
    rng = np.random.default_rng(SEED)
    with threadpool_limits(1), tempfile.TemporaryDirectory(prefix="saqiya-monitor-") as folder:
        drawn = [_try(rng) for _ in range(tries + CALIBRATE_N)]
        normal, held = drawn[:tries], drawn[tries:]
        steps = list(_steps([_try(rng) for _ in range(STEPS_N // TRY_STEPS_N)]))
        everything = _fitted(normal, plugins.names("saqiya.detectors"))
        default = {name: everything[name] for name in DetectConfig().detectors if name in everything}
        yield shown("monitor.normal_rows", Measured(*[float(tries * TRY_STEPS_N)] * 3, 0), command=COMMAND)
        for arm, fitted in (("default", default), ("all", everything)):
            path = Path(folder) / arm
            write_monitor(path, _carried(fitted, held, normal))
            yield shown(f"monitor.{arm}.detectors", Measured(*[float(len(fitted))] * 3, 0), command=COMMAND)
            yield from _stepped(f"monitor.{arm}", [_seen_ms(path, steps) for _ in range(repeats)])
        paced = [_seen_ms(Path(folder) / "default", steps[:PACED_STEPS_N], period_s=PERIOD_S) for _ in range(repeats)]
        yield from _stepped("monitor.default.at_100_hz", paced)
        for name, pause_s, n in (("monitor.null", 0.0, STEPS_N), ("monitor.null.at_100_hz", PERIOD_S, PACED_STEPS_N)):
            yield from _percentiles(name, [_nothing_ms(n, pause_s) for _ in range(repeats)], (0.5, 0.99, 0.999))
        for name, one in everything.items():
            alone = [_watched_ms(one[1], steps) for _ in range(repeats)]
            yield from _percentiles(f"monitor.detector.{name}.cpu", alone, (0.5, 0.99))
        yield from _loading(Path(folder) / "default", repeats)


def _try(rng: np.random.Generator) -> Seen:
    """A smooth reach in 40 dimensions from a start to a goal that are drawn, as a rollout logs it."""
    t_ns = np.arange(TRY_STEPS_N, dtype=np.int64) * round(PERIOD_S * 1e9)
    way = np.linspace(0.0, 1.0, TRY_STEPS_N)[:, None]
    hidden = np.hstack([way, way**2, np.sin(3.0 * way), np.ones_like(way)]) * rng.normal(1.0, 0.1, 4)
    mixed = np.random.default_rng(SEED).normal(size=(4, sum(WIDTHS.values()) + ACTION))
    values = hidden @ mixed + rng.normal(0.0, 0.01, (TRY_STEPS_N, mixed.shape[1]))
    ends = np.cumsum([*WIDTHS.values(), ACTION])
    parts = np.split(values, ends[:-1], axis=1)
    action, uncertain = parts[-1], 0.05 + 0.01 * rng.random((TRY_STEPS_N, 1))
    made = {f"observation/{name}": part for name, part in zip(WIDTHS, parts, strict=False)}
    made |= {"action/executed": action, "action/intended": action, "policy/uncertainty": uncertain}
    made |= {"contact/force": rng.normal(0.0, 0.2, (TRY_STEPS_N, 3)), "author": np.zeros((TRY_STEPS_N, 1))}
    made["shadow/other/action"] = action + rng.normal(0.0, 0.05, action.shape)
    streams = {name: Stream(t_ns.copy(), part, clock="robot") for name, part in made.items()}
    ahead = np.repeat(action[::EXECUTE, None], CHUNK, axis=1) + rng.normal(0.0, 0.02, (TRY_STEPS_N // 2, CHUNK, ACTION))
    streams["policy/chunk"] = Stream(t_ns[::EXECUTE].copy(), ahead.astype(np.float32), clock="robot")
    return Seen(streams, tuple(Event(int(t_ns[at]), f"phase/{name}") for at, name in ((0, "reach"), (60, "place"))))


def _fitted(normal: Sequence[Seen], names: Sequence[str]) -> dict[str, tuple[Detector, FittedDetector]]:
    """Fit every detector that can run online and has enough to learn from here."""
    made: dict[str, tuple[Detector, FittedDetector]] = {}
    for name in names:
        detector: Detector = plugins.load("saqiya.detectors", name)()
        try:
            fitted = detector.fit(normal)
        except TooLittle as little:
            print(f"# {name} takes no part: {little}", file=sys.stderr)
            continue
        if isinstance(fitted, Online) and isinstance(detector, Reloadable):
            made[name] = detector, fitted
    return made


def _carried(fitted: Fitted, held: Sequence[Seen], normal: Sequence[Seen]) -> Carried:
    scored = [_scored(fitted, seen) for seen in held]
    fusion = fit_fusion(scored[::2], scored[1::2], budget=0.1, names=tuple(fitted))
    return carry(fitted, fusion, normal[:2], policy="turn-0/policy", budget=0.1, successes_n=len(scored) // 2)


def _scored(fitted: Fitted, seen: Seen) -> Scored:
    parts: dict[str, tuple[Vector, Vector]] = {}
    for name, (_, one) in fitted.items():
        try:
            t_ns, scores = one.score(seen)
        except InvalidEpisode as nothing:
            print(f"# {name} has nothing to say here: {nothing}", file=sys.stderr)
            continue
        parts[name] = t_ns / 1e9, scores
    return Scored(parts, TRY_STEPS_N * PERIOD_S, [(event.t_ns / 1e9, event.name) for event in seen.events])


def _steps(tries: Sequence[Seen]) -> Iterator[tuple[int, dict[str, Vector], list[str]]]:
    """Yield the instants of all tries; a try begins where the stamp is 0."""
    for seen in tries:
        yield from instants(seen, tuple(seen.streams))


def _seen_ms(
    path: Path, steps: Sequence[tuple[int, Row, list[str]]], *, period_s: float = 0.0
) -> tuple[list[float], list[float]]:
    """Milliseconds of every `see`, by the clock and of this thread's CPU time.

    One after the other, or at the pace of a control loop that sleeps in between.
    """
    monitor, wall, cpu = Monitor.load(path), list[float](), list[float]()
    due = time.perf_counter()
    for t_ns, row, events in steps:
        if t_ns == 0:
            monitor.reset(policy="turn-0/policy")
        observation = {name: row[f"observation/{name}"] for name in WIDTHS}
        chunk = row["policy/chunk"].reshape(CHUNK, ACTION) if "policy/chunk" in row else None
        rest = {name: row[name] for name in ("contact/force", "author", "action/intended", "shadow/other/action")}
        if period_s:
            due += period_s
            time.sleep(max(0.0, due - time.perf_counter()))
        began, began_cpu = time.perf_counter(), time.thread_time()
        monitor.see(
            t_ns,
            observation,
            row["action/executed"],
            uncertainty=row["policy/uncertainty"],
            chunk=chunk,
            signals=rest,
            events=events,
        )
        cpu.append((time.thread_time() - began_cpu) * 1e3)
        wall.append((time.perf_counter() - began) * 1e3)
    return wall, cpu


def _nothing_ms(steps_n: int, period_s: float) -> list[float]:
    """Milliseconds of a step that always adds up the same 4,000 numbers: what varies is the machine's."""
    spent, due = list[float](), time.perf_counter()
    for _ in range(steps_n):
        if period_s:
            due += period_s
            time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        sum(range(4_000))
        spent.append((time.perf_counter() - began) * 1e3)
    return spent


def _watched_ms(fitted: FittedDetector, steps: Sequence[tuple[int, Row, list[str]]]) -> list[float]:
    """Milliseconds of CPU time of every step of one detector alone."""
    spent = list[float]()
    if not isinstance(fitted, Online):
        return spent
    watch = fitted.watch()
    for t_ns, row, events in steps:
        if t_ns == 0:
            watch = fitted.watch()
        began = time.thread_time()
        watch.see(t_ns, row, events)
        spent.append((time.thread_time() - began) * 1e3)
    return spent


def _stepped(name: str, repeats: Sequence[tuple[list[float], list[float]]]) -> Iterator[Figure]:
    """Yield percentiles of wall time, with the bar, and of the CPU time that the same steps took."""
    yield from _percentiles(name, [wall for wall, _ in repeats], (0.5, 0.99, 0.999), bar_ms=BAR_MS)
    yield from _percentiles(f"{name}.cpu", [cpu for _, cpu in repeats], (0.5, 0.99, 0.999))


def _percentiles(
    name: str, repeats: Sequence[Sequence[float]], shares: Sequence[float], *, bar_ms: float = math.inf
) -> Iterator[Figure]:
    for share in shares:
        full = f"{name}.p{100 * share:g}_ms"
        found = _over([float(np.quantile(spent, share)) for spent in repeats])
        barred = share == 0.99 and math.isfinite(bar_ms)
        yield at_most(full, found, bar_ms, command=COMMAND) if barred else shown(full, found, command=COMMAND)


def _loading(path: Path, repeats: int) -> Iterator[Figure]:
    warm = []
    for _ in range(repeats):
        began = time.perf_counter()
        Monitor.load(path)
        warm.append(time.perf_counter() - began)
    code = (
        "import time; began = time.perf_counter()\nimport sys; from saqiya import Monitor; Monitor.load(sys.argv[1])\n"
        "print(time.perf_counter() - began)"
    )
    script = [sys.executable, "-c", code, str(path)]
    cold = [float(subprocess.run(script, check=True, capture_output=True, text=True).stdout) for _ in range(repeats)]
    yield shown("monitor.load_s", _over(warm), command=COMMAND)
    yield shown("monitor.load_s.with_imports", _over(cold), command=COMMAND)
    yield shown("monitor.file_bytes", Measured(*[float(path.stat().st_size)] * 3, 0), command=COMMAND)


def _over(values: Sequence[float]) -> Measured:
    """The median over repeats and its range."""
    return Measured(statistics.median(values), min(values), max(values), len(values))
