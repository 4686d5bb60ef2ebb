"""What the recorder costs a 1 kHz control loop, and what a kill costs the recording (see PROTOCOL.md)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Figure, Measured, at_most, exactly, shown
from saqiya.record.recorder import Recorder, Signal
from saqiya.record.recover import recover

COMMAND = "make bench ONLY=recorder"
SEED = 20261121
PERIOD_NS = 1_000_000
SPIN_NS = 200_000
BLOCK_S = 0.5
REPEATS = 20
KILLS = 6
CALL_BAR_US = 200.0
LATENESS_BAR_US = 100.0
LOSS_BAR_S = 1.0
SIGNALS = {"observation/joint": Signal((14,)), "contact/force": Signal((6,)), "action/executed": Signal((14,))}
ARMS = ("without", "recorder", "again", "inline")  # "again" is without once more: the null
MODES = ("realtime", "ordinary")

Rows = Sequence[tuple[str, NDArray[np.float64]]]
Record = Callable[[str, int, NDArray[np.float64]], object]


@dataclass(frozen=True)
class Block:
    """One block of the loop: lateness of each tick, time of each call and of each tick's three calls, microseconds."""

    late_us: NDArray[np.float64]
    call_us: NDArray[np.float64]
    tick_us: NDArray[np.float64]
    lost: int


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield the figures of the loop at both priorities, then those of the kills."""
    with tempfile.TemporaryDirectory() as folder:
        measured = {mode: _blocks(Path(folder), mode, 3 if quick else REPEATS) for mode in MODES}
        allowed = bool(measured["realtime"])
        yield shown("recorder.realtime.allowed", exactly(float(allowed)), command=COMMAND)
        if allowed:
            yield from _loop_figures("recorder.realtime", measured["realtime"], always=True)
        yield from _loop_figures("recorder.ordinary", measured["ordinary"], always=not allowed)
        yield from _kill_figures(Path(folder), 2 if quick else KILLS)


def _loop_figures(name: str, blocks: Sequence[dict[str, Block]], *, always: bool) -> Iterator[Figure]:
    """Yield one priority's figures; lateness is judged where the null can tell the bar from nothing, or `always`."""

    def late_p99(arm: str) -> NDArray[np.float64]:
        return np.array([_p(block[arm].late_us, 99.0) for block in blocks])

    null = _median(late_p99("again") - late_p99("without"))
    telling = always or max(-null.low, null.high) <= LATENESS_BAR_US
    for arm, prefix in (("recorder", name), ("inline", f"{name}.rival.inline")):
        calls = [block[arm].call_us for block in blocks]
        figures = {
            "call.p99_9_us": (_pooled(calls), CALL_BAR_US),
            "tick_of_3_calls.p99_9_us": (_pooled([block[arm].tick_us for block in blocks]), CALL_BAR_US),
            "lateness_added.p99_us": (_median(late_p99(arm) - late_p99("without")), LATENESS_BAR_US),
        }
        for what, (measured, bar) in figures.items():
            if arm == "recorder" and (telling or bar != LATENESS_BAR_US):
                yield at_most(f"{prefix}.{what}", measured, bar, command=COMMAND)
            else:
                yield shown(f"{prefix}.{what}", measured, command=COMMAND)
        yield shown(f"{prefix}.call.median_us", _median([_p(call, 50.0) for call in calls]), command=COMMAND)
    yield shown(f"{name}.lateness_without.p99_us", _median(late_p99("without")), command=COMMAND)
    yield shown(f"{name}.null.lateness_added.p99_us", null, command=COMMAND)
    lost = exactly(float(sum(block["recorder"].lost for block in blocks)))
    yield at_most(f"{name}.lost_samples", lost, 0.0, command=COMMAND)


def _kill_figures(folder: Path, kills: int) -> Iterator[Figure]:
    rng = np.random.default_rng(SEED)
    for both in (True, False):
        waits = rng.uniform(1.5, 2.5, kills)
        lost = [_lost_s(folder / f"kill-{both}-{i}.mcap", wait, both=both) for i, wait in enumerate(waits)]
        name = "recorder.kill_both.lost_s" if both else "recorder.kill_control.lost_s"
        worst = Measured(max(lost), min(lost), max(lost), kills)
        yield at_most(name, worst, LOSS_BAR_S, command=COMMAND)


def _blocks(folder: Path, mode: str, repeats: int) -> list[dict[str, Block]]:
    """Run the arms in turn, each repeat beginning with another one, all in one fresh process; none if not allowed."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run_blocks, args=(theirs, folder, mode, repeats))
    process.start()
    theirs.close()
    blocks: list[dict[str, Block]] = ours.recv()
    process.join()
    return blocks


def _run_blocks(answer: Connection, folder: Path, mode: str, repeats: int) -> None:
    if mode == "realtime":
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
        except PermissionError:
            answer.send([])
            return
    blocks = []
    with Recorder(folder / f"{mode}.mcap", SIGNALS) as recorder:
        for repeat in range(repeats):
            done = {}
            for turn in range(len(ARMS)):
                arm = ARMS[(repeat + turn) % len(ARMS)]
                # A stopped writer takes no time at all: the other arms run as if there were none.
                os.kill(recorder.writer_pid, signal.SIGCONT if arm == "recorder" else signal.SIGSTOP)
                done[arm] = _block(arm, recorder, folder / f"{mode}-{repeat}-inline.mcap")
            blocks.append(done)
        os.kill(recorder.writer_pid, signal.SIGCONT)
    answer.send(blocks)


def _block(arm: str, recorder: Recorder, path: Path) -> Block:
    rng = np.random.default_rng(SEED)
    rows = [(name, rng.normal(size=one.shape)) for name, one in SIGNALS.items()]
    taken = 0

    def record(name: str, t_ns: int, row: NDArray[np.float64]) -> None:
        nonlocal taken
        taken += recorder.record(name, t_ns, row)

    if arm == "recorder":
        late, calls = _loop(record, rows)
    elif arm == "inline":
        with _inline(path) as write:
            late, calls = _loop(write, rows)
    else:
        late, calls = _loop(lambda *_: None, rows)
    lost = calls.size - taken if arm == "recorder" else 0
    return Block(late / 1e3, calls.ravel() / 1e3, calls.sum(axis=1) / 1e3, lost)


def _loop(record: Record, rows: Rows, seconds: float = BLOCK_S) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tick at 1 kHz: sleep to 0.2 ms before the deadline, spin the rest, compute a little, hand over three samples."""
    ticks = int(seconds * 1e9) // PERIOD_NS
    late = np.zeros(ticks, np.int64)
    calls = np.zeros((ticks, len(rows)), np.int64)
    gains = np.eye(14) * 0.99
    clock = time.perf_counter_ns
    state, begin = np.ones(14), clock() + 20 * PERIOD_NS
    for tick in range(ticks):
        due = begin + tick * PERIOD_NS
        slack = due - clock() - SPIN_NS
        if slack > 0:
            time.sleep(slack / 1e9)
        while (now := clock()) < due:
            pass
        late[tick] = now - due
        for _ in range(10):
            state = gains @ state
        for i, (name, row) in enumerate(rows):
            row[0] = state[0]
            before = clock()
            record(name, now, row)
            calls[tick, i] = clock() - before
    return late, calls


@contextmanager
def _inline(path: Path) -> Iterator[Record]:
    """The rival: the mcap library's writer called inside the loop, 256 KiB chunks, the same payloads."""
    from mcap.writer import Writer

    with path.open("wb") as out:
        writer = Writer(out, chunk_size=256 * 1024)
        writer.start()
        channels = {name: writer.register_channel(name, "protobuf", 0) for name in SIGNALS}

        def record(name: str, t_ns: int, values: NDArray[np.float64]) -> None:
            writer.add_message(channels[name], t_ns, b"\x0a" + bytes([values.nbytes]) + values.tobytes(), t_ns)

        yield record
        writer.finish()


def _lost_s(path: Path, wait_s: float, *, both: bool) -> float:
    """Record for `wait_s`, kill -9, recover where need be, and return the seconds that are missing at the end."""
    from saqiya.formats.mcap.log import McapFormat

    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_record_for_ever, args=(theirs, path))
    process.start()
    writer = ours.recv()
    time.sleep(wait_s)
    if both:
        os.kill(writer, signal.SIGKILL)
    os.kill(process.pid or 0, signal.SIGKILL)
    killed_ns = time.monotonic_ns()
    process.join()
    if both:
        path = recover(path).path
    else:
        _await_end(writer)
    [log] = McapFormat().read(path)
    return float(killed_ns - log.streams["action/executed"].t_ns[-1]) / 1e9  # type: ignore[union-attr]


def _await_end(pid: int) -> None:
    """Wait until an orphan is gone, reaped or not."""
    stat = Path(f"/proc/{pid}/stat")
    for _ in range(1000):
        if not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.01)
    raise RuntimeError(f"the writer {pid} still runs 10 s after its control process was killed")


def _record_for_ever(answer: Connection, path: Path) -> None:
    recorder = Recorder(path, SIGNALS)
    rng = np.random.default_rng(SEED)
    rows = [(name, rng.normal(size=one.shape)) for name, one in SIGNALS.items()]
    answer.send(recorder.writer_pid)
    _loop(lambda name, _, row: recorder.record(name, time.monotonic_ns(), row), rows, 60.0)


def _p(values: NDArray[np.float64], percent: float) -> float:
    return float(np.percentile(values, percent))


def _pooled(blocks: Sequence[NDArray[np.float64]]) -> Measured:
    """Take the 99.9th percentile of all samples, its interval by resampling whole blocks."""
    rng = np.random.default_rng(SEED)
    drawn = [
        _p(np.concatenate([blocks[i] for i in rng.integers(len(blocks), size=len(blocks))]), 99.9) for _ in range(200)
    ]
    return Measured(_p(np.concatenate(blocks), 99.9), _p(np.array(drawn), 2.5), _p(np.array(drawn), 97.5), len(blocks))


def _median(values: Sequence[float] | NDArray[np.float64]) -> Measured:
    """Take the median, its interval by resampling."""
    rng = np.random.default_rng(SEED)
    array = np.array(values)
    drawn = np.median(rng.choice(array, size=(2000, len(array))), axis=1)
    return Measured(float(np.median(array)), _p(drawn, 2.5), _p(drawn, 97.5), len(array))
