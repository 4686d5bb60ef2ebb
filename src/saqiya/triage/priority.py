"""Which mode comes first, and what to collect for it: every factor of the answer is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp

from saqiya.domain.nouns import CorrectionKind
from saqiya.domain.streams import Start
from saqiya.errors import UsageError
from saqiya.models.starts import encode, farthest_first
from saqiya.triage.vocabulary import word

__all__ = ["Candidate", "Priority", "RequestDraft", "plan_requests", "priority"]

FREQUENCY_QUANTILE = 0.9
DECAY_N = 10.0
"""Corrections of one mode after which about two thirds of what they can teach is taught; only the order rests on it."""
WHOLE_TASK = frozenset({"generalization_failure", "unnamed"})


@dataclass(frozen=True)
class Priority:
    """A mode's place in the queue and the factors it is the product of (human minutes divide)."""

    value: float
    factors: dict[str, float]


def priority(
    label: str,
    *,
    failures_n: int,
    episodes_n: int,
    human_minutes: float,
    corrected: tuple[int, int] = (0, 0),
    regression: tuple[int, int] = (0, 0),
) -> Priority:
    """Rank a mode: frequency x severity x still failing x learnability / human minutes.

    Frequency is the 90 % quantile of the posterior of its rate (Jeffreys' prior), so that a rare mode seen in few
    episodes is not written off. Learnability and still-failing are posterior means under a uniform prior, so that
    nothing is ruled out by one try; with no data they are 1/2 and 1.

    Args:
        label: a word of the vocabulary; it brings the severity.
        failures_n: failures of this mode.
        episodes_n: deployed episodes they were found in.
        human_minutes: what one correction of it costs.
        corrected: (accepted, tried) corrections of this mode so far.
        regression: (successes, trials) of the current policy from this mode's corrected starts.

    Raises:
        UsageError: more failures than episodes, or no cost.
    """
    if not 0 <= failures_n <= episodes_n or human_minutes <= 0.0:
        raise UsageError(f"{failures_n} failures of {episodes_n} episodes at {human_minutes} minutes cannot be")
    from scipy import stats

    frequency = float(stats.beta.ppf(FREQUENCY_QUANTILE, failures_n + 0.5, episodes_n - failures_n + 0.5))
    still_failing = 1.0 - (regression[0] + 1.0) / (regression[1] + 2.0) if regression[1] else 1.0
    factors = {
        "frequency": frequency,
        "severity": word(label).severity,
        "still_failing": still_failing,
        "learnability": (corrected[0] + 1.0) / (corrected[1] + 2.0),
        "human_minutes": human_minutes,
    }
    value = frequency * factors["severity"] * still_failing * factors["learnability"] / human_minutes
    return Priority(value, factors)


@dataclass(frozen=True)
class Candidate:
    """A mode that asks for corrections: its id, label, priority, and its failures with their starts where known."""

    mode: str
    label: str
    priority: float
    failures: Mapping[str, Start | None]


@dataclass(frozen=True)
class RequestDraft:
    """What becomes a `CorrectionRequest`; `starts[i]` belongs to `failures[i]`."""

    target: str
    mode: str
    correction_kind: CorrectionKind
    count: int
    starts: tuple[Start, ...]
    failures: tuple[str, ...]
    reason: str


def plan_requests(
    modes: Sequence[Candidate],
    *,
    covered: Sequence[Start],
    ranges: Mapping[str, tuple[float, float]],
    budget: int,
    restorable: bool,
) -> tuple[RequestDraft, ...]:
    """Share `budget` corrections among the modes and choose the starts of each.

    Shares: one correction at a time to the mode with the highest priority x exp(-already given / 10), so that the
    second mode gets its turn before the first is drilled to death; never more than a mode has failures. Starts: of the
    mode's failing starts, each the farthest from everything that training or this plan covers already. Over 8 seeds
    of a simulated pick-and-place that rule needed half of the demonstrations that random starts needed.
    Failures whose start is unknown are not requested: there is nothing to put back. Equal places count once.

    Args:
        modes: with their failures.
        covered: starts of the training episodes.
        ranges: full range of each start factor, where the site declares it.
        budget: corrections in all.
        restorable: the site can restore a state, so that an operator can take over shortly before a failure.

    Raises:
        UsageError: starts have different factors.
    """
    ordered = sorted(modes, key=lambda mode: (-mode.priority, mode.label))
    known = [_distinct(mode.failures) for mode in ordered]
    counts = _shares([mode.priority for mode in ordered], [len(starts) for starts in known], budget)
    everything = [start for starts in known for start in starts.values()] + list(covered)
    places = encode(everything, ranges)
    taken = list(range(sum(len(starts) for starts in known), len(everything)))
    drafts, first = [], 0
    for mode, starts, count in zip(ordered, known, counts, strict=True):
        rows = range(first, first + len(starts))
        first += len(starts)
        if not count:
            continue
        chosen = farthest_first(places[list(rows)], places[taken], count)
        taken += [rows[index] for index in chosen]
        failures = tuple(list(starts)[index] for index in chosen)
        kind = _kind(mode.label, restorable=restorable)
        reason = _reason(mode, kind, count, restorable=restorable)
        drafts.append(
            RequestDraft(mode.label, mode.mode, kind, count, tuple(starts[one] for one in failures), failures, reason)
        )
    return tuple(drafts)


def _distinct(failures: Mapping[str, Start | None]) -> dict[str, Start]:
    seen: dict[str, str] = {}
    for one, start in failures.items():
        if start is not None:
            seen.setdefault(start.key, one)
    return {one: start for one in seen.values() if (start := failures[one]) is not None}


def _shares(priorities: Sequence[float], limits: Sequence[int], budget: int) -> list[int]:
    counts = [0] * len(priorities)
    for _ in range(min(budget, sum(limits))):
        free = [index for index, limit in enumerate(limits) if counts[index] < limit]
        best = max(free, key=lambda index: (priorities[index] * exp(-counts[index] / DECAY_N), -index))
        counts[best] += 1
    return counts


def _kind(label: str, *, restorable: bool) -> CorrectionKind:
    whole = not restorable or word(label).parent in WHOLE_TASK
    return CorrectionKind.DEMONSTRATION if whole else CorrectionKind.TAKEOVER


def _reason(mode: Candidate, kind: CorrectionKind, count: int, *, restorable: bool) -> str:
    found = f"{len(mode.failures)} failures of mode {mode.label} (priority {mode.priority:.3g})"
    if kind is CorrectionKind.TAKEOVER:
        how = "take over shortly before the failure"
    elif restorable:
        how = "show the whole task, because the trouble is there from the start"
    else:
        how = "show the whole task, because this site cannot restore a state"
    return f"{found}: from the {count} failing starts farthest from what training covers, {how}."
