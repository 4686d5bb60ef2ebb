"""What a decision of the gate rests on, laid out for a picture: the walk of the trials and the boundaries about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from saqiya.domain.nouns import Evaluation, EvaluationPlan, GateDecision, Suite, Trial
from saqiya.evaluate import gate
from saqiya.evaluate.gate import GateParams, GatePlan
from saqiya.evaluate.intervals import Interval, newcombe, tango
from saqiya.evaluate.paths import Arms
from saqiya.evaluate.sequential import SequentialDesign
from saqiya.evaluate.trials import Arm, Try, gather

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Evidence", "Look", "evidence_of"]


@dataclass(frozen=True)
class Look:
    """One look at the trials: after `n`, the lead that ends the test for the candidate, or against it.

    None where no lead that is still possible would end it there. Which lead it takes depends on what the other arm
    has won by then, so a look in the past shows what it took, and one ahead what it would take if nothing else changed.
    """

    n: int
    better: int | None
    worse: int | None


@dataclass(frozen=True)
class Evidence:
    """A comparison as a walk.

    Attributes:
        unit: "pairs" or "trials an arm".
        leads: the candidate's lead over the champion after 0, 1, 2 ... trials.
        looks: where the test could stop, all up to `n_max`.
        champion, candidate: successes up to where the test stopped, of `n`.
        gain: 95 % interval for the candidate's rate less the champion's; it describes, and did not decide.
        stopped: how it ended: superior, inferior, futile, exhausted, continue.
        strata: (name, successes, tries) of the candidate on the starts of corrected failures.
    """

    unit: str
    leads: tuple[int, ...]
    looks: tuple[Look, ...]
    n: int
    n_max: int
    champion: int
    candidate: int
    gain: Interval
    stopped: str
    alpha: float
    method: str
    promise: str
    strata: tuple[tuple[str, int, int], ...]


def evidence_of(wheel: Flywheel, decision: GateDecision) -> Evidence | None:
    """Return what a decision rests on; None where nothing was compared, as for the first policy of a scope.

    The test is rebuilt from the stored plan, so the picture shows the boundaries that were promised before the first
    trial, whatever saqiya.toml says now.
    """
    if decision.evaluation is None:
        return None
    catalog = wheel.store.catalog
    evaluation = catalog.get(decision.evaluation, Evaluation)
    plan = catalog.get(evaluation.plan, EvaluationPlan)
    stored: dict[str, Any] = dict(plan.params)
    planned = gate.plan(GateParams(**{**stored, "arms": Arms(stored["arms"])}), plan.round)
    walk = _walk(planned, plan, catalog.referring(plan.id, Trial))
    stand, paired = walk[evaluation.pairs], planned.params.arms is Arms.PAIRED
    counts = (evaluation.champion_successes, evaluation.candidate_successes)
    gain = (
        tango(stand[0], stand[1], evaluation.pairs)
        if paired
        else newcombe((counts[0], evaluation.pairs), (counts[1], evaluation.pairs))
    )
    strata: dict[str, Any] = evaluation.strata
    return Evidence(
        unit="pairs" if paired else "trials an arm",
        leads=tuple(new - old for old, new in walk),
        looks=tuple(_look(planned, n, walk[min(n, evaluation.pairs)]) for n in planned.better.looks),
        n=evaluation.pairs,
        n_max=planned.better.n_max,
        champion=counts[0],
        candidate=counts[1],
        gain=gain,
        stopped=evaluation.stopped,
        alpha=plan.alpha,
        method=planned.better.method,
        promise=str(plan.power.get("sentence", "")),
        strata=tuple((name, int(found["k"]), int(found["n"])) for name, found in sorted(strata.items())),
    )


def _walk(planned: GatePlan, plan: EvaluationPlan, trials: list[Trial]) -> list[tuple[int, int]]:
    """Return the test's state after 0, 1, 2 ... trials: (champion, candidate)."""
    arms = planned.params.arms
    tries = []
    for one in sorted(trials, key=lambda trial: trial.slot):
        slot = plan.slots[one.slot]
        if slot.suite is Suite.SUPERIORITY:
            arm = Arm.CANDIDATE if slot.arm == plan.candidate else Arm.CHAMPION
            tries.append(Try(arm, slot.pair, one.success, one.void))
    results = gather(arms, tries)
    walk = [(0, 0)]
    for old, new in zip(results.champion, results.candidate, strict=True):
        lost, won = (old and not new, new and not old) if arms is Arms.PAIRED else (old, new)
        walk.append((walk[-1][0] + lost, walk[-1][1] + won))
    return walk


def _look(planned: GatePlan, n: int, state: tuple[int, int]) -> Look:
    better = _needed(planned.better, n, state[0])
    worse = _needed(planned.worse, n, state[1])
    return Look(n, better, None if worse is None else -worse)


def _needed(test: SequentialDesign, n: int, other: int) -> int | None:
    """Return the lead over the other arm's count that stops the test at this look."""
    count = int(test.critical[test.looks.index(n), other])
    possible = n - other if test.arms is Arms.PAIRED else n
    return count - other if count <= possible else None
