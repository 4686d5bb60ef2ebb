"""Failures found before the clock says so, benign shift included, on two sites (see PROTOCOL.md)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from benchmarks._disturbed import CAUSES, Tried, rolled, taught
from benchmarks.harness import Figure, Measured, at_least, at_most, shown
from saqiya import plugins
from saqiya.detect.bands import Along, Scored
from saqiya.detect.distance import Distance
from saqiya.detect.fusion import Fusion, fit_fusion
from saqiya.detect.quality import Estimate, ModeReport, QualityReport, ScoredEpisode, quality_report
from saqiya.domain.contracts import FittedDetector, Seen, Site
from saqiya.domain.streams import Stream
from saqiya.errors import TooLittle

COMMAND = "make bench ONLY=detect"
SEED = 20261121
SEEDS = 5
SITES = {"metaworld": "metaworld-pick-place", "tiny": "tiny"}
ALONE = (
    "completion",
    "consistency",
    "disagreement",
    "distance",
    "dynamics",
    "dynamics-ahead",
    "mahalanobis",
    "outlook",
    "rnd",
    "signals",
)
FUSED = ("completion", "distance", "dynamics", "signals")
SETS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in ALONE},
    "fused": FUSED,
    "fused_with_outlook": (*FUSED, "outlook"),
    "fused_all": ALONE,
}
BUDGET = 0.10
NOMINAL_N, LABELLED_N, JUDGED_N = 100, 240, 400
AREA_BAR, GAIN_BAR = 0.86, 0.10
CAUGHT_BAR, NOMINAL_BAR = 0.90, 0.13
MIX_CAUGHT_BAR, MIX_BAR = 0.80, 0.25
SECONDS_BAR = 1.0


def absent(index: int) -> tuple[str, str]:
    """Return the two causes that no calibration of this reporting seed has seen; each is absent in two of five."""
    return CAUSES[index % 5], CAUSES[(index + 2) % 5]


@dataclass(frozen=True)
class Lots:
    """What one policy was deployed for: nominal tries, a labelled mix without the absent causes, and the judged mix."""

    training: list[Seen]
    nominal: list[Tried]
    labelled: list[Tried]
    judged: list[Tried]
    absent: tuple[str, str]


@dataclass(frozen=True)
class View:
    """A try as every detector scored it, and what no detector was told."""

    scored: Scored
    tried: Tried


def lots_of(site: Site, site_name: str, index: int, seed: int, share: int) -> Lots:
    """Teach a policy and deploy it three times, everything from one seed; `share` divides the numbers of tries."""
    policy, training = taught(site, site_name, seed)
    missing = absent(index)
    seen = [cause for cause in CAUSES if cause not in missing]
    return Lots(
        [_seen(one.log.streams, one.log.events) for one in training],
        rolled(site, policy, 10 * seed + 1, NOMINAL_N // share, share_nominal=1.0),
        rolled(site, policy, 10 * seed + 2, LABELLED_N // share, seen),
        rolled(site, policy, 10 * seed + 3, JUDGED_N // share),
        missing,
    )


def _seen(streams: Mapping[str, Stream], events: Sequence[object]) -> Seen:
    return Seen.of(streams, tuple(events))  # type: ignore[arg-type]


def fitted_on(lots: Lots) -> dict[str, FittedDetector]:
    """Fit every detector: novelty on demonstrations; with them half of the labelled successes and all failures."""
    good = [_seen(one.log.streams, one.log.events) for one in lots.labelled if one.success][::2]
    bad = [_seen(one.log.streams, one.log.events) for one in lots.labelled if not one.success]
    fitted = {}
    for name in ALONE:
        detector = plugins.load("saqiya.detectors", name)()
        try:
            fitted[name] = detector.fit(good, bad) if name == "outlook" else detector.fit(lots.training)
        except TooLittle:
            continue
    return fitted


def viewed(one: Tried, fitted: Mapping[str, FittedDetector]) -> View:
    """Score a try with every detector."""
    span, parts = one.log.span, {}
    seen = _seen(one.log.streams, one.log.events)
    for name, detector in fitted.items():
        t_ns, scores = detector.score(seen)
        parts[name] = ((t_ns - span.start_ns) / 1e9, scores)
    phases = tuple(((event.t_ns - span.start_ns) / 1e9, event.name) for event in seen.events)
    return View(Scored(parts, (span.end_ns - span.start_ns) / 1e9, phases), one)


def judged(views: Sequence[View], fusion: Fusion, seed: int) -> QualityReport:
    """Judge a fusion on tries that served for nothing."""
    episodes = []
    for view in views:
        fused = fusion.score(view.scored.parts, view.scored.phases)
        one = view.tried
        episodes.append(
            ScoredEpisode(
                one.success,
                view.scored.length_s,
                fused.t_s,
                fused.scores,
                mode="" if one.success else (one.cause or "nominal"),
                shifted=one.shifted,
            )
        )
    return quality_report(episodes, threshold=fusion.threshold, horizon_s=fusion.horizon_s, seed=seed, resamples=200)


@dataclass(frozen=True)
class Seeded:
    """What one seed gave: reports by operating point and arm, the absent causes, whether the second stage stayed."""

    reports: Mapping[tuple[str, str], QualityReport]
    absent: tuple[str, str]
    success: float
    kept: bool


def _rate(tries: Sequence[Tried]) -> float:
    return sum(one.success for one in tries) / len(tries)


def one_seed(site: Site, site_name: str, index: int, seed: int, share: int) -> Seeded:
    """Run one seed: calibrate in both ways, judge every arm on the same tries."""
    lots = lots_of(site, site_name, index, seed, share)
    fitted = fitted_on(lots)
    views = [viewed(one, fitted) for one in lots.judged]
    reports = {}
    for point, lot in (("nominal", lots.nominal), ("mix", lots.labelled)):
        good = [viewed(one, fitted).scored for one in lot if one.success]
        for arm, names in SETS.items():
            here = [name for name in names if name in fitted]
            if not here:
                continue
            fusion = fit_fusion(good[::2], good[1::2], budget=BUDGET, names=here)
            reports[point, arm] = judged(views, fusion, seed)
        for along in (Along.NOTHING, Along.PHASE):
            fusion = fit_fusion(good[::2], good[1::2], budget=BUDGET, names=FUSED, along=along)
            reports[point, f"fused_by_{along}"] = judged(views, fusion, seed)
        reports[point, "fused_by_max"] = _largest(views, good, seed)
    bad = [viewed(one, fitted).scored for one in lots.labelled if not one.success]
    fusion = fit_fusion(good[::2], good[1::2], budget=BUDGET, names=FUSED, failed=bad, seed=seed)
    reports["mix", "second_stage"] = judged(views, fusion, seed)
    return Seeded(reports, lots.absent, _rate(lots.judged), kept=fusion.learned)


def _largest(views: Sequence[View], good: Sequence[Scored], seed: int) -> QualityReport:
    """The rival way to fuse: the largest of the detectors' spreads, with its own threshold of the same kind."""
    singles = [fit_fusion(good[::2], good[1::2], budget=BUDGET, names=(name,)) for name in FUSED]

    def largest(one: Scored) -> Scored:
        fused = [single.score(one.parts, one.phases) for single in singles]
        t_s = np.unique(np.concatenate([part.t_s for part in fused]))
        rows = []
        for part in fused:
            last = np.searchsorted(part.t_s, t_s, side="right") - 1
            rows.append(np.where(last >= 0, part.scores[np.maximum(last, 0)], -np.inf))
        return Scored({"max": (t_s, np.max(rows, axis=0))}, one.length_s, one.phases)

    fusion = fit_fusion(
        [largest(one) for one in good[::2]],
        [largest(one) for one in good[1::2]],
        budget=BUDGET,
        names=("max",),
        along=Along.NOTHING,
    )
    return judged([replace(view, scored=largest(view.scored)) for view in views], fusion, seed)


def over_seeds(values: Iterable[float | None]) -> Measured | None:
    """Return the mean over seeds with Student's interval; None where fewer than two seeds could say."""
    known = np.array([value for value in values if value is not None])
    if len(known) < 2:
        return None
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
    """Yield every figure of the protocol's section "detect"."""
    for label, site_name in SITES.items():
        site: Site = plugins.load("saqiya.sites", site_name)()
        seeds = [
            one_seed(site, site_name, index, SEED + index, 4 if quick else 1) for index in range(2 if quick else SEEDS)
        ]
        site.close()
        yield from _site(f"detect.{label}", seeds, bars=label == "metaworld")
    timed = over_seeds(seconds_to_score() for _ in range(3))
    if timed is not None:
        yield at_most("detect.distance.seconds", timed, SECONDS_BAR, command=COMMAND)


def _site(label: str, seeds: Sequence[Seeded], *, bars: bool) -> Iterator[Figure]:
    yield from _shown(f"{label}.success", [one.success for one in seeds])
    yield from _shown(f"{label}.mix.second_stage.kept", [float(one.kept) for one in seeds])
    for point, arm in seeds[0].reports:
        reports = [one.reports[point, arm] for one in seeds if (point, arm) in one.reports]
        judge = bars and arm == "fused"
        figures = FIGURES if arm == "fused" else SHORT
        yield from _arm(f"{label}.{point}.{arm}", reports, point if judge else "", figures)
        if arm == "fused":
            yield from _stopwatch(f"{label}.{point}.stopwatch", reports)
            yield from _causes(f"{label}.{point}.fused", seeds, point)


BARS: Mapping[str, Mapping[str, tuple[str, float]]] = {
    "nominal": {
        "auroc": ("least", AREA_BAR),
        "gain": ("least", GAIN_BAR),
        "caught": ("least", CAUGHT_BAR),
        "false_alarms_nominal": ("most", NOMINAL_BAR),
    },
    "mix": {"caught": ("least", MIX_CAUGHT_BAR), "false_alarms": ("most", MIX_BAR)},
}
FIGURES = (
    "auroc",
    "gain",
    "auroc_half",
    "gain_half",
    "auroc_running",
    "caught",
    "lead_s",
    "false_alarms",
    "false_alarms_nominal",
    "false_alarms_shifted",
)


SHORT = ("auroc", "gain", "gain_half", "caught", "false_alarms", "false_alarms_nominal")


def _arm(
    name: str, reports: Sequence[QualityReport], judged_at: str, figures: Sequence[str] = FIGURES
) -> Iterator[Figure]:
    for figure in figures:
        measured = over_seeds(_value(report, figure) for report in reports)
        if measured is None:
            continue
        way, bar = BARS.get(judged_at, {}).get(figure, ("", 0.0))
        if way == "least":
            yield at_least(f"{name}.{figure}", measured, bar, command=COMMAND)
        elif way == "most":
            yield at_most(f"{name}.{figure}", measured, bar, command=COMMAND)
        else:
            yield shown(f"{name}.{figure}", measured, command=COMMAND)


def _stopwatch(name: str, reports: Sequence[QualityReport]) -> Iterator[Figure]:
    yield from _shown(f"{name}.auroc", [_value(report, "stopwatch") for report in reports])
    yield from _shown(f"{name}.auroc_half", [_value(report, "stopwatch_half") for report in reports])


def _causes(name: str, seeds: Sequence[Seeded], point: str) -> Iterator[Figure]:
    """Each cause apart; at the mix also by whether calibration had seen it, over all seeds and causes."""
    for cause in CAUSES:
        found = [one.reports[point, "fused"].modes.get(cause) for one in seeds]
        for figure in ("auroc", "gain", "gain_half", "caught", "lead_s"):
            yield from _shown(f"{name}.{cause}.{figure}", [_value(one, figure) for one in found if one is not None])
    for word in ("seen", "unseen"):
        caught = []
        for one in seeds:
            modes = one.reports[point, "fused"].modes
            kept = [modes[cause] for cause in CAUSES if cause in modes and (cause in one.absent) == (word == "unseen")]
            total = sum(mode.failures_n for mode in kept)
            caught.append(sum((mode.caught.value or 0.0) * mode.failures_n for mode in kept) / total if total else None)
        yield from _shown(f"{name}.{word}_causes.caught", caught)


def _shown(name: str, values: Iterable[float | None]) -> Iterator[Figure]:
    measured = over_seeds(values)
    if measured is not None:
        yield shown(name, measured, command=COMMAND)


def _value(report: QualityReport | ModeReport, attribute: str) -> float | None:
    found: Estimate = getattr(report, attribute)
    return found.value
