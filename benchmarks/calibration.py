"""Whether the whole chain of detectors and fusion keeps its false-alarm budget (see PROTOCOL.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy import stats

from benchmarks._disturbed import Tried, rolled, taught
from benchmarks.harness import Figure, Measured, at_least, at_most, shown
from saqiya import plugins
from saqiya.detect.bands import Scored
from saqiya.detect.conformal import conformal_threshold
from saqiya.detect.fusion import fit_fusion, peak
from saqiya.domain.contracts import FittedDetector, Seen, Site

COMMAND = "make bench ONLY=calibration"
SEED = 20261121
DETECTORS = ("completion", "distance", "dynamics", "signals")
BUDGET = 0.10
BANDS_N, CALIBRATE_N, FRESH_N = 50, 50, 100
POOLS = {"metaworld-pick-place": 4, "tiny": 6}
TRIES_N = 400
RESAMPLES_N = 200
LOW_BAR, HIGH_BAR = 0.08, 0.105
TEN_N = 10


def pool_of(site: Site, site_name: str, seed: int, tries_n: int) -> list[Scored]:
    """Teach a policy, deploy it under nominal conditions, and score its successes with every detector."""
    policy, training = taught(site, site_name, seed)
    normal = [Seen.of(one.log.streams, one.log.events) for one in training]
    fitted = {name: plugins.load("saqiya.detectors", name)().fit(normal) for name in DETECTORS}
    tries = rolled(site, policy, 10 * seed + 4, tries_n, share_nominal=1.0)
    return [_scored(one, fitted) for one in tries if one.success]


def _scored(one: Tried, fitted: Mapping[str, FittedDetector]) -> Scored:
    span, parts = one.log.span, {}
    seen = Seen.of(one.log.streams, one.log.events)
    for name, detector in fitted.items():
        t_ns, scores = detector.score(seen)
        parts[name] = ((t_ns - span.start_ns) / 1e9, scores)
    phases = tuple(((event.t_ns - span.start_ns) / 1e9, event.name) for event in seen.events)
    return Scored(parts, (span.end_ns - span.start_ns) / 1e9, phases)


def false_alarms(pool: Sequence[Scored], seed: int, resamples: int) -> tuple[float, float]:
    """Return the mean share of fresh successes that alarm, with the exact rank and with the plain quantile.

    Bands and horizon are measured once, on successes of their own; each resample draws who calibrates and who is fresh.
    """
    rng = np.random.default_rng(seed)
    fusion = fit_fusion(pool[:BANDS_N], (), budget=BUDGET, names=DETECTORS)
    peaks = np.array([peak(fusion.score(one.parts, one.phases), fusion.horizon_s) for one in pool[BANDS_N:]])
    exact, plain = [], []
    for _ in range(resamples):
        drawn = rng.permutation(peaks)[: CALIBRATE_N + FRESH_N]
        held, fresh = drawn[:CALIBRATE_N], drawn[CALIBRATE_N:]
        threshold = conformal_threshold(held.tolist(), budget=BUDGET)
        exact.append(0.0 if threshold is None else float(np.mean(fresh > threshold)))
        plain.append(float(np.mean(fresh > np.quantile(held, 1.0 - BUDGET))))
    return float(np.mean(exact)), float(np.mean(plain))


def _over_pools(values: Sequence[float]) -> Measured:
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    mean = float(np.mean(values))
    return Measured(mean, mean - half, mean + half, len(values))


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield every figure of the protocol's section "calibration"."""
    exact, plain, ten = [], [], []
    for site_name, pools in POOLS.items():
        site: Site = plugins.load("saqiya.sites", site_name)()
        here = []
        for index in range(1 if quick else pools):
            seed = SEED + index
            pool = pool_of(site, site_name, seed, TRIES_N // 2 if quick else TRIES_N)
            here.append(false_alarms(pool, seed, RESAMPLES_N // 10 if quick else RESAMPLES_N))
            few = fit_fusion(pool[: TEN_N // 2], pool[TEN_N // 2 : TEN_N], budget=BUDGET, names=DETECTORS)
            ten.append(float(few.threshold is None))
        site.close()
        if len(here) > 1:
            yield shown(f"calibration.{site_name}.false_alarms", _over_pools([one[0] for one in here]), command=COMMAND)
        exact += [one[0] for one in here]
        plain += [one[1] for one in here]
    yield at_most("calibration.false_alarms", _over_pools(exact), HIGH_BAR, command=COMMAND)
    yield at_least("calibration.false_alarms.not_idle", _over_pools(exact), LOW_BAR, command=COMMAND)
    yield shown("calibration.plain_quantile.false_alarms", _over_pools(plain), command=COMMAND)
    yield at_least("calibration.ten_successes.infinite", _over_pools(ten), 1.0, command=COMMAND)
