"""Tries from the starts of open failures, under the policy that was trained since: are they fixed?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from saqiya.domain.contracts import Roll, Rolled
from saqiya.domain.nouns import Deployment, Episode, Failure, Source
from saqiya.domain.streams import Start
from saqiya.loop import draws
from saqiya.loop.lives import lives_of
from saqiya.triage.life import State

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["recheck"]

FIRST = 2
"""Two equal tries tell that site and policy repeat themselves; then no more are run."""


def recheck(wheel: Flywheel) -> int:
    """Try the starts of open failures again under the deployed policy, and return how many tries there were.

    At most `[triage] recheck` tries a start, and `[evaluate] regression_per_mode` starts a mode: those whose correction
    the policy learned from come first, then the newest. Each try has a seed of its own. A start that fails, or whose
    first tries are equal bit for bit, is not tried further.
    """
    most = wheel.config.triage.recheck
    policy = wheel.store.catalog.get(wheel.key("deployment"), Deployment).policy
    places = _places(wheel, policy) if most else []
    rolled = _try(wheel, policy, places, range(min(FIRST, most)))
    undecided = [start for start in places if _undecided([one for one in rolled if one.roll.start.key == start.key])]
    return len(rolled) + len(_try(wheel, policy, undecided, range(FIRST, most)))


def _places(wheel: Flywheel, policy: str) -> list[Start]:
    """Return the starts to try: the same ones when a killed run is taken up, whatever its first tries showed."""
    catalog = wheel.store.catalog
    told = lives_of(wheel, without=wheel.key("recheck"))
    counts: Counter[str] = Counter()
    chosen: dict[str, Start] = {}
    waiting = [one for one in reversed(catalog.all(Failure)) if told.lives[one.id].open and told.labels[one.id]]
    for one in sorted(waiting, key=lambda one: told.lives[one.id].state is not State.INTEGRATED):
        episode, label = catalog.get(one.episode, Episode), told.labels[one.id]
        if episode.start is None or episode.policy == policy or episode.start.key in chosen:
            continue
        if counts[label] < wheel.config.evaluate.regression_per_mode:
            counts[label] += 1
            chosen[episode.start.key] = episode.start
    return list(chosen.values())


def _try(wheel: Flywheel, policy: str, places: Sequence[Start], indexes: range) -> list[Rolled]:
    rolls = [
        Roll(
            wheel.key("recheck", f"{start.key[:16]}-{index:02d}"),
            Start(draws.seed(wheel.config.run.seed, f"recheck/{start.key}", wheel.number, index), start.factors),
            Source.ROLLOUT,
            policy=policy,
        )
        for start in places
        for index in indexes
    ]
    return list(wheel.roller(rolls))


def _undecided(rolled: Sequence[Rolled]) -> bool:
    """Say whether the first tries passed, and differ."""
    return all(one.success for one in rolled) and len({one.episode.prints for one in rolled if one.episode}) > 1
