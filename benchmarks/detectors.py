"""Runtime signals up to the success horizon, beside the stopwatch, on two sites (see PROTOCOL.md)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.harness import Figure, Measured, at_least, at_most, shown
from saqiya import plugins
from saqiya.detect.conformal import conformal_threshold, success_horizon
from saqiya.detect.distance import Distance
from saqiya.detect.quality import Estimate, QualityReport, ScoredEpisode, fuse, quality_report
from saqiya.domain.contracts import Lesson, Roll, RunnablePolicy, Seen, Site
from saqiya.domain.nouns import PolicySpec, Source
from saqiya.domain.streams import Stream
from saqiya.loop.rollout import Try, run_try

COMMAND = "make bench ONLY=detectors"
SEED = 20261121
SEEDS = 5
DETECTORS = ("disagreement", "distance")
FUSED = "any"
BUDGET = 0.10
DEMONSTRATIONS = 20
REGION = 0.4
ROLLOUTS = 200
FALSE_ALARM_BAR = 0.13
HALF_GAIN_BAR = 0.10
SECONDS_BAR = 1.0


@dataclass(frozen=True)
class Scenario:
    """A site and the trainer whose policy is watched there."""

    site: str
    trainer: str
    settings: Mapping[str, float]


SCENARIOS = {
    "metaworld": Scenario("metaworld-pick-place", "ensemble", {"steps": 1000.0}),
    "tiny": Scenario("tiny", "ridge", {}),
}


def taught(site: Site, scenario: Scenario, seed: int) -> tuple[RunnablePolicy, list[Try]]:
    """Demonstrate from the narrow middle of the start region, and train a policy on it."""
    demonstrations = []
    for index in range(DEMONSTRATIONS):
        start = site.sample_start(seed * 1000 + index, region=REGION)
        roll = Roll(f"demonstration-{index}", start, Source.DEMONSTRATION, operator="expert")
        demonstrations.append(run_try(site, roll, policy=None, operator=site.expert(start.seed), facts={}))  # type: ignore[attr-defined]
    good = [one for one in demonstrations if one.success]
    spec = PolicySpec(
        observation=dict(site.spec.observation),
        action=len(site.spec.action_low),
        rate_hz=site.spec.rate_hz,
        chunk=8,
        execute=2,
        embodiment=site.spec.embodiment,
    )
    lessons = [_lesson(one.log.streams, spec, index) for index, one in enumerate(good)]
    trainer = plugins.load("saqiya.trainers", scenario.trainer)()
    trained = trainer.fit(lessons, spec, settings=scenario.settings, seed=seed, progress=lambda *_: None)
    return trainer.load(trained.spec, trained.tensors), good


def _lesson(streams: Mapping[str, Stream], spec: PolicySpec, index: int) -> Lesson:
    actions = streams["action/executed"].values
    observation = [streams[f"observation/{name}"].values[: len(actions)] for name in spec.observation]
    return Lesson(np.concatenate(observation, axis=1), actions, np.ones(len(actions)), index)


def deployed(site: Site, policy: RunnablePolicy, seed: int, n: int) -> list[Try]:
    """Roll the policy out from the full start region."""
    tries = []
    for index in range(n):
        roll = Roll(f"rollout-{index}", site.sample_start(seed * 1000 + 500 + index), Source.ROLLOUT)
        tries.append(run_try(site, roll, policy=policy, operator=None, facts={}))
    return tries


def judged(tries: Sequence[Try], training: Sequence[Try], seed: int) -> dict[str, QualityReport]:
    """Calibrate on every other success, judge on the other successes and all failures."""
    successes = [index for index, one in enumerate(tries) if one.success]
    held = successes[::2]
    tested = [index for index in range(len(tries)) if index not in set(held)]
    views: dict[str, list[ScoredEpisode]] = {}
    thresholds: dict[str, float | None] = {}
    horizon_s = success_horizon([_length_s(tries[index]) for index in held])
    for name in DETECTORS:
        fitted = plugins.load("saqiya.detectors", name)().fit([Seen.of(one.log.streams) for one in training])
        views[name] = [_view(one, *fitted.score(Seen.of(one.log.streams))) for one in tries]
        peaks = [views[name][index].peak(horizon_s) for index in held]
        thresholds[name] = conformal_threshold(peaks, budget=BUDGET / len(DETECTORS))
    reports = {
        name: quality_report(
            [views[name][index] for index in tested], threshold=thresholds[name], horizon_s=horizon_s, seed=seed
        )
        for name in DETECTORS
    }
    both = [fuse({name: (views[name][index], thresholds[name]) for name in DETECTORS}) for index in tested]
    reports[FUSED] = quality_report(both, threshold=1.0, horizon_s=horizon_s, seed=seed)
    return reports


def _view(one: Try, t_ns: np.ndarray, scores: np.ndarray) -> ScoredEpisode:
    return ScoredEpisode(one.success, _length_s(one), (t_ns - one.log.span.start_ns) / 1e9, scores)


def _length_s(one: Try) -> float:
    return (one.log.span.end_ns - one.log.span.start_ns) / 1e9


def over_seeds(values: Iterable[float | None]) -> Measured:
    """Return the mean over seeds with Student's interval; a seed that could not say does not count."""
    known = np.array([value for value in values if value is not None])
    if len(known) < 2:
        raise ValueError("fewer than two seeds gave a value: the scenario has too few failures or successes")
    mean = float(known.mean())
    half = float(stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return Measured(mean, mean - half, mean + half, len(known))


def seconds_to_score() -> float:
    """Time `distance` on 200 tries of 100 steps against 3,000 training rows of 18 numbers."""

    def wander(seed: int) -> dict[str, Stream]:
        rng, t_ns = np.random.default_rng(seed), np.arange(100, dtype=np.int64)
        path = np.cumsum(rng.normal(size=(100, 14)), axis=0)
        return {"observation/state": Stream(t_ns, path), "action/executed": Stream(t_ns, rng.normal(size=(100, 4)))}

    fitted = Distance().fit([Seen.of(wander(SEED + index)) for index in range(30)])
    tries = [wander(SEED + 100 + index) for index in range(200)]
    began = time.perf_counter()
    for one in tries:
        fitted.score(Seen.of(one))
    return time.perf_counter() - began


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield every figure of the protocol's section "detectors"."""
    seeds = range(SEED, SEED + (2 if quick else SEEDS))
    for label, scenario in SCENARIOS.items():
        site: Site = plugins.load("saqiya.sites", scenario.site)()
        reports, rates = [], []
        for seed in seeds:
            policy, training = taught(site, scenario, seed)
            tries = deployed(site, policy, seed, ROLLOUTS // 4 if quick else ROLLOUTS)
            rates.append(sum(one.success for one in tries) / len(tries))
            reports.append(judged(tries, training, seed))
        site.close()
        yield shown(f"detectors.{label}.success", over_seeds(rates), command=COMMAND)
        yield from _stopwatch(label, reports)
        for name in (*DETECTORS, FUSED):
            yield from _detector(f"detectors.{label}.{name}", [report[name] for report in reports], judge=name == FUSED)
    timed = [seconds_to_score() for _ in range(3)]
    yield at_most("detectors.distance.seconds", over_seeds(timed), SECONDS_BAR, command=COMMAND)


def _stopwatch(label: str, reports: Sequence[Mapping[str, QualityReport]]) -> Iterator[Figure]:
    for figure, attribute in (("auroc", "stopwatch"), ("auroc_half", "stopwatch_half")):
        values = [_value(report[DETECTORS[1]], attribute) for report in reports]
        yield shown(f"detectors.{label}.stopwatch.{figure}", over_seeds(values), command=COMMAND)


def _detector(name: str, reports: Sequence[QualityReport], *, judge: bool) -> Iterator[Figure]:
    for attribute in ("auroc", "gain", "auroc_half", "auroc_running", "caught", "lead_s"):
        values = [_value(report, attribute) for report in reports]
        if any(value is not None for value in values):
            yield shown(f"{name}.{attribute}", over_seeds(values), command=COMMAND)
    gains = over_seeds(_value(report, "gain_half") for report in reports)
    false_alarms = over_seeds(_value(report, "false_alarms") for report in reports)
    if judge:
        yield at_least(f"{name}.gain_half", gains, HALF_GAIN_BAR, command=COMMAND)
        yield at_most(f"{name}.false_alarms", false_alarms, FALSE_ALARM_BAR, command=COMMAND)
    else:
        yield shown(f"{name}.gain_half", gains, command=COMMAND)
        yield shown(f"{name}.false_alarms", false_alarms, command=COMMAND)


def _value(report: QualityReport, attribute: str) -> float | None:
    found: Estimate = getattr(report, attribute)
    return found.value
