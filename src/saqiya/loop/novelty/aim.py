"""The guard: which failure mode or condition is aimed at is on record before anything is collected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from saqiya.correct import stage as correct
from saqiya.correct.cards import card
from saqiya.correct.experience import expect
from saqiya.correct.intent import Aim, Solved, aim_of, objections
from saqiya.correct.plan import MOST_N
from saqiya.detect.stage import outcomes_of
from saqiya.domain.nouns import Correction, CorrectionKind, CorrectionRequest, Episode, Intent, PlanItem
from saqiya.domain.visible import line
from saqiya.domain.worth import Gain
from saqiya.errors import GuardRefusal, UsageError
from saqiya.loop.novelty.ground import Ground, ground_of
from saqiya.loop.novelty.habits import habits_of
from saqiya.loop.novelty.places import Places
from saqiya.loop.novelty.plan import SOLVED, plan
from saqiya.models.conditions import STRATEGY_FACTORS

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["aim", "cleared", "doubts", "given", "serve"]

BOOTSTRAP_PLACE = "bootstrap/intent"


def aim(wheel: Flywheel, target: str, *, author: str, minutes: float = 0.0) -> Intent:
    """Put on record what is to be collected for, with what speaks against it; told again, it is insisted on.

    Args:
        wheel: the workspace.
        target: a mode's label, a condition ("object=cup,object_x=0.1..0.2"), or "bootstrap".
        author: who says so.
        minutes: ask for as much of it at once, unless there are warnings that nobody insisted on; 0: ask for nothing.

    Raises:
        UsageError: nobody, or nothing that is known, is named, or minutes that cannot be.
        GuardRefusal: nothing was deployed or read, so nothing is known of modes.
    """
    if not line(author):
        raise UsageError("needs somebody who says it", remedy="Give --author NAME.")
    if not (math.isfinite(minutes) and minutes >= 0.0):
        raise UsageError(f"{minutes:g} minutes are no budget", remedy="For example: --minutes 30.")
    told = aim_of(target)
    ground = None if told.label == correct.BOOTSTRAP else ground_of(wheel)
    if told.condition:
        _demand_known(wheel, told)
    label = told.label if ground is None or told.condition else wheel.vocabulary.word(told.label).name
    warnings = _warnings(wheel, ground, told, label)
    last = _last(wheel, ground, target)
    mode = ground.modes.get(label) if ground else None
    intent = Intent(
        id=wheel.store.catalog.new_id("intent"),
        target=target.strip(),
        mode=mode.id if mode else None,
        author=author,
        warnings=warnings,
        insisted=bool(warnings and last is not None and last.warnings),
    )
    kept = correct.keep_intent(wheel.store, intent, place=_place(ground, target))
    if minutes > 0.0 and ground is not None and (not warnings or kept.insisted):
        if told.condition:
            items = _condition(ground, told, kept, minutes)
        else:
            items = list(plan(wheel, minutes=minutes, only=label).items)
        correct.ask(wheel.store, [one for one in items if one.starts or not wheel.turning], because=kept)
    return kept


def doubts(wheel: Flywheel, target: str) -> tuple[str, ...]:
    """Say what speaks against collecting for a target now, without putting anything on record."""
    told = aim_of(target)
    ground = None if told.label == correct.BOOTSTRAP else ground_of(wheel)
    return _warnings(wheel, ground, told, wheel.vocabulary.resolve(told.label))


def cleared(wheel: Flywheel, target: str) -> Intent:
    """Return the intent that lets a person collect for a target.

    Raises:
        GuardRefusal: nobody said what it is for, or said it once against figures that speak against it.
    """
    ground = None if aim_of(target).label == correct.BOOTSTRAP else ground_of(wheel)
    last = _last(wheel, ground, target)
    if last is None:
        raise GuardRefusal(
            "nobody put on record that this is what they aim at",
            subject=target,
            remedy=f"Run saqiya aim {target!r} --author NAME first.",
        )
    if last.warnings and not last.insisted:
        raise _refusal(target, last.warnings)
    return last


def serve(wheel: Flywheel, request: CorrectionRequest) -> None:
    """Let a request that is named by hand through, unless its target is solved by now and nobody insisted.

    Raises:
        GuardRefusal: it is; the figures are named.
    """
    if request.target in {correct.BOOTSTRAP, correct.DRILL, ""}:
        return  # the first has its own checks, the second teaches nothing, the third is refused by the stage
    found = doubts(wheel, request.target)
    last = _last(wheel, ground_of(wheel), request.target)
    if found and not (last is not None and last.insisted):
        raise _refusal(request.target, found)


def given(wheel: Flywheel, ref: str, what: Sequence[str], *, author: str) -> tuple[Correction, ...]:
    """Take recordings that somebody made elsewhere as what a request asked for.

    Raises:
        GuardRefusal: as `serve`.
        UsageError: nobody is named.
    """
    if not line(author):
        raise UsageError("needs somebody who showed it", remedy="Give --by NAME.")
    request = wheel.store.catalog.get(ref, CorrectionRequest)
    serve(wheel, request)
    episodes = wheel.data.chosen(what)[1]
    return correct.credit(wheel.store, request, episodes, operator=author, ended=outcomes_of(wheel.store, episodes))


def _refusal(target: str, warnings: tuple[str, ...]) -> GuardRefusal:
    return GuardRefusal(
        "; ".join(warnings),
        subject=target,
        remedy=f"To collect for it all the same, say it twice: saqiya aim {target!r}.",
    )


def _warnings(wheel: Flywheel, ground: Ground | None, told: Aim, label: str) -> tuple[str, ...]:
    if ground is None:
        return habits_of(wheel)
    if not told.condition:
        starts = ground.lives.passed(label, policy=ground.deployment.policy)
        return objections(Solved(ground.counts(label), SOLVED, starts, ground.stops.get(label, "")))
    return objections(Solved(ground.under(told), SOLVED))


def _demand_known(wheel: Flywheel, told: Aim) -> None:
    """Refuse a factor that nobody ever told of: a name that is misspelt would never be found solved."""
    factors = wheel.pump.factors
    met = factors.conditions(wheel.store.catalog.all(Episode)).values()
    known = set(wheel.ranges).union(STRATEGY_FACTORS, factors.rules().meanings, *met)
    strange = sorted(set(told.condition) - known)
    if strange:
        raise UsageError(
            "is no factor that any try, rule or site tells of",
            subject=", ".join(strange),
            remedy=f"Say it of tries (saqiya factors set), or use one of {', '.join(sorted(known))}.",
        )


def _condition(ground: Ground, told: Aim, intent: Intent, minutes: float) -> list[PlanItem]:
    """Ask for whole demonstrations under a condition: from fresh starts that meet it, else with a card."""
    places = Places(ground)
    failed, met = ground.under(told)
    _, whole, basis = ground.minutes([])
    kind = CorrectionKind.DEMONSTRATION
    fresh = places.under(told, intent.target)
    available = len(fresh) if places.here else MOST_N
    count = min(available, MOST_N, int(minutes / whole))
    if not count:
        return []
    expected = expect(intent.target, (failed, max(met, len(ground.outcomes))), ground.lessons, seed=0)
    chosen = places.choose(fresh, count)
    value, low, high = expected.gain(count)
    return [
        PlanItem(
            target=intent.target,
            mode=None,
            correction_kind=kind,
            count=count,
            minutes=round(count * whole, 3),
            gain=None if not met else Gain(count, round(value, 5), round(low, 5), round(high, 5)),
            region={name: _said(value) for name, value in told.condition.items()},
            starts=tuple(one.start for one in chosen if one.start is not None),
            cards=(card({name: _said(value) for name, value in told.condition.items()}, {}),),
            reason=f"{intent.author} aims at it; {failed} of {met} deployed tries there failed; {basis}",
        )
    ]


def _place(ground: Ground | None, target: str) -> str:
    return f"{ground.place}/intent/{target.strip()}" if ground else f"{BOOTSTRAP_PLACE}/{target.strip()}"


def _last(wheel: Flywheel, ground: Ground | None, target: str) -> Intent | None:
    catalog, place = wheel.store.catalog, _place(ground, target)
    told = [one for one in catalog.all(Intent) if catalog.key_of(one.id).startswith(f"{place}/")]
    return told[-1] if told else None


def _said(value: str | tuple[float, float]) -> str:
    return value if isinstance(value, str) else f"{value[0]:g}..{value[1]:g}"
