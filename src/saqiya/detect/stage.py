"""The shell of `detect`: calibrate runtime signals on held-out successes, raise alarms, group them into failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from saqiya import plugins
from saqiya.detect.calibrate import Calibrated, Part, Viewed, calibrate, few, scored
from saqiya.detect.carried import carry, read_carried
from saqiya.detect.conformal import alarm_spans
from saqiya.detect.drift import drift
from saqiya.detect.fusion import peak
from saqiya.detect.incidents import AlarmDraft, incident
from saqiya.detect.person import touches
from saqiya.detect.quality import QualityReport
from saqiya.detect.signals import broken
from saqiya.detect.success import VERSION as SUCCESS_VERSION
from saqiya.detect.success import fit_success
from saqiya.domain.contracts import Detector, Explains, Online, Seen
from saqiya.domain.nouns import Alarm, Calibration, Episode, Failure, Noun, Outcome, OutcomeClaim, Policy
from saqiya.domain.streams import JsonValue, Span, Stream
from saqiya.domain.words import TRUST, AuthorKind
from saqiya.errors import InvalidEpisode, MonitorUnreadable, TooLittle, UnknownPlugin
from saqiya.models.scene import scene
from saqiya.stores import tensors
from saqiya.stores.workspace import Workspace

__all__ = ["FUSED", "Beside", "Detected", "Judged", "judge", "outcomes_of", "quality", "run"]

FUSED = "any detector"
"""The name of the calibration in which all detectors are one: the only one that raises alarms."""
VERSION = "2"
SHOWN_N = 3
"""Normal tries from which a monitor learns what streams its detectors read."""


Beside = Callable[[Mapping[str, Stream]], Mapping[str, Stream]]
"""Further streams of a try, made from its own: what a shadow policy would have done."""


@dataclass(frozen=True)
class Detected:
    """What was found in one deployment."""

    calibrations: tuple[Calibration, ...]
    failures: tuple[Failure, ...]


def outcomes_of(
    store: Workspace, episodes: Sequence[Episode], *, trusted: Sequence[AuthorKind] = TRUST
) -> dict[str, Outcome]:
    """Return each episode's outcome by the claim that is trusted most: a person before a rule before a simulator."""
    wanted = {episode.id for episode in episodes}
    best: dict[str, OutcomeClaim] = {}
    for claim in store.catalog.all(OutcomeClaim):
        if claim.episode not in wanted or claim.author_kind not in trusted:
            continue
        held = best.get(claim.episode)
        if held is None or TRUST.index(claim.author_kind) <= TRUST.index(held.author_kind):
            best[claim.episode] = claim
    return {episode.id: best[episode.id].value if episode.id in best else Outcome.UNKNOWN for episode in episodes}


def run(  # noqa: PLR0913 - a shell takes what the config says, each thing by its name
    store: Workspace,
    episodes: Sequence[Episode],
    *,
    policy: Policy | None,
    training: Sequence[Episode],
    detectors: Sequence[str],
    budget: float,
    phases: Sequence[str],
    before: Calibration | None,
    beside: Beside | None = None,
    seed: int,
    key: str,
) -> Detected:
    """Find the failures among one policy's episodes.

    Successes are split in four by a hash of their key: a quarter each to fit on, to measure bands on, to set the
    threshold on, and to judge by; of the failures one half teaches and one half judges. The false-alarm budget is that
    of all detectors together.

    Args:
        store: the workspace.
        episodes: autonomous tries of one policy; a person's takeover in one counts as a failure of the policy.
        policy: who acted, None where nobody knows.
        training: the policy's own training episodes: what it should know; () where they are elsewhere.
        detectors: registered names.
        budget: share of successes that may raise a false alarm.
        phases: the task's phases in order.
        before: the calibration that watched the policy before this one; how it does on these tries is its drift.
        beside: gives further streams of a try, such as what a shadow policy would have done.
        seed: of the bootstrap in the report.
        key: logical prefix of what is stored.
    """
    outcomes = outcomes_of(store, episodes)
    views = {one.id: _viewed(store, one, outcomes[one.id], beside) for one in episodes}
    taught = [_viewed(store, one, Outcome.UNKNOWN, beside).seen for one in training]
    loaded = {name: _detector(name) for name in detectors}
    chain, why = None, ""
    try:
        chain = calibrate(list(views.values()), taught, loaded, budget=budget, seed=seed)
    except TooLittle as reason:
        why = reason.what
    drafted = _Draft(store, views, chain, why, policy.id if policy else None, budget, before)
    rows = [drafted.calibration(name, one.version) for name, one in loaded.items()]
    rows.append(drafted.calibration(FUSED, VERSION))
    stored = store.catalog.put_all([(one, f"{key}/calibration/{one.detector}") for one in rows])
    calibrations = {one.detector: one for one in stored if isinstance(one, Calibration)}
    failures = _alarm(store, episodes, views, outcomes, chain, calibrations[FUSED].id, phases)
    return Detected(tuple(calibrations.values()), failures)


def quality(  # noqa: PLR0913 - as `run`, with what is known of each try
    store: Workspace,
    episodes: Sequence[Episode],
    *,
    training: Sequence[Episode],
    detectors: Sequence[str],
    budget: float,
    modes: Mapping[str, str],
    shifted: Mapping[str, bool],
    seed: int,
) -> tuple[Mapping[str, QualityReport], Mapping[str, str]]:
    """Judge every detector, and all together under `FUSED`, again: by failure mode, and apart on shifted successes.

    Returned beside the reports: the detectors that take no part, and why. Nothing is stored. The same tries, detectors
    and budget give the thresholds that `run` set.

    Args:
        store: the workspace.
        episodes: as `run` read them.
        training: the policy's own training episodes.
        detectors: registered names.
        budget: share of successes that may raise a false alarm.
        modes: label of each failed episode's mode, by episode id.
        shifted: whether an episode began outside what training covers, by episode id, where that is known.
        seed: of the bootstrap.

    Raises:
        TooLittle: no success is left to calibrate on, or no detector can take part.
    """
    outcomes = outcomes_of(store, episodes)
    views = [
        replace(_viewed(store, one, outcomes[one.id], None), mode=modes.get(one.id, ""), shifted=shifted.get(one.id))
        for one in episodes
    ]
    taught = [_viewed(store, one, Outcome.UNKNOWN, None).seen for one in training]
    made = calibrate(views, taught, {name: _detector(name) for name in detectors}, budget=budget, seed=seed)
    return {name or FUSED: report for name, report in made.reports.items()}, made.left_out


@dataclass(frozen=True)
class Judged:
    """What the success model said of tries that nobody had judged.

    Attributes:
        claims: outcomes, by MODEL; any other author's word goes before them.
        left: episodes that a person has to look at, each with the reason.
        labelled: how many tries it learned from.
    """

    claims: tuple[OutcomeClaim, ...]
    left: tuple[tuple[Episode, str], ...]
    labelled: int


def judge(store: Workspace, episodes: Sequence[Episode], *, error: float, now_ns: int) -> Judged:
    """Give outcomes to tries that nobody judged, by a model of those that somebody did; what it cannot tell is left.

    It learns from outcomes by persons, rules and simulators, never from its own.

    Args:
        store: the workspace.
        episodes: tries of one task and embodiment, judged and unjudged.
        error: share of its answers that may be wrong.
        now_ns: time of the claims.

    Raises:
        TooLittle: too few tries of a kind are judged.
    """
    others = tuple(kind for kind in TRUST if kind is not AuthorKind.MODEL)
    said, told = outcomes_of(store, episodes, trusted=others), outcomes_of(store, episodes)
    known = [one for one in episodes if said[one.id] is not Outcome.UNKNOWN]
    unknown = [one for one in episodes if told[one.id] is Outcome.UNKNOWN]
    if not unknown:
        return Judged((), (), len(known))
    tries = [Seen.of(store.streams(one), one.events) for one in known]
    groups = [one.start.key if one.start else one.id for one in known]
    model = fit_success(tries, [said[one.id] is Outcome.SUCCESS for one in known], groups=groups, error=error)
    rows: list[tuple[Noun, str]] = []
    left = []
    for episode in unknown:
        try:
            verdict = model.judge(Seen.of(store.streams(episode), episode.events))
        except InvalidEpisode as reason:
            left.append((episode, reason.what))
            continue
        if verdict.outcome is Outcome.UNKNOWN:
            left.append((episode, verdict.why))
            continue
        sure = verdict.probability if verdict.outcome is Outcome.SUCCESS else 1.0 - verdict.probability
        claim = OutcomeClaim(
            id=store.catalog.new_id("outcome_claim"),
            episode=episode.id,
            value=verdict.outcome,
            author_kind=AuthorKind.MODEL,
            author="success-model",
            version=SUCCESS_VERSION,
            time_ns=now_ns,
            confidence=sure,
        )
        rows.append((claim, f"{store.catalog.key_of(episode.id)}/success-model/{SUCCESS_VERSION}"))
    stored = store.catalog.put_all(rows)
    return Judged(tuple(one for one in stored if isinstance(one, OutcomeClaim)), tuple(left), len(known))


def _detector(name: str) -> Detector:
    detector: Detector = plugins.load("saqiya.detectors", name)()
    return detector


def _viewed(store: Workspace, episode: Episode, outcome: Outcome, beside: Beside | None) -> Viewed:
    streams = store.streams(episode)
    if beside is not None:
        streams = {**streams, **beside(streams)}
    seen = Seen.of(streams, episode.events)
    hands = touches(seen.events, streams)
    helped = outcome is Outcome.SUCCESS and bool(hands)
    return Viewed(
        key=store.catalog.key_of(episode.id),
        seen=seen,
        outcome=Outcome.FAILURE if helped else outcome,
        start_ns=episode.start_ns,
        end_ns=episode.end_ns,
        person_ns=hands[0].t_ns if hands else None,
    )


@dataclass(frozen=True)
class _Draft:
    """What a calibration is written from; without a chain, `why` there is none."""

    store: Workspace
    views: Mapping[str, Viewed]
    chain: Calibrated | None
    why: str
    policy: str | None
    budget: float
    before: Calibration | None

    def calibration(self, name: str, version: str) -> Calibration:
        """Write down a detector's threshold and quality; of one that takes no part, why."""
        held = tuple(
            one for one, view in self.views.items() if view.part is Part.CALIBRATE and view.outcome is Outcome.SUCCESS
        )
        whole, chain = name == FUSED, self.chain
        fusion = None if chain is None else chain.fusion if whole else chain.alone.get(name)
        report: dict[str, JsonValue] = chain.reports["" if whole else name].as_json() if chain and fusion else {}
        if whole and self.before is not None and self.before.monitor is not None:
            report["drift"] = {"of": self.store.catalog.key_of(self.before.id), **self._drift(self.before)}
        return Calibration(
            id=self.store.catalog.new_id("calibration"),
            detector=name,
            version=version,
            policy=self.policy,
            budget=self.budget,
            successes=len(held),
            threshold=fusion.threshold if fusion else None,
            episodes=held,
            horizon_s=fusion.horizon_s if fusion else 0.0,
            report=report,
            said=self._said(name, len(held)),
            monitor=self._monitor(chain) if chain and whole else None,
        )

    def _drift(self, before: Calibration) -> dict[str, JsonValue]:
        """Hold the false alarms of a stale monitor, made for another policy, against the budget it promised.

        A try that one of its detectors cannot read is left out: silence would count as calm. One that was fitted with
        other versions of its detectors cannot be asked any more, and `said` says so.
        """
        head, arrays = tensors.read_headed(self.store.catalog.object_path(str(before.monitor)))
        try:
            stale = read_carried(head, arrays)
        except (MonitorUnreadable, UnknownPlugin) as reason:
            return {"said": f"cannot be asked: {reason.what}", **asdict(drift([], budget=before.budget))}
        alarmed = []
        for view in self.views.values():
            if view.outcome is Outcome.SUCCESS and stale.fusion.threshold is not None:
                told = scored(view, stale.detectors)
                if len(told.parts) == len(stale.detectors):
                    highest = peak(stale.fusion.score(told.parts, told.phases), stale.fusion.horizon_s)
                    alarmed.append(highest > stale.fusion.threshold)
        return asdict(drift(alarmed, budget=before.budget))

    def _said(self, name: str, successes: int) -> str:
        left_out = self.why if self.chain is None else self.chain.left_out.get(name, "")
        return f"takes no part: {left_out}" if left_out else few(self.budget, successes)

    def _monitor(self, chain: Calibrated) -> str | None:
        """Store what a robot needs to watch with, where every detector can run there."""
        if not all(isinstance(one, Online) for _, one in chain.fitted.values()):
            return None
        good = [one.seen for one in self.views.values() if one.outcome is Outcome.SUCCESS][:SHOWN_N]
        whose = self.store.catalog.key_of(self.policy) if self.policy else ""
        carried = carry(chain.fitted, chain.fusion, good, policy=whose, budget=self.budget, successes_n=chain.successes)
        return self.store.objects.put(tensors.encode(carried.arrays(), carried.text()))


def _alarm(
    store: Workspace,
    episodes: Sequence[Episode],
    views: Mapping[str, Viewed],
    outcomes: Mapping[str, Outcome],
    chain: Calibrated | None,
    calibration: str,
    phases: Sequence[str],
) -> tuple[Failure, ...]:
    rows: list[tuple[Noun, str]] = []
    for episode in episodes:
        prefix, view = store.catalog.key_of(episode.id), views[episode.id]
        drafts = _drafts(view, chain) if chain else []
        alarms = [
            Alarm(
                id=store.catalog.new_id("alarm"),
                episode=episode.id,
                calibration=calibration,
                start_ns=draft.span.start_ns,
                end_ns=draft.span.end_ns,
                score=draft.score,
                detector=draft.detector,
                reason=draft.reason,
            )
            for draft in drafts
        ]
        rows += [(alarm, f"{prefix}/alarm/{calibration}/{alarm.start_ns}") for alarm in alarms]
        found = incident(
            outcomes[episode.id],
            span=Span(episode.start_ns, episode.end_ns),
            events=view.seen.events,
            streams=view.seen.streams,
            alarms=drafts,
            phases=phases,
        )
        if found is None:
            continue
        failure = Failure(
            id=store.catalog.new_id("failure"),
            episode=episode.id,
            alarms=tuple(alarm.id for alarm in alarms),
            moment_ns=found.moment_ns,
            phase=found.phase,
            evidence={**found.evidence, **_witnesses(episode, view, chain)},
        )
        rows.append((failure, f"{prefix}/failure"))
    return tuple(noun for noun in store.catalog.put_all(rows) if isinstance(noun, Failure))


def _witnesses(episode: Episode, view: Viewed, chain: Calibrated | None) -> dict[str, float]:
    """Return what the try's own streams show, and which signal rules it broke, up to a person's hand on it."""
    until_ns = view.end_ns if view.person_ns is None else view.person_ns
    found = scene(view.seen.streams, episode.events, Span(view.start_ns, view.end_ns), until_ns=until_ns)
    for _, fitted in chain.fitted.values() if chain else ():
        found |= broken(fitted, view.seen.until(until_ns))
    return found


def _drafts(view: Viewed, chain: Calibrated) -> list[AlarmDraft]:
    """Return the alarms of one try; of a failed one with the reason that the leading detector gives."""
    if chain.fusion.threshold is None:
        return []
    told = chain.scored(view)
    fused = chain.fusion.score(told.parts, told.phases)
    t_ns = (fused.t_s * 1e9).round().astype("int64") + view.start_ns
    drafts = []
    for span, highest in alarm_spans(t_ns, fused.scores, chain.fusion.threshold):
        name = chain.fusion.names[int(fused.leading[int(t_ns.searchsorted(span.start_ns))])]
        detector = chain.fitted[name][1]
        reason = ""
        if view.outcome is not Outcome.SUCCESS and isinstance(detector, Explains):
            reason = detector.reason(view.seen, span.start_ns)
        drafts.append(AlarmDraft(name, span, highest, chain.fusion.threshold, reason))
    return drafts
