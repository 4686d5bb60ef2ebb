"""From tries with known outcomes to detectors that keep a false-alarm budget, and a report on tries they never saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from saqiya.detect.bands import Scored
from saqiya.detect.conformal import fewest_successes
from saqiya.detect.fusion import Fusion, fit_fusion
from saqiya.detect.quality import QualityReport, ScoredEpisode, quality_report
from saqiya.domain.contracts import Detector, FittedDetector, Seen
from saqiya.domain.ids import digest_of
from saqiya.domain.nouns import Outcome
from saqiya.errors import InvalidEpisode, TooLittle, UsageError
from saqiya.models.rows import EXECUTED, OBSERVATION

__all__ = ["Calibrated", "Part", "Viewed", "calibrate", "few", "part_of", "scored"]


UNREAD_SHARE = 0.2
"""A fifth of the tries may lack a stream that the others have, and are then read by fewer detectors."""


class Part(Enum):
    """What a try serves for. Each serves for one thing only, or the false-alarm budget would be a guess."""

    FIT = 0
    BANDS = 1
    CALIBRATE = 2
    JUDGE = 3


@dataclass(frozen=True)
class Viewed:
    """A try as detectors see it, and what it came to.

    Attributes:
        key: its logical key; which part it serves is drawn from it, so that it never depends on scores.
        seen: streams and events.
        outcome: by the claim that is trusted most; a try in which a person took over counts as a failure of the policy.
        start_ns, end_ns: its range.
        person_ns: when a person first took over or stopped it, None where nobody did: the label of that moment.
        mode: of a failure that has a name.
        shifted: whether it began outside what the policy was trained on; None where nobody knows.
    """

    key: str
    seen: Seen
    outcome: Outcome
    start_ns: int
    end_ns: int
    person_ns: int | None = None
    mode: str = ""
    shifted: bool | None = None

    @property
    def length_s(self) -> float:
        """How long it lasted."""
        return (self.end_ns - self.start_ns) / 1e9

    @property
    def part(self) -> Part:
        """What it serves for."""
        return part_of(self.key, success=self.outcome is Outcome.SUCCESS)


def part_of(key: str, *, success: bool) -> Part:
    """Draw a try's part from its key: successes a quarter each; failures half to learn from, half to judge."""
    number = int(digest_of(key.encode())[:8], 16) % 4
    return Part(number) if success else (Part.FIT if number < 2 else Part.JUDGE)


@dataclass(frozen=True)
class Calibrated:
    """Detectors, their fusion, and how good they are.

    Attributes:
        fitted: detectors that take part, by name, as registered and as fitted.
        left_out: detectors that do not, and why.
        fusion: their scores as one, with the threshold that keeps the budget.
        alone: each detector as if it were the only one, with the whole budget.
        reports: quality on tries that served for nothing else, by detector, and of the fusion under "".
        told: what the detectors said of each try that they were asked about, by its key.
        successes: how many calibrated.
    """

    fitted: Mapping[str, tuple[Detector, FittedDetector]]
    left_out: Mapping[str, str]
    fusion: Fusion
    alone: Mapping[str, Fusion]
    reports: Mapping[str, QualityReport]
    told: Mapping[str, Scored]
    successes: int

    def scored(self, one: Viewed) -> Scored:
        """Return what the detectors say of a try."""
        held = self.told.get(one.key)
        return held or scored(one, {name: fitted for name, (_, fitted) in self.fitted.items()})


def calibrate(
    views: Sequence[Viewed], training: Sequence[Seen], detectors: Mapping[str, Detector], *, budget: float, seed: int
) -> Calibrated:
    """Fit detectors, measure their bands, weigh them, set one threshold, and judge: each on tries of its own.

    Weights are learned from the failures that taught and the successes of the bands, where they are many enough and
    learned weights earn it (`detect.weights`); else all detectors count alike.

    Args:
        views: deployed tries; those whose outcome nobody knows are left out.
        training: the policy's training episodes, () where it was trained elsewhere.
        detectors: by registered name.
        budget: share of successes that may raise a false alarm.
        seed: of the bootstrap in the reports.

    Raises:
        TooLittle: no success is left to measure bands on, or no detector can take part.
    """
    good = {part: _of(views, part, Outcome.SUCCESS) for part in Part}
    bad = {part: _of(views, part, Outcome.FAILURE, Outcome.ABORTED) for part in Part}
    normal = _alike([*training, *(one.seen for one in good[Part.FIT])])
    failed, weighing = bad[Part.FIT][::2], bad[Part.FIT][1::2]  # what a detector learned from must not weigh it
    fitted, left_out = _fit(detectors, normal, [one.seen for one in failed])
    watching = {name: one for name, (_, one) in fitted.items()}
    asked = [*good[Part.BANDS], *good[Part.CALIBRATE], *good[Part.JUDGE], *weighing, *bad[Part.JUDGE]]
    told = {one.key: scored(one, watching) for one in asked}
    bands, held = ([told[one.key] for one in good[part]] for part in (Part.BANDS, Part.CALIBRATE))
    fitted, left_out = _those_that_score(fitted, left_out, [*bands, *held])
    names = tuple(fitted)
    if not names:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items()) or "none is named"
        raise TooLittle(f"no detector can take part ({why})", remedy="Name others under [detect] detectors.")
    taught = [told[one.key] for one in weighing]
    fusion = fit_fusion(bands, held, budget=budget, names=names, failed=taught, seed=seed)
    alone = {name: fit_fusion(bands, held, budget=budget, names=(name,)) for name in names}
    judged = [*good[Part.JUDGE], *bad[Part.JUDGE]]
    reports = {
        name: quality_report(
            [_as_judged(one, told[one.key], chain) for one in judged],
            threshold=chain.threshold,
            horizon_s=chain.horizon_s,
            seed=seed,
        )
        for name, chain in {**alone, "": fusion}.items()
    }
    return Calibrated(fitted, left_out, fusion, alone, reports, told, len(held))


def _of(views: Sequence[Viewed], part: Part, *outcomes: Outcome) -> list[Viewed]:
    return [one for one in views if one.part is part and one.outcome in outcomes]


def scored(one: Viewed, fitted: Mapping[str, FittedDetector]) -> Scored:
    """Let every detector score a try; one that cannot read it is not among the parts."""
    parts = {}
    for name, detector in fitted.items():
        try:
            t_ns, scores = detector.score(one.seen)
        except InvalidEpisode:
            continue
        parts[name] = ((t_ns - one.start_ns) / 1e9, scores)
    phases = tuple(
        ((event.t_ns - one.start_ns) / 1e9, event.name) for event in one.seen.events if event.name.startswith("phase/")
    )
    return Scored(parts, one.length_s, phases)


def _alike(normal: Sequence[Seen]) -> list[Seen]:
    """Leave out tries that lack an observation or action which most have: detectors learn from what all have."""
    counts = Counter(name for one in normal for name in one.streams if name.startswith((OBSERVATION, EXECUTED)))
    usual = {name for name, n in counts.items() if n >= (1.0 - UNREAD_SHARE) * len(normal)}
    return [one for one in normal if usual <= set(one.streams)]


def _fit(
    detectors: Mapping[str, Detector], normal: Sequence[Seen], failed: Sequence[Seen]
) -> tuple[dict[str, tuple[Detector, FittedDetector]], dict[str, str]]:
    fitted, left_out = {}, {}
    for name, detector in detectors.items():
        try:
            fitted[name] = detector, detector.fit(normal, failed)
        except (TooLittle, InvalidEpisode, UsageError) as reason:
            left_out[name] = reason.what
    return fitted, left_out


def _those_that_score(
    fitted: Mapping[str, tuple[Detector, FittedDetector]],
    left_out: Mapping[str, str],
    every: Sequence[Scored],
) -> tuple[dict[str, tuple[Detector, FittedDetector]], dict[str, str]]:
    """Leave out detectors that cannot read many calibrating successes; one that is silent at a few alarms at none."""
    if not every:
        raise TooLittle("no success is left to calibrate on", remedy="Deploy until more tries succeed.")
    silent = {name: sum(name not in one.parts for one in every) for name in fitted}
    more = {
        name: f"it cannot read {n} of {len(every)} calibrating successes"
        for name, n in silent.items()
        if n > UNREAD_SHARE * len(every)
    }
    return {name: one for name, one in fitted.items() if name not in more}, {**left_out, **more}


def _as_judged(one: Viewed, view: Scored, chain: Fusion) -> ScoredEpisode:
    fused = chain.score(view.parts, view.phases)
    taken_s = None if one.person_ns is None else (one.person_ns - one.start_ns) / 1e9
    return ScoredEpisode(
        one.outcome is Outcome.SUCCESS,
        one.length_s,
        fused.t_s,
        fused.scores,
        mode=one.mode,
        shifted=one.shifted,
        failed_s=taken_s,
    )


def few(budget: float, successes: int) -> str:
    """Say why a threshold is infinite, "" where it is not."""
    needed = fewest_successes(budget)
    if successes >= needed:
        return ""
    return f"infinite: {successes} of the {needed} held-out successes that a budget of {budget:.0%} needs"
