"""The ship gate: PROMOTE, HOLD or REJECT, in sentences with numbers, from a test that was fixed before its first trial.

`plan` fixes the test of a round, `foresight` says what it can and cannot see, `progress` says after any number of
trials whether to go on, and `decide` gives the verdict. All are pure: a decision can be repeated from its trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from saqiya.domain.nouns import Decision
from saqiya.errors import UsageError
from saqiya.evaluate.intervals import Interval, clopper_pearson, newcombe, tango
from saqiya.evaluate.ledger import alpha_for
from saqiya.evaluate.sequential import (
    Arms,
    OperatingCharacteristics,
    SequentialDesign,
    design,
    power_curve,
    predictive_power,
    shared_seeds,
    smallest_visible,
)
from saqiya.evaluate.strata import Stratum, StratumResult, Worked, WorkedResult, keeps, regressions
from saqiya.evaluate.trials import Results

__all__ = [
    "Foresight", "GateParams", "GatePlan", "Progress", "Stop", "Verdict", "decide", "foresight", "plan", "progress",
]  # fmt: skip


WORSE_LIKELY = 0.5
"""Futility waits while the chance to show the candidate worse is at least this: a clear REJECT is worth some trials."""


@dataclass(frozen=True, kw_only=True)
class GateParams:
    """What a team may set, once per scope and before its first candidate.

    Attributes:
        arms: PAIRED where both policies can be tried from the same start with the same seed, else INDEPENDENT.
        alpha_total: chance of one or more false promotions over the life of the scope, in (0, 0.2].
        n_max: most trials an arm (or pairs) in one round, in [10, 2000].
        look_every: trials an arm between looks, in [1, n_max]; 5 costs nothing in power beside 1.
        alpha_guard: level of the tests that can stop a candidate (worse overall, worse on a stratum) and of the proof
            that it keeps what worked, in (0, 0.2]. These protect the champion, so they spend nothing of `alpha_total`.
        margin: share of what worked that a candidate may lose, in (0, 0.5]. At 0.2 and 60 starts, 54 must be kept to
            show it; at 0.1 it takes 59 of 60, which few honest improvements of a weak policy manage.
    """

    arms: Arms = Arms.PAIRED
    alpha_total: float = 0.05
    n_max: int = 200
    look_every: int = 5
    alpha_guard: float = 0.05
    margin: float = 0.2

    def __post_init__(self) -> None:
        """Refuse values that no test could be made of."""
        bounds = {
            "alpha_total": (0.0 < self.alpha_total <= 0.2, "in (0, 0.2]"),
            "n_max": (10 <= self.n_max <= 2000, "in [10, 2000]"),
            "look_every": (1 <= self.look_every <= self.n_max, "in [1, n_max]"),
            "alpha_guard": (0.0 < self.alpha_guard <= 0.2, "in (0, 0.2]"),
            "margin": (0.0 < self.margin <= 0.5, "in (0, 0.5]"),
        }
        for name, (kept, rule) in bounds.items():
            if not kept:
                raise UsageError(f"{getattr(self, name)} is not {rule}", subject=f"gate.{name}", remedy="Change it.")


@dataclass(frozen=True)
class GatePlan:
    """The tests of one round, fixed before its first trial: superiority at the round's own alpha, and inferiority."""

    params: GateParams
    round: int
    alpha: float
    better: SequentialDesign
    worse: SequentialDesign


class Stop(StrEnum):
    """Where the sequential comparison stands."""

    CONTINUE = "continue"
    SUPERIOR = "superior"
    INFERIOR = "inferior"
    FUTILE = "futile"
    EXHAUSTED = "exhausted"


@dataclass(frozen=True)
class Progress:
    """The first look that stopped, or where the trials stand now.

    `champion` and `candidate` count the successes of the first n trials an arm; `losses` and `wins` the pairs in which
    only the champion, or only the candidate, succeeded (paired arms; else 0).
    """

    stop: Stop
    n: int
    champion: int
    candidate: int
    losses: int
    wins: int


@dataclass(frozen=True)
class Foresight:
    """What a round can and cannot see, said before its first trial.

    `visible` is the lowest candidate's rate seen with 80 % power, futility aside (None: not even 1.0); `equal` is what
    happens to a candidate that is no better, `seen` what happens at `visible`.
    """

    champion_rate: float
    visible: float | None
    equal: OperatingCharacteristics
    seen: OperatingCharacteristics | None
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """The gate's word, with all the numbers it rests on.

    `gain` is a 95 % interval for the candidate's rate less the champion's (Tango for pairs, Newcombe else). It is not
    corrected for stopping early, and so serves to describe; the decision comes from the test.
    """

    decision: Decision
    reasons: tuple[str, ...]
    alpha: float
    progress: Progress
    gain: Interval
    strata: tuple[StratumResult, ...]
    worked: WorkedResult
    voids: int
    unpaired: int


def plan(params: GateParams, round_number: int) -> GatePlan:
    """Fix the tests of a scope's n-th candidate; its alpha comes from the ledger's rule."""
    alpha = alpha_for(round_number, params.alpha_total)
    better = design(params.arms, alpha=alpha, n_max=params.n_max, look_every=params.look_every)
    worse = design(
        params.arms, alpha=params.alpha_guard, n_max=params.n_max, look_every=params.look_every, futility=WORSE_LIKELY
    )
    return GatePlan(params, round_number, alpha, better, worse)


def foresight(planned: GatePlan, champion_rate: float, *, share: float = 0.0) -> Foresight:
    """Say before the first trial what the planned comparison can see from a champion at this rate, exactly.

    For pairs, `share` is the share of starts that are equally hard for both (`sequential.shared_seeds`); 0 promises no
    gain from sharing seeds.
    """
    test, unit = planned.better, _unit(planned.params.arms)

    def ends(rate: float) -> OperatingCharacteristics:
        rates = (champion_rate, rate)
        truth = rates if test.arms is Arms.INDEPENDENT else shared_seeds(*rates, share)
        return power_curve(test, [truth], worse=planned.worse, stop_when_futile=True)[0]

    equal = ends(champion_rate)
    visible = smallest_visible(test, champion_rate, power=0.8, share=share)
    head = (
        f"Round {planned.round}, alpha {planned.alpha:.4f}, at most {test.n_max} {unit}, "
        f"champion at {champion_rate:.0%}:"
    )
    cost = f"A candidate that is no better takes {equal.mean_pairs:.0f} {unit} on average."
    if visible is None:
        sentence = f"{head} even a perfect candidate is seen with less than 80 % power. {cost}"
        return Foresight(champion_rate, None, equal, None, sentence)
    seen = ends(visible)
    sentence = (
        f"{head} a candidate at {visible:.0%} or better is seen with 80 % power, in {seen.mean_pairs:.0f} {unit} on "
        f"average; smaller gains are mostly missed. {cost}"
    )
    return Foresight(champion_rate, visible, equal, seen, sentence)


def progress(planned: GatePlan, results: Results) -> Progress:
    """Walk through the trials in their drawn order and stop at the first look that says so.

    Trials after that look are not used, however many there are; so the same trials always give the same answer.
    """
    champion = candidate = losses = wins = n = 0
    paired = planned.params.arms is Arms.PAIRED
    for old, new in zip(results.champion, results.candidate, strict=True):
        n += 1
        champion, candidate = champion + old, candidate + new
        if paired:
            losses, wins = losses + (old and not new), wins + (new and not old)
        state = (losses, wins) if paired else (champion, candidate)
        stop = _stop(planned, n, state)
        if stop is not Stop.CONTINUE:
            return Progress(stop, n, champion, candidate, losses, wins)
    return Progress(Stop.CONTINUE, n, champion, candidate, losses, wins)


def _stop(planned: GatePlan, n: int, state: tuple[int, int]) -> Stop:
    if planned.better.superior(n, *state):
        return Stop.SUPERIOR
    if planned.worse.inferior(n, *state):
        return Stop.INFERIOR
    if planned.better.hopeless(n, *state) and planned.worse.hopeless(n, *reversed(state)):
        return Stop.FUTILE
    return Stop.EXHAUSTED if n >= planned.better.n_max else Stop.CONTINUE


def decide(planned: GatePlan, results: Results, *, strata: Sequence[Stratum], worked: Worked) -> Verdict:
    """Give the verdict on a candidate.

    PROMOTE: superiority was shown at this round's alpha, no regression stratum is significantly worse (Holm), and the
    candidate was shown to keep `1 - margin` of what worked. REJECT: it is significantly worse, overall or on a stratum.
    HOLD: anything else; the reasons say which.

    Raises:
        UsageError: the counts of strata or of what worked cannot be.
    """
    params = planned.params
    stand = progress(planned, results)
    judged = regressions(strata, alpha=params.alpha_guard, margin=params.margin)
    kept = keeps(worked, margin=params.margin, alpha=params.alpha_guard)
    gain = _gain(params.arms, stand)
    if stand.stop is Stop.INFERIOR or any(stratum.worse for stratum in judged):
        decision = Decision.REJECT
    elif stand.stop is Stop.SUPERIOR and kept.shown:
        decision = Decision.PROMOTE
    else:
        decision = Decision.HOLD
    reasons = (
        _comparison_sentence(planned, stand, gain),
        *_strata_sentences(judged, params),
        _worked_sentence(worked, kept, params),
        *_left_out_sentences(results, stand, params.arms),
    )
    return Verdict(
        decision, reasons, planned.alpha, stand, gain, judged, kept, voids=results.voids, unpaired=results.unpaired
    )


def _unit(arms: Arms) -> str:
    return "pairs" if arms is Arms.PAIRED else "trials an arm"


def _gain(arms: Arms, stand: Progress) -> Interval:
    if arms is Arms.PAIRED:
        return tango(stand.losses, stand.wins, stand.n)
    return newcombe((stand.champion, stand.n), (stand.candidate, stand.n))


def _comparison_sentence(planned: GatePlan, stand: Progress, gain: Interval) -> str:
    unit = _unit(planned.params.arms)
    if stand.n == 0:
        return f"No {unit} were run, so nothing was compared."
    counts = f"candidate {stand.candidate} and champion {stand.champion} of {stand.n} {unit}"
    if planned.params.arms is Arms.PAIRED:
        counts += f", {stand.wins} won and {stand.losses} lost"
    counts += f" (gain {gain.low:+.0%} to {gain.high:+.0%})"
    test = f"{planned.better.method}, round {planned.round}"
    match stand.stop:
        case Stop.SUPERIOR:
            return f"Better: {counts}; shown at alpha {planned.alpha:.4f} ({test})."
        case Stop.INFERIOR:
            return f"Worse: {counts}; shown at alpha {planned.params.alpha_guard:.4f} ({test})."
        case Stop.FUTILE:
            state = (
                (stand.losses, stand.wins) if planned.params.arms is Arms.PAIRED else (stand.champion, stand.candidate)
            )
            chance = predictive_power(planned.better, stand.n, *state)
            return f"Futile: {counts}; the chance to show a gain in the {unit} left is {chance:.1%} ({test})."
        case Stop.EXHAUSTED:
            return f"Undecided: {counts}; all {stand.n} {unit} were used and no gain was shown ({test})."
        case Stop.CONTINUE:
            left = planned.better.n_max - stand.n
            return f"Undecided: {counts}; the trials ended with {left} {unit} of the plan not run ({test})."


def _strata_sentences(judged: Sequence[StratumResult], params: GateParams) -> list[str]:
    sentences = []
    for result in judged:
        stratum = result.stratum
        counts = f"candidate {stratum.candidate[0]} of {stratum.candidate[1]}"
        if not stratum.champion[1]:
            sentences.append(f"Stratum {stratum.name}: {counts}, where the champion had failed each start.")
            continue
        verdict = "worse than the champion" if result.worse else "not shown worse"
        sentences.append(
            f"Stratum {stratum.name}: {verdict}; {counts}, champion {stratum.champion[0]} of {stratum.champion[1]} "
            f"({result.test}, p = {result.adjusted_p:.2g} after Holm over {len(judged)}; "
            f"chance of a loss beyond {params.margin:.0%}: {result.risk:.0%})."
        )
    return sentences


def _worked_sentence(worked: Worked, kept: WorkedResult, params: GateParams) -> str:
    if worked.known == 0:
        return "No start is known on which the champion worked, so there was nothing to keep."
    if worked.tried == 0:
        return f"Not shown to keep what worked: none of the {worked.known} starts that worked was tried again."
    counts = f"{worked.kept} of {worked.tried} starts that worked"
    if kept.shown:
        return f"Keeps {counts}, at least {kept.lower:.0%} of them with {1 - params.alpha_guard:.0%} confidence."
    if worked.tried < kept.fewest:
        return f"Not shown to keep what worked: {counts}; it takes {kept.fewest} starts or more to show it."
    interval = clopper_pearson(worked.kept, worked.tried)
    return (
        f"Not shown to keep {1 - params.margin:.0%} of what worked: {counts} "
        f"({interval.low:.0%} to {interval.high:.0%}, p = {kept.p_value:.2g})."
    )


def _left_out_sentences(results: Results, stand: Progress, arms: Arms) -> list[str]:
    sentences = []
    if results.voids:
        what = "pairs were" if arms is Arms.PAIRED else "trials were"
        sentences.append(f"{results.voids} {what} void and left out.")
    if results.unpaired:
        sentences.append(f"{results.unpaired} trials had no partner and never entered the test.")
    unused = len(results.champion) - stand.n
    if unused:
        sentences.append(f"{unused} {_unit(arms)} came after the test had stopped and were not used.")
    return sentences
