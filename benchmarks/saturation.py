"""How far forecasts of learning curves can be believed: on curves of known shape, and on retrained policies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks._curves import AHEAD, shapes, watched
from benchmarks.harness import Figure, Measured, at_least, at_most, shown
from benchmarks.studies._lab import Lab
from saqiya.measure.saturation import Curve, Point, enough, fit, gain, rivals

COMMAND = "make bench ONLY=saturation"
SEEDS = range(20261121, 20261129)
CURVES_N = 25
NOISE = (0.0, 0.03, 0.06)
SLACK = 0.001
UNFORESEEN = ("late", "linear", "step")
THRESHOLD = 0.01
WINDOWS = ((4, 8, 12, 16), (8, 16, 24, 32))
RECIPES: dict[str, dict[str, float]] = {"ridge": {}, "narrow ridge": {"features": 48.0}}
TRIES_N = 100


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield coverage by shape, errors beside the rivals', what stopping lost; then the same of retrained policies."""
    seeds = range(2) if quick else SEEDS
    yield from _simulated(seeds, 2 if quick else CURVES_N)
    yield from _retrained(seeds)


def _simulated(seeds: Sequence[int], curves_n: int) -> Iterator[Figure]:
    held: dict[str, list[float]] = defaultdict(list)
    errors: dict[str, list[float]] = defaultdict(list)
    lost, stopped = [], []
    for seed in seeds:
        rows = [row for index in range(curves_n) for row in _curves(seed, index)]
        for name in dict.fromkeys(str(row["shape"]) for row in rows):
            held[name].append(float(np.mean([row["held"] for row in rows if row["shape"] == name])))
        held["all"].append(float(np.mean([row["held"] for row in rows])))
        held["foreseeable"].append(float(np.mean([r["held"] for r in rows if r["shape"] not in UNFORESEEN])))
        for name in ("fit", "no change", "last slope"):
            errors[name].append(float(np.mean([row[name] for row in rows])))
        stops = [row for row in rows if row["stopped"]]
        stopped.append(len(stops) / sum(bool(row["near"]) for row in rows))
        lost.append(float(np.mean([row["lost"] for row in stops])) if stops else 0.0)
    for name, shares in held.items():
        told = _mean(shares)
        judged = name in {"all", "foreseeable"}
        figure = f"saturation.simulated.coverage.{name}"
        yield at_least(figure, told, 0.9, command=COMMAND) if judged else shown(figure, told, command=COMMAND)
    for name, values in errors.items():
        yield shown(f"saturation.simulated.error.{name.replace(' ', '_')}", _mean(values), command=COMMAND)
    better = _mean([rival - own for own, rival in zip(errors["fit"], errors["no change"], strict=True)])
    yield at_least("saturation.simulated.better_than_no_change", better, 0.0, command=COMMAND)
    yield shown("saturation.simulated.stopped", _mean(stopped), command=COMMAND)
    yield at_most("saturation.simulated.stopped_too_early", _mean(lost), 0.05, command=COMMAND)


def _curves(seed: int, index: int) -> Iterator[dict[str, float | str]]:
    rng = np.random.default_rng([seed, index])
    for name, shape in shapes(rng).items():
        curve = watched(shape, name, rng, noise=NOISE[index % len(NOISE)])
        now = curve.points[-1].demonstrations
        stop = bool(enough(curve, THRESHOLD, seed=seed))
        for more in AHEAD:
            told, true = gain(curve, more, seed=seed), shape(now + more) - shape(now)
            guess = {"fit": float(fit(curve, seed=seed).success(now + more).mean()), **rivals(curve, more)}
            yield {
                "shape": name,
                "held": told.low - SLACK <= true <= told.high + SLACK,
                "near": more == AHEAD[0],
                "stopped": stop and more == AHEAD[0],
                "lost": true >= THRESHOLD,
                **{rule: abs(value - shape(now + more)) for rule, value in guess.items()},
            }


def _retrained(seeds: Sequence[int]) -> Iterator[Figure]:
    for recipe, settings in RECIPES.items():
        lab = Lab("tiny", trainer="ridge", settings=settings)
        errors: dict[str, list[float]] = defaultdict(list)
        held, reached = [], []
        for seed in seeds:
            measured = _measured(lab, seed)
            mine: dict[str, list[float]] = defaultdict(list)
            for window in WINDOWS:
                curve = Curve("tiny", tuple(Point(n, measured[n], TRIES_N) for n in window))
                for more in AHEAD:
                    at, seen = window[-1] + more, measured[window[-1] + more] / TRIES_N
                    fitted = fit(curve, seed=seed)
                    low, high = np.quantile(fitted.tested(at, TRIES_N, seed), (0.025, 0.975))
                    mine["held"].append(low <= seen <= high)
                    mine["fit"].append(abs(float(fitted.success(at).mean()) - seen))
                    for rule, value in rivals(curve, more).items():
                        mine[rule].append(abs(value - seen))
            for rule in ("fit", "no change", "last slope"):
                errors[rule].append(float(np.mean(mine[rule])))
            held.append(float(np.mean(mine["held"])))
            reached.append(measured[max(measured)] / TRIES_N)
        stem = f"saturation.retrained.{recipe.replace(' ', '_')}"
        yield shown(f"{stem}.reached", _mean(reached), command=COMMAND)
        yield at_least(f"{stem}.coverage", _mean(held), 0.9, command=COMMAND)
        for rule, values in errors.items():
            yield shown(f"{stem}.error.{rule.replace(' ', '_')}", _mean(values), command=COMMAND)
        for rule in ("no change", "last slope"):
            better = _mean([rival - own for own, rival in zip(errors["fit"], errors[rule], strict=True)])
            yield at_least(f"{stem}.better_than_{rule.replace(' ', '_')}", better, 0.0, command=COMMAND)


def _measured(lab: Lab, seed: int) -> dict[int, int]:
    """Return successes in 100 tries of policies of nested parts of one seed's demonstrations, by their number."""
    sizes = sorted({n for window in WINDOWS for n in (*window, *(window[-1] + more for more in AHEAD))})
    made = [lab.demonstrate(start) for start in lab.starts(seed, sizes[-1] + 20, stream=0)]
    lessons = [lab.lesson(one) for one in made if one.success][: sizes[-1]]
    tests = lab.starts(seed, TRIES_N, stream=1)
    return {n: round(TRIES_N * lab.rate(lab.train(lessons[:n], seed + n), tests)) for n in sizes}


def _mean(values: Sequence[float]) -> Measured:
    """Return the mean over seeds with Student's 95 % interval."""
    from scipy import stats

    middle, error = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
    reach = error * float(stats.t.ppf(0.975, len(values) - 1))
    return Measured(middle, middle - reach, middle + reach, len(values))
