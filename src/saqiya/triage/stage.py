"""The shell of `triage`: name failures by rule, group them into modes, rank the modes, and ask for corrections."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from saqiya.domain.contracts import Seen
from saqiya.domain.nouns import (
    Correction,
    CorrectionRequest,
    Deployment,
    Episode,
    Failure,
    FailureMode,
    ModeName,
    Noun,
    Novelty,
    Policy,
)
from saqiya.domain.streams import Span, Start
from saqiya.errors import InvalidEpisode, TooLittle
from saqiya.models.scene import Usual, scene, usual
from saqiya.models.starts import encode, spacing
from saqiya.stores.workspace import Workspace
from saqiya.triage.clusters import Found, KnownMode, find_modes
from saqiya.triage.conditions import Factors, tabulate
from saqiya.triage.features import describe
from saqiya.triage.modes import group, unlike
from saqiya.triage.priority import Candidate, Effort, Standing, minutes_by_mode, plan_requests, priority
from saqiya.triage.rules import Facts, Verdict, label
from saqiya.triage.vocabulary import WAITING, Vocabulary

__all__ = ["Triaged", "run"]

SWITCH_STEPS = 20
"""What a takeover costs beside its steps: the operator's switch of attention, in control steps."""
MOST_MEMBERS_N = 40
"""Members of an earlier mode that new failures are compared with."""

Passed = Callable[[str, str], tuple[int, int]]
"""(passed, tried) from a label's corrected starts, under the policy that is named second, or under any for ""."""


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
    successes: Sequence[Episode],
    conditions: Mapping[str, Factors],
    passed: Passed,
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
        successes: some tries of the deployment that succeeded: what is usual.
        conditions: under which each deployed try began, by episode id.
        passed: says how many tries from a mode's corrected starts passed.
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
    normal = usual(scene(store.streams(one), one.events, Span(one.start_ns, one.end_ns)) for one in successes)
    verdicts = {
        failure.id: label(
            _facts(failure, episodes[failure.id], novelty.get(failure.episode), phases, apart, normal), vocabulary
        )
        for failure in failures
    }
    deployed = tabulate([conditions[one] for one in deployment.episodes])
    place = {episode: number for number, episode in enumerate(deployment.episodes)}
    row = {failure.id: place[failure.episode] for failure in failures}
    efforts = _efforts(store, vocabulary)
    kept = _Kept.of(store, vocabulary)
    found = _kinds(store, failures, successes, kept)
    verdicts |= unlike(verdicts, found, kept.labels, kept.next_number)
    verdicts = {one: _renamed(said, kept, vocabulary) for one, said in verdicts.items()}
    for one in verdicts.values():
        efforts.setdefault(one.label, [])
    spec = store.catalog.get(deployment.policy, Policy).spec
    timed: Mapping[str, Sequence[Effort]] = efforts if spec is not None else dict.fromkeys(efforts, ())
    minutes = minutes_by_mode(timed, rate_hz=spec.rate_hz if spec else 1.0, switch_steps=SWITCH_STEPS)
    rows: list[tuple[Noun, str]] = []
    for draft in group(verdicts, {failure.id: failure.evidence for failure in failures}):
        word = vocabulary.word(draft.label)
        standing = Standing(
            word,
            failures_n=len(draft.members),
            episodes_n=len(deployment.episodes),
            efforts=efforts.get(draft.label, ()),
            taught=passed(draft.label, ""),
            regression=passed(draft.label, deployment.policy),
            failed=[row[one] for one in draft.members],
        )
        ranked = priority(standing, human_minutes=minutes[draft.label], deployed=deployed)
        mode = FailureMode(
            id=store.catalog.new_id("failure_mode"),
            label=draft.label,
            parent=draft.parent if draft.label.startswith(WAITING) else word.parent,
            policy=deployment.policy,
            members=draft.members,
            medoid=draft.medoid,
            priority=ranked.value,
            factors=ranked.factors,
            named_by=kept.named_by(draft.label),
            previous=kept.newest.get(draft.label),
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


@dataclass(frozen=True)
class _Kept:
    """The modes of earlier turns.

    Attributes:
        labels: by the id of each mode that people named or that waits for a name: what it is called now.
        members: of those modes, the newest failures.
        newest: by label, the newest mode of that name.
        named: labels that people gave.
        renamed: what people call a rule's mode, by the rule's label.
        next_number: of the next mode that waits for a name.
    """

    labels: Mapping[str, str]
    members: Mapping[str, tuple[str, ...]]
    newest: Mapping[str, str]
    named: frozenset[str]
    renamed: Mapping[str, str]
    next_number: int

    @classmethod
    def of(cls, store: Workspace, vocabulary: Vocabulary) -> _Kept:
        modes = store.catalog.all(FailureMode)
        names = {one.mode: one.label for one in store.catalog.standing(ModeName)}
        called = {one.id: vocabulary.resolve(names.get(one.id, one.label)) for one in modes}
        waiting = [int(one.label.removeprefix(WAITING)) for one in modes if one.label.startswith(WAITING)]
        newest = {called[one.id]: one for one in modes}
        told = {one.id: one for one in newest.values() if one.id in names or one.named_by != "rule"}
        return cls(
            labels={one: called[one] for one in told},
            members={one: mode.members[-MOST_MEMBERS_N:] for one, mode in told.items()},
            newest={label: mode.id for label, mode in newest.items()},
            named=frozenset(names.values()),
            renamed={one.label: called[one.id] for one in modes if one.named_by == "rule" and one.id in names},
            next_number=max(waiting, default=0) + 1,
        )

    def named_by(self, label: str) -> str:
        """Say who named a mode: a person, a rule, or nobody yet."""
        return "person" if label in self.named else "" if label.startswith(WAITING) else "rule"


def _renamed(said: Verdict, kept: _Kept, vocabulary: Vocabulary) -> Verdict:
    """Give a rule's failure the name that a person gave to that rule's mode."""
    name = kept.renamed.get(said.label)
    if name is None:
        return said
    return replace(said, label=name, parent=vocabulary.word(name).parent)


def _kinds(store: Workspace, failures: Sequence[Failure], successes: Sequence[Episode], kept: _Kept) -> Found:
    """Group failures by how they left the successes, beside earlier modes that people named or that wait for it."""
    earlier = [store.catalog.get(one, Failure) for members in kept.members.values() for one in members]
    seen = {one.id: _seen(store, store.catalog.get(one.episode, Episode)) for one in (*earlier, *failures)}
    try:
        told = describe([_seen(store, one) for one in successes], seen)
    except (TooLittle, InvalidEpisode):
        return Found((), tuple(one.id for one in failures))
    return find_modes(told.rows, [KnownMode(one, members) for one, members in kept.members.items()])


def _seen(store: Workspace, episode: Episode) -> Seen:
    return Seen.of(store.streams(episode), episode.events)


def _factors(episode: Episode) -> dict[str, str | float]:
    return dict(episode.start.factors) if episode.start is not None else {}


def _facts(
    failure: Failure,
    episode: Episode,
    novelty: Novelty | None,
    phases: Sequence[str],
    apart: float | None,
    normal: Usual,
) -> Facts:
    held = [event.detail for event in episode.events if event.name == "contact/made" and event.detail]
    return Facts(
        phase=failure.phase,
        phases=phases,
        evidence=failure.evidence,
        coverage=novelty.coverage if novelty else None,
        spacing=apart,
        usual=normal,
        said=frozenset(event.name for event in episode.events),
        objects=(str(_factors(episode).get("object", "")), held[-1] if held else ""),
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
