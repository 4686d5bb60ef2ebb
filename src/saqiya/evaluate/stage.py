"""The shell of `evaluate`: draw the slots, run them in their order until the test stops, and let the gate speak."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saqiya.domain.contracts import Roll, Roller
from saqiya.domain.nouns import (
    Decision,
    Evaluation,
    EvaluationPlan,
    GateDecision,
    Noun,
    Policy,
    Slot,
    Source,
    Suite,
    Trial,
)
from saqiya.domain.streams import Start
from saqiya.evaluate import gate
from saqiya.evaluate.gate import GateParams, GatePlan, Stop, Verdict
from saqiya.evaluate.ledger import Entry, next_round, spent
from saqiya.evaluate.paths import Arms
from saqiya.evaluate.strata import Stratum, Worked
from saqiya.evaluate.trials import Arm, Results, Try, gather
from saqiya.stores.workspace import Workspace

__all__ = ["Contest", "initial", "ledger", "run"]

BATCH_LOOKS = 2
"""Looks a batch: enough tries to keep every process busy, few enough to stop soon after the test does."""


@dataclass(frozen=True)
class Contest:
    """Who is compared from where.

    Attributes:
        starts: fresh starts, one a pair, as many as the gate's n_max; never trained on.
        worked: starts on which the champion succeeded in deployment, tried again with the candidate.
        worked_known: how many such starts are known in all.
        regression: by failure mode, the starts of corrected failures, and whether the champion is the one that failed.
        champion_rate: the champion's success in deployment, for the statement of power.
    """

    scope: str
    candidate: Policy
    champion: Policy
    starts: tuple[Start, ...]
    worked: tuple[Start, ...]
    worked_known: int
    regression: Mapping[str, tuple[tuple[Start, ...], bool]]
    champion_rate: float


def initial(store: Workspace, policy: Policy, *, key: str) -> GateDecision:
    """Let the first policy of a scope through: there is no champion to compare it with, and no alpha is spent."""
    decision = GateDecision(
        id=store.catalog.new_id("gate_decision"),
        decision=Decision.INITIAL,
        candidate=policy.id,
        champion=None,
        evaluation=None,
        alpha_spent=0.0,
        reasons=("The first policy of this scope: nothing to compare it with.",),
    )
    return store.catalog.put(decision, key=key)


def ledger(store: Workspace, scope: str) -> tuple[float, int]:
    """Return the alpha spent in a scope so far and the number of its next round."""
    entries = _entries(store, scope)
    return spent(entries), next_round(entries)


def _entries(store: Workspace, scope: str) -> list[Entry]:
    return [Entry(plan.round, plan.alpha) for plan in store.catalog.all(EvaluationPlan) if plan.scope == scope]


def run(
    store: Workspace, contest: Contest, roller: Roller, *, params: GateParams, seed: int, key: str
) -> tuple[Evaluation, GateDecision]:
    """Compare candidate and champion; every slot and its order is stored before the first trial is run.

    Trials go in batches of looks until the sequential test stops. The starts that worked and the regression suite are
    tried only when superiority was shown: without it they could not change the decision.
    """
    plan = store.catalog.by_key(EvaluationPlan, f"{key}/plan")
    if plan is None:
        plan = store.catalog.put(_draw(store, contest, params=params, seed=seed), key=f"{key}/plan")
    # A saqiya.toml that was changed in the middle changes nothing here: the test was fixed before its first trial.
    planned = gate.plan(_params(plan), plan.round)
    trials = _Trials(store, plan, key, roller)
    results = _until_stopped(trials, contest, planned)
    stand = gate.progress(planned, results)
    strata: tuple[Stratum, ...] = ()
    worked = Worked(kept=0, tried=0, known=contest.worked_known)
    if stand.stop is Stop.SUPERIOR:
        rest = trials.run([i for i, slot in enumerate(plan.slots) if slot.suite is not Suite.SUPERIORITY])
        tried = [one for one in rest if plan.slots[one.slot].suite is Suite.WORKED and not one.void]
        worked = Worked(kept=sum(trial.success for trial in tried), tried=len(tried), known=contest.worked_known)
        strata = _strata(plan, rest, contest)
    verdict = gate.decide(planned, results, strata=strata, worked=worked)
    return _store(store, plan, verdict, key=key)


def _params(plan: EvaluationPlan) -> GateParams:
    stored: dict[str, Any] = dict(plan.params)
    return GateParams(**{**stored, "arms": Arms(stored["arms"])})


def _draw(store: Workspace, contest: Contest, *, params: GateParams, seed: int) -> EvaluationPlan:
    rng = np.random.default_rng(seed)
    slots: list[Slot] = []
    for pair, start in enumerate(contest.starts):
        arms = [contest.champion.id, contest.candidate.id]
        if rng.random() < 0.5:
            arms.reverse()
        slots += [Slot(arm, Suite.SUPERIORITY, "", start, pair) for arm in arms]
    slots += [Slot(contest.candidate.id, Suite.WORKED, "", start, None) for start in contest.worked]
    for mode, (starts, champion_failed) in sorted(contest.regression.items()):
        for pair, start in enumerate(starts):
            slots.append(Slot(contest.candidate.id, Suite.REGRESSION, mode, start, pair))
            if not champion_failed:
                slots.append(Slot(contest.champion.id, Suite.REGRESSION, mode, start, pair))
    _, number = ledger(store, contest.scope)
    planned = gate.plan(params, number)
    foresight = gate.foresight(planned, contest.champion_rate)
    return EvaluationPlan(
        id=store.catalog.new_id("evaluation_plan"),
        scope=contest.scope,
        round=number,
        alpha=planned.alpha,
        candidate=contest.candidate.id,
        champion=contest.champion.id,
        slots=tuple(slots),
        params=dict(dataclasses.asdict(params)),
        power={
            "champion_rate": contest.champion_rate,
            "visible_with_80_percent": foresight.visible,
            "sentence": foresight.sentence,
        },
    )


@dataclass(frozen=True)
class _Trials:
    store: Workspace
    plan: EvaluationPlan
    key: str
    roller: Roller

    def run(self, indexes: Sequence[int]) -> list[Trial]:
        """Run the slots that have no trial yet, in the order given, and return all of them."""
        rolls = [
            Roll(
                f"{self.key}/{index:04d}",
                self.plan.slots[index].start,
                Source.ROLLOUT,
                policy=self.plan.slots[index].arm,
            )
            for index in indexes
        ]
        made: list[tuple[Noun, str]] = []
        for index, rolled in zip(indexes, self.roller(rolls), strict=True):
            trial = Trial(
                id=self.store.catalog.new_id("trial"),
                plan=self.plan.id,
                slot=index,
                episode=rolled.episode.id if rolled.episode else None,
                success=rolled.success,
                void=rolled.void,
            )
            made.append((trial, f"{self.key}/trial/{index:04d}"))
        return [trial for trial in self.store.catalog.put_all(made) if isinstance(trial, Trial)]


def _until_stopped(trials: _Trials, contest: Contest, planned: GatePlan) -> Results:
    arms = planned.params.arms
    size = 2 * planned.params.look_every * BATCH_LOOKS
    slots = [i for i, slot in enumerate(trials.plan.slots) if slot.suite is Suite.SUPERIORITY]
    tries: list[Try] = []
    for first in range(0, len(slots), size):
        tries += [_as_try(trials.plan, trial, contest) for trial in trials.run(slots[first : first + size])]
        results = gather(arms, tries)
        if gate.progress(planned, results).stop is not Stop.CONTINUE:
            return results
    return gather(arms, tries)


def _as_try(plan: EvaluationPlan, trial: Trial, contest: Contest) -> Try:
    slot = plan.slots[trial.slot]
    arm = Arm.CANDIDATE if slot.arm == contest.candidate.id else Arm.CHAMPION
    return Try(arm, slot.pair, trial.success, trial.void)


def _strata(plan: EvaluationPlan, trials: Sequence[Trial], contest: Contest) -> tuple[Stratum, ...]:
    made = []
    for mode, (_, champion_failed) in sorted(contest.regression.items()):
        own = [one for one in trials if plan.slots[one.slot].suite is Suite.REGRESSION]
        tries = [_as_try(plan, one, contest) for one in own if plan.slots[one.slot].stratum == mode]
        new = [t for t in tries if t.arm is Arm.CANDIDATE and not t.void]
        counts = (sum(t.success for t in new), len(new))
        if champion_failed:
            made.append(Stratum(name=mode, champion=(0, 0), candidate=counts))
            continue
        pairs = gather(Arms.PAIRED, tries)
        both = list(zip(pairs.champion, pairs.candidate, strict=True))
        made.append(
            Stratum(
                name=mode,
                champion=(sum(pairs.champion), len(both)),
                candidate=(sum(pairs.candidate), len(both)),
                discordant=(sum(a and not b for a, b in both), sum(b and not a for a, b in both)),
            )
        )
    return tuple(made)


def _store(store: Workspace, plan: EvaluationPlan, verdict: Verdict, *, key: str) -> tuple[Evaluation, GateDecision]:
    stand = verdict.progress
    evaluation = Evaluation(
        id=store.catalog.new_id("evaluation"),
        plan=plan.id,
        pairs=stand.n,
        wins=stand.wins,
        losses=stand.losses,
        champion_successes=stand.champion,
        candidate_successes=stand.candidate,
        voids=verdict.voids,
        strata={
            **{s.stratum.name: {"k": s.stratum.candidate[0], "n": s.stratum.candidate[1]} for s in verdict.strata},
        },
        stopped=stand.stop.value,
    )
    decision = GateDecision(
        id=store.catalog.new_id("gate_decision"),
        decision=verdict.decision,
        candidate=plan.candidate,
        champion=plan.champion,
        evaluation=evaluation.id,
        alpha_spent=plan.alpha,
        reasons=verdict.reasons,
    )
    stored = store.catalog.put_all([(evaluation, f"{key}/evaluation"), (decision, key)])
    return (
        next(noun for noun in stored if isinstance(noun, Evaluation)),
        next(noun for noun in stored if isinstance(noun, GateDecision)),
    )
