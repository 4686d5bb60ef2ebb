"""What to collect next under a budget of human minutes: gathers what is known; `correct.plan` shares the minutes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saqiya.correct import stage as correct
from saqiya.correct.cards import card, region
from saqiya.correct.experience import expect
from saqiya.correct.intent import Solved, aim_at, objections
from saqiya.correct.plan import BLOCK_N, Option, Origin, Share, kinds, share
from saqiya.domain.nouns import CollectionPlan, CorrectionKind, CorrectionRequest, FailureMode, PlanItem, PlanSkip
from saqiya.domain.worth import Gain
from saqiya.errors import UsageError
from saqiya.loop.novelty.ground import Ground, ground_of
from saqiya.loop.novelty.places import Place, Places
from saqiya.loop.novelty.saturation import settled

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["SOLVED", "ask", "plan", "requests_of"]

UNTEACHABLE = {
    "actuation": "the robot did not do what it was told: repair it, no demonstration teaches that",
    "dropout": "a stream fell silent: repair it, no demonstration teaches that",
}
SOLVED = 0.02
"""A mode that surely fails in fewer tries than this is solved."""
MOST_CARDS_N = 5
MOST_GAPS_N = 3


@dataclass(frozen=True)
class _Asked:
    """A mode that minutes can be spent on, and where its corrections can begin, an entry an origin."""

    option: Option
    mode: FailureMode | None
    places: tuple[tuple[Place, ...], ...]
    why: str


def plan(wheel: Flywheel, *, minutes: float, deployment: str = "", only: str = "", each: float = 0.0) -> CollectionPlan:
    """Say what to collect next under a budget of human minutes, and what not, and store it.

    Args:
        wheel: the workspace.
        minutes: of a person.
        deployment: what is to be improved; "" for the champion's, or the newest logs.
        only: plan for this mode alone, solved or not.
        each: minutes that one correction takes, resets counted; 0: as those that were given took.

    Raises:
        UsageError: no minutes or no end of them, or fewer than none for each.
        GuardRefusal: see `ground_of`.
    """
    if not (0.0 < minutes < math.inf and 0.0 <= each < math.inf):
        said = f"{minutes:g} minutes, {each:g} each, are no budget" if each else f"{minutes:g} minutes are no budget"
        raise UsageError(said, remedy="For example: saqiya plan --minutes 120.")
    least = settled(wheel)[1].gain_per_10
    ground = ground_of(wheel, deployment)
    asked: list[_Asked] = []
    skipped: list[PlanSkip] = []
    places = Places(ground)
    labels = [only] if only else sorted((set(ground.modes) | set(ground.failures)) - {""})
    taken, whole, basis = ground.minutes(labels)
    if each:
        taken, whole, basis = dict.fromkeys(labels, each), each, f"{each:g} minutes each, as you said"
    for label in labels:
        refused = "" if only else _refused(ground, label)
        if refused:
            skipped.append(PlanSkip(label, refused))
        else:
            asked.append(_asked(ground, places, label, (taken[label], whole)))
    shares, more = share([one.option for one in asked], minutes=minutes, least=least) if asked else ([], [])
    of = {id(one.option): one for one in asked}
    items = [item for one in shares for item in _items(ground, places, of[id(one.option)], one, basis)]
    gaps, unmet = ([], []) if only else _gaps(places, whole, minutes - sum(one.minutes for one in items))
    made = CollectionPlan(
        id=wheel.store.catalog.new_id("collection_plan"),
        scope=ground.deployment.scope,
        policy=ground.deployment.policy,
        minutes=float(minutes),
        items=(*items, *gaps),
        skipped=(*skipped, *more, *unmet),
    )
    return correct.keep_plan(wheel.store, made, place=f"{ground.place}/plan")


def ask(wheel: Flywheel, made: CollectionPlan) -> tuple[CorrectionRequest, ...]:
    """Ask for what a plan holds: from now on `saqiya correct` and the turn serve this, and not triage's sharing.

    At a site, what has no start to begin from is left to a person; a workspace without one asks for all of it.
    """
    items = [one for one in made.items if one.starts or not wheel.turning]
    place = wheel.key_of(made.id).rpartition("/")[0]
    before = [one for one in wheel.store.catalog.all(CorrectionRequest) if wheel.key_of(one.id).startswith(f"{place}/")]
    if before and before[-1].because == made.id:
        return tuple(one for one in before if _round(wheel, one) == _round(wheel, before[-1]))
    return correct.ask(wheel.store, items, because=made, times=len({_round(wheel, one) for one in before}))


def _round(wheel: Flywheel, request: CorrectionRequest) -> str:
    """Return what is common to the keys of requests that were asked for at once."""
    return wheel.key_of(request.id).split("/request/")[0]


def requests_of(wheel: Flywheel) -> list[CorrectionRequest]:
    """Return the requests of the turn under way that the site's operator can serve, in the order they were asked.

    What a person aimed at comes first, with the newest plan that was asked; without either it is triage's sharing.
    """
    catalog = wheel.store.catalog
    turn = wheel.key("")
    mine = [
        (key.removeprefix(turn), one)
        for one in catalog.all(CorrectionRequest)
        if (key := catalog.key_of(one.id)).startswith(turn) and one.correction_kind is not CorrectionKind.STRATEGY
    ]
    planned = [(key, one) for key, one in mine if key.startswith("plan/")]
    newest = _round(wheel, planned[-1][1]) if planned else None
    chosen = [one for key, one in mine if key.startswith("intent/") or _round(wheel, one) == newest]
    return chosen or [one for key, one in mine if key.startswith("triage/request/")]


def _refused(ground: Ground, label: str) -> str:
    """Say why nothing is spent on a mode, "" where something may be."""
    failed, tries = ground.counts(label)
    gone = ground.gone.get(label, [])
    if not failed and gone:
        return f"dismissed: a person said that {len(gone)} failures of it are none, or not worth fixing"
    if failed and label in UNTEACHABLE:
        return f"{failed} of {tries} tries: {UNTEACHABLE[label]}"
    starts = ground.lives.passed(label, policy=ground.deployment.policy)
    solved = objections(Solved((failed, tries), SOLVED, starts, ground.stops.get(label, "")))
    if solved:
        return "; ".join(solved)
    if not failed:
        return f"it did not fail in {tries} tries: too few to call it solved, and nothing to begin from"
    if ground.unobservable(label):
        return (
            "unobservable: it is as frequent as before its corrections in two strategies, and most of its corrected "
            "starts still fail; look at what the policy is shown before more is collected"
        )
    return ""


def _asked(ground: Ground, places: Places, label: str, minutes: tuple[float, float]) -> _Asked:
    failed, tries = ground.counts(label)
    mode = ground.modes.get(label)
    persistent = ground.persistent(label)
    wanted = kinds(mode.parent if mode else "", restorable=places.restorable, persistent=persistent)
    found = [group for kind in wanted for group in places.of(label, kind, alone=len(wanted) == 1)]
    expected = expect(label, (failed, tries), ground.lessons, seed=0)
    whole = {CorrectionKind.DEMONSTRATION, CorrectionKind.STRATEGY}
    origins = tuple(
        Origin(group[0].kind, len(group), max(minutes[group[0].kind in whole], 1e-6)) for group in found if group
    )
    every, own = expected.lessons
    history = (
        f"the gain is what {own} earlier turns of this mode and {every - own} of others brought"
        if every
        else "the gain is a first guess: no earlier turn shows what corrections bring"
    )
    why = f"{failed} of {tries} tries fail so; {history}"
    if persistent:
        why += "; as frequent as ever after its corrections: show another way of doing it"
    return _Asked(Option(label, origins, expected), mode, tuple(tuple(group) for group in found if group), why)


def _items(ground: Ground, places: Places, asked: _Asked, given: Share, basis: str) -> list[PlanItem]:
    """Return an item an origin that was given something; each one's gain is what it adds to those before it."""
    items, first = [], 0
    for origin, group, count in zip(given.option.origins, asked.places, given.counts, strict=True):
        if not count:
            continue
        chosen = places.choose(group, count)
        value, low, high = given.option.expected.gain(count, after=first)
        placed = [one for one in chosen if one.start is not None] or chosen
        failed = [one.failure.id for one in placed if one.failure is not None]
        items.append(
            PlanItem(
                target=given.option.target,
                mode=asked.mode.id if asked.mode else None,
                correction_kind=origin.kind,
                count=count,
                minutes=round(count * origin.minutes, 3),
                gain=Gain(count, round(value, 5), round(low, 5), round(high, 5)),
                region=region([one.start.factors for one in placed if one.start is not None and one.start.factors]),
                starts=tuple(one.start for one in placed if one.start is not None),
                cards=tuple(_cards(ground, chosen)) if not places.restorable else (),
                reason=f"{asked.why}; {group[0].how}; {given.because}; {basis}",
                failures=tuple(failed),
                tries=tuple(one.episode.id for one in placed if one.episode) if not failed else (),
            )
        )
        first += count
    return items


def _cards(ground: Ground, chosen: Sequence[Place]) -> list[str]:
    """Write up to five reset cards, the places in the order in which they were chosen."""
    cards: list[str] = []
    for one in chosen:
        streams = ground.wheel.store.streams(one.episode) if one.episode is not None else {}
        seen = {
            name.removeprefix("observation/"): [float(value) for value in stream.values[0].reshape(-1)]
            for name, stream in streams.items()
            if name.startswith("observation/") and len(stream.t_ns)
        }
        text = card(one.start.factors if one.start is not None else {}, seen)
        if text and text not in cards:
            cards.append(text)
        if len(cards) == MOST_CARDS_N:
            break
    return cards


def _gaps(places: Places, whole: float, left: float) -> tuple[list[PlanItem], list[PlanSkip]]:
    """Return what deployment met and failed in and nobody ever showed, while minutes are left; and what nobody met."""
    gaps = [one for one in places.wheel.pump.factors.coverage().gaps if not one.shown_n]
    items: list[PlanItem] = []
    for one in gaps:
        if not one.failed_n or len(items) == MOST_GAPS_N or left < BLOCK_N * whole:
            continue
        where = dict(one.region) or dict(one.factors)
        failed, met = places.ground.under(aim_at(where))
        if met and not failed:
            continue  # an earlier policy failed there, the one of now does not
        target = ",".join(f"{name}={value}" for name, value in where.items())
        left -= BLOCK_N * whole
        fresh = places.choose(places.under(aim_at(where), target), BLOCK_N)
        items.append(
            PlanItem(
                target=target,
                mode=None,
                correction_kind=CorrectionKind.DEMONSTRATION,
                count=BLOCK_N,
                minutes=round(BLOCK_N * whole, 3),
                gain=None,
                region=where,
                starts=tuple(place.start for place in fresh if place.start is not None),
                cards=() if fresh else (f"Put {', '.join(f'{name} {value}' for name, value in one.factors.items())}",),
                reason=f"{one.why.rstrip('.')}. Its failures count in the modes above: its own gain is not known.",
            )
        )
    unmet = [one for one in gaps if not one.met_n]
    skipped = []
    if unmet:
        first = ", ".join(f"{name} {value}" for name, value in unmet[0].factors.items())
        skipped.append(
            PlanSkip(
                "never shown and never met",
                f"{len(unmet)} conditions (the first: {first}): no deployed try met them, so no point of success can "
                "be expected; saqiya aim FACTOR=VALUE where one is coming",
            )
        )
    return items, skipped
