"""What became of corrections: by operator and mode, before and after, beside what chance alone fixes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from saqiya.correct.became import Became, told
from saqiya.domain.nouns import Correction, CorrectionRequest, Deployment, Failure, FailureMode
from saqiya.evaluate.intervals import newcombe
from saqiya.loop.novelty.ground import Given, Ground, ground_on

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["became"]


def became(wheel: Flywheel, operator: str = "") -> tuple[Became, ...]:
    """Say of every operator's corrections, by mode and by the deployment they answered, what became of the mode.

    The rate after is that of the newest deployment of a policy that learned from them. Nothing here proves that the
    corrections did it: other corrections are in that policy too. Starts that nobody corrected stand beside the
    corrected ones, because a try that failed once often passes the next time.

    Args:
        wheel: the workspace.
        operator: only of this one; "" for all.
    """
    deployments = wheel.store.catalog.all(Deployment)
    newest = {one.scope: one for one in deployments}
    found = []
    for last in newest.values():
        ground = ground_on(wheel, last)
        groups: dict[tuple[str, str, str], list[Given]] = defaultdict(list)
        for one in ground.given:
            before = _answered(ground, one)
            if before is not None and operator in {"", one.correction.operator}:
                groups[one.correction.operator, one.label, before.id].append(one)
        by_id = {one.id: one for one in deployments}
        found += [_told(ground, *whose[:2], by_id[whose[2]], given) for whose, given in groups.items()]
    return tuple(found)


def _learned(ground: Ground, accepted: Sequence[Correction]) -> bool:
    """Say whether any policy learned from these, deployed or not."""
    episodes = {one.episode for one in accepted}
    return any(lessons & episodes for lessons in ground.taught.values())


def _answered(ground: Ground, given: Given) -> Deployment | None:
    """Return the deployment of the scope whose failure, or whose mode, a correction answers."""
    catalog = ground.wheel.store.catalog
    failure = given.correction.failure
    if failure is None:
        mode = catalog.get(given.correction.request, CorrectionRequest).mode
        failure = catalog.get(mode, FailureMode).medoid if mode else None
    if failure is None:
        return None
    episode = catalog.get(failure, Failure).episode
    return next((one for one in ground.scope_deployments if episode in one.episodes), None)


def _told(ground: Ground, operator: str, label: str, before: Deployment, given: Sequence[Given]) -> Became:
    corrections = [one.correction for one in given]
    accepted = [one for one in corrections if one.accepted]
    after, declared = _after(ground, before, {one.episode for one in accepted})
    counts = ground.counts(label, after) if after is not None and not ground.unread(after) else None
    first = ground.counts(label, before)
    change = None
    if counts is not None:
        interval = newcombe(first, counts)
        value = counts[0] / max(1, counts[1]) - first[0] / max(1, first[1])
        change = (round(value, 5), round(interval.low, 5), round(interval.high, 5))
    policy = after.policy if after is not None else ""
    corrected = {one.failure for one in accepted if one.failure is not None}
    answered = {one.correction.failure for one in ground.given if one.correction.accepted}
    others = {one for one, name in ground.lives.labels.items() if name == label} - answered
    starts = _passed(ground, corrected, policy)
    return Became(
        operator=operator,
        mode=label,
        given=len(corrections),
        accepted=len(accepted),
        human_steps=sum(one.human_steps for one in corrections),
        takeovers=sum(one.takeovers for one in corrections),
        before=first,
        after=counts,
        change=change,
        starts=starts,
        others=_passed(ground, others, policy),
        policy=ground.wheel.key_of(policy) if policy else "",
        said=told(
            accepted=len(accepted),
            held=after is None and _learned(ground, accepted),
            after=counts,
            change=change,
            starts=starts,
            declared=declared,
        )
        if after is None or counts is not None
        else "trained on and deployed; its tries are not read yet: saqiya detect, saqiya triage",
    )


def _after(ground: Ground, before: Deployment, taught: set[str]) -> tuple[Deployment | None, bool]:
    """Return the newest later deployment of a policy that learned from these, and whether that is known.

    Where a later policy came from elsewhere, its deployment is taken, and what it learned from is not known.
    """
    later = ground.scope_deployments[ground.scope_deployments.index(before) + 1 :]
    known = [one for one in later if ground.taught.get(one.policy, frozenset()) & taught]
    if known:
        return known[-1], True
    foreign = [one for one in later if one.policy not in ground.taught and one.policy != before.policy]
    return (foreign[-1], False) if foreign else (None, before.policy in ground.taught)


def _passed(ground: Ground, failures: set[str], policy: str) -> tuple[int, int]:
    facts = [fact for one in failures for fact in ground.lives.tries.get(one, ()) if fact.policy == policy]
    return sum(fact.passed for fact in facts), len(facts)
