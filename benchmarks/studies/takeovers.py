"""Does a gate that asks where the policy is unsure beat random takeovers, at every budget of a person's work?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from benchmarks.harness import Figure, Measured, at_least, shown
from benchmarks.studies._kept import Kept
from benchmarks.studies._lab import Bill, Lab
from saqiya.correct.asking import Asking, Heard, heard, needed
from saqiya.domain.asking import LAST_STEPS, Ask
from saqiya.domain.contracts import Lesson, Roll, RunnablePolicy
from saqiya.domain.nouns import Source
from saqiya.domain.streams import Start
from saqiya.evaluate.intervals import wilson
from saqiya.loop.tries.rollout import Try, run_try

COMMAND = "make study ONLY=takeovers"
VERSION = 1
SCORE = "policy/uncertainty"
SITE = "metaworld-pick-place"
SEEDS = tuple(range(20261121, 20261129))
QUICK_SEEDS = (101,)
MARKS = (150, 300, 450, 600, 900)
BOOTSTRAP_N, REGION = 20, 0.4
CALIBRATE_N, TESTS_N, MOST_TRIES_N = 20, 100, 400
HORIZON = 120
GATE = {"budget": 0.08, "random": 0.15, "agree": 0.05, "rewind_steps": 20}


@dataclass
class Collected:
    """What an arm has so far: a person's lessons with what had been spent when each was finished."""

    lessons: list[tuple[int, Lesson]] = field(default_factory=list)
    bill: Bill = field(default_factory=Bill)
    gate: list[int] = field(default_factory=lambda: [0, 0])
    random: list[int] = field(default_factory=lambda: [0, 0])
    steps: int = 0
    tries: int = 0


@dataclass
class Bench:
    """One seed: its laboratory, bootstrap demonstrations, and the starts that judge."""

    seed: int
    lab: Lab
    boot: list[Lesson]
    tests: list[Start]
    gate: dict[str, float]
    covered: list[Start]

    def fresh(self, index: int) -> Start:
        """A start from everywhere; all arms meet the same ones in the same order."""
        return self.lab.site.sample_start(self.lab.starts(self.seed, 1, stream=2)[0].seed + index)

    def promise(self, start: Start) -> float:
        """How far a start lies from the nearest one that a person has shown, in ranges of the factors."""
        ranges = self.lab.site.spec.factors

        def place(one: Start) -> list[float]:
            return [float(one.factors[name]) / (high - low) for name, (low, high) in ranges.items()]

        return float(np.linalg.norm(np.array([place(one) for one in self.covered]) - place(start), axis=1).min())

    def calibration(self, policy: RunnablePolicy, mark: int, bill: Bill) -> list[Heard]:
        """Tries of a policy by itself, from starts of their own."""
        starts = self.lab.starts(self.seed, CALIBRATE_N, stream=10 + MARKS.index(mark))
        tries = [self.lab.roll(policy, start, bill) for start in starts]
        return [
            heard(one.log.streams, None, score=SCORE, success=one.success, promise=self.promise(start))
            for one, start in zip(tries, starts, strict=True)
        ]

    def asked(self, policy: RunnablePolicy, start: Start, ask: Ask, made: Collected) -> Try:
        """One live try; a person's part of it becomes a lesson where it succeeded."""
        roll = Roll("live", start, Source.CORRECTION, operator="expert", ask=ask)
        done = run_try(self.lab.site, roll, policy=policy, operator=self.lab.site.expert(start.seed), facts={})  # type: ignore[attr-defined]
        made.bill.human_steps += done.human_steps
        made.bill.takeovers += done.takeovers
        made.bill.rollouts += 1
        made.tries += 1
        made.steps += len(done.log.streams["author"].t_ns)
        half = (self.lab.site.spec.action_high - self.lab.site.spec.action_low) / 2
        for random, found in needed(
            done.log.streams, done.log.metadata["asked"], half_range=half, agree=self.gate["agree"] or 0.1
        ).items():
            counts = made.random if random else made.gate
            counts[0], counts[1] = counts[0] + found.needed, counts[1] + found.takeovers
        if done.success and done.human_steps:
            made.lessons.append((made.bill.cost, self.lab.lesson(done)))
            self.covered.append(start)
        return done


def weighted(boot: list[Lesson], given: list[Lesson], *, equal: bool) -> list[Lesson]:
    """Natural weights, or half of the mass for what was given and half for the rest."""
    mass = sum(one.weight.sum() for one in given)
    factor = sum(one.weight.sum() for one in boot) / mass if equal and mass else 1.0
    return [*boot, *(Lesson(one.observation, one.action, one.weight * factor, 0) for one in given)]


def by_gate(bench: Bench, policy: RunnablePolicy, mark: int, made: Collected, rng: np.random.Generator) -> None:
    """Ask where the gate says, until the budget is spent."""
    tries = bench.calibration(policy, mark, made.bill)
    gate = Asking.begin(tries, rng, **bench.gate)  # type: ignore[arg-type]
    for _ in range(MOST_TRIES_N):
        if made.bill.cost >= mark:
            return
        start = bench.fresh(made.tries)
        promise = bench.promise(start)
        ask = gate.ask(rng, promise=promise)
        done = bench.asked(policy, start, ask, made)
        alone = done.success if np.isinf(ask.enter) else None
        told = heard(done.log.streams, done.log.metadata["asked"], score=SCORE, success=alone, promise=promise)
        gate = gate.after(told, rng)


def by_chance(bench: Bench, policy: RunnablePolicy, mark: int, made: Collected, rng: np.random.Generator) -> None:
    """Take over in every try, at a step drawn from those that the policy's successes have."""
    lengths = [one.steps for one in bench.calibration(policy, mark, made.bill) if one.success] or [HORIZON // 2]
    for _ in range(MOST_TRIES_N):
        if made.bill.cost >= mark:
            return
        at_step = int(rng.integers(max(1, int(rng.choice(lengths)) - LAST_STEPS)))
        bench.asked(policy, bench.fresh(made.tries), Ask(np.inf, -np.inf, 0.0, at_step=at_step), made)


def by_showing(bench: Bench, _policy: RunnablePolicy, mark: int, made: Collected, _rng: np.random.Generator) -> None:
    """Whole demonstrations from starts as they come."""
    while made.bill.cost < mark:
        done = bench.lab.demonstrate(bench.fresh(made.bill.demonstrations), made.bill)
        if done.success:
            made.lessons.append((made.bill.cost, bench.lab.lesson(done)))


ARMS = {
    "gate": (by_gate, False),
    "random_equal": (by_chance, True),
    "random_natural": (by_chance, False),
    "plain": (by_showing, False),
}


def measured(
    seed: int, arm: str, marks: tuple[int, ...], tests_n: int, gate: dict[str, float]
) -> dict[str, list[float]]:
    """Collect, retrain and rate one arm with one seed: success at each mark, and what it took."""
    lab = Lab(SITE)
    narrow = lab.starts(seed, BOOTSTRAP_N, stream=0, region=REGION)
    boot = [lab.lesson(lab.demonstrate(start)) for start in narrow]
    bench = Bench(seed, lab, boot, lab.starts(seed, tests_n, stream=1), gate, list(narrow))
    collect, equal = ARMS[arm]
    made, rng = Collected(), np.random.default_rng([seed, 7])
    policy = lab.train(boot, seed)
    rates: dict[str, list[float]] = {name: [] for name in ("success", "cost", "takeovers", "rollouts", "share")}
    for mark in marks:
        collect(bench, policy, mark, made, rng)
        given = [lesson for spent, lesson in made.lessons if spent <= mark]
        policy = lab.train(weighted(boot, given, equal=equal), seed)
        rates["success"].append(lab.rate(policy, bench.tests))
        rates["cost"].append(made.bill.cost)
        rates["takeovers"].append(made.bill.takeovers)
        rates["rollouts"].append(made.bill.rollouts)
        rates["share"].append(made.bill.human_steps / made.steps if made.steps else 1.0)
    return rates | {"gate": made.gate, "random": made.random}  # type: ignore[dict-item]


def run(*, quick: bool) -> Iterator[Figure]:
    """Success of retrained policies at each cost, and what the gate's arm gains on each other one, within a seed."""
    seeds, marks, tests_n = (QUICK_SEEDS, MARKS[:1], 10) if quick else (SEEDS, MARKS, TESTS_N)
    kept = Kept("takeovers_quick" if quick else "takeovers")
    made = {
        (seed, arm): kept.unit(f"{VERSION}/{seed}/{arm}", partial(measured, seed, arm, marks, tests_n, GATE))
        for seed in seeds
        for arm in ARMS
    }
    by_arm = {arm: [made[seed, arm] for seed in seeds] for arm in ARMS}
    for index, mark in enumerate(marks):
        rates = {arm: np.array([unit["success"][index] for unit in units]) for arm, units in by_arm.items()}
        for arm, found in rates.items():
            yield shown(f"takeovers.success.{arm}.{mark}", interval(found), command=COMMAND)
        for arm in ("random_equal", "random_natural", "plain"):
            gain = interval(rates["gate"] - rates[arm])
            name = f"takeovers.gain.{arm}.{mark}"
            yield (
                at_least(name, gain, 0.0, command=COMMAND)
                if arm == "random_equal"
                else shown(name, gain, command=COMMAND)
            )
    for arm, units in by_arm.items():
        for what in ("cost", "takeovers", "rollouts", "share"):
            yield shown(f"takeovers.{what}.{arm}", interval([unit[what][-1] for unit in units]), command=COMMAND)
    for name in ("gate", "random"):
        counts = np.sum([unit[name] for unit in by_arm["gate"]], axis=0)
        if counts[1]:
            found = wilson(int(counts[0]), int(counts[1]))
            yield shown(
                f"takeovers.needed.{name}",
                Measured(counts[0] / counts[1], found.low, found.high, len(seeds)),
                command=COMMAND,
            )


def interval(values: Sequence[float]) -> Measured:
    """The mean over seeds with Student's 95 % interval; none with a single seed, which proves nothing."""
    from scipy import stats

    mean, n = float(np.mean(values)), len(values)
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    return Measured(mean, mean - half, mean + half, n)
