"""What it costs a person until a policy holds its success: demonstrations chosen by Saqiya, by a rule, at random."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.harness import Figure, Measured, at_least, shown
from benchmarks.studies._kept import Kept
from benchmarks.studies._lab import Bill, Lab
from saqiya.domain.contracts import Lesson, RunnablePolicy, Site, Vector
from saqiya.domain.streams import Start
from saqiya.evaluate.intervals import clopper_pearson
from saqiya.models.choice import Tried, choose_starts, failure_odds
from saqiya.models.starts import encode, farthest_first
from saqiya.sites.disturbed import ROUGH, Disturbed

COMMAND = "make study ONLY=efficiency"
SEEDS, NEW_SEEDS = tuple(range(20261121, 20261129)), tuple(range(20261131, 20261139))
TESTS_N, SHOWN_N = 400, 100
POOL_N = 1000
RULE_ROLLOUTS_N = 30
FIRST_ROLLOUTS_N, LATER_ROLLOUTS_N, CHECKED_N = 20, 10, 20
BOOT, COLLECT, TEST, POOL = 0, 1, 2, 3
"""Streams of starts; none of them shares a start with another."""


@dataclass(frozen=True)
class Task:
    """What is learned, from what beginning, and after how many demonstrations the policy is looked at."""

    site: str
    cause: str | None
    boot_n: int
    region: float
    budgets: tuple[int, ...]
    arms: tuple[str, ...] = ("random", "rule", "saqiya")
    tests_n: int = TESTS_N
    to_hold: bool = True
    seeds: tuple[int, ...] = SEEDS

    def opened(self, seed: int) -> Lab:
        """Open the site, disturbed where that is the task."""
        lab = Lab(self.site, settings=RECIPE)
        rough = Disturbed(lab.site, self.cause, seed=seed, patience=PATIENCE) if self.cause else None
        return Lab(rough, settings=RECIPE) if rough else lab


RECIPE: Mapping[str, float] = {"steps": 1000.0, "width": 256.0, "layers": 3.0}
PATIENCE = 1.5
"""Who was disturbed may still make it, later."""
PICK_BUDGETS = (0, 3, 6, 9, 12, 15, 18, 21, 25, 30, 36, 42)
TASKS = {
    "pick-place": Task("metaworld-pick-place", None, 20, 0.4, PICK_BUDGETS),
    "pick-place-checked": Task(
        "metaworld-pick-place", None, 20, 0.4, PICK_BUDGETS, ("random", "checked"), seeds=NEW_SEEDS
    ),
    "push": Task(
        "metaworld-push", ROUGH, 15, 1.0, (0, 10, 20, 40, 80), ("random", "failing"), tests_n=200, to_hold=False
    ),
    "wall": Task("metaworld-pick-place-wall", None, 20, 0.4, (0, 6, 12, 18, 24, 30), ("random", "saqiya"), tests_n=200),
}


@dataclass
class Arm:
    """One way to collect, on one seed: what it has shown so far, what it spent, and what it saw."""

    lab: Lab
    seed: int
    bill: Bill = field(default_factory=Bill)
    lessons: list[Lesson] = field(default_factory=list)
    covered: list[Start] = field(default_factory=list)
    tried: list[tuple[Start, bool, int]] = field(default_factory=list)
    collected: int = 0
    round: int = 0

    def show(self, starts: Sequence[Start], *, billed: bool = True) -> None:
        """Demonstrate; what the expert does not manage teaches nothing, and costs all the same."""
        for start in starts:
            done = self.lab.demonstrate(start, self.bill if billed else None)
            if done.success:
                self.lessons.append(self.lab.lesson(done))
                self.covered.append(start)

    def fresh(self, n: int) -> list[Start]:
        """Draw the next `n` starts as deployment draws them."""
        drawn = self.lab.starts(self.seed, self.collected + n, stream=COLLECT)[self.collected :]
        self.collected += n
        return drawn

    def roll(self, policy: RunnablePolicy, n: int) -> list[Start]:
        """Let the policy try `n` times, and return where it failed."""
        failed = []
        for start in self.fresh(n):
            success = self.lab.roll(policy, start, self.bill).success
            self.tried.append((start, not success, self.round))
            if not success:
                failed.append(start)
        return failed


def at_random(arm: Arm, policy: RunnablePolicy, n: int) -> list[Start]:
    """Show what comes: the rival."""
    del policy
    return arm.fresh(n)


def by_rule(arm: Arm, policy: RunnablePolicy, n: int) -> list[Start]:
    """Of thirty rollouts' failing starts, those farthest from what training covers; too few are filled at random."""
    failed = arm.roll(policy, RULE_ROLLOUTS_N)
    places = encode([*failed, *arm.covered], arm.lab.site.spec.factors)
    chosen = [failed[one] for one in farthest_first(places[: len(failed)], places[len(failed) :], n)]
    return [*chosen, *arm.fresh(n - len(chosen))]


def by_saqiya(arm: Arm, policy: RunnablePolicy, n: int) -> list[Start]:
    """Show where it probably fails, is unsure, and nothing near was shown; a few rollouts say where it fails."""
    arm.roll(policy, LATER_ROLLOUTS_N if arm.round else FIRST_ROLLOUTS_N)
    return _promising(arm, policy, n)


def by_check(arm: Arm, policy: RunnablePolicy, n: int) -> list[Start]:
    """Ask as Saqiya does, but let the policy try each start first: a person shows only what it was seen to fail."""
    arm.roll(policy, LATER_ROLLOUTS_N if arm.round else FIRST_ROLLOUTS_N)
    failed, spare = [], []
    for start in _promising(arm, policy, CHECKED_N):
        if len(failed) == n:
            break
        success = arm.lab.roll(policy, start, arm.bill).success
        arm.tried.append((start, not success, arm.round))
        (spare if success else failed).append(start)
    return [*failed, *spare][:n]


def _promising(arm: Arm, policy: RunnablePolicy, n: int) -> list[Start]:
    ranges = arm.lab.site.spec.factors
    pool = arm.lab.starts(arm.seed, POOL_N, stream=POOL + arm.round)
    tried = [Tried(start, failed, arm.round - made) for start, failed, made in arm.tried]
    failing = failure_odds(pool, tried, arm.covered, ranges)
    chosen = choose_starts(pool, arm.covered, ranges, n, failing=failing, unsure=_unsure(arm.lab.site, policy, pool))
    return [pool[one] for one in chosen]


def from_failures(arm: Arm, policy: RunnablePolicy, n: int) -> list[Start]:
    """Show the whole task from failing starts as they are found: where chance decides, no place is the worst."""
    found: list[Start] = []
    while len(found) < n:
        found += arm.roll(policy, 1)
    return found


def _unsure(site: Site, policy: RunnablePolicy, starts: Sequence[Start]) -> Vector:
    """Return how much the members disagree about the first chunk from each start: a reset costs no rollout."""
    spread = []
    for start in starts:
        samples = policy.act(site.reset(start).observation).samples
        if samples is None:
            raise RuntimeError("this study needs a policy with members")
        spread.append(float(samples.std(axis=0).mean()))
    return np.array(spread)


ARMS: Mapping[str, Callable[[Arm, RunnablePolicy, int], list[Start]]] = {
    "random": at_random,
    "rule": by_rule,
    "saqiya": by_saqiya,
    "checked": by_check,
    "failing": from_failures,
}


def unit(task_name: str, arm_name: str, seed: int, quick: bool) -> list[dict[str, Any]]:  # noqa: FBT001 - pickled
    """Run one arm on one seed; return what each budget showed."""
    task = TASKS[task_name]
    arm = Arm(task.opened(seed), seed)
    arm.show(arm.lab.starts(seed, task.boot_n, stream=BOOT, region=task.region), billed=False)
    tests = arm.lab.starts(seed, 60 if quick else task.tests_n, stream=TEST)
    rows = []
    for index, budget in enumerate(task.budgets):
        arm.round = index
        policy = arm.lab.train(arm.lessons, seed % 1_000_000 * 100 + index)
        outcomes = _tested(arm.lab, policy, tests, to_hold=task.to_hold)
        shown_n = min(SHOWN_N, len(outcomes)) if task.to_hold else len(outcomes)
        rows.append({
            "demonstrations": budget, "cost": arm.bill.cost, "rollouts": arm.bill.rollouts,
            "rate": float(np.mean(outcomes[:shown_n])), "k": int(sum(outcomes)), "n": len(outcomes),
            "holds90": _holds(outcomes, len(tests), 0.90), "holds95": _holds(outcomes, len(tests), 0.95),
        })  # fmt: skip
        if budget < task.budgets[-1]:
            arm.show(ARMS[arm_name](arm, policy, task.budgets[index + 1] - budget))
    print(f"{task_name} {arm_name} {seed}: {[row['rate'] for row in rows]}", file=sys.stderr, flush=True)
    return rows


def _tested(lab: Lab, policy: RunnablePolicy, tests: Sequence[Start], *, to_hold: bool) -> list[bool]:
    """Try the policy on the test starts; to hold, stop where no run of luck could still carry it over the lower bar."""
    outcomes: list[bool] = []
    most_failures = max(f for f in range(len(tests)) if clopper_pearson(len(tests) - f, len(tests)).low >= 0.90)
    for start in tests:
        outcomes.append(lab.roll(policy, start).success)
        if to_hold and len(outcomes) >= SHOWN_N and outcomes.count(False) > most_failures:
            break
    return outcomes


def _holds(outcomes: Sequence[bool], of: int, bar: float) -> bool:
    """Say whether the lower 95 % bound is at or above the bar; a test that was cut short is not."""
    return len(outcomes) == of and clopper_pearson(sum(outcomes), of).low >= bar


def held(rows: Sequence[Mapping[str, Any]], bar: str) -> Mapping[str, Any] | None:
    """Return the first budget from which on the bar is held to the end; None: never."""
    first = None
    for row in reversed(rows):
        if not row[bar]:
            break
        first = row
    return first


def _student(values: Sequence[float]) -> Measured:
    from scipy import stats

    mean, n = float(np.mean(values)), len(values)
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    return Measured(mean, mean - half, mean + half, n)


def _saved(task: str, arms: Mapping[str, list[list[dict[str, Any]]]], bar: str) -> Iterator[Figure]:
    """What each way costs until the bar is held; seeds that never held it count as one step past the last budget."""
    paid: dict[str, list[float]] = {}
    for name, seeds in arms.items():
        reached = [held(rows, bar) for rows in seeds]
        # Never held: at least what was spent in all. That favours the rival, which is the one that never holds.
        paid[name] = [(one or rows[-1])["cost"] for one, rows in zip(reached, seeds, strict=True)]
        prefix = f"efficiency.{task}.{bar}.{name}"
        yield shown(f"{prefix}.cost", _student(paid[name]), command=COMMAND)
        yield shown(f"{prefix}.never", _student([float(one is None) for one in reached]), command=COMMAND)
        for what in ("demonstrations", "rollouts"):
            spent = [float((one or rows[-1])[what]) for one, rows in zip(reached, seeds, strict=True)]
            yield shown(f"{prefix}.{what}", _student(spent), command=COMMAND)
    for name in [one for one in arms if one != "random"]:
        less = [1.0 - ours / theirs for ours, theirs in zip(paid[name], paid["random"], strict=True)]
        figure = f"efficiency.{task}.{bar}.{name}.less"
        judged = bar == "holds90" and (task, name) in {("pick-place", "saqiya"), ("pick-place-checked", "checked")}
        yield (at_least(figure, _student(less), 0.65, command=COMMAND) if judged
               else shown(figure, _student(less), command=COMMAND))  # fmt: skip


def _curves(task: str, arms: Mapping[str, list[list[dict[str, Any]]]]) -> Iterator[Figure]:
    """Success at each budget."""
    for name, seeds in arms.items():
        for index, budget in enumerate(TASKS[task].budgets):
            rates = _student([rows[index]["rate"] for rows in seeds])
            yield shown(f"efficiency.{task}.success.{name}.{budget}", rates, command=COMMAND)


def _past(task: str, arms: Mapping[str, list[list[dict[str, Any]]]]) -> Iterator[Figure]:
    """What 20 and 40 chosen demonstrations reach less what 80 random ones reach, seed by seed."""
    budgets = TASKS[task].budgets
    last = budgets[-1]
    at = {
        (name, budget): [rows[index]["rate"] for rows in seeds]
        for name, seeds in arms.items()
        for index, budget in enumerate(budgets)
    }
    for budget, judged in ((20, True), (40, True), (last, False)):
        ahead = [a - b for a, b in zip(at["failing", budget], at["random", last], strict=True)]
        name = f"efficiency.{task}.failing_{budget}_less_random_{last}"
        yield (
            at_least(name, _student(ahead), 0.0, command=COMMAND)
            if judged
            else shown(name, _student(ahead), command=COMMAND)
        )


def run(*, quick: bool) -> Iterator[Figure]:
    """Run every task's arms on every seed, and compare."""
    kept = Kept("efficiency-quick" if quick else "efficiency")
    for task, what in TASKS.items():
        seeds = (1, 2) if quick else what.seeds
        jobs = {f"v1/{task}/{arm}/{seed}": (task, arm, seed, quick) for seed in seeds for arm in what.arms}
        made = dict(zip(jobs, kept.units(jobs, unit), strict=True))
        arms = {arm: [made[f"v1/{task}/{arm}/{seed}"] for seed in seeds] for arm in what.arms}
        yield from _curves(task, arms)
        if not what.to_hold:
            yield from _past(task, arms)
            continue
        for bar in ("holds90", "holds95"):
            yield from _saved(task, arms, bar)
