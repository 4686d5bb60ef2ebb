"""Which mode comes first, and what to collect for it: every factor of the answer is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, prod

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.nouns import CorrectionKind
from saqiya.domain.streams import Start
from saqiya.errors import UsageError
from saqiya.models.starts import encode, farthest_first
from saqiya.triage.conditions import Table
from saqiya.triage.vocabulary import Word

__all__ = [
    "Candidate",
    "Effort",
    "Priority",
    "RequestDraft",
    "Standing",
    "breadth",
    "minutes_by_mode",
    "plan_requests",
    "priority",
]

FREQUENCY_QUANTILE = 0.9
DECAY_N = 10.0
"""Corrections of one mode after which about two thirds of what they can teach is taught; only the order rests on it."""
WHOLE_TASK = frozenset({"generalization_failure", "unnamed"})
SHRINK_N = 5.0
"""Corrections of a mode after which its own mean time counts as much as everybody's."""
UNTIMED_MINUTES = 1.0
"""Human minutes while nothing was timed: the same for every mode, so that no mode gains."""
BROAD_N = 2.0
"""Failures of a mode after which what is seen of its breadth counts half."""


@dataclass(frozen=True)
class Effort:
    """What one correction took: control steps by the operator, switches to the operator, and whether it was kept."""

    human_steps: int
    takeovers: int
    accepted: bool


@dataclass(frozen=True)
class Standing:
    """What is known of a mode when it is ranked.

    Attributes:
        word: its word; it brings the severity.
        failures_n: its failures.
        episodes_n: deployed episodes they were found in.
        efforts: corrections of it, ever.
        taught: (successes, trials) from its corrected starts, under policies that had those corrections in training.
        regression: (successes, trials) from its corrected starts, under the policy that is deployed now.
        failed: rows of its failures in the table of deployed tries; without it, breadth is 1.
    """

    word: Word
    failures_n: int
    episodes_n: int
    efforts: Sequence[Effort] = ()
    taught: tuple[int, int] = (0, 0)
    regression: tuple[int, int] = (0, 0)
    failed: Sequence[int] = ()


@dataclass(frozen=True)
class Priority:
    """A mode's place in the queue, the factors it is the product of (human minutes divide), and what each says."""

    value: float
    factors: dict[str, float]
    because: dict[str, str]


def minutes_by_mode(efforts: Mapping[str, Sequence[Effort]], *, rate_hz: float, switch_steps: int) -> dict[str, float]:
    """Return the human minutes that a correction of each mode takes, by those that were given.

    A correction takes its human steps and `switch_steps` more for each takeover. A mode's mean is shrunk towards the
    mean over all corrections as if five more of those had been seen: one slow afternoon does not bury a mode.

    Args:
        efforts: corrections by mode, bootstrap left out; () for a mode without any.
        rate_hz: control rate.
        switch_steps: what a switch of attention costs, in control steps.

    Raises:
        UsageError: the rate is not above 0.
    """
    if rate_hz <= 0.0:
        raise UsageError(f"a control rate of {rate_hz} Hz cannot be", remedy="Give the site's rate.")
    taken = {
        mode: [(one.human_steps + switch_steps * one.takeovers) / rate_hz / 60.0 for one in given]
        for mode, given in efforts.items()
    }
    everything = [minutes for given in taken.values() for minutes in given]
    if not sum(everything) > 0.0:
        return dict.fromkeys(efforts, UNTIMED_MINUTES)
    mean = sum(everything) / len(everything)
    return {mode: (sum(given) + SHRINK_N * mean) / (len(given) + SHRINK_N) for mode, given in taken.items()}


def breadth(failed: Sequence[int], deployed: Table) -> tuple[float, int, float]:
    """Say how many conditions a mode touches, beside how many as many deployed tries would touch if drawn at random.

    Conditions are the values of each factor, numbers by quartile. What is expected by chance (rarefaction, Hurlbert
    1971) is taken away first: a frequent mode does not count as broad because it is frequent.

    Args:
        failed: rows of the mode's failures in `deployed`.
        deployed: the conditions of all deployed tries.

    Returns:
        (factor, touched, expected): the factor is 1 + share x m / (m + 2) for m failures, from 1 (one corner, or one
        failure) to below 2 (everywhere); share is (touched - 1) / (expected - 1) of a factor, 1 at most, mean over
        factors. touched and expected are sums over factors.
    """
    shares, touched_n, expected_n = [], 0, 0.0
    for codes, values in zip(deployed.codes.T, deployed.values, strict=True):
        mine = codes[list(failed)]
        mine = mine[mine >= 0]
        touched = len(np.unique(mine))
        expected = _expected_values(np.bincount(codes[codes >= 0], minlength=len(values)), len(mine))
        touched_n, expected_n = touched_n + touched, expected_n + expected
        if expected > 1.0:
            shares.append(min(1.0, (touched - 1.0) / (expected - 1.0)))
    share = sum(shares) / len(shares) if shares else 0.0
    return 1.0 + share * len(failed) / (len(failed) + BROAD_N), touched_n, expected_n


def _expected_values(counts: NDArray[np.int64], drawn_n: int) -> float:
    """Return how many different values `drawn_n` tries show on average, drawn without putting back."""
    from scipy.stats import hypergeom

    return float((1.0 - hypergeom.pmf(0, counts.sum(), counts, drawn_n)).sum()) if drawn_n else 0.0


def priority(standing: Standing, *, human_minutes: float, deployed: Table) -> Priority:
    """Rank a mode: frequency x severity x still failing x learnability x breadth / human minutes.

    - frequency: the 90 % quantile of the posterior of its rate (Jeffreys' prior), so that a rare mode seen in few
      episodes is not written off
    - severity: of its word
    - still_failing: 1 before anything was corrected; then how often its corrected starts fail under the policy of now,
      the failure that began it counted in: (failures + 1) / (trials + 1)
    - learnability: the share of corrections that were accepted, times the share of tries from corrected starts that
      succeed once the correction is trained on; posterior means under a uniform prior, 1/2 each without data
    - breadth: from 1 for one corner to 2 for everywhere. It can double a mode's worth and no more: of two modes as
      frequent, the one that touches many conditions comes first, because its corrections serve in more places, and
      because a rare edge case hangs on a mix of conditions that may not come again. It never outweighs a mode that is
      twice as frequent.
    - human minutes: what one correction takes; see `minutes_by_mode`

    Args:
        standing: what is known of the mode.
        human_minutes: of one correction.
        deployed: the conditions of all deployed tries (`conditions.tabulate`).

    Raises:
        UsageError: more failures than episodes, more successes than trials, or no cost.
    """
    counts = (standing.failures_n, standing.episodes_n), standing.taught, standing.regression
    if any(not 0 <= part <= whole for part, whole in counts) or human_minutes <= 0.0:
        raise UsageError(
            f"{standing.failures_n} failures of {standing.episodes_n} episodes at {human_minutes} minutes, "
            f"{standing.taught} and {standing.regression} trials cannot be",
            subject=standing.word.name,
        )
    from scipy import stats

    n, failures_n = standing.episodes_n, standing.failures_n
    frequency = float(stats.beta.ppf(FREQUENCY_QUANTILE, failures_n + 0.5, n - failures_n + 0.5))
    kept_n, tried_n = sum(one.accepted for one in standing.efforts), len(standing.efforts)
    (passed_n, trials_n), (now_n, now_of) = standing.taught, standing.regression
    broad, touched_n, expected_n = breadth(standing.failed, deployed)
    factors = {
        "frequency": frequency,
        "severity": standing.word.severity,
        "still_failing": (now_of - now_n + 1.0) / (now_of + 1.0),
        "learnability": (kept_n + 1.0) / (tried_n + 2.0) * (passed_n + 1.0) / (trials_n + 2.0),
        "breadth": broad,
        "human_minutes": human_minutes,
    }
    because = {
        "frequency": f"{failures_n} of {n} deployed tries; nine to one that its rate is no higher",
        "severity": f"{standing.word.name}: {standing.word.meaning}",
        "still_failing": f"{now_of - now_n} of {now_of} tries from its corrected starts fail under the policy of now",
        "learnability": f"{kept_n} of {tried_n} corrections accepted; {passed_n} of {trials_n} tries from their starts "
        "succeeded once trained on",
        "breadth": f"touches {touched_n} conditions where as many tries drawn at random touch {expected_n:.1f}",
        "human_minutes": f"of a person for a correction, by {tried_n} of this mode and all others",
    }
    product = prod(value for name, value in factors.items() if name != "human_minutes")
    return Priority(product / human_minutes, factors, because)


@dataclass(frozen=True)
class Candidate:
    """A mode that asks for corrections: its id, its words, priority, and its failures with their starts where known."""

    mode: str
    label: str
    parent: str
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
        kind = _kind(mode.parent, restorable=restorable)
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


def _kind(parent: str, *, restorable: bool) -> CorrectionKind:
    whole = not restorable or parent in WHOLE_TASK
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
