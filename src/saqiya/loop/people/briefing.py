"""All that an operator needs to know before a correction: what failed, where to begin, what counts, why it matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from saqiya.domain.nouns import (
    Advice,
    CollectionPlan,
    CorrectionKind,
    CorrectionRequest,
    Episode,
    Failure,
    FailureMode,
    PlanItem,
)
from saqiya.domain.streams import Start
from saqiya.errors import UnknownId, UsageError
from saqiya.models.conditions import By

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Briefing", "Sensor", "briefing_of"]

SHOWN = {
    CorrectionKind.TAKEOVER: "Let the policy begin and take over shortly before it fails; then finish the task.",
    CorrectionKind.RECOVERY: "Begin where it nearly failed and bring it back to where the policy can go on.",
    CorrectionKind.DEMONSTRATION: "Show the whole task from this start.",
    CorrectionKind.STRATEGY: "Show the whole task in a way that was never shown.",
}


PLAIN, REGION = {"task", "embodiment"}, " region"
"""Factors that a briefing says elsewhere."""


@dataclass(frozen=True)
class Sensor:
    """A stream that must be in the recording: its name, its width or picture, its rate in Hz (0: not known)."""

    name: str
    what: str
    rate_hz: float


@dataclass(frozen=True)
class Briefing:
    """The context of one slot of a request.

    Attributes:
        show: what to do, in a sentence.
        meaning: of the failure mode, "" where it is no mode.
        start: where to begin, where a start is known; else `region` and `cards` say what to put where.
        failure, episode: what failed and should be looked at first; `moment_s` from the beginning of the try.
        properties: what people and rules say of the objects and the place, by factor.
        criterion: what counts as done; `limit_s` how long a try may take, 0 where nobody says.
        sensors: what must be recorded.
        priority: what made the mode urgent, factor by factor.
        item: of the plan that asked for it: what it is expected to bring.
        advice: what others said in words.
    """

    request: CorrectionRequest
    key: str
    slot: int
    show: str
    meaning: str
    task: str
    criterion: str
    limit_s: float
    start: Start | None
    region: Mapping[str, str]
    cards: tuple[str, ...]
    failure: Failure | None
    episode: Episode | None
    moment_s: float
    properties: Mapping[str, str]
    sensors: tuple[Sensor, ...]
    priority: Mapping[str, float]
    item: PlanItem | None
    advice: tuple[Advice, ...]


def briefing_of(wheel: Flywheel, ref: str, slot: int = 0) -> Briefing:
    """Gather what is known of a slot of a request.

    Raises:
        UnknownId: there is no such request, or it has no such slot.
    """
    catalog = wheel.store.catalog
    request = catalog.get(ref, CorrectionRequest)
    if not 0 <= slot < request.count and not wheel.desk.asked(request.id).examines:
        raise UnknownId(
            f"has no slot {slot}", subject=catalog.key_of(request.id), remedy=f"They are 0 to {request.count - 1}."
        )
    failure = catalog.get(request.failures[slot], Failure) if slot < len(request.failures) else None
    mode = catalog.get(request.mode, FailureMode) if request.mode else None
    shown = failure or (catalog.get(mode.medoid, Failure) if mode else None)
    episode = _episode(wheel, request, slot, shown)
    item = _item(wheel, request)
    spec = wheel.site.spec if wheel.turning else None
    return Briefing(
        request=request,
        key=catalog.key_of(request.id),
        slot=slot,
        show=SHOWN[request.correction_kind],
        meaning=_meaning(wheel, request.target),
        task=spec.task if spec else (episode.task if episode else ""),
        criterion=wheel.config.task.criterion if wheel.turning else "",
        limit_s=spec.horizon_steps / spec.rate_hz if spec else 0.0,
        start=wheel.desk.asked(request.id).start(slot),
        region=item.region if item else {},
        cards=item.cards if item else (),
        failure=shown,
        episode=episode,
        moment_s=(shown.moment_ns - episode.start_ns) / 1e9 if shown and episode else 0.0,
        properties=_properties(wheel, episode) if episode else {},
        sensors=_sensors(wheel, episode),
        priority=mode.factors if mode else {},
        item=item,
        advice=tuple(catalog.referring(shown.id, Advice)) if shown else (),
    )


def _episode(wheel: Flywheel, request: CorrectionRequest, slot: int, shown: Failure | None) -> Episode | None:
    if shown is not None:
        return wheel.store.catalog.get(shown.episode, Episode)
    return wheel.store.catalog.get(request.tries[slot], Episode) if slot < len(request.tries) else None


def _meaning(wheel: Flywheel, target: str) -> str:
    try:
        return wheel.vocabulary.word(target).meaning
    except UsageError:  # a condition or a bootstrap: no word for a failure
        return ""


def _item(wheel: Flywheel, request: CorrectionRequest) -> PlanItem | None:
    if request.because is None:
        return None
    plan = wheel.store.catalog.get(request.because)
    if not isinstance(plan, CollectionPlan):
        return None
    alike = [
        one
        for one in plan.items
        if (one.target, one.correction_kind, one.starts) == (request.target, request.correction_kind, request.starts)
    ]
    return alike[0] if alike else None


def _properties(wheel: Flywheel, episode: Episode) -> dict[str, str]:
    """Return what is known of objects, place and light: by people, by rules, by the log; not what is only suggested."""
    said = wheel.pump.factors.known([episode]).said[0]
    return {
        name: one.value
        for name, one in said.items()
        if name not in PLAIN and not name.endswith(REGION) and one.by not in {By.SUGGESTED, By.UNREAD}
    }


def _sensors(wheel: Flywheel, episode: Episode | None) -> tuple[Sensor, ...]:
    """Return what must be in a recording: what the policy reads at the site, else what the failed try had."""
    if wheel.turning:
        spec = wheel.site.spec
        wide = {**spec.observation, "action/executed": len(spec.action_low)}
        return tuple(Sensor(name, _columns(n), spec.rate_hz) for name, n in wide.items())
    if episode is None:
        return ()
    told = [Sensor(one.name, _columns(prod(one.shape[1:])), one.rate_hz) for one in episode.infos]
    return (*told, *(Sensor(one.name, f"{one.width} x {one.height} pictures", one.rate_hz) for one in episode.media))


def _columns(n: int) -> str:
    return "1 number" if n == 1 else f"{n} numbers"
