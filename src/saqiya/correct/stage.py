"""The shell of `correct`: run each request's tries with the operator, and keep what was given as corrections.

Bootstrap is a request like any other, with the target "bootstrap": nothing is collected without a named target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from saqiya.correct.takeover import takeover_step
from saqiya.domain.contracts import Roll, Rolled, Roller, Takeover, Vector
from saqiya.domain.ids import digest_of
from saqiya.domain.nouns import (
    Alarm,
    CollectionPlan,
    Correction,
    CorrectionKind,
    CorrectionRequest,
    Episode,
    Failure,
    Intent,
    Noun,
    Outcome,
    PlanItem,
    Source,
)
from saqiya.domain.streams import Start, Stream
from saqiya.errors import GuardRefusal
from saqiya.stores.workspace import Workspace

__all__ = [
    "BOOTSTRAP",
    "DRILL",
    "ask",
    "credit",
    "keep_intent",
    "keep_live",
    "keep_plan",
    "request_bootstrap",
    "roll_of",
    "run",
]

BOOTSTRAP = "bootstrap"
DRILL = "drill"
"""The target of data that is spoiled on purpose: it counts neither as a correction nor as human work."""
PHASE = "phase/"
EARLIER_STEPS = 10
ATTEMPTS = 3


def request_bootstrap(store: Workspace, starts: tuple[Start, ...], *, key: str) -> CorrectionRequest:
    """Ask for the first demonstrations: full tries by the operator from the given starts."""
    request = CorrectionRequest(
        id=store.catalog.new_id("correction_request"),
        target=BOOTSTRAP,
        mode=None,
        correction_kind=CorrectionKind.DEMONSTRATION,
        count=len(starts),
        starts=starts,
        reason="There is no policy yet: for an untrained policy all is novel.",
    )
    return store.catalog.put(request, key=key)


def keep_plan(store: Workspace, plan: CollectionPlan, *, place: str) -> CollectionPlan:
    """Store a plan below `place`; one that says the same as an earlier one is that one."""
    said = repr((plan.scope, plan.policy, plan.minutes, plan.items, plan.skipped))
    return store.catalog.put(plan, key=f"{place}/{digest_of(said.encode())[:12]}")


def keep_intent(store: Workspace, intent: Intent, *, place: str) -> Intent:
    """Store an intent below `place`, each time it is told."""
    before = [one for one in store.catalog.all(Intent) if store.catalog.key_of(one.id).startswith(f"{place}/")]
    return store.catalog.put(intent, key=f"{place}/{len(before):04d}")


def ask(
    store: Workspace, items: Sequence[PlanItem], *, because: CollectionPlan | Intent, times: int = 0
) -> tuple[CorrectionRequest, ...]:
    """Ask for what a plan holds: a request an item, under the key of what it serves.

    `times` counts what was asked for before: an earlier plan that is asked for again is asked for anew.
    """
    place = f"{store.catalog.key_of(because.id)}/{times}"
    asked: list[tuple[Noun, str]] = []
    for number, item in enumerate(items):
        request = CorrectionRequest(
            id=store.catalog.new_id("correction_request"),
            target=item.target,
            mode=item.mode,
            correction_kind=item.correction_kind,
            count=item.count,
            starts=item.starts,
            failures=item.failures,
            tries=item.tries,
            reason=item.reason,
            because=because.id,
        )
        asked.append((request, f"{place}/request/{number:02d}-{item.target}-{item.correction_kind.value}"))
    return tuple(noun for noun in store.catalog.put_all(asked) if isinstance(noun, CorrectionRequest))


def credit(
    store: Workspace,
    request: CorrectionRequest,
    episodes: Sequence[Episode],
    *,
    operator: str,
    ended: Mapping[str, Outcome],
) -> tuple[Correction, ...]:
    """Take recordings that somebody made elsewhere as what a request asked for; accepted where they ended well.

    A recording that says who acted costs the operator's steps and takeovers; one that does not was all the operator's.
    One that began at a start of the request answers the failure that began there.

    Args:
        store: the workspace.
        request: what they were made for.
        episodes: the recordings, taken in before.
        operator: who showed it.
        ended: by episode id how they ended.
    """
    place = store.catalog.key_of(request.id)
    failure_at = dict(zip((one.key for one in request.starts), request.failures, strict=False))
    rows: list[tuple[Noun, str]] = []
    for episode in episodes:
        author = store.streams(episode).get("author")
        acted = author.values.reshape(-1) > 0 if author is not None and author.values.any() else np.ones(episode.steps)
        success = ended[episode.id] is Outcome.SUCCESS
        correction = Correction(
            id=store.catalog.new_id("correction"),
            request=request.id,
            episode=episode.id,
            failure=failure_at.get(episode.start.key) if episode.start is not None else None,
            correction_kind=request.correction_kind,
            operator=operator,
            human_steps=int(np.sum(acted)),
            takeovers=int(np.sum(np.diff(acted.astype(np.int8)) > 0)),
            accepted=success,
            reason="" if success else f"it ended as {ended[episode.id].value}: not a lesson",
        )
        rows.append((correction, f"{place}/given/{store.catalog.key_of(episode.id)}"))
    return tuple(noun for noun in store.catalog.put_all(rows) if isinstance(noun, Correction))


def run(
    store: Workspace,
    request: CorrectionRequest,
    roller: Roller,
    *,
    operator: str,
    lead_s: float,
    rate_hz: float,
    slots: Sequence[int] | None = None,
) -> tuple[Correction, ...]:
    """Collect what `request` asks for; each try becomes one `Correction`, accepted when the operator succeeded.

    Args:
        store: the workspace.
        request: what to collect; an open request without a target is refused.
        roller: runs, records and ingests tries.
        operator: who corrects, as it will be written into every episode.
        lead_s: how long before the failure's moment a takeover begins.
        rate_hz: control rate of the site.
        slots: collect only these of them now; None for all.

    Raises:
        GuardRefusal: the request names no target, or asks for a way of doing it that this operator does not know.
    """
    if request.correction_kind is CorrectionKind.STRATEGY:
        raise GuardRefusal(
            f"asks for another way of doing it, and {operator} knows one",
            subject=store.catalog.key_of(request.id),
            remedy="Let somebody show it, and take the recordings in: saqiya ingest.",
        )
    if not request.target:
        raise GuardRefusal(
            "the request names no target", subject=request.id, remedy="Say which failure mode it is for, or bootstrap."
        )
    prefix = store.catalog.key_of(request.id)
    wanted = range(len(request.starts)) if slots is None else slots
    rolls = [
        roll_of(store, request, index, f"{prefix}/{index:04d}", operator=operator, lead_s=lead_s, rate_hz=rate_hz)
        for index in wanted
    ]
    made = []
    for index, rolled in zip(wanted, roller(rolls), strict=True):
        if rolled.episode is None:
            continue
        correction = _judge(store, request, index, rolled, rolled.episode, operator=operator)
        made.append(store.catalog.put(correction, key=f"{rolled.roll.key}/correction"))
    return tuple(made)


def roll_of(
    store: Workspace, request: CorrectionRequest, index: int, key: str, *, operator: str, lead_s: float, rate_hz: float
) -> Roll:
    """Return the try that answers a request at the place `index`: where it begins, and where the operator takes over.

    Args:
        store: the workspace.
        request: what was asked for.
        index: of its starts.
        key: of the episode it becomes.
        operator: who corrects.
        lead_s: how long before the failure's moment a takeover begins.
        rate_hz: control rate of the site.
    """
    start = request.starts[index]
    if request.target == BOOTSTRAP:
        return Roll(key, start, Source.DEMONSTRATION, operator=operator)
    if request.correction_kind is CorrectionKind.DEMONSTRATION:
        return Roll(key, start, Source.CORRECTION, operator=operator)
    if request.failures:
        failure = store.catalog.get(request.failures[index], Failure)
        episode, moment_ns = store.catalog.get(failure.episode, Episode), failure.moment_ns
    else:
        episode = store.catalog.get(request.tries[index], Episode)
        moment_ns = _trouble(store, episode)
    streams = store.streams(episode)
    executed = streams["action/executed"]
    step = takeover_step(
        moment_step=int(np.searchsorted(executed.t_ns, moment_ns)),
        length=len(executed.t_ns),
        rate_hz=rate_hz,
        lead_s=lead_s,
    )
    takeover = Takeover(
        actions=executed.values.astype(np.float64),
        step=step,
        arrived=_observation_at(streams, int(executed.t_ns[step])),
        earlier=EARLIER_STEPS,
        attempts=ATTEMPTS,
    )
    return Roll(key, start, Source.CORRECTION, policy=episode.policy, operator=operator, takeover=takeover)


def _trouble(store: Workspace, episode: Episode) -> int:
    """Return when a try that went well was nearest to failing: its first alarm, else its longest wait for a phase."""
    alarms = [one.start_ns for one in store.catalog.referring(episode.id, Alarm)]
    if alarms:
        return min(alarms)
    reached = [episode.start_ns, *(one.t_ns for one in episode.events if one.name.startswith(PHASE)), episode.end_ns]
    return max(pairwise(sorted(reached)), key=lambda gap: gap[1] - gap[0])[0]


def _observation_at(streams: Mapping[str, Stream], t_ns: int) -> dict[str, Vector]:
    return {
        name.removeprefix("observation/"): stream.values[int(np.searchsorted(stream.t_ns, t_ns))]
        for name, stream in streams.items()
        if name.startswith("observation/")
    }


def _judge(
    store: Workspace, request: CorrectionRequest, index: int, rolled: Rolled, episode: Episode, *, operator: str
) -> Correction:
    return Correction(
        id=store.catalog.new_id("correction"),
        request=request.id,
        episode=episode.id,
        failure=request.failures[index] if request.failures else None,
        correction_kind=request.correction_kind,
        operator=operator,
        human_steps=rolled.human_steps,
        takeovers=rolled.takeovers,
        accepted=rolled.success,
        reason="" if rolled.success else "the operator did not succeed either: not a lesson",
    )


def keep_live(store: Workspace, intent: Intent, rolled: Rolled, *, operator: str, reason: str) -> Correction | None:
    """Keep a live try into which a person was asked as a correction of what was aimed at; None where nobody was.

    Each is a request of its own, served at once: nobody knows before which tries will ask.
    """
    if rolled.episode is None or not rolled.human_steps:
        return None
    request = CorrectionRequest(
        id=store.catalog.new_id("correction_request"),
        target=intent.target,
        mode=intent.mode,
        correction_kind=CorrectionKind.TAKEOVER,
        count=1,
        starts=(rolled.roll.start,),
        reason=reason,
    )
    kept = store.catalog.put(request, key=f"{rolled.roll.key}/request")
    correction = _judge(store, kept, 0, rolled, rolled.episode, operator=operator)
    return store.catalog.put(correction, key=f"{rolled.roll.key}/correction")
