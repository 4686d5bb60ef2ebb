"""The shell of `triage`: name failures by rule, group them into modes, rank the modes, and ask for corrections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from saqiya.domain.nouns import (
    Correction,
    CorrectionRequest,
    Deployment,
    Episode,
    Failure,
    FailureMode,
    Noun,
    Novelty,
    Policy,
)
from saqiya.domain.streams import Start
from saqiya.models.starts import encode, spacing
from saqiya.stores.workspace import Workspace
from saqiya.triage.conditions import tabulate
from saqiya.triage.modes import group
from saqiya.triage.priority import Candidate, Effort, Standing, minutes_by_mode, plan_requests, priority
from saqiya.triage.rules import Facts, label
from saqiya.triage.vocabulary import Vocabulary

__all__ = ["Triaged", "run"]

SWITCH_STEPS = 20
"""What a takeover costs beside its steps: the operator's switch of attention, in control steps."""


@dataclass(frozen=True)
class Triaged:
    """The modes, largest first, and what is asked for."""

    modes: tuple[FailureMode, ...]
    requests: tuple[CorrectionRequest, ...]


def run(  # noqa: PLR0913 - a shell takes what the config says, each thing by its name
    store: Workspace,
    deployment: Deployment,
    failures: Sequence[Failure],
    *,
    novelty: Mapping[str, Novelty],
    training: Sequence[Start],
    ranges: Mapping[str, tuple[float, float]],
    phases: Sequence[str],
    budget: int,
    restorable: bool,
    vocabulary: Vocabulary,
    key: str,
) -> Triaged:
    """Name, group and rank the failures of a deployment, and share `budget` corrections among the modes.

    Args:
        store: the workspace.
        deployment: where the failures were found.
        failures: what `detect` found there.
        novelty: by episode id, with the coverage of its start; it decides what counts as a generalization failure.
        training: starts that the policy was trained from; requests keep away from them.
        ranges: full range of each start factor.
        phases: the site's phases in order.
        budget: corrections to ask for in all.
        restorable: the site can restore a state, so takeovers are possible.
        vocabulary: the words for failures.
        key: logical prefix of what is stored.
    """
    episodes = {failure.id: store.catalog.get(failure.episode, Episode) for failure in failures}
    apart = spacing(encode(list(training), ranges)) if len(training) > 1 else None
    verdicts = {
        failure.id: label(_facts(failure, novelty.get(failure.episode), phases, apart), vocabulary)
        for failure in failures
    }
    starts = [store.catalog.get(one, Episode).start for one in deployment.episodes]
    deployed = tabulate([start.factors if start is not None else {} for start in starts])
    row = {failure.id: deployment.episodes.index(failure.episode) for failure in failures}
    efforts = _efforts(store, vocabulary)
    for one in verdicts.values():
        efforts.setdefault(one.label, [])
    spec = store.catalog.get(deployment.policy, Policy).spec
    timed: Mapping[str, Sequence[Effort]] = efforts if spec is not None else dict.fromkeys(efforts, ())
    minutes = minutes_by_mode(timed, rate_hz=spec.rate_hz if spec else 1.0, switch_steps=SWITCH_STEPS)
    rows: list[tuple[Noun, str]] = []
    for draft in group(verdicts, {failure.id: failure.evidence for failure in failures}):
        standing = Standing(
            vocabulary.word(draft.label),
            failures_n=len(draft.members),
            episodes_n=len(deployment.episodes),
            efforts=efforts.get(draft.label, ()),
            failed=[row[one] for one in draft.members],
        )
        ranked = priority(standing, human_minutes=minutes[draft.label], deployed=deployed)
        mode = FailureMode(
            id=store.catalog.new_id("failure_mode"),
            label=draft.label,
            parent=draft.parent,
            policy=deployment.policy,
            members=draft.members,
            medoid=draft.medoid,
            priority=ranked.value,
            factors=ranked.factors,
            vocabulary=vocabulary.version,
        )
        rows.append((mode, f"{key}/mode/{draft.label}"))
    modes = tuple(noun for noun in store.catalog.put_all(rows) if isinstance(noun, FailureMode))
    candidates = [
        Candidate(mode.id, mode.label, mode.parent, mode.priority, {one: episodes[one].start for one in mode.members})
        for mode in modes
    ]
    drafts = plan_requests(candidates, covered=training, ranges=ranges, budget=budget, restorable=restorable)
    asked: list[tuple[Noun, str]] = [
        (
            CorrectionRequest(
                id=store.catalog.new_id("correction_request"),
                target=draft.target,
                mode=draft.mode,
                correction_kind=draft.correction_kind,
                count=draft.count,
                starts=draft.starts,
                failures=draft.failures,
                reason=draft.reason,
            ),
            f"{key}/request/{draft.target}-{draft.correction_kind.value}",
        )
        for draft in drafts
    ]
    requests = tuple(noun for noun in store.catalog.put_all(asked) if isinstance(noun, CorrectionRequest))
    return Triaged(modes, requests)


def _facts(failure: Failure, novelty: Novelty | None, phases: Sequence[str], apart: float | None) -> Facts:
    return Facts(
        phase=failure.phase,
        phases=phases,
        evidence=failure.evidence,
        coverage=novelty.coverage if novelty else None,
        spacing=apart,
    )


def _efforts(store: Workspace, vocabulary: Vocabulary) -> dict[str, list[Effort]]:
    """Return what every correction took, by the label it was asked for: what people could show so far."""
    requests = {one.id: one for one in store.catalog.all(CorrectionRequest)}
    efforts: dict[str, list[Effort]] = {}
    for one in store.catalog.all(Correction):
        if requests[one.request].mode is not None:
            target = vocabulary.resolve(requests[one.request].target)
            efforts.setdefault(target, []).append(Effort(one.human_steps, one.takeovers, one.accepted))
    return efforts
