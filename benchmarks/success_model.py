"""What a try came to, told from its state data: a failure mode held out of training (see PROTOCOL.md)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks._disturbed import CAUSES, Tried, rolled, taught
from benchmarks.detect import over_seeds
from benchmarks.harness import Figure, Measured, at_least, at_most, shown
from saqiya import plugins
from saqiya.detect.conformal import success_horizon
from saqiya.detect.outlook import Outlook
from saqiya.detect.quality import ScoredEpisode, quality_report
from saqiya.detect.success import SuccessModel, fit_success
from saqiya.domain.contracts import Seen, Site, Vector
from saqiya.domain.streams import Stream
from saqiya.domain.words import Outcome
from saqiya.errors import TooLittle

COMMAND = "make bench ONLY=success_model"
SEED = 20261121
SEEDS = 5
SITES = {"metaworld": ("metaworld-pick-place", 400), "tiny": ("tiny", 2000)}
"""Site and test tries a seed: 2,000 over five seeds, and 2,000 in each of five."""
LABELLED = 400
FEW = 100
BINS = 10
RECALL = 0.7
EARLIEST = 0.3
OBJECT = frozenset({"observation/object", "observation/reach", "observation/carry", "observation/puck"})
"""Streams that say where the object is: with them the last frame measures the criterion itself."""
AUROC_BAR, ECE_BAR, ABSTAINED_BAR, ERROR_BAR = 0.97, 0.03, 0.15, 0.02


@dataclass(frozen=True)
class Pool:
    """One seed's labelled tries, in which no failure has the held-out cause, and its test tries, in which some have."""

    labelled: list[Tried]
    test: list[Tried]
    held_out: str


def pool(site: Site, site_name: str, seed: int, test_n: int) -> Pool:
    """Teach a policy, deploy it twice, and hold one cause out of what is labelled; causes take turns over seeds."""
    held_out = CAUSES[seed % len(CAUSES)]
    policy, _ = taught(site, site_name, seed)
    labelled = rolled(site, policy, seed + 1000, LABELLED, [cause for cause in CAUSES if cause != held_out])
    return Pool(labelled, rolled(site, policy, seed + 2000, test_n), held_out)


def area(scores: Vector, success: np.ndarray) -> float:
    """Return the share of (success, failure) pairs in which the success scores higher; a tie is half."""
    above = scores[success][:, None] - scores[~success][None]
    return float((above > 0).mean() + 0.5 * (above == 0).mean())


def calibration_error(probability: Vector, success: np.ndarray) -> float:
    """Return the expected calibration error over `BINS` equal bins."""
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    gaps = [(bins == k).mean() * abs(probability[bins == k].mean() - success[bins == k].mean()) for k in {*bins}]
    return float(sum(gaps))


def precision_at(probability: Vector, success: np.ndarray, recall: float) -> float:
    """Return the precision on failures at the threshold that finds `recall` of them."""
    called = probability <= np.sort(probability[~success])[int(np.ceil(recall * (~success).sum())) - 1]
    return float((~success)[called].mean())


def judged(model: SuccessModel, tries: Sequence[Tried], held_out: str, seed: int) -> dict[str, float | None]:
    """Return all figures of one model on test tries; what it did not learn from it does not look at."""
    verdicts = [model.judge(_seen(one)) for one in tries]
    success = np.array([one.success for one in tries])
    probability = np.array([verdict.probability for verdict in verdicts])
    decided = np.array([verdict.outcome is not Outcome.UNKNOWN for verdict in verdicts])
    said = np.array([verdict.outcome is Outcome.SUCCESS for verdict in verdicts])
    missed = np.array([one.cause == held_out and not one.success for one in tries])
    cut = np.array([model.judge(one).probability for one in ended_early(tries, seed)])
    return {
        "auroc": area(probability, success),
        "ece": calibration_error(probability, success),
        "abstained": float(1.0 - decided.mean()),
        "error": float((said != success)[decided].mean()) if decided.any() else None,
        "precision": precision_at(probability, success, RECALL),
        "held_out.called_failure": float((decided & ~said)[missed].mean()) if missed.any() else None,
        "held_out.called_success": float((decided & said)[missed].mean()) if missed.any() else None,
        "early_end.auroc": area(cut, success),
    }


def _seen(one: Tried) -> Seen:
    return Seen.of(one.log.streams, one.log.events)


def ended_early(tries: Sequence[Tried], seed: int) -> list[Seen]:
    """Return the tries as another, drawn time-out would have left the failures: cut off at a share of their length."""
    rng = np.random.default_rng(seed)
    made = []
    for one in tries:
        span, share = one.log.span, rng.uniform(EARLIEST, 1.0)
        end_ns = span.end_ns if one.success else span.start_ns + share * (span.end_ns - span.start_ns)
        kept = {
            name: Stream(s.t_ns[s.t_ns <= end_ns], s.values[s.t_ns <= end_ns]) for name, s in one.log.streams.items()
        }
        made.append(Seen.of(kept, [event for event in one.log.events if event.t_ns <= end_ns]))
    return made


def rivals(found: Pool, seed: int) -> dict[str, float]:
    """Return the areas of the dumb rivals: how long it took, and a line through the last frame."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known, success = [_seen(one) for one in found.labelled], np.array([one.success for one in found.labelled])
    names = sorted(n for n in known[0].streams if n.startswith(("observation/", "contact/", "gripper/", "object/")))

    def last(tries: Sequence[Seen]) -> Vector:
        return np.array([np.concatenate([one.streams[name].values[-1] for name in names]) for one in tries])

    line = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=8, cv=5, scoring="roc_auc", max_iter=2000, l1_ratios=(0.0,), use_legacy_attributes=False
        ),
    ).fit(last(known), success)
    truth, cut = np.array([one.success for one in found.test]), ended_early(found.test, seed)
    lengths = np.array([_length_s(_seen(one)) for one in found.test])
    return {
        "stopwatch.auroc": area(-lengths, truth),
        "stopwatch.early_end.auroc": area(-np.array([_length_s(one) for one in cut]), truth),
        "last_frame.auroc": area(line.decision_function(last([_seen(one) for one in found.test])), truth),
        "last_frame.early_end.auroc": area(line.decision_function(last(cut)), truth),
    }


def _length_s(seen: Seen) -> float:
    return max(float(stream.t_ns[-1]) for stream in seen.streams.values()) / 1e9


def outlook(found: Pool, labelled: Sequence[Tried], seed: int) -> dict[str, float | None]:
    """Return the areas of the prefix model as a runtime signal, up to the success horizon and to half of it."""
    good, bad = ([_seen(one) for one in labelled if one.success is kind] for kind in (True, False))
    fitted = Outlook().fit(good, bad)
    horizon_s = success_horizon([_length_s(one) for one in good])
    views = []
    for one in found.test:
        t_ns, scores = fitted.score(_seen(one))
        views.append(ScoredEpisode(one.success, _length_s(_seen(one)), (t_ns - t_ns[0]) / 1e9, scores))
    report = quality_report(views, threshold=None, horizon_s=horizon_s, seed=seed, resamples=50)
    return {name: getattr(report, name).value for name in ("auroc", "auroc_half", "auroc_running", "stopwatch")}


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield every figure of the protocol's section "success-model"."""
    for label, (site_name, test_n) in SITES.items():
        site: Site = plugins.load("saqiya.sites", site_name)()
        values: dict[str, list[float | None]] = defaultdict(list)
        for seed in range(SEED, SEED + (2 if quick else SEEDS)):
            found = pool(site, site_name, seed, test_n // 4 if quick else test_n)
            for name, value in measured(found, seed):
                values[name].append(value)
        site.close()
        for name, each in values.items():
            value = over_seeds(each)
            if value is not None:
                yield _figure(f"success-model.{label}.{name}", name, value)


def measured(found: Pool, seed: int) -> Iterator[tuple[str, float | None]]:
    """Yield one seed's figures by name."""
    yield "base_rate", float(np.mean([not one.success for one in found.test]))
    yield from rivals(found, seed).items()
    for n in (LABELLED, FEW):
        labelled = found.labelled[:n]
        known, success = [_seen(one) for one in labelled], [one.success for one in labelled]
        yield f"{n}.failures", float(n - sum(success))
        blind = [Seen({name: s for name, s in one.streams.items() if name not in OBJECT}, one.events) for one in known]
        for arm, seen, duration in (("state", known, False), ("timed", known, True), ("no_object", blind, False)):
            yield from _arm(f"{n}.{arm}", seen, success, found, duration=duration, seed=seed)
        try:
            yield from _named(f"{n}.outlook", outlook(found, labelled, seed))
        except TooLittle:
            yield f"{n}.outlook.refused", 1.0


def _arm(
    name: str, known: Sequence[Seen], success: Sequence[bool], found: Pool, *, duration: bool, seed: int
) -> Iterator[tuple[str, float | None]]:
    try:
        model = fit_success(known, success, duration=duration)
    except TooLittle:
        yield f"{name}.refused", 1.0
        return
    yield from _named(name, judged(model, found.test, found.held_out, seed))


def _named(prefix: str, values: Mapping[str, float | None]) -> Iterator[tuple[str, float | None]]:
    return ((f"{prefix}.{name}", value) for name, value in values.items())


def _figure(full: str, name: str, value: Measured) -> Figure:
    at_top = {f"{LABELLED}.state.auroc": AUROC_BAR}
    at_bottom = {
        f"{LABELLED}.state.ece": ECE_BAR,
        f"{LABELLED}.state.abstained": ABSTAINED_BAR,
        f"{LABELLED}.state.error": ERROR_BAR,
    }
    if name in at_top:
        return at_least(full, value, at_top[name], command=COMMAND)
    if name in at_bottom:
        return at_most(full, value, at_bottom[name], command=COMMAND)
    return shown(full, value, command=COMMAND)
