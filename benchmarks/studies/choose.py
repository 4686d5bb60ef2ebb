"""Does choosing 10 of 40 candidates by novelty make a better policy than choosing at random, or the longest?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.harness import Figure, Measured, at_least, at_most, exactly, shown
from benchmarks.studies._kept import Kept
from benchmarks.studies._lab import Lab
from saqiya.domain.contracts import Lesson, Observation, Operator, Roll, RunnablePolicy, Vector
from saqiya.domain.nouns import Source
from saqiya.domain.streams import Start
from saqiya.evaluate.ablation import sign_flip
from saqiya.loop.novelty.ablate_data import Piece, Subject
from saqiya.loop.novelty.ablate_score import score
from saqiya.loop.tries.rollout import Try, run_try
from saqiya.sites.disturbed import Disturbed

COMMAND = "make study ONLY=choose"
VERSION = "1"
SEEDS = range(20261121, 20261129)
INITS_N = 3
TESTS_N = 100
BASE_N, NARROW = 20, 0.4
CHOSEN_N = 10
COPY_M = 0.002
TREMBLE = 0.5
Arms = dict[str, list[list[int]]]


@dataclass(frozen=True)
class Candidate:
    """An episode that could be trained on; where it comes from is known to the judge alone."""

    kind: str
    done: Try
    lesson: Lesson


@dataclass(frozen=True)
class _Hand:
    """The expert, whose actions something spoils: `spoil(step, wanted)` gives what is carried out."""

    expert: Operator
    spoil: Callable[[int, Vector], Vector]
    count: list[int]
    name: str = "expert"

    def act(self, observation: Observation) -> Vector | None:
        """Spoil the expert's action."""
        wanted = self.expert.act(observation)
        self.count[0] += 1
        return None if wanted is None else self.spoil(self.count[0] - 1, wanted)


def _spoiled(lab: Lab, start: Start, spoil: Callable[[int, Vector], Vector]) -> Try:
    expert = lab.site.expert(start.seed)  # type: ignore[attr-defined]
    roll = Roll("demonstration", start, Source.DEMONSTRATION, operator="expert")
    return run_try(lab.site, roll, policy=None, operator=_Hand(expert, spoil, [0]), facts={})


def _near(start: Start, ranges: dict[str, tuple[float, float]], rng: np.random.Generator) -> Start:
    moved = {
        name: float(np.clip(float(value) + rng.normal(0.0, COPY_M), *ranges[name]))
        for name, value in start.factors.items()
    }
    return Start(int(rng.integers(2**31)), moved)


def pool(lab: Lab, base: Sequence[Start], policy: RunnablePolicy, seed: int) -> list[Candidate]:
    """Collect the 40 candidates of a seed, in an order that tells nothing."""
    rng = np.random.default_rng([seed, 40])
    ranges, pushed = lab.site.spec.factors, Lab(Disturbed(lab.site, "push", seed=seed))

    narrow = lab.starts(seed, 8, stream=1, region=NARROW)
    wide = lab.starts(seed, 12, stream=2)
    made: list[tuple[str, Try]] = [("narrow", lab.demonstrate(one)) for one in narrow]
    made += [("copy", lab.demonstrate(_near(base[i], ranges, rng))) for i in range(4)]
    made += [("wide", lab.demonstrate(one)) for one in wide]
    made += [("wide-copy", lab.demonstrate(_near(wide[i], ranges, rng))) for i in range(4)]
    made += [("pushed", pushed.demonstrate(one)) for one in lab.starts(seed, 4, stream=3)]
    made += [("failed", one) for one in _failures(lab, policy, lab.starts(seed, 60, stream=4), 4)]
    made += [
        ("random", _spoiled(lab, one, lambda _, a: rng.uniform(-1.0, 1.0, len(a))))
        for one in lab.starts(seed, 2, stream=5)
    ]
    made += [
        ("tremble", _spoiled(lab, one, lambda _, a: a + rng.normal(0.0, TREMBLE, len(a))))
        for one in lab.starts(seed, 2, stream=6)
    ]
    order = rng.permutation(len(made))
    return [Candidate(made[i][0], made[i][1], lab.lesson(made[i][1])) for i in order]


def _failures(lab: Lab, policy: RunnablePolicy, starts: Sequence[Start], n: int) -> list[Try]:
    tries = (lab.roll(policy, start) for start in starts)
    return list(islice((one for one in tries if not one.success), n))


def arms(lab: Lab, base: Sequence[Lesson], candidates: Sequence[Candidate], policy: RunnablePolicy, seed: int) -> Arms:
    """Return what each arm trains on beside the base, by init: random choice draws anew for each."""
    pieces = [_piece(str(i), one.lesson, failed=not one.done.success) for i, one in enumerate(candidates)]
    known = [_piece(f"base-{i}", one, failed=False) for i, one in enumerate(base)]
    subject = Subject(tuple(known), tuple(pieces), (), lab.spec, None)
    scored = {
        name: score(name, subject, policy, CHOSEN_N, seed=seed).chosen for name in ("novelty", "bits", "surprisal")
    }
    fine = [i for i, one in enumerate(candidates) if one.done.success]
    every = list(range(len(candidates)))

    def longest(among: Sequence[int]) -> list[int]:
        return sorted(among, key=lambda i: -pieces[i].human_steps)[:CHOSEN_N]

    def drawn(among: Sequence[int], init: int) -> list[int]:
        return np.random.default_rng([seed, init, len(among)]).choice(among, CHOSEN_N, replace=False).tolist()

    fixed = {**scored, "longest": longest(fine), "longest_any": longest(every), "usable": fine, "all": every}
    made: Arms = {name: [list(chosen)] * INITS_N for name, chosen in fixed.items()}
    made["random"] = [drawn(fine, init) for init in range(INITS_N)]
    made["random_any"] = [drawn(every, init) for init in range(INITS_N)]
    return {**made, "none": [[]] * INITS_N}


def _piece(name: str, lesson: Lesson, *, failed: bool) -> Piece:
    return Piece(name, (lesson,), 0, failed=failed, plain=True)


def unit(seed: int, tests_n: int) -> dict[str, dict[str, Any]]:
    """Measure a seed: success of every arm's policies, the kinds that it took, and its human steps."""
    lab = Lab("metaworld-pick-place")
    begun = lab.starts(seed, BASE_N, stream=0, region=NARROW)
    base = [lab.lesson(lab.demonstrate(start)) for start in begun]
    policy = lab.train(base, seed)
    candidates = pool(lab, begun, policy, seed)
    test = lab.starts(seed, tests_n, stream=9)
    made: dict[str, dict[str, Any]] = {}
    for name, sets in arms(lab, base, candidates, policy, seed).items():
        lessons = [[*base, *(candidates[i].lesson for i in chosen)] for chosen in sets]
        rates = [lab.rate(lab.train(one, 10 * seed + init), test) for init, one in enumerate(lessons)]
        kinds = Counter(candidates[i].kind for i in sets[0])
        steps = [sum(candidates[i].done.human_steps for i in chosen) for chosen in sets]
        made[name] = {"rates": rates, "kinds": dict(kinds), "steps": float(np.mean(steps))}
    return made


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield success of every arm, the chosen's lead over each rival, and its share of training on all."""
    seeds = range(1, 3) if quick else SEEDS
    tests_n = 20 if quick else TESTS_N
    jobs = {f"{VERSION}/{seed}/{tests_n}": (seed, tests_n) for seed in seeds}
    units = Kept("choose").units(jobs, unit)
    rates = {name: np.array([np.mean(one[name]["rates"]) for one in units]) for name in units[0]}
    for name, values in rates.items():
        yield shown(f"choose.success.{name}", _over(values), command=COMMAND)
        yield shown(
            f"choose.human_steps.{name}", _over(np.array([one[name]["steps"] for one in units])), command=COMMAND
        )
    for rival in ("random", "longest", "random_any", "longest_any"):
        apart = rates["novelty"] - rates[rival]
        yield at_least(f"choose.above.{rival}", _over(apart), 0.05, command=COMMAND)
        p = replace(exactly(sign_flip(apart)), seeds=len(apart))
        yield at_most(f"choose.above.{rival}.p", p, 0.05, command=COMMAND)
    for rival in ("bits", "surprisal"):
        yield shown(f"choose.above.{rival}", _over(rates["novelty"] - rates[rival]), command=COMMAND)
    for whole in ("all", "usable"):
        share = rates["novelty"] / np.maximum(rates[whole], 1e-9)
        yield at_least(f"choose.share_of.{whole}", _over(share), 0.95, command=COMMAND)


def _over(values: Vector) -> Measured:
    """Mean over seeds with Student's 95 % interval."""
    from scipy import stats

    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Measured(float(values.mean()), float(values.mean()) - half, float(values.mean()) + half, len(values))
