"""The shell of `detect`: calibrate runtime signals on held-out successes, raise alarms, group them into failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from saqiya import plugins
from saqiya.detect.conformal import alarm_spans, conformal_threshold, success_horizon
from saqiya.detect.incidents import AlarmDraft, incident
from saqiya.detect.quality import ScoredEpisode, fuse, quality_report
from saqiya.domain.contracts import Detector, FittedDetector, Seen
from saqiya.domain.ids import digest_of
from saqiya.domain.nouns import (
    Alarm,
    Calibration,
    Deployment,
    Episode,
    Failure,
    Noun,
    Outcome,
    OutcomeClaim,
    Policy,
)
from saqiya.domain.streams import Span, Stream
from saqiya.domain.words import TRUST
from saqiya.stores.workspace import Workspace

__all__ = ["FUSED", "Detected", "outcomes_of", "run"]

FUSED = "any detector"


@dataclass(frozen=True)
class Detected:
    """What was found in one deployment."""

    calibrations: tuple[Calibration, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class _View:
    """One deployed try as every detector saw it: streams, outcome, and each detector's scores."""

    episode: Episode
    outcome: Outcome
    streams: Mapping[str, Stream]
    scores: dict[str, ScoredEpisode]


def outcomes_of(store: Workspace, episodes: Sequence[Episode]) -> dict[str, Outcome]:
    """Return each episode's outcome by the claim that is trusted most: a person before a rule before a simulator."""
    wanted = {episode.id for episode in episodes}
    best: dict[str, OutcomeClaim] = {}
    for claim in store.catalog.all(OutcomeClaim):
        if claim.episode not in wanted:
            continue
        held = best.get(claim.episode)
        if held is None or TRUST.index(claim.author_kind) <= TRUST.index(held.author_kind):
            best[claim.episode] = claim
    return {episode.id: best[episode.id].value if episode.id in best else Outcome.UNKNOWN for episode in episodes}


def run(  # noqa: PLR0913 - a shell takes what the config says, each thing by its name
    store: Workspace,
    deployment: Deployment,
    training: Sequence[Episode],
    *,
    detectors: Sequence[str],
    budget: float,
    phases: Sequence[str],
    seed: int,
    key: str,
) -> Detected:
    """Find the failures of a deployment.

    Half of the successes, chosen by a hash of their key, calibrate; the other half and the failures judge. The false
    alarm budget is shared evenly among the detectors, so that together they keep it.

    Args:
        store: the workspace.
        deployment: whose episodes are read.
        training: the policy's own training episodes: what it should know.
        detectors: registered names.
        budget: share of nominal successes that may raise a false alarm, all detectors together.
        phases: the site's phases in order.
        seed: of the bootstrap in the report.
        key: logical prefix of what is stored.
    """
    episodes = [store.catalog.get(one, Episode) for one in deployment.episodes]
    outcomes = outcomes_of(store, episodes)
    taught = [Seen.of(store.streams(one), one.events) for one in training]
    fitted = {name: _detector(name) for name in detectors}
    views = _score(store, episodes, outcomes, {name: one.fit(taught) for name, one in fitted.items()})
    successes = [view for view in views if view.outcome is Outcome.SUCCESS]
    calibrating = {view.episode.id for view in successes if _calibrates(store, view.episode)}
    policy = store.catalog.get(deployment.policy, Policy)
    made = _calibrate(
        store, views, calibrating, fitted, policy=policy, budget=budget / max(1, len(detectors)), seed=seed
    )
    stored = store.catalog.put_all([(one, f"{key}/calibration/{one.detector}") for one in made])
    calibrations = {one.detector: one for one in stored if isinstance(one, Calibration)}
    failures = _alarm(store, views, calibrations, phases=phases)
    return Detected(tuple(calibrations.values()), failures)


def _detector(name: str) -> Detector:
    detector: Detector = plugins.load("saqiya.detectors", name)()
    return detector


def _calibrates(store: Workspace, episode: Episode) -> bool:
    return int(digest_of(store.catalog.key_of(episode.id).encode())[:8], 16) % 2 == 0


def _score(
    store: Workspace,
    episodes: Sequence[Episode],
    outcomes: Mapping[str, Outcome],
    fitted: Mapping[str, FittedDetector],
) -> list[_View]:
    views = []
    for episode in episodes:
        streams = store.streams(episode)
        outcome = outcomes[episode.id]
        scores = {}
        for name, detector in fitted.items():
            t_ns, values = detector.score(Seen.of(streams, episode.events))
            scores[name] = ScoredEpisode(
                success=outcome is Outcome.SUCCESS,
                length_s=(episode.end_ns - episode.start_ns) / 1e9,
                t_s=(t_ns - episode.start_ns) / 1e9,
                scores=values,
            )
        views.append(_View(episode, outcome, streams, scores))
    return views


def _calibrate(
    store: Workspace,
    views: Sequence[_View],
    calibrating: set[str],
    fitted: Mapping[str, Detector],
    *,
    policy: Policy,
    budget: float,
    seed: int,
) -> list[Calibration]:
    """Set each detector's threshold, and judge each, and all together, on what calibration did not see."""
    held = [view for view in views if view.episode.id in calibrating]
    judged = [view for view in views if view.episode.id not in calibrating and view.outcome is not Outcome.UNKNOWN]
    lengths = [next(iter(view.scores.values())).length_s for view in held if view.scores]
    horizon_s = success_horizon(lengths) if lengths else 0.0
    thresholds: dict[str, float | None] = {}
    for name in fitted:
        peaks = [view.scores[name].peak(horizon_s) for view in held]
        thresholds[name] = conformal_threshold(peaks, budget=budget) if peaks else None
    rows = {name: [view.scores[name] for view in judged] for name in fitted}
    if fitted:
        rows[FUSED] = [fuse({name: (view.scores[name], thresholds[name]) for name in fitted}) for view in judged]
    made = []
    for name, scored in rows.items():
        threshold = 1.0 if name == FUSED else thresholds[name]
        report = quality_report(scored, threshold=threshold, horizon_s=horizon_s, seed=seed) if horizon_s else None
        made.append(
            Calibration(
                id=store.catalog.new_id("calibration"),
                detector=name,
                version=fitted[name].version if name in fitted else "1",
                policy=policy.id,
                budget=budget * len(fitted) if name == FUSED else budget,
                successes=len(held),
                threshold=threshold,
                episodes=tuple(view.episode.id for view in held),
                horizon_s=horizon_s,
                report=report.as_json() if report else {},
            )
        )
    return made


def _alarm(
    store: Workspace, views: Sequence[_View], calibrations: Mapping[str, Calibration], *, phases: Sequence[str]
) -> tuple[Failure, ...]:
    rows: list[tuple[Noun, str]] = []
    for view in views:
        drafts, alarms = _alarms_of(store, view, calibrations)
        prefix = store.catalog.key_of(view.episode.id)
        rows += [(alarm, f"{prefix}/alarm/{alarm.calibration}/{alarm.start_ns}") for alarm in alarms]
        found = incident(
            view.outcome,
            span=Span(view.episode.start_ns, view.episode.end_ns),
            events=view.episode.events,
            streams=view.streams,
            alarms=drafts,
            phases=phases,
        )
        if found is None:
            continue
        failure = Failure(
            id=store.catalog.new_id("failure"),
            episode=view.episode.id,
            alarms=tuple(alarm.id for alarm in alarms),
            moment_ns=found.moment_ns,
            phase=found.phase,
            evidence=found.evidence,
        )
        rows.append((failure, f"{prefix}/failure"))
    return tuple(noun for noun in store.catalog.put_all(rows) if isinstance(noun, Failure))


def _alarms_of(
    store: Workspace, view: _View, calibrations: Mapping[str, Calibration]
) -> tuple[list[AlarmDraft], list[Alarm]]:
    drafts, alarms = [], []
    for name, scored in view.scores.items():
        calibration = calibrations[name]
        if calibration.threshold is None:
            continue
        t_ns = (scored.t_s * 1e9).round().astype("int64") + view.episode.start_ns
        for span, peak in alarm_spans(t_ns, scored.scores, calibration.threshold):
            drafts.append(AlarmDraft(name, span, peak, calibration.threshold))
            alarms.append(
                Alarm(
                    id=store.catalog.new_id("alarm"),
                    episode=view.episode.id,
                    calibration=calibration.id,
                    start_ns=span.start_ns,
                    end_ns=span.end_ns,
                    score=peak,
                )
            )
    return drafts, alarms
