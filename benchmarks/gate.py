"""The ship gate's figures: errors under the null, power, mean trials, and ten turns without gain (see PROTOCOL.md)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Figure, Measured, at_least, at_most, exactly, shown
from saqiya.domain.nouns import Decision
from saqiya.evaluate import eprocess
from saqiya.evaluate.gate import GateParams, decide, plan
from saqiya.evaluate.intervals import clopper_pearson
from saqiya.evaluate.ledger import alpha_for
from saqiya.evaluate.sequential import Arms, SequentialDesign, design, power_curve, shared_seeds
from saqiya.evaluate.strata import Worked
from saqiya.evaluate.trials import Results

COMMAND = "make bench ONLY=gate"
SEED = 20261121
RUNS = 10_000
FLYWHEELS = 100
TURNS = 10
ALPHA = 0.05
N_MAX = 200
NULL_BAR = 0.0544
NULL_RATES = (0.2, 0.5, 0.8, 0.9, 0.95)
NULL_SHARES = (0.0, 0.5, 0.9)
TRUTHS = {(0.5, 0.7): (0.98, 78.0), (0.7, 0.85): (0.95, 93.0), (0.8, 0.95): (0.99, 67.0)}
SHARES = (0.0, 0.25, 0.5, 0.75)

Successes = NDArray[np.bool_]


def generator(name: str) -> np.random.Generator:
    """Seed a generator by the figure it serves."""
    return np.random.default_rng([SEED, int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")])


def draw(name: str, rates: tuple[float, float], *, share: float, runs: int) -> tuple[Successes, Successes]:
    """Draw both arms' successes, shape (runs, N_MAX), under the shared-seed model."""
    rng = generator(name)
    own = rng.random((2, runs, N_MAX), dtype=np.float32)
    if share > 0.0:
        common = rng.random((runs, N_MAX), dtype=np.float32) < share
        own[1] = np.where(common, own[0], own[1])
    return own[0] < rates[0], own[1] < rates[1]


def stopped_superior(test: SequentialDesign, champion: Successes, candidate: Successes) -> tuple[Successes, NDArray]:
    """Run the superiority test on every row: whether it stopped, and after how many trials."""
    if test.arms is Arms.PAIRED:
        champion, candidate = champion & ~candidate, candidate & ~champion
    looks = np.array(test.looks)
    old, new = (arm.cumsum(axis=1, dtype=np.int16)[:, looks - 1] for arm in (champion, candidate))
    crossed = new >= test.critical[np.arange(len(looks)), old]
    stopped = crossed.any(axis=1)
    return stopped, np.where(stopped, looks[crossed.argmax(axis=1)], test.n_max)


def share_of(hits: Successes) -> Measured:
    """Give the share of hits with its exact interval."""
    k, n = int(hits.sum()), len(hits)
    interval = clopper_pearson(k, n)
    return Measured(k / n, interval.low, interval.high, n)


def mean_of(values: NDArray) -> Measured:
    """Give the mean with its normal interval."""
    mean, half = float(values.mean()), 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return Measured(mean, mean - half, mean + half, len(values))


def label(rates: tuple[float, float]) -> str:
    """Name a pair of rates."""
    return f"{rates[0]:g}-{rates[1]:g}"


def cases(rates: tuple[float, float], shares: tuple[float, ...]) -> Iterator[tuple[Arms, float, str]]:
    """Name the independent case and the paired cases of a pair of rates."""
    yield Arms.INDEPENDENT, 0.0, f"independent.{label(rates)}"
    for share in shares:
        yield Arms.PAIRED, share, f"paired.share{share:g}.{label(rates)}"


def errors(tests: dict[Arms, SequentialDesign], runs: int) -> Iterator[Figure]:
    """Certified sizes, simulated nulls, and candidates that are worse."""
    for arms, test in tests.items():
        yield at_most(f"gate.size.{arms}", exactly(test.size), ALPHA, command=COMMAND)
    for p, gap in product(NULL_RATES, (0.0, 0.05)):
        rates = (p, round(p - gap, 3))
        for arms, share, case in cases(rates, NULL_SHARES if gap == 0.0 else (0.5,)):
            name = f"gate.false_promotion.{case}"
            stopped, _ = stopped_superior(tests[arms], *draw(name, rates, share=share, runs=runs))
            yield at_most(name, share_of(stopped), NULL_BAR, command=COMMAND)


def power(tests: dict[Arms, SequentialDesign], runs: int) -> Iterator[Figure]:
    """Power and mean trials of the independent test: exact with bars, and simulated beside it."""
    worse = plan(GateParams(arms=Arms.INDEPENDENT), 1).worse
    test = tests[Arms.INDEPENDENT]
    for rates, (power_bar, pairs_bar) in TRUTHS.items():
        free = power_curve(test, [rates])[0]
        as_run = power_curve(test, [rates], worse=worse, stop_when_futile=True)[0]
        for way, found in (("independent", free), ("independent_as_run", as_run)):
            name = f"{way}.{label(rates)}"
            yield at_least(f"gate.power.{name}", exactly(found.superior), power_bar, command=COMMAND)
            yield at_most(f"gate.mean_pairs.{name}", exactly(found.mean_pairs), pairs_bar, command=COMMAND)
        name = f"independent_simulated.{label(rates)}"
        stopped, pairs = stopped_superior(test, *draw(name, rates, share=0.0, runs=runs))
        yield shown(f"gate.power.{name}", share_of(stopped), command=COMMAND)
        yield shown(f"gate.mean_pairs.{name}", mean_of(pairs), command=COMMAND)


def pairing(tests: dict[Arms, SequentialDesign]) -> Iterator[Figure]:
    """Both paired tests against the independent one, by how much the arms share."""
    anytime = eprocess.boundary(ALPHA, N_MAX)
    for rates, share in product(TRUTHS, SHARES):
        apart = power_curve(tests[Arms.INDEPENDENT], [rates])[0]
        truth = shared_seeds(*rates, share)
        found = power_curve(tests[Arms.PAIRED], [truth])[0]
        name = f"paired.share{share:g}.{label(rates)}"
        seen, pairs = exactly(found.superior), exactly(found.mean_pairs)
        if share > 0.0:
            yield at_least(f"gate.power.{name}", seen, apart.superior, command=COMMAND)
            yield at_most(f"gate.mean_pairs.{name}", pairs, apart.mean_pairs, command=COMMAND)
        else:
            yield shown(f"gate.power.{name}", seen, command=COMMAND)
            yield shown(f"gate.mean_pairs.{name}", pairs, command=COMMAND)
        if share in {0.0, 0.5}:
            rival = power_curve(anytime, [truth])[0]
            name = f"eprocess.share{share:g}.{label(rates)}"
            yield shown(f"gate.power.{name}", exactly(rival.superior), command=COMMAND)
            yield shown(f"gate.mean_pairs.{name}", exactly(rival.mean_pairs), command=COMMAND)


def later_turns() -> Iterator[Figure]:
    """Power at each turn's own alpha, as run."""
    for turn, arms, rates in product(range(1, 6), Arms, TRUTHS):
        planned = plan(GateParams(arms=arms), turn)
        truth = rates if arms is Arms.INDEPENDENT else shared_seeds(*rates, 0.5)
        found = power_curve(planned.better, [truth], worse=planned.worse, stop_when_futile=True)[0]
        name = f"{arms}.turn{turn}.alpha{planned.alpha:.4f}.{label(rates)}"
        yield shown(f"gate.power_by_turn.{name}", exactly(found.superior), command=COMMAND)
        yield shown(f"gate.mean_pairs_by_turn.{name}", exactly(found.mean_pairs), command=COMMAND)


def flywheels(runs: int) -> Iterator[Figure]:
    """Ten turns without true gain: with the ledger, and the control that spends the whole alpha each turn."""
    for p, arms in product((0.5, 0.8), Arms):
        share = 0.5 if arms is Arms.PAIRED else 0.0
        with_ledger, without = np.zeros(runs, dtype=bool), np.zeros(runs, dtype=bool)
        for turn in range(1, TURNS + 1):
            arrays = draw(f"ten_turns.{arms}.{p}.{turn}", (p, p), share=share, runs=runs)
            own = design(arms, alpha=alpha_for(turn, ALPHA), n_max=N_MAX)
            with_ledger |= stopped_superior(own, *arrays)[0]
            without |= stopped_superior(design(arms, alpha=ALPHA, n_max=N_MAX), *arrays)[0]
        name = f"{arms}.{p:g}"
        yield at_most(f"gate.ten_turns.{name}", share_of(with_ledger), ALPHA, command=COMMAND)
        yield shown(f"gate.control.ten_turns_without_ledger.{name}", share_of(without), command=COMMAND)


def whole_decision(flywheels_n: int) -> Iterator[Figure]:
    """Run `decide` over ten turns and compare each promotion with the vectorised test.

    The stops for inferiority and futility are not part of the vectorised test; they can only take promotions away, and
    each one that they take is checked to be such a stop.
    """
    disagreements = 0
    promoted = np.zeros(flywheels_n, dtype=bool)
    for turn in range(1, TURNS + 1):
        planned = plan(GateParams(arms=Arms.PAIRED), turn)
        champion, candidate = draw(f"decide.{turn}", (0.7, 0.7), share=0.5, runs=flywheels_n)
        superior, pairs = stopped_superior(planned.better, champion, candidate)
        for row in range(flywheels_n):
            results = Results(tuple(champion[row].tolist()), tuple(candidate[row].tolist()))
            verdict = decide(planned, results, strata=[], worked=Worked(60, 60, 60))
            passed = verdict.decision is Decision.PROMOTE
            stopped_before = verdict.progress.stop in {"inferior", "futile"} and verdict.progress.n < pairs[row]
            agrees = passed == superior[row] or (superior[row] and stopped_before)
            disagreements += not agrees
            promoted[row] |= passed
    yield at_most(
        "gate.decide.disagreements",
        Measured(disagreements, disagreements, disagreements, flywheels_n),
        0,
        command=COMMAND,
    )
    yield shown("gate.decide.ten_turns.paired.0.7", share_of(promoted), command=COMMAND)


def peeking(runs: int) -> Iterator[Figure]:
    """The control: a pooled z-test at nominal alpha .05, looked at after every pair."""
    n = np.arange(1, N_MAX + 1)
    for p in NULL_RATES:
        name = f"gate.control.peeking.{p:g}"
        champion, candidate = (arm.cumsum(axis=1) for arm in draw(name, (p, p), share=0.0, runs=runs))
        pooled = (champion + candidate) / (2 * n)
        spread = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / n, 1e-12))
        false_alarm = ((candidate - champion) / n > 1.6449 * spread).any(axis=1)
        yield shown(name, share_of(false_alarm), command=COMMAND)


def speed() -> Iterator[Figure]:
    """Seconds to design a test of 200 trials, not from the cache."""
    for arms in Arms:
        seconds = []
        for repeat in range(3):
            begin = time.perf_counter()
            design.__wrapped__(arms, alpha=ALPHA - repeat * 1e-6, n_max=N_MAX)
            seconds.append(time.perf_counter() - begin)
        measured = Measured(float(np.median(seconds)), min(seconds), max(seconds), len(seconds))
        yield at_most(f"gate.design_s.{arms}", measured, 2.0, command=COMMAND)


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield every figure of the gate."""
    runs, flywheels_n = (500, 20) if quick else (RUNS, FLYWHEELS)
    tests = {arms: design(arms, alpha=ALPHA, n_max=N_MAX) for arms in Arms}
    yield from errors(tests, runs)
    yield from power(tests, runs)
    yield from pairing(tests)
    yield from later_turns()
    yield from flywheels(runs)
    yield from whole_decision(flywheels_n)
    yield from peeking(runs)
    yield from speed()
