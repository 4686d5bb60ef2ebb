"""The shell of `correct`: run each request's tries with the operator, and keep what was given as corrections.

Bootstrap is a request like any other, with the target "bootstrap": nothing is collected without a named target.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from saqiya.correct.takeover import takeover_step
from saqiya.domain.contracts import Roll, Rolled, Roller, Takeover, Vector
from saqiya.domain.nouns import Correction, CorrectionKind, CorrectionRequest, Episode, Failure, Source
from saqiya.domain.streams import Start, Stream
from saqiya.errors import GuardRefusal
from saqiya.stores.workspace import Workspace

__all__ = ["BOOTSTRAP", "DRILL", "request_bootstrap", "run"]

BOOTSTRAP = "bootstrap"
DRILL = "drill"
"""The target of data that is spoiled on purpose: it counts neither as a correction nor as human work."""
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


def run(
    store: Workspace,
    request: CorrectionRequest,
    roller: Roller,
    *,
    operator: str,
    lead_s: float,
    rate_hz: float,
    first: int | None = None,
) -> tuple[Correction, ...]:
    """Collect what `request` asks for; each try becomes one `Correction`, accepted when the operator succeeded.

    Args:
        store: the workspace.
        request: what to collect; an open request without a target is refused.
        roller: runs, records and ingests tries.
        operator: who corrects, as it will be written into every episode.
        lead_s: how long before the failure's moment a takeover begins.
        rate_hz: control rate of the site.
        first: collect only so many of them now; the rest can follow later.

    Raises:
        GuardRefusal: the request names no target.
    """
    if not request.target:
        raise GuardRefusal(
            "the request names no target", subject=request.id, remedy="Say which failure mode it is for, or bootstrap."
        )
    prefix = store.catalog.key_of(request.id)
    rolls = [
        _roll(store, request, index, f"{prefix}/{index:04d}", operator=operator, lead_s=lead_s, rate_hz=rate_hz)
        for index in range(len(request.starts[:first]))
    ]
    made = []
    for index, rolled in enumerate(roller(rolls)):
        if rolled.episode is None:
            continue
        correction = _judge(store, request, index, rolled, rolled.episode, operator=operator)
        made.append(store.catalog.put(correction, key=f"{rolled.roll.key}/correction"))
    return tuple(made)


def _roll(
    store: Workspace, request: CorrectionRequest, index: int, key: str, *, operator: str, lead_s: float, rate_hz: float
) -> Roll:
    start = request.starts[index]
    if request.target == BOOTSTRAP:
        return Roll(key, start, Source.DEMONSTRATION, operator=operator)
    if request.correction_kind is CorrectionKind.DEMONSTRATION:
        return Roll(key, start, Source.CORRECTION, operator=operator)
    failure = store.catalog.get(request.failures[index], Failure)
    episode = store.catalog.get(failure.episode, Episode)
    streams = store.streams(episode)
    executed = streams["action/executed"]
    step = takeover_step(
        moment_step=int(np.searchsorted(executed.t_ns, failure.moment_ns)),
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
