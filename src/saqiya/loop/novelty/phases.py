"""Where each task stands in its life, by which figures, and what the next phase needs, in numbers."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saqiya.detect.stage import outcomes_of
from saqiya.domain.nouns import Deployment, Episode, Outcome
from saqiya.evaluate.intervals import clopper_pearson
from saqiya.loop.config import PhasesConfig
from saqiya.loop.novelty.saturation import curves_of, scopes_of, settled
from saqiya.measure.saturation import Needed, needed

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel
    from saqiya.measure.saturation import Curve

__all__ = ["Place", "more_tries", "place_of", "places_of"]

MEANT = {
    "bootstrap": "demonstrations from a narrow region, until a policy works there",
    "mining": "failures of the deployed policy are found, named and corrected",
    "active_learning": "collect only what is worth it: saqiya plan",
    "automatic_labels": "outcomes by a model, people for its doubts: saqiya judge",
    "self_sustaining": "people check samples, and what the detectors stop",
}
"""What is done in a phase, in the order of a task's life."""
MOST_TRIES_N = 100_000


@dataclass(frozen=True)
class Place:
    """Where a scope stands.

    Attributes:
        scope: task criterion and embodiment.
        phase: of its life; `because` holds the figures that put it there.
        good, tries: of the last deployed policy, over all its deployments; `low`, `high` the exact 95 % interval.
        next: the phase to come, "" in the last; `bar` is the lower bound of success that it needs.
        needs: what leads there, in sentences.
        demonstrations: how many more the learning curve asks for; None where there is no curve, or nothing is needed.
        more_tries: tries in all that would show the bar at the rate of now; None where the rate is too low for any.
    """

    scope: str
    phase: str
    because: str
    good: int
    tries: int
    low: float
    high: float
    next: str
    bar: float
    needs: tuple[str, ...]
    demonstrations: Needed | None = None
    more_tries: int | None = None


def places_of(wheel: Flywheel) -> tuple[Place, ...]:
    """Say where every scope stands that a policy was deployed in, here or elsewhere, and the wheel's own."""
    return tuple(place_of(wheel, scope) for scope in scopes_of(wheel))


def place_of(wheel: Flywheel, scope: str) -> Place:
    """Say where one scope stands."""
    config = wheel.config.phases if wheel.turning else PhasesConfig()
    policy, good, tries = _last(wheel, scope)
    interval = clopper_pearson(good, tries)
    phase = config.current(interval.low if tries else 0.0)
    names = [one.name for one in dataclasses.fields(config)]
    after = names[names.index(phase) + 1 :]
    bar = float(getattr(config, phase))
    passed = phase == names[-1] and interval.low >= bar
    shown = f"{good}/{tries} = {good / tries:.2f}, lower bound {interval.low:.2f}" if tries else ""
    place = Place(
        scope=scope,
        phase=phase,
        because=(f"{policy}: {shown}; {MEANT[phase]}" if tries else f"no judged try of a policy yet; {MEANT[phase]}"),
        good=good,
        tries=tries,
        low=interval.low,
        high=interval.high,
        next=after[0] if after else "",
        bar=bar,
        needs=(),
    )
    if not tries:
        said = "demonstrations, a policy, and tries of which somebody says how they ended"
        return dataclasses.replace(place, needs=(f"{place.next} needs {said}.",))
    if passed:
        return dataclasses.replace(place, needs=("Nothing: the last bar is passed. Watch that it stays so.",))
    curve = curves_of(wheel, scope, parts=False)[0]
    return _needing(place, curve, settled(wheel)[0])


def _last(wheel: Flywheel, scope: str) -> tuple[str, int, int]:
    """Return key, successes and judged tries of the policy that was deployed last."""
    catalog = wheel.store.catalog
    every = [one for one in catalog.all(Deployment) if one.scope == scope]
    if not every:
        return "", 0, 0
    tries = [e for one in every if one.policy == every[-1].policy for e in one.episodes]
    held = list(catalog.each(Episode, tries))
    values = [one for one in outcomes_of(wheel.store, held).values() if one is not Outcome.UNKNOWN]
    return wheel.key_of(every[-1].policy), sum(one is Outcome.SUCCESS for one in values), len(values)


def _needing(place: Place, curve: Curve, seed: int) -> Place:
    """Say what leads over the bar: a higher rate, by so many demonstrations, or more tries at the rate of now."""
    good = bisect_left(range(place.tries), place.bar, key=lambda k: _low(k, place.tries))
    rate = good / place.tries
    goal = f"for {place.next}" if place.next else "to stay without people"
    said = [
        f"{goal.capitalize()}, the lower end of success must rise from {place.low:.0%} to {place.bar:.0%}: "
        f"{good} good ones of {place.tries} tries."
    ]
    if _low(place.tries, place.tries) < place.bar:
        said = [
            f"{goal.capitalize()}, {place.tries} tries are too few: even without a failure the lower end is below it."
        ]
    tries = more_tries(place.good / place.tries, place.tries, place.bar)
    if tries:
        said.append(f"At the rate of now, {tries} tries in all would show it.")
    more = None
    if not curve.points:
        said.append(
            "What it takes nobody can say: how many demonstrations the policy learned from is not known "
            "(saqiya policy register NAME --declare demonstrations=N)."
        )
    elif rate < 1.0:
        more = needed(curve, rate, seed=seed)
        said.append(_demonstrations(more))
    return dataclasses.replace(place, needs=tuple(said), demonstrations=more, more_tries=tries)


def _demonstrations(more: Needed) -> str:
    if more.value is None:
        least = f"that takes at least {more.low} more demonstrations; " if more.low is not None else ""
        return (
            f"By its learning curve {least}{more.never:.0%} of the curves that fit say that no number is enough. "
            "More of the same will hardly do: correct named modes, show new conditions, or change the recipe."
        )
    most = more.high if more.high is not None else "without end"
    doubt = f"; {more.never:.0%} of the curves that fit say that no number is enough" if more.never >= 0.01 else ""
    return f"By its learning curve that takes about {more.value} more demonstrations ({more.low} to {most}{doubt})."


def more_tries(rate: float, tries: int, bar: float) -> int | None:
    """Return how many tries in all would put the lower bound at the bar if the rate stayed; None: none would."""
    if rate <= bar or tries == 0:
        return None
    low, high = tries, MOST_TRIES_N
    if _low(round(rate * high), high) < bar:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _low(round(rate * middle), middle) >= bar else (middle + 1, high)
    return high


def _low(good: int, tries: int) -> float:
    return clopper_pearson(good, tries).low
