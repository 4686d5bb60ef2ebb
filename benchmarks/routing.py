"""`routing`: a simulated week of twenty operators and 500 requests, by Saqiya's order, by priority, and by arrival."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from heapq import heappop, heappush

import numpy as np
from scipy import stats

from benchmarks.harness import Figure, Measured, at_least, shown
from saqiya.correct.pace import Tally, kept, pace
from saqiya.correct.routing import Sort, Work, Worker, blocked, lean, urgency

__all__ = ["run"]

COMMAND = "make bench ONLY=routing"
SEEDS = range(20261121, 20261129)
HOUR = 3600 * 10**9
WEEK_H, TARGET_H, SHIFT_H = 7 * 24.0, 24.0, 6.0
PEOPLE_N, REQUESTS_N = 20, 500
TASKS, SITES = ("peg", "cup", "cloth", "door", "cable"), ("north", "south", "east")
LOADS = {"calm": 50.0, "busy": 90.0, "flooded": 140.0}
"""Mean minutes of a request: about half of what the shifts can do, about all of it, and half as much again."""

Order = Callable[["Desk", Worker, Sequence[Worker]], Callable[["Asked"], float]]


@dataclass(frozen=True)
class Asked:
    """A request: as routing sees it, what it truly brings, and when it came."""

    work: Work
    gain: float
    at_ns: int
    number: int


@dataclass(frozen=True)
class Somebody:
    """An operator: their profile, and what nobody knows of them beforehand."""

    worker: Worker
    slow: Mapping[str, float]
    good: Mapping[str, float]
    begins_h: float

    def on_duty(self, t_ns: int) -> bool:
        """Say whether they are at work."""
        return (t_ns / HOUR - self.begins_h) % 24.0 < SHIFT_H

    def comes_ns(self, t_ns: int) -> int:
        """Return when they are at work next, now or later."""
        late = (t_ns / HOUR - self.begins_h) % 24.0
        return t_ns if late < SHIFT_H else t_ns + int((24.0 - late) * HOUR) + 1


@dataclass
class Desk:
    """What is open, what was learnt of people, and what came of it."""

    open: list[Asked] = field(default_factory=list)
    every: dict[tuple[str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    own: dict[str, dict[tuple[str, str], Tally]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Tally))
    )
    gain: float = 0.0
    cost: float = 0.0
    done_ns: dict[int, int] = field(default_factory=dict)

    def seen(self, worker: Worker) -> Worker:
        """Return a person with what their work has shown until now."""
        own = self.own[worker.name]
        return replace(
            worker,
            paces={alike: pace(tally, self.every[alike]) for alike, tally in own.items()},
            kept={alike: kept(tally, self.every[alike]) for alike, tally in own.items()},
        )

    def learn(self, name: str, sort: Sort, minutes: float, *, good: bool) -> None:
        """Take in one piece of work."""
        alike = (sort.task, sort.kind)
        for book in (self.every, self.own[name]):
            book[alike] = book[alike].handed(minutes).judged(good=good)


def arrival(_desk: Desk, _worker: Worker, _others: Sequence[Worker]) -> Callable[[Asked], float]:
    """First come, first served."""
    return lambda one: -one.at_ns


def priority(_desk: Desk, _worker: Worker, _others: Sequence[Worker]) -> Callable[[Asked], float]:
    """What it is said to bring a minute of anybody, and nothing else."""
    return lambda one: one.work.worth


def alike(_desk: Desk, _worker: Worker, _others: Sequence[Worker]) -> Callable[[Asked], float]:
    """Saqiya's order without what is known of the person."""
    return lambda one: urgency(one.work, target_ns=int(TARGET_H * HOUR))


def saqiya(desk: Desk, worker: Worker, others: Sequence[Worker]) -> Callable[[Asked], float]:
    """Saqiya's order."""
    me, them = desk.seen(worker), [desk.seen(one) for one in others]
    leans = cache(lambda sort: lean(sort, me, them, examined=()))
    return lambda one: urgency(one.work, target_ns=int(TARGET_H * HOUR)) + leans(one.work.sort)


ORDERS: dict[str, Order] = {"saqiya": saqiya, "without_person": alike, "priority": priority, "arrival": arrival}


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield gain for cost and the share overdue, of each order, and how far Saqiya's is from the others."""
    seeds = list(SEEDS)[: 2 if quick else None]
    for load, minutes in LOADS.items():
        weeks = {name: np.array([week(seed, minutes, order) for seed in seeds]) for name, order in ORDERS.items()}
        for name, values in weeks.items():
            yield shown(f"routing.{load}.{name}.gain_for_cost", _mean(values[:, 0]), command=COMMAND)
            yield shown(f"routing.{load}.{name}.overdue", _mean(values[:, 1]), command=COMMAND)
            yield shown(f"routing.{load}.{name}.gain", _mean(values[:, 2]), command=COMMAND)
        for name in ("arrival", "priority", "without_person"):
            ratio = _mean(weeks["saqiya"][:, 0] / weeks[name][:, 0])
            over = _mean(weeks["saqiya"][:, 1] - weeks[name][:, 1])
            title = f"routing.{load}.saqiya_over_{name}"
            if name == "arrival":
                yield at_least(f"{title}.gain_for_cost", ratio, 1.0, command=COMMAND)
            else:
                yield shown(f"{title}.gain_for_cost", ratio, command=COMMAND)
            yield shown(f"{title}.overdue", over, command=COMMAND)


def week(seed: int, minutes: float, order: Order) -> tuple[float, float, float]:
    """Simulate a week, and return gain for cost, the share overdue of what was due in it, and the gain."""
    rng = np.random.default_rng(seed)
    people, requests = crew(rng), asked(rng, minutes)
    luck = rng.normal(size=(len(requests), 40)), rng.uniform(size=(len(requests), 40))
    tried: dict[int, int] = defaultdict(int)
    desk, end_ns = Desk(), int(WEEK_H * HOUR)
    coming, returned = list(reversed(requests)), list[tuple[int, int, Asked]]()
    free = [(one.comes_ns(0), number) for number, one in enumerate(people)]
    free.sort()
    while free[0][0] < end_ns:
        now_ns, number = heappop(free)
        while coming and coming[-1].at_ns <= now_ns:
            desk.open.append(coming.pop())
        while returned and returned[0][0] <= now_ns:
            desk.open.append(heappop(returned)[2])
        who = people[number]
        mine = [one for one in desk.open if not blocked(one.work, who.worker, examined=())]
        if not mine or not who.on_duty(now_ns):
            heappush(free, (who.comes_ns(now_ns + HOUR // 12), number))
            continue
        others = [one.worker for one in people if one is not who and one.on_duty(now_ns)]
        place = order(desk, who.worker, others)
        best = max(mine, key=lambda one: (place(one), -one.number))
        desk.open.remove(best)
        turn, tried[best.number] = tried[best.number], tried[best.number] + 1
        task = best.work.sort.task
        took = best.work.minutes * who.slow[task] * float(np.exp(0.2 * luck[0][best.number, turn % 40]))
        good = bool(luck[1][best.number, turn % 40] < who.good[task])
        done_ns = now_ns + int(took * 60e9)
        desk.learn(who.worker.name, best.work.sort, took, good=good)
        desk.cost += took * who.worker.cost_per_minute
        if good:
            desk.gain, desk.done_ns[best.number] = desk.gain + best.gain, done_ns
        else:
            heappush(returned, (done_ns, best.number, best))
        heappush(free, (who.comes_ns(done_ns), number))
    due = [one for one in requests if one.work.due_ns <= end_ns]
    late = [one for one in due if desk.done_ns.get(one.number, end_ns + 1) > one.work.due_ns]
    return desk.gain / desk.cost, len(late) / len(due), desk.gain


def crew(rng: np.random.Generator) -> list[Somebody]:
    """Draw twenty people: speed, care, cost, skills, place and shift."""
    made = []
    for number in range(PEOPLE_N):
        known = tuple(rng.choice(TASKS, size=int(rng.integers(2, 6)), replace=False))
        sites = tuple(rng.choice(SITES, size=int(rng.integers(1, 4)), replace=False))
        worker = Worker(
            name=f"p{number:02d}", skills=known, sites=sites, rigs=(), qualified=frozenset(), held={},
            cost_per_minute=float(rng.choice([1.0, 1.5, 2.5, 4.0])),
        )  # fmt: skip
        slow = dict(zip(TASKS, np.exp(rng.normal(0.0, 0.4, len(TASKS))), strict=True))
        good = dict(zip(TASKS, rng.beta(8.0, 2.0, len(TASKS)), strict=True))
        made.append(Somebody(worker, slow, good, float(rng.integers(0, 24))))
    return made


def asked(rng: np.random.Generator, minutes: float) -> list[Asked]:
    """Draw the requests of a week: what they bring is forecast with an error, as a plan's is."""
    length = dict(zip(TASKS, rng.uniform(0.5, 1.5, len(TASKS)), strict=True))
    made = []
    for number, at_h in enumerate(np.sort(rng.uniform(0.0, WEEK_H, REQUESTS_N))):
        sort = Sort(str(rng.choice(TASKS)), str(rng.choice(SITES)), "", "takeover")
        gain, said = np.exp(rng.normal(-5.0, 1.0)), np.exp(rng.normal(0.0, 0.5))
        at_ns = int(at_h * HOUR)
        work = Work(sort, float(gain * said), minutes * length[sort.task], at_ns + int(TARGET_H * HOUR))
        made.append(Asked(work, float(gain), at_ns, number))
    return made


def _mean(values: np.ndarray) -> Measured:
    middle = float(np.mean(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return Measured(middle, middle - half, middle + half, len(values))
